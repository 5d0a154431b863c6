package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
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
