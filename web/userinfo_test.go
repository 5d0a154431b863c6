package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"chancery/authz"

	"github.com/google/go-cmp/cmp"
)

const userInfoURL = "/oauth/userinfo"

func (s *server) userInfo(token string) answer {
	s.t.Helper()
	r := httptest.NewRequestWithContext(s.t.Context(), http.MethodGet, userInfoURL, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return s.do(r)
}

func TestUserInfo_ByScope(t *testing.T) {
	s := browserServer(t)
	user, err := s.users.Create(t.Context(), authz.NewUser{Username: "Bob", Email: "bob@mail.example", EmailVerified: true, Password: secretPW})
	must(t, err)
	b := newBrowser(s)
	b.submit(b.open(authorizeURL("phone")), 0, "username", "bob", "password", secretPW)
	for scope, want := range map[string]map[string]any{
		"openid":                      {"sub": user.ID},
		"openid profile":              {"sub": user.ID, "preferred_username": "Bob", "updated_at": float64(user.UpdatedAt.Unix())},
		"openid email read":           {"sub": user.ID, "email": "bob@mail.example", "email_verified": true},
		"openid email offline_access": {"sub": user.ID, "email": "bob@mail.example", "email_verified": true},
	} {
		a := s.userInfo(b.session("phone", "scope", scope).str("access_token"))
		if diff := cmp.Diff(want, a.json); diff != "" || a.StatusCode != http.StatusOK || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d (-want +got):\n%s", scope, a.StatusCode, diff)
		}
	}
}

func TestUserInfo_Transports(t *testing.T) {
	s := browserServer(t)
	token := newBrowser(s).session("site").str("access_token")
	wantAnswer(t, s.post(userInfoURL, "access_token", token), http.StatusOK, "")
	post := s.form(userInfoURL)
	post.Header.Set("Authorization", "bearer "+token)
	wantAnswer(t, s.do(post), http.StatusOK, "")
	both := s.form(userInfoURL, "access_token", token)
	both.Header.Set("Authorization", "Bearer "+token)
	wantAnswer(t, s.do(both), http.StatusBadRequest, "invalid_request")
	bound := s.form(userInfoURL, "access_token", token)
	bound.Header.Set("Authorization", "DPoP "+token)
	wantAnswer(t, s.do(bound), http.StatusBadRequest, "invalid_request")
	wantAnswer(t, s.get(userInfoURL+"?access_token="+token), http.StatusUnauthorized, "missing_token")
	none := s.get(userInfoURL)
	if got := none.Header.Get("WWW-Authenticate"); none.StatusCode != http.StatusUnauthorized || got != `Bearer realm="`+issuer+`"` {
		t.Errorf("without a token = %d with %q", none.StatusCode, got)
	}
}

func TestUserInfo_Refused(t *testing.T) {
	s := browserServer(t)
	b := newBrowser(s)
	tokens := b.session("site")
	for name, token := range map[string]string{
		"no token": "x", "ID token": tokens.str("id_token"), "refresh token": tokens.str("refresh_token"),
		"a client's own": s.as("robot", tokenURL, "grant_type", "client_credentials").str("access_token"),
	} {
		a := s.userInfo(token)
		if a.StatusCode != http.StatusUnauthorized || !strings.Contains(a.Header.Get("WWW-Authenticate"), `error="invalid_token"`) {
			t.Errorf("%s = %d with %q", name, a.StatusCode, a.Header.Get("WWW-Authenticate"))
		}
	}
	for name, token := range map[string]string{
		"without openid": s.login("app").str("access_token"),
		"narrowed":       s.refresh("site", tokens.str("refresh_token"), "scope", "read").str("access_token"),
	} {
		a := s.userInfo(token)
		if a.StatusCode != http.StatusForbidden || !strings.Contains(a.Header.Get("WWW-Authenticate"), `error="insufficient_scope"`) {
			t.Errorf("%s = %d with %q", name, a.StatusCode, a.Header.Get("WWW-Authenticate"))
		}
	}
	expired := b.session("site")
	s.clock.Add(15 * time.Minute)
	wantAnswer(t, s.userInfo(expired.str("access_token")), http.StatusUnauthorized, "invalid_token")
	// The session must live at this moment.
	alive := b.session("site")
	s.as("site", revokeURL, "token", alive.str("refresh_token"))
	wantAnswer(t, s.userInfo(alive.str("access_token")), http.StatusUnauthorized, "invalid_token")
}

func TestUserInfo_OtherOrigins(t *testing.T) {
	s := browserServer(t)
	token := newBrowser(s).session("site").str("access_token")
	for origin, allowed := range map[string]string{"https://site.example": "https://site.example", "https://evil.example": ""} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, userInfoURL, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Origin", origin)
		if got := s.do(r).Header.Get("Access-Control-Allow-Origin"); got != allowed {
			t.Errorf("origin %s: allowed %q, want %q", origin, got, allowed)
		}
	}
}
