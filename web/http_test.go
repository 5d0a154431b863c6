package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"chancery/authz"
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
	a := s.as("app", "/oauth/token", "grant_type", "password", "username", username, "password", secretPW, "scope", "made-up")
	s.expect(a, http.StatusBadRequest, "invalid_scope")
	found, err := s.store.ListEvents(t.Context(), authz.EventFilter{Kind: authz.EventLoginFailed, Page: authz.Page{Limit: 10}})
	if err != nil || len(found) != 1 || found[0].UserID == "" || !strings.Contains(found[0].Detail, "right password") {
		t.Errorf("events = %+v, %v, want one of the user that says so", found, err)
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
