//go:build browser

package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// relyingParty is a web site that logs users in with go-oidc.
type relyingParty struct {
	t        *testing.T
	site     *httptest.Server
	provider *oidc.Provider
	oauth    oauth2.Config

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

// exchange returns the tokens for the code that came back, with the claims of
// the ID token.
func (rp *relyingParty) exchange() (*oauth2.Token, *oidc.IDToken) {
	rp.t.Helper()
	answer := rp.came()
	if answer.Get("state") != rp.state || answer.Get("iss") == "" || answer.Get("code") == "" {
		rp.t.Fatalf("the answer is %v, want a code for state %s", answer, rp.state)
	}
	token, err := rp.oauth.Exchange(rp.t.Context(), answer.Get("code"), oauth2.VerifierOption(rp.verifier))
	if err != nil {
		rp.t.Fatal(err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := rp.provider.Verifier(&oidc.Config{ClientID: "site"}).Verify(rp.t.Context(), raw)
	if err != nil {
		rp.t.Fatal(err)
	}
	if err := id.VerifyAccessToken(token.AccessToken); err != nil || id.Nonce != rp.nonce {
		rp.t.Errorf("ID token with nonce %q: %v", id.Nonce, err)
	}
	return token, id
}

// TestBrowserLogin logs in at a site that uses go-oidc, with a real browser on
// all pages.
func TestBrowserLogin(t *testing.T) {
	eachDatabase(t, func(t *testing.T, env []string) {
		port := freePort(t)
		env = append(env, "CHANCERY_LISTEN=127.0.0.1:"+port, "CHANCERY_ISSUER=http://localhost:"+port)
		first := bootstrapped(t, env)
		if _, stderr, code := tryCLI(env, "the long password of alice", "users", "create", "--username", "alice", "--email", "alice@mail.example", "--email-verified", "--password-stdin"); code != exitOK {
			t.Fatal(stderr)
		}
		n := serve(t, env)
		n.base = "http://localhost:" + port
		b := &consoleTab{tab: tab{t: t, ctx: chromium(t), issuer: n.base}, node: n, first: first}
		checker := axe(t)
		if t.Name() != "TestBrowserLogin/sqlite" {
			checker = noLook
		}
		rp := newRelyingParty(t, env, n, "openid", "profile", "email", "offline_access", firstRead)
		t.Run("code", func(t *testing.T) { b.t, rp.t = t, t; b.codeFlow(rp, checker) })
		t.Run("form_post", func(t *testing.T) { b.t, rp.t = t, t; b.formPost(rp) })
		t.Run("without script", func(t *testing.T) { b.t, rp.t = t, t; b.withoutScript(rp) })
		t.Run("account", func(t *testing.T) { b.t, rp.t = t, t; b.accountPage(rp, checker) })
		t.Run("device", func(t *testing.T) { b.t = t; b.devicePage(env, checker) })
		t.Run("logout", func(t *testing.T) { b.t, rp.t = t, t; b.logoutPages(rp, checker) })
	})
}

// codeFlow logs in, is asked, and lets the site use what it got.
func (b *consoleTab) codeFlow(rp *relyingParty, checker string) {
	b.open(rp.site.URL + "/login")
	b.sees("to continue to The Site")
	b.look("login-page", checker)
	b.fill("username", "alice")
	b.fill("password", "wrong")
	b.press("Sign in")
	b.sees("The username or password is wrong.")
	b.look("login-page-refused", checker)
	b.fill("password", "the long password of alice")
	b.press("Sign in")
	b.sees("asks for access to the account of alice")
	b.look("consent", checker)
	b.press("Allow")
	b.sees("back at the site")
	token, id := rp.exchange()
	info, err := rp.provider.UserInfo(b.t.Context(), oauth2.StaticTokenSource(token))
	if err != nil || info.Subject != id.Subject || info.Email != "alice@mail.example" || !info.EmailVerified {
		b.t.Errorf("user info = %+v, %v", info, err)
	}
	refreshed, err := rp.oauth.TokenSource(b.t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
	if err != nil || refreshed.RefreshToken == token.RefreshToken {
		b.t.Fatalf("refresh: %v", err)
	}
	if !b.node.active(b.first, refreshed.AccessToken) {
		b.t.Error("the resource server takes the access token for inactive")
	}
	// Logged in and asked before, the browser only passes by.
	b.open(rp.site.URL + "/login?prompt=none")
	b.sees("back at the site")
	_, again := rp.exchange()
	if again.Subject != id.Subject {
		b.t.Errorf("another user: %s", again.Subject)
	}
	b.open(rp.site.URL + "/login?prompt=consent")
	b.sees("asks for access")
	b.press("Cancel")
	b.sees("back at the site")
	if got := rp.came().Get("error"); got != "access_denied" {
		b.t.Errorf("cancelled: %v", rp.came())
	}
	b.visit("/oauth/authorize?client_id=site&redirect_uri=https%3A%2F%2Fevil.example")
	b.sees("the client has not registered it")
	b.look("authorize-problem", checker)
}

func (b *consoleTab) formPost(rp *relyingParty) {
	b.open(rp.site.URL + "/login?response_mode=form_post")
	b.sees("back at the site: POST")
	rp.exchange()
}

// withoutScript does it all in a browser that runs none on pages.
func (b *consoleTab) withoutScript(rp *relyingParty) {
	scripts := func(off bool) {
		err := chromedp.Do(b.ctx, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
			_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: off})
			return err
		}))
		if err != nil {
			b.t.Fatal(err)
		}
	}
	scripts(true)
	defer scripts(false)
	b.open(rp.site.URL + "/login?prompt=login%20consent&response_mode=form_post")
	b.sees("to continue to The Site")
	b.fill("password", "the long password of alice")
	b.press("Sign in")
	b.sees("asks for access")
	b.press("Allow")
	b.sees("Go on to the app.")
	b.press("Continue") // which the script presses elsewhere
	b.sees("back at the site: POST")
	rp.exchange()
}

