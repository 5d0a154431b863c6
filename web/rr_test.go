package web_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"chancery/authz"

	"github.com/google/go-cmp/cmp"
)

// rrExpect fails the test unless the answer has the status, error code and
// cause. An empty code or cause must be absent.
func rrExpect(s *server, a answer, status int, code, cause string) {
	s.t.Helper()
	if a.StatusCode != status || a.str("error") != code || a.str("cause") != cause {
		s.t.Errorf("answer = %d %s, want %d with error %q and cause %q", a.StatusCode, a.body, status, code, cause)
	}
}

// rrRefresh refreshes, which must succeed with the cause, and returns the
// successor.
func rrRefresh(s *server, clientID, token, cause string) string {
	s.t.Helper()
	a := s.refresh(clientID, token)
	rrExpect(s, a, http.StatusOK, "", cause)
	if s.t.Failed() {
		s.t.FailNow() // the rest of a history makes no sense without its token
	}
	return a.str("refresh_token")
}

// rrSession returns the session that an answer's access token belongs to.
func rrSession(s *server, a answer) string {
	s.t.Helper()
	sid, _ := s.claims(a.str("access_token"))["sid"].(string)
	if sid == "" {
		s.t.Fatalf("answer %s has no sid", a.body)
	}
	return sid
}

// rrFamily returns the stored row of a session.
func rrFamily(s *server, sid string) authz.Family {
	s.t.Helper()
	family, err := s.store.FamilyBySession(s.t.Context(), sid)
	must(s.t, err)
	return family
}

// rrEvents returns the events of the kind that the session has.
func rrEvents(s *server, kind authz.EventKind, sid string) []authz.Event {
	s.t.Helper()
	events, err := s.store.ListEvents(s.t.Context(), authz.EventFilter{Kind: kind, SessionID: sid, Page: authz.Page{Limit: 1000}})
	must(s.t, err)
	return events
}

// rrAdvance moves the clock and loads the keys anew, as a running node does.
func rrAdvance(s *server, d time.Duration) {
	s.t.Helper()
	s.clock.Add(d)
	must(s.t, s.rotator.Tick(s.t.Context()))
}

// rrCalls returns which store methods do called, and how often.
func rrCalls(s *server, do func()) map[string]int {
	before := maps.Clone(s.store.Calls)
	do()
	made := map[string]int{}
	for method, n := range s.store.Calls {
		if n != before[method] {
			made[method] = n - before[method]
		}
	}
	return made
}

// rrUntouched fails the test if do changes the row of the session.
func rrUntouched(s *server, sid string, do func()) {
	s.t.Helper()
	before := rrFamily(s, sid)
	do()
	if diff := cmp.Diff(before, rrFamily(s, sid)); diff != "" {
		s.t.Errorf("the row changed (-before +after):\n%s", diff)
	}
}

// rrActive reports whether the access token is active by introspection.
func rrActive(s *server, accessToken string) bool {
	s.t.Helper()
	a := s.as("api", "/oauth/introspect", "token", accessToken)
	s.expect(a, http.StatusOK, "")
	active, ok := a.json["active"].(bool)
	if !ok {
		s.t.Errorf("introspection = %s, want a member active", a.body)
	}
	return active
}

