package web_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"chancery/authz"
	"chancery/authz/authztest"

	"github.com/google/go-cmp/cmp"
)

// challenge is what every 401 must carry (RFC 6749 section 5.2, RFC 7617).
const challenge = `Basic realm="` + issuer + `", charset="UTF-8"`

// goodForm returns a body, without credentials, that a confidential client may
// send to the path.
func goodForm(path string) []string {
	if path == tokenURL {
		return []string{"grant_type", "client_credentials"}
	}
	return []string{"token", "unknown"}
}

// wantRefused reports an answer that is not 401 invalid_client with a challenge.
func wantRefused(t *testing.T, a answer) {
	t.Helper()
	wantAnswer(t, a, http.StatusUnauthorized, "invalid_client")
	wantHeader(t, a, "WWW-Authenticate", challenge)
}

// basicHeader returns an Authorization header of the two halves as they stand.
func basicHeader(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
}

// authorized sends a good form to path with Authorization headers and more
// parameters.
func authorized(s *server, path string, headers []string, pairs ...string) answer {
	r := s.form(path, append(goodForm(path), pairs...)...)
	for _, header := range headers {
		r.Header.Add("Authorization", header)
	}
	return s.do(r)
}

func TestCA01_ConfidentialMustAuthenticate(t *testing.T) {
	s := newServer(t)
	for _, path := range formURLs() {
		for _, client := range []string{"robot", "web", "basic", "post", "api"} {
			t.Run(client+path, func(t *testing.T) {
				wantRefused(t, s.post(path, append(goodForm(path), "client_id", client)...))
			})
		}
	}
}

// insertClient registers a client with a secret of the test's choice, as an
// import may bring one.
func insertClient(t *testing.T, s *server, id, secret string) {
	t.Helper()
	must(t, s.store.InsertClient(t.Context(), authz.Client{
		ID: id, AuthMethod: authz.AuthAnySecret, GrantTypes: []string{authz.GrantClientCredentials}, Scope: authz.Scope{"read"},
		Resources: []string{apiURI}, Secrets: []authz.ClientSecret{{Hash: authz.HashSecret(authz.Secret(secret))}}, Version: 1,
	}, authztest.AnyEvent()))
	s.service.Registry.Invalidate()
}

func TestCA02_BasicIsFormDecoded(t *testing.T) {
	s := newServer(t)
	const id, secret = "m~1", "p:a%2F+b c&d=é€"
	insertClient(t, s, id, secret)
	encodedID, encodedSecret := url.QueryEscape(id), url.QueryEscape(secret)
	for name, row := range map[string]struct {
		id, secret string
		ok         bool
	}{
		"form-encoded":     {encodedID, encodedSecret, true},
		"lower-case hex":   {encodedID, "p%3aa%252F%2bb+c%26d%3d%c3%a9%e2%82%ac", true},
		"every byte":       {"%6D%7E%31", encodedSecret, true},
		"first colon":      {encodedID, "p:a%252F%2Bb+c%26d%3D%C3%A9%E2%82%AC", true},
		"space as %20":     {encodedID, strings.ReplaceAll(encodedSecret, "+", "%20"), true},
		"not encoded":      {id, secret, false},
		"plus kept":        {encodedID, strings.ReplaceAll(encodedSecret, "%2B", "+"), false},
		"encoded twice":    {encodedID, url.QueryEscape(encodedSecret), false},
		"bad escape":       {encodedID, "%zz", false},
		"bad escape in id": {"m%", encodedSecret, false},
	} {
		t.Run(name, func(t *testing.T) {
			a := authorized(s, tokenURL, []string{basicHeader(row.id, row.secret)})
			if row.ok {
				wantAnswer(t, a, http.StatusOK, "")
			} else {
				wantRefused(t, a)
			}
		})
	}
}

func TestCA02_SchemeIgnoresCase(t *testing.T) {
	s := newServer(t)
	header := basicHeader("robot", s.secrets["robot"].Reveal())
	for _, scheme := range []string{"basic", "BASIC", "bAsIc"} {
		wantAnswer(t, authorized(s, tokenURL, []string{scheme + strings.TrimPrefix(header, "Basic")}), http.StatusOK, "")
	}
}

