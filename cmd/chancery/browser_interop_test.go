//go:build browser

package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// foreignSite is a site in another language. It says where a browser must go,
// and is told where that ended up.
type foreignSite struct {
	t     *testing.T
	site  *httptest.Server
	came  chan string
	stdin io.Writer
	lines *bufio.Scanner
}

// newForeignSite makes the places where browsers end up.
func newForeignSite(t *testing.T) *foreignSite {
	t.Helper()
	f := &foreignSite{t: t, came: make(chan string, 10)}
	f.site = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/callback" && r.URL.Path != "/bye" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, "back at the site")
		f.came <- f.site.URL + r.URL.RequestURI()
	}))
	t.Cleanup(f.site.Close)
	return f
}

// start runs a script with the arguments.
func (f *foreignSite) start(script string, args ...string) {
	f.t.Helper()
	dir := f.t.TempDir()
	source, err := os.ReadFile(filepath.Join("testdata", "interop", script))
	if err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, script), source, 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Symlink(nodeModules(f.t), filepath.Join(dir, "node_modules")); err != nil {
		f.t.Fatal(err)
	}
	command := exec.CommandContext(f.t.Context(), program(f.t, "node"), append([]string{script}, args...)...)
	command.Dir, command.Stderr = dir, f.t.Output()
	command.WaitDelay = time.Second
	stdout, err := command.StdoutPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	if f.stdin, err = command.StdinPipe(); err != nil {
		f.t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = command.Wait() })
	f.lines = bufio.NewScanner(stdout)
}

// next returns what the script wants, and of what kind.
func (f *foreignSite) next() (kind, value string) {
	f.t.Helper()
	if !f.lines.Scan() {
		f.t.Fatal("the script has ended before it was done")
	}
	var wanted map[string]string
	if err := json.Unmarshal(f.lines.Bytes(), &wanted); err != nil {
		f.t.Fatalf("%s: %v", f.lines.Text(), err)
	}
	for kind, value = range wanted {
		return kind, value
	}
	f.t.Fatal("the script wants nothing")
	return "", ""
}

func (f *foreignSite) tell(line string) {
	f.t.Helper()
	if _, err := io.WriteString(f.stdin, line+"\n"); err != nil {
		f.t.Fatal(err)
	}
}

// TestBrowserInterop lets the sites of other libraries log a user in and out,
// with a real browser between them and the real server.
func TestBrowserInterop(t *testing.T) {
	eachDatabase(t, func(t *testing.T, env []string) {
		port := freePort(t)
		env = append(env, "CHANCERY_LISTEN=127.0.0.1:"+port, "CHANCERY_ISSUER=http://localhost:"+port)
		first := bootstrapped(t, env)
		if _, stderr, code := tryCLI(env, "the long password of alice", "users", "create", "--username", "alice", "--email", "alice@mail.example", "--email-verified", "--password-stdin"); code != exitOK {
			t.Fatal(stderr)
		}
		n := serve(t, env)
		b := &consoleTab{tab: tab{t: t, ctx: chromium(t), issuer: "http://localhost:" + port}, node: n, first: first}
		for script, method := range map[string]string{"openid-client.mjs": "client_secret_post", "oauth4webapi.mjs": "private_key_jwt"} {
			t.Run(script, func(t *testing.T) {
				b.t = t
				b.foreign(newForeignSite(t), env, script, method)
			})
		}
	})
}

// foreign does what the script wants until it is done.
func (b *consoleTab) foreign(f *foreignSite, env []string, script, method string) {
	id := "site-" + method
	register := func(more ...string) string {
		args := []string{
			"clients", "create", "--id", id, "--name", script, "--type", "confidential", "--auth-method", method, "--introspect", "--grant", "authorization_code",
			"--grant", "refresh_token", "--redirect-uri", f.site.URL + "/callback", "--post-logout-redirect-uri", f.site.URL + "/bye", "--resource", firstResource,
			"--scope", "openid", "--scope", "profile", "--scope", "email", "--scope", "offline_access", "--scope", firstRead, "-o", "json",
		}
		stdout, stderr, code := tryCLI(env, "", append(args, more...)...)
		if code != exitOK {
			b.t.Fatal(stderr)
		}
		var client struct {
			Secret string `json:"client_secret"`
		}
		if err := json.Unmarshal([]byte(stdout), &client); err != nil {
			b.t.Fatal(err)
		}
		eventually(b.t, "the server knows the client", func() bool {
			r, err := b.node.get("/oauth/authorize?client_id=" + id)
			return err == nil && strings.Contains(r.body, "redirect_uri") // which is what it misses then
		})
		return client.Secret
	}
	secret := ""
	if method != "private_key_jwt" {
		secret = register()
	}
	f.start(script, b.issuer, id, secret, f.site.URL+"/callback", f.site.URL+"/bye", firstResource)
	for {
		switch kind, value := f.next(); kind {
		case "done":
			return
		case "jwks":
			path := filepath.Join(b.t.TempDir(), "jwks.json")
			if err := os.WriteFile(path, []byte(value), 0o600); err != nil {
				b.t.Fatal(err)
			}
			register("--jwks-file", path)
			f.tell("registered")
		default:
			f.tell(b.went(f, value))
		}
	}
}

// went returns where the browser ends up that goes to the address, with a user
// who signs in and allows what he is asked.
func (b *consoleTab) went(f *foreignSite, address string) string {
	b.t.Helper()
	b.open(address)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		select {
		case came := <-f.came:
			return came
		default:
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("the browser does not get on:\n%s", b.text())
		}
		b.try(`(() => {
			const button = [...document.querySelectorAll("button")].find(b => ["Sign in", "Allow", "Sign out"].includes(b.innerText.trim()))
			if (!button || button.dataset.pressed) return ""
			const name = document.querySelector("[name=username]"), secret = document.querySelector("[name=password]")
			if (name) { name.value = "alice"; secret.value = "the long password of alice" }
			button.dataset.pressed = "yes"
			button.click()
			return ""
		})()`)
	}
}
