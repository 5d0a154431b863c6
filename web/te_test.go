package web_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"chancery/authz"
)

// Paths of the endpoints that take a form. What holds for one holds for all.
const (
	tokenURL      = "/oauth/token"
	revokeURL     = "/oauth/revoke"
	introspectURL = "/oauth/introspect"
)

func formURLs() []string { return []string{tokenURL, revokeURL, introspectURL} }

// loginForm is a login of alice through app, as a body.
var loginForm = url.Values{"client_id": {"app"}, "grant_type": {"password"}, "username": {username}, "password": {secretPW}}.Encode()

// rawForm returns a POST request whose body is sent as it stands.
func rawForm(t *testing.T, target, body string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// wantAnswer reports an answer without the status or, if code is not empty,
// the error code. Unlike server.expect it reports to the row's own t.
func wantAnswer(t *testing.T, a answer, status int, code string) {
	t.Helper()
	if a.StatusCode != status || (code != "" && a.str("error") != code) {
		t.Errorf("answer = %d %s, want %d with error %q", a.StatusCode, a.body, status, code)
	}
}

// wantHeader reports a header that is not want.
func wantHeader(t *testing.T, a answer, name, want string) {
	t.Helper()
	if got := strings.Join(a.Header.Values(name), " | "); got != want {
		t.Errorf("%s = %q, want %q", name, got, want)
	}
}

func TestTE01_OnlyPOST(t *testing.T) {
	s := newServer(t)
	for _, path := range formURLs() {
		for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "PATCH", "TRACE"} {
			t.Run(method+path, func(t *testing.T) {
				r := s.form(path, "grant_type", "client_credentials", "token", "x")
				r.SetBasicAuth("robot", s.secrets["robot"].Reveal())
				r.Method = method
				r.Header.Set("X-HTTP-Method-Override", "POST") // attack 5
				before := s.store.CallCount()
				a := s.do(r)
				wantAnswer(t, a, http.StatusMethodNotAllowed, "invalid_request")
				allowed := strings.Split(a.Header.Get("Allow"), ", ")
				if !slices.Contains(allowed, "POST") || slices.Contains(allowed, method) {
					t.Errorf("Allow = %q, want POST and not %s", allowed, method)
				}
				if calls := s.store.CallCount() - before; calls != 0 {
					t.Errorf("the store was called %d times, want 0", calls)
				}
			})
		}
	}
}

func TestTE02_NeverRedirects(t *testing.T) {
	s := newServer(t)
	paths := []string{"/oauth/token/", "//oauth/token", "/oauth//token", "/OAUTH/TOKEN", "/oauth/./token", "/oauth/x/../token", "/oauth/token/x", "/"}
	for _, path := range paths {
		t.Run(path, func(t *testing.T) {
			r := rawForm(t, path, loginForm)
			r.Header.Set("X-Forwarded-Prefix", "https://evil.example") // attack 6
			a := s.do(r)
			wantAnswer(t, a, http.StatusNotFound, "invalid_request")
			wantHeader(t, a, "Location", "")
		})
	}
}

func TestTE03_ContentType(t *testing.T) {
	s := newServer(t)
	for value, status := range map[string]int{
		"application/x-www-form-urlencoded":                     http.StatusOK,
		"Application/X-WWW-Form-URLEncoded":                     http.StatusOK,
		"application/x-www-form-urlencoded;charset=UTF-8":       http.StatusOK,
		"application/x-www-form-urlencoded; charset=utf-8":      http.StatusOK,
		"application/x-www-form-urlencoded; charset=iso-8859-1": http.StatusBadRequest, // TE-08
		"application/x-www-form-urlencoded; charset=utf-16":     http.StatusBadRequest,
		"application/json":                   http.StatusBadRequest,
		"multipart/form-data; boundary=x":    http.StatusBadRequest,
		"text/plain":                         http.StatusBadRequest,
		"application/x-www-form-urlencodedx": http.StatusBadRequest,
		";":                                  http.StatusBadRequest,
		"":                                   http.StatusBadRequest,
	} {
		t.Run(value, func(t *testing.T) {
			r := rawForm(t, tokenURL, loginForm)
			r.Header.Set("Content-Type", value)
			if value == "" {
				r.Header.Del("Content-Type")
			}
			wantCode := map[int]string{http.StatusOK: "", http.StatusBadRequest: "invalid_request"}[status]
			wantAnswer(t, s.do(r), status, wantCode)
		})
	}
}

func TestTE03_CompressedBody(t *testing.T) { // attack 4
	r := rawForm(t, tokenURL, loginForm)
	r.Header.Set("Content-Encoding", "gzip")
	wantAnswer(t, newServer(t).do(r), http.StatusBadRequest, "invalid_request")
}

