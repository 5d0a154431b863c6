package web_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"chancery/authz"
)

// What the clients of these tests are registered with.
const (
	siteRedirect  = "https://site.example/callback"
	appRedirect   = "com.example.app:/callback"
	localRedirect = "http://127.0.0.1/callback"
	// verifier is that of challenge.
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// browserServer returns a server with these clients more:
//
//	site    confidential, not ours: code, refresh; openid profile email offline_access read; api; told of logouts
//	phone   public, ours: code, refresh; redirects to an app, a loopback address, and https://phone.example/callback
//	legacy  as site, without PKCE; ES256
func browserServer(t testing.TB, edit ...func(*options)) *server {
	t.Helper()
	s := newServer(t, edit...)
	grants := []string{authz.GrantAuthorizationCode, authz.GrantRefreshToken}
	scope := append(authz.OpenIDScopes(), "read", "manage")
	for _, client := range []authz.Client{
		{
			ID: "site", Name: "The Site", AuthMethod: authz.AuthAnySecret, GrantTypes: grants, Scope: scope, Resources: []string{apiURI},
			RedirectURIs: []string{siteRedirect, siteRedirect + "?tenant=1"}, PostLogoutRedirectURIs: []string{"https://site.example/bye"},
			BackchannelLogoutURI: "https://site.example/ended", AllowedOrigins: []string{"https://site.example"},
		},
		{
			ID: "phone", Name: "The Phone", AuthMethod: authz.AuthNone, FirstParty: true, GrantTypes: grants, Scope: append(scope, "other"),
			Resources: []string{apiURI, otherURI}, RedirectURIs: []string{appRedirect, localRedirect, "http://[::1]/callback", "https://phone.example/callback"},
		},
		{
			ID: "legacy", AuthMethod: authz.AuthAnySecret, GrantTypes: grants, Scope: scope, Resources: []string{apiURI},
			RedirectURIs: []string{"https://legacy.example/callback"}, PKCEOptional: true, IDTokenAlgorithm: "ES256",
		},
	} {
		_, secret, err := s.clients.Create(t.Context(), client)
		must(t, err)
		s.secrets[client.ID] = secret
	}
	s.service.Registry.Invalidate()
	return s
}

// browser is one that keeps cookies and runs no script.
type browser struct {
	*server
	cookies map[string]string
	// site is what Sec-Fetch-Site says of forms.
	site string
}

func newBrowser(s *server) *browser {
	return &browser{server: s, cookies: map[string]string{}, site: "same-origin"}
}

func (b *browser) send(r *http.Request) answer {
	b.t.Helper()
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	r.Header.Set("User-Agent", "Browser")
	a := b.do(r)
	for _, cookie := range a.Cookies() {
		b.cookies[cookie.Name] = cookie.Value
		if cookie.MaxAge < 0 {
			delete(b.cookies, cookie.Name)
		}
	}
	return a
}

// open asks for an address of ours.
func (b *browser) open(address string) answer {
	b.t.Helper()
	return b.send(httptest.NewRequestWithContext(b.t.Context(), http.MethodGet, strings.TrimPrefix(address, issuer), nil))
}

var (
	actionPattern = regexp.MustCompile(`<form[^>]* method="post" action="([^"]*)"`)
	hiddenPattern = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

// submit sends the n-th form of a page, with its hidden fields and the pairs.
func (b *browser) submit(page answer, n int, pairs ...string) answer {
	b.t.Helper()
	forms := strings.Split(page.body, "<form")
	if len(forms) < n+2 {
		b.t.Fatalf("the page has no form %d: %d %s", n, page.StatusCode, page.body)
	}
	form := "<form" + forms[n+1]
	for _, hidden := range hiddenPattern.FindAllStringSubmatch(form, -1) {
		pairs = append(pairs, html.UnescapeString(hidden[1]), html.UnescapeString(hidden[2]))
	}
	r := b.form(html.UnescapeString(actionPattern.FindStringSubmatch(form)[1]), pairs...)
	r.Header.Set("Sec-Fetch-Site", b.site)
	return b.send(r)
}

// authorizeURL returns an authorization request of the client, with what the
// pairs change; an empty value takes a parameter away.
func authorizeURL(clientID string, pairs ...string) string {
	values := url.Values{
		"response_type": {"code"}, "client_id": {clientID}, "scope": {"openid read"}, "state": {"st&te ä"}, "nonce": {"n0nce"},
		"code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"S256"},
		"redirect_uri": {map[string]string{"phone": "https://phone.example/callback", "legacy": "https://legacy.example/callback"}[clientID]},
	}
	if clientID == "site" {
		values.Set("redirect_uri", siteRedirect)
	}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	maps.DeleteFunc(values, func(_ string, all []string) bool { return all[0] == "" })
	return "/oauth/authorize?" + values.Encode()
}

// logIn fills in a login page and follows where it leads within our pages.
func (b *browser) logIn(page answer) answer {
	b.t.Helper()
	a := b.submit(page, 0, "username", username, "password", secretPW)
	if a.StatusCode != http.StatusSeeOther {
		b.t.Fatalf("login = %d %s", a.StatusCode, a.body)
	}
	return b.open(a.Header.Get("Location"))
}

// answered returns what the answer brings to the redirect URI.
func (b *browser) answered(a answer, redirect string) url.Values {
	b.t.Helper()
	location := a.Header.Get("Location")
	target, err := url.Parse(location)
	if a.StatusCode != http.StatusSeeOther || err != nil || !strings.HasPrefix(location, redirect) {
		b.t.Fatalf("answer = %d to %q, want 303 to %s\n%s", a.StatusCode, location, redirect, a.body)
	}
	values := target.Query()
	if values.Get("iss") != issuer {
		b.t.Errorf("iss = %q, want the issuer (RFC 9207)", values.Get("iss"))
	}
	return values
}

// code logs alice in and returns a code for the client, which she allows it.
func (b *browser) code(clientID string, pairs ...string) string {
	b.t.Helper()
	address := authorizeURL(clientID, pairs...)
	a := b.open(address)
	if a.StatusCode == http.StatusOK && strings.Contains(a.body, `name="password"`) {
		a = b.logIn(a)
	}
	if a.StatusCode == http.StatusOK {
		a = b.submit(a, 0, "decision", "allow")
	}
	query, err := url.ParseQuery(strings.TrimPrefix(address, "/oauth/authorize?"))
	must(b.t, err)
	code := b.answered(a, query.Get("redirect_uri")).Get("code")
	if code == "" {
		b.t.Fatalf("there is no code in %s", a.Header.Get("Location"))
	}
	return code
}

// exchange sends a code to the token endpoint.
func (b *browser) exchange(clientID, code string, pairs ...string) answer {
	b.t.Helper()
	values := map[string]string{"grant_type": "authorization_code", "code": code, "code_verifier": verifier}
	for i := 0; i < len(pairs); i += 2 {
		values[pairs[i]] = pairs[i+1]
	}
	all := []string{}
	for name, value := range values {
		if value != "" {
			all = append(all, name, value)
		}
	}
	return b.as(clientID, tokenURL, all...)
}

// session logs alice in in the browser and returns the tokens of the client.
func (b *browser) session(clientID string, pairs ...string) answer {
	b.t.Helper()
	a := b.exchange(clientID, b.code(clientID, pairs...))
	if a.StatusCode != http.StatusOK {
		b.t.Fatalf("exchange = %d %s", a.StatusCode, a.body)
	}
	return a
}

// signed returns the verified claims of a token of that type.
func (s *server) signed(token, typ string) map[string]any {
	s.t.Helper()
	payload, err := s.rotator.Ring.Verify(token, typ)
	if err != nil {
		s.t.Fatalf("%s %q: %v", typ, token, err)
	}
	var claims map[string]any
	must(s.t, json.Unmarshal(payload, &claims))
	return claims
}

// atHash is the at_hash of an access token for RS256 and ES256.
func atHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