func rrRaw(t testing.TB, token string) []byte {
	t.Helper()
	encoded, ok := strings.CutPrefix(token, "chrt_")
	if !ok {
		t.Fatalf("refresh token does not begin with chrt_")
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	must(t, err)
	return raw
}

func TestRR01_TokenIsOpaqueAndItsHandleIsNotStored(t *testing.T) {
	s := newServer(t)
	login := s.login("app")
	raw := rrRaw(t, login.str("refresh_token"))
	if len(raw) != 1+1+32+1+16 || raw[0] != 1 || raw[1] != 7 || raw[34] != 0 {
		t.Fatalf("token = version %d, key %d, generation %d in %d bytes, want 1, 7, 0 in 51", raw[0], raw[1], raw[34], len(raw))
	}
	handle := raw[2:34]
	family := rrFamily(s, rrSession(s, login))
	if got, want := family.HandleHash, authz.Hash(sha256.Sum256(handle)); got != want {
		t.Errorf("stored hash = %x, want SHA-256 of the handle %x", got, want)
	}
	// A stolen database makes no token: the row holds neither spelling.
	row := fmt.Sprintf("%+v %x", family, family)
	for _, leak := range []string{fmt.Sprintf("%x", handle), string(handle), login.str("refresh_token"), fmt.Sprintf("%d", handle)} {
		if strings.Contains(row, leak) {
			t.Errorf("the row shows the handle or the token")
		}
	}
	if other := rrRaw(t, s.login("app").str("refresh_token")); cmp.Equal(other[2:34], handle) {
		t.Error("two logins have the same handle")
	}
}

func TestRR01_BadMACMakesNoStoreCall(t *testing.T) {
	s := newServer(t)
	token := rrRefresh(s, "app", s.login("app").str("refresh_token"), "") // the client is cached now
	for name, bad := range map[string]string{
		"tag": token[:len(token)-2] + rrFlip(token[len(token)-2]) + token[len(token)-1:], "handle": token[:20] + rrFlip(token[20]) + token[21:], "prefix": "chrt" + token[5:],
		"garbage": "x", "short": "chrt_AAAA", "long": "chrt_" + strings.Repeat("A", 9000), "access token": s.login("app").str("access_token"),
	} {
		before := s.store.CallCount()
		rrExpect(s, s.refresh("app", bad), http.StatusBadRequest, "invalid_grant", "")
		if n := s.store.CallCount() - before; n != 0 {
			t.Errorf("%s: %d store calls, want none", name, n)
		}
	}
	rrRefresh(s, "app", token, "")
}

// rrFlip returns another base64url character.
func rrFlip(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

func TestRR02_EveryRefreshRotates(t *testing.T) {
	for _, client := range []string{"app", "web"} {
		s := newServer(t)
		login := s.login(client)
		token, seen := login.str("refresh_token"), map[string]bool{}
		for i := range 5 {
			seen[token] = true
			token = rrRefresh(s, client, token, "")
			if seen[token] {
				t.Errorf("%s: refresh %d returned a token that was there before", client, i)
			}
		}
		if got := rrFamily(s, rrSession(s, login)).Generation; got != 5 {
			t.Errorf("%s: generation = %d, want 5", client, got)
		}
	}
}

func TestRR03_WrongClientIsRefusedNotConsumedAndAudited(t *testing.T) {
	s := newServer(t)
	login := s.login("app")
	sid, token := rrSession(s, login), login.str("refresh_token")
	rrUntouched(s, sid, func() {
		for range 3 {
			for _, thief := range []string{"app2", "web", "plain"} {
				// No cause: a client that does not fit is told nothing.
				rrExpect(s, s.refresh(thief, token), http.StatusBadRequest, "invalid_grant", "")
				rrExpect(s, s.refresh(thief, token, "scope", "read"), http.StatusBadRequest, "invalid_grant", "")
			}
			s.clock.Add(time.Minute)
		}
	})
	if got := len(rrEvents(s, authz.EventWrongClient, sid)); got != 1 {
		t.Errorf("%d wrong_client events within an hour, want 1", got)
	}
	s.clock.Add(time.Hour)
	rrExpect(s, s.refresh("app2", token), http.StatusBadRequest, "invalid_grant", "")
	if got := len(rrEvents(s, authz.EventWrongClient, sid)); got != 2 {
		t.Errorf("%d wrong_client events after an hour, want 2", got)
	}
	rrRefresh(s, "app", token, "")
}

func TestRR03_WrongClientWithAnOldTokenDoesNotEndTheSession(t *testing.T) {
	s := newServer(t)
	old := s.login("app").str("refresh_token")
	live := rrRefresh(s, "app", rrRefresh(s, "app", old, ""), "")
	rrExpect(s, s.refresh("app2", old), http.StatusBadRequest, "invalid_grant", "")
	rrRefresh(s, "app", live, "")
}

func TestRR04_TwoHundredParallelRefreshesMakeOneStep(t *testing.T) {
	const n = 200
	s := newServer(t)
	login := s.login("app")
	answers := make([]answer, n)
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() { answers[i] = s.refresh("app", login.str("refresh_token")) })
	}
	wait.Wait()
	successors, causes := map[string]int{}, map[string]int{}
	for _, a := range answers {
		s.expect(a, http.StatusOK, "")
		successors[a.str("refresh_token")]++
		causes[a.str("cause")]++
	}
	if len(successors) != 1 {
		t.Errorf("%d distinct successors, want 1", len(successors))
	}
	if want := map[string]int{"": 1, "concurrent": n - 1}; !cmp.Equal(causes, want) {
		t.Errorf("causes = %v, want %v", causes, want)
	}
	if got := rrFamily(s, rrSession(s, login)).Generation; got != 1 {
		t.Errorf("generation = %d, want 1", got)
	}
	rrRefresh(s, "app", answers[0].str("refresh_token"), "")
}

