package web_test

import (
	"html"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"chancery/authz"
)

// What our own templates write is stricter than HTML: every "<" begins a tag,
// and every value is quoted.
var (
	tagForm       = regexp.MustCompile(`<(?:!doctype html|/[a-z0-9]+|([a-z0-9]+)((?:\s+[a-zA-Z-]+(?:="[^"<]*"|='[^'<]*')?)*)\s*)>`)
	attributeForm = regexp.MustCompile(`\s+([a-zA-Z-]+)(?:="([^"]*)"|='([^']*)')?`)
)

// checkPage reports what a page must not hold, and returns the links and files
// that it names.
func checkPage(t *testing.T, name, body string) (links []string) {
	t.Helper()
	tags := tagForm.FindAllStringSubmatch(body, -1)
	if n := strings.Count(body, "<"); n != len(tags) || strings.Count(body, ">") < n {
		t.Errorf("%s: %d of %d tags are well formed in %s", name, len(tags), n, tagForm.ReplaceAllString(body, ""))
	}
	for _, tag := range tags {
		attributes := map[string]string{}
		for _, a := range attributeForm.FindAllStringSubmatch(tag[2], -1) {
			attributes[a[1]] = html.UnescapeString(a[2] + a[3])
		}
		for attribute, value := range attributes {
			switch {
			case attribute == "style" || strings.HasPrefix(attribute, "on") || strings.HasPrefix(attribute, "hx-on"):
				t.Errorf("%s: <%s> has %s=%q", name, tag[1], attribute, value)
			case slices.Contains([]string{"href", "src", "action", "formaction", "hx-get", "hx-post"}, attribute):
				if attribute != "action" {
					links = append(links, value)
				}
				if !strings.HasPrefix(value, "/") || strings.HasPrefix(value, "//") {
					if value != "#main" && value != "data:," {
						t.Errorf("%s: <%s> has %s=%q, want a path", name, tag[1], attribute, value)
					}
				}
			}
		}
		if tag[1] == "style" || tag[1] == "iframe" || tag[1] == "base" || (tag[1] == "script" && attributes["src"] == "") {
			t.Errorf("%s: there is a <%s> with %v", name, tag[1], attributes)
		}
	}
	return links
}

func checkPageHeaders(t *testing.T, name string, a answer) {
	t.Helper()
	policy := a.Header.Get("Content-Security-Policy")
	if strings.Contains(policy, "unsafe") || !strings.Contains(policy, "frame-ancestors 'none'") || !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "base-uri 'none'") {
		t.Errorf("%s: Content-Security-Policy = %q", name, policy)
	}
	for header, want := range map[string]string{
		"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
		"Cross-Origin-Opener-Policy": "same-origin", "Content-Type": "text/html; charset=utf-8", "Access-Control-Allow-Origin": "",
	} {
		if got := a.Header.Get(header); got != want {
			t.Errorf("%s: %s = %q, want %q", name, header, got, want)
		}
	}
}

// Attacks 46 and 48: every page, those of errors too, may load our own files
// alone, and each file and link that it names is there.
func TestConsolePages(t *testing.T) {
	f := newConsole(t)
	pages := map[string]answer{}
	for _, pattern := range consoleRoutes(t, f.server, http.MethodGet) {
		if pattern != "/console/login" {
			pages[pattern] = f.see(f.path(pattern))
		}
	}
	stranger := &consoleFixture{adminFixture: f.adminFixture}
	pages["login"] = stranger.see("/console/login")
	pages["401"] = stranger.signIn(boss, "wrong")
	r := f.form("/console/login")
	r.Header.Set("Origin", "https://evil.example")
	pages["403"] = stranger.browse(r)
	pages["404"] = f.see("/console/clients/nothing")
	pages["400"] = f.see("/console/users?after=x")
	pages["413"] = f.send("/console/users", "username", strings.Repeat("x", 1<<17))
	pages["422"] = f.send("/console/users")
	pages["secret"] = f.send("/console/clients/robot/secret", "overlap", "1h")
	f.store.SetDown(authz.ErrUnavailable)
	pages["503"] = f.see("/console/users")
	f.store.SetDown(http.ErrBodyNotAllowed)
	pages["500"] = f.see("/console/users")
	f.store.SetDown(nil)
	seen := map[string]bool{}
	for name, a := range pages {
		if a.StatusCode >= 300 && !strings.HasPrefix(name, "4") && !strings.HasPrefix(name, "5") {
			t.Errorf("%s = %d %s", name, a.StatusCode, a.body)
		}
		checkPageHeaders(t, name, a)
		for _, link := range checkPage(t, name, a.body) {
			if !strings.HasPrefix(link, "/") || seen[link] || name == "422" {
				continue
			}
			seen[link] = true
			if linked := f.see(link); linked.StatusCode == http.StatusNotFound && !strings.HasPrefix(link, "/console/users/usr_") {
				t.Errorf("%s names %s, which is not there", name, link)
			}
		}
	}
	for _, where := range []string{f.see("/console/clients/robot").body, jsonText(t, f.events(authz.EventFilter{})), f.log.String()} {
		if strings.Contains(where, "chcs_") {
			t.Errorf("a secret is in %s", where)
		}
	}
}

