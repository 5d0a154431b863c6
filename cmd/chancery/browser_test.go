//go:build browser

package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// chromium starts a browser of its own for the test.
func chromium(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("the browser tests need Debian's chromium: %v", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-gpu", true), chromedp.Flag("no-first-run", true), chromedp.Flag("disable-background-networking", true))
	allocator, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	ctx, timeout := context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(timeout)
	return ctx
}

// page serves an empty page and returns its web origin, by the given host.
func page(t *testing.T, host string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprint(w, "<!doctype html><title>page</title>")
	}))
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + host + ":" + u.Port()
}

// tab is a page of the browser and the server that its scripts talk to.
type tab struct {
	t   *testing.T
	ctx context.Context
	// issuer is the server.
	issuer string
}

func (b tab) open(address string) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, chromedp.Navigate(address)); err != nil {
		b.t.Fatal(err)
	}
}

// run evaluates a script, which may be a promise of a string.
func (b tab) run(script string) string {
	b.t.Helper()
	result, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", script, err)
	}
	return result
}

// post sends a form as an app in a browser does, and returns the status and
// the body, or "unreadable" when the browser keeps the answer from the page.
func (b tab) post(path string, pairs ...string) string {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return b.run(fmt.Sprintf(`fetch(%q, {method: "POST", credentials: "include", headers: {"Content-Type": "application/x-www-form-urlencoded"}, body: %q})
		.then(async r => r.status + " " + await r.text(), () => "unreadable")`, b.issuer+path, form.Encode()))
}

func (b tab) refresh() string {
	b.t.Helper()
	return b.post("/oauth/token", "grant_type", "refresh_token", "client_id", "spa")
}

// submit posts a form by navigating to it, which asks for no permission.
func (b tab) submit(path string, pairs ...string) {
	b.t.Helper()
	var inputs strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		fmt.Fprintf(&inputs, `<input name=%q value=%q>`, pairs[i], pairs[i+1])
	}
	loaded := fmt.Sprintf(`new Promise(done => {
		const frame = document.createElement("iframe")
		frame.name = "target"
		document.body.innerHTML = %q
		document.body.append(frame)
		frame.onload = () => done("loaded")
		document.forms[0].submit()
	})`, fmt.Sprintf(`<form method=post target=target action=%q>%s</form>`, b.issuer+path, inputs.String()))
	b.run(loaded)
}

// TestBrowserCookieMode: an app in a real browser keeps its session in a
// cookie that its scripts cannot read, and no other page can use it, not even
// one of the same site.
func TestBrowserCookieMode(t *testing.T) {
	port := freePort(t)
	env := append(sqliteEnv(t), "CHANCERY_LISTEN=127.0.0.1:"+port, "CHANCERY_ISSUER=http://localhost:"+port)
	app, sameSite, crossSite := page(t, "localhost"), page(t, "localhost"), page(t, "127.0.0.1")
	cli(t, env, "clients", "create", "--id", "spa", "--type", "public", "--first-party", "--grant", "password", "--grant", "refresh_token",
		"--refresh-token-delivery", "cookie", "--allowed-origin", app)
	for _, name := range []string{"victim", "attacker"} {
		if _, stderr, code := tryCLI(env, "password of "+name+" is long", "users", "create", "--username", name, "--password-stdin"); code != exitOK {
			t.Fatal(stderr)
		}
	}
	n := serve(t, env)
	b := tab{t: t, ctx: chromium(t), issuer: "http://localhost:" + port}
	login := func(name string) []string {
		return []string{"grant_type", "password", "client_id", "spa", "username", name, "password", "password of " + name + " is long", "scope", "account"}
	}
	// whose returns who the app's session belongs to, by refreshing it.
	whose := func() string {
		b.open(app)
		answer := b.refresh()
		if !strings.HasPrefix(answer, "200 ") || strings.Contains(answer, "cause") || strings.Contains(answer, "chrt_") {
			t.Fatalf("refresh of the app = %s, want a plain success without the token", answer)
		}
		return n.mustCall(http.StatusOK, "GET", "/account/me", between(answer, `"access_token":"`, `"`), nil).str("username")
	}

	b.open(app)
	if answer := b.post("/oauth/token", login("victim")...); !strings.HasPrefix(answer, "200 ") || strings.Contains(answer, "chrt_") {
		t.Fatalf("login = %s", answer)
	}
	if cookies := b.run("document.cookie"); cookies != "" {
		t.Errorf("the page reads the cookies %q, want none", cookies)
	}
	if got := whose(); got != "victim" {
		t.Fatalf("the session is of %q, want victim", got)
	}

	refused := func() int { return strings.Count(n.stderr.String(), `"error":"invalid_request"`) }
	for name, origin := range map[string]string{"same site, another port": sameSite, "another site": crossSite} {
		before := refused()
		for what, answer := range map[string]func() string{
			"refresh":    func() string { return b.refresh() },
			"login":      func() string { return b.post("/oauth/token", login("attacker")...) },
			"revocation": func() string { return b.post("/oauth/revoke", "client_id", "spa") },
		} {
			b.open(origin)
			if got := answer(); got != "unreadable" {
				t.Errorf("%s: %s = %s, want an answer that the page cannot read", name, what, got)
			}
		}
		for _, form := range [][]string{
			append([]string{"/oauth/token"}, login("attacker")...), // login CSRF
			{"/oauth/token", "grant_type", "refresh_token", "client_id", "spa"},
			{"/oauth/revoke", "client_id", "spa"},
		} {
			b.open(origin)
			b.submit(form[0], form[1:]...)
		}
		// All six came through to the server, which refused them.
		if got := refused() - before; got != 6 {
			t.Errorf("%s: the server refused %d requests, want 6", name, got)
		}
		if got := whose(); got != "victim" {
			t.Errorf("%s: afterwards the session is of %q, want victim", name, got)
		}
	}

	b.open(app)
	if answer := b.post("/oauth/revoke", "client_id", "spa"); answer != "200 " {
		t.Errorf("revocation by the app = %s", answer)
	}
	if answer := b.refresh(); !strings.HasPrefix(answer, "400 ") || !strings.Contains(answer, "refresh_token parameter is missing") {
		t.Errorf("refresh after the revocation = %s, want the cookie gone", answer)
	}
}
