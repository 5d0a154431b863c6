package main

import (
	"encoding/json"
	"net/http"
	"testing"

	"chancery/web/admin"
)

// TestAdministrationReachesSessions does to live sessions, on a running
// server, everything that the command line can do to them.
func TestAdministrationReachesSessions(t *testing.T) {
	eachDatabase(t, func(t *testing.T, env []string) {
		env = append(env, listenEnv(freePort(t))...)
		first := bootstrapped(t, env)
		n := serve(t, env)
		for _, test := range []struct {
			name  string
			args  []string
			stdin string
			cause string // why the next refresh is refused, as sessions list shows it
		}{
			{"one session", []string{"sessions", "revoke", "SID"}, "", "admin"},
			{"all of a user", []string{"sessions", "revoke", "--user", first.Username}, "", "admin"},
			{"all of a client", []string{"sessions", "revoke", "--client", first.ClientID}, "", "admin"},
			{"all", []string{"sessions", "revoke", "--all"}, "", "admin"},
			{"another password", []string{"users", "set-password", first.Username, "--password-stdin"}, first.Password + "\n", "password_changed"},
		} {
			t.Run(test.name, func(t *testing.T) {
				session := n.login(first)
				listed := liveSessions(t, env)
				if len(listed) != 1 || listed[0].Address != "127.0.0.1" || listed[0].UserAgent == "" || listed[0].State != "live" {
					t.Fatalf("live sessions = %+v, want one with its device", listed)
				}
				for i, arg := range test.args {
					if arg == "SID" {
						test.args[i] = listed[0].ID
					}
				}
				if _, stderr, code := tryCLI(env, test.stdin, test.args...); code != exitOK {
					t.Fatalf("%v: %s", test.args, stderr)
				}
				refused := n.mustPost(http.StatusBadRequest, "/oauth/token", refreshForm(first, session.str("refresh_token"))...)
				if refused.str("cause") != "revoked" || n.active(first, session.str("access_token")) {
					t.Errorf("refresh = %s, want cause revoked, and an inactive access token", refused.body)
				}
				var all []admin.Session
				decode(t, cli(t, env, "sessions", "list", "--all", "--limit", "1", "-o", "json"), &all)
				if len(all) != 1 || all[0].State != "revoked" || all[0].Cause != test.cause {
					t.Errorf("session = %+v, want revoked with cause %s", all, test.cause)
				}
			})
		}
	})
}

// TestRolesReachLiveSessions takes the admin role away from a live session.
func TestRolesReachLiveSessions(t *testing.T) {
	eachDatabase(t, func(t *testing.T, env []string) {
		env = append(env, listenEnv(freePort(t))...)
		first := bootstrapped(t, env)
		n := serve(t, env)
		admin := []string{"resource", n.base + "/admin"}
		session := n.login(first, admin...)
		if session.str("scope") != "admin:read admin:write" {
			t.Fatalf("an admin's scope = %q", session.str("scope"))
		}
		cli(t, env, "users", "set-roles", first.Username, "--none")
		refused := n.mustPost(http.StatusBadRequest, "/oauth/token", refreshForm(first, session.str("refresh_token"), admin...)...)
		if refused.str("cause") != "not_entitled" {
			t.Errorf("refresh without the role = %s, want cause not_entitled", refused.body)
		}
		n.mustPost(http.StatusOK, "/oauth/token", refreshForm(first, session.str("refresh_token"))...)
		cli(t, env, "users", "delete", first.Username)
		n.mustPost(http.StatusBadRequest, "/oauth/token", refreshForm(first, session.str("refresh_token"))...)
	})
}

func liveSessions(t *testing.T, env []string) (sessions []admin.Session) {
	t.Helper()
	decode(t, cli(t, env, "sessions", "list", "-o", "json"), &sessions)
	return sessions
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}
