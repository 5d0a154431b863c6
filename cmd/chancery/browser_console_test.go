//go:build browser

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chancery/authz/verify"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// consoleTab is an admin's browser on the console of a real server.
type consoleTab struct {
	tab
	node  *node
	first firstCredentials
}

// newConsole starts a server with some history, and a browser that is signed
// in to its console.
func newConsole(t *testing.T, env []string) *consoleTab {
	t.Helper()
	port := freePort(t)
	env = append(env, "CHANCERY_LISTEN=127.0.0.1:"+port, "CHANCERY_ISSUER=http://localhost:"+port)
	first := bootstrapped(t, env)
	for _, name := range []string{"alice", "bob", "carol"} {
		if _, stderr, code := tryCLI(env, "the long password of "+name, "users", "create", "--username", name, "--email", name+"@mail.example", "--role", "editor", "--password-stdin"); code != exitOK {
			t.Fatal(stderr)
		}
	}
	b := &consoleTab{tab: tab{t: t, ctx: chromium(t), issuer: "http://localhost:" + port}, node: serve(t, env), first: first}
	b.visit("/console/sessions?state=live")
	b.sees("Sign in as an admin.")
	b.fill("username", first.Username)
	b.fill("password", first.Password)
	b.press("Sign in")
	b.sees("Sessions") // where the browser wanted to go
	return b
}

// login starts a session of a user in the first app.
func (b *consoleTab) login(name string) reply {
	b.t.Helper()
	return b.node.mustPost(http.StatusOK, "/oauth/token", "grant_type", "password", "client_id", b.first.ClientID, "username", name,
		"password", "the long password of "+name)
}

func (b *consoleTab) visit(path string) {
	b.t.Helper()
	b.open(b.issuer + path)
}

// text returns what the page shows in lower case, since a style may change the
// case, or "" while there is none.
func (b *consoleTab) text() string {
	return strings.ToLower(b.try(`document.body ? document.body.innerText : ""`))
}

// try returns what a script does, or "" between two pages.
func (b *consoleTab) try(script string) string {
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](script))
	if err != nil {
		return ""
	}
	return value
}

// sees waits until the page shows a text.
func (b *consoleTab) sees(want string) {
	b.t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !strings.Contains(b.text(), strings.ToLower(want)); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("the page does not show %q but:\n%s", want, b.text())
		}
	}
}

// misses waits until a page is shown without a text: the one that has it may
// still be there.
func (b *consoleTab) misses(unwanted string) {
	b.t.Helper()
	eventually(b.t, fmt.Sprintf("the page is without %q", unwanted), func() bool {
		text := b.text()
		return text != "" && !strings.Contains(text, strings.ToLower(unwanted))
	})
}

// fill types into the field with that name that can be seen.
func (b *consoleTab) fill(name, value string) {
	b.t.Helper()
	b.must(fmt.Sprintf(`(() => {
		const field = [...document.querySelectorAll('[name=%q]')].find(f => f.offsetParent)
		if (!field) return "there is no field"
		field.focus()
		if (field.select) field.select()
		return ""
	})()`, name))
	if err := chromedp.Do(b.ctx, chromedp.KeyEvent(value)); err != nil {
		b.t.Fatal(err)
	}
}

// choose sets a list or checks a box.
func (b *consoleTab) choose(selector, value string) {
	b.t.Helper()
	b.must(fmt.Sprintf(`(() => {
		const field = document.querySelector(%q)
		if (!field) return "there is no field"
		if (field.type == "checkbox" || field.type == "radio") field.click()
		else { field.value = %q; field.dispatchEvent(new Event("change", {bubbles: true})) }
		return ""
	})()`, selector, value))
}

// press clicks on the button or link with that text that can be seen, in what
// is open of the page.
func (b *consoleTab) press(text string) {
	b.t.Helper()
	b.must(fmt.Sprintf(`(() => {
		const all = [...document.querySelectorAll("button, a, summary")].filter(e => e.offsetParent && e.innerText.trim() == %q)
		if (!all.length) return "there is nothing to press"
		all[0].click()
		return ""
	})()`, text))
}

// must runs a script that returns what went wrong, until that is nothing: the
// page that it is meant for may be on its way.
func (b *consoleTab) must(script string) {
	b.t.Helper()
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		problem, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](script))
		if err == nil && problem == "" {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("%s %v: %s\n%s", problem, err, script, b.text())
		}
	}
}

