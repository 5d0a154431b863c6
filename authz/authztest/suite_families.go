package authztest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chancery/authz"

	"pgregory.net/rapid"
)

func swapOf(n int, generation uint64, now time.Time) authz.Swap {
	return authz.Swap{
		HandleHash: SampleHash(n), ClientID: "app", Generation: generation, Now: now, IdleExpiresAt: now.Add(time.Hour),
		Device: authz.Device{Address: "198.51.100.7", UserAgent: "Laptop"}, KeyThumbprint: "key",
	}
}

func familyStoredWhole(t *testing.T, store Store) {
	userID := withUser(t, store, "alice")
	family := SampleFamily(userID, 1)
	must(t, store.InsertFamily(t.Context(), family, 1))
	same(t, "by handle", family, familyOf(t, store, 1))
	got, err := store.FamilyBySession(t.Context(), family.SessionID)
	must(t, err)
	same(t, "by session", family, got)
	_, err = store.FamilyByHandle(t.Context(), SampleHash(2))
	want(t, "FamilyByHandle of an unknown hash", err, authz.ErrNotFound)
	_, err = store.FamilyBySession(t.Context(), "none")
	want(t, "FamilyBySession of an unknown id", err, authz.ErrNotFound)
}

func familyInsertChecksUser(t *testing.T, store Store) {
	disabled := SampleUser("disabled")
	disabled.DisabledAt = T0
	must(t, store.InsertUser(t.Context(), disabled, sampleEvent("e", T0)))
	userID := withUser(t, store, "alice")
	for name, test := range map[string]struct {
		userID string
		epoch  int64
	}{
		"unknown user":  {"usr_none", 1},
		"older epoch":   {userID, 0},
		"newer epoch":   {userID, 2},
		"disabled user": {disabled.ID, 1},
	} {
		want(t, "InsertFamily: "+name, store.InsertFamily(t.Context(), SampleFamily(test.userID, 1), test.epoch), authz.ErrNotFound)
	}
	must(t, store.InsertFamily(t.Context(), SampleFamily(userID, 1), 1))
	want(t, "InsertFamily of a taken handle", store.InsertFamily(t.Context(), SampleFamily(userID, 1), 1), authz.ErrConflict)
}

func familyInsertChecksClient(t *testing.T, store Store) {
	userID := withUser(t, store, "alice")
	unknown := SampleFamily(userID, 1)
	unknown.ClientID = "unknown"
	want(t, "InsertFamily of an unknown client", store.InsertFamily(t.Context(), unknown, 1), authz.ErrNotFound)
	client, err := store.Client(t.Context(), "app")
	must(t, err)
	client.DisabledAt = T0
	must(t, store.UpdateClient(t.Context(), client, authz.StatusRef{}, AnyEvent()))
	want(t, "InsertFamily of a disabled client", store.InsertFamily(t.Context(), SampleFamily(userID, 1), 1), authz.ErrNotFound)
}

// familyBanRacesLogin is the race that leaves a live session of a banned user
// when the login's check of the user takes no lock.
func familyBanRacesLogin(t *testing.T, store Store) {
	for round := range 15 {
		name := fmt.Sprintf("user%d", round)
		userID := withUser(t, store, name)
		var group sync.WaitGroup
		for i := range 4 {
			group.Go(func() {
				err := store.InsertFamily(t.Context(), SampleFamily(userID, round*10+i), 1)
				if err != nil && !errors.Is(err, authz.ErrNotFound) {
					t.Error(err)
				}
			})
		}
		group.Go(func() {
			if err := store.BanUser(t.Context(), authz.Ban{UserChange: change(userID, authz.CauseBanned), Until: authz.Forever}); err != nil {
				t.Error(err)
			}
		})
		group.Wait()
		live, err := store.ListSessions(t.Context(), authz.SessionFilter{UserID: userID, Live: true, Now: T0, Page: authz.Page{Limit: 10}})
		must(t, err)
		if len(live) != 0 {
			t.Fatalf("round %d: %d sessions of a banned user live", round, len(live))
		}
	}
}

func familyRoles(t *testing.T, store Store) {
	userID := withUser(t, store, "alice")
	family := SampleFamily(userID, 1)
	family.Roles = []string{"read before the roles changed"}
	must(t, store.InsertFamily(t.Context(), family, 1))
	same(t, "roles", SampleUser("alice").Roles, familyOf(t, store, 1).Roles)
}

