package web_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"chancery/authz"
)

// What a page asks for by the clock is no use of the console by anybody: it
// neither prolongs the session nor takes a word that another page shall show.
func TestConsolePollsAreNoUse(t *testing.T) {
	f := newConsole(t)
	wantAnswer(t, f.send("/console/users/"+f.userID+"/roles", "roles", "writer"), http.StatusSeeOther, "")
	name := hashedToken(f.cookie)
	before := f.sessions.live()[name]
	for path, target := range map[string]string{"/console?range=day": "figures", "/console/sessions/" + f.sessionID + "/reach": "reach"} {
		a := f.see(path, func(r *http.Request) {
			r.Header.Set("HX-Request", "true")
			r.Header.Set("HX-Target", target)
		})
		if a.StatusCode != http.StatusOK || a.Header.Get("Set-Cookie") != "" || strings.Contains(a.body, "The roles are changed.") || !strings.Contains(a.body, `id="`+target+`"`) {
			t.Errorf("%s = %d %v %s", path, a.StatusCode, a.Header, a.body)
		}
		if now := f.sessions.live()[name]; !now.expires.Equal(before.expires) || string(now.data) != string(before.data) {
			t.Errorf("%s prolonged the session from %s to %s", path, before.expires, now.expires)
		}
	}
	if a := f.see("/console/users/" + f.userID); !strings.Contains(a.body, "The roles are changed.") || !f.sessions.live()[name].expires.After(before.expires) {
		t.Errorf("page = %s, want the word that was left for it, and a longer session", a.body)
	}
	if a := f.see("/console/users/" + f.userID); strings.Contains(a.body, "The roles are changed.") {
		t.Error("the word is shown twice")
	}
}

// A poll tells of the end of the session like every other request.
func TestConsolePollAfterTheEnd(t *testing.T) {
	f := newConsole(t)
	f.sessions.late = time.Hour
	a := f.see("/console", func(r *http.Request) {
		r.Header.Set("HX-Request", "true")
		r.Header.Set("HX-Target", "figures")
	})
	wantHeader(t, a, "HX-Redirect", "/console/login")
}

// Attack 49 and the page of a server that cannot answer: each store of it fails
// in turn, and nobody is shown an empty page or somebody else's error.
func TestConsoleStoreDown(t *testing.T) {
	down := fmt.Errorf("planted detail: %w", authz.ErrUnavailable)
	for name, breaking := range map[string]func(f *consoleFixture){
		"store":    func(f *consoleFixture) { f.store.SetDown(down) },
		"sessions": func(f *consoleFixture) { f.sessions.findDown = down },
		"commit":   func(f *consoleFixture) { f.sessions.commitDown = down },
	} {
		t.Run(name, func(t *testing.T) {
			f := newConsole(t)
			breaking(f)
			forms := consoleForms()
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				for _, pattern := range consoleRoutes(t, f.server, method) {
					if name == "commit" && strings.HasPrefix(pattern, "/console/log") {
						continue // it deletes the session
					}
					var a answer
					if method == http.MethodGet {
						a = f.see(f.path(pattern))
					} else {
						spare := strings.NewReplacer(":sid", f.sessionID, ":version", "0")
						pairs := make([]string, len(forms[pattern].pairs))
						for i, text := range forms[pattern].pairs {
							pairs[i] = spare.Replace(text)
						}
						a = f.send(f.path(pattern), pairs...)
					}
					designed := a.StatusCode == http.StatusServiceUnavailable && strings.Contains(a.body, "The server cannot answer now. Try again.")
					refused := name == "commit" && a.StatusCode >= 400 && a.StatusCode < 500 // what is gone by now
					if (!designed && !refused) || !strings.Contains(a.body, "<!doctype html>") || strings.Contains(a.body, "planted") {
						t.Errorf("%s %s = %d %s", method, pattern, a.StatusCode, a.body)
					}
					if designed && (a.Header.Get("Retry-After") == "" || a.location() != "" || a.Header.Get("Set-Cookie") != "") {
						t.Errorf("%s %s: headers = %v", method, pattern, a.Header)
					}
				}
			}
			f.cookie = ""
			if a := f.signIn(boss, secretPW); name != "sessions" && (a.StatusCode != http.StatusServiceUnavailable || f.cookie != "") {
				t.Errorf("login = %d %v", a.StatusCode, a.Header)
			}
		})
	}
}

// What nobody expected is a bare 500 that names the request.
func TestConsoleFault(t *testing.T) {
	f := newConsole(t)
	f.store.SetDown(errors.New("planted detail"))
	a := f.see("/console/users")
	if id := a.Header.Get("X-Request-Id"); a.StatusCode != http.StatusInternalServerError || !strings.Contains(a.body, id) || strings.Contains(a.body, "planted") {
		t.Errorf("answer = %d %s, want the request id alone", a.StatusCode, a.body)
	}
	if !strings.Contains(f.log.String(), "planted detail") {
		t.Error("the log does not say what went wrong")
	}
}
