package web_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"chancery/authz"

	"github.com/google/go-cmp/cmp"
)

// seen is what a stranger can see of an answer, and what it cost: status,
// headers, body without what is random, calls to the store.
func (s *server) seen(do func() answer) string {
	s.t.Helper()
	var a answer
	calls := rrCalls(s, func() { a = do() })
	if id := a.str("request_id"); id != "" {
		a.body = strings.ReplaceAll(a.body, id, strings.Repeat("*", len(id)))
	}
	return fmt.Sprint(fingerprint(a), calls)
}

// Attacks 11 and 12: nobody learns which addresses have accounts.
func TestAccountTakenAndFreeLookAlike(t *testing.T) {
	for _, client := range []string{"app", "web"} {
		s := accountServer(t)
		must(t, s.store.InsertUser(t.Context(), authz.User{ID: "usr_named", Username: "n@example.com", Name: "n@example.com", Email: "other@example.com"}, authz.Event{ID: "named"}))
		pgUser(s, "disabled", func(u *authz.User) {
			u.Email, u.EmailName, u.EmailVerifiedAt, u.DisabledAt = "d@example.com", "d@example.com", s.clock.Now(), s.clock.Now()
		})
		pgUser(s, "banned", func(u *authz.User) {
			u.Email, u.EmailName, u.EmailVerifiedAt, u.BannedUntil = "x@example.com", "x@example.com", s.clock.Now(), authz.Forever
		})
		register := func(pairs ...string) func() answer {
			return func() answer { return s.by(client, "/register", append(pairs, "password", goodPW)...) }
		}
		forgot := func(name string) func() answer {
			return func() answer { return s.by(client, "/password/forgot", "username", name) }
		}
		token := s.sign(client, username, secretPW).str("access_token")
		change := func(email string) func() answer {
			return func() answer {
				return s.call("PUT", "/email", token, members("current_password", secretPW, "email", email))
			}
		}
		for name, row := range map[string]struct {
			free  func() answer
			taken []func() answer
		}{
			"register": {register("username", "carol", "email", "c@example.com"), []func() answer{
				register("username", "carol", "email", bobMail), register("username", "carol", "email", "BOB@example.com"),
				register("username", "carol", "email", "d@example.com"), register("username", "carol", "email", "n@example.com"),
			}},
			"register, address as name": {register("email", "c@example.com"), []func() answer{
				register("email", bobMail), register("email", "n@example.com"), register("username", bobMail, "email", bobMail),
			}},
			"forgot": {forgot("nobody"), []func() answer{
				forgot(bob), forgot(bobMail), forgot("disabled"), forgot("banned"), forgot("x@example.com"), forgot(username), forgot("n@example.com"),
			}},
			"change of address": {change("c@example.com"), []func() answer{change(bobMail), change("BOB@EXAMPLE.COM"), change("d@example.com"), change("n@example.com")}},
		} {
			want := s.seen(row.free)
			for i, taken := range row.taken {
				if diff := cmp.Diff(want, s.seen(taken)); diff != "" {
					t.Errorf("%s through %s, taken %d (-free +taken):\n%s", name, client, i, diff)
				}
			}
		}
		for _, mail := range s.mails {
			if strings.ContainsAny(mail.To[:1], "dx") && mail.Kind == authz.MailPasswordReset {
				t.Errorf("a reset was mailed to %s, whose account is not active", mail.To)
			}
			if mail.Kind == authz.MailAccountExists && (mail.Link != "" || mail.Code != "") {
				t.Errorf("mail = %+v, want no proof in it", mail)
			}
		}
	}
}

// A taken address cannot be confirmed by whoever asked, whatever he sends.
func TestAccountTakenAddressCannotBeConfirmed(t *testing.T) {
	s := accountServer(t)
	sent := s.by("app", "/register", "username", "mallory", "email", bobMail, "password", goodPW)
	s.lastMail(authz.MailAccountExists)
	for _, proof := range [][]string{{"token", sent.str("request_id")}, {"request_id", sent.str("request_id"), "code", "00000000"}, {"request_id", sent.str("request_id"), "code", " - "}} {
		s.problem(proof[0], s.by("app", "/email/verify", proof...), 400, authz.InvalidConfirmation)
	}
	// Of two who ask for one free address, the first to confirm gets it.
	first := s.proof(s.by("web", "/register", "username", "carol", "email", "c@example.com", "password", goodPW), authz.MailRegistration)
	second := s.proof(s.by("web", "/register", "username", "dave", "email", "C@EXAMPLE.com", "password", goodPW), authz.MailRegistration)
	s.ok("second", s.by("web", "/email/verify", second...), http.StatusOK)
	s.problem("first", s.by("web", "/email/verify", first...), 409, authz.Conflict)
	s.expect(pgLogin(s, "app", "carol", goodPW), http.StatusBadRequest, "invalid_grant")
}

