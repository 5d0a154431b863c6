package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"chancery/authz"

	"github.com/google/go-cmp/cmp"
)

func TestAuthorize_WholeFlow(t *testing.T) {
	s := browserServer(t)
	b := newBrowser(s)
	page := b.open(authorizeURL("site", "scope", "openid profile email read unknown"))
	if page.StatusCode != http.StatusOK || !strings.Contains(page.body, "The Site") || !strings.Contains(page.body, `name="password"`) {
		t.Fatalf("authorize = %d %s, want the login for The Site", page.StatusCode, page.body)
	}
	consent := b.logIn(page)
	for _, want := range []string{"The Site", username, "see your e-mail address", "see your username", "<code>read</code>", "site.example"} {
		if !strings.Contains(consent.body, want) {
			t.Errorf("the consent page lacks %q:\n%s", want, consent.body)
		}
	}
	if strings.Contains(consent.body, "<code>unknown</code>") {
		t.Error("a scope that the client may not ask for is on the consent page")
	}
	values := b.answered(b.submit(consent, 0, "decision", "allow"), siteRedirect)
	if values.Get("state") != "st&te ä" {
		t.Errorf("state = %q", values.Get("state"))
	}
	tokens := b.exchange("site", values.Get("code"), "redirect_uri", siteRedirect)
	wantAnswer(t, tokens, http.StatusOK, "")
	if got := tokens.str("scope"); got != "openid profile email read" {
		t.Errorf("scope = %q", got)
	}
	access := s.claims(tokens.str("access_token"))
	if access["aud"] != apiURI || access["client_id"] != "site" || access["scope"] != "openid profile email read" {
		t.Errorf("access token = %v", access)
	}
	id := s.signed(tokens.str("id_token"), "JWT")
	now := float64(s.clock.Now().Unix())
	want := map[string]any{
		"iss": issuer, "sub": access["sub"], "aud": "site", "azp": "site", "sid": access["sid"], "nonce": "n0nce", "acr": "1", "amr": []any{"pwd"},
		"iat": now, "exp": now + 900, "auth_time": now, "at_hash": atHash(tokens.str("access_token")),
	}
	if diff := cmp.Diff(want, id); diff != "" {
		t.Errorf("ID token (-want +got):\n%s", diff)
	}
	refreshed := s.refresh("site", tokens.str("refresh_token"))
	wantAnswer(t, refreshed, http.StatusOK, "")
	if again := s.claims(refreshed.str("access_token")); again["sid"] != access["sid"] || again["auth_time"] != access["auth_time"] {
		t.Errorf("refreshed token = %v", again)
	}
}

func TestAuthorize_SignedInIsNotAskedAgain(t *testing.T) {
	s := browserServer(t)
	b := newBrowser(s)
	b.code("site")
	for name, pairs := range map[string][]string{"the same": nil, "less": {"scope", "openid"}, "none": {"prompt", "none"}, "young enough": {"max_age", "60"}} {
		if code := b.answered(b.open(authorizeURL("site", pairs...)), siteRedirect).Get("code"); code == "" {
			t.Errorf("%s: no code", name)
		}
	}
	if a := b.open(authorizeURL("site", "scope", "openid email")); a.StatusCode != http.StatusOK || !strings.Contains(a.body, "see your e-mail address") {
		t.Errorf("more than was allowed = %d %s, want to be asked", a.StatusCode, a.body)
	}
	if a := b.open(authorizeURL("phone", "scope", "openid")); a.StatusCode != http.StatusSeeOther {
		t.Errorf("a client of our own on https = %d, want no question", a.StatusCode)
	}
}