func (b *consoleTab) accountPage(rp *relyingParty, checker string) {
	b.visit("/account")
	b.sees("The Site")
	b.look("account", checker)
	before := len(rp.told())
	b.press("Disconnect")
	b.sees("No app is connected")
	b.look("account-empty", checker)
	eventually(b.t, "the site is told of the sessions that ended", func() bool { return len(rp.told()) > before })
}

func (b *consoleTab) devicePage(env []string, checker string) {
	if _, stderr, code := tryCLI(env, "", "clients", "create", "--id", "tv", "--name", "The TV", "--type", "public", "--grant", "urn:ietf:params:oauth:grant-type:device_code",
		"--grant", "refresh_token", "--scope", "openid", "--scope", firstRead, "--resource", firstResource); code != exitOK {
		b.t.Fatal(stderr)
	}
	var device reply
	eventually(b.t, "the server knows the client", func() bool {
		var err error
		device, err = b.node.post("/oauth/device", "client_id", "tv")
		return err == nil && device.status == http.StatusOK
	})
	b.visit("/device")
	b.sees("Type the code")
	b.look("device", checker)
	b.fill("user_code", "BBBBBBBB")
	b.press("Go on")
	b.sees("no device with this code")
	b.look("device-unknown", checker)
	b.fill("user_code", strings.ToLower(device.str("user_code")))
	b.press("Go on")
	b.sees("Does your device show this code?")
	b.look("device-consent", checker)
	b.press("Connect")
	b.sees("It is connected.")
	b.look("device-done", checker)
	b.node.mustPost(http.StatusOK, "/oauth/token", "grant_type", "urn:ietf:params:oauth:grant-type:device_code", "client_id", "tv", "device_code", device.str("device_code"))
}

func (b *consoleTab) logoutPages(rp *relyingParty, checker string) {
	b.open(rp.site.URL + "/login")
	b.sees("asks for access")
	b.press("Allow")
	b.sees("back at the site")
	token, id := rp.exchange()
	b.visit("/oauth/logout?client_id=site&post_logout_redirect_uri=" + url.QueryEscape(rp.site.URL+"/bye"))
	b.sees("The Site asks to sign you out")
	b.look("logout", checker)
	before := len(rp.told())
	b.press("Sign out")
	b.sees("the site says goodbye")
	eventually(b.t, "the site is told of the logout", func() bool { return len(rp.told()) > before })
	verifier := rp.provider.Verifier(&oidc.Config{ClientID: "site"})
	logout, err := verifier.Verify(b.t.Context(), rp.told()[before])
	if err != nil || logout.Subject != id.Subject {
		b.t.Errorf("logout token: %+v, %v", logout, err)
	}
	// offline_access was granted: the site stays connected.
	if _, err := rp.oauth.TokenSource(b.t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token(); err != nil {
		b.t.Errorf("refresh after the logout: %v", err)
	}
	b.visit("/oauth/logout")
	b.sees("Nobody is signed in in this browser")
	b.look("signed-out", checker)
	b.visit("/account")
	b.sees("to see your connected apps")
	b.look("login-account", checker)
}