// What is accepted as an address is the mailbox that the mail goes to, or one
// mailbox has many addresses: each with an account and a throttle of its own.
func TestAccountAddressIsItsMailbox(t *testing.T) {
	s := accountServer(t)
	token := s.bearer(username)
	for _, email := range []string{"<" + bobMail + ">", "x<" + bobMail + ">", bobMail + "(x)", `"bob"@example.com`} {
		s.problem("sign-up as "+email, s.by("app", "/register", "username", "carol", "email", email, "password", goodPW), 400, authz.InvalidInput)
		s.problem("change to "+email, s.call("PUT", "/email", token, members("current_password", secretPW, "email", email)), 400, authz.InvalidInput)
	}
	for _, sent := range s.mails {
		if to, err := mail.ParseAddress(sent.To); err == nil && to.Address != sent.To {
			t.Errorf("mail %s to %s goes to %s", sent.Kind, sent.To, to.Address)
		}
	}
}

// Attack 54.
func TestAccountNamesInUnicode(t *testing.T) {
	for _, names := range [][]string{
		{"jos\u00e9", "jose\u0301", "JOS\u00c9", "\uff4aos\u00e9", "\uff2a\uff2fSE\u0301"},
		{"jos\u00e9@example.com", "JOSE\u0301@EXAMPLE.COM"},
	} {
		s := accountServer(t)
		email := "j@example.com"
		if strings.Contains(names[0], "@") {
			email = names[0]
		}
		s.ok("verify", s.by("web", "/email/verify", s.proof(s.by("web", "/register", "username", names[0], "email", email, "password", goodPW), authz.MailRegistration)...), http.StatusOK)
		for i, name := range names {
			s.expect(pgLogin(s, "app", name, goodPW), http.StatusOK, "")
			s.forgot("web", name)
			if email != names[0] {
				s.problem("sign-up as "+name, s.by("app", "/register", "username", name, "email", fmt.Sprintf("%d@example.com", i), "password", goodPW), 409, authz.Conflict)
				continue
			}
			s.by("app", "/register", "email", name, "password", goodPW)
			s.lastMail(authz.MailAccountExists)
		}
		s.expect(pgLogin(s, "app", names[0]+"\u200b", goodPW), http.StatusBadRequest, "invalid_grant")
		s.problem("zero width", s.by("app", "/password/forgot", "username", names[0]+"\u200b"), 400, authz.InvalidInput)
	}
}

// confirmables are the three kinds of confirmation: how bob or carol asks, and
// how it is used.
func confirmables(s *server, client string) map[string]struct {
	ask func() []string
	use func(client string, proof []string) answer
	ttl time.Duration
} {
	verify := func(client string, proof []string) answer { return s.by(client, "/email/verify", proof...) }
	reset := func(client string, proof []string) answer { return s.reset(client, proof, goodPW) }
	ttl, resetTTL := 15*time.Minute, 15*time.Minute
	if client == "web" {
		ttl, resetTTL = 24*time.Hour, time.Hour
	}
	type kind = struct {
		ask func() []string
		use func(client string, proof []string) answer
		ttl time.Duration
	}
	return map[string]kind{
		"registration": {func() []string {
			return s.proof(s.by(client, "/register", "username", "carol", "email", "c@example.com", "password", goodPW), authz.MailRegistration)
		}, verify, ttl},
		"address": {func() []string {
			token := s.sign(client, bob, secretPW).str("access_token")
			return s.proof(s.call("PUT", "/email", token, members("current_password", secretPW, "email", "new@example.com")), authz.MailEmailChange)
		}, verify, ttl},
		"reset": {func() []string { return s.forgot(client, bob) }, reset, resetTTL},
	}
}

