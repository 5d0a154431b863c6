package web_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"chancery/authz"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

// holder is a client that holds a key.
type holder struct {
	*server
	key *ecdsa.PrivateKey
	n   *atomic.Int32
}

func newHolder(s *server) holder { return holder{server: s, key: newKey(s.t), n: &atomic.Int32{}} }

func (h holder) thumbprint() string {
	h.t.Helper()
	jwk := jose.JSONWebKey{Key: h.key.Public()}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	must(h.t, err)
	return base64.RawURLEncoding.EncodeToString(sum)
}

// proof signs a proof for a request, with changes of its claims.
func (h holder) proof(method, path, token string, changes map[string]any) string {
	h.t.Helper()
	claims := map[string]any{"htm": method, "htu": issuer + path, "jti": fmt.Sprint("proof ", h.n.Add(1)), "iat": h.clock.Now().Unix()}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	maps.Copy(claims, changes)
	payload, err := json.Marshal(claims)
	must(h.t, err)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: h.key}, (&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt"))
	must(h.t, err)
	object, err := signer.Sign(payload)
	must(h.t, err)
	text, err := object.CompactSerialize()
	must(h.t, err)
	return text
}

// ask sends a form to the token endpoint with a proof.
func (h holder) ask(clientID string, pairs ...string) answer {
	h.t.Helper()
	return h.send(clientID, tokenURL, h.proof("POST", tokenURL, "", nil), pairs...)
}

func (h holder) send(clientID, path, proof string, pairs ...string) answer {
	h.t.Helper()
	if h.secrets[clientID] == "" {
		pairs = append(pairs, "client_id", clientID)
	}
	r := h.form(path, pairs...)
	if secret := h.secrets[clientID]; secret != "" {
		r.SetBasicAuth(clientID, secret.Reveal())
	}
	if proof != "" {
		r.Header.Set("DPoP", proof)
	}
	return h.do(r)
}

func (h holder) login(clientID string, pairs ...string) answer {
	h.t.Helper()
	a := h.ask(clientID, append([]string{"grant_type", "password", "username", username, "password", secretPW}, pairs...)...)
	if a.StatusCode != http.StatusOK {
		h.t.Fatalf("login: %d %s", a.StatusCode, a.body)
	}
	return a
}

func (h holder) wantBound(what string, a answer) {
	h.t.Helper()
	cnf, _ := h.claims(a.str("access_token"))["cnf"].(map[string]any)
	if a.StatusCode != http.StatusOK || a.str("token_type") != "DPoP" || cnf["jkt"] != h.thumbprint() {
		h.t.Errorf("%s = %d %s, bound to %v", what, a.StatusCode, a.body, cnf)
	}
}

func TestDPoP_Grants(t *testing.T) {
	s := browserServer(t)
	h := newHolder(s)
	login := h.login("app")
	h.wantBound("password", login)
	h.wantBound("refresh", h.ask("app", "grant_type", "refresh_token", "refresh_token", login.str("refresh_token")))
	h.wantBound("client credentials", h.ask("robot", "grant_type", "client_credentials"))
	b := newBrowser(s)
	h.wantBound("code", h.ask("site", "grant_type", "authorization_code", "code", b.code("site"), "code_verifier", verifier))
	if a := s.login("app"); a.str("token_type") != "Bearer" || s.claims(a.str("access_token"))["cnf"] != nil {
		t.Errorf("without a proof = %s", a.body)
	}
}

