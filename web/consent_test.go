package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"chancery/authz"
)

// strangerServer returns a server with a client that has registered itself, and its
// registration.
func strangerServer(t *testing.T, scope string) (*server, answer) {
	t.Helper()
	s := registerServer(t, true)
	a := s.registration(http.MethodPost, registerURL, "", strangerMetadata(scope))
	wantAnswer(t, a, http.StatusCreated, "")
	return s, a
}

func strangerMetadata(scope string) map[string]any {
	return goodMetadata(map[string]any{
		"token_endpoint_auth_method": "none", "scope": scope, "post_logout_redirect_uris": []string{"https://fresh.example/bye"},
		"grant_types": []string{"authorization_code", "refresh_token", deviceGrantType},
	})
}

const strangerRedirect = "https://fresh.example/callback"

// TestConsent_IsForWhatWasShown: a client that changes while its user looks at the
// page gets nothing that he has not seen.
func TestConsent_IsForWhatWasShown(t *testing.T) {
	s, client := strangerServer(t, "openid")
	id := client.str("client_id")
	widen := func() {
		metadata := strangerMetadata("openid email offline_access read write")
		metadata["client_id"] = id
		wantAnswer(t, s.own(http.MethodPut, client, metadata), http.StatusOK, "")
	}
	b := newBrowser(s)
	page := b.logIn(b.open(authorizeURL(id, "redirect_uri", strangerRedirect, "scope", "")))
	widen()
	again := b.submit(page, 0, "decision", "allow")
	if again.StatusCode != http.StatusSeeOther || !strings.HasPrefix(again.Header.Get("Location"), "/oauth/authorize?") {
		t.Fatalf("allowed = %d to %s", again.StatusCode, again.Header.Get("Location"))
	}
	wantConsents(t, s, 0)
	shown := b.open(again.Header.Get("Location"))
	if !strings.Contains(shown.body, "<code>write</code>") {
		t.Errorf("the page does not show what is asked for by now:\n%s", shown.body)
	}
	b.answered(b.submit(shown, 0, "decision", "allow"), strangerRedirect)
}

func TestConsent_IsForWhatWasShownOfADevice(t *testing.T) {
	s, client := strangerServer(t, "openid read")
	id := client.str("client_id")
	device := s.as(id, "/oauth/device")
	wantAnswer(t, device, http.StatusOK, "")
	b := newBrowser(s)
	page := b.logIn(b.open(device.str("verification_uri_complete")))
	metadata := strangerMetadata("openid read")
	metadata["client_id"], metadata["client_name"] = id, "Your bank"
	wantAnswer(t, s.own(http.MethodPut, client, metadata), http.StatusOK, "")
	again := b.submit(page, 0, "decision", "allow")
	if again.StatusCode != http.StatusSeeOther || !strings.HasPrefix(again.Header.Get("Location"), "/device?") {
		t.Fatalf("allowed = %d to %s", again.StatusCode, again.Header.Get("Location"))
	}
	poll := func() answer {
		return s.as(id, tokenURL, "grant_type", deviceGrantType, "device_code", device.str("device_code"))
	}
	wantAnswer(t, poll(), http.StatusBadRequest, "authorization_pending")
	b.submit(b.open(again.Header.Get("Location")), 0, "decision", "allow")
	s.clock.Add(5 * time.Second)
	wantAnswer(t, poll(), http.StatusOK, "")
}

