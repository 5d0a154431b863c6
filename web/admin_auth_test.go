package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"chancery/authz"
)

// machineToken is an access token that machine has for itself.
func (s *server) machineToken(pairs ...string) string {
	s.t.Helper()
	a := s.as("machine", "/oauth/token", append([]string{"grant_type", "client_credentials", "resource", adminURI}, pairs...)...)
	if a.StatusCode != http.StatusOK {
		s.t.Fatalf("token of machine: %d %s", a.StatusCode, a.body)
	}
	return a.str("access_token")
}

// Attacks 47 and 49: each row gets a token that was good, and makes it bad.
func TestAdminTokens(t *testing.T) {
	ban := func(s *server, until time.Time) {
		_, err := s.users.Ban(s.t.Context(), boss, until, "")
		must(s.t, err)
	}
	roles := func(s *server, roles ...string) {
		_, err := s.users.SetRoles(s.t.Context(), boss, roles)
		must(s.t, err)
	}
	user, machine := func(s *server) string { return s.bossToken() }, func(s *server) string { return s.machineToken() }
	for name, row := range map[string]struct {
		token  func(s *server) string
		change func(s *server)
		status int
		code   authz.Code
	}{
		"admin":                          {user, func(*server) {}, 200, ""},
		"no token":                       {func(*server) string { return "" }, func(*server) {}, 401, "missing_token"},
		"garbage":                        {func(*server) string { return "garbage" }, func(*server) {}, 401, authz.InvalidToken},
		"tampered":                       {func(s *server) string { return s.bossToken() + "x" }, func(*server) {}, 401, authz.InvalidToken},
		"refresh token":                  {func(s *server) string { return s.login("app").str("refresh_token") }, func(*server) {}, 401, authz.InvalidToken},
		"for another resource":           {func(s *server) string { return s.login("app").str("access_token") }, func(*server) {}, 401, authz.InvalidToken},
		"for the account API":            {func(s *server) string { return s.bearer(boss) }, func(*server) {}, 401, authz.InvalidToken},
		"read only":                      {func(s *server) string { return s.bossToken("scope", authz.ScopeAdminRead) }, func(*server) {}, 403, authz.InsufficientScope},
		"role removed":                   {user, func(s *server) { roles(s) }, 403, authz.InsufficientScope},
		"another role":                   {user, func(s *server) { roles(s, "administrator", "admins") }, 403, authz.InsufficientScope},
		"role removed and given again":   {user, func(s *server) { roles(s); roles(s, authz.RoleAdmin) }, 200, ""},
		"banned":                         {user, func(s *server) { ban(s, authz.Forever) }, 401, authz.InvalidToken},
		"banned for a minute":            {user, func(s *server) { ban(s, s.clock.Now().Add(time.Minute)); s.clock.Add(2 * time.Minute) }, 401, authz.InvalidToken},
		"deleted":                        {user, func(s *server) { _, err := s.users.Delete(s.t.Context(), boss); must(s.t, err) }, 401, authz.InvalidToken},
		"another password":               {user, func(s *server) { _, err := s.users.SetPassword(s.t.Context(), boss, goodPW, false); must(s.t, err) }, 401, authz.InvalidToken},
		"sessions ended":                 {user, func(s *server) { endSessions(s, authz.Ending{ClientID: "desk", Cause: authz.CauseAdmin}) }, 401, authz.InvalidToken},
		"client disabled":                {user, func(s *server) { s.updateClient("desk", func(c *authz.Client) { c.DisabledAt = s.clock.Now() }) }, 401, authz.InvalidToken},
		"client deleted":                 {user, func(s *server) { must(s.t, s.clients.Delete(s.t.Context(), "desk")) }, 401, authz.InvalidToken},
		"client not for it any more":     {user, func(s *server) { unregister(s, "desk") }, 403, authz.InsufficientScope},
		"client not for the scope":       {user, func(s *server) { s.updateClient("desk", readOnly) }, 403, authz.InsufficientScope},
		"expired":                        {user, func(s *server) { s.clock.Add(16 * time.Minute) }, 401, authz.InvalidToken},
		"machine":                        {machine, func(*server) {}, 200, ""},
		"machine, read only":             {func(s *server) string { return s.machineToken("scope", authz.ScopeAdminRead) }, func(*server) {}, 403, authz.InsufficientScope},
		"machine not for it any more":    {machine, func(s *server) { unregister(s, "machine") }, 403, authz.InsufficientScope},
		"machine not for the scope":      {machine, func(s *server) { s.updateClient("machine", readOnly) }, 403, authz.InsufficientScope},
		"machine disabled":               {machine, func(s *server) { s.updateClient("machine", func(c *authz.Client) { c.DisabledAt = s.clock.Now() }) }, 401, authz.InvalidToken},
		"machine disabled and let in":    {machine, disabledAndLetIn, 401, authz.InvalidToken},
		"machine deleted":                {machine, func(s *server) { must(s.t, s.clients.Delete(s.t.Context(), "machine")) }, 401, authz.InvalidToken},
		"machine of another resource":    {func(s *server) string { return robotToken(s) }, func(*server) {}, 401, authz.InvalidToken},
		"machine expired":                {machine, func(s *server) { s.clock.Add(16 * time.Minute) }, 401, authz.InvalidToken},
		"machine's user of the same id":  {machine, func(s *server) { pgUser(s, "machine", func(u *authz.User) { u.ID = "usr_machine" }) }, 200, ""},
		"the store knows nothing of him": {user, func(s *server) { s.store.SetDown(authz.ErrUnavailable) }, 503, authz.TemporarilyUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			s := adminServer(t)
			token := row.token(s)
			row.change(s)
			s.service.Registry.Invalidate()
			for what, body := range map[string]string{"good body": `{"session_ids":["nothing"]}`, "bad body": `{"secret":"` + planted, "no body": ""} {
				a := s.admins(token, http.MethodPost, "/sessions/revoke", body)
				switch {
				case row.status != 200:
					s.problem(name+", "+what, a, row.status, row.code)
				case (a.StatusCode == 200) != (what == "good body"), (a.StatusCode == 400) != (what != "good body"):
					t.Errorf("%s = %d %s, want it let in", what, a.StatusCode, a.body)
				}
				if challenge := a.Header.Get("WWW-Authenticate"); (row.status == 401 || row.status == 403) != strings.HasPrefix(challenge, "Bearer ") {
					t.Errorf("challenge of %d = %q", row.status, challenge)
				}
				if token != "" && strings.Contains(a.body+s.log.String(), token) {
					t.Errorf("the token stands in the answer or the log")
				}
			}
		})
	}
}

