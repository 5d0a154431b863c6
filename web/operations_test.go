package web_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"chancery/web"
)

// The metrics are for this machine and its private networks, and never for
// whom somebody unknown speaks for.
func TestMetricsAreForNearCallers(t *testing.T) {
	for name, row := range map[string]struct {
		trusted       []string
		from          string
		header, value string
		shown         bool
	}{
		"loopback":          {nil, "127.0.0.1:1", "", "", true},
		"loopback 6":        {nil, "[::1]:1", "", "", true},
		"mapped loopback":   {nil, "[::ffff:127.0.0.1]:1", "", "", true},
		"private":           {nil, "10.1.2.3:1", "", "", true},
		"mapped private":    {nil, "[::ffff:192.168.0.1]:1", "", "", true},
		"unique local":      {nil, "[fd00::1]:1", "", "", true},
		"link-local":        {nil, "169.254.1.1:1", "", "", true},
		"link-local 6":      {nil, "[fe80::1]:1", "", "", true},
		"public":            {nil, "203.0.113.9:1", "", "", false},
		"mapped public":     {nil, "[::ffff:203.0.113.9]:1", "", "", false},
		"public 6":          {nil, "[2001:db8::1]:1", "", "", false},
		"carrier's":         {nil, "100.64.0.1:1", "", "", false},
		"none":              {nil, "", "", "", false},
		"no address":        {nil, "@", "", "", false},
		"a stranger's word": {nil, "203.0.113.9:1", "X-Forwarded-For", "127.0.0.1", false},
		"unknown proxy":     {nil, "127.0.0.1:1", "X-Forwarded-For", "203.0.113.9", false},
		"its Forwarded":     {nil, "127.0.0.1:1", "Forwarded", "for=203.0.113.9", false},
		"its X-Real-Ip":     {nil, "127.0.0.1:1", "X-Real-Ip", "203.0.113.9", false},
		"proxy, public":     {[]string{"10.0.0.0/8"}, "10.0.0.1:1", "X-Forwarded-For", "203.0.113.9", false},
		"proxy, forged":     {[]string{"10.0.0.0/8"}, "10.0.0.1:1", "X-Forwarded-For", "127.0.0.1, 203.0.113.9", false},
		"proxy, private":    {[]string{"10.0.0.0/8"}, "10.0.0.1:1", "X-Forwarded-For", "192.168.0.1", true},
		"proxy, silent":     {[]string{"10.0.0.0/8"}, "10.0.0.1:1", "", "", true},
		"proxy, junk":       {[]string{"10.0.0.0/8"}, "10.0.0.1:1", "X-Forwarded-For", "x", false},
		"other proxy":       {[]string{"10.0.0.0/8"}, "192.168.0.1:1", "X-Forwarded-For", "127.0.0.1", false},
		"proxy, Forwarded":  {[]string{"10.0.0.0/8"}, "10.0.0.1:1", "Forwarded", "for=203.0.113.9", false},
	} {
		s := newServer(t)
		metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("figures")) })
		handler, err := web.New(web.Options{
			Issuer: issuer, Service: s.service, Registry: s.service.Registry, Keys: s.rotator.Ring, Now: s.clock.Now, Metrics: metrics,
			TrustedProxies: row.trusted, Log: slog.New(slog.DiscardHandler),
		})
		must(t, err)
		s.handler = handler
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
		if r.RemoteAddr = row.from; row.header != "" {
			r.Header.Set(row.header, row.value)
		}
		if a := s.do(r); (a.StatusCode == http.StatusOK) != row.shown || (a.body == "figures") != row.shown || (!row.shown && a.StatusCode != http.StatusNotFound) {
			t.Errorf("%s = %d %q, want it shown: %t", name, a.StatusCode, a.body, row.shown)
		}
	}
}