func TestAuthorize_Prompts(t *testing.T) {
	s := browserServer(t)
	stranger := newBrowser(s)
	for name, pairs := range map[string][]string{"none": {"prompt", "none"}, "none and max_age": {"prompt", "none", "max_age", "10"}} {
		values := stranger.answered(stranger.open(authorizeURL("site", pairs...)), siteRedirect)
		if values.Get("error") != "login_required" || values.Get("state") == "" {
			t.Errorf("%s without a login: %v, want login_required", name, values)
		}
	}
	b := newBrowser(s)
	first := s.signed(b.session("site").str("id_token"), "JWT")
	values := b.answered(b.open(authorizeURL("site", "prompt", "none", "scope", "openid email")), siteRedirect)
	if values.Get("error") != "consent_required" {
		t.Errorf("none with more than was allowed: %v, want consent_required", values)
	}
	s.clock.Add(time.Minute)
	for name, pairs := range map[string][]string{
		"login": {"prompt", "login"}, "select_account": {"prompt", "select_account"}, "max_age": {"max_age", "30"}, "max_age=0": {"max_age", "0"},
		"login and consent": {"prompt", "login consent"},
	} {
		s.clock.Add(time.Minute)
		page := b.open(authorizeURL("site", pairs...))
		if !strings.Contains(page.body, `name="password"`) || !strings.Contains(page.body, `value="`+username+`"`) {
			t.Errorf("%s = %d, want a login for alice", name, page.StatusCode)
			continue
		}
		again := s.signed(b.session("site", pairs...).str("id_token"), "JWT")
		if again["auth_time"].(float64) <= first["auth_time"].(float64) {
			t.Errorf("%s: auth_time = %v, want later than %v", name, again["auth_time"], first["auth_time"])
		}
		// The same request once more asks once more: the login was for one answer.
		if page := b.open(authorizeURL("site", pairs...)); name != "max_age" && !strings.Contains(page.body, `name="password"`) {
			t.Errorf("%s again = %d to %s, want a login", name, page.StatusCode, page.Header.Get("Location"))
		}
	}
	if a := b.open(authorizeURL("phone", "prompt", "consent")); a.StatusCode != http.StatusOK || !strings.Contains(a.body, "Continue") {
		t.Errorf("prompt=consent of a client of our own = %d, want a question", a.StatusCode)
	}
}

func TestAuthorize_MaxAgeHoldsUntilItsAge(t *testing.T) {
	s := browserServer(t)
	b := newBrowser(s)
	b.code("site")
	s.clock.Add(30 * time.Second)
	if a := b.open(authorizeURL("site", "max_age", "30")); a.StatusCode != http.StatusSeeOther {
		t.Errorf("a login of 30 s ago with max_age=30 = %d, want an answer", a.StatusCode)
	}
	s.clock.Add(time.Second)
	if a := b.open(authorizeURL("site", "max_age", "30")); a.StatusCode != http.StatusOK {
		t.Errorf("a login of 31 s ago with max_age=30 = %d, want a login", a.StatusCode)
	}
}

func TestAuthorize_Hints(t *testing.T) {
	s := browserServer(t)
	_, err := s.users.Create(t.Context(), authz.NewUser{Username: "bob", Password: secretPW})
	must(t, err)
	if a := newBrowser(s).open(authorizeURL("site", "login_hint", `b"ob`)); !strings.Contains(a.body, `value="b&#34;ob"`) {
		t.Errorf("login_hint is not filled in:\n%s", a.body)
	}
	b := newBrowser(s)
	hint := b.session("site").str("id_token")
	if a := b.open(authorizeURL("site", "id_token_hint", hint, "prompt", "none")); b.answered(a, siteRedirect).Get("code") == "" {
		t.Errorf("the user of the hint = %s", a.Header.Get("Location"))
	}
	s.clock.Add(time.Hour) // an expired token is a hint all the same
	if a := b.open(authorizeURL("site", "id_token_hint", hint, "prompt", "none")); b.answered(a, siteRedirect).Get("code") == "" {
		t.Errorf("an old hint = %s", a.Header.Get("Location"))
	}
	other := newBrowser(s)
	page := other.open(authorizeURL("site"))
	other.submit(page, 0, "username", "bob", "password", secretPW)
	if got := other.answered(other.open(authorizeURL("site", "id_token_hint", hint, "prompt", "none")), siteRedirect).Get("error"); got != "login_required" {
		t.Errorf("another user than that of the hint: %q, want login_required", got)
	}
	if a := other.open(authorizeURL("site", "id_token_hint", hint)); !strings.Contains(a.body, `name="password"`) {
		t.Errorf("another user than that of the hint = %d, want a login", a.StatusCode)
	}
	for name, bad := range map[string]string{"no token": "x", "an access token": s.login("app").str("access_token"), "of another client": newBrowser(s).session("legacy").str("id_token")} {
		if got := b.answered(b.open(authorizeURL("site", "id_token_hint", bad)), siteRedirect).Get("error"); got != "invalid_request" {
			t.Errorf("%s as hint: %q, want invalid_request", name, got)
		}
	}
}

