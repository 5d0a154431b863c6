package web_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"chancery/authz"
)

// rvOK fails the test unless the answer is the empty success of a revocation.
func rvOK(s *server, a answer) {
	s.t.Helper()
	if a.StatusCode != http.StatusOK || a.body != "" || a.Header.Get("Cache-Control") != "no-store" {
		s.t.Errorf("answer = %d %q with Cache-Control %q, want 200, no body and no-store", a.StatusCode, a.body, a.Header.Get("Cache-Control"))
	}
}

// rvLive fails the test unless the session of the answer still works.
func rvLive(s *server, clientID string, a answer) {
	s.t.Helper()
	if !rrActive(s, a.str("access_token")) {
		s.t.Error("the access token is inactive, want active")
	}
	rrRefresh(s, clientID, a.str("refresh_token"), "")
}

func TestRV01_PostFormWithAToken(t *testing.T) {
	s := newServer(t)
	login := s.login("app")
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete} {
		a := s.do(httptest.NewRequestWithContext(t.Context(), method, "/oauth/revoke?client_id=app", nil))
		if a.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d, want 405", method, a.StatusCode)
		}
	}
	s.expect(s.as("app", "/oauth/revoke"), http.StatusBadRequest, "invalid_request")
	s.expect(s.as("app", "/oauth/revoke", "token", ""), http.StatusBadRequest, "invalid_request")
	s.expect(s.as("app", "/oauth/revoke?token="+login.str("refresh_token")), http.StatusBadRequest, "invalid_request")
	r := s.form("/oauth/revoke", "client_id", "app", "token", login.str("refresh_token"))
	r.Header.Set("Content-Type", "application/json")
	s.expect(s.do(r), http.StatusBadRequest, "invalid_request")
	rvLive(s, "app", login)
}

func TestRV02_ClientAuthentication(t *testing.T) {
	s := newServer(t)
	login := s.login("web")
	token := login.str("refresh_token")
	s.expect(s.post("/oauth/revoke", "token", token), http.StatusUnauthorized, "invalid_client")
	s.expect(s.post("/oauth/revoke", "token", token, "client_id", "web"), http.StatusUnauthorized, "invalid_client")
	s.expect(s.post("/oauth/revoke", "token", token, "client_id", "web", "client_secret", "wrong"), http.StatusUnauthorized, "invalid_client")
	s.expect(s.post("/oauth/revoke", "token", token, "client_id", "nobody"), http.StatusUnauthorized, "invalid_client")
	rvLive(s, "web", login)

	login = s.login("web")
	rvOK(s, s.post("/oauth/revoke", "token", login.str("refresh_token"), "client_id", "web", "client_secret", s.secrets["web"].Reveal()))
	rvEnded(s, "web", login)
	login = s.login("app")
	rvOK(s, s.as("app", "/oauth/revoke", "token", login.str("refresh_token"))) // public: client_id alone
	rvEnded(s, "app", login)
}

// rvEnded fails the test unless the client's session ended by a logout.
func rvEnded(s *server, clientID string, a answer) {
	s.t.Helper()
	if got := rrFamily(s, rrSession(s, a)).RevokedCause; got != authz.CauseLogout {
		s.t.Errorf("revoked for %q, want %q", got, authz.CauseLogout)
	}
	rrExpect(s, s.refresh(clientID, a.str("refresh_token")), http.StatusBadRequest, "invalid_grant", "revoked")
	if rrActive(s, a.str("access_token")) {
		s.t.Error("the access token is still active, want inactive")
	}
}

func TestRV03_TokensThatAreNotGoodAnyMore(t *testing.T) {
	s := newServer(t)
	login := s.login("app")
	expired := ccToken(s, "robot").str("access_token")
	s.clock.Add(time.Hour)
	for client, tokens := range map[string][]string{
		"app": {
			"x", "chrt_", "chrt_AAAA", "a.b.c", "..", strings.Repeat("a", 20_000), login.str("refresh_token") + "A", login.str("access_token") + "A",
			login.str("refresh_token")[:60], "eyJhbGciOiJub25lIn0.e30.",
		},
		"robot": {expired, "x"},
	} {
		for _, token := range tokens {
			rvOK(s, s.as(client, "/oauth/revoke", "token", token))
		}
	}
	rvUntouched(s, "app", login)
	for range 2 { // a token that is revoked already
		rvOK(s, s.as("app", "/oauth/revoke", "token", login.str("refresh_token")))
	}
	// A session that the database no longer knows: another server's.
	rvOK(s, newServer(t).as("app", "/oauth/revoke", "token", login.str("refresh_token")))
}

