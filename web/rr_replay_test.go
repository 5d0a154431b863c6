package web_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"chancery/authz"

	"github.com/google/go-cmp/cmp"
)

func TestRR06_IdenticalSuccessor(t *testing.T) {
	s := newServer(t)
	login := s.login("app")
	sid, first := rrSession(s, login), login.str("refresh_token")
	rotated := s.refresh("app", first)
	rrExpect(s, rotated, http.StatusOK, "", "")
	for range 5 {
		s.clock.Add(5 * time.Second)
		var a answer
		// Any number of times, and nothing is written: no device, no last use.
		calls := rrCalls(s, func() { rrUntouched(s, sid, func() { a = s.refresh("app", first) }) })
		rrExpect(s, a, http.StatusOK, "", "concurrent")
		if a.str("refresh_token") != rotated.str("refresh_token") {
			t.Error("a replay returned another successor")
		}
		if a.str("access_token") == rotated.str("access_token") {
			t.Error("a replay returned the old access token, want a fresh one")
		}
		if calls["Forgive"] != 0 || calls["Restore"] != 0 || calls["EndSessions"] != 0 {
			t.Errorf("a replay within the leeway calls %v, want no write", calls)
		}
	}
	rrRefresh(s, "app", rotated.str("refresh_token"), "")
}

func TestRR06_ReplayWritesNoDevice(t *testing.T) {
	s := newServer(t)
	login := s.login("app")
	first := login.str("refresh_token")
	send := func(agent string) {
		r := s.form("/oauth/token", "grant_type", "refresh_token", "client_id", "app", "refresh_token", first)
		r.Header.Set("User-Agent", agent)
		rrExpect(s, s.do(r), http.StatusOK, "", map[string]string{"two": "concurrent"}[agent])
	}
	send("one")
	send("two")
	if got := rrFamily(s, rrSession(s, login)).Device.UserAgent; got != "one" {
		t.Errorf("user agent = %q after a replay, want that of the rotation, one", got)
	}
}

func TestRR06_WindowsAndTheirEnds(t *testing.T) {
	cases := []struct {
		name   string
		after  time.Duration
		status int
		code   string
		cause  string
	}{
		{"at once", 0, http.StatusOK, "", "concurrent"},
		{"last of the leeway", 30*time.Second - time.Millisecond, http.StatusOK, "", "concurrent"},
		{"end of the leeway", 30 * time.Second, http.StatusOK, "", "lost_response"},
		{"last of the window", 10*time.Minute - time.Millisecond, http.StatusOK, "", "lost_response"},
		{"end of the window", 10 * time.Minute, http.StatusBadRequest, "invalid_grant", "reuse_detected"},
		{"next day", 24 * time.Hour, http.StatusBadRequest, "invalid_grant", "reuse_detected"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			first := s.login("app").str("refresh_token")
			successor := rrRefresh(s, "app", first, "")
			s.clock.Add(c.after)
			a := s.refresh("app", first)
			rrExpect(s, a, c.status, c.code, c.cause)
			if c.code == "" && a.str("refresh_token") != successor {
				t.Error("a replay returned another successor")
			}
		})
	}
}

func TestRR06_LateReplayEndsTheSession(t *testing.T) {
	s := newServer(t)
	first := s.login("app").str("refresh_token")
	last := s.refresh("app", first)
	s.clock.Add(10 * time.Minute)
	rrExpect(s, s.refresh("app", first), http.StatusBadRequest, "invalid_grant", "reuse_detected")
	rrEnded(s, rrSession(s, last), authz.CauseReuse, last)
}

func TestRR06_WindowsDoNotSlide(t *testing.T) {
	s := newServer(t)
	first := s.login("app").str("refresh_token")
	rrRefresh(s, "app", first, "")
	for _, step := range []struct {
		wait  time.Duration
		cause string
	}{
		{29 * time.Second, "concurrent"}, {2 * time.Second, "lost_response"}, {25 * time.Second, "lost_response"}, {9 * time.Minute, "lost_response"},
	} {
		s.clock.Add(step.wait)
		rrRefresh(s, "app", first, step.cause)
	}
	s.clock.Add(4 * time.Second) // 10 minutes after the rotation, 4 s after the last replay
	rrExpect(s, s.refresh("app", first), http.StatusBadRequest, "invalid_grant", "reuse_detected")
}

// rrLose rotates token, loses the answer, retries after a minute, and returns
// the answer of the retry.
func rrLose(s *server, token string) answer {
	s.t.Helper()
	rrRefresh(s, "app", token, "")
	rrAdvance(s, time.Minute)
	return s.refresh("app", token)
}