// TestAuthorize_ErrorsForTheClient are told to the client, with its state.
func TestAuthorize_ErrorsForTheClient(t *testing.T) {
	s := browserServer(t)
	b := newBrowser(s)
	b.code("site")
	for name, row := range map[string]struct {
		pairs []string
		code  string
	}{
		"no response type":         {[]string{"response_type", ""}, "invalid_request"},
		"implicit":                 {[]string{"response_type", "token"}, "unsupported_response_type"},
		"hybrid":                   {[]string{"response_type", "code id_token"}, "unsupported_response_type"},
		"fragment":                 {[]string{"response_mode", "fragment"}, "invalid_request"},
		"no challenge":             {[]string{"code_challenge", "", "code_challenge_method", ""}, "invalid_request"},
		"plain challenge":          {[]string{"code_challenge_method", "plain"}, "invalid_request"},
		"challenge without method": {[]string{"code_challenge_method", ""}, "invalid_request"},
		"short challenge":          {[]string{"code_challenge", "short"}, "invalid_request"},
		"request object":           {[]string{"request", "e30."}, "request_not_supported"},
		"request by address":       {[]string{"request_uri", "https://site.example/request"}, "request_uri_not_supported"},
		"registration":             {[]string{"registration", "{}"}, "registration_not_supported"},
		"none with login":          {[]string{"prompt", "none login"}, "invalid_request"},
		"unknown prompt":           {[]string{"prompt", "create"}, "invalid_request"},
		"max_age of words":         {[]string{"max_age", "old"}, "invalid_request"},
		"negative max_age":         {[]string{"max_age", "-1"}, "invalid_request"},
		"malformed scope":          {[]string{"scope", "a  b"}, "invalid_scope"},
		"only unknown scopes":      {[]string{"scope", "unknown other"}, "invalid_scope"},
		"a role that is missing":   {[]string{"scope", "manage"}, "invalid_scope"},
		"malformed resource":       {[]string{"resource", "api"}, "invalid_target"},
		"resource with fragment":   {[]string{"resource", apiURI + "#x"}, "invalid_target"},
		"resource of others":       {[]string{"resource", otherURI}, "invalid_target"},
		"resource without scope":   {[]string{"resource", apiURI, "scope", "openid"}, "invalid_target"},
		"control characters":       {[]string{"nonce", "a\x00b"}, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			values := b.answered(b.open(authorizeURL("site", row.pairs...)), siteRedirect)
			if values.Get("error") != row.code || values.Get("state") != "st&te ä" || values.Has("code") {
				t.Errorf("answer = %v, want %s", values, row.code)
			}
		})
	}
	repeated := authorizeURL("site") + "&nonce=again"
	if got := b.answered(b.open(repeated), siteRedirect).Get("error"); got != "invalid_request" {
		t.Errorf("a repeated nonce: %q, want invalid_request", got)
	}
	s.updateClient("site", func(c *authz.Client) { c.GrantTypes = []string{authz.GrantRefreshToken} })
	if got := b.answered(b.open(authorizeURL("site")), siteRedirect).Get("error"); got != "unauthorized_client" {
		t.Errorf("a client without the grant: %q, want unauthorized_client", got)
	}
}