// axe is the accessibility checker, which .ci/node holds.
func axe(t *testing.T) string {
	t.Helper()
	script, err := os.ReadFile("../../.ci/node/node_modules/axe-core/axe.min.js")
	if err != nil {
		if os.Getenv("CHANCERY_TEST_INTEROP_REQUIRED") == "1" {
			t.Fatalf("axe-core must be there: npm ci --prefix .ci/node: %v", err)
		}
		t.Log("axe-core is not installed: accessibility is not checked")
	}
	return string(script)
}

// look checks the page that is shown with axe, and that nothing of it is wider
// than the window; both as on a desktop and as on a phone, light and dark. It
// saves pictures where CHANCERY_SCREENSHOTS says.
func (b *consoleTab) look(name, checker string) {
	b.t.Helper()
	if checker == noLook {
		return
	}
	for _, size := range []struct {
		name          string
		width, height int64
	}{{"desktop", 1280, 800}, {"phone", 390, 844}} {
		for _, scheme := range []string{"light", "dark"} {
			media := chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
				_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
				return err
			})
			if err := chromedp.Do(b.ctx, chromedp.EmulateViewport(size.width, size.height), media); err != nil {
				b.t.Fatal(err)
			}
			what := name + ", " + size.name + ", " + scheme
			b.checkLook(what, checker)
			if dir := os.Getenv("CHANCERY_SCREENSHOTS"); dir != "" {
				picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
				if err != nil {
					b.t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%s-%s.png", name, size.name, scheme)), picture, 0o600); err != nil {
					b.t.Fatal(err)
				}
			}
		}
	}
	if err := chromedp.Do(b.ctx, chromedp.EmulateViewport(1280, 800)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *consoleTab) checkLook(what, checker string) {
	b.t.Helper()
	if wide := b.run(`document.documentElement.scrollWidth > document.documentElement.clientWidth ? "wider" : ""`); wide != "" {
		b.t.Errorf("%s: the page is wider than the window", what)
	}
	if checker == "" {
		return
	}
	found := b.run(checker + `; axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.stringify(r.violations.map(v => (
		{id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.map(n => n.html).slice(0, 3)}))))`)
	var violations []struct {
		ID, Impact, Help string
		Nodes            []string
	}
	if err := json.Unmarshal([]byte(found), &violations); err != nil {
		b.t.Fatalf("%s: %v", found, err)
	}
	for _, v := range violations {
		if v.Impact == "serious" || v.Impact == "critical" || os.Getenv("CHANCERY_SCREENSHOTS") != "" {
			b.t.Errorf("%s: %s (%s): %s\n\t%s", what, v.ID, v.Impact, v.Help, strings.Join(v.Nodes, "\n\t"))
		}
	}
}

// noLook stands for the checker where pages are not looked at.
const noLook = "none"

// TestBrowserConsole drives every page of the console.
func TestBrowserConsole(t *testing.T) {
	eachDatabase(t, func(t *testing.T, env []string) {
		b := newConsole(t, env)
		checker := axe(t)
		if t.Name() != "TestBrowserConsole/sqlite" {
			checker = noLook // a page looks the same, whatever the database is
		}
		t.Run("session", func(t *testing.T) { b.t = t; b.session(checker) })
		t.Run("client", func(t *testing.T) { b.t = t; b.client(checker) })
		t.Run("resource", func(t *testing.T) { b.t = t; b.resource(checker) })
		t.Run("user", func(t *testing.T) { b.t = t; b.user(checker) })
		t.Run("key", func(t *testing.T) { b.t = t; b.key(checker) })
		t.Run("events", func(t *testing.T) { b.t = t; b.events(checker) })
		t.Run("overview", func(t *testing.T) { b.t = t; b.overviewPage(checker) })
		t.Run("leaving", func(t *testing.T) { b.t = t; b.leave(checker) })
		b.t = t
	})
}