func TestAccountConfirmationsAreBound(t *testing.T) {
	for _, client := range []string{"app", "web"} {
		for name := range confirmables(nil, client) {
			t.Run(name+" "+client, func(t *testing.T) {
				s := accountServer(t)
				kind := confirmables(s, client)[name]
				refused := func(what string, a answer) { t.Helper(); s.problem(what, a, 400, authz.InvalidConfirmation) }
				late := kind.ask()
				s.clock.Add(kind.ttl - time.Millisecond)
				fresh := kind.ask()
				s.clock.Add(time.Millisecond)
				refused("expired", kind.use(client, late))
				refused("another client", kind.use("app2", fresh))
				refused("another purpose", map[bool]func() answer{
					true:  func() answer { return s.by(client, "/email/verify", fresh...) },
					false: func() answer { return s.reset(client, fresh, goodPW) },
				}[name == "reset"]())
				if client == "web" {
					refused("link as request id", kind.use(client, []string{"request_id", fresh[1], "code", "00000000"}))
					refused("cut", kind.use(client, []string{"token", fresh[1][:len(fresh[1])-1]}))
				} else {
					refused("request id as token", kind.use(client, []string{"token", fresh[1]}))
					refused("code of another", kind.use(client, []string{"request_id", kind.ask()[1], "code", fresh[3]}))
					s.problem("both", kind.use(client, append([]string{"token", fresh[1]}, fresh...)), 400, authz.InvalidRequest)
					s.problem("no code", kind.use(client, fresh[:2]), 400, authz.InvalidRequest)
					s.problem("code alone", kind.use(client, fresh[2:]), 400, authz.InvalidRequest)
					fresh[3] = " " + fresh[3][:4] + " - " + fresh[3][4:] + " "
				}
				s.problem("nothing", kind.use(client, nil), 400, authz.InvalidRequest)
				if a := kind.use(client, fresh); a.StatusCode >= 300 {
					t.Errorf("right proof after all that = %d %s, want success", a.StatusCode, a.body)
				}
				refused("a second time", kind.use(client, fresh))
			})
		}
	}
}

// Attack 15: ten tries, and a good one is dead too.
func TestAccountCodeAttempts(t *testing.T) {
	for name := range confirmables(nil, "app") {
		for tries, good := range map[int]bool{9: true, 10: false} {
			s := accountServer(t)
			kind := confirmables(s, "app")[name]
			proof := kind.ask()
			for range tries {
				wrong := []string{"request_id", proof[1], "code", map[bool]string{true: "00000001", false: "00000000"}[proof[3] == "00000000"]}
				s.problem("wrong code", kind.use("app", wrong), 400, authz.InvalidConfirmation)
			}
			if a := kind.use("app", proof); (a.StatusCode < 300) != good {
				t.Errorf("%s: right code after %d wrong ones = %d %s, want it good: %t", name, tries, a.StatusCode, a.body, good)
			}
		}
	}
}

func TestAccountRefusedPasswordLeavesTheLinkGood(t *testing.T) {
	s := accountServer(t)
	for _, client := range []string{"app", "web"} {
		proof := s.forgot(client, bob)
		for _, secret := range []string{"", "short", "password123", bobMail} {
			s.problem("bad password", s.reset(client, proof, secret), 400, authz.InvalidInput)
		}
		s.ok("reset", s.reset(client, proof, goodPW), http.StatusNoContent)
	}
}

// PG-08: what ends which sessions and which mailed links.
func TestAccountPG08ResetEndsEverything(t *testing.T) {
	s := accountServer(t)
	login := s.sign("web", bob, secretPW)
	token := login.str("access_token")
	older, pending := s.forgot("web", bob), confirmables(s, "web")["address"].ask()
	other := s.bearer(username)
	s.ok("reset", s.reset("web", s.forgot("web", bobMail), goodPW), http.StatusNoContent)
	if mail := s.lastMail(authz.MailPasswordChanged); mail.To != bobMail {
		t.Errorf("mail = %+v, want the owner told", mail)
	}
	s.problem("token", s.call("GET", "/me", token, nil), 401, authz.InvalidToken)
	s.expect(s.refresh("web", login.str("refresh_token")), http.StatusBadRequest, "invalid_grant")
	s.problem("older link", s.reset("web", older, secretPW), 400, authz.InvalidConfirmation)
	s.problem("pending address", s.by("web", "/email/verify", pending...), 400, authz.InvalidConfirmation)
	s.expect(pgLogin(s, "app", bob, secretPW), http.StatusBadRequest, "invalid_grant")
	s.expect(pgLogin(s, "app", bob, goodPW), http.StatusOK, "")
	s.ok("somebody else", s.call("GET", "/me", other, nil), http.StatusOK)
}

