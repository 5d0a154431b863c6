package web_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"chancery/authz"

	"github.com/google/go-cmp/cmp"
)

// inAsk introspects the token as the client.
func inAsk(s *server, clientID, token string, pairs ...string) answer {
	s.t.Helper()
	return s.as(clientID, "/oauth/introspect", append([]string{"token", token}, pairs...)...)
}

// inInactive fails the test unless the answer says inactive and nothing else.
func inInactive(s *server, name string, a answer) {
	s.t.Helper()
	if a.StatusCode != http.StatusOK || strings.TrimSpace(a.body) != `{"active":false}` {
		s.t.Errorf("%s: %d %s, want 200 {\"active\":false}", name, a.StatusCode, a.body)
	}
}

func TestIN01_PostFormWithAToken(t *testing.T) {
	s := newServer(t)
	token := s.login("app").str("access_token")
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut} {
		if a := s.do(httptest.NewRequestWithContext(t.Context(), method, "/oauth/introspect", nil)); a.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d, want 405", method, a.StatusCode)
		}
	}
	s.expect(s.as("api", "/oauth/introspect"), http.StatusBadRequest, "invalid_request")
	s.expect(inAsk(s, "api", ""), http.StatusBadRequest, "invalid_request")
	s.expect(s.as("api", "/oauth/introspect?token="+token), http.StatusBadRequest, "invalid_request")
	for _, hint := range []string{"access_token", "refresh_token", "unknown"} {
		if a := inAsk(s, "api", token, "token_type_hint", hint); a.json["active"] != true {
			t.Errorf("hint %s: %d %s, want active", hint, a.StatusCode, a.body)
		}
	}
}

func TestIN02_CallerMustBeAuthorized(t *testing.T) {
	s := newServer(t)
	login := s.login("app")
	token := login.str("access_token")
	s.expect(s.post("/oauth/introspect", "token", token), http.StatusUnauthorized, "invalid_client")
	s.expect(s.post("/oauth/introspect", "token", token, "client_id", "api"), http.StatusUnauthorized, "invalid_client")
	s.expect(s.post("/oauth/introspect", "token", token, "client_id", "api", "client_secret", "wrong"), http.StatusUnauthorized, "invalid_client")
	for _, token := range []string{token, login.str("refresh_token"), "x"} {
		s.expect(inAsk(s, "app", token), http.StatusUnauthorized, "invalid_client") // public
	}
	bearer := s.form("/oauth/introspect", "token", token)
	bearer.Header.Set("Authorization", "Bearer "+token)
	s.expect(s.do(bearer), http.StatusUnauthorized, "invalid_client")
	// Confidential, but without the permission: nothing is active to it.
	for _, client := range []string{"web", "robot", "basic"} {
		inInactive(s, client, inAsk(s, client, token))
	}
}

func TestIN03_InactiveSaysNothingElse(t *testing.T) {
	s := newServer(t)
	login, foreign := s.login("app"), s.login("app", "resource", otherURI)
	revoked := s.login("app")
	rvOK(s, s.as("app", "/oauth/revoke", "token", revoked.str("refresh_token")))
	token := login.str("access_token")
	parts := strings.Split(token, ".")
	for name, token := range map[string]string{
		"unknown": "x", "malformed": "a.b.c", "no signature": parts[0] + "." + parts[1] + ".", "bad signature": parts[0] + "." + parts[1] + "." + rrFlip(parts[2][0]) + parts[2][1:],
		"alg none": "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0." + parts[1] + ".", "too long": strings.Repeat("a", 20_000),
		"refresh token": login.str("refresh_token"), "malformed refresh token": "chrt_AAAA",
		"revoked": revoked.str("access_token"), "foreign audience": foreign.str("access_token"),
	} {
		inInactive(s, name, inAsk(s, "api", token))
	}
	s.clock.Add(15 * time.Minute)
	inInactive(s, "expired", inAsk(s, "api", token))
}

func TestIN03_ExpiryIsExact(t *testing.T) {
	s := newServer(t)
	token := s.login("app").str("access_token")
	exp := time.Unix(int64(s.claims(token)["exp"].(float64)), 0)
	s.clock.Add(exp.Sub(s.clock.Now()) - time.Millisecond)
	if !rrActive(s, token) {
		t.Error("inactive just before exp, want active")
	}
	s.clock.Add(time.Millisecond)
	inInactive(s, "at exp", inAsk(s, "api", token))
}

func TestIN04_ActiveMembers(t *testing.T) {
	s := newServer(t)
	_, err := s.users.Create(t.Context(), authz.NewUser{Username: "carol", Email: "carol@mail.example", Password: secretPW})
	must(t, err)
	token := pgLogin(s, "app", "carol", secretPW).str("access_token")
	a := inAsk(s, "api", token)
	claims := s.claims(token)
	for _, name := range []string{"iss", "sub", "aud", "client_id", "scope", "exp", "iat", "jti", "sid", "auth_time", "amr"} {
		if !cmp.Equal(a.json[name], claims[name]) || a.json[name] == nil {
			t.Errorf("%s = %v, want the token's %v", name, a.json[name], claims[name])
		}
	}
	if a.json["active"] != true || a.str("token_type") != "Bearer" {
		t.Errorf("active = %v, token_type = %v, want true, Bearer", a.json["active"], a.json["token_type"])
	}
	if strings.Contains(a.body, "carol") || a.json["username"] != nil {
		t.Errorf("answer = %s, want nothing personal", a.body)
	}
}

