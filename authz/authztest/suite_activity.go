package authztest

import (
	"sync"
	"testing"
	"time"

	"chancery/authz"
)

func activity(t *testing.T, store Store) {
	at := func(minute int) time.Time { return T0.Add(time.Duration(minute) * time.Minute) }
	add := func(minute int, kind authz.ActivityKind, amount int64) {
		must(t, store.AddActivity(t.Context(), at(minute), map[authz.ActivityKind]int64{kind: amount}))
	}
	add(0, authz.ActivityLogins, 1)
	add(0, authz.ActivityLogins, 2)
	add(4, authz.ActivityLogins, 4)
	add(5, authz.ActivityLogins, 8)
	add(10, authz.ActivityLogins, 100)
	add(-1, authz.ActivityLogins, 100)
	add(3, authz.ActivityReuse, 1)
	for minute, n := range []int64{7, 9, 8} {
		must(t, store.SetActiveSessions(t.Context(), at(minute), 1))
		must(t, store.SetActiveSessions(t.Context(), at(minute), n))
	}
	points, err := store.Activity(t.Context(), authz.ActivityQuery{From: T0, Until: at(10), Step: 5 * time.Minute})
	must(t, err)
	same(t, "points", []authz.ActivityPoint{
		{Time: T0, Kind: authz.ActiveSessions, Amount: 9},
		{Time: T0, Kind: authz.ActivityLogins, Amount: 7},
		{Time: T0, Kind: authz.ActivityReuse, Amount: 1},
		{Time: at(5), Kind: authz.ActivityLogins, Amount: 8},
	}, points)
	n, err := store.Purge(t.Context(), authz.PurgeLimits{ActivityBefore: at(4), Limit: 100})
	must(t, err)
	if n != 6 {
		t.Errorf("Purge deleted %d rows, want those of six minutes and kinds", n)
	}
}

func activityConcurrent(t *testing.T, store Store) {
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 5 {
				amounts := map[authz.ActivityKind]int64{authz.ActivityLogins: 1, authz.ActivityRefreshes: 2, authz.ActivityFailures: 3}
				if err := store.AddActivity(t.Context(), T0, amounts); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	points, err := store.Activity(t.Context(), authz.ActivityQuery{From: T0, Until: T0.Add(time.Minute), Step: time.Minute})
	must(t, err)
	same(t, "points", []authz.ActivityPoint{
		{Time: T0, Kind: authz.ActivityFailures, Amount: 120},
		{Time: T0, Kind: authz.ActivityLogins, Amount: 40},
		{Time: T0, Kind: authz.ActivityRefreshes, Amount: 80},
	}, points)
}
