package web_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"chancery/authz"
)

// Every refusal looks the same, and leaves neither a cookie nor a session.
func TestConsoleLoginRefusals(t *testing.T) {
	f := &consoleFixture{adminFixture: newAdminFixture(t)}
	_, err := f.users.Create(t.Context(), authz.NewUser{Username: "banned", Password: secretPW, Roles: []string{authz.RoleAdmin}})
	must(t, err)
	_, err = f.users.Ban(t.Context(), "banned", authz.Forever, "")
	must(t, err)
	for name, row := range map[string]struct{ name, secret string }{
		"wrong password": {boss, "wrong"}, "no password": {boss, ""}, "unknown": {"nobody", secretPW}, "no admin": {username, secretPW},
		"banned": {"banned", secretPW}, "no name": {"", secretPW},
	} {
		a := f.signIn(row.name, row.secret, "next", "/console/keys")
		if a.StatusCode != http.StatusUnauthorized || !strings.Contains(a.body, "The username or password is wrong.") || a.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s = %d %s", name, a.StatusCode, a.body)
		}
		if !strings.Contains(a.body, `name="next" value="/console/keys"`) || strings.Contains(a.body, secretPW) || !strings.Contains(a.body, `name="username" value="`+row.name+`"`) {
			t.Errorf("%s: form = %s, want the name and where to go, and no password", name, a.body)
		}
		if a.Header.Get("Set-Cookie") != "" || len(f.sessions.live()) != 0 {
			t.Errorf("%s: cookie %q, sessions %v, want none", name, a.Header.Get("Set-Cookie"), f.sessions.live())
		}
	}
}

func TestConsoleLoginThrottled(t *testing.T) {
	f := &consoleFixture{adminFixture: newAdminFixture(t, func(o *options) {
		o.throttle = &authz.ThrottlePolicy{Pair: 3, Account: 100, Address: 100, Client: 100}
	})}
	for range 3 {
		wantAnswer(t, f.signIn(boss, "wrong"), http.StatusUnauthorized, "")
	}
	a := f.signIn(boss, secretPW)
	if a.StatusCode != http.StatusTooManyRequests || a.Header.Get("Retry-After") == "" || !strings.Contains(a.body, `role="alert"`) || f.cookie != "" {
		t.Errorf("after too many = %d %v %s, want a page that asks to wait", a.StatusCode, a.Header, a.body)
	}
}

func TestConsoleCookie(t *testing.T) {
	for at, want := range map[string]struct{ name, path, attributes string }{
		"https://as.example":       {consoleCookie, "/console", "Path=/console; HttpOnly; Secure; SameSite=Lax"},
		"https://as.example/t1":    {consoleCookie, "/t1/console", "Path=/t1/console; HttpOnly; Secure; SameSite=Lax"},
		"http://localhost:8080":    {"chancery_console", "/console", "Path=/console; HttpOnly; SameSite=Lax"},
		"http://localhost:8080/t1": {"chancery_console", "/t1/console", "Path=/t1/console; HttpOnly; SameSite=Lax"},
	} {
		s := newServer(t, func(o *options) { o.issuer = at })
		_, err := s.users.Create(t.Context(), authz.NewUser{Username: boss, Password: secretPW, Roles: []string{authz.RoleAdmin}})
		must(t, err)
		a := s.post(want.path+"/login", "username", boss, "password", secretPW)
		set := a.Header.Values("Set-Cookie")
		if a.StatusCode != http.StatusSeeOther || a.location() != want.path || len(set) != 1 {
			t.Fatalf("%s: login = %d %v", at, a.StatusCode, a.Header)
		}
		cookie := a.Cookies()[0]
		if cookie.Name != want.name || !strings.HasSuffix(set[0], cookie.Value+"; "+want.attributes) {
			t.Errorf("%s: cookie = %s, want %s with %s", at, set[0], want.name, want.attributes)
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, want.path+"/logout", nil)
		r.AddCookie(cookie)
		a = s.do(r)
		if set := a.Header.Get("Set-Cookie"); a.location() != want.path+"/login" || !strings.HasPrefix(set, want.name+"=; ") || !strings.Contains(set, "Max-Age=0") {
			t.Errorf("%s: logout = %v", at, a.Header)
		}
	}
}