func readOnly(c *authz.Client) { c.Scope = authz.Scope{authz.ScopeAdminRead} }

// unregister takes the admin API out of a client's registration.
func unregister(s *server, id string) {
	s.updateClient(id, func(c *authz.Client) { c.Resources, c.Scope = []string{apiURI}, authz.Scope{"read"} })
}

func disabledAndLetIn(s *server) {
	s.updateClient("machine", func(c *authz.Client) { c.Disable(true, s.clock.Now()) })
	s.clock.Add(time.Second)
	s.updateClient("machine", func(c *authz.Client) { c.Disable(false, s.clock.Now()) })
}

func endSessions(s *server, ending authz.Ending) {
	s.t.Helper()
	if n, err := s.admin.Sessions.End(s.t.Context(), ending); err != nil || n == 0 {
		s.t.Fatalf("ended %d sessions, %v", n, err)
	}
}

func robotToken(s *server) string {
	return s.as("robot", "/oauth/token", "grant_type", "client_credentials", "resource", apiURI).str("access_token")
}

// No user without the role gets a scope of the admin API, and no client that
// is not registered for it.
func TestAdminScopesAreForAdmins(t *testing.T) {
	s := adminServer(t)
	for name, a := range map[string]answer{
		"user":   pgLogin(s, "desk", username, secretPW, "resource", adminURI),
		"client": s.as("robot", "/oauth/token", "grant_type", "client_credentials", "resource", adminURI),
		"app":    pgLogin(s, "app", boss, secretPW, "resource", adminURI),
	} {
		if a.StatusCode != http.StatusBadRequest || a.str("access_token") != "" {
			t.Errorf("%s gets %d %s, want a refusal", name, a.StatusCode, a.body)
		}
	}
}

// A token comes in one way alone.
func TestAdminTokenPlaces(t *testing.T) {
	s := adminServer(t)
	token := s.bossToken()
	for name, row := range map[string]struct {
		path   string
		edit   func(r *http.Request)
		status int
		code   authz.Code
	}{
		"query":                 {"/overview?access_token=" + token, func(*http.Request) {}, 401, "missing_token"},
		"query too":             {"/overview?access_token=" + token, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }, 400, authz.InvalidRequest},
		"two headers":           {"/overview", func(r *http.Request) { r.Header["Authorization"] = []string{"Bearer " + token, "Bearer " + token} }, 400, authz.InvalidRequest},
		"two in one header":     {"/overview", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token+", Bearer "+token) }, 401, ""},
		"other scheme":          {"/overview", func(r *http.Request) { r.Header.Set("Authorization", "Basic "+token) }, 401, "missing_token"},
		"cookie":                {"/overview", func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "access_token", Value: token}) }, 401, "missing_token"},
		"export by query":       {"/events/export?access_token=" + token, func(*http.Request) {}, 401, "missing_token"},
		"document needs no one": {"/openapi.json", func(*http.Request) {}, 200, ""},
	} {
		a := s.admins("", http.MethodGet, row.path, "", row.edit)
		if a.StatusCode != row.status || (row.code != "" && a.str("code") != string(row.code)) {
			t.Errorf("%s = %d %s, want %d %s", name, a.StatusCode, a.body, row.status, row.code)
		}
		if strings.Contains(a.body+s.log.String(), token) {
			t.Errorf("%s: the token stands in the answer or the log", name)
		}
	}
}

