package web_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"chancery/authz"
	"chancery/authz/authztest"
	"chancery/authz/password"

	"github.com/google/go-cmp/cmp"
)

// pgLogin sends a login whatever comes of it.
func pgLogin(s *server, clientID, name, secret string, pairs ...string) answer {
	s.t.Helper()
	return s.as(clientID, "/oauth/token", append([]string{"grant_type", "password", "username", name, "password", secret}, pairs...)...)
}

// pgUser stores a user with alice's password, changed by edit.
func pgUser(s *server, name string, edit func(*authz.User)) {
	s.t.Helper()
	user, err := s.store.UserByName(s.t.Context(), username)
	must(s.t, err)
	user.ID, user.Username, user.Name = "usr_"+name, name, name
	edit(&user)
	must(s.t, s.store.InsertUser(s.t.Context(), user, authz.Event{ID: name, Kind: authz.EventUserCreated}))
}

// pgClient stores a registration that the administration would refuse.
func pgClient(s *server, client authz.Client) {
	s.t.Helper()
	must(s.t, s.store.InsertClient(s.t.Context(), client, authztest.AnyEvent()))
	s.service.Registry.Invalidate()
}

func pgSessions(s *server) []authz.Family {
	s.t.Helper()
	all, err := s.store.ListSessions(s.t.Context(), authz.SessionFilter{Page: authz.Page{Limit: 1000}})
	must(s.t, err)
	return all
}

func TestPG01_OnlyFirstPartyClientsWithTheGrant(t *testing.T) {
	s := newServer(t)
	pgClient(s, authz.Client{
		ID: "third", AuthMethod: authz.AuthNone, GrantTypes: []string{authz.GrantPassword},
		Scope: authz.Scope{"read"}, Resources: []string{apiURI},
	})
	pgClient(s, authz.Client{
		ID: "nogrant", AuthMethod: authz.AuthNone, FirstParty: true, GrantTypes: []string{authz.GrantRefreshToken},
		Scope: authz.Scope{"read"}, Resources: []string{apiURI},
	})
	for _, client := range []string{"third", "nogrant", "plain", "robot", "api"} {
		s.expect(pgLogin(s, client, username, secretPW), http.StatusBadRequest, "unauthorized_client")
	}
	for _, client := range []string{"app", "web"} {
		s.expect(pgLogin(s, client, username, secretPW), http.StatusOK, "")
	}
	if got := len(pgSessions(s)); got != 2 {
		t.Errorf("%d sessions, want the 2 of app and web", got)
	}
}

func TestPG01_SwitchedOffForTheServer(t *testing.T) {
	for _, on := range []bool{true, false} {
		s := newServer(t, func(o *options) { o.passwordGrant = on })
		listed, _ := s.get("/.well-known/oauth-authorization-server").json["grant_types_supported"].([]any)
		if got := slices.Contains(listed, any("password")); got != on {
			t.Errorf("password_grant.enabled = %t: grant_types_supported = %v", on, listed)
		}
		a := pgLogin(s, "app", username, secretPW)
		if on {
			s.expect(a, http.StatusOK, "")
			continue
		}
		s.expect(a, http.StatusBadRequest, "unsupported_grant_type")
		if n := len(pgSessions(s)); n != 0 {
			t.Errorf("%d sessions, want none", n)
		}
	}
}

func TestPG02_RequiredParameters(t *testing.T) {
	s := newServer(t)
	for name, pairs := range map[string][]string{
		"no username":    {"password", secretPW},
		"no password":    {"username", username},
		"empty username": {"username", "", "password", secretPW},
		"empty password": {"username", username, "password", ""},
		"neither":        {},
	} {
		a := s.as("app", "/oauth/token", append([]string{"grant_type", "password"}, pairs...)...)
		if a.StatusCode != http.StatusBadRequest || a.str("error") != "invalid_request" {
			t.Errorf("%s: %d %s, want 400 invalid_request", name, a.StatusCode, a.body)
		}
	}
	s.expect(pgLogin(s, "app", username, secretPW), http.StatusOK, "") // scope is optional
}

func TestPG03_OneAnswerForEveryFailure(t *testing.T) {
	s := newServer(t)
	pgUser(s, "disabled", func(u *authz.User) { u.DisabledAt = s.clock.Now() })
	pgUser(s, "banned", func(u *authz.User) { u.BannedUntil = authz.Forever })
	pgUser(s, "mustchange", func(u *authz.User) { u.MustChange = true })
	pgUser(s, "nopassword", func(u *authz.User) { u.PasswordHash = "" })
	want := pgLogin(s, "app", username, "wrong password")
	s.expect(want, http.StatusBadRequest, "invalid_grant")
	for _, c := range []struct{ name, user, secret string }{
		{"unknown user", "nobody", secretPW},
		{"name of no account", "al ice", secretPW},
		{"name too long", strings.Repeat("a", 5000), secretPW},
		{"disabled", "disabled", secretPW},
		{"disabled and wrong", "disabled", "wrong password"},
		{"banned", "banned", secretPW},
		{"must change", "mustchange", secretPW},
		{"without password", "nopassword", secretPW},
		{"password too long", username, strings.Repeat("x", 5000)},
		{"password with a suffix", username, secretPW + "x"},
		{"password cut", username, secretPW[:len(secretPW)-1]},
		{"password in other case", username, strings.ToUpper(secretPW)},
	} {
		a := pgLogin(s, "app", c.user, c.secret)
		if a.StatusCode != want.StatusCode || a.body != want.body {
			t.Errorf("%s: %d %s, want %d %s", c.name, a.StatusCode, a.body, want.StatusCode, want.body)
		}
		if diff := cmp.Diff(pgHeader(want), pgHeader(a)); diff != "" {
			t.Errorf("%s: headers (-wrong password +this):\n%s", c.name, diff)
		}
	}
	if n := len(pgSessions(s)); n != 0 {
		t.Errorf("%d sessions, want none", n)
	}
}