// A token from before the login is worth nothing after it, whoever chose it,
// and the database holds no token.
func TestConsoleSessionFixation(t *testing.T) {
	f := newConsole(t)
	first := f.cookie
	f.cookie = strings.Repeat("A", 43)
	wantAnswer(t, f.signIn(boss, secretPW), http.StatusSeeOther, "")
	if f.cookie == strings.Repeat("A", 43) {
		t.Error("the login took a token that somebody else chose")
	}
	second := f.cookie
	wantAnswer(t, f.signIn(boss, secretPW), http.StatusSeeOther, "")
	if f.cookie == second {
		t.Error("the login kept the token from before it")
	}
	for name, token := range map[string]string{"chosen": strings.Repeat("A", 43), "before": second, "stored": hashedToken(f.cookie)} {
		other := &consoleFixture{adminFixture: f.adminFixture, cookie: token}
		if a := other.see("/console"); a.location() != "/console/login" {
			t.Errorf("%s: answer = %d %s, want the login", name, a.StatusCode, a.location())
		}
	}
	live := f.sessions.live()
	for _, token := range []string{first, f.cookie} {
		if _, ok := live[hashedToken(token)]; !ok || len(live) != 2 {
			t.Errorf("sessions = %v, want one by the hash of %s", live, token)
		}
	}
	for name, row := range live {
		if strings.Contains(string(row.data), first) || strings.Contains(string(row.data), f.cookie) || strings.Contains(f.log.String(), f.cookie) {
			t.Errorf("session %s or the log holds a token", name)
		}
	}
}

func hashedToken(token string) string {
	hash := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(hash[:])
}

// Nothing is kept for strangers, whatever they ask for.
func TestConsoleKeepsNothingForStrangers(t *testing.T) {
	f := &consoleFixture{adminFixture: newAdminFixture(t)}
	f.clock.Add(1e9)
	before := f.state()
	forms := consoleForms()
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		for _, pattern := range consoleRoutes(t, f.server, method) {
			if pattern == "/console/login" {
				continue
			}
			path := f.path(pattern)
			r := f.form(path, f.pairs(forms[pattern])...)
			r.Method = method
			want := "/console/login"
			if method == http.MethodGet && path != "/console" {
				want = queryOf(want, "next", path)
			}
			a := f.browse(r)
			if a.StatusCode != http.StatusSeeOther || a.location() != want || a.Header.Get("Set-Cookie") != "" || a.body != "" {
				t.Errorf("%s %s = %d %v %q", method, pattern, a.StatusCode, a.Header, a.body)
			}
		}
	}
	wantAnswer(t, f.see("/console/login"), http.StatusOK, "")
	if a := f.see("/console", func(r *http.Request) { r.Header.Set("HX-Request", "true") }); a.StatusCode != http.StatusOK || a.Header.Get("HX-Redirect") != "/console/login" {
		t.Errorf("part of a page = %d %v, want it sent to the login", a.StatusCode, a.Header)
	}
	if after := f.state(); after != before || len(f.sessions.rows) != 0 {
		t.Errorf("a stranger changed\n%s to\n%s", before, after)
	}
}

