package web_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"chancery/authz"
	"chancery/web"
)

// broken is a service whose token endpoint fails as a test wants it to.
type broken struct {
	authz.Service
	fail func() error
}

func (b *broken) Token(context.Context, authz.TokenRequest) (authz.TokenResponse, error) {
	return authz.TokenResponse{}, b.fail()
}

// breakToken puts the service behind the server's own endpoints.
func breakToken(t *testing.T, fail func() error) *server {
	t.Helper()
	s := newServer(t)
	handler, err := web.New(web.Options{
		Issuer: issuer, Service: &broken{fail: fail}, Registry: s.service.Registry, Keys: s.rotator.Ring, Now: s.clock.Now,
		Log: slog.New(slog.NewJSONHandler(s.log, nil)),
	})
	must(t, err)
	s.handler = handler
	return s
}

// logLines returns the access log, line by line.
func logLines(t *testing.T, s *server) []map[string]any {
	t.Helper()
	var lines []map[string]any
	for line := range bytes.Lines([]byte(s.log.String())) {
		var decoded map[string]any
		if err := json.Unmarshal(line, &decoded); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		lines = append(lines, decoded)
	}
	return lines
}

// everyAnswer returns one answer of each kind that a form can get.
func everyAnswer(t *testing.T, s *server) map[string]answer {
	t.Helper()
	token := s.login("app")
	get := httptest.NewRequestWithContext(t.Context(), http.MethodGet, tokenURL, nil)
	answers := map[string]answer{
		"200 token": token, "405": s.do(get), "404": s.get("/nothing"),
		"200 introspection": s.as("api", introspectURL, "token", token.str("access_token")),
		"413":               s.do(rawForm(t, tokenURL, strings.Repeat("zq9", 30_000))),
		"400 type":          s.do(httptest.NewRequestWithContext(t.Context(), http.MethodPost, tokenURL, strings.NewReader("zq9"))),
		"400 repeated":      s.do(rawForm(t, tokenURL, "zq9=1&zq9=2")),
		"400 query":         s.do(rawForm(t, tokenURL+"?token=zq9", loginForm)),
		"400 grant":         s.as("robot", tokenURL, "grant_type", "zq9\"\\"),
		"400 denied":        s.as("robot", tokenURL, "grant_type", "password"),
		"400 login":         s.as("app", tokenURL, "grant_type", "password", "username", "zq9<b>\"", "password", "zq9"),
		"400 text":          s.as("app", tokenURL, "grant_type", "password", "username", "zq9\r\nSet-Cookie: zq9=1", "password", "zq9"),
		"400 scope":         s.as("robot", tokenURL, "grant_type", "client_credentials", "scope", "zq9\""),
		"400 resource":      s.as("robot", tokenURL, "grant_type", "client_credentials", "resource", "https://zq9.example/<é>"),
		"400 refresh":       s.refresh("app", "chrt_zq9"),
		"400 no token":      s.as("robot", revokeURL),
		"401":               s.post(tokenURL, "grant_type", "password", "client_id", "zq9\"", "client_secret", "zq9"),
	}
	s.store.SetDown(fmt.Errorf("planted detail: %w", authz.ErrUnavailable))
	answers["503"] = s.refresh("app", token.str("refresh_token"))
	s.store.SetDown(nil)
	answers["500"] = breakToken(t, func() error { return errors.New("planted detail") }).post(tokenURL, "client_id", "app")
	return answers
}

func TestTE12_HeadersOfEveryAnswer(t *testing.T) {
	s := newServer(t)
	answers := everyAnswer(t, s)
	for name, a := range answers {
		wantAnswer(t, a, statusIn(t, name), "")
		wantHeader(t, a, "Content-Type", "application/json")
	}
	answers["200 revocation"] = s.as("app", revokeURL, "token", "unknown")
	answers["204 preflight"] = preflight(t, s, tokenURL, "https://app.example")
	for name, a := range answers {
		if !strings.HasPrefix(name, "204") {
			wantHeader(t, a, "Cache-Control", "no-store")
			wantHeader(t, a, "Pragma", "no-cache")
		}
		wantHeader(t, a, "Set-Cookie", "")
		for header, value := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Strict-Transport-Security": "max-age=31536000",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
		} {
			wantHeader(t, a, header, value)
		}
	}
}

// statusIn returns the status that a name of everyAnswer begins with.
func statusIn(t *testing.T, name string) int {
	t.Helper()
	var status int
	_, err := fmt.Sscanf(name, "%d", &status)
	must(t, err)
	return status
}

