package authztest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chancery/authz"
)

func sessionsEnd(t *testing.T, store Store) {
	alice := withFamilies(t, store, "alice", 0, 4)
	withFamilies(t, store, "bob", 10, 2)
	end := func(ending authz.Ending, wantEnded int) {
		t.Helper()
		ending.Now, ending.Cause = T0.Add(time.Minute), authz.CauseAdmin
		n, err := store.EndSessions(t.Context(), ending)
		must(t, err)
		if n != wantEnded {
			t.Errorf("EndSessions(%+v) = %d, want %d", ending, n, wantEnded)
		}
	}
	end(authz.Ending{}, 0)
	end(authz.Ending{SessionID: "none"}, 0)
	end(authz.Ending{SessionID: SampleFamily(alice, 0).SessionID}, 1)
	end(authz.Ending{SessionID: SampleFamily(alice, 0).SessionID}, 0)
	end(authz.Ending{UserID: alice, Except: SampleFamily(alice, 1).SessionID}, 2)
	end(authz.Ending{ClientID: "other"}, 0)
	if live := familyOf(t, store, 1); !live.RevokedAt.IsZero() {
		t.Error("the excepted session was ended")
	}
	end(authz.Ending{ClientID: "app", Kind: authz.EventReuseDetected}, 3)
	end(authz.Ending{All: true}, 0)
	expectEnded(t, store, 0, authz.CauseAdmin)
	expectEnded(t, store, 10, authz.CauseAdmin)
	if n := countEvents(t, store, authz.EventFilter{Kind: authz.EventReuseDetected}); n != 3 {
		t.Errorf("%d events of the given kind, want 3", n)
	}
}

func sessionsEndInBatches(t *testing.T, store Store) {
	withFamilies(t, store, "alice", 0, 7)
	for i, wantEnded := range []int{3, 3, 1, 0} {
		n, err := store.EndSessions(t.Context(), authz.Ending{All: true, Limit: 3, Cause: authz.CauseAdmin, Now: T0})
		must(t, err)
		if n != wantEnded {
			t.Errorf("batch %d ended %d sessions, want %d", i, n, wantEnded)
		}
	}
}

// sessionsEndRacesEnd: sessions that end one by one meanwhile must not let a
// caller that ends all in batches believe that it is done.
func sessionsEndRacesEnd(t *testing.T, store Store) {
	withFamilies(t, store, "alice", 0, 60)
	all := &authz.Sessions{Store: limited{store, 5}, Now: func() time.Time { return T0 }}
	var group sync.WaitGroup
	group.Go(func() {
		for n := range 60 {
			ending := authz.Ending{SessionID: SampleFamily("", n).SessionID, Cause: authz.CauseLogout, Now: T0}
			if _, err := store.EndSessions(t.Context(), ending); err != nil {
				t.Error(err)
			}
			if n == 40 {
				return // the rest is for the other one
			}
		}
	})
	group.Go(func() {
		if _, err := all.End(t.Context(), authz.Ending{All: true, Cause: authz.CauseAdmin}); err != nil {
			t.Error(err)
		}
	})
	group.Wait()
	live, err := store.ListSessions(t.Context(), authz.SessionFilter{Live: true, Now: T0, Page: authz.Page{Limit: 100}})
	must(t, err)
	if len(live) != 0 {
		t.Errorf("%d sessions live after all were ended", len(live))
	}
}

// sessionsTwoEnders: two callers that end the same sessions in batches must
// each return only when none is left.
func sessionsTwoEnders(t *testing.T, store Store) {
	withFamilies(t, store, "alice", 0, 80)
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			all := &authz.Sessions{Store: limited{store, 5}, Now: func() time.Time { return T0 }}
			if _, err := all.End(t.Context(), authz.Ending{ClientID: "app", Cause: authz.CauseAdmin}); err != nil {
				t.Error(err)
			}
			live, err := store.ListSessions(t.Context(), authz.SessionFilter{Live: true, Now: T0, Page: authz.Page{Limit: 100}})
			if err != nil || len(live) != 0 {
				t.Errorf("%d sessions live, %v, when an ender has returned", len(live), err)
			}
		})
	}
	group.Wait()
}

// sessionsEndAllOfThePast: those that begin while all are ended are not meant,
// or the work might never be done.
func sessionsEndAllOfThePast(t *testing.T, store Store) {
	userID := withUser(t, store, "alice")
	later := SampleFamily(userID, 1)
	later.CreatedAt = T0.Add(time.Second)
	must(t, store.InsertFamily(t.Context(), SampleFamily(userID, 0), 1))
	must(t, store.InsertFamily(t.Context(), later, 1))
	n, err := store.EndSessions(t.Context(), authz.Ending{All: true, Limit: 10, Cause: authz.CauseAdmin, Now: T0})
	must(t, err)
	if n != 1 || !familyOf(t, store, 1).RevokedAt.IsZero() {
		t.Errorf("%d sessions ended, want the one that had begun", n)
	}
}

