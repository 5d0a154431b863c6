package web_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"chancery/authz"
)

// accountRoutes are all endpoints; those with a token need one.
func accountRoutes() []struct {
	method, path string
	token, body  bool
} {
	return []struct {
		method, path string
		token, body  bool
	}{
		{"POST", "/register", false, true},
		{"POST", "/email/verify", false, true},
		{"POST", "/password/forgot", false, true},
		{"POST", "/password/reset", false, true},
		{"POST", "/password/strength", false, true},
		{"GET", "/me", true, false},
		{"PUT", "/password", true, true},
		{"PUT", "/email", true, true},
		{"DELETE", "", true, true},
		{"GET", "/sessions", true, false},
		{"DELETE", "/sessions/x", true, false},
		{"POST", "/logout", true, false},
	}
}

func TestAccountOtherMethodsAndPaths(t *testing.T) {
	s := accountServer(t)
	token := s.bearer(bob)
	for _, route := range accountRoutes() {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "TRACE"} {
			if method == route.method || (method == http.MethodGet && route.path == "") { // where the page of connected apps is
				continue
			}
			a := s.call(method, route.path, token, nil)
			if a.StatusCode != http.StatusMethodNotAllowed || !strings.Contains(a.Header.Get("Allow"), route.method) || a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s = %d with %v, want 405, Allow and no-store", method, route.path, a.StatusCode, a.Header)
			}
		}
		for _, path := range []string{route.path + "/", strings.ToUpper(route.path) + "X", route.path + "/x/y"} {
			if a := s.call(route.method, path, token, nil); a.StatusCode != http.StatusNotFound || a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s = %d with %v, want 404 and no-store", route.method, path, a.StatusCode, a.Header)
			}
		}
	}
	s.expect(pgLogin(s, "app", bob, secretPW), http.StatusOK, "")
}

// Attacks 40 and 57.
func TestAccountJSONIsStrict(t *testing.T) {
	s := accountServer(t)
	const good = `{"client_id":"app","username":"carol","email":"c@example.com","password":"` + goodPW + `"}`
	with := func(member string) string { return strings.TrimSuffix(good, "}") + "," + member + "}" }
	contentType := func(values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header["Content-Type"] = values }
	}
	for name, row := range map[string]struct {
		body string
		edit func(*http.Request)
	}{
		"form":                   {"client_id=app&username=carol&email=c@example.com", contentType("application/x-www-form-urlencoded")},
		"form type":              {good, contentType("application/x-www-form-urlencoded")},
		"text type":              {good, contentType("text/plain")}, // no preflight precedes it
		"no type":                {good, contentType()},
		"empty type":             {good, contentType("")},
		"other JSON type":        {good, contentType("application/merge-patch+json")},
		"type with a list":       {good, contentType("application/json, text/plain")},
		"Latin-1":                {good, contentType("application/json; charset=iso-8859-1")},
		"two charsets":           {good, contentType("application/json; charset=utf-8; charset=utf-16")},
		"compressed":             {good, func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }},
		"query":                  {good, func(r *http.Request) { r.URL.RawQuery = "username=carol" }},
		"query alone":            {"{}", func(r *http.Request) { r.URL.RawQuery = "client_id=app&username=carol&email=c@example.com&password=x" }},
		"empty":                  {"", nil},
		"array":                  {"[" + good + "]", nil},
		"twice":                  {with(`"username":"dave"`), nil},
		"twice by escape":        {with(`"\u0075sername":"dave"`), nil},
		"capitals":               {with(`"Username":"dave"`), nil},
		"twice by long s":        {with(`"u\u017fername":"dave"`), nil},
		"trailing":               {good + good, nil},
		"trailing text":          {good + " x", nil},
		"nested":                 {with(`"roles":["admin"]`), nil},
		"nested value":           {strings.Replace(good, `"carol"`, `{"$ne":""}`, 1), nil},
		"number":                 {strings.Replace(good, `"carol"`, `1`, 1), nil},
		"huge number":            {strings.Replace(good, `"carol"`, `1e999999`, 1), nil},
		"null":                   {strings.Replace(good, `"carol"`, `null`, 1), nil},
		"lone surrogate":         {strings.Replace(good, goodPW, `\ud800\ud800 `+goodPW, 1), nil},
		"invalid UTF-8":          {strings.Replace(good, "carol", "car\xffol", 1), nil},
		"control":                {strings.Replace(good, "carol", "car\x01ol", 1), nil},
		"escaped NUL":            {strings.Replace(good, "carol", `car\u0000ol`, 1), nil},
		"escaped NUL, password":  {strings.Replace(good, goodPW, goodPW+`\u0000`, 1), nil},
		"escaped NUL, client":    {strings.Replace(good, `"app"`, `"app\u0000"`, 1), nil},
		"role":                   {with(`"roles":"admin"`), nil},
		"id":                     {with(`"id":"usr_1"`), nil},
		"verified":               {with(`"email_verified":true`), nil},
		"hash":                   {with(`"password_hash":"$argon2id$"`), nil},
		"epoch":                  {with(`"auth_epoch":"9"`), nil},
		"must change":            {with(`"must_change":false`), nil},
		"member of another body": {with(`"new_password":"x"`), nil},
	} {
		edit := row.edit
		if edit == nil {
			edit = func(*http.Request) {}
		}
		s.problem(name, s.call("POST", "/register", "", row.body, edit), 400, authz.InvalidRequest)
	}
	if n := s.store.Calls["InsertConfirmation"]; n != 0 || len(s.mails) != 0 {
		t.Errorf("%d confirmations and %d mails, want none", n, len(s.mails))
	}
	for _, media := range []string{"application/json", "Application/JSON; charset=UTF-8"} {
		s.ok(media, s.call("POST", "/register", "", good, contentType(media)), http.StatusAccepted)
	}
}