// The queries hold planted values in every way in which they can be spelled;
// the body alone would be a good request.
func TestTE04_SecretsInURL(t *testing.T) {
	s := newServer(t)
	for _, query := range []string{
		"client_secret=planted", "password=planted", "refresh_token=planted", "token=planted", "client_assertion=planted",
		"%63lient_secret=planted", "x=1&password=planted", "x=%zz&password=planted", "password=planted%zz", "password=planted;x",
	} {
		t.Run(query, func(t *testing.T) {
			wantAnswer(t, s.do(rawForm(t, tokenURL+"?"+query, loginForm)), http.StatusBadRequest, "invalid_request")
			for _, path := range []string{revokeURL, introspectURL} {
				r := s.form(path+"?"+query, "token", "x")
				r.SetBasicAuth("api", s.secrets["api"].Reveal())
				wantAnswer(t, s.do(r), http.StatusBadRequest, "invalid_request")
			}
		})
	}
	if strings.Contains(s.log.String(), "planted") {
		t.Errorf("log holds what stood in a query: %s", s.log)
	}
}

func TestTE04_QueryIsNotRead(t *testing.T) {
	s := newServer(t)
	without := func(name string) string {
		form, err := url.ParseQuery(loginForm)
		must(t, err)
		form.Del(name)
		return form.Encode()
	}
	wantAnswer(t, s.do(rawForm(t, tokenURL+"?grant_type=password", without("grant_type"))), http.StatusBadRequest, "invalid_request")
	wantAnswer(t, s.do(rawForm(t, tokenURL+"?username=alice", without("username"))), http.StatusBadRequest, "invalid_request")
	wantAnswer(t, s.do(rawForm(t, tokenURL+"?client_id=app", without("client_id"))), http.StatusUnauthorized, "invalid_client")
	a := s.do(rawForm(t, tokenURL+"?scope=read&grant_type=x&client_id=web", loginForm))
	wantAnswer(t, a, http.StatusOK, "")
	if got, want := a.str("scope"), "read write"; got != want {
		t.Errorf("scope = %q, want %q: the query must not narrow it", got, want)
	}
}

func TestTE05_RepeatedParameter(t *testing.T) {
	s := newServer(t)
	for _, extra := range []string{
		"grant_type=password", "client_id=app", "username=alice", "password=x", "scope=read&scope=read", "scope=read&scope=write",
		"scope=&scope=read", "scope=&scope=", "%67rant_type=password", "unknown=1&unknown=2",
	} {
		t.Run(extra, func(t *testing.T) {
			wantAnswer(t, s.do(rawForm(t, tokenURL, loginForm+"&"+extra)), http.StatusBadRequest, "invalid_request")
		})
	}
	for _, path := range []string{revokeURL, introspectURL} {
		wantAnswer(t, s.as("api", path, "token", "a", "token", "a"), http.StatusBadRequest, "invalid_request")
	}
}

func TestTE05_RepeatableParameters(t *testing.T) {
	s := newServer(t)
	wantAnswer(t, s.do(rawForm(t, tokenURL, loginForm+"&audience=a&audience=b")), http.StatusOK, "")
	wantAnswer(t, s.do(rawForm(t, tokenURL, loginForm+"&resource=&resource="+url.QueryEscape(apiURI))), http.StatusOK, "")
	// Two resources are well-formed; that a token has one audience is RI-03.
	two := "&resource=" + url.QueryEscape(apiURI) + "&resource=" + url.QueryEscape(otherURI)
	wantAnswer(t, s.do(rawForm(t, tokenURL, loginForm+two)), http.StatusBadRequest, "invalid_target")
}

func TestTE06_EmptyIsAbsent(t *testing.T) {
	s := newServer(t)
	if got, want := s.login("app", "scope", "").str("scope"), "read write"; got != want {
		t.Errorf("scope of an empty scope parameter = %q, want the default %q", got, want)
	}
	machine := []string{"grant_type", "client_credentials"}
	wantAnswer(t, s.refresh("app", ""), http.StatusBadRequest, "invalid_request")
	wantAnswer(t, s.post(tokenURL, "client_id", "app", "grant_type", ""), http.StatusBadRequest, "invalid_request")
	wantAnswer(t, s.as("robot", tokenURL, append(machine, "client_secret", "", "client_id", "")...), http.StatusOK, "")
	wantAnswer(t, s.as("robot", tokenURL, append(machine, "client_assertion", "", "client_assertion_type", "")...), http.StatusOK, "")
	wantAnswer(t, s.as("robot", tokenURL, append(machine, "resource", "")...), http.StatusOK, "")
	wantAnswer(t, s.as("robot", revokeURL, "token", ""), http.StatusBadRequest, "invalid_request")
}