// rvUntouched fails the test unless the session lives, without rotating it.
func rvUntouched(s *server, clientID string, a answer) {
	s.t.Helper()
	f := rrFamily(s, rrSession(s, a))
	if !f.RevokedAt.IsZero() || f.ClientID != clientID {
		s.t.Errorf("session of %s revoked at %v, want a live one of %s", f.ClientID, f.RevokedAt, clientID)
	}
}

func TestRV04_HintIsIgnored(t *testing.T) {
	for _, hint := range []string{"access_token", "refresh_token", "unknown", "\u00e4"} {
		for _, kind := range []string{"access_token", "refresh_token"} {
			s := newServer(t)
			login := s.login("app")
			rvOK(s, s.as("app", "/oauth/revoke", "token", login.str(kind), "token_type_hint", hint))
			rvEnded(s, "app", login)
		}
	}
}

func TestRV05_TokenOfAnotherClient(t *testing.T) {
	s := newServer(t)
	login := s.login("app")
	machine := ccToken(s, "robot").str("access_token")
	for _, token := range []string{login.str("refresh_token"), login.str("access_token"), machine} {
		a := s.as("web", "/oauth/revoke", "token", token)
		s.expect(a, http.StatusBadRequest, "invalid_grant")
		if a.str("cause") != "" {
			t.Errorf("cause = %q, want none for a stranger", a.str("cause"))
		}
		rvOK(s, s.as("app2", "/oauth/revoke", "token", token)) // public: not told either
	}
	if !rrActive(s, machine) {
		t.Error("the client's own token is inactive, want active")
	}
	rvLive(s, "app", login)
}

func TestRV06_RefreshTokenOfAnyGeneration(t *testing.T) {
	for _, generation := range []int{0, 1, 2, 3} {
		t.Run(fmt.Sprint(generation), func(t *testing.T) {
			s := newServer(t)
			last := s.login("app")
			tokens := []string{last.str("refresh_token")}
			for range 3 {
				last = s.refresh("app", last.str("refresh_token"))
				tokens = append(tokens, last.str("refresh_token"))
			}
			rvOK(s, s.as("app", "/oauth/revoke", "token", tokens[generation]))
			rvEnded(s, "app", last)
			sid := rrSession(s, last)
			if ended, reuse := len(rrEvents(s, authz.EventSessionEnded, sid)), len(rrEvents(s, authz.EventReuseDetected, sid)); ended != 1 || reuse != 0 {
				t.Errorf("%d session_ended and %d reuse_detected events, want 1 and 0: a logout is no attack", ended, reuse)
			}
		})
	}
	t.Run("newer than the row", func(t *testing.T) {
		s, sid, tokens := rrRestored(t, 3, 1)
		rvOK(s, s.as("app", "/oauth/revoke", "token", tokens[3]))
		if rrFamily(s, sid).RevokedAt.IsZero() {
			t.Error("the session lives, want it ended")
		}
	})
}

func TestRV06_OtherSessionsOfTheUserStay(t *testing.T) {
	s := newServer(t)
	one, two := s.login("app"), s.login("app")
	rvOK(s, s.as("app", "/oauth/revoke", "token", one.str("refresh_token")))
	rvLive(s, "app", two)
}

func TestRV07_AccessTokenOfAUserEndsTheSession(t *testing.T) {
	s := newServer(t)
	login := s.login("app")
	last := s.refresh("app", login.str("refresh_token"))
	s.clock.Add(time.Hour) // exp is ignored: the session is what is meant
	rvOK(s, s.as("app", "/oauth/revoke", "token", login.str("access_token")))
	rvEnded(s, "app", last)
}