// Attacks 3 and 55.
func TestAccountBigBodies(t *testing.T) {
	s := accountServer(t)
	token, huge := s.bearer(bob), strings.Repeat("x", 1<<20)
	for _, route := range accountRoutes() {
		if !route.body {
			continue
		}
		bearer := map[bool]string{true: token}[route.token]
		for name, body := range map[string]string{
			"value": `{"password":"` + huge + `"}`, "space": strings.Repeat(" ", 1<<20) + "{}", "name": `{"` + huge + `":"a"}`, "depth": strings.Repeat("[", 1<<20),
		} {
			calls := s.store.CallCount()
			s.problem(route.path+" "+name, s.call(route.method, route.path, bearer, body), 413, authz.InvalidRequest)
			if n := s.store.CallCount() - calls; n > 1 { // the token's session
				t.Errorf("%s %s: %d calls to the database", route.path, name, n)
			}
		}
		s.problem(route.path+" unknown member", s.call(route.method, route.path, bearer, `{"roles":"admin"}`), 400, authz.InvalidRequest)
		s.problem(route.path+" as a form", s.call(route.method, route.path, bearer, "a=b", func(r *http.Request) {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}), 400, authz.InvalidRequest)
		s.problem(route.path+" in the URL", s.call(route.method, route.path, bearer, "{}", func(r *http.Request) { r.URL.RawQuery = "password=x" }), 400, authz.InvalidRequest)
	}
	s.expect(pgLogin(s, "app", bob, secretPW), http.StatusOK, "")
}

