package web_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"chancery/authz"

	"github.com/google/go-cmp/cmp"
)

// throttledAccounts throttles as throttledServer does: 4 attempts a minute on
// an account from one address.
func throttledAccounts(t *testing.T) *server {
	t.Helper()
	return accountServer(t, func(o *options) {
		o.trustedProxies = []string{"10.0.0.1"}
		o.throttle = &authz.ThrottlePolicy{Pair: 4, Account: 10, Address: 12, Client: 1000}
	})
}

// at sends the request from an address that a trusted proxy tells.
func at(address string) func(*http.Request) {
	return func(r *http.Request) {
		r.RemoteAddr = "10.0.0.1:1234"
		r.Header.Set("X-Forwarded-For", address)
	}
}

// slowed requires a 429 problem and returns its Retry-After.
func (s *server) slowed(what string, a answer) time.Duration {
	s.t.Helper()
	s.problem(what, a, http.StatusTooManyRequests, authz.TemporarilyUnavailable)
	seconds := 0
	if _, err := fmt.Sscan(a.Header.Get("Retry-After"), &seconds); err != nil || seconds < 1 {
		s.t.Errorf("%s: Retry-After = %q, want seconds", what, a.Header.Get("Retry-After"))
	}
	return time.Duration(seconds) * time.Second
}

// damage gives bob a hash that cannot be read: every attempt to check a
// password against it is a 500.
func damage(s *server) {
	s.t.Helper()
	user, err := s.store.UserByName(s.t.Context(), bob)
	must(s.t, err)
	must(s.t, s.store.Rehash(s.t.Context(), user.ID, user.PasswordHash, "damaged"))
}

func TestAccountPG04CurrentPassword(t *testing.T) {
	for name, try := range map[string]func(s *server, token, secret string) answer{
		"password": func(s *server, token, secret string) answer {
			return s.call("PUT", "/password", token, members("current_password", secret, "new_password", goodPW))
		},
		"address": func(s *server, token, secret string) answer {
			return s.call("PUT", "/email", token, members("current_password", secret, "email", "new@example.com"))
		},
		"delete": func(s *server, token, secret string) answer {
			return s.call("DELETE", "", token, members("current_password", secret))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := throttledAccounts(t)
			token := s.bearer(bob)
			for range 4 {
				s.problem("wrong password", try(s, token, "wrong password"), 403, authz.WrongPassword)
			}
			wait := s.slowed("the fifth", try(s, token, "wrong password"))
			user, err := s.store.UserByName(t.Context(), bob)
			must(t, err)
			damage(s)
			s.slowed("the right one behind it", try(s, token, secretPW))
			s.waitOf("login", pgLogin(s, "app", bob, secretPW)) // one bucket for both ways in
			must(t, s.store.Rehash(t.Context(), user.ID, "damaged", user.PasswordHash))
			s.ok("what needs no password", s.call("GET", "/me", token, nil), http.StatusOK)
			s.clock.Add(wait)
			if a := try(s, token, secretPW); a.StatusCode >= 300 {
				t.Errorf("right password after %s = %d %s, want success", wait, a.StatusCode, a.body)
			}
		})
	}
}

// Guesses by one way count for the others, and another address does not help.
func TestAccountPG04GuessesCountTogether(t *testing.T) {
	s := throttledAccounts(t)
	token := s.bearer(bob)
	s.expect(pgLogin(s, "app", bob, "wrong"), http.StatusBadRequest, "invalid_grant")
	s.problem("password", s.call("PUT", "/password", token, members("current_password", "wrong", "new_password", goodPW)), 403, authz.WrongPassword)
	s.problem("address", s.call("PUT", "/email", token, members("current_password", "wrong", "email", "n@example.com")), 403, authz.WrongPassword)
	s.problem("delete", s.call("DELETE", "", token, members("current_password", "wrong")), 403, authz.WrongPassword)
	s.slowed("the fifth", s.call("DELETE", "", token, members("current_password", secretPW)))
	guesses := 0
	for i := range 40 {
		if s.call("DELETE", "", token, members("current_password", "wrong"), at(fmt.Sprintf("203.0.113.%d", i))).StatusCode == http.StatusForbidden {
			guesses++
		}
	}
	if guesses > 10 {
		t.Errorf("%d guesses with a stolen token from 40 addresses, want at most 10", guesses)
	}
}