// hostile are names that somebody else may choose.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onfocus='alert(1)' autofocus='`, `{{.Admin}}{{"a"}}`, `javascript:alert(1)`, `</textarea></title><svg/onload=alert(1)>`,
	"\u202egnp.exe\u200b\u2066", `&lt;b&gt; &#34; \u003c`, `-->]]><!--`, strings.Repeat("W", 190), `${1}${{2}}` + "`",
}

// Attack 48: nothing that somebody has named becomes more than text, on any
// page.
func TestConsoleShowsNamesAsText(t *testing.T) {
	for i, name := range hostile {
		f := newConsole(t)
		ctx := t.Context()
		f.updateClient("shop", func(c *authz.Client) { c.Name = name })
		_, err := f.admin.Resources.Update(ctx, spareURI, func(r *authz.Resource) error { r.Name = name; return nil })
		must(t, err)
		_, _, err = f.clients.Create(ctx, authz.Client{ID: "a.~_-" + strings.Repeat("x", 100), Name: name, AuthMethod: authz.AuthNone})
		must(t, err)
		r := f.form(tokenURL, "grant_type", "password", "client_id", "shop", "username", "carol", "password", secretPW)
		r.Header.Set("User-Agent", name)
		wantAnswer(t, f.server.do(r), http.StatusOK, "")
		families, _, err := f.admin.Sessions.Search(ctx, authz.SessionQuery{UserID: f.userID, Page: authz.Page{Limit: 9}})
		must(t, err)
		f.sessionID = families[0].SessionID
		if families[0].Device.UserAgent == "" {
			f.sessionID = families[1].SessionID
		}
		event := authz.NewEvent(authz.EventLoginFailed, f.clock.Now())
		event.Detail, event.Target, event.Actor, event.Device = name, name, name, authz.Device{Address: name, UserAgent: name}
		event.ClientID, event.SessionID, event.UserID, event.Cause = name, name, f.userID, authz.Cause(name)
		event.Changes = []authz.Difference{{Field: name, Before: name, After: name}}
		f.store.Record(event)
		shown := 0
		_, err = f.users.Create(ctx, authz.NewUser{Username: name, Password: secretPW})
		if err != nil && authz.CodeOf(err) != authz.InvalidInput {
			t.Fatal(err)
		}
		_, err = f.users.Ban(ctx, f.userID, authz.Forever, name)
		if err != nil && authz.CodeOf(err) != authz.InvalidInput {
			t.Fatal(err)
		}
		for _, pattern := range consoleRoutes(t, f.server, http.MethodGet) {
			paths := []string{f.path(pattern), queryOf(f.path(pattern), "q", name), queryOf(f.path(pattern), "who", name), queryOf(f.path(pattern), "client", name)}
			if strings.HasPrefix(pattern, "/console/clients/:id") {
				paths = append(paths, strings.Replace(pattern, ":id", "shop", 1))
			}
			for _, path := range paths {
				if a := f.see(path); a.StatusCode == http.StatusOK && strings.HasPrefix(a.body, "<!doctype") {
					checkPage(t, path, a.body)
					shown += strings.Count(html.UnescapeString(a.body), name)
				} else if a.StatusCode >= 500 {
					t.Errorf("%s = %d", path, a.StatusCode)
				}
			}
		}
		if shown < 20 {
			t.Errorf("%d: %q is shown %d times, want it everywhere", i, name, shown)
		}
	}
}

// Junk in a path or a query is met with an answer for people, never with a
// fault.
func TestConsoleMeetsJunk(t *testing.T) {
	f := newConsole(t)
	paths := []string{"..", "%00", "%ff", "%0a", "a%2Fb", "%252e%252e", strings.Repeat("x", 5000), "usr_", "usr_%00", "~console", "'%20OR%201=1--", "%F0%9F%92%A9", "%3Cscript%3E"}
	queries := []string{"?after=x", "?after=LTkyMjMzNzIwMzY4NTQ3NzU4MDggYQ", "?q=%00", "?q=%ff", "?q=" + strings.Repeat("x", 700), "?q=a&q=b", "?range=x", "?from=9999-12-31&until=0000-01-01", "?state=x&kind=x&who=%5C&client=%25", "?%zz", "?a;b"}
	forms := consoleForms()
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		for _, pattern := range consoleRoutes(t, f.server, method) {
			var urls []string
			for _, junk := range paths {
				urls = append(urls, regexp.MustCompile(`:[a-z]+`).ReplaceAllString(pattern, junk))
			}
			for _, junk := range queries {
				urls = append(urls, f.path(pattern)+junk)
			}
			for _, target := range urls {
				if method == http.MethodPost && (strings.Contains(target, "?") || !strings.Contains(pattern, ":")) {
					continue // which would change what the others are asked with
				}
				r := f.form(target, f.pairs(forms[pattern])...)
				r.Method = method
				if a := f.browse(r); a.StatusCode >= 500 || a.StatusCode < 200 || (a.location() != "" && !strings.HasPrefix(a.location(), "/console")) {
					t.Errorf("%s %s = %d %s %s", method, target, a.StatusCode, a.location(), a.body)
				}
			}
		}
	}
}
