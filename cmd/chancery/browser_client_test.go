//go:build browser

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// badNetwork stands between the browser and a server, which knows only its
// address. Before an answer goes back, fault may keep it or cut the connection.
type badNetwork struct {
	*httptest.Server
	mu sync.Mutex
	// fault is called with the n'th request of a path, counted from 1, after
	// the server has answered it. It returns false to cut the connection.
	fault func(path string, n int) bool
	asked map[string]int
}

func newBadNetwork(t *testing.T, upstream string) *badNetwork {
	t.Helper()
	target, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	n := &badNetwork{asked: map[string]int{}}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(r *http.Response) error {
		n.mu.Lock()
		n.asked[r.Request.URL.Path]++
		fault, count := n.fault, n.asked[r.Request.URL.Path]
		n.mu.Unlock()
		if fault != nil && r.Request.Method == http.MethodPost && !fault(r.Request.URL.Path, count) {
			return context.Canceled
		}
		return nil
	}
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	n.Server = httptest.NewServer(proxy)
	t.Cleanup(n.Close)
	return n
}

// breaks sets the fault and begins to count anew.
func (n *badNetwork) breaks(fault func(path string, n int) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fault, n.asked = fault, map[string]int{}
}

func (n *badNetwork) count(path string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked[path]
}

// browserApp is an app with one user in a browser, behind a bad network.
type browserApp struct {
	t       *testing.T
	network *badNetwork
	server  *node
	env     []string
	issuer  string
	origin  string
	cookie  bool
	browser context.Context
}

const browserPassword = "quite a long password"

func newBrowserApp(t *testing.T, cookie bool) *browserApp {
	t.Helper()
	listen := freePort(t)
	a := &browserApp{t: t, cookie: cookie, network: newBadNetwork(t, "http://127.0.0.1:"+listen), browser: chromium(t)}
	if err := chromedp.Do(a.browser); err != nil { // starts it, for all tabs
		t.Fatal(err)
	}
	u, err := url.Parse(a.network.URL)
	if err != nil {
		t.Fatal(err)
	}
	a.issuer, a.origin = "http://localhost:"+u.Port(), a.page()
	a.env = append(sqliteEnv(t), "CHANCERY_LISTEN=127.0.0.1:"+listen, "CHANCERY_ISSUER="+a.issuer)
	args := []string{"clients", "create", "--id", "web", "--type", "public", "--first-party", "--grant", "password", "--grant", "refresh_token", "--allowed-origin", a.origin}
	if cookie {
		args = append(args, "--refresh-token-delivery", "cookie")
	}
	cli(t, a.env, args...)
	cli(t, a.env, "clients", "create", "--id", "direct", "--type", "public", "--first-party", "--grant", "password", "--grant", "refresh_token")
	if _, stderr, code := tryCLI(a.env, browserPassword, "users", "create", "--username", "ada", "--password-stdin"); code != exitOK {
		t.Fatal(stderr)
	}
	a.server = serve(t, a.env)
	return a
}

// page serves the app, which is an empty page with an API: it answers 401 to
// every token but the newest that was put.
func (a *browserApp) page() string {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprint(w, "<!doctype html><title>page</title>")
	})
	var mu sync.Mutex
	refused := map[string]bool{}
	mux.HandleFunc("/api", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, _ := io.ReadAll(r.Body)
		token := r.Header.Get("Authorization")
		if r.Method == http.MethodDelete {
			refused[token] = true // as if it had expired, or been revoked
		}
		if refused[token] || token == "" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = fmt.Fprintf(w, "%s %s", r.Method, body)
	})
	server := httptest.NewServer(mux)
	a.t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		a.t.Fatal(err)
	}
	return "http://localhost:" + u.Port()
}

// tab opens one more tab of the app, with the client as "session".
func (a *browserApp) tab() tab {
	a.t.Helper()
	ctx, cancel := chromedp.NewContext(a.browser)
	a.t.Cleanup(cancel)
	b := tab{t: a.t, ctx: ctx, issuer: a.issuer}
	b.open(a.origin)
	b.run(fmt.Sprintf(`import(%q).then(module => {
		globalThis.ChanceryError = module.ChanceryError
		globalThis.session = new module.Chancery({issuer: %q, clientId: "web", cookie: %v})
		globalThis.changes = []
		session.addEventListener("change", e => changes.push(e.detail.kind + (e.detail.cause ? ":" + e.detail.cause : "")))
		return ""
	})`, a.issuer+"/assets/chancery.js", a.issuer, a.cookie))
	return b
}

