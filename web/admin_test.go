package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"chancery/authz"
	"chancery/authz/authztest"
)

// What the tests of the admin API know besides.
const (
	boss     = "boss" // roles: admin
	adminURI = issuer + "/admin"
	// planted stands where a secret may be sent; it must come out nowhere.
	planted = "plantedSecretValue"
)

// adminServer knows boss too, and these clients of the admin API:
//
//	desk     public, first-party: password, refresh; admin:read admin:write
//	machine  confidential: client_credentials; admin:read admin:write
func adminServer(t testing.TB, edit ...func(*options)) *server {
	t.Helper()
	s := newServer(t, edit...)
	s.admin.Keys = &authztest.SigningKeys{Events: s.store}
	scope, resources := authz.Scope{authz.ScopeAdminRead, authz.ScopeAdminWrite}, []string{adminURI}
	for _, client := range []authz.Client{
		{ID: "desk", AuthMethod: authz.AuthNone, FirstParty: true, GrantTypes: []string{authz.GrantPassword, authz.GrantRefreshToken}, Scope: scope, Resources: resources},
		{ID: "machine", AuthMethod: authz.AuthAnySecret, GrantTypes: []string{authz.GrantClientCredentials}, Scope: scope, Resources: resources},
	} {
		_, secret, err := s.clients.Create(t.Context(), client)
		must(t, err)
		s.secrets[client.ID] = secret
	}
	_, err := s.users.Create(t.Context(), authz.NewUser{Username: boss, Password: secretPW, Roles: []string{authz.RoleAdmin}})
	must(t, err)
	return s
}

// bossToken logs boss in through desk.
func (s *server) bossToken(pairs ...string) string {
	s.t.Helper()
	a := pgLogin(s, "desk", boss, secretPW, append([]string{"resource", adminURI}, pairs...)...)
	if a.StatusCode != http.StatusOK {
		s.t.Fatalf("login of boss: %d %s", a.StatusCode, a.body)
	}
	return a.str("access_token")
}

// admins sends a request to the admin API; body is JSON, or empty.
func (s *server) admins(token, method, path, body string, edit ...func(*http.Request)) answer {
	s.t.Helper()
	return s.do(s.adminRequest(token, method, path, body, edit...))
}

func (s *server) adminRequest(token, method, path, body string, edit ...func(*http.Request)) *http.Request {
	s.t.Helper()
	r := httptest.NewRequestWithContext(s.t.Context(), method, "/admin/v1"+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for _, e := range edit {
		e(r)
	}
	return r
}

// ifMatch makes a request conditional.
func ifMatch(tag string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("If-Match", tag) }
}

// events returns the stored events that fit, newest first.
func (s *server) events(filter authz.EventFilter) []authz.Event {
	s.t.Helper()
	filter.Page.Limit = 100_000
	events, err := s.store.ListEvents(s.t.Context(), filter)
	must(s.t, err)
	return events
}
