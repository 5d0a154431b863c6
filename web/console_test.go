package web_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"chancery/authz"

	"github.com/gin-gonic/gin"
)

// consoleStore keeps sessions of the console in memory, as storage does: one
// that was deleted never comes back.
type consoleStore struct {
	mu   sync.Mutex
	rows map[string]consoleSession
	// late is how far the time at which a session is looked for is ahead.
	late time.Duration
	// findDown and commitDown, unless nil, are what the methods fail with.
	findDown, commitDown error
	// onFind, unless nil, is called when a session has been found.
	onFind func()
}

type consoleSession struct {
	data    []byte
	expires time.Time
	gone    bool
}

func (s *consoleStore) FindCtx(_ context.Context, token string) ([]byte, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	row, ok := s.rows[token]
	if !ok || row.gone || !row.expires.After(time.Now().Add(s.late)) || s.findDown != nil {
		return nil, false, s.findDown
	}
	if s.onFind != nil {
		s.onFind()
	}
	return row.data, true, nil
}

func (s *consoleStore) CommitCtx(_ context.Context, token string, data []byte, expiry time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.rows[token].gone && s.commitDown == nil {
		s.rows[token] = consoleSession{data: data, expires: expiry}
	}
	return s.commitDown
}

func (s *consoleStore) DeleteCtx(_ context.Context, token string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows[token] = consoleSession{gone: true}
	return nil
}

func (s *consoleStore) Find(token string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), token)
}

func (s *consoleStore) Commit(token string, data []byte, expiry time.Time) error {
	return s.CommitCtx(context.Background(), token, data, expiry)
}

func (s *consoleStore) Delete(token string) error { return s.DeleteCtx(context.Background(), token) }

// live returns the sessions that are there, by the name under which they are
// stored.
func (s *consoleStore) live() map[string]consoleSession {
	s.mu.Lock()
	defer s.mu.Unlock()
	live := maps.Clone(s.rows)
	maps.DeleteFunc(live, func(_ string, row consoleSession) bool { return row.gone })
	return live
}

const consoleCookie = "__Secure-chancery_console"

// consoleFixture is a browser of boss on the console.
type consoleFixture struct {
	*adminFixture
	// cookie is the token of the session, "" before the login.
	cookie string
}

// newConsole signs boss in to the console of a server that has one of
// everything.
func newConsole(t testing.TB, edit ...func(*options)) *consoleFixture {
	t.Helper()
	f := &consoleFixture{adminFixture: newAdminFixture(t, edit...)}
	if a := f.signIn(boss, secretPW); a.StatusCode != http.StatusSeeOther || f.cookie == "" {
		t.Fatalf("login = %d %s", a.StatusCode, a.body)
	}
	return f
}

func (f *consoleFixture) signIn(name, secret string, pairs ...string) answer {
	f.t.Helper()
	return f.send("/console/login", append([]string{"username", name, "password", secret}, pairs...)...)
}

// browse sends what the browser would, and keeps the cookie of the answer.
func (f *consoleFixture) browse(r *http.Request) answer {
	f.t.Helper()
	if f.cookie != "" {
		r.AddCookie(&http.Cookie{Name: consoleCookie, Value: f.cookie})
	}
	if r.Header.Get("User-Agent") == "" {
		r.Header.Set("User-Agent", "Desk")
	}
	a := f.server.do(r)
	for _, cookie := range a.Cookies() {
		if cookie.Name == consoleCookie {
			f.cookie = cookie.Value
		}
	}
	return a
}

// see asks for a page.
func (f *consoleFixture) see(path string, edit ...func(*http.Request)) answer {
	f.t.Helper()
	r := httptest.NewRequestWithContext(f.t.Context(), http.MethodGet, path, nil)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for _, e := range edit {
		e(r)
	}
	return f.browse(r)
}

// send sends a form.
func (f *consoleFixture) send(path string, pairs ...string) answer {
	f.t.Helper()
	r := f.form(path, pairs...)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return f.browse(r)
}

// consoleForm is what is sent to a route of the console, and the event that
// this leaves.
type consoleForm struct {
	pairs []string
	kind  authz.EventKind
	// prepare makes a change necessary.
	prepare func(f *consoleFixture)
}