func (b tab) login() {
	b.t.Helper()
	b.run(fmt.Sprintf(`session.login("ada", %q).then(() => "")`, browserPassword))
}

// refused makes the API refuse the tab's token, and returns it.
func (b tab) refused() string {
	b.t.Helper()
	return b.run(`session.token().then(async t => { await fetch("/api", {method: "DELETE", headers: {Authorization: "Bearer " + t}}); return t })`)
}

// stored is a script that returns all that the client has stored.
const stored = `new Promise(done => {
	const open = indexedDB.open("chancery")
	open.onsuccess = () => {
		const all = open.result.transaction("sessions").objectStore("sessions").getAll()
		all.onsuccess = () => { open.result.close(); done(JSON.stringify(all.result) + Object.values(localStorage) + Object.values(sessionStorage)) }
	}
})`

// eachBrowserMode runs the test with the refresh token in storage and in a
// cookie.
func eachBrowserMode(t *testing.T, test func(t *testing.T, a *browserApp)) {
	t.Run("storage", func(t *testing.T) { test(t, newBrowserApp(t, false)) })
	t.Run("cookie", func(t *testing.T) { test(t, newBrowserApp(t, true)) })
}

func TestBrowserClientCallsAndRefreshes(t *testing.T) {
	eachBrowserMode(t, func(t *testing.T, a *browserApp) {
		b := a.tab()
		if got := b.run(`session.fetch("/api").then(r => r.status, e => e.code)`); got != "signed_out" {
			t.Errorf("without a session fetch = %s, want the error signed_out", got)
		}
		if got := b.run(`session.login("ada", "wrong password").catch(e => e.code + " " + e.status + " " + (e instanceof ChanceryError))`); got != "invalid_grant 400 true" {
			t.Errorf("a wrong password = %s", got)
		}
		b.login()
		if got := b.run(`session.fetch("/api", {method: "POST", body: "x"}).then(r => r.text())`); got != "POST x" {
			t.Errorf("fetch = %q", got)
		}
		if got := b.run(`session.fetch("https://evil.example/").catch(e => e.name)`); got != "TypeError" {
			t.Errorf("fetch of another origin = %s, want it refused before anything is sent", got)
		}
		before := b.refused()
		a.network.breaks(nil)
		if got := b.run(`session.fetch("/api", {method: "PUT", body: "again"}).then(r => r.text())`); got != "PUT again" {
			t.Errorf("fetch with a token that is refused = %q, want it repeated with its body", got)
		}
		if after := b.run(`session.token()`); after == before || a.network.count("/oauth/token") != 1 {
			t.Errorf("%d refreshes, another token: %v; want one", a.network.count("/oauth/token"), after != before)
		}
		kept := b.run(stored)
		if strings.Contains(kept, b.run(`session.token()`)) || strings.Contains(kept, "chrt_") == a.cookie {
			t.Errorf("stored: %s", kept)
		}
		// The session survives the page, and ends with it nowhere.
		c := a.tab()
		if got := c.run(`session.fetch("/api").then(r => r.text())`); got != "GET " {
			t.Errorf("in a new tab: %q", got)
		}
		b.run(`session.logout().then(() => "")`)
		eventually(t, "the other tab hears that the session is over", func() bool { return c.run(`changes.join()`) == "refresh,signed-out:logout" })
		if got := b.run(`String(session.signedIn) + session.expiresAt`) + b.run(stored); got != "false0[]" {
			t.Errorf("after the logout: %s", got)
		}
		if live := cli(t, a.env, "sessions", "list", "-o", "json"); strings.Contains(live, `"state": "live"`) {
			t.Errorf("after the logout a session lives: %s", live)
		}
	})
}