func TestTE13_Success(t *testing.T) {
	s := newServer(t)
	user, machine := s.login("app"), s.as("robot", tokenURL, "grant_type", "client_credentials")
	for _, a := range []answer{user, machine, s.login("app", "scope", "read"), s.refresh("app", user.str("refresh_token"))} {
		wantAnswer(t, a, http.StatusOK, "")
		for name, value := range a.json {
			switch value.(type) {
			case string, float64:
			default:
				t.Errorf("%s = %v, want a string or number", name, value)
			}
		}
		token := s.claims(a.str("access_token"))
		lifetime, isNumber := a.json["expires_in"].(float64)
		if want := token["exp"].(float64) - token["iat"].(float64); !isNumber || lifetime != want || lifetime <= 0 {
			t.Errorf("expires_in = %v, want the number %v", a.json["expires_in"], want)
		}
		if a.str("token_type") != "Bearer" || a.str("scope") == "" || a.str("scope") != token["scope"] {
			t.Errorf("token_type = %q, scope = %q; want Bearer and the token's %q", a.str("token_type"), a.str("scope"), token["scope"])
		}
	}
	if user.str("refresh_token") == "" || machine.json["refresh_token"] != nil {
		t.Errorf("refresh_token of a user = %q, of a machine %v; want one and none", user.str("refresh_token"), machine.json["refresh_token"])
	}
}

func TestTE14_Descriptions(t *testing.T) {
	allowed := regexp.MustCompile(`^[\x20-\x21\x23-\x5b\x5d-\x7e]*$`)
	for name, a := range everyAnswer(t, newServer(t)) {
		if statusIn(t, name) < 400 {
			continue
		}
		if a.str("error") == "" || !allowed.MatchString(a.str("error_description")) {
			t.Errorf("%s: body = %s, want an error and a description without quotation marks, backslashes and controls", name, a.body)
		}
		if dump := a.body + fmt.Sprint(a.Header); strings.Contains(dump, "zq9") || strings.Contains(dump, "planted") {
			t.Errorf("%s: answer %s echoes what was sent or what broke", name, dump) // attack 10
		}
	}
}

func TestTE15_Faults(t *testing.T) {
	for name, row := range map[string]struct {
		err        error
		status     int
		body       string
		retryAfter bool
	}{
		"unknown fault": {errors.New("SELECT planted"), http.StatusInternalServerError, `{"error":"server_error"}`, false},
		"not found":     {fmt.Errorf("planted: %w", authz.ErrNotFound), http.StatusInternalServerError, `{"error":"server_error"}`, false},
		"unavailable":   {fmt.Errorf("planted: %w", authz.ErrUnavailable), http.StatusServiceUnavailable, "", true},
		"deadline":      {fmt.Errorf("planted: %w", context.DeadlineExceeded), http.StatusServiceUnavailable, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			s := breakToken(t, func() error { return row.err })
			a := s.post(tokenURL, "client_id", "app", "grant_type", "password")
			wantAnswer(t, a, row.status, map[bool]string{true: "temporarily_unavailable", false: "server_error"}[row.retryAfter])
			if strings.Contains(a.body, "planted") || (row.body != "" && a.body != row.body) {
				t.Errorf("body = %s, want no detail and %q", a.body, row.body)
			}
			if got := a.Header.Get("Retry-After") != ""; got != row.retryAfter {
				t.Errorf("Retry-After present: %t, want %t", got, row.retryAfter)
			}
			if lines := logLines(t, s); len(lines) != 1 || lines[0]["detail"] != row.err.Error() {
				t.Errorf("log = %v, want one line with the detail %q", lines, row.err)
			}
		})
	}
}

// Attack 59: nothing that needs the database succeeds, nothing is half done,
// and verifiers go on.
func TestTE15_DatabaseDown(t *testing.T) {
	s := newServer(t)
	token := s.login("web")
	documents := map[string]string{jwksURL: "", metadataURL: "", openidURL: "", "/healthz": ""}
	for path := range documents {
		documents[path] = s.get(path).body
	}
	s.store.SetDown(authz.ErrUnavailable)
	for name, a := range map[string]answer{
		"login":      s.as("web", tokenURL, "grant_type", "password", "username", username, "password", secretPW),
		"refresh":    s.refresh("web", token.str("refresh_token")),
		"narrow":     s.refresh("web", token.str("refresh_token"), "scope", "read"),
		"revoke":     s.as("web", revokeURL, "token", token.str("refresh_token")),
		"revoke AT":  s.as("web", revokeURL, "token", token.str("access_token")),
		"introspect": s.as("api", introspectURL, "token", token.str("access_token")),
	} {
		if a.StatusCode != http.StatusServiceUnavailable || a.str("error") != "temporarily_unavailable" || a.Header.Get("Retry-After") == "" {
			t.Errorf("%s = %d %s, Retry-After %q; want 503 temporarily_unavailable with one", name, a.StatusCode, a.body, a.Header.Get("Retry-After"))
		}
	}
	for path, want := range documents {
		if a := s.get(path); a.StatusCode != http.StatusOK || a.body != want {
			t.Errorf("%s = %d %s, want 200 %s", path, a.StatusCode, a.body, want)
		}
	}
	ready := s.get("/readyz")
	if checks, _ := ready.json["checks"].(map[string]any); ready.StatusCode != http.StatusServiceUnavailable || checks["database"] == "ok" {
		t.Errorf("/readyz = %d %s, want 503 and the database named", ready.StatusCode, ready.body)
	}
	s.store.SetDown(nil)
	wantAnswer(t, s.get("/readyz"), http.StatusOK, "")
	again := s.refresh("web", token.str("refresh_token"))
	wantAnswer(t, again, http.StatusOK, "")
	if again.str("cause") != "" {
		t.Errorf("cause = %q, want none: nothing was rotated while the database was down", again.str("cause"))
	}
}

