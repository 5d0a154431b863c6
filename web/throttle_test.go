package web_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"chancery/authz"
)

// throttled is a server that throttles: 4 attempts a minute on an account from
// one address, 10 on an account from all unknown ones, 12 from one address.
func throttledServer(t *testing.T) *server {
	return newServer(t, func(o *options) {
		o.trustedProxies = []string{"10.0.0.1"}
		o.throttle = &authz.ThrottlePolicy{Pair: 4, Account: 10, Address: 12, Client: 1000}
	})
}

// loginFrom tries a password from an address that a trusted proxy tells.
func (s *server) loginFrom(address, name, secret string) answer {
	s.t.Helper()
	r := s.form("/oauth/token", "grant_type", "password", "client_id", "app", "username", name, "password", secret)
	r.RemoteAddr = "10.0.0.1:1234"
	r.Header.Set("X-Forwarded-For", address)
	return s.do(r)
}

// waitOf requires a 429 and returns its Retry-After.
func (s *server) waitOf(what string, a answer) time.Duration {
	s.t.Helper()
	seconds, err := strconv.Atoi(a.Header.Get("Retry-After"))
	if a.StatusCode != http.StatusTooManyRequests || a.str("error") != "temporarily_unavailable" || err != nil || seconds < 1 {
		s.t.Fatalf("%s = %d %s with Retry-After %q, want 429 temporarily_unavailable with seconds", what, a.StatusCode, a.body, a.Header.Get("Retry-After"))
	}
	return time.Duration(seconds) * time.Second
}

func TestPG04ThrottlesKnownAndUnknownNamesAlike(t *testing.T) { // attack 12
	s := throttledServer(t)
	var answers [2][]string
	for i, name := range []string{username, "nobody"} {
		for range 7 {
			a := s.loginFrom(fmt.Sprintf("192.0.2.%d", i+1), name, "wrong password")
			a.Header.Del("X-Request-Id")
			answers[i] = append(answers[i], fmt.Sprint(a.StatusCode, a.body, a.Header))
		}
	}
	if got, want := fmt.Sprint(answers[1]), fmt.Sprint(answers[0]); got != want {
		t.Errorf("answers for an unknown name:\n%s\nfor a known one:\n%s", got, want)
	}
	if !strings.HasPrefix(answers[0][3], "400") || !strings.HasPrefix(answers[0][4], "429") {
		t.Errorf("answers = %s, want four times 400 and then 429", answers[0])
	}
}

func TestPG04WaitGrows(t *testing.T) {
	s := throttledServer(t)
	attempts := func() (n int) {
		for {
			a := s.loginFrom("192.0.2.1", username, "wrong password")
			if a.StatusCode == http.StatusTooManyRequests {
				s.clock.Add(s.waitOf("login", a))
				return n
			}
			n++
		}
	}
	if n := attempts(); n != 4 {
		t.Errorf("%d attempts at once, want 4", n)
	}
	begun := s.clock.Now()
	for range 16 { // the hour's 20 are used up
		attempts()
	}
	early := s.clock.Now().Sub(begun) / 16
	begun = s.clock.Now()
	for range 10 {
		attempts()
	}
	if late := s.clock.Now().Sub(begun) / 10; late < 5*early {
		t.Errorf("one attempt in %s at first and in %s later, want the wait to grow", early, late)
	}
}

func TestPG04WaitIsLongEnough(t *testing.T) {
	s := throttledServer(t)
	for range 4 {
		s.loginFrom("192.0.2.1", username, "wrong password")
	}
	wait := s.waitOf("login", s.loginFrom("192.0.2.1", username, secretPW)) // also with the right password
	s.clock.Add(wait)
	s.expect(s.loginFrom("192.0.2.1", username, secretPW), http.StatusOK, "")
	for range 4 { // and a success forgets the failures
		s.expect(s.loginFrom("192.0.2.1", username, "wrong password"), http.StatusBadRequest, "invalid_grant")
	}
}

func TestPG04NothingIsHashedOrReadForAThrottledAttempt(t *testing.T) {
	s := throttledServer(t)
	for range 4 {
		s.loginFrom("192.0.2.1", username, "wrong password")
	}
	before := s.store.CallCount()
	s.waitOf("login", s.loginFrom("192.0.2.1", username, "wrong password"))
	if n := s.store.CallCount() - before; n != 0 {
		t.Errorf("a throttled attempt made %d calls to the database, want none", n)
	}
}

func TestPG04SprayingFromOneAddress(t *testing.T) { // attack 13
	s := throttledServer(t)
	for i := range 12 {
		s.expect(s.loginFrom("192.0.2.1", fmt.Sprint("user", i), "Spring2026!"), http.StatusBadRequest, "invalid_grant")
	}
	s.waitOf("the 13th name", s.loginFrom("192.0.2.1", "user13", "Spring2026!"))
	s.expect(s.loginFrom("192.0.2.2", "user13", "Spring2026!"), http.StatusBadRequest, "invalid_grant")
}