func TestRR04_HotRefreshIsOneStoreCall(t *testing.T) {
	s := newServer(t)
	token := rrRefresh(s, "app", s.login("app").str("refresh_token"), "")
	calls := rrCalls(s, func() { token = rrRefresh(s, "app", token, "") })
	if want := map[string]int{"Rotate": 1}; !cmp.Equal(calls, want) {
		t.Errorf("a refresh without scope and resource calls %v, want %v", calls, want)
	}
	calls = rrCalls(s, func() { s.expect(s.refresh("app", token, "scope", "read"), http.StatusOK, "") })
	if want := map[string]int{"FamilyByHandle": 1, "Rotate": 1}; !cmp.Equal(calls, want) {
		t.Errorf("a refresh with scope calls %v, want %v", calls, want)
	}
}

func TestRR05_GrandparentIsReuseAndEndsTheSession(t *testing.T) {
	s := newServer(t)
	login := s.login("app")
	sid, first := rrSession(s, login), login.str("refresh_token")
	last := s.refresh("app", rrRefresh(s, "app", first, ""))
	if !rrActive(s, last.str("access_token")) {
		t.Error("the access token is inactive before the reuse, want active")
	}
	// Within the leeway of the newest rotation: d = 2 is never forgiven.
	rrExpect(s, s.refresh("app", first), http.StatusBadRequest, "invalid_grant", "reuse_detected")
	rrEnded(s, sid, authz.CauseReuse, last)
	events := rrEvents(s, authz.EventReuseDetected, sid)
	if len(events) != 1 || events[0].ClientID != "app" || events[0].Cause != authz.CauseReuse {
		t.Errorf("reuse events = %+v, want one of client app", events)
	}
}

// rrEnded fails the test unless the session ended for the cause and nothing of
// it works any more.
func rrEnded(s *server, sid string, cause authz.Cause, last answer) {
	s.t.Helper()
	if f := rrFamily(s, sid); f.RevokedAt.IsZero() || f.RevokedCause != cause {
		s.t.Errorf("row = revoked at %v for %q, want revoked for %q", f.RevokedAt, f.RevokedCause, cause)
	}
	rrExpect(s, s.refresh("app", last.str("refresh_token")), http.StatusBadRequest, "invalid_grant", "revoked")
	if rrActive(s, last.str("access_token")) {
		s.t.Error("the access token is still active, want inactive")
	}
}

func TestRR05_ReuseTellsTheLogItsCause(t *testing.T) {
	s := newServer(t)
	first := s.login("app").str("refresh_token")
	rrRefresh(s, "app", rrRefresh(s, "app", first, ""), "")
	s.refresh("app", first)
	if !strings.Contains(s.log.String(), `"cause":"reuse_detected"`) {
		t.Error("no log line has the cause reuse_detected")
	}
}

