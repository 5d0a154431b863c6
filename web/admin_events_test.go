package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"chancery/authz"
)

// fillEvents stores events at one time: as many of each kind.
func (s *server) fillEvents(n int, kinds ...authz.EventKind) {
	s.t.Helper()
	for i := range n {
		for _, kind := range kinds {
			event := authz.NewEvent(kind, s.clock.Now())
			event.UserID, event.ClientID, event.Detail = fmt.Sprint("usr_", i%2), "app", "<&>\u2028"
			must(s.t, s.store.AppendEvents(s.t.Context(), []authz.Event{event}))
		}
	}
}

// exported reads an export of the running server to its end.
func exported(t *testing.T, base, token, query string) (lines []string, err error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/admin/v1/events/export"+query, nil)
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "application/jsonl" || response.Header.Get("Cache-Control") != "no-store" ||
		!strings.HasPrefix(response.Header.Get("Content-Disposition"), "attachment") {
		body, _ := io.ReadAll(response.Body)
		t.Errorf("export %s = %d %v %s", query, response.StatusCode, response.Header, body)
	}
	scanner := bufio.NewScanner(response.Body)
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
	}
	return lines, scanner.Err()
}

// An export holds all that fit, newest first, over several batches.
func TestAdminExport(t *testing.T) {
	s := adminServer(t)
	running := httptest.NewServer(s.handler)
	t.Cleanup(running.Close)
	s.fillEvents(1100, authz.EventThrottled, authz.EventTokenRevoked)
	token := s.bossToken()
	begin := s.clock.Now().Format(time.RFC3339)
	s.clock.Add(time.Minute)
	s.fillEvents(3, authz.EventThrottled)
	later := s.clock.Now().Format(time.RFC3339)
	for query, want := range map[string]int{
		"?kind=throttled": 1103, "?kind=token_revoked": 1100, "?kind=throttled&user_id=usr_0": 552, "?user_id=usr_1&kind=token_revoked&client_id=app": 550,
		"?kind=throttled&client_id=other": 0, "?kind=throttled&from=" + later: 3, "?kind=throttled&until=" + later: 1100, "?kind=throttled&from=" + begin + "&until=" + begin: 0,
		"?kind=key_created": 0, "?client_id=app": 2204, "?actor=nobody": 0, "?target=nothing&kind=throttled": 0, "?session_id=nothing": 0,
	} {
		lines, err := exported(t, running.URL, token, query)
		if err != nil || len(lines) != want {
			t.Errorf("export %s = %d lines, %v, want %d", query, len(lines), err, want)
		}
		seen, last := map[string]bool{}, ""
		for _, line := range lines {
			var event struct {
				ID, Detail string
				Time       time.Time
			}
			if err := json.Unmarshal([]byte(line), &event); err != nil || seen[event.ID] || strings.Contains(line, `\u003c`) {
				t.Fatalf("line %q: %v, seen before: %t", line, err, seen[event.ID])
			}
			at := event.Time.UTC().Format(time.RFC3339Nano)
			if last != "" && at > last {
				t.Errorf("%s comes after %s, want the newest first", at, last)
			}
			seen[event.ID], last = true, at
		}
	}
}

// failingEvents is a store of events that fails after some batches.
type failingEvents struct {
	authz.EventStore
	left int
	err  error
}

func (f *failingEvents) ListEvents(ctx context.Context, filter authz.EventFilter) ([]authz.Event, error) {
	if f.left--; f.left < 0 {
		return nil, f.err
	}
	return f.EventStore.ListEvents(ctx, filter)
}

// An export that breaks off cannot be taken for the whole.
func TestAdminExportBreaksOff(t *testing.T) {
	s := adminServer(t)
	running := httptest.NewServer(s.handler)
	t.Cleanup(running.Close)
	s.fillEvents(1300, authz.EventThrottled)
	token := s.bossToken()
	s.admin.Events.Store = &failingEvents{s.store, 2, errors.New("hidden text")}
	lines, err := exported(t, running.URL, token, "?kind=throttled")
	if err == nil || len(lines) < 500 || len(lines) > 1000 {
		t.Errorf("export that broke off = %d lines, %v, want an error after two batches", len(lines), err)
	}
	if strings.Contains(strings.Join(lines, ""), "hidden") {
		t.Error("the export tells of the fault")
	}
	// Nothing is lost that could be told in time.
	for failure, status := range map[error]int{authz.ErrUnavailable: 503, errors.New("hidden text"): 500} {
		s.admin.Events.Store = &failingEvents{s.store, 0, failure}
		a := s.admins(token, http.MethodGet, "/events/export", "")
		if a.StatusCode != status || strings.Contains(a.body, "hidden") || a.Header.Get("Content-Type") != "application/problem+json" || a.Header.Get("Content-Disposition") != "" {
			t.Errorf("export of a store that fails = %d %v %s, want %d", a.StatusCode, a.Header, a.body, status)
		}
	}
}

// slowEvents is a store of events that takes its time for the second batch.
type slowEvents struct {
	authz.EventStore
	lists int
}

func (s *slowEvents) ListEvents(ctx context.Context, filter authz.EventFilter) ([]authz.Event, error) {
	if s.lists++; s.lists == 2 {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(250 * time.Millisecond): // long after the server's limits
		}
	}
	return s.EventStore.ListEvents(ctx, filter)
}

