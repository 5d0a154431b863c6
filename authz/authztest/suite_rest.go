package authztest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chancery/authz"
)

func denylist(t *testing.T, store Store) {
	denied := func(id string) bool {
		t.Helper()
		ok, err := store.Denied(t.Context(), id)
		must(t, err)
		return ok
	}
	if denied("a") {
		t.Error("an unknown token is denied")
	}
	must(t, store.Deny(t.Context(), "a", T0))
	must(t, store.Deny(t.Context(), "a", T0.Add(time.Hour)))
	if !denied("a") || denied("b") {
		t.Error("want a denied and b not")
	}
}

func indexes(t *testing.T, store Store) {
	const writers, each = 10, 6
	var mu sync.Mutex
	seen := map[string]bool{}
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			for j := range each {
				kind := authz.StatusSessions
				if j%3 == 0 {
					kind = authz.StatusClients
				}
				lease, err := store.LeaseIndexes(t.Context(), authz.LeaseRequest{Kind: kind, Count: 4, Now: T0, NewList: authz.Lease{
					List: fmt.Sprintf("%s-%d-%d", kind, i, j), Key: []byte{byte(i), byte(j)}, Capacity: 16, End: 4,
				}})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if lease.End != lease.Next+4 || lease.End > lease.Capacity || len(lease.Key) != 2 {
					t.Errorf("lease = %+v", lease)
				}
				for counter := lease.Next; counter < lease.End; counter++ {
					entry := fmt.Sprintf("%s/%d", lease.List, counter)
					if seen[entry] {
						t.Errorf("counter %s was given twice", entry)
					}
					seen[entry] = true
				}
				if lease.List[:len(kind)] != string(kind) {
					t.Errorf("a %s counter comes from list %s", kind, lease.List)
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if len(seen) != writers*each*4 {
		t.Errorf("%d counters were given, want %d", len(seen), writers*each*4)
	}
}

func events(t *testing.T, store Store) {
	one, two, other := sampleEvent("id-1", T0), sampleEvent("id-2", T0.Add(time.Second)), sampleEvent("id-3", T0.Add(2*time.Second))
	two.Once = "key"
	other.Kind, other.UserID, other.ClientID, other.SessionID = authz.EventUserBanned, "usr_other", "other", "sid-2"
	must(t, store.AppendEvents(t.Context(), []authz.Event{one, two, other}))
	again := sampleEvent("id-4", T0.Add(3*time.Second))
	again.Once = "key"
	must(t, store.AppendEvents(t.Context(), []authz.Event{again}))
	for name, test := range map[string]struct {
		filter authz.EventFilter
		want   []authz.Event
	}{
		"all":     {authz.EventFilter{}, []authz.Event{other, two, one}},
		"kind":    {authz.EventFilter{Kind: authz.EventUserBanned}, []authz.Event{other}},
		"user":    {authz.EventFilter{UserID: "usr_u"}, []authz.Event{two, one}},
		"client":  {authz.EventFilter{ClientID: "other"}, []authz.Event{other}},
		"session": {authz.EventFilter{SessionID: "sid-1", Page: authz.Page{After: two.Time, AfterID: two.ID}}, []authz.Event{one}},
	} {
		test.filter.Page.Limit = 10
		got, err := store.ListEvents(t.Context(), test.filter)
		must(t, err)
		same(t, name, test.want, got)
	}
}

func purge(t *testing.T, store Store) {
	userID := withUser(t, store, "alice")
	for n := range 5 {
		family := SampleFamily(userID, n)
		family.AbsoluteExpiresAt = T0.Add(time.Duration(n) * time.Hour)
		must(t, store.InsertFamily(t.Context(), family, 1))
		must(t, store.Deny(t.Context(), fmt.Sprint("jti", n), T0.Add(time.Duration(n)*time.Hour)))
		must(t, store.AppendEvents(t.Context(), []authz.Event{sampleEvent(fmt.Sprint("id", n), T0.Add(time.Duration(n)*time.Hour))}))
	}
	cut := T0.Add(2 * time.Hour)
	limits := authz.PurgeLimits{FamiliesBefore: cut, DeniedBefore: cut, EventsBefore: cut, Limit: 10}
	n, err := store.Purge(t.Context(), limits)
	must(t, err)
	if n != 7 { // two of each kind, and the event of the user's creation
		t.Errorf("Purge deleted %d rows, want 7", n)
	}
	families, err := store.ListSessions(t.Context(), authz.SessionFilter{Page: authz.Page{Limit: 10}})
	must(t, err)
	if left := countEvents(t, store, authz.EventFilter{}); len(families) != 3 || left != 3 {
		t.Errorf("%d families and %d events are left, want 3 and 3", len(families), left)
	}
	if denied, err := store.Denied(t.Context(), "jti2"); err != nil || !denied {
		t.Errorf("a token that is not expired was purged: %v", err)
	}
	limits.FamiliesBefore, limits.Limit = T0.Add(100*time.Hour), 2
	if n, err = store.Purge(t.Context(), limits); err != nil || n != 2 {
		t.Errorf("Purge with limit 2 = %d, %v, want 2 rows", n, err)
	}
}

func lease(t *testing.T, store Store) {
	var holders atomic.Int32
	var group sync.WaitGroup
	for i := range 10 {
		group.Go(func() {
			mine, err := store.AcquireLease(t.Context(), "work", fmt.Sprint("node", i), T0, T0.Add(time.Minute))
			if err != nil {
				t.Error(err)
			}
			if mine {
				holders.Add(1)
			}
		})
	}
	group.Wait()
	if holders.Load() != 1 {
		t.Errorf("%d nodes hold the lease, want 1", holders.Load())
	}
	for _, test := range []struct {
		name, holder string
		at           time.Time
		want         bool
	}{
		{"before it expires", "late", T0.Add(59 * time.Second), false},
		{"when it expires", "late", T0.Add(time.Minute), true},
		{"renewed by its holder", "late", T0.Add(2 * time.Minute), true},
		{"held by another", "later", T0.Add(3 * time.Minute), false},
	} {
		mine, err := store.AcquireLease(t.Context(), "work", test.holder, test.at, T0.Add(time.Hour))
		must(t, err)
		if mine != test.want {
			t.Errorf("%s: AcquireLease = %v, want %v", test.name, mine, test.want)
		}
	}
}