// familyRolesRaceLogin: a login that read the old roles must not keep them.
func familyRolesRaceLogin(t *testing.T, store Store) {
	for round := range 15 {
		userID := withUser(t, store, fmt.Sprintf("user%d", round))
		var group sync.WaitGroup
		for i := range 4 {
			group.Go(func() {
				if err := store.InsertFamily(t.Context(), SampleFamily(userID, round*10+i), 1); err != nil {
					t.Error(err)
				}
			})
		}
		group.Go(func() {
			if err := store.SetRoles(t.Context(), change(userID, ""), []string{"demoted"}); err != nil {
				t.Error(err)
			}
		})
		group.Wait()
		for i := range 4 {
			same(t, "roles", []string{"demoted"}, familyOf(t, store, round*10+i).Roles)
		}
	}
}

func familyRotate(t *testing.T, store Store) {
	userID := withFamilies(t, store, "alice", 1, 2)
	now := T0.Add(time.Minute)
	got, err := store.Rotate(t.Context(), swapOf(1, 0, now))
	must(t, err)
	expected := SampleFamily(userID, 1)
	expected.Generation, expected.RotatedAt, expected.IdleExpiresAt = 1, now, now.Add(time.Hour)
	expected.Device = authz.Device{Address: "198.51.100.7", UserAgent: "Laptop"}
	same(t, "returned", expected, got)
	same(t, "stored", expected, familyOf(t, store, 1))
	same(t, "another family", SampleFamily(userID, 2), familyOf(t, store, 2))
	_, err = store.Rotate(t.Context(), swapOf(1, 0, now))
	want(t, "Rotate of the old generation", err, authz.ErrNotFound)
	wrong := swapOf(1, 1, now)
	wrong.ClientID = "other"
	_, err = store.Rotate(t.Context(), wrong)
	want(t, "Rotate by another client", err, authz.ErrNotFound)
	_, err = store.Rotate(t.Context(), swapOf(9, 0, now))
	want(t, "Rotate of an unknown family", err, authz.ErrNotFound)
	same(t, "after refused rotations", expected, familyOf(t, store, 1))
}

// familyRotateAgreesWithCheck holds the condition of the swap against the rule
// that it stands for.
func familyRotateAgreesWithCheck(t *testing.T, store Store) {
	userID := withUser(t, store, "alice")
	policy := authz.RefreshPolicy{IdleTTL: time.Hour, AbsoluteTTL: 24 * time.Hour, Leeway: 30 * time.Second, LostResponseWindow: 10 * time.Minute, LostResponseBudget: 3}
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		second := func(name string) time.Time {
			return T0.Add(time.Duration(rapid.IntRange(0, 6).Draw(rt, name)) * time.Second)
		}
		family := SampleFamily(userID, n)
		family.Generation = uint64(rapid.IntRange(0, 3).Draw(rt, "row"))
		family.IdleExpiresAt, family.AbsoluteExpiresAt = second("idle"), second("absolute")
		family.KeyThumbprint = rapid.SampledFrom([]string{"", "key"}).Draw(rt, "bound to")
		if err := store.InsertFamily(t.Context(), family, 1); err != nil {
			rt.Fatal(err)
		}
		if rapid.IntRange(0, 4).Draw(rt, "revoked") == 0 {
			if _, err := store.EndSessions(t.Context(), authz.Ending{SessionID: family.SessionID, Cause: authz.CauseAdmin, Now: T0}); err != nil {
				rt.Fatal(err)
			}
			family.RevokedAt = T0
		}
		generation, now := uint64(rapid.IntRange(0, 3).Draw(rt, "token")), second("now")
		swap := swapOf(n, generation, now)
		swap.KeyThumbprint = rapid.SampledFrom([]string{"", "key", "other"}).Draw(rt, "key")
		rule := family.Check(generation, policy, now).Action == authz.Rotate && (family.KeyThumbprint == "" || family.KeyThumbprint == swap.KeyThumbprint)
		_, err := store.Rotate(t.Context(), swap)
		if err != nil && !errors.Is(err, authz.ErrNotFound) {
			rt.Fatal(err)
		}
		if (err == nil) != rule {
			rt.Fatalf("Rotate = %v, but Check says rotate = %v for %+v at %s with generation %d", err, rule, family, now, generation)
		}
	})
}

func familyConcurrentRotations(t *testing.T, store Store) {
	withFamilies(t, store, "alice", 1, 1)
	var won atomic.Int32
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			_, err := store.Rotate(t.Context(), swapOf(1, 0, T0.Add(time.Minute)))
			switch {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, authz.ErrNotFound):
				t.Error(err)
			}
		})
	}
	group.Wait()
	if generation := familyOf(t, store, 1).Generation; won.Load() != 1 || generation != 1 {
		t.Errorf("%d rotations won and the generation is %d, want 1 and 1", won.Load(), generation)
	}
}

