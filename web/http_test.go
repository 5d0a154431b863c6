package web_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"chancery/authz"
	"chancery/authz/authztest"
)

func TestEntityTagsMayBeWeakenedOrListed(t *testing.T) {
	s := newServer(t)
	etag := s.get("/.well-known/jwks.json").Header.Get("ETag")
	for header, want := range map[string]int{
		etag: http.StatusNotModified, "W/" + etag: http.StatusNotModified, `"other", W/` + etag: http.StatusNotModified, "*": http.StatusNotModified,
		`"other"`: http.StatusOK, strings.Trim(etag, `"`): http.StatusOK, "": http.StatusOK,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/.well-known/jwks.json", nil)
		r.Header.Set("If-None-Match", header)
		if a := s.do(r); a.StatusCode != want || (want == http.StatusNotModified && a.body != "") {
			t.Errorf("If-None-Match %s = %d with %d bytes, want %d", header, a.StatusCode, len(a.body), want)
		}
	}
}

// Only X-Forwarded-For is documented; other headers come from the client.
func TestOtherAddressHeadersAreNotBelieved(t *testing.T) {
	s := newServer(t, func(o *options) { o.trustedProxies = []string{"192.0.2.0/24"} })
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/healthz", nil)
	r.RemoteAddr = "192.0.2.1:1000"
	r.Header.Set("X-Real-IP", "203.0.113.66")
	r.Header.Set("Forwarded", "for=203.0.113.66")
	s.do(r)
	if log := s.log.String(); strings.Contains(log, "203.0.113.66") || !strings.Contains(log, `"address":"192.0.2.1"`) {
		t.Errorf("the access log believes another header: %s", log)
	}
}

func TestProbesMayAskWithHEAD(t *testing.T) {
	s := newServer(t)
	for _, path := range []string{"/healthz", "/readyz", "/version"} {
		if a := s.do(httptest.NewRequestWithContext(t.Context(), http.MethodHead, path, nil)); a.StatusCode != http.StatusOK {
			t.Errorf("HEAD %s = %d, want 200", path, a.StatusCode)
		}
	}
}

// A right password with a refused scope is a guess that succeeded: it must be
// seen in the events.
func TestRightPasswordWithRefusedScopeIsRecorded(t *testing.T) {
	s := newServer(t)
	guess := func(password string) answer {
		return s.as("app", "/oauth/token", "grant_type", "password", "username", username, "password", password, "scope", "made-up")
	}
	for range 3 {
		s.expect(guess("wrong password"), http.StatusBadRequest, "invalid_grant")
	}
	s.expect(guess(secretPW), http.StatusBadRequest, "invalid_scope")
	found, err := s.store.ListEvents(t.Context(), authz.EventFilter{Kind: authz.EventLoginFailed, Page: authz.Page{Limit: 10}})
	if err != nil || len(found) != 2 || !slices.ContainsFunc(found, func(e authz.Event) bool { return strings.HasPrefix(e.Detail, "right password") && e.UserID != "" }) {
		t.Errorf("events = %+v, %v, want one for the wrong guesses and one for the right one", found, err)
	}
	for _, event := range found {
		if strings.Contains(event.Once, "192.0.2.") || strings.Contains(event.Once, event.UserID) {
			t.Errorf("once = %q keeps what may have to be blanked", event.Once)
		}
	}
}

// Two resources define a scope of the same name, and one asks for a role.
func TestScopeOfTheSameNameAsksForTheRoleOfItsResource(t *testing.T) {
	s := newServer(t)
	twin := authz.Resource{URI: "https://twin.example", Algorithm: "EdDSA", Scopes: []authz.ResourceScope{{Name: "list"}, {Name: "write", Roles: []string{"manager"}}}}
	must(t, s.store.InsertResource(t.Context(), twin, authztest.AnyEvent()))
	s.service.Registry.Invalidate()
	s.updateClient("app", func(c *authz.Client) {
		c.Resources, c.Scope = append(c.Resources, twin.URI), append(c.Scope, "list")
	})
	login := s.login("app", "resource", twin.URI)
	if got := login.str("scope"); got != "list" {
		t.Errorf("scope at login = %q, want list: write asks for a role there", got)
	}
	if got := s.refresh("app", login.str("refresh_token"), "resource", twin.URI).str("scope"); got != "list" {
		t.Errorf("scope at refresh = %q, want list", got)
	}
}

// What a client got for itself before it was disabled stays dead when it is
// enabled again.
func TestEnablingAClientRevivesNoToken(t *testing.T) {
	s := newServer(t)
	token := s.as("robot", "/oauth/token", "grant_type", "client_credentials").str("access_token")
	active := func() any { return s.as("api", "/oauth/introspect", "token", token).json["active"] }
	if active() != true {
		t.Fatal("a fresh token is not active")
	}
	s.clock.Add(time.Minute)
	s.updateClient("robot", func(c *authz.Client) { c.DisabledAt = s.clock.Now() })
	if active() != false {
		t.Error("a disabled client's token is active")
	}
	s.updateClient("robot", func(c *authz.Client) { c.DisabledAt = time.Time{} })
	if active() != false {
		t.Error("the token is active again")
	}
	token = s.as("robot", "/oauth/token", "grant_type", "client_credentials").str("access_token")
	if active() != true {
		t.Error("a token of the enabled client is not active")
	}
}

// While no key can sign, a refresh must not use its token up: long after, its
// retry would look like a theft.
func TestNothingIsUsedUpWhileNoKeyCanSign(t *testing.T) {
	s := newServer(t)
	token := s.login("app").str("refresh_token")
	s.clock.Add(25 * time.Hour) // the keys were loaded longer ago than they may
	for range 3 {
		a := s.refresh("app", token)
		s.expect(a, http.StatusServiceUnavailable, "temporarily_unavailable")
		s.clock.Add(20 * time.Minute)
	}
	must(t, s.rotator.Tick(t.Context()))
	if a := s.refresh("app", token); a.StatusCode != http.StatusOK || a.str("cause") != "" {
		t.Errorf("refresh after the outage = %d %s, want a plain rotation", a.StatusCode, a.body)
	}
}
