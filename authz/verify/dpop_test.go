package verify_test

import (
	"crypto"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"chancery/authz/verify"
)

const proofURI = "https://api.example/"

// proofHeader is that of a proof of the key.
func (k testKey) proofHeader() object {
	jwk := k.jwk()
	jwk.KeyID = ""
	return object{"typ": "dpop+jwt", "alg": k.alg, "jwk": jwk}
}

// proof signs a proof for a GET of proofURI with the token, with changes.
func (k testKey) proof(t testing.TB, token string, changes ...object) string {
	t.Helper()
	sum := sha256.Sum256([]byte(token))
	claims := object{"htm": "GET", "htu": proofURI, "jti": b64(sum[:4]) + time.Now().String(), "iat": time.Now().Unix(), "ath": b64(sum[:])}
	for _, c := range changes {
		claims = with(claims, c)
	}
	return k.sign(t, k.proofHeader(), claims)
}

func (k testKey) thumbprint(t testing.TB) string {
	t.Helper()
	jwk := k.jwk()
	sum, err := jwk.Thumbprint(crypto.SHA256)
	must(t, err)
	return b64(sum)
}

func TestParseProof(t *testing.T) {
	for _, alg := range verify.Algorithms() {
		k := newKey(t, alg)
		p, err := verify.ParseProof(k.proof(t, "token", object{"jti": "id", "iat": 1700000000}))
		if err != nil || p.KeyThumbprint != k.thumbprint(t) || p.Method != "GET" || p.URI != proofURI || p.ID != "id" || p.IssuedAt.Unix() != 1700000000 || !p.IsFor("token") || p.IsFor("other") {
			t.Errorf("%s: %+v, %v", alg, p, err)
		}
	}
}

func TestParseProof_Refused(t *testing.T) {
	k, other, weak := newKey(t, "ES256"), newKey(t, "ES256"), newKey(t, "weak")
	claims := object{"htm": "GET", "htu": proofURI, "jti": "id", "iat": 1700000000}
	var private object
	must(t, json.Unmarshal([]byte(privateJWK(t, k)), &private))
	good := k.sign(t, k.proofHeader(), claims)
	parts := strings.Split(good, ".")
	rows := map[string]string{
		"empty":                "",
		"no JWS":               "x.y",
		"four parts":           good + ".x",
		"no signature":         parts[0] + "." + parts[1] + ".",
		"line break":           good + "\n",
		"another key":          other.sign(t, k.proofHeader(), claims),
		"another type":         k.sign(t, with(k.proofHeader(), object{"typ": "JWT"}), claims),
		"access token type":    k.sign(t, with(k.proofHeader(), object{"typ": "at+jwt"}), claims),
		"no type":              k.sign(t, with(k.proofHeader(), object{"typ": nil}), claims),
		"no key":               k.sign(t, with(k.proofHeader(), object{"jwk": nil}), claims),
		"private key":          k.sign(t, with(k.proofHeader(), object{"jwk": private}), claims),
		"symmetric key":        hmacSign(t, object{"typ": "dpop+jwt", "alg": "HS256", "jwk": object{"kty": "oct", "k": "c2VjcmV0"}}, claims, []byte("secret")),
		"none":                 b64([]byte(`{"typ":"dpop+jwt","alg":"none","jwk":`+publicJWK(t, k)+`}`)) + "." + parts[1] + ".",
		"weak RSA":             weak.sign(t, weak.proofHeader(), claims),
		"another algorithm":    k.sign(t, with(k.proofHeader(), object{"alg": "RS256"}), claims),
		"critical header":      k.sign(t, with(k.proofHeader(), object{"crit": []string{"exp"}}), claims),
		"no method":            k.sign(t, k.proofHeader(), with(claims, object{"htm": nil})),
		"no URI":               k.sign(t, k.proofHeader(), with(claims, object{"htu": nil})),
		"no id":                k.sign(t, k.proofHeader(), with(claims, object{"jti": nil})),
		"long id":              k.sign(t, k.proofHeader(), with(claims, object{"jti": strings.Repeat("x", 257)})),
		"no time":              k.sign(t, k.proofHeader(), with(claims, object{"iat": nil})),
		"time as text":         k.sign(t, k.proofHeader(), with(claims, object{"iat": "1700000000"})),
		"claim twice":          k.sign(t, k.proofHeader(), `{"htm":"GET","htm":"POST","htu":"`+proofURI+`","jti":"id","iat":1700000000}`),
		"claims are no object": k.sign(t, k.proofHeader(), `[]`),
		"too long":             k.sign(t, k.proofHeader(), with(claims, object{"x": strings.Repeat("x", 9000)})),
	}
	for name, text := range rows {
		if p, err := verify.ParseProof(text); !errors.Is(err, verify.ErrInvalidProof) || p != (verify.Proof{}) {
			t.Errorf("%s: %+v, %v, want ErrInvalidProof", name, p, err)
		}
	}
	if _, err := verify.ParseProof(good); err != nil {
		t.Errorf("the good one: %v", err)
	}
}