func TestRR06_BudgetOfLostResponses(t *testing.T) {
	s := newServer(t)
	login := s.login("app")
	sid, token := rrSession(s, login), login.str("refresh_token")
	for generation := range 3 {
		a := rrLose(s, token)
		rrExpect(s, a, http.StatusOK, "", "lost_response")
		for range 10 { // further retries of a forgiven generation cost nothing
			rrUntouched(s, sid, func() { rrRefresh(s, "app", token, "lost_response") })
		}
		token = a.str("refresh_token")
		if got := rrFamily(s, sid).LostCount; got != generation+1 {
			t.Errorf("lost count = %d, want %d", got, generation+1)
		}
	}
	if got := len(rrEvents(s, authz.EventLostResponse, sid)); got != 3 {
		t.Errorf("%d lost_response events, want 3", got)
	}
	rrExpect(s, rrLose(s, token), http.StatusBadRequest, "invalid_grant", "reuse_detected")
	if rrFamily(s, sid).RevokedAt.IsZero() {
		t.Error("the fourth lost generation left the session alive")
	}
}

func TestRR06_LeewayCostsNoBudget(t *testing.T) {
	s := newServer(t)
	login := s.login("app")
	token := login.str("refresh_token")
	for range 10 {
		next := rrRefresh(s, "app", token, "")
		rrRefresh(s, "app", token, "concurrent")
		token = next
	}
	if got := rrFamily(s, rrSession(s, login)).LostCount; got != 0 {
		t.Errorf("lost count = %d after replays within the leeway, want 0", got)
	}
	rrExpect(s, rrLose(s, token), http.StatusOK, "", "lost_response")
}

func TestRR06_BudgetIsPerDayFromTheFirst(t *testing.T) {
	s := newServer(t)
	login := s.login("app")
	token := login.str("refresh_token")
	for range 3 {
		a := rrLose(s, token)
		rrExpect(s, a, http.StatusOK, "", "lost_response")
		token = a.str("refresh_token")
	}
	// Minutes 1, 2 and 3 were forgiven; the day ends at 24 h and 1 minute.
	rrAdvance(s, 24*time.Hour-3*time.Minute)
	a := rrLose(s, token)
	rrExpect(s, a, http.StatusOK, "", "lost_response")
	if got := rrFamily(s, rrSession(s, login)); got.LostCount != 1 || !got.LostSince.Equal(s.clock.Now()) {
		t.Errorf("lost = %d since %v, want 1 since %v", got.LostCount, got.LostSince, s.clock.Now())
	}
}

func TestRR06_BudgetIsNotRenewedBeforeTheDayIsOver(t *testing.T) {
	s := newServer(t)
	token := s.login("app").str("refresh_token")
	for range 3 {
		token = rrLose(s, token).str("refresh_token")
	}
	rrAdvance(s, 24*time.Hour-3*time.Minute-time.Millisecond)
	rrExpect(s, rrLose(s, token), http.StatusBadRequest, "invalid_grant", "reuse_detected")
}

func TestRR06_ParallelRetriesOfALostAnswerAreForgivenOnce(t *testing.T) {
	s := newServer(t)
	login := s.login("app")
	sid, first := rrSession(s, login), login.str("refresh_token")
	successor := rrRefresh(s, "app", first, "")
	s.clock.Add(time.Minute)
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() {
			a := s.refresh("app", first)
			rrExpect(s, a, http.StatusOK, "", "lost_response")
			if a.str("refresh_token") != successor {
				t.Error("a replay returned another successor")
			}
		})
	}
	wait.Wait()
	if f := rrFamily(s, sid); f.LostCount != 1 || f.LostGeneration != 1 || f.Generation != 1 {
		t.Errorf("lost %d, generation %d of %d, want 1, 1 of 1", f.LostCount, f.LostGeneration, f.Generation)
	}
	if got := len(rrEvents(s, authz.EventLostResponse, sid)); got != 1 {
		t.Errorf("%d lost_response events, want 1", got)
	}
}

func TestRR06_ClientOverrides(t *testing.T) {
	none, one, leeway, window := time.Duration(0), 1, 2*time.Minute, 20*time.Minute
	zero := 0
	cases := []struct {
		name      string
		overrides authz.RefreshOverrides
		after     time.Duration
		cause     string
	}{
		{"longer leeway", authz.RefreshOverrides{Leeway: &leeway}, 119 * time.Second, "concurrent"},
		{"end of longer leeway", authz.RefreshOverrides{Leeway: &leeway}, 120 * time.Second, "lost_response"},
		{"no leeway", authz.RefreshOverrides{Leeway: &none}, 0, "lost_response"},
		{"longer window", authz.RefreshOverrides{LostResponseWindow: &window}, 19 * time.Minute, "lost_response"},
		{"no window", authz.RefreshOverrides{Leeway: &none, LostResponseWindow: &none}, 0, "reuse_detected"},
		{"no budget", authz.RefreshOverrides{LostResponseBudget: &zero}, time.Minute, "reuse_detected"},
		{"no budget within the leeway", authz.RefreshOverrides{LostResponseBudget: &zero}, 29 * time.Second, "concurrent"},
		{"budget of one", authz.RefreshOverrides{LostResponseBudget: &one}, time.Minute, "lost_response"},
		{"other client's leeway", authz.RefreshOverrides{}, 119 * time.Second, "lost_response"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			s.updateClient("app", func(client *authz.Client) { client.Refresh = c.overrides })
			s.updateClient("app2", func(client *authz.Client) { client.Refresh.Leeway = &leeway })
			first := s.login("app").str("refresh_token")
			rrRefresh(s, "app", first, "")
			s.clock.Add(c.after)
			a := s.refresh("app", first)
			if got := a.str("cause"); got != c.cause || (a.StatusCode == http.StatusOK) == (c.cause == "reuse_detected") {
				t.Errorf("answer = %d %s, want cause %q", a.StatusCode, a.body, c.cause)
			}
		})
	}
}

