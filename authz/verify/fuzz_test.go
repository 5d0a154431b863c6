package verify_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"chancery/authz/verify"
)

// FuzzVerify feeds tokens from strangers: every one is refused for a reason,
// unless it is one of those that are good.
func FuzzVerify(f *testing.F) {
	v := readVectors(f)
	good := map[string]bool{}
	for _, vector := range v.Valid {
		good[vector.Token] = true
		f.Add(vector.Token)
	}
	for _, vector := range v.Invalid {
		f.Add(vector.Token)
	}
	for _, vector := range v.Undecidable {
		good[vector.Token] = true // but for the list
		f.Add(vector.Token)
	}
	verifier := v.verifier(f)
	f.Fuzz(func(t *testing.T, token string) {
		_, err := verifier.Verify(t.Context(), token)
		var invalid *verify.InvalidTokenError
		if !good[token] && !errors.As(err, &invalid) {
			t.Errorf("Verify = %v, want it refused for a reason", err)
		}
	})
}

// FuzzPayload signs whatever comes: nothing that is accepted may mean something
// else to a parser that is less strict.
func FuzzPayload(f *testing.F) {
	k := newKey(f, "EdDSA")
	g := &generator{t: f}
	f.Add(encode(f, g.claims()))
	f.Add([]byte(`{"iss":"https://as.example","SUB":"a","sub":"b"}`))
	f.Add([]byte(`{"a":{"b":[1,2.5e-3,"\ud83d\ude00\u00e4",null,true]},"a":1}`))
	v := vectors{Issuer: vectorIssuer, Audience: vectorAudience, Now: vectorNow, Leeway: 30, StatusLists: map[string]string{}}
	v.JWKS.Keys = append(v.JWKS.Keys, k.jwk())
	verifier, err := verify.New(vectorIssuer, vectorAudience, verify.Options{
		Client: &http.Client{Transport: v}, Now: func() time.Time { return time.Unix(vectorNow, 0) }, Status: verify.StatusIfPresent, CacheSize: -1,
	})
	must(f, err)
	f.Fuzz(func(t *testing.T, payload []byte) {
		token, err := verifier.Verify(t.Context(), k.token(t, payload))
		if err != nil {
			return
		}
		var loose map[string]any
		if err := json.Unmarshal(payload, &loose); err != nil {
			t.Fatalf("a payload that is no JSON is accepted: %q", payload)
		}
		if loose["sub"] != token.Subject || loose["iss"] != vectorIssuer || loose["client_id"] != token.ClientID || loose["jti"] != token.ID ||
			loose["exp"] != float64(token.ExpiresAt.Unix()) {
			t.Errorf("%q is read as %+v", payload, token)
		}
	})
}

// FuzzList feeds what an issuer's address might answer in place of a list.
func FuzzList(f *testing.F) {
	stored := readVectors(f)
	for _, list := range stored.StatusLists {
		f.Add(list)
	}
	var token string
	for _, vector := range stored.Valid {
		if vector.Name == "EdDSA" {
			token = vector.Token
		}
	}
	good := map[string]bool{stored.StatusLists[vectorList]: true, stored.StatusLists[vectorIssuer+"/oauth/status-lists/othersub"]: true}
	f.Fuzz(func(t *testing.T, list string) {
		v := stored
		v.StatusLists = map[string]string{vectorList: list}
		if _, err := v.verifier(t).Verify(t.Context(), token); !good[list] && !errors.Is(err, verify.ErrUnavailable) {
			t.Errorf("Verify = %v, want ErrUnavailable", err)
		}
	})
}

// FuzzJWKS feeds what an issuer's address might answer in place of keys.
func FuzzJWKS(f *testing.F) {
	stored := readVectors(f)
	keys, err := json.Marshal(stored.JWKS)
	must(f, err)
	f.Add(string(keys))
	f.Add(`{"keys":[{"kty":"RSA","kid":"x","n":"AA","e":"AQAB"},{"kty":"OKP","crv":"Ed25519","kid":"y","x":""}]}`)
	f.Add(`{"keys":null}`)
	stranger := newKey(f, "EdDSA").token(f, (&generator{t: f}).claims())
	f.Fuzz(func(t *testing.T, keys string) {
		client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			body := `{"issuer":"` + vectorIssuer + `","jwks_uri":"` + vectorIssuer + `/keys"}`
			if r.URL.Path == "/keys" {
				body = keys
			}
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
		})}
		v, err := verify.New(vectorIssuer, vectorAudience, verify.Options{Client: client})
		must(t, err)
		if _, err := v.Verify(t.Context(), stranger); err == nil {
			t.Error("a token of a key that is not published is accepted")
		}
	})
}

type roundTrip func(r *http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