// TestDPoP_RefreshIsBound: attack 21. A public client has nothing but its key.
func TestDPoP_RefreshIsBound(t *testing.T) {
	s := newServer(t)
	h, thief := newHolder(s), newHolder(s)
	token := h.login("app").str("refresh_token")
	for name, a := range map[string]answer{
		"without a proof":   s.refresh("app", token),
		"with another key":  thief.ask("app", "grant_type", "refresh_token", "refresh_token", token),
		"and another scope": thief.ask("app", "grant_type", "refresh_token", "refresh_token", token, "scope", "read"),
	} {
		if a.StatusCode != http.StatusBadRequest || a.str("error") != "invalid_dpop_proof" {
			t.Errorf("%s = %d %s", name, a.StatusCode, a.body)
		}
	}
	next := h.ask("app", "grant_type", "refresh_token", "refresh_token", token)
	h.wantBound("with the key", next)
	// Also for what is only repeated.
	wantAnswer(t, s.refresh("app", token), http.StatusBadRequest, "invalid_dpop_proof")
	again := h.ask("app", "grant_type", "refresh_token", "refresh_token", token)
	h.wantBound("repeated", again)
	if again.str("refresh_token") != next.str("refresh_token") {
		t.Error("the repeated answer has another refresh token")
	}
	// A client that proves itself may come with another key, or none.
	confidential := h.login("web").str("refresh_token")
	second := thief.ask("web", "grant_type", "refresh_token", "refresh_token", confidential)
	thief.wantBound("another key of a confidential client", second)
	if third := s.refresh("web", second.str("refresh_token")); third.str("token_type") != "Bearer" {
		t.Errorf("a confidential client without a key = %d %s", third.StatusCode, third.body)
	}
}

func TestDPoP_ProofsRefused(t *testing.T) {
	s := newServer(t)
	h := newHolder(s)
	used := h.proof("POST", tokenURL, "", nil)
	wantAnswer(t, h.send("robot", tokenURL, used, "grant_type", "client_credentials"), http.StatusOK, "")
	now := s.clock.Now().Unix()
	for name, proof := range map[string]string{
		"used":           used,
		"no proof":       "x",
		"another method": h.proof("GET", tokenURL, "", nil),
		"another path":   h.proof("POST", revokeURL, "", nil),
		"another host":   h.proof("POST", tokenURL, "", map[string]any{"htu": "https://evil.example" + tokenURL}),
		"old":            h.proof("POST", tokenURL, "", map[string]any{"iat": now - 61}),
		"of the future":  h.proof("POST", tokenURL, "", map[string]any{"iat": now + 1}),
	} {
		a := h.send("robot", tokenURL, proof, "grant_type", "client_credentials")
		if a.StatusCode != http.StatusBadRequest || a.str("error") != "invalid_dpop_proof" {
			t.Errorf("%s = %d %s", name, a.StatusCode, a.body)
		}
	}
	r := s.form(tokenURL, "grant_type", "client_credentials", "client_id", "robot", "client_secret", s.secrets["robot"].Reveal())
	r.Header.Add("DPoP", h.proof("POST", tokenURL, "", nil))
	r.Header.Add("DPoP", h.proof("POST", tokenURL, "", nil))
	wantAnswer(t, s.do(r), http.StatusBadRequest, "invalid_dpop_proof")
	// The client is proven first: nothing of a proof is told to a stranger.
	wantAnswer(t, h.send("nobody", tokenURL, "x", "grant_type", "client_credentials"), http.StatusUnauthorized, "invalid_client")
}

func TestDPoP_BoundClient(t *testing.T) {
	s := newServer(t)
	s.updateClient("robot", func(c *authz.Client) { c.DPoPBound = true })
	wantAnswer(t, s.as("robot", tokenURL, "grant_type", "client_credentials"), http.StatusBadRequest, "invalid_dpop_proof")
	h := newHolder(s)
	h.wantBound("with a proof", h.ask("robot", "grant_type", "client_credentials"))
}