// limited is a store whose batches are small.
type limited struct {
	Store
	batch int
}

// EndSessions ends a smaller batch than it is asked to.
func (l limited) EndSessions(ctx context.Context, ending authz.Ending) (int, error) {
	if ending.Limit > 0 {
		ending.Limit = l.batch
	}
	return l.Store.EndSessions(ctx, ending)
}

// sessionsEndRacesRotate: whatever the order, an ended session stays ended and
// its next rotation fails.
func sessionsEndRacesRotate(t *testing.T, store Store) {
	withFamilies(t, store, "alice", 0, 10)
	for n := range 10 {
		var group sync.WaitGroup
		group.Go(func() {
			for generation := uint64(0); ; generation++ {
				if _, err := store.Rotate(t.Context(), swapOf(n, generation, T0.Add(time.Minute))); err != nil {
					want(t, "Rotate", err, authz.ErrNotFound)
					return
				}
			}
		})
		group.Go(func() {
			_, err := store.EndSessions(t.Context(), authz.Ending{SessionID: SampleFamily("", n).SessionID, Cause: authz.CauseLogout, Now: T0.Add(time.Minute)})
			if err != nil {
				t.Error(err)
			}
		})
		group.Wait()
		family := familyOf(t, store, n)
		_, err := store.Rotate(t.Context(), swapOf(n, family.Generation, T0.Add(time.Minute)))
		want(t, "Rotate after the end", err, authz.ErrNotFound)
		if family.RevokedAt.IsZero() {
			t.Error("the end was lost")
		}
	}
}

func sessionsList(t *testing.T, store Store) {
	alice, bob := withUser(t, store, "alice"), withUser(t, store, "bob")
	must(t, store.InsertClient(t.Context(), SampleClient("other"), AnyEvent()))
	for i := range 6 {
		family := SampleFamily(alice, i)
		if i >= 4 {
			family = SampleFamily(bob, i)
		}
		family.CreatedAt = T0.Add(-time.Duration(i) * time.Second)
		if i == 2 {
			family.ClientID = "other"
		}
		if i == 3 {
			family.IdleExpiresAt = T0
		}
		must(t, store.InsertFamily(t.Context(), family, 1))
	}
	_, err := store.EndSessions(t.Context(), authz.Ending{SessionID: SampleFamily(alice, 1).SessionID, Cause: authz.CauseAdmin, Now: T0})
	must(t, err)
	for name, test := range map[string]struct {
		filter authz.SessionFilter
		want   []int
	}{
		"all":            {authz.SessionFilter{Page: authz.Page{Limit: 10}}, []int{0, 1, 2, 3, 4, 5}},
		"user":           {authz.SessionFilter{UserID: alice, Page: authz.Page{Limit: 10}}, []int{0, 1, 2, 3}},
		"client":         {authz.SessionFilter{ClientID: "other", Page: authz.Page{Limit: 10}}, []int{2}},
		"live":           {authz.SessionFilter{Live: true, Now: T0, Page: authz.Page{Limit: 10}}, []int{0, 2, 4, 5}},
		"after the page": {authz.SessionFilter{UserID: alice, Page: authz.Page{After: T0, AfterID: SampleFamily(alice, 0).SessionID, Limit: 2}}, []int{1, 2}},
	} {
		families, err := store.ListSessions(t.Context(), test.filter)
		must(t, err)
		var got, wanted []string
		for _, family := range families {
			got = append(got, family.SessionID)
		}
		for _, n := range test.want {
			wanted = append(wanted, SampleFamily("", n).SessionID)
		}
		same(t, name, wanted, got)
	}
}

// trim is an ending that spares the newest live sessions of the user.
func trim(userID string, keep int, now time.Time) authz.Ending {
	return authz.Ending{UserID: userID, Trim: true, Keep: keep, Cause: authz.CauseSessionLimit, Now: now}
}

func liveSessions(t *testing.T, store Store, userID string, now time.Time) (ids []string) {
	t.Helper()
	families, err := store.ListSessions(t.Context(), authz.SessionFilter{UserID: userID, Live: true, Now: now, Page: authz.Page{Limit: 1000}})
	must(t, err)
	for _, family := range families {
		ids = append(ids, family.SessionID)
	}
	return ids
}