func TestPG04OneAccountFromManyAddresses(t *testing.T) { // attack 13
	s := throttledServer(t)
	s.expect(s.loginFrom("198.51.100.7", username, secretPW), http.StatusOK, "") // alice at home
	refused := 0
	for i := range 40 {
		if s.loginFrom(fmt.Sprintf("203.0.113.%d", i), username, "wrong password").StatusCode == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused < 30 {
		t.Errorf("of 40 attempts from as many addresses %d were refused, want 30", refused)
	}
	// Whoever attacks from elsewhere does not lock her out where she is known.
	for range 3 {
		s.expect(s.loginFrom("198.51.100.7", username, secretPW), http.StatusOK, "")
	}
	s.waitOf("alice at a new address", s.loginFrom("198.51.100.8", username, secretPW))
}

func TestPG04OneAddressDoesNotReachTheAccount(t *testing.T) {
	s := throttledServer(t)
	for range 200 {
		s.loginFrom("203.0.113.1", username, "wrong password")
	}
	// 200 attempts from one address have cost the account four.
	for i := range 5 {
		s.expect(s.loginFrom(fmt.Sprintf("198.51.100.%d", i), username, "wrong password"), http.StatusBadRequest, "invalid_grant")
	}
	s.expect(s.loginFrom("198.51.100.9", username, secretPW), http.StatusOK, "")
}

func TestPG04NamesAreNormalised(t *testing.T) {
	s := throttledServer(t)
	for _, name := range []string{"alice", "ALICE", "Alice", "\uff41lice"} {
		s.loginFrom("192.0.2.1", name, "wrong password")
	}
	s.waitOf("the fifth spelling", s.loginFrom("192.0.2.1", "aLiCe", "wrong password"))
}

func TestPG04NetworksOfIPv6(t *testing.T) { // attack 14
	s := throttledServer(t)
	for i := range 4 {
		s.loginFrom(fmt.Sprintf("2001:db8:1:2::%x", i+1), username, "wrong password")
	}
	s.waitOf("the same /64", s.loginFrom("2001:db8:1:2:ffff:ffff:ffff:ffff", username, "wrong password"))
	s.expect(s.loginFrom("2001:db8:1:3::1", username, "wrong password"), http.StatusBadRequest, "invalid_grant")
	for range 4 {
		s.loginFrom("192.0.2.1", username, "wrong password")
	}
	s.waitOf("IPv4 in IPv6", s.loginFrom("::ffff:192.0.2.1", username, "wrong password"))
}

func TestPG04ForwardedAddressesOfStrangersDoNotCount(t *testing.T) { // attack 14
	s := throttledServer(t)
	var last answer
	for i := range 5 {
		r := s.form("/oauth/token", "grant_type", "password", "client_id", "app", "username", username, "password", "wrong password")
		r.RemoteAddr = "192.0.2.1:1234"
		r.Header.Set("X-Forwarded-For", fmt.Sprintf("203.0.113.%d", i))
		last = s.do(r)
	}
	s.waitOf("the fifth made-up address", last)
}

func TestPG04LongAndInvalidNamesAreCounted(t *testing.T) { // attack 55
	s := throttledServer(t)
	for range 4 {
		s.loginFrom("192.0.2.1", strings.Repeat("x", 50_000), "wrong password")
	}
	s.waitOf("a name that is too long", s.loginFrom("192.0.2.1", strings.Repeat("y", 50_000), "wrong password"))
}

func TestPG04ThrottlingIsRecorded(t *testing.T) {
	s := throttledServer(t)
	for range 50 {
		s.loginFrom("192.0.2.1", username, "wrong password")
	}
	events, err := s.store.ListEvents(t.Context(), authz.EventFilter{Kind: authz.EventThrottled, Page: authz.Page{Limit: 100}})
	must(t, err)
	if len(events) != 1 || events[0].Device.Address != "192.0.2.1" || events[0].ClientID != "app" {
		t.Errorf("events = %+v, want one a minute, with client and address", events)
	}
}

// secretFrom authenticates a client from an address.
func (s *server) secretFrom(address, clientID, secret string) answer {
	s.t.Helper()
	r := s.form("/oauth/token", "grant_type", "client_credentials")
	r.RemoteAddr = address + ":1234"
	r.SetBasicAuth(clientID, secret)
	return s.do(r)
}

func TestCA10ThrottlesWrongSecrets(t *testing.T) { // attack 15
	s := throttledServer(t)
	right := s.secrets["robot"].Reveal()
	for range 20 {
		s.expect(s.secretFrom("192.0.2.1", "robot", "wrong"), http.StatusUnauthorized, "invalid_client")
		s.expect(s.secretFrom("192.0.2.2", "unknown", "wrong"), http.StatusUnauthorized, "invalid_client")
	}
	known := s.waitOf("the 21st wrong secret", s.secretFrom("192.0.2.1", "robot", "wrong"))
	s.waitOf("the right one behind it", s.secretFrom("192.0.2.1", "robot", right)) // or guessing would go on
	if unknown := s.waitOf("of an unknown client", s.secretFrom("192.0.2.2", "unknown", "wrong")); unknown != known {
		t.Errorf("an unknown client waits %s, a known one %s", unknown, known)
	}
	// Where the client itself is, nothing has changed.
	s.expect(s.secretFrom("192.0.2.3", "robot", right), http.StatusOK, "")
	s.clock.Add(known)
	s.expect(s.secretFrom("192.0.2.1", "robot", right), http.StatusOK, "")
}

func TestCA10RightSecretsAreNotCounted(t *testing.T) {
	s := throttledServer(t)
	for range 300 {
		s.expect(s.secretFrom("192.0.2.1", "robot", s.secrets["robot"].Reveal()), http.StatusOK, "")
	}
}

// Clients behind one address do not answer for each other.
func TestCA10WrongSecretsOfOthersDoNotLockOut(t *testing.T) {
	s := throttledServer(t)
	for i := range 120 {
		s.secretFrom("192.0.2.1", fmt.Sprint("misconfigured", i%10), "stale")
	}
	s.waitOf("one more wrong secret", s.secretFrom("192.0.2.1", "another", "wrong"))
	s.expect(s.secretFrom("192.0.2.1", "robot", s.secrets["robot"].Reveal()), http.StatusOK, "")
}

// Logins that succeed do not use up what others may try from the address.
func TestPG04SuccessesAreGivenBack(t *testing.T) {
	s := throttledServer(t)
	for i := range 40 {
		name := fmt.Sprint("user", i)
		_, err := s.users.Create(t.Context(), authz.NewUser{Username: name, Password: secretPW})
		must(t, err)
		s.expect(s.loginFrom("192.0.2.1", name, secretPW), http.StatusOK, "")
	}
}

func TestPG04AttackFromOneNetworkIsRecordedOnceAMinute(t *testing.T) {
	s := throttledServer(t)
	for i := range 200 {
		s.loginFrom(fmt.Sprintf("2001:db8:1:2::%x", i+1), username, "wrong password")
	}
	events, err := s.store.ListEvents(t.Context(), authz.EventFilter{Page: authz.Page{Limit: 1000}})
	must(t, err)
	attacks := 0
	for _, event := range events {
		if event.Kind == authz.EventThrottled || event.Kind == authz.EventLoginFailed {
			attacks++
		}
	}
	if attacks != 2 {
		t.Errorf("200 attempts from one /64 left %d events, want one of the failure and one of the throttling", attacks)
	}
}

func TestIN07ThrottlesWrongSecrets(t *testing.T) {
	s := throttledServer(t)
	introspect := func() answer {
		r := s.form("/oauth/introspect", "token", "x")
		r.SetBasicAuth("api", "wrong")
		return s.do(r)
	}
	for range 20 {
		s.expect(introspect(), http.StatusUnauthorized, "invalid_client")
	}
	s.waitOf("introspection", introspect())
}

// TestRefreshIsNotThrottled: who is logged in stays so during an attack.
func TestRefreshIsNotThrottled(t *testing.T) {
	s := throttledServer(t)
	token := s.loginFrom("198.51.100.7", username, secretPW).str("refresh_token")
	for i := range 50 {
		s.loginFrom(fmt.Sprintf("203.0.113.%d", i), username, "wrong password")
	}
	for range 50 {
		a := s.refresh("app", token)
		s.expect(a, http.StatusOK, "")
		token = a.str("refresh_token")
	}
}

func TestOldestSessionMakesRoom(t *testing.T) {
	s := newServer(t, func(o *options) { o.maxSessions = 3 })
	var tokens []string
	for range 5 {
		tokens = append(tokens, s.login("app").str("refresh_token"))
		s.clock.Add(time.Second)
	}
	for i, token := range tokens {
		a := s.refresh("app", token)
		if alive := a.StatusCode == http.StatusOK; alive != (i >= 2) {
			t.Errorf("session %d of 5 lives: %v (%s), want the newest 3 to", i+1, alive, a.body)
		}
	}
	sessions, err := s.store.ListSessions(t.Context(), authz.SessionFilter{Page: authz.Page{Limit: 10}})
	must(t, err)
	if oldest := sessions[len(sessions)-1]; oldest.RevokedCause != authz.CauseSessionLimit {
		t.Errorf("the oldest session ended with cause %q, want %q", oldest.RevokedCause, authz.CauseSessionLimit)
	}
}