// TestDPoP_BoundCode: a code goes to who holds the key alone (RFC 9449 section
// 10).
func TestDPoP_BoundCode(t *testing.T) {
	s := browserServer(t)
	b, h, thief := newBrowser(s), newHolder(s), newHolder(s)
	exchange := func(who holder, code string) answer {
		return who.ask("phone", "grant_type", "authorization_code", "code", code, "code_verifier", verifier)
	}
	code := b.code("phone", "dpop_jkt", h.thumbprint())
	wantAnswer(t, b.exchange("phone", code), http.StatusBadRequest, "invalid_dpop_proof")
	wantAnswer(t, exchange(thief, code), http.StatusBadRequest, "invalid_dpop_proof")
	h.wantBound("the holder", exchange(h, code))
	if got := b.answered(b.open(authorizeURL("phone", "dpop_jkt", "x")), "https://phone.example/callback").Get("error"); got != "invalid_request" {
		t.Errorf("a thumbprint that is none: %q", got)
	}

	pairs := []string{"response_type", "code", "redirect_uri", "https://phone.example/callback", "code_challenge", challengeOf(verifier), "code_challenge_method", "S256", "scope", "openid"}
	pushed := h.send("phone", "/oauth/par", h.proof("POST", "/oauth/par", "", nil), pairs...)
	values := b.answered(b.open("/oauth/authorize?client_id=phone&request_uri="+pushed.str("request_uri")), "https://phone.example/callback")
	wantAnswer(t, exchange(thief, values.Get("code")), http.StatusBadRequest, "invalid_dpop_proof")
	h.wantBound("the holder who pushed it", exchange(h, values.Get("code")))
	other := h.send("phone", "/oauth/par", h.proof("POST", "/oauth/par", "", nil), append(pairs, "dpop_jkt", thief.thumbprint())...)
	wantAnswer(t, other, http.StatusBadRequest, "invalid_dpop_proof")
	wantAnswer(t, h.send("phone", "/oauth/par", "x", pairs...), http.StatusBadRequest, "invalid_dpop_proof")
}

// TestDPoP_OwnAPIs: our own resources take a bound token with its proof alone.
func TestDPoP_OwnAPIs(t *testing.T) {
	s := browserServer(t)
	h, thief := newHolder(s), newHolder(s)
	bound := h.login("app", "scope", "account").str("access_token")
	plain := s.login("app", "scope", "account").str("access_token")
	ask := func(scheme, token, proof string) answer {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/account/me", nil)
		r.Header.Set("Authorization", scheme+" "+token)
		if proof != "" {
			r.Header.Set("DPoP", proof)
		}
		return s.do(r)
	}
	wantAnswer(t, ask("DPoP", bound, h.proof("GET", "/account/me", bound, nil)), http.StatusOK, "")
	wantAnswer(t, ask("Bearer", plain, ""), http.StatusOK, "")
	for name, a := range map[string]answer{
		"bound as bearer":       ask("Bearer", bound, ""),
		"bound without proof":   ask("DPoP", bound, ""),
		"proof of another":      ask("DPoP", bound, thief.proof("GET", "/account/me", bound, nil)),
		"proof of other token":  ask("DPoP", bound, h.proof("GET", "/account/me", plain, nil)),
		"proof without token":   ask("DPoP", bound, h.proof("GET", "/account/me", "", nil)),
		"proof for other path":  ask("DPoP", bound, h.proof("GET", "/account/sessions", bound, nil)),
		"bearer token as bound": ask("DPoP", plain, h.proof("GET", "/account/me", plain, nil)),
	} {
		want := "DPoP realm="
		if name == "bound as bearer" {
			want = "Bearer realm="
		}
		if a.StatusCode != http.StatusUnauthorized || a.json["code"] != "invalid_token" || !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), want) {
			t.Errorf("%s = %d %s with %s", name, a.StatusCode, a.body, a.Header.Get("WWW-Authenticate"))
		}
	}
	b := newBrowser(s)
	token := h.ask("site", "grant_type", "authorization_code", "code", b.code("site"), "code_verifier", verifier).str("access_token")
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, userInfoURL, nil)
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", h.proof("GET", userInfoURL, token, nil))
	wantAnswer(t, s.do(r), http.StatusOK, "")
	wantAnswer(t, s.userInfo(token), http.StatusUnauthorized, "invalid_token")
	wantAnswer(t, s.post(userInfoURL, "access_token", token), http.StatusUnauthorized, "invalid_token")
}

func TestDPoP_Introspection(t *testing.T) {
	s := newServer(t)
	h := newHolder(s)
	a := s.as("api", introspectURL, "token", h.login("app").str("access_token"))
	if diff := cmp.Diff(map[string]any{"jkt": h.thumbprint()}, a.json["cnf"]); diff != "" || a.str("token_type") != "DPoP" {
		t.Errorf("introspection = %s\n%s", a.body, diff)
	}
	algorithms := strs(t, metadata(t, s, metadataURL), "dpop_signing_alg_values_supported")
	if diff := cmp.Diff([]string{"RS256", "EdDSA", "ES256"}, algorithms); diff != "" {
		t.Errorf("dpop_signing_alg_values_supported:\n%s", diff)
	}
}