// Many calls in many tabs whose token has ended cause one refresh.
func TestBrowserClientRefreshesOnceForAllTabs(t *testing.T) {
	eachBrowserMode(t, func(t *testing.T, a *browserApp) {
		tabs := []tab{a.tab(), a.tab(), a.tab()}
		tabs[0].login()
		for _, b := range tabs {
			eventually(t, "every tab knows the token", func() bool { return b.run(`String(session.expiresAt > 0)`) == "true" })
		}
		for round := range 3 {
			tabs[0].refused()
			a.network.breaks(func(string, int) bool { time.Sleep(300 * time.Millisecond); return true })
			var group sync.WaitGroup
			for _, b := range tabs {
				group.Go(func() {
					if got := b.run(`Promise.all([1,2,3,4].map(() => session.fetch("/api").then(r => r.status))).then(all => all.join())`); got != "200,200,200,200" {
						t.Errorf("calls = %s", got)
					}
				})
			}
			group.Wait()
			if n := a.network.count("/oauth/token"); n != 1 {
				t.Errorf("round %d: %d refreshes for 12 calls in 3 tabs, want 1", round, n)
			}
		}
		for _, b := range tabs {
			if got := b.run(`changes.join()`); got != "login,refresh,refresh,refresh" {
				t.Errorf("a tab heard of %s", got)
			}
		}
	})
}

// The network is cut between request and answer: the server has rotated, the
// app has not heard of it.
func TestBrowserClientLostAnswer(t *testing.T) {
	eachBrowserMode(t, func(t *testing.T, a *browserApp) {
		b := a.tab()
		b.login()
		b.refused()
		a.network.breaks(func(_ string, n int) bool { return n > 2 })
		if got := b.run(`session.fetch("/api").then(r => r.status + "", e => e.code)`); got != "200" {
			t.Errorf("after two lost answers fetch = %s, want 200", got)
		}
		if n, changes := a.network.count("/oauth/token"), b.run(`changes.join()`); n != 3 || changes != "login,refresh:concurrent" {
			t.Errorf("%d requests, %s; want three, the last of them a repeated success", n, changes)
		}
		// The next rotation goes on from there.
		b.refused()
		a.network.breaks(nil)
		if got := b.run(`session.fetch("/api").then(r => r.status + "")`); got != "200" || b.run(`changes.at(-1)`) != "refresh" {
			t.Errorf("the next refresh: %s, %s", got, b.run(`changes.join()`))
		}
	})
}

// The tab is closed, or crashes, between request and answer: another goes on.
func TestBrowserClientTabDiesWhileItRefreshes(t *testing.T) {
	eachBrowserMode(t, func(t *testing.T, a *browserApp) {
		b := a.tab()
		b.login()
		b.refused()
		answered := make(chan struct{})
		a.network.breaks(func(_ string, n int) bool {
			if n == 1 {
				close(answered)
				time.Sleep(500 * time.Millisecond)
			}
			return true
		})
		b.run(`(session.fetch("/api"), "")`)
		<-answered
		b.open("about:blank")
		c := a.tab()
		if got := c.run(`session.fetch("/api").then(r => r.status + "", e => e.code)`); got != "200" {
			t.Errorf("in another tab fetch = %s, want the session to go on", got)
		}
	})
}

