package web_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"chancery/authz"
	"chancery/authz/authztest"
	"chancery/keys"
	"chancery/keys/keystest"
)

// pristine is a key set as a first start makes it. It is made once and copied:
// RSA keys are slow to make.
var pristine = sync.OnceValues(func() (keys.Set, error) {
	master, err := keys.ParseMasterKeys(strings.Repeat("A", 43)) // that of newServer
	if err != nil {
		return keys.Set{}, err
	}
	sealer, err := keys.NewSealer(master)
	if err != nil {
		return keys.Set{}, err
	}
	now := func() time.Time { return authztest.T0 }
	rotator := &keys.Rotator{
		Store: &keystest.Memory{}, Sealer: sealer, Ring: keys.NewRing(now, time.Hour), Now: now,
		Policy: func(context.Context) (keys.Policy, error) {
			return keys.Policy{RotationPeriod: 720 * time.Hour, PublishAhead: 24 * time.Hour, Margin: 11 * time.Minute, MaxTokenTTL: 15 * time.Minute}, nil
		},
	}
	if err := rotator.Tick(context.Background()); err != nil {
		return keys.Set{}, err
	}
	return rotator.Keys(context.Background())
})

// ownKeys gives the servers one key set of their own, so that a test may let
// keys age without changing what other tests see.
func ownKeys(t *testing.T, servers ...*server) *keystest.Memory {
	t.Helper()
	set, err := pristine()
	must(t, err)
	store := &keystest.Memory{}
	must(t, store.SaveKeys(t.Context(), set, 0, nil))
	for _, s := range servers {
		s.rotator.Store = store
		must(t, s.rotator.Tick(t.Context()))
	}
	return store
}

// jwks returns the published keys as they are on the wire.
func jwks(t *testing.T, s *server) []map[string]any {
	t.Helper()
	a := s.get(jwksURL)
	wantAnswer(t, a, http.StatusOK, "")
	var document struct{ Keys []map[string]any }
	must(t, json.Unmarshal([]byte(a.body), &document))
	if len(document.Keys) == 0 {
		t.Fatalf("JWKS = %s, want keys", a.body)
	}
	return document.Keys
}

// kids returns the kid of every published key with the algorithm.
func kids(t *testing.T, s *server, algorithm string) []string {
	t.Helper()
	var ids []string
	for _, key := range jwks(t, s) {
		if key["alg"] == algorithm {
			ids = append(ids, key["kid"].(string))
		}
	}
	return ids
}

// unbase64 decodes unpadded base64url and nothing else.
func unbase64(t *testing.T, text any) []byte {
	t.Helper()
	encoded, _ := text.(string)
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || len(decoded) == 0 {
		t.Fatalf("%v is not unpadded base64url: %v", text, err)
	}
	return decoded
}

// header returns the protected header of a JWS.
func header(t *testing.T, token string) map[string]any {
	t.Helper()
	var decoded map[string]any
	must(t, json.Unmarshal(unbase64(t, strings.Split(token, ".")[0]), &decoded))
	return decoded
}

// machineToken returns an access token of robot for the resource.
func machineToken(t *testing.T, s *server, resource string) string {
	t.Helper()
	a := s.as("robot", tokenURL, "grant_type", "client_credentials", "resource", resource)
	wantAnswer(t, a, http.StatusOK, "")
	return a.str("access_token")
}

// signer returns the kid that signs tokens for the RS256 resource now.
func signer(t *testing.T, s *server) string {
	t.Helper()
	kid, _ := header(t, machineToken(t, s, apiURI))["kid"].(string)
	return kid
}

func TestJW01_Answer(t *testing.T) {
	s := newServer(t)
	a := s.get(jwksURL)
	wantAnswer(t, a, http.StatusOK, "")
	wantHeader(t, a, "Content-Type", "application/jwk-set+json")
	wantDocumentHeaders(t, s, a, jwksURL)
	s.store.SetDown(authz.ErrUnavailable)
	if down := s.get(jwksURL); down.StatusCode != http.StatusOK || down.body != a.body {
		t.Errorf("while the database is down: %d %s, want 200 %s", down.StatusCode, down.body, a.body)
	}
}

// The walk goes through everything, so that a private member cannot hide in a
// place that nobody thought of (attack 37).
func TestJW02_PublicMembersOnly(t *testing.T) {
	s := newServer(t)
	ownKeys(t, s)
	_, err := s.rotator.Rotate(t.Context(), keys.RS256, keys.Actor{ID: "cli"}) // a pending key too
	must(t, err)
	allowed := map[string][]string{
		"RSA": {"alg", "e", "kid", "kty", "n", "use"}, "OKP": {"alg", "crv", "kid", "kty", "use", "x"}, "EC": {"alg", "crv", "kid", "kty", "use", "x", "y"},
	}
	for _, key := range jwks(t, s) {
		kty, _ := key["kty"].(string)
		for name, value := range key {
			if _, isText := value.(string); !isText || !slices.Contains(allowed[kty], name) {
				t.Errorf("%s key has %s = %v, want only %q", kty, name, value, allowed[kty])
			}
		}
	}
	var document map[string]any
	must(t, json.Unmarshal([]byte(s.get(jwksURL).body), &document))
	if len(document) != 1 {
		t.Errorf("the set has the members %v, want keys alone", document)
	}
}

