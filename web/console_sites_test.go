package web_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"chancery/authz"
)

// Attack 45: no form of another site changes anything, the login among them,
// and the same form of ours leaves the event of the admin.
func TestConsoleFormsOfOtherSites(t *testing.T) {
	forms := consoleForms()
	for _, pattern := range consoleRoutes(t, adminServer(t), http.MethodPost) {
		form, ok := forms[pattern]
		if !ok {
			t.Errorf("there is no form for %s", pattern)
			continue
		}
		t.Run(strings.ReplaceAll(pattern, "/", " "), func(t *testing.T) {
			f := newConsole(t)
			if form.prepare != nil {
				form.prepare(f)
			}
			f.clock.Add(1e9)
			before := f.state()
			for name, header := range map[string][2]string{
				"cross-site": {"Sec-Fetch-Site", "cross-site"}, "same-site": {"Sec-Fetch-Site", "same-site"}, "origin": {"Origin", "https://evil.example"},
				"no origin": {"Origin", "null"}, "port": {"Origin", "https://example.com:8443"}, "subdomain": {"Origin", "https://sub.example.com"},
			} {
				r := f.form(f.path(pattern), f.pairs(form)...)
				r.Header.Set(header[0], header[1])
				a := f.browse(r)
				if a.StatusCode != http.StatusForbidden || !strings.Contains(a.body, "another site") || a.Header.Get("Set-Cookie") != "" {
					t.Errorf("%s: answer = %d %s", name, a.StatusCode, a.body)
				}
			}
			if after := f.state(); after != before {
				t.Errorf("another site changed\n%s to\n%s", before, after)
			}
			f.sent(pattern, form)
		})
	}
}

// sent sends the form from our own page, and looks for what it leaves.
func (f *consoleFixture) sent(pattern string, form consoleForm) {
	f.t.Helper()
	earlier := f.events(authz.EventFilter{})
	a := f.send(f.path(pattern), f.pairs(form)...)
	if a.StatusCode != http.StatusSeeOther && a.StatusCode != http.StatusOK {
		f.t.Fatalf("own form = %d %s", a.StatusCode, a.body)
	}
	events := slices.DeleteFunc(f.events(authz.EventFilter{}), func(e authz.Event) bool {
		return slices.ContainsFunc(earlier, func(old authz.Event) bool { return old.ID == e.ID })
	})
	if form.kind == "" {
		if len(events) != 0 {
			f.t.Errorf("events = %+v, want none", events)
		}
		return
	}
	admin, err := f.users.Find(f.t.Context(), boss)
	must(f.t, err)
	if !slices.ContainsFunc(events, func(e authz.Event) bool { return e.Kind == form.kind }) {
		f.t.Errorf("events = %+v, want one of kind %s", events, form.kind)
	}
	for _, e := range events {
		device := e.Device.UserAgent == "Desk" && e.Device.Address == "192.0.2.1"
		// Keys are changed by a name alone; a deleted user's events lose devices.
		without := e.Kind == authz.EventKeyRotated || e.Kind == authz.EventKeyCompromised || e.Cause == authz.CauseUserDeleted
		if e.Kind != authz.EventLoginSucceeded && (e.Actor != admin.ID || (!device && !without)) {
			f.t.Errorf("event = %+v, want the admin's with his device", e)
		}
	}
	if secret := "chcs_"; strings.Contains(f.log.String(), secret) || strings.Contains(jsonText(f.t, events), secret) || strings.Contains(f.log.String(), secretPW) {
		f.t.Errorf("log %s or events hold a secret", f.log.String())
	}
}

// No page changes anything by being looked at, whichever site it comes from.
func TestConsolePagesChangeNothing(t *testing.T) {
	f := newConsole(t)
	for _, pattern := range consoleRoutes(t, f.server, http.MethodGet) {
		before := f.state()
		for _, site := range []string{"same-origin", "cross-site", "none"} {
			a := f.see(f.path(pattern), func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", site) })
			if want := map[bool]int{true: http.StatusSeeOther, false: http.StatusOK}[pattern == "/console/login"]; a.StatusCode != want {
				t.Errorf("%s = %d %s", pattern, a.StatusCode, a.body)
			}
		}
		if after := f.state(); after != before {
			t.Errorf("%s changed\n%s to\n%s", pattern, before, after)
		}
	}
}

// The console's rule holds for the console alone: apps on other origins go on.
func TestConsoleLeavesAPIsOpenToOtherOrigins(t *testing.T) {
	f := newAdminFixture(t)
	foreign := func(r *http.Request) *http.Request {
		r.Header.Set("Origin", "https://app.example")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		return r
	}
	token := f.form(tokenURL, "grant_type", "password", "client_id", "app", "username", username, "password", secretPW)
	wantAnswer(t, f.server.do(foreign(token)), http.StatusOK, "")
	revoke := f.adminRequest(f.token, http.MethodPost, "/sessions/revoke", `{"session_ids":["`+f.sessionID+`"]}`)
	wantAnswer(t, f.server.do(foreign(revoke)), http.StatusOK, "")
	asset := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/assets/chancery.js", nil)
	if a := f.server.do(foreign(asset)); a.StatusCode != http.StatusOK || a.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("module = %d %v", a.StatusCode, a.Header)
	}
}