// A late answer must not overwrite a newer cookie: while one tab waits for its
// answer no other asks.
func TestBrowserClientDelayedAnswer(t *testing.T) {
	a := newBrowserApp(t, true)
	one, two := a.tab(), a.tab()
	one.login()
	eventually(t, "the other tab knows the token", func() bool { return two.run(`String(session.expiresAt > 0)`) == "true" })
	one.refused()
	var mu sync.Mutex
	var underWay, most int
	a.network.breaks(func(path string, _ int) bool {
		mu.Lock()
		underWay++
		most = max(most, underWay)
		mu.Unlock()
		time.Sleep(2 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		underWay--
		return true
	})
	var group sync.WaitGroup
	group.Go(func() { one.run(`session.fetch("/api").then(r => r.status + "")`) })
	group.Go(func() { two.run(`session.login("ada", ` + fmt.Sprintf("%q", browserPassword) + `).then(() => "")`) })
	group.Wait()
	if most != 1 {
		t.Errorf("%d requests were under way at once, want one after the other", most)
	}
	a.network.breaks(nil)
	for _, b := range []tab{one, two} {
		b.refused()
		if got := b.run(`session.fetch("/api").then(r => r.status + "", e => e.code)`); got != "200" {
			t.Errorf("afterwards fetch = %s, want the cookie to be the newest", got)
		}
	}
	if changes := one.run(`changes.join()`); strings.Contains(changes, "signed-out") {
		t.Errorf("changes = %s, want no session lost", changes)
	}
}

// A session that the server ends is over in all tabs, with the cause.
func TestBrowserClientRevoked(t *testing.T) {
	eachBrowserMode(t, func(t *testing.T, a *browserApp) {
		one, two := a.tab(), a.tab()
		one.login()
		eventually(t, "the other tab knows the token", func() bool { return two.run(`String(session.expiresAt > 0)`) == "true" })
		cli(t, a.env, "sessions", "revoke", "--user", "ada")
		one.refused()
		if got := one.run(`session.fetch("/api").then(r => r.status + "")`); got != "401" {
			t.Errorf("fetch = %s, want the API's own 401", got)
		}
		eventually(t, "both tabs know that the session is over", func() bool {
			return strings.Contains(one.run(`changes.join()`), "signed-out:") && two.run(`changes.join()`) == one.run(`changes.join()`)
		})
		if got := two.run(`session.token().catch(e => e.code)`); got != "signed_out" {
			t.Errorf("token in the other tab = %s", got)
		}
	})
}

func TestBrowserClientWaitsForABusyServer(t *testing.T) {
	a := newBrowserApp(t, false)
	b := a.tab()
	b.login()
	b.refused()
	b.run(`(() => { const real = fetch; globalThis.busy = 0; globalThis.fetch = (input, init) => String(input).endsWith("/oauth/token") && busy++ < 2
		? Promise.resolve(new Response("<html>", {status: 503, headers: {"Retry-After": "1"}})) : real(input, init); return "" })()`)
	begun := time.Now()
	if got := b.run(`session.fetch("/api").then(r => r.status + "", e => e.code)`); got != "200" {
		t.Errorf("fetch = %s", got)
	}
	if took := time.Since(begun); took < 1900*time.Millisecond {
		t.Errorf("two answers that ask to wait a second each took %s", took)
	}
}

// demonstrate runs "chancery demo" until the test ends and returns the address
// of its page.
func demonstrate(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, exited := &lockedBuffer{}, make(chan int, 1)
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	go func() {
		exited <- run(ctx, process{args: []string{"demo"}, environ: []string{"CHANCERY_LISTEN=nonsense"}, stdin: strings.NewReader(""), stdout: out, stderr: out})
	}()
	t.Cleanup(func() {
		cancel()
		if code := <-exited; code != exitOK {
			t.Errorf("demo exited with %d:\n%s", code, out)
		}
		if left, err := filepath.Glob(temp + "/chancery-*"); err != nil || len(left) != 0 {
			t.Errorf("the demo leaves %v behind, %v", left, err)
		}
	})
	var address string
	eventually(t, "the demo says where it is", func() bool {
		address = between(out.String(), "The demo is at ", "\n")
		return address != ""
	})
	return address
}

// shot saves what the tab shows where CHANCERY_SCREENSHOTS says.
func (b tab) shot(name string) {
	b.t.Helper()
	dir := os.Getenv("CHANCERY_SCREENSHOTS")
	if dir == "" {
		return
	}
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/"+name+".png", picture, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// TestBrowserDemo lives the story that the demo tells: two devices sign in, the
// admin ends the session of one, and its calls turn into 401 at once.
func TestBrowserDemo(t *testing.T) {
	address := demonstrate(t)
	b := tab{t: t, ctx: chromium(t)}
	if err := chromedp.Do(b.ctx, chromedp.EmulateViewport(1280, 860)); err != nil {
		t.Fatal(err)
	}
	b.open(address)
	device := func(title, script string) string {
		t.Helper()
		return b.run(fmt.Sprintf(`(() => { const d = document.querySelector('iframe[title=%s]').contentDocument; return String(%s) })()`, title, script))
	}
	ready := func(title string) func() bool {
		return func() bool { return device(title, `d.querySelector("#log li") !== null`) == "true" }
	}
	eventually(t, "the phone is drawn", ready("Phone"))
	eventually(t, "the laptop is drawn", ready("Laptop"))
	b.shot("demo-signed-out")
	for _, title := range []string{"Phone", "Laptop"} {
		device(title, `d.querySelector("#sign-in").requestSubmit()`)
		eventually(t, title+" calls the API", func() bool { return device(title, `d.querySelectorAll(".strip .good").length > 3`) == "true" })
	}
	device("Laptop", `d.querySelector("#order").click()`)
	eventually(t, "the laptop's order is there", func() bool { return device("Laptop", `d.querySelectorAll("#orders li").length`) == "1" })
	eventually(t, "the phone sees the order too", func() bool { return device("Phone", `d.querySelectorAll("#orders li").length`) == "1" })
	eventually(t, "the admin sees both by name", func() bool {
		return b.run(`[...document.querySelectorAll(".session b")].map(e => e.textContent).sort().join()`) == "Laptop,Phone"
	})
	b.shot("demo-signed-in")
	for _, title := range []string{"Phone", "Laptop"} {
		if bad := device(title, `d.querySelectorAll(".strip .lost, .strip .bad").length`); bad != "0" {
			t.Errorf("%s: %s calls went wrong: %s", title, bad, device(title, `d.querySelector("#log").textContent`))
		}
	}
	b.run(`([...document.querySelectorAll(".session")].find(e => e.textContent.includes("Phone")).querySelector("button").click(), "")`)
	eventually(t, "the phone is refused", func() bool { return b.run(`document.getElementById("result").dataset.took ?? ""`) != "" })
	took := b.run(`document.getElementById("result").dataset.took`)
	t.Logf("from the click until the 401: %s ms", took)
	if ms, err := strconv.Atoi(took); err != nil || ms > 2000 {
		t.Errorf("from the click until the 401: %s ms, want about a second", took)
	}
	if state, text := device("Phone", `d.querySelector("#state").textContent`), device("Phone", `d.querySelector("#log").textContent`); state != "signed out" || !strings.Contains(text, "the session was ended") {
		t.Errorf("the phone is %s and says %s", state, text)
	}
	if state := device("Laptop", `d.querySelector("#state").textContent`); state != "signed in" {
		t.Errorf("the laptop is %s", state)
	}
	eventually(t, "the admin sees one session", func() bool { return b.run(`document.querySelectorAll(".session").length + ""`) == "1" })
	b.shot("demo-revoked")
	demoShop(t, b)
	if problems := b.run(`document.documentElement.scrollWidth > innerWidth ? "wide" : ""`); problems != "" {
		t.Error("the page is wider than the window")
	}
	if err := chromedp.Do(b.ctx, chromedp.EmulateViewport(390, 844)); err != nil {
		t.Fatal(err)
	}
	if problems := b.run(`document.documentElement.scrollWidth > innerWidth ? "wide" : ""`); problems != "" {
		t.Error("the page is wider than a phone")
	}
	b.shot("demo-phone")
	if err := chromedp.Do(b.ctx, chromedp.EmulateViewport(1280, 860), chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
		return err
	})); err != nil {
		t.Fatal(err)
	}
	b.shot("demo-dark")
	b.run(`(document.cookie = "x", fetch("/admin/revoke", {method: "POST", body: "{}"}).then(r => document.title = r.status), "")`)
	eventually(t, "without the token of the run nobody ends a session", func() bool { return b.run("document.title") == "403" })
}