func TestCA03_SecretInBody(t *testing.T) {
	s := newServer(t)
	for _, path := range formURLs() {
		for _, client := range []string{"post", "robot", "api"} {
			if path == tokenURL && client == "api" {
				continue // it has no grant
			}
			a := s.post(path, append(goodForm(path), "client_id", client, "client_secret", s.secrets[client].Reveal())...)
			wantAnswer(t, a, http.StatusOK, "")
		}
		wantRefused(t, s.post(path, append(goodForm(path), "client_id", "post", "client_secret", "wrong")...))
	}
}

func TestCA03_SecretInURLRefused(t *testing.T) {
	s := newServer(t)
	for _, path := range formURLs() {
		target := path + "?client_secret=" + url.QueryEscape(s.secrets["post"].Reveal())
		wantAnswer(t, s.post(target, append(goodForm(path), "client_id", "post")...), http.StatusBadRequest, "invalid_request")
	}
}

func TestCA04_OneMechanism(t *testing.T) {
	s := newServer(t)
	secret := s.secrets["robot"].Reveal()
	good, wrong := basicHeader("robot", secret), basicHeader("robot", "wrong")
	assertion := []string{"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", "a.b.c"}
	for _, path := range formURLs() {
		for name, a := range map[string]answer{
			"Basic and body secret":       authorized(s, path, []string{good}, "client_id", "robot", "client_secret", secret),
			"wrong Basic and body secret": authorized(s, path, []string{wrong}, "client_id", "robot", "client_secret", secret),
			"Basic and other body secret": authorized(s, path, []string{good}, "client_secret", "x"),
			"Basic and assertion":         authorized(s, path, []string{good}, assertion...),
			"body secret and assertion":   authorized(s, path, nil, append(assertion, "client_id", "robot", "client_secret", secret)...),
			"two Basic headers":           authorized(s, path, []string{good, good}),
			"Basic and other client_id":   authorized(s, path, []string{good}, "client_id", "post"),
			"Basic and client_id in caps": authorized(s, path, []string{good}, "client_id", "ROBOT"),
		} {
			t.Run(name+path, func(t *testing.T) { wantAnswer(t, a, http.StatusBadRequest, "invalid_request") })
		}
		wantAnswer(t, authorized(s, path, []string{good}, "client_id", "robot"), http.StatusOK, "")
	}
}

func TestCA05_ChallengeOnEvery401(t *testing.T) {
	s := newServer(t)
	for _, path := range formURLs() {
		wantRefused(t, authorized(s, path, []string{basicHeader("robot", "wrong")}))
		wantRefused(t, authorized(s, path, nil, "client_id", "robot", "client_secret", "wrong"))
		wantRefused(t, authorized(s, path, nil, "client_id", "nobody"))
	}
	wantRefused(t, s.as("app", introspectURL, "token", "x")) // IN-02: a public client
	a := s.as("robot", tokenURL, "grant_type", "unknown")
	wantHeader(t, a, "WWW-Authenticate", "")
}

// What an answer says, without what differs from request to request.
func fingerprint(a answer) string {
	header := a.Header.Clone()
	header.Del("X-Request-Id")
	return fmt.Sprint(a.StatusCode, header, a.body)
}