// After the login the browser goes to a page of the console, and nowhere else.
func TestConsoleNextPage(t *testing.T) {
	for _, base := range []string{"", "/t1"} {
		f := newConsoleAt(t, base)
		for next, want := range map[string]string{
			"": "/console", "/console/keys": "/console/keys", "/console/events?who=a%2Fb&kind=": "/console/events?who=a%2Fb&kind=",
			"/console?range=week": "/console?range=week", "/console/sessions?q=%2e%2e": "/console/sessions?q=%2e%2e",
			"//evil.example/console/": "", `/\evil.example`: "", "https://evil.example/console/": "", "javascript:alert(1)": "", "/console": "/console",
			"/consolevil": "", "/console/../x": "", "/console/%2e%2e/x": "", "/console/%2E./x": "", "/console/..%2fx": "", `/console\..\x`: "", `/console/..\x`: "",
			"/console/\t/evil.example": "", "/console/keys\r\nSet-Cookie: a=b": "", "/console//evil.example": "", "/admin/v1": "", "/console/./../x": "", "/console/..": "",
			"/console/%zz": "", " /console/keys": "/console/keys", "\x00/console/keys": "", "/console/keys\xff": "", "/console/%0d%0aa:b": "", "/console/%00": "",
		} {
			if want == "" {
				want = "/console"
			}
			if strings.HasPrefix(next, "/") && !strings.HasPrefix(next, "//") && !strings.HasPrefix(next, `/\`) {
				next = base + next
			} else if strings.HasPrefix(next, " ") {
				next = " " + base + next[1:]
			}
			a := f.send(base+"/console/login", "username", boss, "password", secretPW, "next", next)
			if strings.ContainsAny(next, "\t\x00") || !utf8.ValidString(next) {
				wantAnswer(t, a, http.StatusBadRequest, "") // no form of ours sends these
			} else if a.StatusCode != http.StatusSeeOther || a.location() != base+want {
				t.Errorf("%q: login = %d %q, want %q", next, a.StatusCode, a.location(), base+want)
			}
			if a := f.see(base + "/console/login?next=" + url.QueryEscape(next)); a.StatusCode != http.StatusSeeOther || a.location() != base+want {
				t.Errorf("%q: signed in = %d %q, want %q", next, a.StatusCode, a.location(), base+want)
			}
		}
	}
}

// newConsoleAt signs boss in to a server whose issuer has a path.
func newConsoleAt(t *testing.T, base string) *consoleFixture {
	t.Helper()
	s := newServer(t, func(o *options) { o.issuer += base })
	_, err := s.users.Create(t.Context(), authz.NewUser{Username: boss, Password: secretPW, Roles: []string{authz.RoleAdmin}})
	must(t, err)
	f := &consoleFixture{adminFixture: &adminFixture{server: s}}
	wantAnswer(t, f.send(base+"/console/login", "username", boss, "password", secretPW), http.StatusSeeOther, "")
	return f
}

// Attack 49: whatever ends the right to be here ends the session at the next
// request.
func TestConsoleSessionEnds(t *testing.T) {
	for name, end := range map[string]func(f *consoleFixture, id string) error{
		"role": func(f *consoleFixture, id string) error { _, err := f.users.SetRoles(t.Context(), id, nil); return err },
		"ban": func(f *consoleFixture, id string) error {
			_, err := f.users.Ban(t.Context(), id, authz.Forever, "")
			return err
		},
		"password": func(f *consoleFixture, id string) error {
			_, err := f.users.SetPassword(t.Context(), id, goodPW, false)
			return err
		},
		"sessions": func(f *consoleFixture, id string) error {
			_, err := f.admin.Sessions.End(t.Context(), authz.Ending{UserID: id, Cause: authz.CauseAdmin})
			return err
		},
		"deleted": func(f *consoleFixture, id string) error { _, err := f.users.Delete(t.Context(), id); return err },
		"idle": func(f *consoleFixture, _ string) error {
			f.sessions.late = 30*time.Minute + time.Second
			return nil
		},
		"logout": func(f *consoleFixture, _ string) error { f.send("/console/logout"); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			f := newConsole(t)
			user, err := f.users.Find(t.Context(), boss)
			must(t, err)
			_, err = f.users.Create(t.Context(), authz.NewUser{Username: "chief", Password: secretPW, Roles: []string{authz.RoleAdmin}})
			must(t, err)
			token := f.cookie
			must(t, end(f, user.ID))
			f.cookie = token
			if a := f.send("/console/users/"+f.userID+"/roles", "roles", "writer"); a.StatusCode != http.StatusSeeOther || a.location() != "/console/login" {
				t.Errorf("answer = %d %s, want the login", a.StatusCode, a.location())
			}
			if carol, _ := f.users.Find(t.Context(), f.userID); len(carol.Roles) != 1 || carol.Roles[0] != "reader" {
				t.Errorf("roles = %v, want them as they were", carol.Roles)
			}
			if f.sessions.late == 0 && len(f.sessions.live()) != 0 {
				t.Errorf("sessions = %v, want none", f.sessions.live())
			}
			f.cookie, f.sessions.late = token, 0
			if name != "idle" && f.see("/console/keys").StatusCode != http.StatusSeeOther {
				t.Error("the session came back")
			}
		})
	}
}

// Use prolongs a session, though not beyond its lifetime.
func TestConsoleSessionLifetime(t *testing.T) {
	f := newConsole(t)
	begun := time.Now()
	row := f.sessions.live()[hashedToken(f.cookie)]
	if idle := row.expires.Sub(begun); idle > 30*time.Minute || idle < 29*time.Minute {
		t.Errorf("the session lives for %s unused, want 30 minutes", idle)
	}
	token := f.cookie
	f.see("/console/keys")
	if later := f.sessions.live()[hashedToken(f.cookie)]; f.cookie != token || !later.expires.After(row.expires) {
		t.Errorf("use prolonged the session from %s to %s", row.expires, later.expires)
	}
}