// consoleForms are by the patterns of all routes that take a form.
func consoleForms() map[string]consoleForm {
	ban := func(f *consoleFixture) {
		_, err := f.users.Ban(f.t.Context(), f.userID, authz.Forever, "spam")
		must(f.t, err)
	}
	disable := func(f *consoleFixture) {
		f.updateClient("robot", func(c *authz.Client) { c.Disable(true, f.clock.Now()) })
	}
	return map[string]consoleForm{
		"/console/login":                {[]string{"username", boss, "password", secretPW}, authz.EventLoginSucceeded, nil},
		"/console/logout":               {nil, "", nil},
		"/console/sessions/confirm":     {[]string{"sid", ":sid"}, "", nil},
		"/console/sessions/revoke":      {[]string{"sid", ":sid"}, authz.EventSessionEnded, nil},
		"/console/users":                {[]string{"username", "dora", "password", goodPW, "roles", "reader"}, authz.EventUserCreated, nil},
		"/console/users/:id/roles":      {[]string{"roles", "writer"}, authz.EventRolesChanged, nil},
		"/console/users/:id/ban":        {[]string{"length", "24h", "reason", "spam"}, authz.EventUserBanned, nil},
		"/console/users/:id/unban":      {nil, authz.EventUserUnbanned, ban},
		"/console/users/:id/password":   {[]string{"password", goodPW}, authz.EventPasswordChanged, nil},
		"/console/users/:id/revoke":     {nil, authz.EventSessionEnded, nil},
		"/console/users/:id/delete":     {[]string{"confirm", "carol"}, authz.EventUserDeleted, nil},
		"/console/clients":              {[]string{"client_id", "fresh", "client_name", "Fresh", "token_endpoint_auth_method", "client_secret", "grant_types", "client_credentials", "resources", apiURI, "scope", "read"}, authz.EventClientCreated, nil},
		"/console/clients/:id/edit":     {[]string{"version", "1", "client_name", "Other", "token_endpoint_auth_method", "client_secret", "grant_types", "client_credentials", "resources", apiURI, "scope", "read"}, authz.EventClientChanged, nil},
		"/console/clients/:id/secret":   {[]string{"overlap", "24h"}, authz.EventSecretRotated, nil},
		"/console/clients/:id/disable":  {nil, authz.EventClientChanged, nil},
		"/console/clients/:id/enable":   {nil, authz.EventClientChanged, disable},
		"/console/clients/:id/revoke":   {nil, "", nil},
		"/console/clients/:id/delete":   {[]string{"confirm", "robot"}, authz.EventClientDeleted, nil},
		"/console/resources":            {[]string{"uri", "https://notes.example", "name", "Notes", "algorithm", "EdDSA", "access_token_ttl", "5m", "scopes", "notes:read"}, authz.EventResourceCreated, nil},
		"/console/resources/:id":        {[]string{"version", ":version", "name", "Spare parts", "algorithm", "RS256", "scopes", "spare"}, authz.EventResourceChanged, nil},
		"/console/resources/:id/delete": {nil, authz.EventResourceDeleted, nil},
		"/console/keys/rotate":          {[]string{"algorithm", "RS256"}, authz.EventKeyRotated, nil},
		"/console/keys/:kid/compromise": {nil, authz.EventKeyCompromised, nil},
	}
}

// path puts what exists into the pattern of a route.
func (f *consoleFixture) path(pattern string) string {
	id := map[string]string{
		"users": f.userID, "clients": "robot", "resources": base64.RawURLEncoding.EncodeToString([]byte(spareURI)),
	}[strings.Split(pattern+"/", "/")[2]]
	return strings.NewReplacer(":id", id, ":sid", f.sessionID, ":kid", f.keyID).Replace(pattern)
}

// pairs puts what exists into a form.
func (f *consoleFixture) pairs(form consoleForm) []string {
	f.t.Helper()
	spare, err := f.admin.Resources.Find(f.t.Context(), spareURI)
	must(f.t, err)
	pairs := make([]string, len(form.pairs))
	for i, text := range form.pairs {
		pairs[i] = strings.NewReplacer(":sid", f.sessionID, ":version", jsonText(f.t, spare.UpdatedAt.UnixMilli())).Replace(text)
	}
	return pairs
}

func jsonText(t testing.TB, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	must(t, err)
	return string(text)
}

// routes returns the patterns of the console's routes with that method.
func consoleRoutes(t testing.TB, s *server, method string) []string {
	t.Helper()
	var patterns []string
	for _, route := range s.handler.Handler.(*gin.Engine).Routes() {
		if route.Method == method && strings.HasPrefix(route.Path, "/console") {
			patterns = append(patterns, route.Path)
		}
	}
	if len(patterns) < 10 {
		t.Fatalf("routes with %s = %v, want those of the console", method, patterns)
	}
	return patterns
}

// state returns all that the server keeps, but when a session of the console
// expires.
func (f *consoleFixture) state() string {
	f.t.Helper()
	ctx, page := f.t.Context(), authz.Page{Limit: 1000}
	users, err := f.users.List(ctx, authz.UserFilter{Page: page})
	must(f.t, err)
	clients, err := f.clients.List(ctx, page)
	must(f.t, err)
	resources, err := f.admin.Resources.List(ctx)
	must(f.t, err)
	families, err := f.admin.Sessions.List(ctx, authz.SessionFilter{Page: page})
	must(f.t, err)
	keys, err := f.admin.Keys.Keys(ctx)
	must(f.t, err)
	var rows []string
	for token := range f.sessions.live() {
		rows = append(rows, token)
	}
	return jsonText(f.t, []any{users, clients, resources, families, keys, f.events(authz.EventFilter{}), len(rows)})
}

// location returns where the answer sends the browser.
func (a answer) location() string { return a.Header.Get("Location") }

// queryOf returns a path with one parameter.
func queryOf(path, name, value string) string { return path + "?" + url.Values{name: {value}}.Encode() }
