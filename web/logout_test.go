package web_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"chancery/authz"

	"github.com/google/go-cmp/cmp"
)

func logoutURL(pairs ...string) string {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return "/oauth/logout?" + values.Encode()
}

func (b *browser) signedIn() bool {
	b.t.Helper()
	return strings.Contains(b.open("/account").body, "Connected apps")
}

func TestLogout_WithHintAndRedirect(t *testing.T) {
	b := newBrowser(browserServer(t))
	tokens := b.session("site")
	a := b.open(logoutURL("id_token_hint", tokens.str("id_token"), "post_logout_redirect_uri", "https://site.example/bye", "state", "a&b"))
	if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "https://site.example/bye?state=a%26b" {
		t.Errorf("logout = %d to %s", a.StatusCode, a.Header.Get("Location"))
	}
	if b.signedIn() {
		t.Error("still signed in")
	}
	wantAnswer(t, b.refresh("site", tokens.str("refresh_token")), http.StatusBadRequest, "invalid_grant")
	// Once more, with nobody signed in, leads to the client all the same.
	a = b.open(logoutURL("id_token_hint", tokens.str("id_token"), "post_logout_redirect_uri", "https://site.example/bye"))
	if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "https://site.example/bye" {
		t.Errorf("logout again = %d to %s", a.StatusCode, a.Header.Get("Location"))
	}
}

// TestLogout_AsksTheUser: anybody may send a browser here.
func TestLogout_AsksTheUser(t *testing.T) {
	s := browserServer(t)
	_, err := s.users.Create(t.Context(), authz.NewUser{Username: "bob", Password: secretPW})
	must(t, err)
	bob := newBrowser(s)
	bob.submit(bob.open(authorizeURL("phone")), 0, "username", "bob", "password", secretPW)
	bobs := bob.exchange("phone", bob.answered(bob.open(authorizeURL("phone")), "https://phone.example/callback").Get("code")).str("id_token")
	elsewhere := newBrowser(s).session("site").str("id_token")
	for name, pairs := range map[string][]string{
		"nothing":                 nil,
		"a client":                {"client_id", "site"},
		"a client and a redirect": {"client_id", "site", "post_logout_redirect_uri", "https://site.example/bye"},
		"an ID token of nobody":   {"id_token_hint", "x"},
		"an ID token of another":  {"id_token_hint", bobs},
		"one of another browser":  {"id_token_hint", elsewhere},
		"an access token":         {"id_token_hint", s.login("app").str("access_token")},
		"logout_hint":             {"logout_hint", username},
		"a state":                 {"state", "x"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBrowser(s)
			b.code("site")
			a := b.open(logoutURL(pairs...))
			if a.StatusCode != http.StatusOK || !strings.Contains(a.body, "Sign out?") || !strings.Contains(a.body, username) || !b.signedIn() {
				t.Fatalf("logout = %d %s, want a question", a.StatusCode, a.body)
			}
			done := b.submit(a, 0)
			if b.signedIn() {
				t.Error("still signed in after the answer")
			}
			if len(pairs) == 4 {
				if done.Header.Get("Location") != "https://site.example/bye" {
					t.Errorf("then = %d to %s", done.StatusCode, done.Header.Get("Location"))
				}
			} else if done.StatusCode != http.StatusOK || !strings.Contains(done.body, "Signed out") {
				t.Errorf("then = %d %s", done.StatusCode, done.body)
			}
		})
	}
}

// TestLogout_Refused: attack 44.
func TestLogout_Refused(t *testing.T) {
	b := newBrowser(browserServer(t))
	hint := b.session("site").str("id_token")
	for name, pairs := range map[string][]string{
		"redirect alone":         {"post_logout_redirect_uri", "https://site.example/bye"},
		"redirect to others":     {"id_token_hint", hint, "post_logout_redirect_uri", "https://evil.example/bye"},
		"redirect with a query":  {"id_token_hint", hint, "post_logout_redirect_uri", "https://site.example/bye?x=1"},
		"redirect of the login":  {"id_token_hint", hint, "post_logout_redirect_uri", siteRedirect},
		"hint that is no token":  {"id_token_hint", "x", "post_logout_redirect_uri", "https://site.example/bye"},
		"hint of another client": {"id_token_hint", hint, "client_id", "phone"},
		"unknown client":         {"client_id", "nobody"},
		"control characters":     {"state", "a\x00", "client_id", "site"},
	} {
		a := b.open(logoutURL(pairs...))
		if a.StatusCode != http.StatusBadRequest || a.Header.Get("Location") != "" || strings.Contains(a.body, "evil") {
			t.Errorf("%s = %d to %q", name, a.StatusCode, a.Header.Get("Location"))
		}
	}
	if a := b.open(logoutURL("id_token_hint", hint) + "&id_token_hint=" + hint); a.StatusCode != http.StatusBadRequest {
		t.Errorf("two hints = %d", a.StatusCode)
	}
	if !b.signedIn() {
		t.Error("a refused request has signed the user out")
	}
}

