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
	} {
		s, client := strangerServer(t, "openid read")
		id := client.str("client_id")
		b := newBrowser(s)
		code := b.code(id, "redirect_uri", strangerRedirect)
		device := s.as(id, "/oauth/device")
		b.submit(b.open(device.str("verification_uri_complete")), 0, "decision", "allow")
		end(b, id)
		wantAnswer(t, b.exchange(id, code, "redirect_uri", strangerRedirect), http.StatusBadRequest, "invalid_grant")
		if a := s.as(id, tokenURL, "grant_type", deviceGrantType, "device_code", device.str("device_code")); a.StatusCode == http.StatusOK {
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