// TestConsent_TakenBack: what was allowed and not fetched yet is taken back too.
func TestConsent_TakenBack(t *testing.T) {
	for name, end := range map[string]func(b *browser, id string){
		"disconnected": func(b *browser, id string) { b.send(b.sameSite("/account/disconnect", "client_id", id)) },
		"signed out":   func(b *browser, _ string) { b.send(b.sameSite("/account/sign-out")) },
		"everywhere": func(b *browser, _ string) {
			user, err := b.store.UserByName(b.t.Context(), username)
			must(b.t, err)
			_, err = b.service.Sessions.End(b.t.Context(), authz.Ending{UserID: user.ID, Cause: authz.CauseAdmin})
			must(b.t, err)
		},
		"everybody": func(b *browser, _ string) {
			_, err := b.service.Sessions.End(b.t.Context(), authz.Ending{All: true, Cause: authz.CauseAdmin})
			must(b.t, err)
			if b.signedIn() {
				b.t.Error("a browser is still logged in")
			}
		},
	} {
		s, client := strangerServer(t, "openid read")
		id := client.str("client_id")
		b := newBrowser(s)
		code := b.code(id, "redirect_uri", strangerRedirect)
		device := s.as(id, "/oauth/device")
		b.submit(b.open(device.str("verification_uri_complete")), 0, "decision", "allow")
		end(b, id)
		wantAnswer(t, b.exchange(id, code, "redirect_uri", strangerRedirect), http.StatusBadRequest, "invalid_grant")
		// A device is connected by itself: it stays so when the browser is signed out.
		connected := name == "signed out"
		a := s.as(id, tokenURL, "grant_type", deviceGrantType, "device_code", device.str("device_code"))
		if (a.StatusCode == http.StatusOK) != connected {
			t.Errorf("%s: the device gets %s", name, a.body)
		}
	}
}

// sameSite returns a form of our own pages.
func (b *browser) sameSite(path string, pairs ...string) *http.Request {
	r := b.form(path, pairs...)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return r
}

// TestStranger_IsNoRedirector: attack 44. Nobody is sent to a client that no admin
// has registered, unless he has let it in or goes himself (RFC 9700 section
// 4.11.2).
func TestStranger_IsNoRedirector(t *testing.T) {
	s, client := strangerServer(t, "openid read")
	id := client.str("client_id")
	b := newBrowser(s)
	for name, pairs := range map[string][]string{
		"a wrong response type": {"response_type", "x"}, "a wrong scope": {"scope", "nothing"}, "no challenge": {"code_challenge", ""}, "silence": {"prompt", "none"},
		"a form": {"response_type", "x", "response_mode", "form_post"},
	} {
		a := b.open(authorizeURL(id, append([]string{"redirect_uri", strangerRedirect}, pairs...)...))
		if a.StatusCode != http.StatusBadRequest || !strings.Contains(a.body, "Go back to fresh.example") || a.Header.Get("Location") != "" {
			t.Errorf("%s = %d to %q %s", name, a.StatusCode, a.Header.Get("Location"), a.body)
		}
	}
	refused := func() answer { return b.open(authorizeURL(id, "redirect_uri", strangerRedirect, "response_type", "x")) }
	b.session(id, "redirect_uri", strangerRedirect)
	if got := b.answered(refused(), strangerRedirect).Get("error"); got != "unsupported_response_type" {
		t.Errorf("who has let it in is told %q", got)
	}
	if got := newBrowser(s).open("/oauth/logout?client_id=" + id + "&post_logout_redirect_uri=" + url.QueryEscape("https://fresh.example/bye")); got.StatusCode != http.StatusOK || !strings.Contains(got.body, "Go back to fresh.example") {
		t.Errorf("a logout of nobody = %d to %s", got.StatusCode, got.Header.Get("Location"))
	}
	_, err := s.clients.Update(t.Context(), id, func(c *authz.Client) error { c.Disable(true, s.clock.Now()); return nil })
	must(t, err)
	if got := b.open("/oauth/logout?client_id=" + id + "&post_logout_redirect_uri=" + url.QueryEscape("https://fresh.example/bye")); got.StatusCode != http.StatusBadRequest {
		t.Errorf("a logout by a disabled client = %d to %s", got.StatusCode, got.Header.Get("Location"))
	}
}

// TestStranger_IsToldApart: what nobody has checked is said on every page, and no
// name looks like another.
func TestStranger_IsToldApart(t *testing.T) {
	s, client := strangerServer(t, "openid read")
	id := client.str("client_id")
	b := newBrowser(s)
	login := b.open(authorizeURL(id, "redirect_uri", strangerRedirect))
	consent := b.logIn(login)
	device := b.open(s.as(id, "/oauth/device").str("verification_uri_complete"))
	for name, page := range map[string]answer{"login": login, "consent": consent, "device": device} {
		if !strings.Contains(page.body, "Nobody here has checked what it calls itself") {
			t.Errorf("%s does not say so:\n%s", name, page.body)
		}
	}
	for _, name := range []string{"\u200bThe Site", "\u202eetiS ehT", " ", "The Site ", "The\u00a0Site", "a\u2066b"} {
		metadata := strangerMetadata("openid")
		metadata["client_name"] = name
		wantAnswer(t, s.registration(http.MethodPost, registerURL, "", metadata), http.StatusBadRequest, "invalid_client_metadata")
	}
}

