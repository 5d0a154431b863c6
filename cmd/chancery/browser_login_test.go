//go:build browser

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

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
		t.Run("DPoP", func(t *testing.T) { b.t, rp.t = t, t; b.boundFlow(rp) })
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
	refreshed, err := rp.refresh(token)
	if err != nil || refreshed.RefreshToken == token.RefreshToken {
		b.t.Fatalf("refresh: %v", err)
	}
	if !b.node.active(b.first, refreshed.AccessToken) {
		b.t.Error("the resource server takes the access token for inactive")
	}
	rp.revoke(refreshed.AccessToken)
	if b.node.active(b.first, refreshed.AccessToken) {
		b.t.Error("a revoked token is active")
	}
	if _, err := rp.refresh(refreshed); err == nil {
		b.t.Error("the session of a revoked token is refreshed")
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

// boundFlow is the code flow with tokens that are bound to a key of the site.
func (b *consoleTab) boundFlow(rp *relyingParty) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.t.Fatal(err)
	}
	rp.key = key
	defer func() { rp.key = nil }()
	b.open(rp.site.URL + "/login")
	b.sees("back at the site")
	token, id := rp.exchange()
	if token.Type() != "DPoP" {
		b.t.Errorf("the token is of type %s", token.Type())
	}
	info, err := rp.provider.UserInfo(rp.context(), oauth2.StaticTokenSource(token))
	if err != nil || info.Subject != id.Subject {
		b.t.Errorf("user info = %+v, %v", info, err)
	}
	if _, err := rp.provider.UserInfo(b.t.Context(), oauth2.StaticTokenSource(token)); err == nil {
		b.t.Error("user info without a proof")
	}
	refreshed, err := rp.refresh(token)
	if err != nil || refreshed.Type() != "DPoP" {
		b.t.Fatalf("refresh = %v, %v", refreshed, err)
	}
	told := b.node.mustPost(http.StatusOK, "/oauth/introspect", "client_id", b.first.APIClientID, "client_secret", b.first.APIClientSecret, "token", refreshed.AccessToken)
	if told.json["active"] != true || told.json["token_type"] != "DPoP" || told.json["cnf"] == nil {
		b.t.Errorf("introspection = %s", told.body)
	}
	rp.revoke(refreshed.RefreshToken)
	if _, err := rp.refresh(refreshed); err == nil || b.node.active(b.first, refreshed.AccessToken) {
		b.t.Error("a revoked session goes on")
	}
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
	b.sees("One step more.")
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
	b.press("Continue")
	b.sees("no device with this code")
	b.look("device-unknown", checker)
	b.fill("user_code", strings.ToLower(device.str("user_code")))
	b.press("Continue")
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
	logout, err := verifier.VerifyLogout(b.t.Context(), rp.told()[before])
	if err != nil || logout.Subject != id.Subject {
		b.t.Errorf("logout token: %+v, %v", logout, err)
	}
	// offline_access was granted: the site stays connected.
	if _, err := rp.refresh(token); err != nil {
		b.t.Errorf("refresh after the logout: %v", err)
	}
	b.visit("/oauth/logout")
	b.sees("Nobody is signed in in this browser")
	b.look("signed-out", checker)
	b.visit("/account")
	b.sees("to see your connected apps")
	b.look("login-account", checker)
}