// Attacks 12 and 14.
func TestAccountPG04Forgot(t *testing.T) {
	s := throttledAccounts(t)
	forgot := func(name, address string) answer {
		return s.call("POST", "/password/forgot", "", members("client_id", "web", "client_secret", s.secrets["web"].Reveal(), "username", name), at(address))
	}
	var answers [2][]string
	for i, name := range []string{bob, "nobody"} {
		for n := range 7 {
			a := forgot(name, fmt.Sprintf("192.0.2.%d", 100+i))
			answers[i] = append(answers[i], fingerprint(a))
			if n >= 5 {
				s.slowed(name, a)
			}
		}
	}
	if diff := cmp.Diff(answers[0], answers[1]); diff != "" {
		t.Errorf("a known and an unknown name (-known +unknown):\n%s", diff)
	}
	if len(s.mails) != 5 {
		t.Errorf("%d mails, want 5", len(s.mails))
	}
	s.slowed("another spelling", forgot("\uff22OB", "192.0.2.100"))
	for i := range 40 {
		forgot(bob, fmt.Sprintf("203.0.113.%d", i))
	}
	if len(s.mails) > 10 {
		t.Errorf("%d mails to one account within an hour, want at most 10", len(s.mails))
	}
	for i := range 40 {
		forgot(fmt.Sprint("user", i), "198.51.100.1")
	}
	s.slowed("the next name from there", forgot("somebody", "198.51.100.1"))
	s.slowed("made-up forwarding", s.call("POST", "/password/forgot", "", members("client_id", "app", "username", "somebody"), func(r *http.Request) {
		r.RemoteAddr = "198.51.100.1:9"
		r.Header.Set("X-Forwarded-For", "203.0.113.99")
	}))
	calls := s.store.CallCount()
	s.slowed("before the database", forgot(bob, "198.51.100.1"))
	if n := s.store.CallCount() - calls; n != 0 {
		t.Errorf("%d calls to the database for a throttled request, want none", n)
	}
}

func TestAccountPG04Register(t *testing.T) {
	s := throttledAccounts(t)
	for i, email := range []string{bobMail, "free@example.com"} {
		register := func(name string) answer {
			return s.call("POST", "/register", "", members("client_id", "app", "username", name, "email", email, "password", goodPW), at(fmt.Sprintf("192.0.2.%d", 100+i)))
		}
		for n := range 5 {
			s.ok(email, register(fmt.Sprint("user", n)), http.StatusAccepted)
		}
		s.slowed(email, register("user6"))
		s.slowed("a taken name too", register(bob))
	}
	// Names cannot be tried without end either.
	tried := 0
	for i := range 40 {
		a := s.call("POST", "/register", "", members("client_id", "app", "username", bob, "email", fmt.Sprintf("m%d@example.com", i), "password", goodPW), at("198.51.100.2"))
		if a.StatusCode == http.StatusConflict {
			tried++
		}
	}
	if tried > 20 {
		t.Errorf("%d names tried from one address, want at most 20 an hour", tried)
	}
}

func TestAccountPG04ChangeOfAddress(t *testing.T) {
	s := throttledAccounts(t)
	token := s.bearer(bob)
	for range 5 {
		s.ok("change", s.call("PUT", "/email", token, members("current_password", secretPW, "email", "victim@example.com")), http.StatusAccepted)
	}
	s.slowed("the sixth mail to a stranger", s.call("PUT", "/email", token, members("current_password", secretPW, "email", "VICTIM@example.com")))
}

// Attack 15: many confirmations do not give more tries.
func TestAccountPG04ProofsAndEstimates(t *testing.T) {
	for name, row := range map[string]struct {
		path  string
		limit int
		pairs []string
		code  int
	}{
		"verify":   {"/email/verify", 30, []string{"token", "chct_x"}, 400},
		"reset":    {"/password/reset", 30, []string{"token", "chct_x", "new_password", goodPW}, 400},
		"strength": {"/password/strength", 120, []string{"password", goodPW}, 200},
	} {
		s := throttledAccounts(t)
		body := members(append(slices.Clone(row.pairs), "client_id", "app")...)
		for i := range row.limit {
			if a := s.call("POST", row.path, "", body, at(fmt.Sprintf("2001:db8::%x", i+1))); a.StatusCode != row.code { // one /64
				t.Fatalf("%s %d = %d %s, want %d", name, i, a.StatusCode, a.body, row.code)
			}
		}
		calls := s.store.CallCount()
		wait := s.slowed(name, s.call("POST", row.path, "", body, at("2001:db8::ffff")))
		if n := s.store.CallCount() - calls; n != 0 {
			t.Errorf("%s: %d calls to the database for a throttled request, want none", name, n)
		}
		if a := s.call("POST", row.path, "", body, at("2001:db8:0:1::1")); a.StatusCode != row.code {
			t.Errorf("%s from another network = %d %s, want %d", name, a.StatusCode, a.body, row.code)
		}
		s.clock.Add(wait)
		if a := s.call("POST", row.path, "", body, at("2001:db8::1")); a.StatusCode != row.code {
			t.Errorf("%s after %s = %d %s, want %d", name, wait, a.StatusCode, a.body, row.code)
		}
	}
}

func TestAccountCA10ClientSecrets(t *testing.T) {
	s := throttledAccounts(t)
	for _, id := range []string{"web", "nobody"} {
		address := map[string]string{"web": "192.0.2.50", "nobody": "192.0.2.51"}[id]
		post := func(secret string) answer {
			return s.call("POST", "/password/strength", "", members("client_id", id, "client_secret", secret, "password", goodPW), at(address))
		}
		for range 20 {
			s.problem(id, post("wrong"), 401, authz.InvalidClient)
		}
		s.slowed(id, post(s.secrets["web"].Reveal()))
	}
}