func TestRR07_RefusedRequestConsumesNothing(t *testing.T) {
	s := newServer(t)
	login := s.login("web", "scope", "read write")
	sid, token := rrSession(s, login), login.str("refresh_token")
	wrongSecret := func(pairs ...string) answer {
		r := s.form("/oauth/token", append([]string{"grant_type", "refresh_token", "refresh_token", token}, pairs...)...)
		r.SetBasicAuth("web", "chcs_wrong")
		return s.do(r)
	}
	cases := []struct {
		name string
		send func() answer
		code string
	}{
		{"wrong secret", func() answer { return wrongSecret() }, "invalid_client"},
		{"no secret", func() answer {
			return s.post("/oauth/token", "grant_type", "refresh_token", "refresh_token", token, "client_id", "web")
		}, "invalid_client"},
		{"malformed scope", func() answer { return s.refresh("web", token, "scope", "read  write") }, "invalid_scope"},
		{"wider scope", func() answer { return s.refresh("web", token, "scope", "read other") }, "invalid_scope"},
		{"malformed resource", func() answer { return s.refresh("web", token, "resource", "api") }, "invalid_target"},
		{"two resources", func() answer { return s.refresh("web", token, "resource", apiURI, "resource", otherURI) }, "invalid_target"},
		{"resource outside the grant", func() answer { return s.refresh("web", token, "resource", otherURI) }, "invalid_target"},
		{"unknown resource", func() answer { return s.refresh("web", token, "resource", "https://evil.example") }, "invalid_target"},
		{"repeated parameter", func() answer { return s.refresh("web", token, "scope", "read", "scope", "read") }, "invalid_request"},
		{"control character", func() answer { return s.refresh("web", token, "scope", "re\x00ad") }, "invalid_request"},
		{"other grant", func() answer { return s.as("web", "/oauth/token", "grant_type", "none", "refresh_token", token) }, "unsupported_grant_type"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			rrUntouched(s, sid, func() {
				if a := c.send(); a.StatusCode < 400 || a.str("error") != c.code {
					t.Errorf("answer = %d %s, want error %q", a.StatusCode, a.body, c.code)
				}
			})
		})
	}
	rrRefresh(s, "web", token, "")
}

func TestRR07_RequestThatWaitedTooLongTouchesNoFamily(t *testing.T) {
	for _, c := range []struct {
		waited time.Duration
		status int
		code   string
	}{{10 * time.Second, http.StatusOK, ""}, {10*time.Second + time.Millisecond, http.StatusServiceUnavailable, "temporarily_unavailable"}} {
		s := newServer(t)
		login := s.login("app")
		r := s.form("/oauth/token", "grant_type", "refresh_token", "client_id", "app", "refresh_token", login.str("refresh_token"))
		r.Body = io.NopCloser(&rrSlowBody{Reader: r.Body, wait: func() { s.clock.Add(c.waited) }})
		var a answer
		calls := rrCalls(s, func() { a = s.do(r) })
		rrExpect(s, a, c.status, c.code, "")
		if refused := c.code != ""; refused && (len(calls) != 0 || a.Header.Get("Retry-After") == "") {
			t.Errorf("waited %s: store calls %v, Retry-After %q, want none and a time", c.waited, calls, a.Header.Get("Retry-After"))
		}
		if got, want := rrFamily(s, rrSession(s, login)).Generation, uint64(calls["Rotate"]); got != want || (c.code == "") != (got == 1) {
			t.Errorf("waited %s: generation = %d after %d rotations", c.waited, got, want)
		}
	}
}

// rrSlowBody is a body that takes its time before its first byte.
type rrSlowBody struct {
	io.Reader
	wait func()
	once sync.Once
}

func (b *rrSlowBody) Read(p []byte) (int, error) {
	b.once.Do(b.wait)
	return b.Reader.Read(p)
}

func TestRR07_MissingTokenIsAnInvalidRequest(t *testing.T) {
	s := newServer(t)
	s.expect(s.as("app", "/oauth/token", "grant_type", "refresh_token"), http.StatusBadRequest, "invalid_request")
	s.expect(s.refresh("app", ""), http.StatusBadRequest, "invalid_request")
}