// An export may take longer than the server gives other requests.
func TestAdminExportTakesLonger(t *testing.T) {
	s := adminServer(t)
	running := httptest.NewUnstartedServer(s.handler)
	running.Config.ReadTimeout, running.Config.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond
	running.Start()
	t.Cleanup(running.Close)
	s.fillEvents(1100, authz.EventThrottled)
	token := s.bossToken()
	s.admin.Events.Store = &slowEvents{EventStore: s.store}
	if lines, err := exported(t, running.URL, token, "?kind=throttled"); err != nil || len(lines) != 1100 {
		t.Errorf("export = %d lines, %v, want 1100", len(lines), err)
	}
}

// A search for what no index selects goes on after its window, and finds what
// lies beyond it.
func TestAdminSessionsBeyondTheWindow(t *testing.T) {
	s := adminServer(t)
	token := s.bossToken()
	user, err := s.store.UserByName(t.Context(), username)
	must(t, err)
	const many = 5_100
	for i := range many {
		f := authz.Family{
			SessionID: fmt.Sprintf("s%05d", i), HandleHash: authz.HashSecret(authz.Secret(fmt.Sprint("handle", i))), UserID: user.ID, ClientID: "app",
			CreatedAt: s.clock.Now(), RotatedAt: s.clock.Now(), IdleExpiresAt: s.clock.Now().Add(time.Hour), AbsoluteExpiresAt: s.clock.Now().Add(time.Hour),
			Device: authz.Device{Address: "192.0.2.1"},
		}
		if i == 3 || i == many-3 {
			f.Device.Address = "2001:db8::7"
		}
		must(t, s.store.InsertFamily(t.Context(), f, user.AuthEpoch))
	}
	for _, address := range []string{"2001:DB8:0::7", "2001:db8:0:0::/64"} {
		empty := 0
		got := s.pages(token, "/sessions?address="+address, 5, "sid", func(int) { empty++ })
		if fmt.Sprint(got) != fmt.Sprintf("[s%05d s00003]", many-3) || empty < 1 || empty > 3 {
			t.Errorf("sessions at %s = %v over %d pages, want both", address, got, empty)
		}
	}
	for _, address := range []string{"2001:db8::8", "192.0.2.1/24"} {
		if got := s.pages(token, "/sessions?address="+address, 500, "sid", func(int) {}); len(got) != 0 {
			t.Errorf("sessions at %s = %d, want none", address, len(got))
		}
	}
}

// Sessions are found by what they are, with their devices, and ended.
func TestAdminSessions(t *testing.T) {
	s := adminServer(t, func(o *options) { o.refresh.IdleTTL = time.Hour })
	token := s.bossToken()
	login := func(name, client string) (sid, refresh string) {
		r := s.form("/oauth/token", "grant_type", "password", "client_id", client, "username", name, "password", secretPW)
		r.Header.Set("User-Agent", "Notes/2.1")
		r.RemoteAddr = "198.51.100.7:1234"
		a := s.do(r)
		sid, _ = s.claims(a.str("access_token"))["sid"].(string)
		return sid, a.str("refresh_token")
	}
	one, refresh := login(username, "app")
	two, other := login(username, "app2")
	shown := s.admins(token, http.MethodGet, "/sessions/"+one, "")
	if shown.str("address") != "198.51.100.7" || shown.str("user_agent") != "Notes/2.1" || shown.str("username") != username || shown.str("state") != "live" {
		t.Errorf("session = %s, want it with its device", shown.body)
	}
	find := func(query, want string) {
		t.Helper()
		if got := fmt.Sprint(s.pages(token, "/sessions?"+query, 1, "sid", func(int) {})); got != "["+want+"]" {
			t.Errorf("sessions by %s = %s, want [%s]", query, got, want)
		}
	}
	find("address=198.51.100.7&client_id=app2", two)
	find("client_id=app&state=live", one)
	s.ok("revoke", s.admins(token, http.MethodDelete, "/sessions/"+one, ""), http.StatusNoContent)
	s.ok("revoke again", s.admins(token, http.MethodDelete, "/sessions/"+one, ""), http.StatusNoContent)
	find("client_id=app&state=live", "")
	find("client_id=app&state=revoked", one)
	s.expect(s.refresh("app", refresh), http.StatusBadRequest, "invalid_grant")
	s.expect(s.refresh("app2", other), http.StatusOK, "")
	// Attack 47: what does not exist is not found, whosever it might be.
	s.problem("nobody's", s.admins(token, http.MethodDelete, "/sessions/00000000-0000-4000-8000-000000000000", ""), http.StatusNotFound, authz.NotFound)
	ended := s.admins(token, http.MethodPost, "/sessions/revoke", `{"session_ids":["`+one+`","`+two+`","`+two+`","nothing","","a\u0000b"]}`)
	if ended.StatusCode != http.StatusOK || ended.json["revoked"] != 1.0 {
		t.Errorf("revoke of several = %d %s, want one more", ended.StatusCode, ended.body)
	}
	s.expect(s.refresh("app2", other), http.StatusBadRequest, "invalid_grant")
	three, _ := login(username, "app2")
	s.clock.Add(2 * time.Hour)
	token = s.bossToken()
	find("state=expired&client_id=app2", three)
	find("state=expired&client_id=app", "")
}
