package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestTraces lets a collector of our own take the spans, and looks for what may
// not be in them.
func TestTraces(t *testing.T) {
	eachDatabase(t, func(t *testing.T, env []string) {
		taken := &lockedBuffer{}
		collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v1/traces" {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			_, _ = io.Copy(taken, r.Body)
		}))
		t.Cleanup(collector.Close)
		first := bootstrapped(t, env)
		n := serve(t, append(env, "CHANCERY_TRACING_ENDPOINT="+collector.URL, "CHANCERY_TRACING_SAMPLE_PERCENT=100"))
		login := n.login(first)
		token, access := login.str("refresh_token"), login.str("access_token")
		refreshed := n.mustPost(http.StatusOK, "/oauth/token", refreshForm(first, token)...)
		if !n.active(first, access) {
			t.Error("the session is not active")
		}
		n.mustPost(http.StatusBadRequest, "/oauth/token?planted=in-the-query", refreshForm(first, "planted-as-a-token")...)
		n.mustPost(http.StatusBadRequest, "/oauth/token", "grant_type", "password", "client_id", first.ClientID, "username", "planted-name", "password", "planted-password")
		if code := n.stop(); code != exitOK {
			t.Fatalf("serve exited with %d", code)
		}
		spans := taken.String()
		for _, want := range []string{"POST /oauth/token", "/oauth/introspect", "refresh_families", "service.name"} {
			if !strings.Contains(spans, want) {
				t.Errorf("no span holds %q", want)
			}
		}
		for _, secret := range []string{token, access, refreshed.str("refresh_token"), first.Password, first.APIClientSecret, "planted"} {
			if strings.Contains(spans, secret) {
				t.Errorf("a span holds the secret %q", secret)
			}
		}
	})
}
