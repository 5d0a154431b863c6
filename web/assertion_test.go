package web_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chancery/authz"

	"github.com/go-jose/go-jose/v4"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// signing is a client that proves itself by a key.
type signing struct {
	*server
	id  string
	key *ecdsa.PrivateKey
	kid string
	// n counts the assertions.
	n atomic.Int32
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

// keySetOf returns the set of a key's public half.
func keySetOf(t testing.TB, key *ecdsa.PrivateKey, kid string) string {
	t.Helper()
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: kid, Use: "sig"}}})
	must(t, err)
	return string(set)
}

func newSigning(t testing.TB, edit func(*authz.Client)) *signing {
	t.Helper()
	c := &signing{server: newServer(t), id: "signer", key: newKey(t), kid: "k1"}
	client := authz.Client{
		ID: "signer", AuthMethod: authz.AuthPrivateKeyJWT, JWKS: keySetOf(t, c.key, "k1"), GrantTypes: []string{authz.GrantClientCredentials},
		Scope: authz.Scope{"read"}, Resources: []string{apiURI}, Introspect: true,
	}
	if edit != nil {
		edit(&client)
	}
	_, secret, err := c.clients.Create(t.Context(), client)
	if must(t, err); secret != "" {
		t.Error("a client with keys got a secret")
	}
	c.service.Registry.Invalidate()
	return c
}

// assertion returns what the client signs, with changes of the claims.
func (c *signing) assertion(typ string, changes map[string]any) string {
	c.t.Helper()
	now := c.clock.Now().Unix()
	claims := map[string]any{"iss": c.id, "sub": c.id, "aud": issuer, "exp": now + 60, "iat": now, "jti": "id-" + string('A'+c.n.Add(1))}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	payload, err := json.Marshal(claims)
	must(c.t, err)
	options := (&jose.SignerOptions{}).WithHeader("kid", c.kid)
	if typ != "" {
		options = options.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: c.key}, options)
	must(c.t, err)
	object, err := signer.Sign(payload)
	must(c.t, err)
	token, err := object.CompactSerialize()
	must(c.t, err)
	return token
}

func (c *signing) ask(assertion string, pairs ...string) answer {
	c.t.Helper()
	return c.post(tokenURL, append([]string{"grant_type", "client_credentials", "client_assertion_type", assertionType, "client_assertion", assertion}, pairs...)...)
}

func TestCA12_Accepted(t *testing.T) {
	c := newSigning(t, nil)
	for name, assertion := range map[string]string{
		"plain": c.assertion("", nil), "JWT": c.assertion("JWT", nil), "explicit type": c.assertion("client-authentication+jwt", nil),
		"without iat": c.assertion("", map[string]any{"iat": nil}), "five minutes": c.assertion("", map[string]any{"exp": c.clock.Now().Unix() + 300}),
		"a clock that is a little ahead": c.assertion("", map[string]any{"iat": c.clock.Now().Unix() + 20, "nbf": c.clock.Now().Unix() + 20}),
	} {
		a := c.ask(assertion)
		if a.StatusCode != http.StatusOK || c.claims(a.str("access_token"))["client_id"] != "signer" {
			t.Errorf("%s = %d %s", name, a.StatusCode, a.body)
		}
	}
	wantAnswer(t, c.ask(c.assertion("", nil), "client_id", "signer"), http.StatusOK, "")
	for _, path := range []string{introspectURL, revokeURL} {
		wantAnswer(t, c.post(path, "client_assertion_type", assertionType, "client_assertion", c.assertion("", nil), "token", "x"), http.StatusOK, "")
	}
}

func TestCA12_Refused(t *testing.T) {
	c := newSigning(t, nil)
	now := c.clock.Now().Unix()
	for name, changes := range map[string]map[string]any{
		"another issuer":       {"iss": "robot"},
		"another subject":      {"sub": "robot"},
		"no issuer":            {"iss": nil},
		"token endpoint":       {"aud": issuer + tokenURL},
		"audience as a list":   {"aud": []string{issuer}},
		"another audience":     {"aud": "https://other.example"},
		"audience with slash":  {"aud": issuer + "/"},
		"no audience":          {"aud": nil},
		"expired":              {"exp": now - 31},
		"far ahead":            {"exp": now + 400},
		"no expiry":            {"exp": nil},
		"expiry as text":       {"exp": "9999999999"},
		"of the future":        {"iat": now + 60},
		"not yet":              {"nbf": now + 60},
		"no id":                {"jti": nil},
		"long id":              {"jti": strings.Repeat("x", 300)},
		"id that is no string": {"jti": 7},
	} {
		wantUnproven(t, name, c.ask(c.assertion("", changes), "client_id", "signer"))
	}
	for _, typ := range []string{"at+jwt", "dpop+jwt", "logout+jwt"} {
		wantUnproven(t, typ, c.ask(c.assertion(typ, nil)))
	}
	good := c.assertion("", nil)
	parts := strings.Split(good, ".")
	for name, token := range map[string]string{"no token": "x", "no signature": parts[0] + "." + parts[1] + ".", "none": "eyJhbGciOiJub25lIn0." + parts[1] + ".", "too long": strings.Repeat("a", 20_000)} {
		wantUnproven(t, name, c.ask(token, "client_id", "signer"))
	}
	wantUnproven(t, "another client", c.ask(good, "client_id", "robot"))
	wantUnproven(t, "a client that has a secret", c.ask(c.assertion("", map[string]any{"iss": "robot", "sub": "robot"})))
	wantUnproven(t, "an unknown client", c.ask(c.assertion("", map[string]any{"iss": "nobody", "sub": "nobody"})))
	wantUnproven(t, "without an assertion", c.post(tokenURL, "grant_type", "client_credentials", "client_id", "signer"))
	wantUnproven(t, "with a secret", c.post(tokenURL, "grant_type", "client_credentials", "client_id", "signer", "client_secret", "x"))
	wantAnswer(t, c.post(tokenURL, "grant_type", "client_credentials", "client_assertion", good), http.StatusBadRequest, "invalid_request")
	wantAnswer(t, c.post(tokenURL, "grant_type", "client_credentials", "client_assertion", good, "client_assertion_type", "x"), http.StatusBadRequest, "invalid_request")
	wantAnswer(t, c.ask(good, "client_secret", "x"), http.StatusBadRequest, "invalid_request")
	wantAnswer(t, c.ask(good), http.StatusOK, "") // none of these has used it up
	key := c.key
	c.key = newKey(t)
	wantUnproven(t, "another key", c.ask(c.assertion("", nil)))
	c.key, c.kid = key, "k2"
	wantUnproven(t, "another key id", c.ask(c.assertion("", nil)))
}