func TestRV07_ClientTokenIsDeniedByItsID(t *testing.T) {
	s := newServer(t)
	revoked, other := ccToken(s, "robot").str("access_token"), ccToken(s, "robot").str("access_token")
	rvOK(s, s.as("robot", "/oauth/revoke", "token", revoked))
	if rrActive(s, revoked) {
		t.Error("the revoked token is active, want inactive")
	}
	if !rrActive(s, other) {
		t.Error("another token of the client is inactive, want active")
	}
	if events, err := s.store.ListEvents(t.Context(), authz.EventFilter{Kind: authz.EventTokenRevoked, Page: authz.Page{Limit: 10}}); err != nil || len(events) != 1 {
		t.Errorf("token_revoked events = %v, %v, want one", events, err)
	}
}

func TestRV07_ForeignSignatureRevokesNothing(t *testing.T) {
	s := newServer(t)
	login := s.login("app")
	payload, err := s.rotator.Ring.Verify(login.str("access_token"), "at+jwt")
	must(t, err)
	parts := strings.Split(login.str("access_token"), ".")
	forged := []string{parts[0] + "." + parts[1] + "." + rrFlip(parts[2][0]) + parts[2][1:]}
	for _, c := range []struct{ typ, iss string }{{"statuslist+jwt", issuer}, {"JWT", issuer}, {"at+jwt", "https://other-as.example"}} {
		var claims map[string]any
		must(t, json.Unmarshal(payload, &claims))
		claims["iss"] = c.iss
		changed, err := json.Marshal(claims)
		must(t, err)
		token, err := s.rotator.Ring.Sign("RS256", c.typ, changed)
		must(t, err)
		forged = append(forged, token)
	}
	for _, token := range forged {
		rvOK(s, s.as("app", "/oauth/revoke", "token", token))
	}
	rvLive(s, "app", login)
}

func TestRV08_EffectIsThereBeforeTheAnswer(t *testing.T) {
	s := newServer(t)
	first := s.login("app")
	last := s.refresh("app", first.str("refresh_token"))
	rvOK(s, s.as("app", "/oauth/revoke", "token", last.str("refresh_token")))
	rvEnded(s, "app", last)
	// Within the leeway too.
	rrExpect(s, s.refresh("app", first.str("refresh_token")), http.StatusBadRequest, "invalid_grant", "revoked")
	if rrActive(s, first.str("access_token")) {
		t.Error("an older access token of the session is active, want inactive")
	}
}

func TestRV09_BackendFailure(t *testing.T) {
	s := newServer(t)
	login, machine := s.login("app"), ccToken(s, "robot").str("access_token")
	s.store.SetDown(fmt.Errorf("connect: %w", authz.ErrUnavailable))
	for _, a := range []answer{
		s.as("app", "/oauth/revoke", "token", login.str("refresh_token")), s.as("app", "/oauth/revoke", "token", login.str("access_token")),
		s.as("robot", "/oauth/revoke", "token", machine),
	} {
		s.expect(a, http.StatusServiceUnavailable, "temporarily_unavailable")
		if a.Header.Get("Retry-After") == "" || strings.Contains(a.body, "connect") {
			t.Errorf("Retry-After = %q, body %s, want a time and no detail", a.Header.Get("Retry-After"), a.body)
		}
	}
	s.store.SetDown(nil)
	rvLive(s, "app", login)
}

func TestRV10_IdempotentAndSafeBesideRefreshes(t *testing.T) {
	s := newServer(t)
	login := s.login("app")
	sid, first := rrSession(s, login), login.str("refresh_token")
	token := first
	var wait sync.WaitGroup
	wait.Go(func() { // one client refreshes on and on, until its session ends
		for range 10_000 {
			a := s.refresh("app", token)
			if a.StatusCode != http.StatusOK {
				rrExpect(s, a, http.StatusBadRequest, "invalid_grant", "revoked")
				return
			}
			token = a.str("refresh_token")
		}
		t.Error("10,000 refreshes went on beside the revocation, want an end")
	})
	for range 5 {
		wait.Go(func() { rvOK(s, s.as("app", "/oauth/revoke", "token", first)) })
	}
	wait.Wait()
	rrExpect(s, s.refresh("app", token), http.StatusBadRequest, "invalid_grant", "revoked")
	if ended, reuse := len(rrEvents(s, authz.EventSessionEnded, sid)), len(rrEvents(s, authz.EventReuseDetected, sid)); ended != 1 || reuse != 0 {
		t.Errorf("%d session_ended and %d reuse_detected events, want 1 and 0", ended, reuse)
	}
}
