package web_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"chancery/authz"
)

// browser sends a form as a page of the origin would, with cookies.
func (s *server) browser(origin, path string, cookies []*http.Cookie, pairs ...string) answer {
	s.t.Helper()
	r := s.form(path, append([]string{"client_id", "spa"}, pairs...)...)
	if origin != "" {
		r.Header.Set("Origin", origin)
	}
	for _, cookie := range cookies {
		r.AddCookie(cookie)
	}
	return s.do(r)
}

func (s *server) spaLogin() answer {
	s.t.Helper()
	a := s.browser(spaOrigin, "/oauth/token", nil, "grant_type", "password", "username", username, "password", secretPW)
	s.expect(a, http.StatusOK, "")
	return a
}

func (s *server) spaRefresh(origin string, cookies []*http.Cookie, pairs ...string) answer {
	s.t.Helper()
	return s.browser(origin, "/oauth/token", cookies, append([]string{"grant_type", "refresh_token"}, pairs...)...)
}

func spaCookie() string {
	sum := sha256.Sum256([]byte("spa"))
	return "__Secure-chancery-" + hex.EncodeToString(sum[:])[:8]
}

func TestCookieHoldsTheRefreshToken(t *testing.T) {
	s := newServer(t)
	a := s.spaLogin()
	if strings.Contains(a.body, "chrt_") || a.json["refresh_token"] != nil || a.json["refresh_token_expires_in"] == nil {
		t.Errorf("body = %s, want the lifetime of the refresh token, not the token", a.body)
	}
	cookies := a.Cookies()
	if len(cookies) != 1 {
		t.Fatalf("cookies = %v, want one", cookies)
	}
	c := cookies[0]
	if c.Name != spaCookie() || c.Path != "/oauth" || c.Domain != "" || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode ||
		c.MaxAge != int(a.json["refresh_token_expires_in"].(float64)) || !strings.HasPrefix(c.Value, "chrt_") {
		t.Errorf("cookie = %s", c.Raw)
	}
	next := s.spaRefresh(spaOrigin, cookies)
	s.expect(next, http.StatusOK, "")
	if strings.Contains(next.body, "chrt_") || len(next.Cookies()) != 1 || next.Cookies()[0].Value == c.Value {
		t.Errorf("refresh = %s with %v, want a new token in the cookie alone", next.body, next.Cookies())
	}
	wantHeader(t, next, "Access-Control-Allow-Origin", spaOrigin)
	wantHeader(t, next, "Access-Control-Allow-Credentials", "true")
	// A lost answer is repeated with the same cookie.
	again := s.spaRefresh(spaOrigin, cookies)
	if again.str("cause") != "concurrent" || again.Cookies()[0].Value != next.Cookies()[0].Value {
		t.Errorf("repeated refresh = %s with %v, want the identical successor", again.body, again.Cookies())
	}
	if strings.Contains(s.log.String(), "chrt_") {
		t.Error("the log holds a refresh token")
	}
}

func TestCookieNameAndPathOfOtherIssuers(t *testing.T) {
	for _, row := range []struct{ issuer, path, name string }{
		{"https://as.example/tenant", "/tenant/oauth", spaCookie()},
		{"http://localhost:8080", "/oauth", strings.TrimPrefix(spaCookie(), "__Secure-")},
	} {
		s := newServer(t, func(o *options) { o.issuer = row.issuer })
		a := s.browser(spaOrigin, row.path+"/token", nil, "grant_type", "password", "username", username, "password", secretPW)
		s.expect(a, http.StatusOK, "")
		c := a.Cookies()[0]
		if c.Name != row.name || c.Path != row.path || c.Secure != strings.HasPrefix(row.issuer, "https") {
			t.Errorf("issuer %s: cookie = %s", row.issuer, c.Raw)
		}
	}
}

// Attack 45: requests that another page makes the browser send.
func TestCookieRequestsFromElsewhereAreRefused(t *testing.T) {
	s := newServer(t)
	login := s.spaLogin()
	for name, origin := range map[string]string{
		"missing": "", "null": "null", "another page": "https://evil.example", "another client's": "https://app.example",
		"suffix": spaOrigin + ".evil.example", "another scheme": "http://spa.example", "another port": spaOrigin + ":8443",
	} {
		for what, a := range map[string]answer{
			"login":              s.browser(origin, "/oauth/token", nil, "grant_type", "password", "username", username, "password", secretPW),
			"refresh":            s.spaRefresh(origin, login.Cookies()),
			"revocation":         s.browser(origin, "/oauth/revoke", login.Cookies()),
			"revocation by body": s.browser(origin, "/oauth/revoke", nil, "token", login.str("access_token")),
		} {
			s.expect(a, http.StatusBadRequest, "invalid_request")
			if len(a.Cookies()) > 0 || a.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("origin %s, %s: headers = %v, want neither cookie nor permission", name, what, a.Header)
			}
		}
	}
	// None of it used the token up, or ended the session.
	s.expect(s.spaRefresh(spaOrigin, login.Cookies()), http.StatusOK, "")
}