// pgHeader returns the headers without the one that differs by design.
func pgHeader(a answer) http.Header {
	header := a.Header.Clone()
	header.Del("X-Request-Id")
	return header
}

func TestPG03_BanThatEndsByItself(t *testing.T) {
	s := newServer(t)
	pgUser(s, "banned", func(u *authz.User) { u.BannedUntil = s.clock.Now().Add(time.Hour) })
	s.clock.Add(time.Hour - time.Millisecond)
	s.expect(pgLogin(s, "app", "banned", secretPW), http.StatusBadRequest, "invalid_grant")
	s.clock.Add(time.Millisecond)
	s.expect(pgLogin(s, "app", "banned", secretPW), http.StatusOK, "")
}

// Attack 11. The work is told by the memory that a hash needs, which no load of
// the machine disturbs: an answer without one allocates a hundredth of it.
func TestPG03_UnknownUserCostsTheSameWork(t *testing.T) {
	s := newServer(t)
	hasher, err := password.New(password.Params{MemoryKiB: 4096, Iterations: 1, Parallelism: 1}, password.Limits{})
	must(t, err)
	s.service.Passwords, s.users.Passwords = hasher, hasher
	_, err = s.users.Create(t.Context(), authz.NewUser{Username: "bob", Password: secretPW})
	must(t, err)
	pgUser(s, "disabled", func(u *authz.User) {
		bob, err := s.store.UserByName(t.Context(), "bob")
		must(t, err)
		u.PasswordHash, u.DisabledAt = bob.PasswordHash, s.clock.Now()
	})
	want := pgAllocated(s, "bob")
	for _, name := range []string{"nobody", "no body", strings.Repeat("a", 300), "disabled"} {
		if got := pgAllocated(s, name); got < want*3/4 || got > want*5/4 {
			t.Errorf("login of %.10q allocates %d bytes, want about the %d of a known user", name, got, want)
		}
	}
}