func TestCA06_FailuresLookAlike(t *testing.T) {
	s := newServer(t)
	insertClient(t, s, "closed", "right")
	disable(t, s, "closed")
	disable(t, s, "plain")
	for _, path := range formURLs() {
		basic := func(id, secret string) answer { return authorized(s, path, []string{basicHeader(id, secret)}) }
		body := func(pairs ...string) answer { return authorized(s, path, nil, pairs...) }
		want := fingerprint(basic("nobody", "wrong"))
		for name, a := range map[string]answer{
			"wrong secret":          basic("robot", "wrong"),
			"empty secret":          basic("robot", ""),
			"disabled, right":       basic("closed", "right"),
			"disabled, wrong":       basic("closed", "wrong"),
			"wrong method, right":   basic("post", s.secrets["post"].Reveal()),
			"impossible id":         basic("no such id!", "wrong"),
			"unknown in body":       body("client_id", "nobody", "client_secret", "wrong"),
			"wrong in body":         body("client_id", "robot", "client_secret", "wrong"),
			"method in body, right": body("client_id", "basic", "client_secret", s.secrets["basic"].Reveal()),
			"unknown public":        body("client_id", "nobody"),
			"disabled public":       body("client_id", "plain"),
			"id in another case":    body("client_id", "APP"),
			"secret of another":     basic("robot", s.secrets["basic"].Reveal()),
		} {
			if diff := cmp.Diff(want, fingerprint(a)); diff != "" {
				t.Errorf("%s at %s differs from an unknown client (-unknown +this):\n%s", name, path, diff)
			}
		}
	}
}

// disable switches a client off, as an admin would.
func disable(t *testing.T, s *server, id string) {
	t.Helper()
	s.updateClient(id, func(c *authz.Client) { c.DisabledAt = s.clock.Now() })
}

func TestCA07_RegisteredMethodOnly(t *testing.T) {
	s := newServer(t)
	for _, path := range formURLs() {
		basic := func(id, secret string) answer { return authorized(s, path, []string{basicHeader(id, secret)}) }
		body := func(id, secret string) answer {
			return authorized(s, path, nil, "client_id", id, "client_secret", secret)
		}
		wantRefused(t, body("app", "any"))
		wantRefused(t, basic("app", "any"))
		wantRefused(t, body("basic", s.secrets["basic"].Reveal()))
		wantRefused(t, basic("post", s.secrets["post"].Reveal()))
		wantAnswer(t, basic("basic", s.secrets["basic"].Reveal()), http.StatusOK, "")
		wantAnswer(t, body("post", s.secrets["post"].Reveal()), http.StatusOK, "")
	}
}

func TestCA08_NoClient(t *testing.T) {
	s := newServer(t)
	for _, path := range formURLs() {
		wantRefused(t, s.post(path, goodForm(path)...))
		wantRefused(t, s.post(path, append(goodForm(path), "client_id", "")...))
		wantRefused(t, s.post(path, append(goodForm(path), "client_secret", s.secrets["robot"].Reveal())...))
	}
}

// A header that cannot be read must not fall back to the body's client_id,
// which alone would be enough for a public client.
func TestCA09_MalformedAuthorization(t *testing.T) {
	s := newServer(t)
	encode := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	for _, header := range []string{
		"Basic", "Basic ", "Basic !!!", "Basic " + encode("nocolon"), "Basic " + encode(":secret"), "Basic " + encode("app"), encode("robot:x"),
		"Bearer abc", "Digest username=\"robot\"", "DPoP abc", "Basic robot:secret", "BasicX " + encode("robot:x"), "Basic " + encode("robot:x") + " more",
	} {
		t.Run(header, func(t *testing.T) {
			for _, path := range formURLs() {
				wantRefused(t, authorized(s, path, []string{header}))
				wantRefused(t, authorized(s, path, []string{header}, "client_id", "app"))
			}
		})
	}
}

func TestCA11_SecretIsRandomAndStoredAsHash(t *testing.T) {
	s := newServer(t)
	seen := map[string]bool{}
	for _, id := range []string{"web", "robot", "api", "basic", "post"} {
		secret := s.secrets[id].Reveal()
		random, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(secret, "chcs_"))
		if err != nil || len(random) < 32 || seen[secret] {
			t.Errorf("secret of %s: %d random bytes, error %v, seen before: %t; want at least 32, nil and false", id, len(random), err, seen[secret])
		}
		seen[secret] = true
		stored, err := s.store.Client(t.Context(), id)
		must(t, err)
		if dump := fmt.Sprintf("%+v %#v", stored, stored); strings.Contains(dump, secret) {
			t.Errorf("the stored client %s holds its secret", id)
		}
	}
	for _, id := range []string{"app", "plain"} {
		if secret := s.secrets[id]; secret != "" {
			t.Errorf("public client %s has a secret", id)
		}
	}
}