func TestRequestID(t *testing.T) {
	form := regexp.MustCompile(`^[A-Za-z0-9._-]{8,64}$`)
	for sent, kept := range map[string]bool{
		"abcdefgh": true, strings.Repeat("a", 64): true, "3f2a.b_c-d": true,
		"": false, "short": false, strings.Repeat("a", 65): false, "has a space in it": false, "line\nbreak-in-it": false, "quote\"quote": false, "ümlaut-ümlaut": false,
	} {
		s := newServer(t)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/healthz", nil)
		r.Header["X-Request-Id"] = []string{sent}
		got := s.do(r).Header.Get("X-Request-Id")
		if (got == sent) != kept || !form.MatchString(got) {
			t.Errorf("id for %q = %q, want it kept: %t", sent, got, kept)
		}
		if lines := logLines(t, s); len(lines) != 1 || lines[0]["request_id"] != got {
			t.Errorf("log = %v, want one line with the id %q", lines, got)
		}
	}
}

func TestAccessLog_OneLineWithoutQuery(t *testing.T) {
	s := newServer(t)
	s.get("/nothing?planted=planted")
	lines := logLines(t, s)
	if len(lines) != 1 || strings.Contains(s.log.String(), "planted") {
		t.Fatalf("log = %s, want one line without the query", s.log)
	}
	for name, want := range map[string]any{"msg": "request", "method": "GET", "path": "/nothing", "status": 404.0, "address": "192.0.2.1"} {
		if lines[0][name] != want {
			t.Errorf("%s = %v, want %v", name, lines[0][name], want)
		}
	}
}

// Attack 52: every kind of secret goes through good and bad requests; none of
// them, in any spelling, may be found in the log or the events.
func TestAccessLog_HoldsNoSecret(t *testing.T) {
	s := newServer(t)
	first := s.login("web")
	second := s.refresh("web", first.str("refresh_token"))
	secrets := []string{secretPW, url.QueryEscape(secretPW), first.str("access_token"), first.str("refresh_token"), second.str("refresh_token"), "planted", "chrt_", "chcs_", "eyJ"}
	for id, secret := range s.secrets {
		secrets = append(secrets, basicHeader(id, secret.Reveal())[len("Basic "):])
	}
	s.as("api", introspectURL, "token", first.str("access_token"))
	s.refresh("app", second.str("refresh_token")) // another client's
	s.as("web", revokeURL, "token", first.str("access_token"))
	s.refresh("web", second.str("refresh_token")) // a dead session's
	s.as("app", tokenURL, "grant_type", "planted", "password", "planted")
	s.as("app", tokenURL, "grant_type", "password", "username", username, "password", "planted\x00")
	s.post(tokenURL, "client_id", "robot", "client_secret", "planted", "client_assertion", "planted")
	s.do(rawForm(t, tokenURL+"?password=planted&refresh_token="+second.str("refresh_token"), "a=%zzplanted"))
	authorized(s, tokenURL, []string{"Bearer planted"})
	authorized(s, tokenURL, []string{basicHeader("robot", "planted")})
	events, err := s.store.ListEvents(t.Context(), authz.EventFilter{Page: authz.Page{Limit: 1000}})
	must(t, err)
	said := s.log.String() + fmt.Sprintf("%+v", events)
	if len(events) == 0 || len(logLines(t, s)) < 12 {
		t.Fatalf("%d events and %d lines, want what was done", len(events), len(logLines(t, s)))
	}
	for _, secret := range secrets {
		for _, spelling := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret))} {
			if strings.Contains(said, spelling) {
				t.Errorf("log or events hold %q", spelling)
			}
		}
	}
}

func TestAccessLog_NoInjection(t *testing.T) { // attack 9
	s := newServer(t)
	s.post(tokenURL, "client_id", "app\n{\"status\":200,\"msg\":\"forged\"}", "grant_type", "password\r\nforged")
	s.get("/x%0a%7B%22msg%22:%22forged%22%7D")
	if lines := logLines(t, s); len(lines) != 2 || lines[0]["msg"] != "request" || lines[1]["msg"] != "request" {
		t.Errorf("log = %s, want two lines", s.log)
	}
}