// pgAllocated returns how many bytes a login with a wrong password allocates.
func pgAllocated(s *server, name string) uint64 {
	s.t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s.expect(pgLogin(s, "app", name, "wrong password"), http.StatusBadRequest, "invalid_grant")
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// PW-08: while more passwords are to be checked than can be, some wait, the
// others are told to come back, and refreshes are answered as ever.
func TestPW08_TooManyLoginsAtOnce(t *testing.T) {
	s := newServer(t)
	token := s.login("app").str("refresh_token")
	hasher, err := password.New(password.Params{MemoryKiB: 16 << 10, Iterations: 3, Parallelism: 1}, password.Limits{Concurrent: 1, Waiting: 2})
	must(t, err)
	s.service.Passwords = hasher
	answers := make(chan answer, 60)
	var group sync.WaitGroup
	for range cap(answers) {
		group.Go(func() { answers <- pgLogin(s, "app", "nobody", "wrong password") })
	}
	for range 20 {
		a := s.refresh("app", token)
		s.expect(a, http.StatusOK, "")
		token = a.str("refresh_token")
	}
	group.Wait()
	close(answers)
	statuses := map[int]int{}
	for a := range answers {
		statuses[a.StatusCode]++
		if a.StatusCode == http.StatusServiceUnavailable && (a.Header.Get("Retry-After") == "" || a.str("error") != "temporarily_unavailable") {
			t.Errorf("a login that found no place = %s with %v", a.body, a.Header)
		}
	}
	if statuses[http.StatusBadRequest] < 3 || statuses[http.StatusServiceUnavailable] == 0 || len(statuses) != 2 {
		t.Errorf("60 logins at once were answered %v, want some checked and the others 503", statuses)
	}
}

// PG-05 (second factors) has nothing to test yet.

func TestPG06_SecretsAreNowhereButInTheAnswer(t *testing.T) {
	s := newServer(t)
	login := s.login("web")
	refreshed := s.refresh("web", login.str("refresh_token"))
	wrong := pgLogin(s, "app", username, "wrong horse battery staple")
	r := s.form("/oauth/token?password="+"correct+horse+battery+staple", "grant_type", "password")
	s.do(r)
	events, err := s.store.ListEvents(t.Context(), authz.EventFilter{Page: authz.Page{Limit: 1000}})
	must(t, err)
	user, err := s.store.UserByName(t.Context(), username)
	must(t, err)
	sinks := map[string]string{"log": s.log.String(), "events": fmt.Sprintf("%+v", events), "user row": fmt.Sprintf("%+v", user), "error": wrong.body}
	for _, secret := range []string{
		secretPW, "wrong horse", "correct+horse", "correct%20horse", s.secrets["web"].Reveal(),
		login.str("refresh_token"), login.str("access_token"), refreshed.str("refresh_token"), refreshed.str("access_token"),
	} {
		for name, sink := range sinks {
			if secret == "" || strings.Contains(sink, secret) {
				t.Errorf("the %s holds a secret that begins with %.5q", name, secret)
			}
		}
	}
}

func TestPG07_LoginStartsASession(t *testing.T) {
	s := newServer(t)
	login := s.login("app")
	claims := s.claims(login.str("access_token"))
	family := rrFamily(s, rrSession(s, login))
	user, err := s.store.UserByName(t.Context(), username)
	must(t, err)
	want := map[string]any{"auth_time": float64(s.clock.Now().Unix()), "amr": []any{"pwd"}, "sub": user.ID, "sid": family.SessionID}
	for name, value := range want {
		if !cmp.Equal(claims[name], value) {
			t.Errorf("%s = %v, want %v", name, claims[name], value)
		}
	}
	if family.ClientID != "app" || family.UserID != user.ID || family.Generation != 0 {
		t.Errorf("row = %+v, want generation 0 of app and %s", family, user.ID)
	}
	if login.str("refresh_token") == "" || login.str("token_type") != "Bearer" {
		t.Errorf("answer = %s, want a refresh token and type Bearer", login.body)
	}
}

func TestPG07_NoTokensWithoutAStoredSession(t *testing.T) {
	s := newServer(t)
	s.service.Logins = rrInterrupted{s.store, func() error { return fmt.Errorf("insert: %w", authz.ErrUnavailable) }}
	a := pgLogin(s, "app", username, secretPW)
	s.expect(a, http.StatusServiceUnavailable, "temporarily_unavailable")
	if a.str("access_token") != "" || a.str("refresh_token") != "" || len(pgSessions(s)) != 0 {
		t.Errorf("answer = %s and %d sessions, want no token and none", a.body, len(pgSessions(s)))
	}
}

// pgEndings are the changes of a user that end all sessions.
func pgEndings(s *server) map[string]func(ctx context.Context) error {
	return map[string]func(ctx context.Context) error{
		"password": func(ctx context.Context) error {
			_, err := s.users.SetPassword(ctx, username, "another long password", false)
			return err
		},
		"ban": func(ctx context.Context) error {
			_, err := s.users.Ban(ctx, username, authz.Forever, "spam")
			return err
		},
		"delete": func(ctx context.Context) error {
			_, err := s.users.Delete(ctx, username)
			return err
		},
	}
}

func TestPG08_ChangesOfTheUserEndEverySession(t *testing.T) {
	for _, name := range []string{"password", "ban", "delete"} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			_, err := s.users.Create(t.Context(), authz.NewUser{Username: "bob", Password: secretPW})
			must(t, err)
			bystander := pgLogin(s, "app", "bob", secretPW)
			logins := map[string]answer{"app": s.login("app"), "app2": s.login("app2"), "web": s.login("web")}
			must(t, pgEndings(s)[name](t.Context()))
			for client, login := range logins {
				rrExpect(s, s.refresh(client, login.str("refresh_token")), http.StatusBadRequest, "invalid_grant", "revoked")
				if rrActive(s, login.str("access_token")) {
					t.Errorf("the access token of %s is still active", client)
				}
			}
			s.expect(pgLogin(s, "app", username, secretPW), http.StatusBadRequest, "invalid_grant")
			rrRefresh(s, "app", bystander.str("refresh_token"), "")
			if !rrActive(s, bystander.str("access_token")) {
				t.Error("another user's access token became inactive")
			}
		})
	}
}

// A login whose password was right before the change must not survive it.
func TestPG08_ChangeDuringALoginLeavesNoSession(t *testing.T) {
	for _, name := range []string{"password", "ban", "delete"} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.service.Logins = rrInterrupted{s.store, func() error { return pgEndings(s)[name](t.Context()) }}
			s.expect(pgLogin(s, "app", username, secretPW), http.StatusBadRequest, "invalid_grant")
			if n := len(pgSessions(s)); n != 0 {
				t.Errorf("%d sessions, want none", n)
			}
		})
	}
}

func TestPG08_AdminRevokesSessions(t *testing.T) {
	s := newServer(t)
	one, two := s.login("app"), s.login("app2")
	n, err := s.service.Sessions.End(t.Context(), authz.Ending{UserID: rrFamily(s, rrSession(s, one)).UserID, Cause: authz.CauseAdmin, Actor: "admin"})
	if n != 2 || err != nil {
		t.Errorf("End = %d, %v, want 2 sessions", n, err)
	}
	rrEnded(s, rrSession(s, one), authz.CauseAdmin, one)
	rrExpect(s, s.refresh("app2", two.str("refresh_token")), http.StatusBadRequest, "invalid_grant", "revoked")
}
