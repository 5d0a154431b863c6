package storage_test

import (
	"bytes"
	"testing"
	"time"

	"chancery/authz"
	"chancery/authz/authztest"
	"chancery/storage"
)

// consoleSessions returns the sessions of the console in a database, at a time
// that the test moves.
func consoleSessions(db *storage.DB) (storage.ConsoleSessions, *time.Time) {
	now := authztest.T0
	return storage.ConsoleSessions{DB: db, Now: func() time.Time { return now }}, &now
}

// wantSession requires that a session has the data; nil stands for none.
func wantSession(t *testing.T, s storage.ConsoleSessions, token string, want []byte) {
	t.Helper()
	data, exists, err := s.Find(token)
	if err != nil || exists != (want != nil) || !bytes.Equal(data, want) {
		t.Errorf("Find(%q) = %q, %t, %v, want %q", token, data, exists, err, want)
	}
}

func TestConsoleSessions(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func(testing.TB) *storage.DB) {
		s, now := consoleSessions(open(t))
		wantSession(t, s, "a", nil)
		wantSession(t, s, "", nil)
		for token, data := range map[string]string{"a": "\x00\xff'first", "b": "other"} {
			if err := s.Commit(token, []byte(data), now.Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		wantSession(t, s, "a", []byte("\x00\xff'first"))
		wantSession(t, s, "A", nil)
		if err := s.Commit("a", []byte("second"), now.Add(2*time.Hour)); err != nil {
			t.Fatal(err)
		}
		wantSession(t, s, "a", []byte("second"))
		*now = now.Add(time.Hour)
		wantSession(t, s, "a", []byte("second"))
		wantSession(t, s, "b", nil) // at its very end
		for range 2 {
			if err := s.Delete("a"); err != nil {
				t.Errorf("Delete = %v", err)
			}
		}
		wantSession(t, s, "a", nil)
		if err := s.Delete("never there"); err != nil {
			t.Errorf("Delete of none = %v", err)
		}
	})
}

// A request that was under way when its session ended must not bring it back.
func TestConsoleSessionStaysEnded(t *testing.T) {
	for name, end := range map[string]func(db *storage.DB, s storage.ConsoleSessions) error{
		"deleted": func(_ *storage.DB, s storage.ConsoleSessions) error { return s.Delete("a") },
		"all sessions": func(db *storage.DB, _ storage.ConsoleSessions) error {
			_, err := db.EndSessions(t.Context(), authz.Ending{All: true, Now: authztest.T0, Cause: authz.CauseAdmin})
			return err
		},
	} {
		eachDatabase(t, func(t *testing.T, open func(testing.TB) *storage.DB) {
			db := open(t)
			s, now := consoleSessions(db)
			for _, token := range []string{"a", "b"} {
				if err := s.Commit(token, []byte("data"), now.Add(time.Hour)); err != nil {
					t.Fatal(err)
				}
			}
			if err := end(db, s); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if err := s.Commit("a", []byte("late"), now.Add(2*time.Hour)); err != nil {
				t.Errorf("%s: Commit = %v", name, err)
			}
			wantSession(t, s, "a", nil)
			wantSession(t, s, "b", map[string][]byte{"deleted": []byte("data")}[name])
			// What is left of it goes when it would have expired.
			limits := authz.PurgeLimits{ConsoleBefore: now.Add(time.Hour + time.Second), Limit: 10}
			if n, err := db.Purge(t.Context(), limits); err != nil || n != 2 {
				t.Errorf("%s: Purge = %d, %v, want 2", name, n, err)
			}
		})
	}
}

func TestConsoleSessionsArePurged(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func(testing.TB) *storage.DB) {
		db := open(t)
		s, now := consoleSessions(db)
		for token, lives := range map[string]time.Duration{"a": time.Minute, "b": 2 * time.Minute, "c": time.Hour} {
			if err := s.Commit(token, []byte(token), now.Add(lives)); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []int{1, 1, 0} { // in batches of one
			if n, err := db.Purge(t.Context(), authz.PurgeLimits{ConsoleBefore: now.Add(3 * time.Minute), Limit: 1}); err != nil || n != want {
				t.Errorf("Purge = %d, %v, want %d", n, err, want)
			}
		}
		wantSession(t, s, "a", nil)
		wantSession(t, s, "c", []byte("c"))
	})
}

// The end of all sessions of a user ends those in the console, that of one
// session or of a client's does not.
func TestEndingRaisesConsoleEpoch(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func(testing.TB) *storage.DB) {
		db := open(t)
		s, now := consoleSessions(db)
		user := authz.User{ID: "usr_1", Username: "boss", Name: "boss", Roles: []string{authz.RoleAdmin}, CreatedAt: *now}
		if err := db.InsertUser(t.Context(), user, authztest.AnyEvent()); err != nil {
			t.Fatal(err)
		}
		if err := s.Commit("a", []byte("data"), now.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		for name, row := range map[string]struct {
			ending authz.Ending
			raised int64
		}{
			"user": {authz.Ending{UserID: user.ID}, 1}, "trim": {authz.Ending{UserID: user.ID, Trim: true, Keep: 1}, 0}, "other": {authz.Ending{UserID: "usr_2"}, 0},
			"session": {authz.Ending{SessionID: "sid"}, 0}, "client": {authz.Ending{ClientID: "app"}, 0}, "nothing": {authz.Ending{}, 0},
		} {
			before, err := db.UserByID(t.Context(), user.ID)
			if err != nil {
				t.Fatal(err)
			}
			row.ending.Now, row.ending.Cause = *now, authz.CauseAdmin
			if _, err := db.EndSessions(t.Context(), row.ending); err != nil {
				t.Errorf("%s: EndSessions = %v", name, err)
			}
			after, err := db.UserByID(t.Context(), user.ID)
			if err != nil || after.ConsoleEpoch-before.ConsoleEpoch != row.raised {
				t.Errorf("%s: console epoch rose by %d, %v, want %d", name, after.ConsoleEpoch-before.ConsoleEpoch, err, row.raised)
			}
			wantSession(t, s, "a", []byte("data"))
		}
	})
}