// TestAuthorize_ErrorsForTheUser: attacks 43 and 44. Nothing is redirected that
// does not belong to the client.
func TestAuthorize_ErrorsForTheUser(t *testing.T) {
	s := browserServer(t)
	b := newBrowser(s)
	b.code("site")
	b.code("phone")
	s.updateClient("legacy", func(c *authz.Client) { c.Disable(true, s.clock.Now()) })
	rows := map[string]string{
		"unknown client":    authorizeURL("nobody", "redirect_uri", siteRedirect),
		"no client":         authorizeURL("", "redirect_uri", siteRedirect, "client_id", ""),
		"disabled client":   authorizeURL("legacy"),
		"no redirect":       authorizeURL("site", "redirect_uri", ""),
		"two clients":       authorizeURL("site") + "&client_id=phone",
		"two redirects":     authorizeURL("site") + "&redirect_uri=https%3A%2F%2Fevil.example",
		"two states":        authorizeURL("site") + "&state=x",
		"too long":          authorizeURL("site", "state", strings.Repeat("x", 17<<10)),
		"broken query":      authorizeURL("site") + "&x=%zz",
		"no parameters":     "/oauth/authorize",
		"pushed, not there": "/oauth/authorize?client_id=site&request_uri=urn%3Aietf%3Aparams%3Aoauth%3Arequest_uri%3Ax",
	}
	for _, redirect := range []string{
		"https://evil.example/callback", "https://site.example/callback/", "https://site.example/callback?x=1", "https://SITE.example/callback",
		"https://site.example/callback#x", "https://site.example:443/callback", "http://site.example/callback", "https://site.example/Callback",
		"https://site.example/./callback", "https://site.example/a/../callback", "https://site.example/callback%20", "https://user@site.example/callback",
		`https://site.example\callback`, "//site.example/callback", "/callback", "javascript:alert(1)", "https://site.example.evil.example/callback",
	} {
		rows["site: "+redirect] = authorizeURL("site", "redirect_uri", redirect)
	}
	for _, redirect := range []string{
		"http://127.0.0.1:80800/callback", "http://127.0.0.1:/callback", "http://127.0.0.1:1@evil.example/callback", "http://127.0.0.2/callback",
		"http://localhost:8080/callback", "https://127.0.0.1:8080/callback", "http://127.0.0.1:8080/other", "http://127.0.0.1:8080/callback?x=1",
		"http://127.0.0.1.evil.example/callback", "com.example.app:/callback/", "com.example.app2:/callback",
	} {
		rows["phone: "+redirect] = authorizeURL("phone", "redirect_uri", redirect)
	}
	for name, address := range rows {
		a := b.open(address)
		if a.StatusCode != http.StatusBadRequest || a.Header.Get("Location") != "" || !strings.Contains(a.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%s = %d to %q, want a page with 400", name, a.StatusCode, a.Header.Get("Location"))
		}
		if strings.Contains(a.body, "evil") {
			t.Errorf("%s: the page quotes the request:\n%s", name, a.body)
		}
	}
}

func TestAuthorize_LoopbackPort(t *testing.T) {
	b := newBrowser(browserServer(t))
	for _, redirect := range []string{"http://127.0.0.1:49152/callback", "http://127.0.0.1/callback", "http://[::1]:1234/callback", appRedirect} {
		code := b.code("phone", "redirect_uri", redirect)
		wantAnswer(t, b.exchange("phone", code, "redirect_uri", redirect), http.StatusOK, "")
	}
}

// TestAuthorize_NoSilentCodeForAnyApp: any app may listen on a loopback port or
// take a scheme (RFC 8252 section 8.6).
func TestAuthorize_NoSilentCodeForAnyApp(t *testing.T) {
	b := newBrowser(browserServer(t))
	b.code("phone")
	for _, redirect := range []string{localRedirect, appRedirect} {
		if a := b.open(authorizeURL("phone", "redirect_uri", redirect)); a.StatusCode != http.StatusOK || !strings.Contains(a.body, "Continue as") {
			t.Errorf("%s = %d, want a question", redirect, a.StatusCode)
		}
		values := b.answered(b.open(authorizeURL("phone", "redirect_uri", redirect, "prompt", "none")), redirect)
		if values.Get("error") != "consent_required" {
			t.Errorf("%s with prompt=none: %v, want consent_required", redirect, values)
		}
	}
	fresh := newBrowser(b.server)
	if a := fresh.logIn(fresh.open(authorizeURL("phone", "redirect_uri", appRedirect))); a.StatusCode != http.StatusSeeOther {
		t.Errorf("right after the login = %d, want an answer: the user has just seen for what", a.StatusCode)
	}
}

func TestAuthorize_FormPost(t *testing.T) {
	b := newBrowser(browserServer(t))
	a := b.logIn(b.open(authorizeURL("phone", "response_mode", "form_post")))
	if a.StatusCode != http.StatusOK || !strings.Contains(a.body, `action="https://phone.example/callback"`) || !strings.Contains(a.body, "<button>") {
		t.Fatalf("form_post = %d %s", a.StatusCode, a.body)
	}
	fields := map[string]string{}
	for _, hidden := range hiddenPattern.FindAllStringSubmatch(a.body, -1) {
		fields[hidden[1]] = hidden[2]
	}
	if fields["iss"] != issuer || fields["state"] != "st&amp;te ä" || fields["code"] == "" || a.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("fields = %v", fields)
	}
	wantAnswer(t, b.exchange("phone", fields["code"]), http.StatusOK, "")
	refused := newBrowser(b.server).open(authorizeURL("phone", "response_mode", "form_post", "prompt", "none"))
	if !strings.Contains(refused.body, `name="error" value="login_required"`) {
		t.Errorf("an error by form_post = %s", refused.body)
	}
	if got := b.answered(b.open(authorizeURL("phone", "response_mode", "form_post", "redirect_uri", appRedirect)), appRedirect).Get("error"); got != "invalid_request" {
		t.Errorf("form_post to an app: %q, want invalid_request", got)
	}
}