func TestRR06_OverriddenLifetimes(t *testing.T) {
	s := newServer(t)
	idle, absolute := 20*time.Minute, 30*time.Minute
	s.updateClient("app", func(c *authz.Client) { c.Refresh.IdleTTL, c.Refresh.AbsoluteTTL = &idle, &absolute })
	ours, other := s.login("app").str("refresh_token"), s.login("app2").str("refresh_token")
	s.clock.Add(20 * time.Minute)
	rrExpect(s, s.refresh("app", ours), http.StatusBadRequest, "invalid_grant", "expired_idle")
	rrRefresh(s, "app2", other, "")
}

// rrRestored returns a server whose database is a backup of another's: it
// holds the session as it was some generations ago. token is the newest.
func rrRestored(t *testing.T, rotations, generation uint64) (s *server, sid string, tokens []string) {
	t.Helper()
	before := newServer(t)
	login := before.login("app")
	sid, tokens = rrSession(before, login), []string{login.str("refresh_token")}
	for i := range rotations {
		tokens = append(tokens, rrRefresh(before, "app", tokens[i], ""))
	}
	s = newServer(t)
	user, err := s.store.UserByName(t.Context(), username)
	must(t, err)
	family := rrFamily(before, sid)
	family.Generation, family.UserID = generation, user.ID
	must(t, s.store.InsertFamily(t.Context(), family, user.AuthEpoch))
	return s, sid, tokens
}

func TestRR06_RowThatWentBackIsRestored(t *testing.T) {
	s, sid, tokens := rrRestored(t, 5, 2)
	a := s.refresh("app", tokens[4])
	rrExpect(s, a, http.StatusOK, "", "restored")
	if a.str("refresh_token") != tokens[5] {
		t.Error("the successor differs from the one before the backup was restored")
	}
	if got := rrFamily(s, sid); got.Generation != 5 || !got.RotatedAt.Equal(s.clock.Now()) {
		t.Errorf("generation %d rotated at %v, want 5 at %v", got.Generation, got.RotatedAt, s.clock.Now())
	}
	if got := len(rrEvents(s, authz.EventSessionRestored, sid)); got != 1 {
		t.Errorf("%d session_restored events, want 1", got)
	}
	// From here on it is a session like any other.
	rrRefresh(s, "app", tokens[4], "concurrent")
	rrRefresh(s, "app", tokens[5], "")
	rrExpect(s, s.refresh("app", tokens[4]), http.StatusBadRequest, "invalid_grant", "reuse_detected")
}

func TestRR06_RestoreHappensOnceAmongParallelRequests(t *testing.T) {
	s, sid, tokens := rrRestored(t, 4, 0)
	var mu sync.Mutex
	var wait sync.WaitGroup
	causes := map[string]int{}
	for range 50 {
		wait.Go(func() {
			a := s.refresh("app", tokens[3])
			mu.Lock()
			defer mu.Unlock()
			causes[a.str("cause")]++
			if a.str("refresh_token") != tokens[4] {
				t.Errorf("answer = %d %s, want the one successor", a.StatusCode, a.body)
			}
		})
	}
	wait.Wait()
	if want := map[string]int{"restored": 1, "concurrent": 49}; !cmp.Equal(causes, want) {
		t.Errorf("causes = %v, want %v", causes, want)
	}
	if got := len(rrEvents(s, authz.EventSessionRestored, sid)); got != 1 {
		t.Errorf("%d session_restored events, want 1", got)
	}
}

func TestRR06_RestoreNeverRevivesASession(t *testing.T) {
	s, sid, tokens := rrRestored(t, 4, 1)
	s.expect(s.as("app", "/oauth/revoke", "token", tokens[0]), http.StatusOK, "")
	rrExpect(s, s.refresh("app", tokens[4]), http.StatusBadRequest, "invalid_grant", "revoked")
	if got := rrFamily(s, sid).Generation; got != 1 {
		t.Errorf("generation = %d, want the 1 that it had", got)
	}
}

func TestRR06_RestoreIsRefusedWithAScopeTooWide(t *testing.T) {
	s, sid, tokens := rrRestored(t, 4, 1)
	rrUntouched(s, sid, func() {
		rrExpect(s, s.refresh("app", tokens[4], "scope", "read manage"), http.StatusBadRequest, "invalid_scope", "")
		rrExpect(s, s.refresh("app2", tokens[4]), http.StatusBadRequest, "invalid_grant", "")
	})
}