// demoShop logs in at another company's site, in a window of its own, until the
// admin ends that too.
func demoShop(t *testing.T, stage tab) {
	t.Helper()
	shop := &consoleTab{tab: tab{t: t, ctx: chromium(t)}}
	if err := chromedp.Do(shop.ctx, chromedp.EmulateViewport(1280, 860)); err != nil {
		t.Fatal(err)
	}
	shop.open(stage.run(`document.querySelector(".shop a").href`))
	shop.sees("A site that asks for no password")
	shop.shot("demo-shop-signed-out")
	shop.run(`(document.querySelector("a.button").click(), "")`)
	shop.sees("to continue to Print shop")
	shop.fill("username", stage.run(`document.querySelectorAll(".shop code")[0].textContent`))
	shop.fill("password", stage.run(`document.querySelectorAll(".shop code")[1].textContent`))
	shop.press("Sign in")
	shop.sees("asks for access to the account of ada")
	shop.shot("demo-shop-consent")
	shop.press("Allow")
	shop.sees("Hello, ada")
	shop.sees("200 OK")
	shop.shot("demo-shop-signed-in")
	wide := `document.documentElement.scrollWidth > innerWidth ? "wide" : ""`
	if err := chromedp.Do(shop.ctx, chromedp.EmulateViewport(390, 844)); err != nil {
		t.Fatal(err)
	}
	if shop.run(wide) != "" {
		t.Error("the site is wider than a phone")
	}
	shop.shot("demo-shop-phone")
	eventually(t, "the admin sees the site by name", func() bool {
		return stage.run(`[...document.querySelectorAll(".session b")].map(e => e.textContent).sort().join()`) == "Laptop,Print shop"
	})
	stage.run(`([...document.querySelectorAll(".session")].find(e => e.textContent.includes("Print shop")).querySelector("button").click(), "")`)
	shop.sees("the authorization server said so")
	shop.shot("demo-shop-told")
	stage.shot("demo-shop-ended")
}

