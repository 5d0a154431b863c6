package main

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// TestListenersOfTheirOwn gives admins and metrics a listener each: there and
// nowhere else are they answered.
func TestListenersOfTheirOwn(t *testing.T) {
	n := serve(t, append(sqliteEnv(t), "CHANCERY_ADMIN_LISTEN=127.0.0.1:0", "CHANCERY_METRICS_LISTEN=127.0.0.1:0"))
	address := func(what string) string {
		var found []string
		eventually(t, what, func() bool {
			found = regexp.MustCompile(what + ` on (\S+)`).FindStringSubmatch(n.stdout.String())
			return found != nil
		})
		return found[1]
	}
	bases := map[string]string{"public": n.base, "admin": "http://" + address("Admins"), "metrics": "http://" + address("Metrics")}
	for path, at := range map[string][]string{
		"/admin/v1/openapi.json":   {"admin"},
		"/admin/v1/docs":           {"admin"},
		"/console/login":           {"admin"},
		"/assets/console.css":      {"admin", "public"},
		"/healthz":                 {"admin", "public"},
		"/.well-known/jwks.json":   {"public"},
		"/metrics":                 {"metrics"},
		"/account/me":              {},
		"/oauth/status-lists":      {"public"},
		"/console":                 {},
		"/admin/v1/overview":       {},
		"/admin/v1/events/export":  {},
		"/console/../admin/v1/doc": {},
	} {
		for name, base := range bases {
			r, err := read(http.Get(base + path))
			if err != nil {
				t.Fatal(err)
			}
			want := strings.Contains(strings.Join(at, " "), name)
			if got := r.status == http.StatusOK; got != want && len(at) > 0 {
				t.Errorf("%s at the %s listener = %d, want success: %v", path, name, r.status, want)
			}
			if name != "admin" && strings.HasPrefix(path, "/admin/v1") && r.status != http.StatusNotFound {
				t.Errorf("%s at the %s listener = %d, want 404", path, name, r.status)
			}
		}
	}
}