func TestAccountPG08ChangeEndsOtherSessions(t *testing.T) {
	s := accountServer(t)
	here, there := s.sign("app", bob, secretPW), s.sign("web", bob, secretPW)
	link, pending := s.forgot("web", bob), confirmables(s, "web")["address"].ask()
	s.ok("change", s.call("PUT", "/password", here.str("access_token"), members("current_password", secretPW, "new_password", goodPW)), http.StatusNoContent)
	s.ok("this session", s.call("GET", "/me", here.str("access_token"), nil), http.StatusOK)
	s.expect(s.refresh("app", here.str("refresh_token")), http.StatusOK, "")
	s.problem("another", s.call("GET", "/me", there.str("access_token"), nil), 401, authz.InvalidToken)
	s.expect(s.refresh("web", there.str("refresh_token")), http.StatusBadRequest, "invalid_grant")
	s.problem("link", s.reset("web", link, secretPW), 400, authz.InvalidConfirmation)
	s.problem("pending address", s.by("web", "/email/verify", pending...), 400, authz.InvalidConfirmation)
}

// A mailbox that is no longer the account's cannot reset its password: losing
// it may be why the address was changed.
func TestAccountResetMailedBeforeTheAddressChanged(t *testing.T) {
	for _, client := range []string{"app", "web"} {
		s := accountServer(t)
		old := s.forgot(client, bob)
		s.ok("verify", s.by(client, "/email/verify", confirmables(s, client)["address"].ask()...), http.StatusOK)
		s.problem("reset by "+client+" with what the old address got", s.reset(client, old, goodPW), 400, authz.InvalidConfirmation)
		s.expect(pgLogin(s, "app", bob, secretPW), http.StatusOK, "")
		s.ok("reset by the new address", s.reset(client, s.forgot(client, bob), goodPW), http.StatusNoContent)
	}
}

func TestAccountBannedAndDeleted(t *testing.T) {
	for name, row := range map[string]struct {
		do   func(s *server) error
		undo bool
	}{
		"banned": {func(s *server) error {
			_, err := s.users.Ban(s.t.Context(), bob, authz.Forever, "spam")
			return err
		}, true},
		"deleted": {func(s *server) error { _, err := s.users.Delete(s.t.Context(), bob); return err }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := accountServer(t)
			token, link, pending := s.bearer(bob), s.forgot("web", bob), confirmables(s, "web")["address"].ask()
			must(t, row.do(s))
			n := len(s.mails)
			for _, login := range []string{bob, bobMail} {
				s.ok("forgot", s.by("web", "/password/forgot", "username", login), http.StatusAccepted)
			}
			if len(s.mails) != n {
				t.Errorf("mails = %+v, want none to the user", s.mails[n:])
			}
			for range 2 {
				s.problem("link", s.reset("web", link, goodPW), 400, authz.InvalidConfirmation)
				s.problem("address", s.by("web", "/email/verify", pending...), 400, authz.InvalidConfirmation)
				for _, route := range accountRoutes() {
					if route.token {
						s.problem(route.path, s.call(route.method, route.path, token, members("current_password", secretPW)), 401, authz.InvalidToken)
					}
				}
				if row.undo {
					_, err := s.users.Unban(t.Context(), bob) // what ended stays ended
					must(t, err)
				}
			}
		})
	}
}

// PW-10.
func TestAccountPW10MustChangeRecoversByReset(t *testing.T) {
	s := accountServer(t)
	_, err := s.users.SetPassword(t.Context(), bob, "chosen by an admin", true)
	must(t, err)
	s.expect(pgLogin(s, "app", bob, "chosen by an admin"), http.StatusBadRequest, "invalid_grant")
	s.ok("reset", s.reset("app", s.forgot("app", bob), goodPW), http.StatusNoContent)
	s.expect(pgLogin(s, "app", bob, goodPW), http.StatusOK, "")
}

// racing lets something happen after an account was read and before it is
// changed.
type racing struct {
	authz.AccountStore
	between func()
}

func (r *racing) UserByID(ctx context.Context, id string) (authz.User, error) {
	user, err := r.AccountStore.UserByID(ctx, id)
	if do := r.between; do != nil {
		r.between = nil
		do()
	}
	return user, err
}