func TestCookieTwoOrigins(t *testing.T) {
	s := newServer(t)
	r := s.form("/oauth/token", "client_id", "spa", "grant_type", "password", "username", username, "password", secretPW)
	r.Header["Origin"] = []string{spaOrigin, "https://evil.example"}
	s.expect(s.do(r), http.StatusBadRequest, "invalid_request")
}

func TestCookieTokenInTheBodyIsRefused(t *testing.T) {
	s := newServer(t)
	login := s.spaLogin()
	token := login.Cookies()[0].Value
	s.expect(s.spaRefresh(spaOrigin, nil, "refresh_token", token), http.StatusBadRequest, "invalid_request")
	s.expect(s.spaRefresh(spaOrigin, login.Cookies(), "refresh_token", token), http.StatusBadRequest, "invalid_request")
	s.expect(s.browser(spaOrigin, "/oauth/revoke", nil, "token", token), http.StatusBadRequest, "invalid_request")
	s.expect(s.spaRefresh(spaOrigin, nil), http.StatusBadRequest, "invalid_request") // no cookie either
	s.expect(s.spaRefresh(spaOrigin, login.Cookies()), http.StatusOK, "")
}

// A cookie of the same name that another host of the site has set.
func TestCookieTwiceIsNoToken(t *testing.T) {
	s := newServer(t)
	login := s.spaLogin()
	tossed := &http.Cookie{Name: spaCookie(), Value: "chrt_tossed"}
	s.expect(s.spaRefresh(spaOrigin, append([]*http.Cookie{tossed}, login.Cookies()...)), http.StatusBadRequest, "invalid_request")
	s.expect(s.spaRefresh(spaOrigin, login.Cookies()), http.StatusOK, "")
}

// The cookie of one client is nothing to another, and nothing to a client that
// takes its tokens in the body.
func TestCookieOfAnotherClientIsIgnored(t *testing.T) {
	s := newServer(t)
	login := s.spaLogin()
	for _, clientID := range []string{"app", "web"} {
		r := s.form("/oauth/token", "client_id", clientID, "client_secret", s.secrets[clientID].Reveal(), "grant_type", "refresh_token")
		r.Header.Set("Origin", spaOrigin)
		r.AddCookie(login.Cookies()[0])
		s.expect(s.do(r), http.StatusBadRequest, "invalid_request")
	}
	s.expect(s.spaRefresh(spaOrigin, login.Cookies()), http.StatusOK, "")
}

func TestCookieRevocation(t *testing.T) {
	s := newServer(t)
	login := s.spaLogin()
	a := s.browser(spaOrigin, "/oauth/revoke", login.Cookies())
	s.expect(a, http.StatusOK, "")
	if len(a.Cookies()) != 1 || a.Cookies()[0].MaxAge != -1 || a.Cookies()[0].Name != spaCookie() || a.Cookies()[0].Path != "/oauth" {
		t.Errorf("cookies after revocation = %v, want the cookie taken away", a.Cookies())
	}
	dead := s.spaRefresh(spaOrigin, login.Cookies())
	s.expect(dead, http.StatusBadRequest, "invalid_grant")
	if dead.str("cause") != "revoked" || len(dead.Cookies()) != 0 {
		// A late refusal must not take away the cookie of a newer login.
		t.Errorf("refresh of a revoked session = %s with %v, want cause revoked and the cookie left alone", dead.body, dead.Cookies())
	}
	wantHeader(t, dead, "Access-Control-Allow-Origin", spaOrigin)

	login = s.spaLogin()
	a = s.browser(spaOrigin, "/oauth/revoke", nil, "token", login.str("access_token"))
	s.expect(a, http.StatusOK, "")
	s.expect(s.spaRefresh(spaOrigin, login.Cookies()), http.StatusBadRequest, "invalid_grant")
}

func TestCookieClientNeedsAnOrigin(t *testing.T) {
	s := newServer(t)
	_, err := s.clients.Update(t.Context(), "spa", func(c *authz.Client) error {
		c.AllowedOrigins = nil
		return nil
	})
	if authz.CodeOf(err) != authz.InvalidInput {
		t.Errorf("a cookie client without origins = %v, want it refused", err)
	}
}
