//go:build browser

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"
)

// relyingParty is a web site that logs users in with go-oidc.
type relyingParty struct {
	t        *testing.T
	site     *httptest.Server
	provider *oidc.Provider
	oauth    oauth2.Config

	// key is what tokens are bound to, nil for none.
	key *ecdsa.PrivateKey

	mu sync.Mutex
	// verifier, state and nonce are those of the last login, answer is what came
	// back, logouts are the logout tokens.
	verifier, state, nonce string
	answer                 url.Values
	logouts                []string
}

// newRelyingParty registers a site as a client, and starts it.
func newRelyingParty(t *testing.T, env []string, n *node, scopes ...string) *relyingParty {
	t.Helper()
	rp := &relyingParty{t: t}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {
		rp.mu.Lock()
		defer rp.mu.Unlock()
		rp.verifier, rp.state, rp.nonce, rp.answer = oauth2.GenerateVerifier(), rand.Text(), rand.Text(), nil
		options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(rp.verifier), oidc.Nonce(rp.nonce)}
		for name, values := range r.URL.Query() {
			options = append(options, oauth2.SetAuthURLParam(name, values[0]))
		}
		http.Redirect(w, r, rp.oauth.AuthCodeURL(rp.state, options...), http.StatusFound)
	})
	callback := func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		rp.mu.Lock()
		rp.answer = r.Form
		rp.mu.Unlock()
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!doctype html><title>site</title><p>back at the site: " + r.Method + "</p>"))
	}
	mux.HandleFunc("GET /callback", callback)
	mux.HandleFunc("POST /callback", callback)
	mux.HandleFunc("GET /bye", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("the site says goodbye")) })
	mux.HandleFunc("POST /ended", func(w http.ResponseWriter, r *http.Request) {
		rp.mu.Lock()
		defer rp.mu.Unlock()
		rp.logouts = append(rp.logouts, r.PostFormValue("logout_token"))
	})
	rp.site = httptest.NewServer(mux)
	t.Cleanup(rp.site.Close)
	args := []string{
		"clients", "create", "--id", "site", "--name", "The Site", "--type", "confidential", "--grant", "authorization_code", "--grant", "refresh_token",
		"--redirect-uri", rp.site.URL + "/callback", "--post-logout-redirect-uri", rp.site.URL + "/bye", "--backchannel-logout-uri", rp.site.URL + "/ended",
		"--resource", firstResource, "-o", "json",
	}
	for _, scope := range scopes {
		args = append(args, "--scope", scope)
	}
	stdout, stderr, code := tryCLI(env, "", args...)
	if code != exitOK {
		t.Fatal(stderr)
	}
	var client struct {
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal([]byte(stdout), &client); err != nil {
		t.Fatal(err)
	}
	var err error
	if rp.provider, err = oidc.NewProvider(context.WithoutCancel(t.Context()), n.base); err != nil {
		t.Fatal(err)
	}
	rp.oauth = oauth2.Config{
		ClientID: "site", ClientSecret: client.Secret, Endpoint: rp.provider.Endpoint(), RedirectURL: rp.site.URL + "/callback", Scopes: scopes,
	}
	return rp
}

// came returns what came back from the server.
func (rp *relyingParty) came() url.Values {
	rp.mu.Lock()
	defer rp.mu.Unlock()
	return rp.answer
}

func (rp *relyingParty) told() []string {
	rp.mu.Lock()
	defer rp.mu.Unlock()
	return append([]string{}, rp.logouts...)
}

// context is that of requests to the server, which carry proofs of possession
// while the site has a key.
func (rp *relyingParty) context() context.Context {
	return oidc.ClientContext(rp.t.Context(), &http.Client{Transport: prover{rp.key}})
}

// refresh returns what the site gets for a refresh token.
func (rp *relyingParty) refresh(token *oauth2.Token) (*oauth2.Token, error) {
	rp.t.Helper()
	return rp.oauth.TokenSource(rp.context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
}

// revoke takes a token back at the endpoint that the discovery document names.
func (rp *relyingParty) revoke(token string) {
	rp.t.Helper()
	var metadata struct {
		Revocation string `json:"revocation_endpoint"`
	}
	if err := rp.provider.Claims(&metadata); err != nil {
		rp.t.Fatal(err)
	}
	form := url.Values{"client_id": {rp.oauth.ClientID}, "client_secret": {rp.oauth.ClientSecret}, "token": {token}}
	if r, err := read(http.PostForm(metadata.Revocation, form)); err != nil || r.status != http.StatusOK {
		rp.t.Fatalf("revocation = %d %s, %v", r.status, r.body, err)
	}
}

// prover adds a DPoP proof (RFC 9449) to each request, unless it has no key.
type prover struct{ key *ecdsa.PrivateKey }

// RoundTrip implements http.RoundTripper.
func (p prover) RoundTrip(r *http.Request) (*http.Response, error) {
	if p.key != nil {
		claims := map[string]any{"jti": rand.Text(), "htm": r.Method, "htu": r.URL.Scheme + "://" + r.URL.Host + r.URL.Path, "iat": time.Now().Unix()}
		if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "DPoP "); ok {
			sum := sha256.Sum256([]byte(token))
			claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
		}
		payload, err := json.Marshal(claims)
		if err != nil {
			return nil, err
		}
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: p.key}, (&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt"))
		if err != nil {
			return nil, err
		}
		object, err := signer.Sign(payload)
		if err != nil {
			return nil, err
		}
		proof, err := object.CompactSerialize()
		if err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Header.Set("DPoP", proof)
	}
	return http.DefaultTransport.RoundTrip(r)
}

// exchange returns the tokens for the code that came back, with the claims of
// the ID token.
func (rp *relyingParty) exchange() (*oauth2.Token, *oidc.IDToken) {
	rp.t.Helper()
	answer := rp.came()
	if answer.Get("state") != rp.state || answer.Get("iss") == "" || answer.Get("code") == "" {
		rp.t.Fatalf("the answer is %v, want a code for state %s", answer, rp.state)
	}
	ctx := rp.context()
	token, err := rp.oauth.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(rp.verifier))
	if err != nil {
		rp.t.Fatal(err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := rp.provider.Verifier(&oidc.Config{ClientID: "site"}).Verify(ctx, raw)
	if err != nil {
		rp.t.Fatal(err)
	}
	if err := id.VerifyAccessToken(token.AccessToken); err != nil || id.Nonce != rp.nonce {
		rp.t.Errorf("ID token with nonce %q: %v", id.Nonce, err)
	}
	return token, id
}