// forgivenessOf forgives a generation of SampleFamily 1.
func forgivenessOf(generation uint64, before int) authz.Forgiveness {
	return authz.Forgiveness{
		SessionID: SampleFamily("", 1).SessionID, Generation: generation, Before: before, Count: before + 1, Since: T0,
		Event: sampleEvent(fmt.Sprintf("lost %d %d", generation, before), T0),
	}
}

func familyForgive(t *testing.T, store Store) {
	userID := withUser(t, store, "alice")
	family := SampleFamily(userID, 1)
	family.Generation = 4
	must(t, store.InsertFamily(t.Context(), family, 1))
	want(t, "Forgive of an older generation", store.Forgive(t.Context(), forgivenessOf(3, 0)), authz.ErrConflict)
	want(t, "Forgive on another count", store.Forgive(t.Context(), forgivenessOf(4, 1)), authz.ErrConflict)
	must(t, store.Forgive(t.Context(), forgivenessOf(4, 0)))
	want(t, "Forgive of a generation twice", store.Forgive(t.Context(), forgivenessOf(4, 1)), authz.ErrConflict)
	family.LostGeneration, family.LostCount, family.LostSince = 4, 1, T0
	same(t, "family", family, familyOf(t, store, 1))
	_, err := store.Rotate(t.Context(), swapOf(1, 4, T0.Add(time.Minute)))
	must(t, err)
	_, err = store.EndSessions(t.Context(), authz.Ending{SessionID: family.SessionID, Cause: authz.CauseLogout, Now: T0})
	must(t, err)
	want(t, "Forgive of an ended family", store.Forgive(t.Context(), forgivenessOf(5, 1)), authz.ErrConflict)
	if n := countEvents(t, store, authz.EventFilter{SessionID: "sid-1"}); n != 2 {
		t.Errorf("%d events, want the creation's and one forgiveness", n)
	}
}

func familyConcurrentForgiveness(t *testing.T, store Store) {
	userID := withUser(t, store, "alice")
	family := SampleFamily(userID, 1)
	family.Generation = 1
	must(t, store.InsertFamily(t.Context(), family, 1))
	var won atomic.Int32
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			f := forgivenessOf(1, 0)
			f.Event.ID += fmt.Sprint(i)
			switch err := store.Forgive(t.Context(), f); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, authz.ErrConflict):
				t.Error(err)
			}
		})
	}
	group.Wait()
	if count := familyOf(t, store, 1).LostCount; won.Load() != 1 || count != 1 {
		t.Errorf("%d forgivenesses won and the count is %d, want 1 and 1", won.Load(), count)
	}
}

func restorationOf(n int, generation, next uint64) authz.Restoration {
	event := sampleEvent(fmt.Sprintf("restored %d %d", n, next), T0)
	event.Kind, event.Once = authz.EventSessionRestored, fmt.Sprintf("restored %d", n)
	return authz.Restoration{Swap: swapOf(n, generation, T0.Add(time.Minute)), Next: next, Event: event}
}

func familyRestore(t *testing.T, store Store) {
	userID := withFamilies(t, store, "alice", 1, 2)
	got, err := store.Restore(t.Context(), restorationOf(1, 0, 8))
	must(t, err)
	if got.Generation != 8 || !got.RotatedAt.Equal(T0.Add(time.Minute)) {
		t.Errorf("restored family has generation %d, rotated at %s", got.Generation, got.RotatedAt)
	}
	same(t, "stored", got, familyOf(t, store, 1))
	_, err = store.Restore(t.Context(), restorationOf(1, 0, 9))
	want(t, "Restore from another generation", err, authz.ErrConflict)
	_, err = store.Restore(t.Context(), restorationOf(1, 8, 12))
	must(t, err)
	if n := countEvents(t, store, authz.EventFilter{Kind: authz.EventSessionRestored}); n != 1 {
		t.Errorf("%d events of two restorations, want one per session", n)
	}
	_, err = store.EndSessions(t.Context(), authz.Ending{UserID: userID, Cause: authz.CauseLogout, Now: T0})
	must(t, err)
	_, err = store.Restore(t.Context(), restorationOf(2, 0, 8))
	want(t, "Restore of an ended family", err, authz.ErrConflict)
}

func familyConcurrentRestores(t *testing.T, store Store) {
	withFamilies(t, store, "alice", 1, 1)
	var won atomic.Int32
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			_, err := store.Restore(t.Context(), restorationOf(1, 0, 8))
			switch {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, authz.ErrConflict):
				t.Error(err)
			}
		})
	}
	group.Wait()
	if won.Load() != 1 {
		t.Errorf("%d restorations won, want 1", won.Load())
	}
}