// outcome is a script that tells how a promise ends.
func outcome(promise string) string {
	return promise + `.then(v => "ok " + (v?.status ?? ""), e => (e.code ?? e.name) + "")`
}

// The browser drops a cookie when its time is over: then the session is over
// too, and signing out is no failure.
func TestBrowserClientCookieGone(t *testing.T) {
	a := newBrowserApp(t, true)
	b := a.tab()
	b.login()
	b.refused()
	if err := chromedp.Do(b.ctx, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, network.ClearBrowserCookies, cdp.Empty{})
		return err
	})); err != nil {
		t.Fatal(err)
	}
	if got := b.run(outcome(`session.fetch("/api")`)); got != "ok 401" {
		t.Errorf("fetch = %s, want the API's 401", got)
	}
	if got := b.run(`String(session.signedIn) + changes.at(-1)`); got != "falsesigned-out" {
		t.Errorf("afterwards: %s", got)
	}
	if got := b.run(outcome(`session.logout()`)); got != "ok " {
		t.Errorf("logout = %s", got)
	}
}

// The page of a proxy, with status 200, is no answer: the session outlives it.
func TestBrowserClientProxyPage(t *testing.T) {
	eachBrowserMode(t, func(t *testing.T, a *browserApp) {
		b := a.tab()
		b.login()
		b.refused()
		b.run(`(() => { const real = fetch; let n = 0; globalThis.fetch = (input, init) => String(input).endsWith("/oauth/token") && n++ < 2
			? Promise.resolve(new Response("<html>sign in to the wifi</html>")) : real(input, init); return "" })()`)
		if got := b.run(outcome(`session.fetch("/api")`)); got != "ok 200" {
			t.Errorf("fetch = %s", got)
		}
	})
}

func TestBrowserClientLongRest(t *testing.T) {
	a := newBrowserApp(t, false)
	b := a.tab()
	b.login()
	b.refused()
	b.run(`(() => { const real = fetch; globalThis.fetch = (input, init) => String(input).endsWith("/oauth/token")
		? Promise.resolve(new Response("", {status: 503, headers: {"Retry-After": "3600"}})) : real(input, init); return "" })()`)
	if got := b.run(`session.fetch("/api").catch(e => e.code + e.retryAfter)`); got != "server_error3600" {
		t.Errorf("fetch = %s, want to be told of the hour at once", got)
	}
}

// Signing out that fails can be tried again, and the session is not forgotten
// before it is over.
func TestBrowserClientLogout(t *testing.T) {
	eachBrowserMode(t, func(t *testing.T, a *browserApp) {
		b := a.tab()
		b.login()
		b.run(`(globalThis.real = fetch, globalThis.fetch = () => Promise.resolve(new Response("{}", {status: 500, headers: {"Retry-After": "60"}})), "")`)
		for _, where := range []string{"local", "global"} {
			if got := b.run(outcome(fmt.Sprintf("session.logout(%q)", where))); got != "server_error" {
				t.Errorf("logout %s while the server fails = %s", where, got)
			}
		}
		b.run(`(globalThis.fetch = real, "")`)
		if got := b.run(outcome(`session.fetch("/api")`)); got != "ok 200" {
			t.Errorf("after a logout that failed fetch = %s", got)
		}
		elsewhere := a.server.mustPost(http.StatusOK, "/oauth/token", "grant_type", "password", "client_id", "direct", "username", "ada", "password", browserPassword)
		if got := b.run(outcome(`session.logout("others")`)); got != "ok " {
			t.Fatalf("logout of others = %s", got)
		}
		a.server.mustPost(http.StatusBadRequest, "/oauth/token", "grant_type", "refresh_token", "client_id", "direct", "refresh_token", elsewhere.str("refresh_token"))
		b.refused()
		if got := b.run(outcome(`session.fetch("/api")`)); got != "ok 200" {
			t.Errorf("after the logout of others fetch = %s", got)
		}
		if got := b.run(outcome(`session.logout("global")`)); got != "ok " || b.run(`String(session.signedIn)`) != "false" {
			t.Errorf("logout everywhere = %s", got)
		}
		if got := b.run(outcome(`session.token()`)); got != "signed_out" {
			t.Errorf("token after it = %s", got)
		}
	})
}