func TestAccountRaces(t *testing.T) {
	const winner = "chosen by somebody else"
	for _, meanwhile := range []string{"password", "ban", "own change"} {
		for _, name := range []string{"change", "delete", "reset", "address"} {
			t.Run(name+" and "+meanwhile, func(t *testing.T) {
				s := accountServer(t)
				token, rival := s.bearer(bob), s.bearer(bob)
				link, pending := s.forgot("web", bob), confirmables(s, "web")["address"].ask()
				change := func(token, secret string) answer {
					return s.call("PUT", "/password", token, members("current_password", secretPW, "new_password", secret))
				}
				s.accounts.Users = &racing{AccountStore: s.store, between: map[string]func(){
					"password":   func() { _, err := s.users.SetPassword(t.Context(), bob, winner, false); must(t, err) },
					"ban":        func() { _, err := s.users.Ban(t.Context(), bob, authz.Forever, ""); must(t, err) },
					"own change": func() { s.ok("rival", change(rival, winner), http.StatusNoContent) },
				}[meanwhile]}
				switch name {
				case "change":
					s.problem(name, change(token, goodPW), 409, authz.Conflict)
				case "delete":
					s.problem(name, s.call("DELETE", "", token, members("current_password", secretPW)), 409, authz.Conflict)
				case "reset":
					s.problem(name, s.reset("web", link, goodPW), 400, authz.InvalidConfirmation)
				case "address":
					s.problem(name, s.by("web", "/email/verify", pending...), 400, authz.InvalidConfirmation)
				}
				user, err := s.store.UserByName(t.Context(), bob)
				must(t, err)
				if user.Email != bobMail {
					t.Errorf("address = %s, want it unchanged", user.Email)
				}
				if meanwhile != "ban" {
					s.expect(pgLogin(s, "app", bob, winner), http.StatusOK, "")
				}
			})
		}
	}
}

func TestAccountOneLinkTwiceAtOnce(t *testing.T) {
	s := accountServer(t)
	link := s.forgot("web", bob)
	s.accounts.Users = &racing{AccountStore: s.store, between: func() { s.ok("inner", s.reset("web", link, goodPW), http.StatusNoContent) }}
	s.problem("outer", s.reset("web", link, "another password of bob's"), 400, authz.InvalidConfirmation)
	s.expect(pgLogin(s, "app", bob, goodPW), http.StatusOK, "")
}

// Attack 47.
func TestAccountSessionsOfOthers(t *testing.T) {
	s := accountServer(t)
	mine, hers := s.bearer(bob), s.bearer(username)
	sid := func(token string) string { return s.claims(token)["sid"].(string) }
	unknown := fingerprint(s.call("DELETE", "/sessions/00000000-0000-0000-0000-000000000000", mine, nil))
	for _, id := range []string{sid(hers), "x", "%00", "%ff", "%2e%2e", "*", strings.Repeat("a", 10_000), strings.ToUpper(sid(mine)), sid(mine) + "%20"} {
		a := s.call("DELETE", "/sessions/"+id, mine, nil)
		s.problem(id, a, 404, authz.NotFound)
		if got := fingerprint(a); got != unknown {
			t.Errorf("session %.40s = %s, want as an unknown one %s", id, got, unknown)
		}
	}
	s.ok("hers", s.call("GET", "/me", hers, nil), http.StatusOK)
	second := s.bearer(bob)
	s.ok("own", s.call("DELETE", "/sessions/"+sid(second), mine, nil), http.StatusNoContent)
	s.problem("ended", s.call("GET", "/me", second, nil), 401, authz.InvalidToken)
	s.problem("again", s.call("DELETE", "/sessions/"+sid(second), mine, nil), 404, authz.NotFound)
	s.ok("current", s.call("DELETE", "/sessions/"+sid(mine), mine, nil), http.StatusNoContent)
	s.problem("then", s.call("GET", "/me", mine, nil), 401, authz.InvalidToken)
}

func TestAccountLogoutScopes(t *testing.T) {
	for query, row := range map[string]struct {
		ended string
		dead  []string
	}{
		"": {"1", []string{"here"}}, "?scope=local": {"1", []string{"here"}}, "?scope=others": {"2", []string{"there", "web"}},
		"?scope=global": {"3", []string{"here", "there", "web"}}, "?scope=": {}, "?scope=all": {}, "?scope=GLOBAL": {},
	} {
		s := accountServer(t)
		tokens := map[string]string{"here": s.bearer(bob), "there": s.bearer(bob), "web": s.sign("web", bob, secretPW).str("access_token"), username: s.bearer(username)}
		a := s.call("POST", "/logout"+query, tokens["here"], nil)
		if row.dead == nil {
			s.problem(query, a, 400, authz.InvalidRequest)
		} else if s.ok(query, a, http.StatusOK); fmt.Sprint(a.json["ended"]) != row.ended {
			t.Errorf("%s: %s, want %s ended", query, a.body, row.ended)
		}
		for _, name := range slices.Sorted(maps.Keys(tokens)) {
			alive := s.call("GET", "/me", tokens[name], nil).StatusCode == http.StatusOK
			if want := !slices.Contains(row.dead, name); alive != want {
				t.Errorf("%s: session %s alive = %t, want %t", query, name, alive, want)
			}
		}
	}
}