func TestProofFits(t *testing.T) {
	now := time.Unix(1700000000, 0)
	p := verify.Proof{Method: "POST", URI: "https://api.example/a%20b", IssuedAt: now}
	for name, row := range map[string]struct {
		method, uri string
		at          time.Time
		want        bool
	}{
		"exactly":          {"POST", "https://api.example/a%20b", now, true},
		"with a query":     {"POST", "https://api.example/a%20b?x=1#y", now, true},
		"with the port":    {"POST", "https://api.example:443/a%20b", now, true},
		"in capitals":      {"POST", "HTTPS://API.example/a%20b", now, true},
		"at its end":       {"POST", "https://api.example/a%20b", now.Add(90*time.Second - 1), true},
		"a little early":   {"POST", "https://api.example/a%20b", now.Add(-30 * time.Second), true},
		"another method":   {"GET", "https://api.example/a%20b", now, false},
		"small letters":    {"post", "https://api.example/a%20b", now, false},
		"another path":     {"POST", "https://api.example/a", now, false},
		"another host":     {"POST", "https://api.example.evil/a%20b", now, false},
		"another port":     {"POST", "https://api.example:8443/a%20b", now, false},
		"another scheme":   {"POST", "http://api.example/a%20b", now, false},
		"too late":         {"POST", "https://api.example/a%20b", now.Add(90 * time.Second), false},
		"too early":        {"POST", "https://api.example/a%20b", now.Add(-31 * time.Second), false},
		"broken":           {"POST", "://", now, false},
		"path in capitals": {"POST", "https://api.example/A%20b", now, false},
	} {
		if got := p.Fits(row.method, row.uri, row.at, 30*time.Second); got != row.want {
			t.Errorf("%s: %t, want %t", name, got, row.want)
		}
	}
	if (verify.Proof{Method: "GET", URI: "https://user@api.example", IssuedAt: now}).Fits("GET", "https://api.example/", now, 0) {
		t.Error("a URI with a user fits")
	}
	if !(verify.Proof{Method: "GET", URI: "https://api.example", IssuedAt: now}).Fits("GET", "https://api.example/", now, 0) {
		t.Error("a URI without a path does not fit the root")
	}
}

// TestBound: attack 21 at a resource server.
func TestBound(t *testing.T) {
	k, thief := newKey(t, "ES256"), newKey(t, "ES256")
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		v := i.verifier()
		bound := i.token(1, object{"cnf": object{"jkt": k.thumbprint(t)}})
		plain := i.token(1)
		wantBad(t, "a bound token as a bearer token", v, bound, verify.ProofRequired)
		proof := k.proof(t, bound)
		if token, err := v.VerifyBound(t.Context(), bound, proof, "GET", proofURI); err != nil || token.KeyThumbprint != k.thumbprint(t) {
			t.Fatalf("VerifyBound = %+v, %v", token, err)
		}
		for name, row := range map[string]struct{ token, proof string }{
			"the same proof again": {bound, proof},
			"a thief's key":        {bound, thief.proof(t, bound)},
			"of another token":     {bound, k.proof(t, plain)},
			"without a token":      {bound, k.proof(t, bound, object{"ath": nil})},
			"for another method":   {bound, k.proof(t, bound, object{"htm": "POST"})},
			"for another URI":      {bound, k.proof(t, bound, object{"htu": "https://api.example/other"})},
			"old":                  {bound, k.proof(t, bound, object{"iat": time.Now().Add(-91 * time.Second).Unix()})},
			"of the future":        {bound, k.proof(t, bound, object{"iat": time.Now().Add(32 * time.Second).Unix()})},
			"none":                 {bound, ""},
		} {
			if _, err := v.VerifyBound(t.Context(), row.token, row.proof, "GET", proofURI); !errors.Is(err, verify.ErrInvalidProof) {
				t.Errorf("%s: %v, want ErrInvalidProof", name, err)
			}
		}
		var refused *verify.InvalidTokenError
		if _, err := v.VerifyBound(t.Context(), plain, k.proof(t, plain), "GET", proofURI); !errors.As(err, &refused) || refused.Reason != verify.NotBound {
			t.Errorf("a bearer token with a proof: %v, want %s", err, verify.NotBound)
		}
		i.revoke(1)
		time.Sleep(time.Minute)
		if _, err := v.VerifyBound(t.Context(), bound, k.proof(t, bound), "GET", proofURI); !errors.As(err, &refused) || refused.Reason != verify.Revoked {
			t.Errorf("a revoked session: %v, want %s", err, verify.Revoked)
		}
	})
}