// What one user has begun is not repeated as another.
func TestBrowserClientOtherUser(t *testing.T) {
	a := newBrowserApp(t, false)
	if _, stderr, code := tryCLI(a.env, browserPassword, "users", "create", "--username", "bob", "--password-stdin"); code != exitOK {
		t.Fatal(stderr)
	}
	one, two := a.tab(), a.tab()
	one.login()
	eventually(t, "the other tab knows the token", func() bool { return two.run(`String(session.expiresAt > 0)`) == "true" })
	one.refused()
	two.run(`(globalThis.real = fetch, globalThis.fetch = async (input, init) => {
		const answer = await real(input, init)
		if (input.url?.endsWith("/api")) await new Promise(done => globalThis.goOn = done)
		return answer
	}, globalThis.order = session.fetch("/api", {method: "POST", body: "for ada"}), "")`)
	eventually(t, "the order was refused", func() bool { return two.run(`String(typeof goOn)`) == "function" })
	one.run(fmt.Sprintf(`session.login("bob", %q).then(() => "")`, browserPassword))
	eventually(t, "the other tab hears of it", func() bool { return strings.HasSuffix(two.run(`changes.join()`), "login,login") })
	if got := two.run(`(goOn(), order.then(r => r.status + ""))`); got != "401" {
		t.Errorf("ada's order, repeated after bob has signed in = %s, want the 401", got)
	}
}

// Without a database the session lives in its tab; with one that is deleted or
// closed meanwhile the client goes on.
func TestBrowserClientStorage(t *testing.T) {
	a := newBrowserApp(t, false)
	b := a.tab()
	b.run(`(Object.defineProperty(globalThis, "indexedDB", {value: {open() { throw new DOMException("no", "SecurityError") }}}),
		globalThis.session = new session.constructor({issuer: ` + fmt.Sprintf("%q", a.issuer) + `, clientId: "web", name: "apart"}), "")`)
	b.login()
	b.refused()
	if got := b.run(outcome(`session.fetch("/api")`)); got != "ok 200" {
		t.Errorf("without a database fetch = %s", got)
	}
	c := a.tab()
	c.login()
	c.refused()
	if got := c.run(`new Promise(done => { const r = indexedDB.deleteDatabase("chancery"); r.onsuccess = () => done("deleted"); r.onblocked = () => done("blocked") })`); got != "deleted" {
		t.Errorf("the database cannot be deleted: %s", got)
	}
	if got := c.run(outcome(`session.fetch("/api")`)); got != "ok 401" || c.run(`changes.at(-1)`) != "signed-out" {
		t.Errorf("after the database was deleted fetch = %s, %s", got, c.run(`changes.join()`))
	}
	c.login()
	if got := c.run(outcome(`session.fetch("/api")`)); got != "ok 200" {
		t.Errorf("after another login fetch = %s", got)
	}
	for _, options := range []string{`{clientId: "web"}`, `{issuer: "https://as.example/", clientId: "web"}`, `{issuer: "https://as.example", clientId: "web", cookie: true, name: "two"}`} {
		if got := c.run(`(() => { try { new session.constructor(` + options + `); return "" } catch (e) { return e.name } })()`); got != "TypeError" {
			t.Errorf("new Chancery(%s) = %s, want a TypeError", options, got)
		}
	}
}

// A call that its caller gives up on waits for no token.
func TestBrowserClientAbort(t *testing.T) {
	a := newBrowserApp(t, true)
	b := a.tab()
	b.login()
	b.refused()
	a.network.breaks(func(string, int) bool { time.Sleep(2 * time.Second); return true })
	begun := time.Now()
	if got := b.run(outcome(`session.fetch("/api", {signal: AbortSignal.timeout(200)})`)); got != "23" && got != "TimeoutError" {
		t.Errorf("fetch = %s", got)
	}
	if took := time.Since(begun); took > 1500*time.Millisecond {
		t.Errorf("a call that was given up on took %s", took)
	}
	if got := b.run(outcome(`session.fetch("/api")`)); got != "ok 200" {
		t.Errorf("the next call = %s", got)
	}
}