// The unknown parameters are names of things that only the server may choose
// (attack 19).
func TestTE07_UnknownParametersIgnored(t *testing.T) {
	s := newServer(t)
	a := s.login("app", "foo", "bar", "sid", "chosen", "family_id", "chosen", "sub", "chosen", "roles", "admin", "exp", "99999999999")
	claims := s.claims(a.str("access_token"))
	for _, name := range []string{"sid", "sub", "roles", "exp"} {
		plain := s.claims(s.login("app").str("access_token"))[name]
		if claims[name] == "chosen" || (name == "roles" && len(claims[name].([]any)) != len(plain.([]any))) {
			t.Errorf("claim %s = %v, taken from the request", name, claims[name])
		}
	}
	if exp, now := claims["exp"].(float64), s.clock.Now().Add(15*time.Minute).Unix(); exp > float64(now) {
		t.Errorf("exp = %v, want at most %v", exp, now)
	}
}

// badText is what no parameter may hold, as it stands in a body.
var badText = map[string]string{
	"bad escape": "%zz", "cut escape": "%e", "percent": "%", "NUL": "a%00b", "C0": "a%1fb", "CRLF": "a%0d%0ab", "tab": "a%09b",
	"Latin-1": "%ff", "overlong": "%c0%af", "surrogate": "%ed%a0%80", "raw byte": "a\xffb", "semicolon": "a;b",
}

// wantBadText sends a login whose field holds each of badText.
func wantBadText(t *testing.T, s *server, field string) {
	t.Helper()
	form, err := url.ParseQuery(loginForm)
	must(t, err)
	form.Del(field)
	for name, value := range badText {
		t.Run(field+" "+name, func(t *testing.T) {
			before := s.store.CallCount()
			wantAnswer(t, s.do(rawForm(t, tokenURL, form.Encode()+"&"+field+"="+value)), http.StatusBadRequest, "invalid_request")
			if calls := s.store.CallCount() - before; calls != 0 {
				t.Errorf("the store was called %d times, want 0", calls)
			}
		})
	}
}

func TestTE08_BadText(t *testing.T) {
	s := newServer(t)
	for _, field := range []string{"grant_type", "client_id", "client_secret", "username", "scope", "resource", "refresh_token"} {
		wantBadText(t, s, field)
	}
	wantAnswer(t, s.as("api", revokeURL, "token", "a\x00b"), http.StatusBadRequest, "invalid_request")
	wantAnswer(t, s.as("api", introspectURL, "token", "\xff"), http.StatusBadRequest, "invalid_request")
}

// The password is a recognised parameter like the others.
func TestTE08_BadTextInPassword(t *testing.T) { wantBadText(t, newServer(t), "password") }

// Valid UTF-8 that only misleads people is refused by what the parameter may
// hold, never by a fault (attack 9).
func TestTE08_MisleadingText(t *testing.T) {
	s := newServer(t)
	login := func(name, value string) answer {
		form, err := url.ParseQuery(loginForm)
		must(t, err)
		form.Set(name, value)
		return s.do(rawForm(t, tokenURL, form.Encode()))
	}
	wantAnswer(t, login("username", "al\u202eice"), http.StatusBadRequest, "invalid_grant")
	wantAnswer(t, login("scope", "re\u202ead"), http.StatusBadRequest, "invalid_scope")
	wantAnswer(t, login("client_id", "ap\u202ep"), http.StatusUnauthorized, "invalid_client")
}

// endless is a body that never ends, and counts what was read of it.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	e.read += len(p)
	return len(p), nil
}

func TestTE09_BodyLimit(t *testing.T) {
	s := newServer(t)
	fill := func(size int) string { return loginForm + "&x=" + strings.Repeat("a", size-len(loginForm)-3) }
	wantAnswer(t, s.do(rawForm(t, tokenURL, fill(32<<10))), http.StatusOK, "")
	for _, path := range formURLs() {
		a := s.do(rawForm(t, path, fill(64<<10+1)))
		wantAnswer(t, a, http.StatusRequestEntityTooLarge, "invalid_request")
		wantHeader(t, a, "Connection", "close")
	}
	// Without Content-Length the limit is found while reading (attack 1).
	body := &endless{}
	r := rawForm(t, tokenURL, "")
	r.Body, r.ContentLength = io.NopCloser(body), -1
	wantAnswer(t, s.do(r), http.StatusRequestEntityTooLarge, "invalid_request")
	if limit := 128 << 10; body.read > limit {
		t.Errorf("%d bytes of an endless body were read, want at most %d", body.read, limit)
	}
}