func wantUnproven(t *testing.T, name string, a answer) {
	t.Helper()
	if a.StatusCode != http.StatusUnauthorized || a.str("error") != "invalid_client" {
		t.Errorf("%s = %d %s, want 401 invalid_client", name, a.StatusCode, a.body)
	}
}

func TestCA12_UsedOnce(t *testing.T) {
	c := newSigning(t, nil)
	assertion := c.assertion("", nil)
	var good atomic.Int32
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			if c.ask(assertion).StatusCode == http.StatusOK {
				good.Add(1)
			}
		})
	}
	group.Wait()
	if good.Load() != 1 {
		t.Errorf("an assertion was taken %d times, want once", good.Load())
	}
	c.clock.Add(50 * time.Second)
	wantUnproven(t, "later", c.ask(assertion))
}

// TestCA12_KeysAtAnAddress: a client may change its keys at any time.
func TestCA12_KeysAtAnAddress(t *testing.T) {
	const uri = "https://signer.example/jwks.json"
	c := newSigning(t, func(client *authz.Client) { client.JWKS, client.JWKSURI = "", uri })
	wantUnproven(t, "nothing published", c.ask(c.assertion("", nil)))
	c.published[uri] = keySetOf(t, c.key, "k1")
	wantAnswer(t, c.ask(c.assertion("", nil)), http.StatusOK, "")
	c.fetches = nil
	wantAnswer(t, c.ask(c.assertion("", nil)), http.StatusOK, "")
	if len(c.fetches) != 1 || c.fetches[0] {
		t.Errorf("fetches = %v, want the copy alone", c.fetches)
	}
	c.key, c.kid = newKey(t), "k2"
	c.published[uri] = keySetOf(t, c.key, "k2")
	wantAnswer(t, c.ask(c.assertion("", nil)), http.StatusOK, "")
}

func TestCA12_Registration(t *testing.T) {
	s := newServer(t)
	key := newKey(t)
	good := keySetOf(t, key, "k1")
	private, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key, KeyID: "k1"}}})
	must(t, err)
	for name, client := range map[string]authz.Client{
		"no keys":          {AuthMethod: authz.AuthPrivateKeyJWT},
		"both":             {AuthMethod: authz.AuthPrivateKeyJWT, JWKS: good, JWKSURI: "https://a.example/jwks"},
		"private keys":     {AuthMethod: authz.AuthPrivateKeyJWT, JWKS: string(private)},
		"symmetric keys":   {AuthMethod: authz.AuthPrivateKeyJWT, JWKS: `{"keys":[{"kty":"oct","k":"AAAA"}]}`},
		"an empty set":     {AuthMethod: authz.AuthPrivateKeyJWT, JWKS: `{"keys":[]}`},
		"no set":           {AuthMethod: authz.AuthPrivateKeyJWT, JWKS: "x"},
		"http":             {AuthMethod: authz.AuthPrivateKeyJWT, JWKSURI: "http://a.example/jwks"},
		"keys and secret":  {AuthMethod: authz.AuthBasic, JWKS: good},
		"keys of a public": {AuthMethod: authz.AuthNone, JWKSURI: "https://a.example/jwks"},
	} {
		client.ID = "fresh"
		if _, _, err := s.clients.Create(t.Context(), client); authz.CodeOf(err) != authz.InvalidInput {
			t.Errorf("%s: error = %v, want invalid_input", name, err)
		}
	}
	_, err = s.clients.Update(t.Context(), "robot", func(c *authz.Client) error {
		c.AuthMethod, c.JWKS = authz.AuthPrivateKeyJWT, good
		return nil
	})
	if authz.CodeOf(err) != authz.InvalidInput {
		t.Errorf("a client with a secret becomes one with keys: %v", err)
	}
}