// TestLoginFor_IsShort: a login is as fresh as the client wants it, however long its
// user takes to answer.
func TestLoginFor_IsShort(t *testing.T) {
	for name, row := range map[string]struct {
		pairs []string
		wait  time.Duration
	}{
		"max_age": {[]string{"max_age", "60"}, 61 * time.Second}, "prompt": {[]string{"prompt", "login"}, 11 * time.Minute},
	} {
		s := browserServer(t)
		b := newBrowser(s)
		page := b.logIn(b.open(authorizeURL("site", row.pairs...)))
		s.clock.Add(row.wait)
		a := b.submit(page, 0, "decision", "allow")
		if a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(a.Header.Get("Location"), "/oauth/authorize?") {
			t.Fatalf("%s: allowed after %s = %d to %s", name, row.wait, a.StatusCode, a.Header.Get("Location"))
		}
		if again := b.open(a.Header.Get("Location")); !strings.Contains(again.body, `name="password"`) {
			t.Errorf("%s: then = %d %s", name, again.StatusCode, again.body)
		}
	}
}

// TestLogin_OfSomebodyElse: whoever was logged in in the browser is logged out, his
// clients too.
func TestLogin_OfSomebodyElse(t *testing.T) {
	s := browserServer(t)
	_, err := s.users.Create(t.Context(), authz.NewUser{Username: "bob", Password: secretPW})
	must(t, err)
	b := newBrowser(s)
	tokens := b.session("site", "scope", "openid read")
	b.submit(b.open(authorizeURL("site", "prompt", "login")), 0, "username", "bob", "password", secretPW)
	wantAnswer(t, s.refresh("site", tokens.str("refresh_token")), http.StatusBadRequest, "invalid_grant")
}

// TestPush_OfManyUsers: a site pushes the requests of all its users from one
// address.
func TestPush_OfManyUsers(t *testing.T) {
	s := browserServer(t, func(o *options) { o.throttle = &authz.ThrottlePolicy{Pair: 10, Account: 10, Address: 10, Client: 10} })
	for i := range 320 {
		a := s.as("site", "/oauth/par", "response_type", "code", "redirect_uri", siteRedirect, "code_challenge", challengeOf(verifier), "code_challenge_method", "S256")
		if a.StatusCode != http.StatusCreated {
			t.Fatalf("push %d = %d %s", i, a.StatusCode, a.body)
		}
	}
}

// TestDevice_OfANarrowedClient: a device gets nothing that its client may not have
// any more.
func TestDevice_OfANarrowedClient(t *testing.T) {
	s := deviceServer(t)
	device := s.startDevice("scope", "openid read")
	s.updateClient("tv", func(c *authz.Client) { c.Scope, c.Resources = authz.Scope{"openid"}, nil })
	s.service.Registry.Invalidate()
	b := newBrowser(s)
	page := b.logIn(b.open(device.str("verification_uri_complete")))
	if strings.Contains(page.body, "<code>read</code>") {
		t.Errorf("the page shows what the client may not have:\n%s", page.body)
	}
	b.submit(page, 0, "decision", "allow")
	if tokens := s.poll(device); tokens.str("scope") != "openid" {
		t.Errorf("tokens = %s", tokens.body)
	}
}

// TestDenied_EndsWhatTheLoginWasFor: a login that was asked for once more is asked
// for at the next time too.
func TestDenied_EndsWhatTheLoginWasFor(t *testing.T) {
	s := browserServer(t)
	b := newBrowser(s)
	address := authorizeURL("site", "prompt", "login", "max_age", "0")
	page := b.logIn(b.open(address))
	b.answered(b.submit(page, 0, "decision", "deny"), siteRedirect)
	if again := b.open(address); !strings.Contains(again.body, `name="password"`) {
		t.Errorf("the second time = %d %s", again.StatusCode, again.body)
	}
}