// Attack 52: secrets that are sent stand in no refusal and in no log.
func TestAdminEchoesNoSecret(t *testing.T) {
	f := newAdminFixture(t)
	for _, row := range [][3]string{
		{"POST", "/users", `{"username":"dave","password":"` + planted},
		{"POST", "/users", `{"username":"dave","password":{"a":"` + planted + `"}}`},
		{"POST", "/users", `{"username":7,"password":"` + planted + `"}`},
		{"POST", "/users", `{"username":"dave","password":"` + planted + `","more":1}`},
		{"POST", "/users", `{"username":"carol","password":"` + planted + `"}`},
		{"POST", "/users", `{"username":"dave","password":"dave ` + planted + `","roles":["A"]}`},
		{"POST", "/users", `{"username":"` + planted + `","password":"` + planted + `"}`},
		{"POST", "/users", `{"username":"dave","password":"` + strings.Repeat(planted, 300) + `"}`},
		{"PUT", "/users/" + f.userID + "/password", `{"password":["` + planted + `"]}`},
		{"PUT", "/users/" + f.userID + "/password", `"` + planted + `"`},
		{"PUT", "/users/usr_0/password", `{"password":"` + planted + `"}`},
		{"PUT", "/users/" + f.userID + "/password", `{"password":"` + planted + `","must_change":"` + planted + `"}`},
		{"POST", "/clients", `{"client_secret":"` + planted + `"}`},
		{"POST", "/clients", `{"lost_response_budget":"` + planted + `"}`},
		{"POST", "/clients", `{"token_endpoint_auth_method":"` + planted + `"}`},
		{"POST", "/clients", `{"idle_ttl":"` + planted + `"}`},
		{"POST", "/clients", `{"scope":"\"` + planted + `"}`},
		{"POST", "/resources", `{"uri":"https://x.example","access_token_ttl":"` + planted + `"}`},
		{"POST", "/keys/rotate", `{"alg":"` + planted + `"}`},
		{"POST", "/sessions/revoke", `{"session_ids":"` + planted + `"}`},
		{"POST", "/clients/robot/rotate-secret", `{"overlap":"` + planted + `"}`},
		{"POST", "/users/" + f.userID + "/ban", `{"duration":"` + planted + `"}`},
		{"GET", "/events?from=" + planted, ""},
		{"GET", "/events?kind=" + planted, ""},
		{"GET", "/events?after=" + planted, ""},
		{"GET", "/events?limit=" + planted, ""},
		{"GET", "/events/export?kind=" + planted, ""},
		{"GET", "/events/export?from=" + planted, ""},
		{"GET", "/sessions?state=" + planted, ""},
		{"GET", "/overview?range=" + planted, ""},
		{"GET", "/overview?x=" + planted + "&x=" + planted, ""},
		{"GET", "/users?username=%00" + planted, ""},
		{"GET", "/users/" + planted, ""},
		{"GET", "/resources/" + planted, ""},
	} {
		for _, edit := range []func(*http.Request){
			func(*http.Request) {}, ifMatch(planted), func(r *http.Request) { r.Header.Set("Content-Type", "text/"+planted) }, func(r *http.Request) { r.Header.Set("Accept", "text/"+planted) },
		} {
			a := f.do(f.adminRequest(f.token, row[0], row[1], row[2], edit))
			if a.StatusCode < 400 || strings.Contains(a.body, planted) {
				t.Errorf("%v = %d %s, want a refusal that does not quote it", row, a.StatusCode, a.body)
			}
		}
	}
	for _, sink := range []string{planted, f.token, secretPW} {
		if strings.Contains(f.log.String(), sink) {
			t.Errorf("the log holds %q", sink)
		}
	}
}

// With a listener of its own the admin API is nowhere else.
func TestAdminApart(t *testing.T) {
	s := adminServer(t, func(o *options) { o.adminApart = true })
	token := s.bossToken()
	for _, path := range []string{"/overview", "/events/export", "/openapi.json", "/docs", "/clients"} {
		public := s.admins(token, http.MethodGet, path, "")
		s.problem("public "+path, public, http.StatusNotFound, authz.NotFound)
		recorder := httptest.NewRecorder()
		s.handler.Admin.ServeHTTP(recorder, s.adminRequest(token, http.MethodGet, path, ""))
		if recorder.Code != http.StatusOK {
			t.Errorf("%s of the admins' handler = %d %s", path, recorder.Code, recorder.Body)
		}
	}
	for _, path := range []string{"/oauth/token", "/.well-known/jwks.json", "/account/me", "/oauth/introspect"} {
		recorder := httptest.NewRecorder()
		s.handler.Admin.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if recorder.Code != http.StatusNotFound {
			t.Errorf("%s of the admins' handler = %d, want 404", path, recorder.Code)
		}
	}
	if together := adminServer(t); together.handler.Admin != nil {
		t.Error("there is a handler for admins that stand not apart")
	}
}