func TestJW03_KeyMembers(t *testing.T) {
	s := newServer(t)
	seen := map[string]bool{}
	for _, key := range jwks(t, s) {
		canonical := map[string]string{}
		for _, name := range map[string][]string{"RSA": {"e", "kty", "n"}, "OKP": {"crv", "kty", "x"}, "EC": {"crv", "kty", "x", "y"}}[key["kty"].(string)] {
			canonical[name], _ = key[name].(string)
			if name != "kty" && name != "crv" {
				unbase64(t, key[name])
			}
		}
		// Maps are encoded in the order that RFC 7638 asks for.
		encoded, err := json.Marshal(canonical)
		must(t, err)
		sum := sha256.Sum256(encoded)
		kid, _ := key["kid"].(string)
		if want := base64.RawURLEncoding.EncodeToString(sum[:]); kid != want || seen[kid] {
			t.Errorf("kid = %q, want the thumbprint %q, once", kid, want)
		}
		seen[kid] = true
		if key["use"] != "sig" {
			t.Errorf("use = %v, want sig", key["use"])
		}
		if key["kty"] == "RSA" {
			if bits := new(big.Int).SetBytes(unbase64(t, key["n"])).BitLen(); bits < 2048 {
				t.Errorf("RSA key of %d bits, want at least 2048", bits)
			}
		}
	}
}

// verified checks a token as a stranger with nothing but the JWKS and the
// standard library would, and returns the header's alg.
func verified(t *testing.T, s *server, token string) string {
	t.Helper()
	cut := strings.LastIndex(token, ".")
	signature, head := unbase64(t, token[cut+1:]), header(t, token)
	digest := sha256.Sum256([]byte(token[:cut]))
	for _, key := range jwks(t, s) {
		if key["kid"] != head["kid"] {
			continue
		}
		if key["alg"] != head["alg"] {
			t.Errorf("alg of the key = %v, of the token %v", key["alg"], head["alg"])
		}
		ok := false
		switch key["kty"] {
		case "RSA":
			public := &rsa.PublicKey{N: new(big.Int).SetBytes(unbase64(t, key["n"])), E: int(new(big.Int).SetBytes(unbase64(t, key["e"])).Int64())}
			ok = key["alg"] == "RS256" && rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature) == nil
		case "OKP":
			ok = key["crv"] == "Ed25519" && key["alg"] == "EdDSA" && ed25519.Verify(unbase64(t, key["x"]), []byte(token[:cut]), signature)
		case "EC":
			public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, unbase64(t, key["x"]), unbase64(t, key["y"])))
			must(t, err)
			half := len(signature) / 2
			r, ss := new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])
			ok = key["crv"] == "P-256" && key["alg"] == "ES256" && len(signature) == 64 && ecdsa.Verify(public, digest[:], r, ss)
		}
		if !ok {
			t.Errorf("signature by %v does not verify", key)
		}
		return head["alg"].(string)
	}
	t.Fatalf("kid %v is not published", head["kid"])
	return ""
}

func TestJW04_OneKeyOneAlgorithm(t *testing.T) {
	s := newServer(t)
	const ecURI = "https://ec.example"
	must(t, s.store.InsertResource(t.Context(), authz.Resource{URI: ecURI, Algorithm: "ES256", Scopes: []authz.ResourceScope{{Name: "ec"}}}, authztest.AnyEvent()))
	s.service.Registry.Invalidate()
	s.updateClient("robot", func(c *authz.Client) { c.Resources, c.Scope = append(c.Resources, ecURI), append(c.Scope, "ec") })
	used := map[string]bool{}
	for resource, want := range map[string]string{apiURI: "RS256", otherURI: "EdDSA", ecURI: "ES256"} {
		token := machineToken(t, s, resource)
		if got := verified(t, s, token); got != want {
			t.Errorf("alg of a token for %s = %s, want %s", resource, got, want)
		}
		head := header(t, token)
		if kid := head["kid"].(string); used[kid] {
			t.Errorf("key %s signs with two algorithms", kid)
		} else {
			used[kid] = true
		}
		if len(head) != 3 || head["typ"] != "at+jwt" {
			t.Errorf("header = %v, want alg, kid and typ at+jwt alone", head)
		}
	}
}

// travel brings the server to the time since the first start, and lets it look
// after its keys as it does every minute.
func travel(t *testing.T, s *server, since time.Duration) {
	t.Helper()
	s.clock.Add(authztest.T0.Add(since).Sub(s.clock.Now()))
	must(t, s.rotator.Tick(t.Context()))
}