// session finds a session, ends it, and sees it refused: by the token endpoint
// and by a verifier that listens.
func (b *consoleTab) session(checker string) {
	t := b.t
	session, other := b.login("alice"), b.login("bob")
	b.login("alice")
	verifier, err := verify.New(b.issuer, "https://api.example", verify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	listening := make(chan error, 1)
	go func() { listening <- verifier.Run(ctx) }()
	defer func() { stop(); <-listening }()
	if _, err := verifier.Verify(t.Context(), session.str("access_token")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the verifier listens", func() bool {
		r, err := b.node.get("/metrics")
		return err == nil && strings.Contains(r.body, "chancery_status_stream_listeners 1")
	})

	b.visit("/console/sessions")
	b.sees("bob")
	b.look("sessions", checker)
	b.fill("q", "ali")
	b.sees("2 sessions shown") // without pressing anything
	b.misses("bob")
	b.must(`(() => { const links = [...document.querySelectorAll("#results tbody a[href*='/console/sessions/']")]; links.at(-1).click(); return "" })()`)
	b.sees("It lives, and ends")
	b.look("session", checker)
	b.press("End this session…")
	b.press("End it")
	b.sees("The session has ended.")
	b.sees("Verifiers can see it.")
	b.sees("1 of 1 verifier")
	b.sees("an admin ended it")
	b.look("session-ended", checker)
	b.node.mustPost(http.StatusBadRequest, "/oauth/token", refreshForm(b.first, session.str("refresh_token"))...)
	b.node.mustPost(http.StatusOK, "/oauth/token", refreshForm(b.first, other.str("refresh_token"))...)
	eventually(t, "the verifier refuses", func() bool {
		_, err := verifier.Verify(t.Context(), session.str("access_token"))
		return err != nil
	})

	b.visit("/console/sessions?q=alice")
	b.choose(`input[data-all="sid"]`, "")
	b.press("End the chosen sessions…")
	b.sees("End 1 session?")
	b.look("confirm-sessions", checker)
	b.press("End 1 session")
	b.sees("The session has ended.")
	b.visit("/console/sessions?q=nobody-of-that-name")
	b.sees("No live session fits")
	b.look("sessions-none", checker)
}

// client registers a client and uses it at once.
func (b *consoleTab) client(checker string) {
	b.visit("/console/clients")
	b.look("clients", checker)
	b.press("New client")
	b.sees("How it proves itself")
	b.look("client-new", checker)
	b.fill("client_id", "robot")
	b.fill("client_name", `<b>Robot</b>`)
	b.choose(`input[value="client_secret"]`, "")
	b.choose(`input[name="first_party"]`, "")
	for _, grant := range []string{"password", "refresh_token", "client_credentials"} {
		b.choose(`input[name="grant_types"][value="`+grant+`"]`, "")
	}
	b.press("Register the client")
	b.sees("needs a resource")
	b.look("client-problem", checker)
	b.choose(`input[name="resources"][value="https://api.example"]`, "")
	b.fill("scope", "orders:read")
	b.press("Register the client")
	b.sees("It is shown this once.")
	b.look("secret", checker)
	secret := b.run(`document.querySelector("input.secret").value`)
	form := []string{"grant_type", "client_credentials", "client_id", "robot", "client_secret", secret}
	b.node.mustPost(http.StatusOK, "/oauth/token", form...)
	b.press("I have it")
	b.sees("<b>Robot</b>")
	b.misses(secret)
	b.look("client", checker)
	b.press("Another secret…")
	b.choose(`select[name="overlap"]`, "0s")
	b.press("Make another secret")
	b.sees("It is shown this once.")
	second := b.run(`document.querySelector("input.secret").value`)
	b.node.mustPost(http.StatusUnauthorized, "/oauth/token", form...)
	b.node.mustPost(http.StatusOK, "/oauth/token", "grant_type", "client_credentials", "client_id", "robot", "client_secret", second)
	b.visit("/console/clients/robot/edit")
	b.fill("client_name", "Robot the second")
	b.press("Change the client")
	b.sees("The client is changed.")
	b.press("Disable…")
	b.press("Disable the client")
	b.sees("The client is disabled")
	b.node.mustPost(http.StatusUnauthorized, "/oauth/token", "grant_type", "client_credentials", "client_id", "robot", "client_secret", second)
	b.press("Let in again…")
	b.press("Let the client in again")
	b.sees("The client is let in again.")
	b.press("Delete…")
	b.fill("confirm", "robo")
	b.press("Delete the client")
	b.sees("Nothing was deleted.")
	b.press("Delete…")
	b.fill("confirm", "robot")
	b.press("Delete the client")
	b.sees("Deleted robot.")
}

func (b *consoleTab) resource(checker string) {
	b.visit("/console/resources")
	b.look("resources", checker)
	b.press("New resource")
	b.look("resource-new", checker)
	b.fill("uri", "https://notes.example")
	b.fill("scopes", "notes:read\nnotes:write editor")
	b.choose(`select[name="algorithm"]`, "EdDSA")
	b.fill("access_token_ttl", "1y")
	b.press("Register the resource")
	b.sees("want a duration")
	b.fill("access_token_ttl", "5m")
	b.press("Register the resource")
	b.sees("Registered https://notes.example.")
	b.press("https://notes.example")
	b.sees("resource created")
	b.look("resource", checker)
	b.fill("name", "Notes")
	b.press("Change the resource")
	b.sees("Changed https://notes.example.")
	b.press("https://notes.example")
	b.press("Delete…")
	b.press("Delete the resource")
	b.sees("Deleted https://notes.example.")
}