// TestAuthorize_Post: a request as a form comes back with the cookies that no
// form of another site brings.
func TestAuthorize_Post(t *testing.T) {
	b := newBrowser(browserServer(t))
	address := authorizeURL("site")
	query, err := url.ParseQuery(strings.TrimPrefix(address, "/oauth/authorize?"))
	must(t, err)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/oauth/authorize", strings.NewReader(query.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	a := b.send(r)
	if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != address {
		t.Fatalf("POST = %d to %s, want 303 to %s", a.StatusCode, a.Header.Get("Location"), address)
	}
	if page := b.open(a.Header.Get("Location")); !strings.Contains(page.body, "The Site") {
		t.Errorf("then = %d %s", page.StatusCode, page.body)
	}
}

func TestAuthorize_Resources(t *testing.T) {
	b := newBrowser(browserServer(t))
	tokens := b.session("phone", "scope", "openid read other", "resource", otherURI)
	access := b.claims(tokens.str("access_token"))
	if access["aud"] != otherURI || access["scope"] != "openid other" {
		t.Errorf("access token = %v", access)
	}
	wantAnswer(t, b.refresh("phone", tokens.str("refresh_token"), "resource", apiURI), http.StatusBadRequest, "invalid_target")
	both := b.code("phone", "scope", "openid read other")
	access = b.claims(b.exchange("phone", both, "resource", otherURI).str("access_token"))
	if access["aud"] != otherURI || access["scope"] != "openid other" {
		t.Errorf("access token for the resource of the token request = %v", access)
	}
	wantAnswer(t, b.exchange("phone", b.code("phone", "scope", "read"), "resource", otherURI), http.StatusBadRequest, "invalid_target")
	access = b.claims(b.session("phone", "scope", "openid profile").str("access_token"))
	if access["aud"] != issuer+"/oauth/userinfo" || access["scope"] != "openid profile" {
		t.Errorf("access token for nothing but the user = %v", access)
	}
}

func TestAuthorize_Denied(t *testing.T) {
	b := newBrowser(browserServer(t))
	consent := b.logIn(b.open(authorizeURL("site")))
	values := b.answered(b.submit(consent, 0, "decision", "deny"), siteRedirect)
	if values.Get("error") != "access_denied" || values.Has("code") {
		t.Errorf("denied: %v", values)
	}
	if again := b.open(authorizeURL("site")); again.StatusCode != http.StatusOK {
		t.Errorf("after a denial = %d, want the question again", again.StatusCode)
	}
}

// TestAuthorize_Pages: attacks 46 and 48.
func TestAuthorize_Pages(t *testing.T) {
	s := browserServer(t)
	s.updateClient("site", func(c *authz.Client) { c.Name = `<script>alert("x")</script>` })
	b := newBrowser(s)
	login := b.open(authorizeURL("site"))
	consent := b.logIn(login)
	for name, page := range map[string]answer{"login": login, "consent": consent, "error": b.open("/oauth/authorize"), "account": b.open("/account"), "logout": b.open("/oauth/logout")} {
		policy := page.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: policy %q lacks %s", name, policy, want)
			}
		}
		if strings.Contains(policy, "unsafe") || page.Header.Get("X-Frame-Options") != "DENY" || page.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", name, page.Header)
		}
		if strings.Contains(page.body, "<script>alert") {
			t.Errorf("%s: the name of the client is markup", name)
		}
	}
	if policy := consent.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' https://site.example;") {
		t.Errorf("policy %q does not let the form lead to the client", policy)
	}
	if policy := b.open(authorizeURL("phone", "redirect_uri", appRedirect)).Header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' com.example.app:;") {
		t.Errorf("policy %q does not let the form lead to the app", policy)
	}
}

// TestAuthorize_IsLogged: what a client was refused for stands in the log, and
// nothing of the request's parameters.
func TestAuthorize_IsLogged(t *testing.T) {
	b := newBrowser(browserServer(t))
	b.open(authorizeURL("site", "prompt", "none"))
	if log := b.log.String(); !strings.Contains(log, `"client_id":"site"`) || !strings.Contains(log, `"error":"login_required"`) || strings.Contains(log, "n0nce") {
		t.Errorf("log = %s", log)
	}
}