func sessionsTrim(t *testing.T, store Store) {
	userID := withUser(t, store, "alice")
	other := withFamilies(t, store, "bob", 100, 3)
	for i := range 6 {
		family := SampleFamily(userID, i)
		family.CreatedAt = T0.Add(time.Duration(i) * time.Second)
		if i == 5 { // the newest one has expired
			family.IdleExpiresAt = T0.Add(10 * time.Second)
		}
		must(t, store.InsertFamily(t.Context(), family, 1))
	}
	now := T0.Add(time.Minute)
	for _, step := range []struct{ keep, ended int }{{10, 0}, {5, 0}, {3, 2}, {3, 0}, {1, 2}} {
		if n, err := store.EndSessions(t.Context(), trim(userID, step.keep, now)); err != nil || n != step.ended {
			t.Errorf("trimming to %d ended %d, %v, want %d", step.keep, n, err, step.ended)
		}
	}
	same(t, "sessions that are left", []string{"sid-000004"}, liveSessions(t, store, userID, now))
	if n := len(liveSessions(t, store, other, now)); n != 3 {
		t.Errorf("another user has %d sessions left, want 3", n)
	}
	if f := familyOf(t, store, 5); !f.RevokedAt.IsZero() {
		t.Error("an expired session was ended")
	}
	if n := countEvents(t, store, authz.EventFilter{UserID: userID, Kind: authz.EventSessionEnded}); n != 4 {
		t.Errorf("%d events of ended sessions, want 4", n)
	}
	if n, err := store.EndSessions(t.Context(), trim(userID, 0, now)); err != nil || n != 1 {
		t.Errorf("trimming to none ended %d, %v, want 1", n, err)
	}
}

func sessionsConcurrentTrims(t *testing.T, store Store) {
	userID := withUser(t, store, "alice")
	for i := range 20 {
		family := SampleFamily(userID, i)
		family.CreatedAt = T0.Add(time.Duration(i) * time.Second)
		must(t, store.InsertFamily(t.Context(), family, 1))
	}
	now := T0.Add(time.Minute)
	var ended atomic.Int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			n, err := store.EndSessions(t.Context(), trim(userID, 5, now))
			if err != nil {
				t.Error(err)
			}
			ended.Add(int64(n))
		})
	}
	group.Wait()
	same(t, "sessions that are left", []string{"sid-000019", "sid-000018", "sid-000017", "sid-000016", "sid-000015"}, liveSessions(t, store, userID, now))
	if ended.Load() != 15 {
		t.Errorf("eight trims ended %d sessions together, want each of 15 once", ended.Load())
	}
}

// sessionsEndConsole says which endings end the sessions in the console too.
func sessionsEndConsole(t *testing.T, store Store) {
	userID := withFamilies(t, store, "admin", 0, 3)
	other := withUser(t, store, "other")
	epoch := func(id string) int64 {
		user, err := store.UserByID(t.Context(), id)
		must(t, err)
		return user.ConsoleEpoch
	}
	for _, test := range []struct {
		ending authz.Ending
		rises  bool
	}{
		{authz.Ending{SessionID: "sid-000000"}, false},
		{authz.Ending{ClientID: "app", Limit: 1}, false},
		{authz.Ending{UserID: userID, Trim: true, Keep: 5}, false},
		{authz.Ending{UserID: userID, Except: "sid-000001"}, true},
		{authz.Ending{UserID: userID}, true},
	} {
		before := epoch(userID)
		test.ending.Now, test.ending.Cause = T0, authz.CauseAdmin
		_, err := store.EndSessions(t.Context(), test.ending)
		must(t, err)
		if rose := epoch(userID) > before; rose != test.rises {
			t.Errorf("EndSessions(%+v) raised the console's epoch: %v, want %v", test.ending, rose, test.rises)
		}
	}
	if epoch(other) != 0 {
		t.Errorf("the epoch of another user rose to %d", epoch(other))
	}
}

func sessionsCount(t *testing.T, store Store) {
	userID := withFamilies(t, store, "alice", 0, 4)
	_, err := store.EndSessions(t.Context(), authz.Ending{SessionID: "sid-000000", Now: T0, Cause: authz.CauseAdmin})
	must(t, err)
	idle := SampleFamily(userID, 9)
	idle.IdleExpiresAt = T0.Add(time.Minute)
	must(t, store.InsertFamily(t.Context(), idle, 1))
	for at, want := range map[time.Time]int64{T0: 4, T0.Add(time.Minute): 3, T0.Add(25 * time.Hour): 0} {
		n, err := store.CountSessions(t.Context(), at)
		must(t, err)
		if n != want {
			t.Errorf("CountSessions at %s = %d, want %d", at, n, want)
		}
	}
}