func TestRecovery(t *testing.T) {
	for name, value := range map[string]any{"text": "planted in panic", "error": errors.New("planted in panic"), "secret": authz.Secret("planted")} {
		t.Run(name, func(t *testing.T) {
			s := breakToken(t, func() error { panic(value) })
			a := s.post(tokenURL, "client_id", "app", "grant_type", "password", "password", "planted")
			wantAnswer(t, a, http.StatusInternalServerError, "server_error")
			if a.body != `{"error":"server_error"}` {
				t.Errorf("body = %s, want the error alone", a.body)
			}
			wantHeader(t, a, "Cache-Control", "no-store")
			lines := logLines(t, s)
			if len(lines) != 1 || lines[0]["level"] != "ERROR" || !strings.Contains(fmt.Sprint(lines[0]["stack"]), "Token") || strings.Contains(s.log.String(), "planted") {
				t.Errorf("log = %s, want one error with the stack and without the panic's value", s.log)
			}
			wantAnswer(t, s.get("/healthz"), http.StatusOK, "") // the server lives on
		})
	}
}

// Attack 14: who is believed about the client's address.
func TestForwardedFor(t *testing.T) {
	for _, row := range []struct {
		name    string
		trusted []string
		headers []string
		want    string
	}{
		{"no proxy", nil, []string{"1.2.3.4"}, "192.0.2.1"},
		{"other proxy", []string{"10.0.0.0/8"}, []string{"1.2.3.4"}, "192.0.2.1"},
		{"proxy", []string{"192.0.2.1"}, []string{"203.0.113.9"}, "203.0.113.9"},
		{"network", []string{"192.0.2.0/24"}, []string{"203.0.113.9"}, "203.0.113.9"},
		{"forged before", []string{"192.0.2.1"}, []string{"1.2.3.4, 203.0.113.9"}, "203.0.113.9"},
		{"forged line before", []string{"192.0.2.1"}, []string{"1.2.3.4", "203.0.113.9"}, "203.0.113.9"},
		{"two proxies", []string{"192.0.2.1", "10.0.0.0/8"}, []string{"1.2.3.4, 203.0.113.9, 10.1.1.1"}, "203.0.113.9"},
		{"no address", []string{"192.0.2.1"}, []string{"planted"}, "192.0.2.1"},
		{"IPv6", []string{"192.0.2.1"}, []string{"2001:db8::1"}, "2001:db8::1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newServer(t, func(o *options) { o.trustedProxies = row.trusted })
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/healthz", nil)
			r.Header["X-Forwarded-For"] = row.headers
			r.Header["True-Client-Ip"], r.Header["Cf-Connecting-Ip"] = []string{"1.2.3.4"}, []string{"1.2.3.4"}
			s.do(r)
			if got := logLines(t, s)[0]["address"]; got != row.want {
				t.Errorf("address = %v, want %s", got, row.want)
			}
		})
	}
}

func TestNew_BadTrustedProxy(t *testing.T) {
	s := newServer(t)
	_, err := web.New(web.Options{
		Issuer: issuer, Service: s.service, Registry: s.service.Registry, Keys: s.rotator.Ring, Now: s.clock.Now, Log: slog.Default(),
		TrustedProxies: []string{"no address"},
	})
	if err == nil {
		t.Error("New with a trusted proxy that is no address = nil error, want one")
	}
}

func TestOperations(t *testing.T) {
	s := newServer(t)
	for path, want := range map[string]string{"/healthz": `{"status":"ok"}`, "/readyz": `{"status":"ready","checks":{"database":"ok"}}`} {
		a := s.get(path)
		wantAnswer(t, a, http.StatusOK, "")
		wantHeader(t, a, "Cache-Control", "no-store")
		if a.body != want {
			t.Errorf("%s = %s, want %s", path, a.body, want)
		}
	}
	if got := s.get("/version").str("version"); got != "test" {
		t.Errorf("version = %q, want test", got)
	}
	for _, path := range []string{"/healthz", jwksURL, metadataURL} {
		a := s.post(path)
		wantAnswer(t, a, http.StatusMethodNotAllowed, "invalid_request")
		if allow := strings.Split(a.Header.Get("Allow"), ", "); !slices.Contains(allow, "GET") || slices.Contains(allow, "POST") {
			t.Errorf("Allow of %s = %q, want GET and not POST", path, allow)
		}
	}
}

// An http issuer, which only a loopback host may have, must not pin browsers
// to https.
func TestSecurityHeaders_NoHSTSWithoutTLS(t *testing.T) {
	s := newServer(t, func(o *options) { o.issuer = "http://localhost:8080" })
	wantHeader(t, s.get("/healthz"), "Strict-Transport-Security", "")
}