// forge signs an access token like token with other claims; nil takes one out.
func (s *server) forge(token, typ string, edits map[string]any) string {
	s.t.Helper()
	claims := s.claims(token)
	for name, value := range edits {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
	payload, err := json.Marshal(claims)
	must(s.t, err)
	forged, err := s.rotator.Ring.Sign("RS256", typ, payload)
	must(s.t, err)
	return forged
}

func TestAccountBE01To05BearerErrors(t *testing.T) {
	s := accountServer(t)
	const account = issuer + "/account"
	login := s.sign("app", bob, secretPW)
	good := login.str("access_token")
	foreign := pgLogin(s, "app", bob, secretPW).str("access_token")
	robot := ccToken(s, "robot", "resource", apiURI).str("access_token")
	revoked := s.bearer(bob)
	s.as("app", "/oauth/revoke", "token", revoked)
	disabled := s.sign("app2", bob, secretPW).str("access_token")
	disable(t, s, "app2")
	const bare, invalid = `Bearer realm="` + issuer + `"`, `Bearer realm="` + issuer + `", error="invalid_token", error_description="The access token is not valid, or no longer."`
	const missing authz.Code = "missing_token"
	for name, row := range map[string]struct {
		authorization []string
		status        int
		code          authz.Code
		challenge     string
	}{
		"none":               {nil, 401, missing, bare},
		"empty":              {[]string{""}, 401, missing, bare},
		"Basic":              {[]string{basicHeader("app", "x")}, 401, missing, bare},
		"scheme alone":       {[]string{"Bearer"}, 401, missing, bare},
		"token alone":        {[]string{good}, 401, missing, bare},
		"no token":           {[]string{"Bearer "}, 401, authz.InvalidToken, invalid},
		"garbage":            {[]string{`Bearer "x"` + "\x7f\u00e9"}, 401, authz.InvalidToken, invalid},
		"big":                {[]string{"Bearer " + strings.Repeat("x", 1<<20)}, 401, authz.InvalidToken, invalid},
		"two tokens":         {[]string{"Bearer " + good + " " + good}, 401, authz.InvalidToken, invalid},
		"list":               {[]string{"Bearer " + good + ", Bearer " + good}, 401, authz.InvalidToken, invalid},
		"refresh token":      {[]string{"Bearer " + login.str("refresh_token")}, 401, authz.InvalidToken, invalid},
		"foreign audience":   {[]string{"Bearer " + foreign}, 401, authz.InvalidToken, invalid},
		"of a client":        {[]string{"Bearer " + robot}, 401, authz.InvalidToken, invalid},
		"of a client, here":  {[]string{"Bearer " + s.forge(robot, "at+jwt", map[string]any{"aud": account, "scope": "account"})}, 401, authz.InvalidToken, invalid},
		"revoked":            {[]string{"Bearer " + revoked}, 401, authz.InvalidToken, invalid},
		"disabled client":    {[]string{"Bearer " + disabled}, 401, authz.InvalidToken, invalid},
		"another type":       {[]string{"Bearer " + s.forge(good, "logout+jwt", nil)}, 401, authz.InvalidToken, invalid},
		"another issuer":     {[]string{"Bearer " + s.forge(good, "at+jwt", map[string]any{"iss": "https://evil.example"})}, 401, authz.InvalidToken, invalid},
		"unknown session":    {[]string{"Bearer " + s.forge(good, "at+jwt", map[string]any{"sid": "x"})}, 401, authz.InvalidToken, invalid},
		"no expiry":          {[]string{"Bearer " + s.forge(good, "at+jwt", map[string]any{"exp": nil})}, 401, authz.InvalidToken, invalid},
		"wrong scope":        {[]string{"Bearer " + s.forge(good, "at+jwt", map[string]any{"scope": "read accounts"})}, 403, authz.InsufficientScope, ""},
		"no scope":           {[]string{"Bearer " + s.forge(good, "at+jwt", map[string]any{"scope": nil})}, 403, authz.InsufficientScope, ""},
		"two headers":        {[]string{"Bearer " + good, "Bearer " + good}, 400, authz.InvalidRequest, "-"},
		"two headers, other": {[]string{"Bearer " + good, basicHeader("app", "x")}, 400, authz.InvalidRequest, "-"},
	} {
		for _, route := range accountRoutes() {
			if !route.token {
				continue
			}
			a := s.call(route.method, route.path, "", members("current_password", secretPW), func(r *http.Request) { r.Header["Authorization"] = row.authorization })
			s.problem(name, a, row.status, row.code)
			if row.challenge == "" {
				row.challenge = `Bearer realm="` + issuer + `", error="insufficient_scope", error_description="The access token lacks the scope that is needed here.", scope="account"`
			}
			if row.challenge != "-" {
				wantHeader(t, a, "WWW-Authenticate", row.challenge)
			}
		}
	}
	for _, authorization := range []string{"Bearer " + good, "bearer " + good, "BEARER  " + good} {
		s.ok(authorization[:8], s.call("GET", "/me", "", nil, func(r *http.Request) { r.Header.Set("Authorization", authorization) }), http.StatusOK)
	}
	s.clock.Add(15 * time.Minute)
	s.problem("expired", s.call("GET", "/me", good, nil), 401, authz.InvalidToken)
}

// A token is read from the header alone; one that comes twice, by different
// roads, is a malformed request (RFC 6750 sections 2 and 3.1).
func TestAccountBE03OtherTransports(t *testing.T) {
	s := accountServer(t)
	token := s.bearer(bob)
	inQuery := func(r *http.Request) { r.URL.RawQuery = "access_token=" + token }
	for _, route := range accountRoutes() {
		if !route.token {
			continue
		}
		if a := s.call(route.method, route.path, "", members("access_token", token), inQuery); a.StatusCode != 401 && a.StatusCode != 400 {
			t.Errorf("%s %s with a token in query and body = %d %s, want 401 or 400", route.method, route.path, a.StatusCode, a.body)
		}
		a := s.call(route.method, route.path, token, members("current_password", "wrong"), inQuery)
		s.problem(route.method+" "+route.path+" with a token in header and query", a, 400, authz.InvalidRequest)
	}
}

func TestAccountClients(t *testing.T) {
	s := accountServer(t)
	disable(t, s, "app2")
	paths := []string{"/register", "/email/verify", "/password/forgot", "/password/reset", "/password/strength"}
	for _, path := range paths {
		post := func(pairs ...string) answer { return s.call("POST", path, "", members(pairs...)) }
		unknown := post("client_id", "nobody", "client_secret", "wrong")
		s.problem(path, unknown, 401, authz.InvalidClient)
		for name, pairs := range map[string][]string{
			"wrong secret":       {"client_id", "web", "client_secret", "wrong"},
			"no secret":          {"client_id", "web"},
			"unknown public":     {"client_id", "nobody"},
			"secret of a public": {"client_id", "app", "client_secret", "x"},
			"secret of another":  {"client_id", "web", "client_secret", s.secrets["robot"].Reveal()},
			"disabled":           {"client_id", "app2"},
			"impossible id":      {"client_id", "../app"},
			"another case":       {"client_id", "APP"},
			"none":               {},
		} {
			if got, want := fingerprint(post(pairs...)), fingerprint(unknown); got != want {
				t.Errorf("%s at %s = %s, want as for an unknown client %s", name, path, got, want)
			}
		}
		s.problem(path+": not first-party", s.by("plain", path), 403, authz.UnauthorizedClient)
		s.problem(path+": machine", s.by("robot", path), 403, authz.UnauthorizedClient)
	}
	if len(s.mails) != 0 {
		t.Errorf("mails = %+v, want none", s.mails)
	}
}

func TestAccountCORS(t *testing.T) {
	s := accountServer(t)
	token := s.bearer(bob)
	for _, route := range accountRoutes() {
		for origin, allowed := range map[string]bool{
			spaOrigin: true, "https://app.example": true, "https://evil.example": false, "null": false, "": false, "*": false,
			spaOrigin + ".evil.example": false, "http://spa.example": false, spaOrigin + ":443": false, spaOrigin + "/": false, "HTTPS://SPA.EXAMPLE": false,
		} {
			want := map[bool]string{true: origin}[allowed]
			asked := s.call(http.MethodOptions, route.path, "", nil, func(r *http.Request) {
				r.Header.Set("Origin", origin)
				r.Header.Set("Access-Control-Request-Method", route.method)
				r.Header.Set("Access-Control-Request-Headers", "authorization,content-type")
			})
			methods := strings.Split(asked.Header.Get("Access-Control-Allow-Methods"), ", ")
			headers := strings.ToLower(asked.Header.Get("Access-Control-Allow-Headers"))
			if asked.StatusCode != http.StatusNoContent || slices.Contains(methods, route.method) != allowed || (headers == "authorization, content-type, dpop") != allowed {
				t.Errorf("preflight of %s %s from %q = %d %v, want it allowed: %t", route.method, route.path, origin, asked.StatusCode, asked.Header, allowed)
			}
			// Errors can be read too, without and with a token.
			for _, a := range []answer{
				asked,
				s.call(route.method, route.path, "", nil, func(r *http.Request) { r.Header.Set("Origin", origin) }),
				s.call(route.method, route.path, token, "x", func(r *http.Request) {
					r.Header.Set("Origin", origin)
					r.URL.RawQuery = "scope=none"
				}),
			} {
				wantHeader(t, a, "Access-Control-Allow-Origin", want)
				wantHeader(t, a, "Access-Control-Allow-Credentials", "")
				wantHeader(t, a, "Vary", "Origin")
				wantHeader(t, a, "Set-Cookie", "")
			}
		}
	}
}

func TestAccountBelowAPath(t *testing.T) {
	const tenantIssuer = "https://as.example/tenant"
	s := newServer(t, func(o *options) { o.issuer = tenantIssuer })
	login := s.as("app", "/tenant/oauth/token", "grant_type", "password", "username", username, "password", secretPW, "resource", tenantIssuer+"/account")
	s.expect(login, http.StatusOK, "")
	for path, want := range map[string]int{"/tenant/account/me": http.StatusOK, "/account/me": http.StatusNotFound} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		r.Header.Set("Authorization", "Bearer "+login.str("access_token"))
		if a := s.do(r); a.StatusCode != want {
			t.Errorf("%s = %d %s, want %d", path, a.StatusCode, a.body, want)
		}
	}
}

func TestAccountDatabaseDown(t *testing.T) {
	s := accountServer(t)
	token := s.bearer(bob)
	s.ok("me", s.call("GET", "/me", token, nil), http.StatusOK) // the registry is warm
	for _, row := range []struct {
		err    error
		status int
	}{{authz.ErrUnavailable, 503}, {fmt.Errorf("secret of the database"), 500}} {
		s.store.SetDown(row.err)
		for path, a := range map[string]answer{
			"/me":              s.call("GET", "/me", token, nil),
			"/register":        s.by("app", "/register", "email", "c@example.com", "password", goodPW),
			"/password/forgot": s.by("app", "/password/forgot", "username", bob),
			"/password/reset":  s.by("app", "/password/reset", "token", "x", "new_password", goodPW),
			"/email/verify":    s.by("app", "/email/verify", "token", "x"),
		} {
			retry := a.Header.Get("Retry-After")
			if a.StatusCode != row.status || (retry != "") != (row.status == 503) || strings.Contains(a.body, "secret") || a.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s = %d %s with %v, want a bare %d", path, a.StatusCode, a.body, a.Header, row.status)
			}
		}
		s.store.SetDown(nil)
	}
}