func TestLogout_Post(t *testing.T) {
	b := newBrowser(browserServer(t))
	hint := b.session("site").str("id_token")
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/oauth/logout", strings.NewReader(url.Values{"id_token_hint": {hint}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	kept := b.cookies
	b.cookies = map[string]string{} // which browsers do not send with a form of another site
	a := b.send(r)
	if a.StatusCode != http.StatusOK || a.Header.Get("Location") != "" || !strings.Contains(a.body, hint) {
		t.Fatalf("POST = %d to %s, want the form again and no token in an address: %s", a.StatusCode, a.Header.Get("Location"), a.body)
	}
	b.cookies = kept
	if a = b.submit(a, 0); a.StatusCode != http.StatusOK || b.signedIn() {
		t.Errorf("then = %d, signed in: %t", a.StatusCode, b.signedIn())
	}
}

// TestLogout_OfflineAccess: what was granted it outlives the logout, and only
// that (OpenID Connect Back-Channel Logout section 2.7).
func TestLogout_OfflineAccess(t *testing.T) {
	b := newBrowser(browserServer(t))
	online := b.session("site")
	offline := b.session("site", "scope", "openid offline_access read")
	elsewhere := newBrowser(b.server).session("site")
	b.open(logoutURL("id_token_hint", online.str("id_token")))
	wantAnswer(t, b.refresh("site", online.str("refresh_token")), http.StatusBadRequest, "invalid_grant")
	wantAnswer(t, b.refresh("site", offline.str("refresh_token")), http.StatusOK, "")
	wantAnswer(t, b.refresh("site", elsewhere.str("refresh_token")), http.StatusOK, "")
}

// TestLogout_AdminEndsTheBrowserToo: otherwise the client would get another
// session without the user.
func TestLogout_AdminEndsTheBrowserToo(t *testing.T) {
	s := browserServer(t)
	b, other := newBrowser(s), newBrowser(s)
	sid := s.claims(b.session("site").str("access_token"))["sid"].(string)
	other.session("site")
	_, err := s.admin.EndSessions(t.Context(), authz.Administrator{Actor: "test"}, authz.Ending{SessionID: sid})
	must(t, err)
	if b.signedIn() || !other.signedIn() {
		t.Errorf("signed in: %t where an admin has ended the session, %t elsewhere", b.signedIn(), other.signedIn())
	}
}

func TestLogout_EverywhereEndsEveryBrowser(t *testing.T) {
	s := browserServer(t)
	b := newBrowser(s)
	b.session("site")
	token := s.login("app", "scope", "account").str("access_token")
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/account/logout?scope=global", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	wantAnswer(t, s.do(r), http.StatusOK, "")
	if b.signedIn() {
		t.Error("still signed in in a browser")
	}
}

// clientSite is a client that is told of ended sessions.
type clientSite struct {
	mu     sync.Mutex
	status int
	err    error
	tokens []string
	uris   []string
}

func (c *clientSite) PostForm(_ context.Context, uri string, form url.Values) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens, c.uris = append(c.tokens, form.Get("logout_token")), append(c.uris, uri)
	return c.status, c.err
}

func (s *server) logouts(site *clientSite) *authz.Logouts {
	return &authz.Logouts{Issuer: issuer, Store: s.store, Registry: s.service.Registry, Signer: s.rotator.Ring, Poster: site, Now: s.clock.Now}
}