func TestCA11_TwoSecretsDuringRotation(t *testing.T) {
	s := newServer(t)
	first := s.secrets["robot"]
	rotate := func(overlap time.Duration) authz.Secret {
		_, secret, err := s.clients.RotateSecret(t.Context(), "robot", overlap)
		must(t, err)
		s.service.Registry.Invalidate()
		return secret
	}
	check := func(secret authz.Secret, status int) {
		t.Helper()
		wantAnswer(t, authorized(s, tokenURL, []string{basicHeader("robot", secret.Reveal())}), status, "")
	}
	second := rotate(time.Hour)
	check(first, http.StatusOK)
	check(second, http.StatusOK)
	s.clock.Add(time.Hour)
	check(first, http.StatusUnauthorized)
	check(second, http.StatusOK)
	third := rotate(time.Hour)
	fourth := rotate(time.Hour)
	check(second, http.StatusUnauthorized) // two are valid, never three
	check(third, http.StatusOK)
	check(fourth, http.StatusOK)
	fifth := rotate(0)
	check(fourth, http.StatusUnauthorized)
	check(fifth, http.StatusOK)
}

// Every row breaks two rules that follow each other; the earlier one answers.
func TestTE11_Order(t *testing.T) {
	s := newServer(t)
	huge := strings.Repeat("a", 65<<10)
	badClient := url.Values{"client_id": {"robot"}, "client_secret": {"wrong"}}.Encode()
	for _, row := range []struct {
		name, method, contentType, body string
		status                          int
		code                            string
	}{
		{"method, size", "PUT", "", huge, http.StatusMethodNotAllowed, "invalid_request"},
		{"size, content type", "POST", "text/plain", huge, http.StatusRequestEntityTooLarge, "invalid_request"},
		{"content type, client", "POST", "text/plain", badClient, http.StatusBadRequest, "invalid_request"},
		{"repetition, client", "POST", "", badClient + "&scope=a&scope=a", http.StatusBadRequest, "invalid_request"},
		{"escape, client", "POST", "", badClient + "&scope=%zz", http.StatusBadRequest, "invalid_request"},
		{"client, grant type", "POST", "", badClient + "&grant_type=unknown", http.StatusUnauthorized, "invalid_client"},
		{"client, grant allowed", "POST", "", badClient + "&grant_type=password", http.StatusUnauthorized, "invalid_client"},
		{"client, scope", "POST", "", badClient + "&grant_type=client_credentials&scope=nope", http.StatusUnauthorized, "invalid_client"},
		{"grant allowed, grant", "POST", "", "client_id=plain&grant_type=password", http.StatusBadRequest, "unauthorized_client"},
		{"grant, scope", "POST", "", "client_id=app&grant_type=refresh_token&scope=nope", http.StatusBadRequest, "invalid_request"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := rawForm(t, tokenURL, row.body)
			r.Method = row.method
			if row.contentType != "" {
				r.Header.Set("Content-Type", row.contentType)
			}
			wantAnswer(t, s.do(r), row.status, row.code)
		})
	}
}

func TestTE11_GrantBeforeScope(t *testing.T) {
	s := newServer(t)
	login := []string{"grant_type", "password", "username", username, "password", "wrong"}
	wantAnswer(t, s.as("app", tokenURL, append(login, "scope", "nope")...), http.StatusBadRequest, "invalid_grant")
	wantAnswer(t, s.as("app", tokenURL, append(login, "resource", "https://no.example")...), http.StatusBadRequest, "invalid_grant")
	wantAnswer(t, s.refresh("app", "chrt_unknown", "scope", "nope"), http.StatusBadRequest, "invalid_grant")
	wantAnswer(t, s.refresh("app", "chrt_unknown", "scope", "bad  scope"), http.StatusBadRequest, "invalid_grant")
}

