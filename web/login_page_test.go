package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"chancery/authz"
)

const loginCookie = "__Host-chancery"

func TestLoginPage_Cookie(t *testing.T) {
	b := newBrowser(browserServer(t))
	page := b.open(authorizeURL("site"))
	if len(page.Cookies()) != 0 {
		t.Error("a cookie is set for somebody who has not logged in")
	}
	a := b.submit(page, 0, "username", username, "password", secretPW)
	cookies := a.Cookies()
	if len(cookies) != 1 {
		t.Fatalf("cookies = %v", cookies)
	}
	c := cookies[0]
	if c.Name != loginCookie || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 0 || len(c.Value) < 43 {
		t.Errorf("cookie = %+v", c)
	}
	if strings.Contains(a.Header.Get("Location"), secretPW) || a.StatusCode != http.StatusSeeOther {
		t.Errorf("login = %d to %s", a.StatusCode, a.Header.Get("Location"))
	}
	if strings.Contains(b.log.String(), c.Value) || strings.Contains(b.log.String(), secretPW) || strings.Contains(b.log.String(), "n0nce") {
		t.Error("the log holds the cookie, the password or the query")
	}
}

func TestLoginPage_CookieOfALoopbackIssuerWithPath(t *testing.T) {
	s := newServer(t, func(o *options) { o.issuer = "http://localhost:8080/tenant" })
	b := newBrowser(s)
	b.submit(b.open("/tenant/account"), 0, "username", username, "password", secretPW)
	if len(b.cookies) != 1 {
		t.Fatalf("cookies = %v", b.cookies)
	}
	for name := range b.cookies {
		if !strings.HasPrefix(name, "chancery-") || strings.HasPrefix(name, "__Host-") {
			t.Errorf("cookie %s, want one without the prefix that needs https, and apart from other tenants", name)
		}
	}
	if a := b.open("/tenant/account"); !strings.Contains(a.body, "Connected apps") {
		t.Errorf("account = %d %s", a.StatusCode, a.body)
	}
}

// TestLoginPage_CookieIsNew: what somebody has planted before the login is worth
// nothing after it.
func TestLoginPage_CookieIsNew(t *testing.T) {
	b := newBrowser(browserServer(t))
	b.cookies[loginCookie] = "planted"
	b.logIn(b.open("/account"))
	first := b.cookies[loginCookie]
	b.logIn(b.open(authorizeURL("site", "prompt", "login")))
	if second := b.cookies[loginCookie]; first == "planted" || second == first {
		t.Error("the cookie stayed the same over a login")
	}
	old := newBrowser(b.server)
	old.cookies[loginCookie] = first
	if a := old.open("/account"); !strings.Contains(a.body, `name="password"`) {
		t.Errorf("the cookie before the last login still counts: %d", a.StatusCode)
	}
}

// TestLoginPage_OtherSites: attack 45.
func TestLoginPage_OtherSites(t *testing.T) {
	s := browserServer(t)
	b := newBrowser(s)
	login := b.open(authorizeURL("site"))
	consent := b.logIn(login)
	b.site = "cross-site"
	for name, send := range map[string]func() answer{
		"login":    func() answer { return b.submit(login, 0, "username", username, "password", secretPW) },
		"consent":  func() answer { return b.submit(consent, 0, "decision", "allow") },
		"switch":   func() answer { return b.submit(consent, 1) },
		"logout":   func() answer { return b.submit(b.open("/oauth/logout"), 0) },
		"sign-out": func() answer { return b.submit(b.open("/account"), 0) },
		"disconnect": func() answer {
			r := b.form("/account/disconnect", "client_id", "site")
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			return b.send(r)
		},
		"same domain": func() answer { b.site = "same-site"; return b.submit(consent, 0, "decision", "allow") },
		"old browser": func() answer {
			r := b.form("/oauth/consent", "decision", "allow", "return_to", authorizeURL("site"))
			r.Header.Set("Origin", "https://evil.example")
			return b.send(r)
		},
	} {
		if a := send(); a.StatusCode != http.StatusForbidden || a.Header.Get("Location") != "" || len(a.Cookies()) != 0 {
			t.Errorf("%s from another site = %d", name, a.StatusCode)
		}
	}
	b.site = "same-origin"
	if a := b.open("/account"); !strings.Contains(a.body, "Connected apps") {
		t.Error("another site has logged the user out")
	}
	wantConsents(t, s, 0)
}

func wantConsents(t *testing.T, s *server, n int) {
	t.Helper()
	user, err := s.users.Find(t.Context(), username)
	must(t, err)
	consents, err := s.store.ListConsents(t.Context(), user.ID, 10)
	if must(t, err); len(consents) != n {
		t.Errorf("%d consents, want %d", len(consents), n)
	}
}

// TestLoginPage_ReturnTo: attack 44.
func TestLoginPage_ReturnTo(t *testing.T) {
	for _, target := range []string{
		"", "https://evil.example/oauth/authorize", "//evil.example", `/\evil.example`, "/oauth/authorize/../../evil", "/oauth/authorizex", "/account.evil.example",
		"javascript:alert(1)", "/oauth/token", "http://as.example/account", " //evil.example", "/account%2f..%2fevil", "/account/../evil",
	} {
		b := newBrowser(browserServer(t))
		r := b.form("/oauth/login", "username", username, "password", secretPW, "return_to", target)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		if a := b.send(r); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/account" {
			t.Errorf("return_to %q leads to %d %q, want /account", target, a.StatusCode, a.Header.Get("Location"))
		}
	}
}