func TestBound_OverHTTP(t *testing.T) {
	k := newKey(t, "EdDSA")
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		v := i.verifier()
		bound := i.token(1, object{"cnf": object{"jkt": k.thumbprint(t)}})
		for name, row := range map[string]struct {
			headers   []string
			status    int
			challenge string
		}{
			"good":           {[]string{"Authorization", "DPoP " + bound, "DPoP", k.proof(t, bound)}, 204, ""},
			"small letters":  {[]string{"Authorization", "dpop " + bound, "DPoP", k.proof(t, bound, object{"jti": "2"})}, 204, ""},
			"as Bearer":      {[]string{"Authorization", "Bearer " + bound, "DPoP", k.proof(t, bound, object{"jti": "3"})}, 401, `DPoP algs="RS256 EdDSA ES256", realm=`},
			"without proof":  {[]string{"Authorization", "DPoP " + bound}, 401, `error="invalid_dpop_proof"`},
			"two proofs":     {[]string{"Authorization", "DPoP " + bound, "DPoP", k.proof(t, bound, object{"jti": "4"}), "DPoP", k.proof(t, bound, object{"jti": "5"})}, 401, `error="invalid_dpop_proof"`},
			"unbound token":  {[]string{"Authorization", "DPoP " + i.token(1), "DPoP", k.proof(t, i.token(1), object{"jti": "6"})}, 401, `error="invalid_token"`},
			"another target": {[]string{"Authorization", "DPoP " + bound, "DPoP", k.proof(t, bound, object{"jti": "7", "htu": "https://evil.example/"})}, 401, `error="invalid_dpop_proof"`},
		} {
			response := served(t, v, "/", row.headers, "read")
			if got := response.Header.Get("WWW-Authenticate"); response.StatusCode != row.status || !strings.Contains(got, row.challenge) || (got == "") != (row.challenge == "") {
				t.Errorf("%s = %d with %s", name, response.StatusCode, got)
			}
		}
		behind := i.verifier(func(o *verify.Options) { o.Origin = "https://gateway.example" })
		if response := served(t, behind, "/", []string{"Authorization", "DPoP " + bound, "DPoP", k.proof(t, bound, object{"htu": "https://gateway.example/"})}); response.StatusCode != http.StatusNoContent {
			t.Errorf("under another origin = %d", response.StatusCode)
		}
	})
}

// TestProofs_UsedOnce also by many at once, and bounded in what it remembers.
func TestProofs_UsedOnce(t *testing.T) {
	var proofs verify.Proofs
	now := time.Unix(1700000000, 0)
	p := verify.Proof{ID: "id", KeyThumbprint: "key", IssuedAt: now}
	var fresh atomic.Int32
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if proofs.Use(p, now, 0) {
				fresh.Add(1)
			}
		})
	}
	group.Wait()
	if fresh.Load() != 1 {
		t.Errorf("a proof was fresh %d times, want once", fresh.Load())
	}
	for _, later := range []time.Duration{30 * time.Second, 61 * time.Second, 100 * time.Second} {
		if proofs.Use(p, now.Add(later), 0) {
			t.Errorf("fresh again after %s", later)
		}
	}
	if !proofs.Use(verify.Proof{ID: "id", KeyThumbprint: "another"}, now, 0) {
		t.Error("the id of another key counts")
	}
}

// FuzzParseProof: what is read has a key, a method, a URI, an id and a time.
func FuzzParseProof(f *testing.F) {
	k := newKey(f, "ES256")
	f.Add(k.proof(f, "token"))
	f.Add("eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6Im5vbmUifQ.e30.")
	f.Add("..")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := verify.ParseProof(text)
		if err == nil && (p.KeyThumbprint == "" || p.Method == "" || p.URI == "" || p.ID == "" || p.IssuedAt.IsZero()) {
			t.Errorf("%q reads as %+v", text, p)
		}
		if err != nil && p != (verify.Proof{}) {
			t.Errorf("%q: %+v beside %v", text, p, err)
		}
	})
}