// The policy of these servers: 720 h of signing, published 24 h ahead and, once
// retired, for the 15 min of tokens and 11 min of leeway and max-age.
func TestJW05_PublishedBeforeAndAfterSigning(t *testing.T) {
	s := newServer(t)
	ownKeys(t, s)
	old := signer(t, s)
	var last string
	for _, row := range []struct {
		at        time.Duration
		published int
		old       bool // signs, and is published
		stays     bool
	}{
		{at: 0, published: 1, old: true, stays: true},
		{at: 696*time.Hour - time.Second, published: 1, old: true, stays: true},
		{at: 696 * time.Hour, published: 2, old: true, stays: true},
		{at: 720*time.Hour - time.Second, published: 2, old: true, stays: true},
		{at: 720 * time.Hour, published: 2, stays: true},
		{at: 720*time.Hour + 26*time.Minute - time.Second, published: 2, stays: true},
		{at: 720*time.Hour + 26*time.Minute, published: 1},
	} {
		travel(t, s, row.at)
		published, signing := kids(t, s, "RS256"), signer(t, s)
		if len(published) != row.published || slices.Contains(published, old) != row.stays || (signing == old) != row.old {
			t.Errorf("at %s: published %q, %q signs; want %d keys, the first (%q) among them: %t, signing: %t",
				row.at, published, signing, row.published, old, row.stays, row.old)
		}
		if row.old {
			last = machineToken(t, s, apiURI)
		} else if row.stays {
			verified(t, s, last) // the last token of the old key, to its end
		}
	}
}

// A node that no longer knows the schedule stops signing: another key may have
// taken over (DESIGN section 3). The keys that it knows stay published.
func TestJW06_StaleScheduleStopsSigning(t *testing.T) {
	s := newServer(t)
	ownKeys(t, s)
	refresh := s.login("app").str("refresh_token")
	before := s.get(jwksURL).body
	s.clock.Add(24*time.Hour + time.Second)
	for _, a := range []answer{s.as("robot", tokenURL, goodForm(tokenURL)...), s.refresh("app", refresh)} {
		wantAnswer(t, a, http.StatusServiceUnavailable, "temporarily_unavailable")
		if a.Header.Get("Retry-After") == "" {
			t.Error("Retry-After is missing")
		}
	}
	if got := s.get(jwksURL).body; got != before {
		t.Errorf("JWKS = %s, want it unchanged: %s", got, before)
	}
	must(t, s.rotator.Tick(t.Context()))
	// Nothing is lost: the retry gets the successor (DESIGN section 6).
	wantAnswer(t, s.refresh("app", refresh), http.StatusOK, "")
}

func TestJW06_NodesPublishTheSame(t *testing.T) {
	one, two := newServer(t), newServer(t)
	ownKeys(t, one, two)
	_, err := one.rotator.Rotate(t.Context(), keys.EdDSA, keys.Actor{ID: "cli"})
	must(t, err)
	must(t, two.rotator.Tick(t.Context()))
	first, second := one.get(jwksURL), two.get(jwksURL)
	if first.body != second.body || first.Header.Get("ETag") != second.Header.Get("ETag") {
		t.Errorf("nodes publish %s and %s, want the same", first.body, second.body)
	}
	if got := kids(t, one, "EdDSA"); len(got) != 2 {
		t.Errorf("published = %q, want the signing and the pending key", got)
	}
	verified(t, two, machineToken(t, one, otherURI))
	verified(t, one, machineToken(t, two, otherURI))
}

func TestJW07_CompromisedKeyVanishes(t *testing.T) {
	s := newServer(t)
	ownKeys(t, s)
	token, before := machineToken(t, s, apiURI), s.get(jwksURL)
	bad := signer(t, s)
	active := func() any { return s.as("api", introspectURL, "token", token).json["active"] }
	if active() != true {
		t.Fatalf("active = %v before the compromise, want true", active())
	}
	_, err := s.rotator.Compromise(t.Context(), bad, keys.Actor{ID: "cli"})
	must(t, err)
	if got := kids(t, s, "RS256"); slices.Contains(got, bad) || len(got) != 1 {
		t.Errorf("published = %q, want one key that is not %q", got, bad)
	}
	if got := signer(t, s); got == bad {
		t.Errorf("%q still signs", got)
	}
	verified(t, s, machineToken(t, s, apiURI))
	if got := active(); got != false {
		t.Errorf("active of the old token = %v, want false", got)
	}
	// A cache that asks with the old tag must get the new set.
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, jwksURL, nil)
	r.Header.Set("If-None-Match", before.Header.Get("ETag"))
	wantAnswer(t, s.do(r), http.StatusOK, "")
}

func TestJW08_SealedKeysStayInside(t *testing.T) {
	s := newServer(t)
	set, err := ownKeys(t, s).LoadKeys(t.Context())
	must(t, err)
	var said strings.Builder
	for _, path := range []string{jwksURL, metadataURL, openidURL, "/healthz", "/readyz", "/version"} {
		said.WriteString(s.get(path).body)
	}
	said.WriteString(machineToken(t, s, apiURI))
	said.WriteString(s.log.String())
	for _, key := range set.Keys {
		if len(key.Sealed) == 0 {
			t.Fatalf("key %s has no sealed half", key.ID)
		}
		if strings.Contains(said.String(), key.Sealed) {
			t.Errorf("an answer or the log holds the sealed half of %s", key.ID)
		}
	}
}