// Every request but the last is refused; had one consumed the token, the last
// would carry a cause.
func TestTE11_FailuresConsumeNothing(t *testing.T) {
	s := newServer(t)
	token := s.login("web", "scope", "read").str("refresh_token")
	for name, a := range map[string]answer{
		"wrong secret":   s.post(tokenURL, "client_id", "web", "client_secret", "wrong", "grant_type", "refresh_token", "refresh_token", token),
		"other client":   s.refresh("app", token),
		"wider scope":    s.refresh("web", token, "scope", "read write"),
		"bad scope":      s.refresh("web", token, "scope", "read  read"),
		"bad resource":   s.refresh("web", token, "resource", "no uri"),
		"other resource": s.refresh("web", token, "resource", otherURI),
	} {
		if a.StatusCode < 400 || a.StatusCode >= 500 {
			t.Errorf("%s: answer = %d %s, want a refusal", name, a.StatusCode, a.body)
		}
	}
	last := s.refresh("web", token)
	wantAnswer(t, last, http.StatusOK, "")
	if cause := last.str("cause"); cause != "" {
		t.Errorf("cause = %q, want none", cause)
	}
}

// preflight asks as a browser does.
func preflight(t *testing.T, s *server, path, origin string) answer {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodOptions, path, nil)
	r.Header.Set("Origin", origin)
	r.Header.Set("Access-Control-Request-Method", "POST")
	return s.do(r)
}

func TestTE16_CORS(t *testing.T) {
	s := newServer(t)
	const own = "https://app.example"
	for _, path := range formURLs() {
		for _, row := range []struct{ client, origin, want string }{
			{"web", own, own},
			{"web", "", ""},
			{"web", "null", ""},
			{"web", "https://evil.example", ""},
			{"web", own + ".evil.example", ""},
			{"web", "https://app.example:443", ""},
			{"web", "http://app.example", ""},
			{"app", own, ""}, // off unless the client's registration says so
			{"robot", own, ""},
			{"nobody", own, ""},
		} {
			r := s.form(path, append(goodForm(path), "client_id", row.client, "client_secret", "wrong")...)
			r.Header.Set("Origin", row.origin)
			a := s.do(r)
			wantHeader(t, a, "Access-Control-Allow-Origin", row.want)
			wantHeader(t, a, "Access-Control-Allow-Credentials", "")
			wantHeader(t, a, "Vary", "Origin")
		}
		for origin, want := range map[string]string{own: own, "https://evil.example": "", "null": "", "*": ""} {
			a := preflight(t, s, path, origin)
			wantAnswer(t, a, http.StatusNoContent, "")
			wantHeader(t, a, "Access-Control-Allow-Origin", want)
			if allows := a.Header.Get("Access-Control-Allow-Methods") == "POST"; allows != (want != "") || (a.Header.Get("Access-Control-Allow-Credentials") == "true") != allows {
				t.Errorf("preflight from %s: headers = %v, want it allowed: %t", origin, a.Header, want != "")
			}
		}
	}
}

// A browser asks its user for a password when an answer to a script names the
// scheme Basic.
func TestCA05_NoPromptInBrowsers(t *testing.T) {
	s := newServer(t)
	r := s.form(tokenURL, "grant_type", "password", "client_id", "unknown", "username", "x", "password", "y")
	r.Header.Set("Origin", "https://spa.example")
	a := s.do(r)
	wantAnswer(t, a, http.StatusUnauthorized, "invalid_client")
	if challenge := a.Header.Get("WWW-Authenticate"); challenge != `OAuth realm="`+issuer+`"` {
		t.Errorf("challenge of an answer to a script = %q", challenge)
	}
	r = s.form(tokenURL, "grant_type", "client_credentials")
	r.Header.Set("Origin", "https://spa.example")
	r.SetBasicAuth("robot", "wrong")
	if challenge := s.do(r).Header.Get("WWW-Authenticate"); !strings.HasPrefix(challenge, "Basic ") {
		t.Errorf("challenge after Basic was used = %q", challenge)
	}
}