func TestIN04_ClientToken(t *testing.T) {
	s := newServer(t)
	a := inAsk(s, "api", ccToken(s, "robot").str("access_token"))
	if a.json["active"] != true || a.str("sub") != "robot" || a.str("client_id") != "robot" {
		t.Errorf("answer = %s, want active for robot", a.body)
	}
	for _, name := range []string{"sid", "auth_time", "amr", "roles"} {
		if value, ok := a.json[name]; ok {
			t.Errorf("%s = %v, want none", name, value)
		}
	}
}

func TestIN05_LiveChecks(t *testing.T) {
	disable := func(id string) func(*server, answer) {
		return func(s *server, _ answer) {
			s.updateClient(id, func(c *authz.Client) { c.DisabledAt = s.clock.Now() })
		}
	}
	user := func(name string) func(*server, answer) {
		return func(s *server, _ answer) { must(s.t, pgEndings(s)[name](s.t.Context())) }
	}
	cases := []struct {
		name   string
		change func(s *server, login answer)
	}{
		{"session revoked", func(s *server, login answer) {
			rvOK(s, s.as("app", "/oauth/revoke", "token", login.str("refresh_token")))
		}},
		{"user banned", user("ban")},
		{"password changed", user("password")},
		{"user deleted", user("delete")},
		{"client disabled", disable("app")},
		{"client deleted", func(s *server, _ answer) {
			must(s.t, s.clients.Delete(s.t.Context(), "app"))
			s.service.Registry.Invalidate()
		}},
		{"reuse", func(s *server, login answer) {
			first := login.str("refresh_token")
			rrRefresh(s, "app", rrRefresh(s, "app", first, ""), "")
			s.refresh("app", first)
		}},
		{"session idle", func(s *server, _ answer) { s.clock.Add(5 * time.Minute) }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, func(o *options) {
				o.refresh.IdleTTL, o.refresh.LostResponseWindow = 5*time.Minute, 5*time.Minute
			})
			login := s.login("app")
			if !rrActive(s, login.str("access_token")) {
				t.Fatal("inactive before the change, want active")
			}
			c.change(s, login)
			inInactive(s, c.name, inAsk(s, "api", login.str("access_token")))
		})
	}
}

func TestIN05_ClientsOwnToken(t *testing.T) {
	s := newServer(t)
	token, denied := ccToken(s, "robot").str("access_token"), ccToken(s, "robot").str("access_token")
	rvOK(s, s.as("robot", "/oauth/revoke", "token", denied))
	inInactive(s, "denied", inAsk(s, "api", denied))
	if !rrActive(s, token) {
		t.Error("another token of the client is inactive, want active")
	}
	s.updateClient("robot", func(c *authz.Client) { c.DisabledAt = s.clock.Now() })
	inInactive(s, "client disabled", inAsk(s, "api", token))
}

func TestIN05_DatabaseDownIsNotInactive(t *testing.T) {
	s := newServer(t)
	login := s.login("app")
	if !rrActive(s, login.str("access_token")) {
		t.Fatal("inactive, want active")
	}
	s.store.SetDown(authz.ErrUnavailable)
	s.expect(inAsk(s, "api", login.str("access_token")), http.StatusServiceUnavailable, "temporarily_unavailable")
}

func TestIN06_AudienceAndRefreshTokens(t *testing.T) {
	s := newServer(t)
	login := s.login("web")
	first := login.str("refresh_token")
	inInactive(s, "refresh token to a resource server", inAsk(s, "api", first))
	inInactive(s, "refresh token to another client", inAsk(s, "robot", first))
	inInactive(s, "access token for another resource", inAsk(s, "api", s.login("web", "resource", otherURI).str("access_token")))
	own := inAsk(s, "web", first)
	if own.json["active"] != true || own.str("client_id") != "web" || own.str("sid") != rrSession(s, login) {
		t.Errorf("own refresh token = %s, want active", own.body)
	}
	if own.str("token_type") == "Bearer" {
		t.Error("a refresh token is called a Bearer token")
	}
	live := rrRefresh(s, "web", first, "")
	inInactive(s, "predecessor within the leeway", inAsk(s, "web", first)) // only d = 0 is active
	if got := inAsk(s, "web", live); got.json["active"] != true {
		t.Errorf("newest refresh token = %s, want active", got.body)
	}
	rrRefresh(s, "web", live, "") // introspection has consumed nothing
}

func TestIN06_ResourceServerOfTwoResources(t *testing.T) {
	s := newServer(t)
	token := s.login("app", "resource", otherURI).str("access_token")
	inInactive(s, "before", inAsk(s, "api", token))
	s.updateClient("api", func(c *authz.Client) { c.Resources = []string{apiURI, otherURI} })
	if a := inAsk(s, "api", token); a.json["active"] != true {
		t.Errorf("answer = %s, want active for a server of both resources", a.body)
	}
}

func TestIN07_NoStoreAndConstantShape(t *testing.T) {
	s := newServer(t)
	shape := func(a answer) []string {
		if a.Header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(a.Header.Get("Content-Type"), "application/json") {
			t.Errorf("Cache-Control = %q, Content-Type = %q, want no-store, JSON", a.Header.Get("Cache-Control"), a.Header.Get("Content-Type"))
		}
		return slices.Sorted(maps.Keys(a.json))
	}
	first := shape(inAsk(s, "api", s.login("app").str("access_token")))
	second := shape(inAsk(s, "api", s.login("web", "scope", "read").str("access_token")))
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("two active answers differ in shape:\n%s", diff)
	}
	if got := shape(inAsk(s, "api", "x")); !slices.Equal(got, []string{"active"}) {
		t.Errorf("inactive answer has %v, want active alone", got)
	}
}