func TestLoginPage_Refused(t *testing.T) {
	s := browserServer(t, func(o *options) { o.throttle = &authz.ThrottlePolicy{Pair: 3, Account: 100, Address: 100, Client: 100} })
	b := newBrowser(s)
	page := b.open(authorizeURL("site"))
	for name, row := range map[string][2]string{"wrong password": {username, "wrong"}, "unknown user": {"nobody", "wrong"}, "control": {"a\x01b", "x"}} {
		a := b.submit(page, 0, "username", row[0], "password", row[1])
		if a.Header.Get("Location") != "" || len(a.Cookies()) != 0 || (name != "control" && (a.StatusCode != http.StatusUnauthorized || !strings.Contains(a.body, "username or password is wrong"))) {
			t.Errorf("%s = %d %s", name, a.StatusCode, a.body)
		}
		if name == "wrong password" {
			page = a // the page comes with all that is needed to go on
		}
	}
	for range 3 {
		b.submit(page, 0, "username", username, "password", "wrong")
	}
	a := b.submit(page, 0, "username", username, "password", secretPW)
	if a.StatusCode != http.StatusTooManyRequests || a.Header.Get("Retry-After") == "" || !strings.Contains(a.body, "Too many attempts") {
		t.Errorf("after too many attempts = %d %s", a.StatusCode, a.body)
	}
	s.clock.Add(time.Hour)
	if consent := b.logIn(a); !strings.Contains(consent.body, "The Site") {
		t.Errorf("an hour later = %d %s", consent.StatusCode, consent.body)
	}
	events, err := s.store.ListEvents(t.Context(), authz.EventFilter{Kind: authz.EventLoginFailed, Page: authz.Page{Limit: 10}})
	if must(t, err); len(events) == 0 || events[0].ClientID != "site" {
		t.Errorf("events = %+v, want failed logins in site", events)
	}
}

func TestLoginPage_Lifetimes(t *testing.T) {
	signedIn := func(b *browser) bool { return strings.Contains(b.open("/account").body, "Connected apps") }
	b := newBrowser(browserServer(t))
	b.logIn(b.open("/account"))
	b.clock.Add(12*time.Hour - time.Second)
	if !signedIn(b) {
		t.Error("signed out before twelve hours")
	}
	b.clock.Add(12 * time.Hour)
	if signedIn(b) {
		t.Error("signed in twelve hours after the last use")
	}
	b = newBrowser(browserServer(t))
	b.logIn(b.open("/account"))
	for range 16 {
		b.clock.Add(10 * time.Hour)
		signedIn(b)
	}
	if !signedIn(b) {
		t.Error("signed out before a week")
	}
	b.clock.Add(8 * time.Hour)
	if signedIn(b) {
		t.Error("signed in a week after the login")
	}
}

func TestLoginPage_SwitchUser(t *testing.T) {
	s := browserServer(t)
	_, err := s.users.Create(t.Context(), authz.NewUser{Username: "bob", Password: secretPW})
	must(t, err)
	b := newBrowser(s)
	consent := b.logIn(b.open(authorizeURL("site")))
	a := b.submit(consent, 1)
	if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != authorizeURL("site") {
		t.Fatalf("another account = %d to %s", a.StatusCode, a.Header.Get("Location"))
	}
	page := b.open(a.Header.Get("Location"))
	a = b.submit(page, 0, "username", "bob", "password", secretPW)
	if consent = b.open(a.Header.Get("Location")); !strings.Contains(consent.body, "bob") {
		t.Errorf("then = %d %s, want the question for bob", consent.StatusCode, consent.body)
	}
}

func TestAccountPage(t *testing.T) {
	s := browserServer(t)
	b := newBrowser(s)
	tokens := b.session("site")
	ours := b.session("phone")
	page := b.open("/account")
	for _, want := range []string{"The Site", "The Phone", "one of our own", "<code>read</code>", "Signed in on one device, last used"} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page lacks %q:\n%s", want, page.body)
		}
	}
	n := strings.Index(page.body, `aria-label="Disconnect The Site"`)
	if a := b.submit(page, strings.Count(page.body[:n], "<form")-1); a.StatusCode != http.StatusSeeOther {
		t.Fatalf("disconnect = %d %s", a.StatusCode, a.body)
	}
	wantAnswer(t, s.refresh("site", tokens.str("refresh_token")), http.StatusBadRequest, "invalid_grant")
	wantAnswer(t, s.refresh("phone", ours.str("refresh_token")), http.StatusOK, "")
	wantConsents(t, s, 0)
	if a := b.open(authorizeURL("site")); a.StatusCode != http.StatusOK || !strings.Contains(a.body, "Allow") {
		t.Errorf("after it was disconnected = %d, want the question again", a.StatusCode)
	}
	if page := b.open("/account"); strings.Contains(page.body, "The Site") {
		t.Error("the page still names the client")
	}
	r := b.form("/account/disconnect", "client_id", "")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if a := b.send(r); a.StatusCode != http.StatusBadRequest {
		t.Errorf("disconnect of nothing = %d", a.StatusCode)
	}
	wantAnswer(t, s.refresh("phone", ours.str("refresh_token")), http.StatusOK, "")
}