// A reset works while the account is under attack, and lets its owner in.
func TestAccountPG04ResetGoesRoundAnAttack(t *testing.T) {
	s := throttledAccounts(t)
	for i := range 40 {
		s.loginFrom(fmt.Sprintf("203.0.113.%d", i), bob, "wrong")
	}
	s.waitOf("bob at home", s.loginFrom("198.51.100.7", bob, secretPW))
	sent := s.call("POST", "/password/forgot", "", members("client_id", "app", "username", bob), at("198.51.100.7"))
	body := members(append(s.proof(sent, authz.MailPasswordReset), "client_id", "app", "new_password", goodPW)...)
	s.ok("reset", s.call("POST", "/password/reset", "", body, at("198.51.100.7")), http.StatusNoContent)
	s.expect(s.loginFrom("198.51.100.7", bob, goodPW), http.StatusOK, "")
	s.expect(s.loginFrom("198.51.100.7", bobMail, goodPW), http.StatusOK, "")
}

// Attack 50: where a link leads is the registration's to say.
func TestAccountLinksFollowTheRegistration(t *testing.T) {
	s := accountServer(t, func(o *options) { o.trustedProxies = []string{"192.0.2.0/24"} })
	token := s.sign("web", bob, secretPW).str("access_token")
	misleading := func(r *http.Request) { misled(r).Header.Set("Referer", "https://evil.example/") }
	credentials := []string{"client_id", "web", "client_secret", s.secrets["web"].Reveal()}
	for path, row := range map[string]struct {
		page string
		send func() answer
	}{
		"/register": {verifyPage, func() answer {
			return s.call("POST", "/register", "", members(append(credentials, "email", "c@example.com", "password", goodPW)...), misleading)
		}},
		"/password/forgot": {resetPage, func() answer {
			return s.call("POST", "/password/forgot", "", members(append(credentials, "username", bob)...), misleading)
		}},
		"/email": {verifyPage, func() answer {
			return s.call("PUT", "/email", token, members("current_password", secretPW, "email", "new@example.com"), misleading)
		}},
	} {
		a := row.send()
		s.ok(path, a, http.StatusAccepted)
		mail := s.mails[len(s.mails)-1]
		page, secret, _ := strings.Cut(mail.Link.Reveal(), "#token=")
		if page != row.page || len(secret) < 43 || mail.App != "Web App" || strings.Contains(fmt.Sprintf("%+v %s", mail, a.body), "evil") || strings.Contains(a.body, secret) {
			t.Errorf("%s: link %q in %+v, answer %s; want one to %s", path, mail.Link.Reveal(), mail, a.body, row.page)
		}
	}
}

// PG-06: whatever happens, no secret is logged or kept with an event.
func TestAccountPG06NoSecretIsLogged(t *testing.T) {
	for _, client := range []string{"app", "web"} {
		t.Run(client, func(t *testing.T) { testNoSecretIsLogged(t, client) })
	}
}

func testNoSecretIsLogged(t *testing.T, client string) {
	t.Helper()
	s := accountServer(t)
	secrets := map[string]string{"password": secretPW, "new password": goodPW, "wrong password": "a wrong one", "client secret": s.secrets["web"].Reveal()}
	for name, kind := range confirmables(s, client) {
		proof := kind.ask()
		for i := 1; i < len(proof); i += 2 {
			secrets[name+" "+proof[i-1]] = proof[i]
		}
		kind.use("app2", proof)
		kind.use(client, proof)
		kind.use(client, proof)
		_, err := s.users.SetPassword(t.Context(), bob, secretPW, false)
		must(t, err)
	}
	login := s.sign("app", bob, secretPW)
	token := login.str("access_token")
	secrets["access token"], secrets["refresh token"] = token, login.str("refresh_token")
	down := func(do func() answer) {
		do()
		s.store.SetDown(fmt.Errorf("down"))
		defer s.store.SetDown(nil)
		do()
	}
	for _, secret := range []string{"a wrong one", secretPW} {
		down(func() answer {
			return s.call("PUT", "/password", token, members("current_password", secret, "new_password", "password123"))
		})
		down(func() answer {
			return s.call("PUT", "/email", token, members("current_password", secret, "email", "a wrong one"))
		})
		down(func() answer { return s.by("app", "/password/forgot", "username", secret) })
		down(func() answer {
			return s.by("app", "/register", "username", secret, "email", secret, "password", secret)
		})
		down(func() answer { return s.by("app", "/password/strength", "password", secret) })
		down(func() answer { return s.by("app", "/password/reset", "token", secret, "new_password", secret) })
		down(func() answer {
			return s.call("POST", "/register", "", `{"password":"`+secret+`",,}`, func(r *http.Request) { r.URL.RawQuery = "password=" + secrets["client secret"] })
		})
		down(func() answer { return s.call("DELETE", "/sessions/"+token, token, nil) })
		down(func() answer { return s.call("GET", "/me/x?access_token="+token, "", nil) })
	}
	events, err := s.store.ListEvents(t.Context(), authz.EventFilter{Page: authz.Page{Limit: 1000}})
	must(t, err)
	for what, text := range map[string]string{"log": s.log.String(), "events": fmt.Sprintf("%+v", events)} {
		for name, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s: it holds the %s", what, name)
			}
		}
	}
}