// user creates a user, bans him, and deletes him.
func (b *consoleTab) user(checker string) {
	b.visit("/console/users")
	b.look("users", checker)
	b.press("New user")
	b.look("user-new", checker)
	b.fill("username", "dave")
	b.fill("email", "dave@mail.example")
	b.fill("password", "short")
	b.press("Create the user")
	b.sees("password not acceptable")
	b.fill("password", "the long password of dave")
	b.choose(`input[name="keep"]`, "")
	b.fill("roles", "editor")
	b.press("Create the user")
	b.sees("Created dave.")
	session := b.login("dave")
	b.press("Roles…")
	b.fill("roles", "editor reader")
	b.press("Change the roles")
	b.sees("The roles are changed.")
	b.sees("editor reader")
	b.look("user", checker)
	b.press("Ban…")
	b.choose(`select[name="length"]`, "24h")
	b.fill("reason", "spam")
	b.press("Ban")
	b.sees("The user is banned")
	b.node.mustPost(http.StatusBadRequest, "/oauth/token", refreshForm(b.first, session.str("refresh_token"))...)
	b.press("Lift the ban…")
	b.press("Lift the ban")
	b.sees("The ban is lifted.")
	b.login("dave")
	b.press("Log out everywhere…")
	b.press("End every session")
	b.sees("Ended 1 session.")
	b.press("Password…")
	b.fill("password", "another password of dave")
	b.press("Set the password")
	b.sees("The password is set")
	b.press("Delete…")
	b.fill("confirm", "dave")
	b.press("Delete the user")
	b.sees("Deleted dave.")
	b.visit("/console/users?q=car")
	b.sees("carol@mail.example")
	b.misses("alice")
}

// key rotates a key and finds another one compromised.
func (b *consoleTab) key(checker string) {
	b.visit("/console/keys")
	b.look("keys", checker)
	b.press("Rotate…")
	b.press("Rotate RS256")
	b.sees("Another RS256 key is published.")
	b.sees("another key is on its way")
	before := b.login("carol")
	b.must(`(() => { document.querySelector("#alg-EdDSA").closest("section").querySelector("a.danger").click(); return "" })()`)
	b.sees("Does somebody else have this key?")
	b.look("compromise", checker)
	b.press("Take it out of use")
	b.sees("takes its place.")
	b.sees("key compromised")
	b.look("keys-compromised", checker)
	if !b.node.active(b.first, before.str("access_token")) {
		b.t.Error("a token of another algorithm is not active any more")
	}
}

func (b *consoleTab) events(checker string) {
	b.visit("/console/events")
	b.look("events", checker)
	b.choose(`select[name="kind"]`, "user_banned")
	b.press("Find")
	b.sees("spam")
	b.misses("session_ended")
	b.visit("/console/events?who=nobody-at-all")
	b.sees("There is no user or session nobody-at-all.")
	b.visit("/console/events?kind=reuse_detected")
	b.sees("Nothing has happened yet.")
}

func (b *consoleTab) overviewPage(checker string) {
	for range 3 {
		b.login("bob")
	}
	b.visit("/console")
	b.sees("Active sessions")
	eventually(b.t, "the charts are drawn", func() bool { return b.run(`String(document.querySelectorAll(".chart canvas").length)`) == "3" })
	b.look("overview", checker)
	b.press("Hour")
	b.sees("Latest events")
	eventually(b.t, "the last hour counts a login", func() bool {
		logins := b.try(`location.search.includes("hour") ? (document.querySelectorAll(".cards dd")[1]?.innerText ?? "") : ""`)
		return logins != "" && logins != "0"
	})
	b.press("Admin API")
	b.sees("revoke-sessions")
	b.look("api", checker)
}

// leave loses the role, and signs out.
func (b *consoleTab) leave(checker string) {
	b.visit("/console/nothing-of-the-kind")
	b.visit("/console/sessions/no-such-session")
	b.sees("there is no session")
	b.look("problem", checker)
	b.visit("/console")
	b.press("Sign out")
	b.sees("Sign in as an admin.")
	b.look("login", checker)
	b.fill("username", "alice")
	b.fill("password", "the long password of alice")
	b.press("Sign in")
	b.sees("The username or password is wrong.") // alice is no admin
	b.look("login-refused", checker)
	b.visit("/console")
	b.sees("Sign in as an admin.")
}