// TestBackchannelLogout_EveryEnd: whatever ends a session tells its client.
func TestBackchannelLogout_EveryEnd(t *testing.T) {
	ends := map[string]func(s *server, b *browser, tokens answer, userID string){
		"logout": func(_ *server, b *browser, tokens answer, _ string) {
			b.open(logoutURL("id_token_hint", tokens.str("id_token")))
		},
		"revocation": func(s *server, _ *browser, tokens answer, _ string) {
			s.as("site", revokeURL, "token", tokens.str("refresh_token"))
		},
		"ban": func(s *server, _ *browser, _ answer, userID string) {
			_, err := s.users.Ban(s.t.Context(), userID, authz.Forever, "spam")
			must(s.t, err)
		},
		"admin": func(s *server, _ *browser, _ answer, userID string) {
			_, err := s.admin.EndSessions(s.t.Context(), authz.Administrator{Actor: "test"}, authz.Ending{UserID: userID})
			must(s.t, err)
		},
		"disconnect": func(_ *server, b *browser, _ answer, _ string) { b.submit(b.open("/account"), 1) },
		"reuse": func(s *server, _ *browser, tokens answer, _ string) {
			next := s.refresh("site", tokens.str("refresh_token"))
			s.refresh("site", next.str("refresh_token"))
			s.refresh("site", tokens.str("refresh_token"))
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			s := browserServer(t)
			b := newBrowser(s)
			tokens := b.session("site")
			access := s.claims(tokens.str("access_token"))
			site := &clientSite{status: http.StatusOK}
			logouts := s.logouts(site)
			if n, err := logouts.Tick(t.Context()); n != 0 || err != nil {
				t.Fatalf("before: %d deliveries, %v", n, err)
			}
			end(s, b, tokens, access["sub"].(string))
			if n, err := logouts.Tick(t.Context()); n != 1 || err != nil || len(site.tokens) != 1 {
				t.Fatalf("after: %d deliveries, %v", n, err)
			}
			claims := s.signed(site.tokens[0], "logout+jwt")
			now := float64(s.clock.Now().Unix())
			want := map[string]any{
				"iss": issuer, "sub": access["sub"], "aud": "site", "sid": access["sid"], "iat": now, "exp": now + 60, "jti": claims["jti"],
				"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
			}
			if diff := cmp.Diff(want, claims); diff != "" || claims["jti"] == "" || site.uris[0] != "https://site.example/ended" {
				t.Errorf("logout token to %s (-want +got):\n%s", site.uris[0], diff)
			}
			if n, err := logouts.Tick(t.Context()); n != 0 || err != nil {
				t.Errorf("again: %d deliveries, %v", n, err)
			}
			events, err := s.store.ListEvents(t.Context(), authz.EventFilter{Kind: authz.EventLogoutDelivered, Page: authz.Page{Limit: 10}})
			if must(t, err); len(events) != 1 || events[0].SessionID != access["sid"] {
				t.Errorf("events = %+v", events)
			}
		})
	}
}

func TestBackchannelLogout_Retries(t *testing.T) {
	for name, site := range map[string]*clientSite{"refused": {status: http.StatusBadRequest}, "down": {err: errors.New("down")}, "redirected": {status: http.StatusFound}} {
		t.Run(name, func(t *testing.T) {
			s := browserServer(t)
			b := newBrowser(s)
			tokens := b.session("site")
			s.as("site", revokeURL, "token", tokens.str("refresh_token"))
			logouts := s.logouts(site)
			var waits []time.Duration
			last := s.clock.Now()
			for range 2 * 24 * 60 * 12 { // two days in steps of five seconds
				before := len(site.tokens)
				if _, err := logouts.Tick(t.Context()); err != nil {
					t.Fatal(err)
				}
				if len(site.tokens) > before {
					waits, last = append(waits, s.clock.Now().Sub(last)), s.clock.Now()
				}
				s.clock.Add(5 * time.Second)
			}
			want := []time.Duration{0, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour}
			if diff := cmp.Diff(want, waits); diff != "" {
				t.Errorf("times between the attempts (-want +got):\n%s", diff)
			}
			var ids []string
			for _, token := range site.tokens {
				var claims struct {
					ID string `json:"jti"`
				}
				payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
				must(t, err)
				must(t, json.Unmarshal(payload, &claims))
				ids = append(ids, claims.ID)
			}
			for _, id := range ids {
				if id != ids[0] {
					t.Errorf("attempts have the ids %q, want one", ids)
				}
			}
			events, err := s.store.ListEvents(t.Context(), authz.EventFilter{Kind: authz.EventLogoutFailed, Page: authz.Page{Limit: 10}})
			if must(t, err); len(events) != 1 || !strings.Contains(events[0].Detail, "attempt 10") {
				t.Errorf("events = %+v", events)
			}
		})
	}
}

func TestBackchannelLogout_RecoversAfterAnError(t *testing.T) {
	s := browserServer(t)
	tokens := newBrowser(s).session("site")
	s.as("site", revokeURL, "token", tokens.str("refresh_token"))
	site := &clientSite{err: errors.New("down")}
	logouts := s.logouts(site)
	_, err := logouts.Tick(t.Context())
	must(t, err)
	site.err, site.status = nil, http.StatusNoContent
	s.clock.Add(5 * time.Second)
	if n, err := logouts.Tick(t.Context()); n != 1 || err != nil {
		t.Fatalf("Tick = %d, %v", n, err)
	}
	s.clock.Add(24 * time.Hour)
	if n, err := logouts.Tick(t.Context()); n != 0 || err != nil {
		t.Errorf("a day later = %d, %v", n, err)
	}
}

func TestLogout_OfAnotherDeviceEndsItsBrowser(t *testing.T) {
	s := browserServer(t)
	b := newBrowser(s)
	sid := s.claims(b.session("site").str("access_token"))["sid"].(string)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodDelete, "/account/sessions/"+sid, nil)
	r.Header.Set("Authorization", "Bearer "+s.login("app", "scope", "account").str("access_token"))
	wantAnswer(t, s.do(r), http.StatusNoContent, "")
	if b.signedIn() {
		t.Error("the browser of the device is still logged in")
	}
}