func TestTE09_ConnectionCloses(t *testing.T) {
	live := httptest.NewServer(newServer(t).handler)
	t.Cleanup(live.Close)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, live.URL+tokenURL, strings.NewReader(strings.Repeat("a", 1<<20)))
	must(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	// The answer precedes the body, which the connection must then drop.
	r.Header.Set("Expect", "100-continue")
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}
	t.Cleanup(client.CloseIdleConnections)
	response, err := client.Do(r)
	must(t, err)
	must(t, response.Body.Close())
	if response.StatusCode != http.StatusRequestEntityTooLarge || !response.Close {
		t.Errorf("answer = %d, connection closed: %t; want 413 and true", response.StatusCode, response.Close)
	}
}

func TestTE09_ParameterCount(t *testing.T) {
	s := newServer(t)
	wantAnswer(t, s.do(rawForm(t, tokenURL, loginForm+"&a=1&b=1&c=1&d=1")), http.StatusOK, "")
	for name, extra := range map[string]string{
		"names": manyNames(1000), "ampersands": strings.Repeat("&", 5000), "resources": strings.Repeat("&resource=", 5000),
	} {
		t.Run(name, func(t *testing.T) { // attack 2
			wantAnswer(t, s.do(rawForm(t, tokenURL, loginForm+extra)), http.StatusBadRequest, "invalid_request")
		})
	}
}

// manyNames returns n parameters of different names.
func manyNames(n int) string {
	var body strings.Builder
	for i := range n {
		fmt.Fprintf(&body, "&p%d=1", i)
	}
	return body.String()
}

func TestTE09_BrokenBody(t *testing.T) {
	r := rawForm(t, tokenURL, "")
	r.Body, r.ContentLength = io.NopCloser(iotest.ErrReader(errors.New("connection reset by planted"))), -1
	a := newServer(t).do(r)
	wantAnswer(t, a, http.StatusBadRequest, "invalid_request")
	if strings.Contains(a.body, "planted") {
		t.Errorf("body %q tells the reader's error", a.body)
	}
}

// slowBody is a body during whose reading time passes.
type slowBody struct {
	io.Reader
	clock *testClock
	takes time.Duration
}

func (b *slowBody) Read(p []byte) (int, error) {
	b.clock.Add(b.takes)
	b.takes = 0
	return b.Reader.Read(p)
}

// A request whose client has given up by the time it is read must not consume
// the refresh token (DESIGN section 2).
func TestTE09_SlowBody(t *testing.T) {
	s := newServer(t)
	refresh := s.login("app").str("refresh_token")
	form := url.Values{"client_id": {"app"}, "grant_type": {"refresh_token"}, "refresh_token": {refresh}}.Encode()
	r := rawForm(t, tokenURL, form)
	r.Body = io.NopCloser(&slowBody{Reader: strings.NewReader(form), clock: s.clock, takes: 11 * time.Second})
	a := s.do(r)
	wantAnswer(t, a, http.StatusServiceUnavailable, string(authz.TemporarilyUnavailable))
	again := s.refresh("app", refresh)
	wantAnswer(t, again, http.StatusOK, "")
	if again.str("cause") != "" {
		t.Errorf("cause = %q, want none: the slow request must have rotated nothing", again.str("cause"))
	}
}

func TestTE10_GrantType(t *testing.T) {
	s := newServer(t)
	for _, row := range []struct{ name, client, grant, code string }{
		{"missing", "app", "", "invalid_request"},
		{"unknown", "app", "urn:example:unknown", "unsupported_grant_type"},
		{"code by a client without it", "app", "authorization_code", "unauthorized_client"},
		{"upper case", "app", "PASSWORD", "unsupported_grant_type"},
		{"title case", "robot", "Client_Credentials", "unsupported_grant_type"},
		{"trailing space", "app", "password ", "unsupported_grant_type"},
		{"password by a machine", "robot", "password", "unauthorized_client"},
		{"password by a third party", "plain", "password", "unauthorized_client"},
		{"client credentials by a public client", "app", "client_credentials", "unauthorized_client"},
		{"refresh by a machine", "robot", "refresh_token", "unauthorized_client"},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := s.as(row.client, tokenURL, "grant_type", row.grant, "username", username, "password", secretPW, "refresh_token", "x")
			wantAnswer(t, a, http.StatusBadRequest, row.code)
		})
	}
}
