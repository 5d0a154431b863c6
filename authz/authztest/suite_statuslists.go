package authztest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chancery/authz"
)

// listCapacity is the number of entries of the lists of these tests.
const listCapacity = 1 << 12

// withList opens a status list unless it is there.
func withList(t testing.TB, store Store, id string, kind authz.StatusKind) {
	t.Helper()
	versions, err := store.StatusListVersions(t.Context())
	must(t, err)
	if _, there := versions[id]; there {
		return
	}
	// No list that is there has room for so many, so that a new one is opened.
	_, err = store.LeaseIndexes(t.Context(), authz.LeaseRequest{Kind: kind, Count: listCapacity, Now: T0, NewList: authz.Lease{
		List: id, Key: []byte{1}, Capacity: listCapacity, End: listCapacity,
	}})
	must(t, err)
}

// dueOf returns what is due of one list, although its last version is young.
func dueOf(t testing.TB, store Store, id string) authz.DueStatusList {
	t.Helper()
	due, err := store.DueStatusLists(t.Context(), authz.StatusQuery{Lists: 100, Entries: 10_000})
	must(t, err)
	for _, list := range due {
		if list.ID == id {
			return list
		}
	}
	return authz.DueStatusList{}
}

func samplePublication(id string, before, version int64, ended ...uint32) authz.StatusPublication {
	return authz.StatusPublication{
		SignedStatusList: authz.SignedStatusList{ID: id, Version: version, Token: fmt.Sprintf("token %d", version), ExpiresAt: T0.Add(time.Duration(version) * time.Second)},
		Before:           before, Bits: []byte(fmt.Sprintf("bits %d", version)), Ended: ended,
	}
}

func statusVersions(t *testing.T, store Store) {
	withList(t, store, "a", authz.StatusSessions)
	withList(t, store, "b", authz.StatusClients)
	versions, err := store.StatusListVersions(t.Context())
	must(t, err)
	same(t, "versions of new lists", map[string]int64{"a": 0, "b": 0}, versions)
	lists, err := store.SignedStatusLists(t.Context(), []string{"a", "b", "c"})
	must(t, err)
	if len(lists) != 0 {
		t.Errorf("lists that were never signed: %+v", lists)
	}
	first := samplePublication("a", 0, 5)
	must(t, store.PublishStatusList(t.Context(), first))
	want(t, "PublishStatusList from an old version", store.PublishStatusList(t.Context(), samplePublication("a", 0, 6)), authz.ErrConflict)
	want(t, "PublishStatusList of an unknown list", store.PublishStatusList(t.Context(), samplePublication("c", 0, 6)), authz.ErrConflict)
	second := samplePublication("a", 5, 9)
	must(t, store.PublishStatusList(t.Context(), second))
	versions, err = store.StatusListVersions(t.Context())
	must(t, err)
	same(t, "versions", map[string]int64{"a": 9, "b": 0}, versions)
	lists, err = store.SignedStatusLists(t.Context(), []string{"a", "b"})
	must(t, err)
	same(t, "signed lists", []authz.SignedStatusList{second.SignedStatusList}, lists)
}

func statusEnded(t *testing.T, store Store) {
	userID := withFamilies(t, store, "alice", 0, 3)
	withList(t, store, "clients-1", authz.StatusClients)
	must(t, store.PublishStatusList(t.Context(), samplePublication("sessions-1", 0, 1)))
	must(t, store.PublishStatusList(t.Context(), samplePublication("clients-1", 0, 1)))
	end := func(n int) {
		t.Helper()
		ended, err := store.EndSessions(t.Context(), authz.Ending{SessionID: SampleFamily(userID, n).SessionID, Cause: authz.CauseAdmin, Now: T0})
		if err != nil || ended != 1 {
			t.Fatalf("EndSessions = %d, %v", ended, err)
		}
	}
	if due := dueOf(t, store, "sessions-1"); due.ID != "" {
		t.Errorf("a list of which nothing has ended is due: %+v", due)
	}
	end(2)
	end(0)
	some, err := store.DueStatusLists(t.Context(), authz.StatusQuery{Lists: 1, Entries: 1})
	must(t, err)
	if len(some) != 1 || len(some[0].Ended) != 1 {
		t.Errorf("with a bound of one entry this is due: %+v", some)
	}
	due := dueOf(t, store, "sessions-1")
	same(t, "what is due", authz.DueStatusList{ID: "sessions-1", Capacity: listCapacity, Version: 1, ExpiresAt: T0.Add(time.Second), Bits: []byte("bits 1"), Ended: []uint32{0, 2}}, due)
	// What is published is over, what ended meanwhile is not.
	end(1)
	must(t, store.PublishStatusList(t.Context(), samplePublication("sessions-1", 1, 2, due.Ended...)))
	same(t, "ended since", []uint32{1}, dueOf(t, store, "sessions-1").Ended)
	must(t, store.PublishStatusList(t.Context(), samplePublication("sessions-1", 2, 3, 1)))
	if due := dueOf(t, store, "sessions-1"); due.ID != "" {
		t.Errorf("all is published, but %+v is due", due)
	}
	// A client's entry ends with its update, and only if that succeeds.
	client, err := store.Client(t.Context(), "app")
	must(t, err)
	stale := client
	must(t, store.UpdateClient(t.Context(), client, authz.StatusRef{}, AnyEvent()))
	want(t, "UpdateClient with an old version", store.UpdateClient(t.Context(), stale, client.Status, AnyEvent()), authz.ErrConflict)
	if due := dueOf(t, store, "clients-1"); due.ID != "" {
		t.Errorf("an update that failed ends %v", due.Ended)
	}
	client.Version++
	must(t, store.UpdateClient(t.Context(), client, client.Status, AnyEvent()))
	client.Version++
	must(t, store.UpdateClient(t.Context(), client, client.Status, AnyEvent())) // again
	same(t, "ended with the client", []uint32{client.Status.Index}, dueOf(t, store, "clients-1").Ended)
}

func statusPublishers(t *testing.T, store Store) {
	withList(t, store, "a", authz.StatusSessions)
	var group sync.WaitGroup
	var winners atomic.Int32
	for i := range 8 {
		group.Go(func() {
			err := store.PublishStatusList(t.Context(), samplePublication("a", 0, int64(i)+1))
			if err == nil {
				winners.Add(1)
			} else if !errors.Is(err, authz.ErrConflict) {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if winners.Load() != 1 {
		t.Errorf("%d of 8 publishers of the same version succeeded, want 1", winners.Load())
	}
}

// statusPublishRacesEnding lets sessions end while a publisher works: each is
// published once, and none is lost.
func statusPublishRacesEnding(t *testing.T, store Store) {
	const sessions = 20
	userID := withFamilies(t, store, "alice", 0, sessions)
	var group sync.WaitGroup
	var ending atomic.Int32
	for n := range sessions {
		ending.Add(1)
		group.Go(func() {
			defer ending.Add(-1)
			if _, err := store.EndSessions(t.Context(), authz.Ending{SessionID: SampleFamily(userID, n).SessionID, Cause: authz.CauseAdmin, Now: T0}); err != nil {
				t.Error(err)
			}
		})
	}
	var published []uint32
	for version := int64(0); ; version++ {
		last := ending.Load() == 0
		due := dueOf(t, store, "sessions-1")
		if last && len(due.Ended) == 0 {
			break
		}
		must(t, store.PublishStatusList(t.Context(), samplePublication("sessions-1", version, version+1, due.Ended...)))
		published = append(published, due.Ended...)
	}
	group.Wait()
	slices.Sort(published)
	if len(published) != sessions || len(slices.Compact(published)) != sessions {
		t.Errorf("published %v, want each of %d once", published, sessions)
	}
}

func statusDue(t *testing.T, store Store) {
	for i, id := range []string{"c", "a", "b"} {
		withList(t, store, id, authz.StatusSessions)
		must(t, store.PublishStatusList(t.Context(), samplePublication(id, 0, int64(10*(3-i)))))
	}
	withList(t, store, "new", authz.StatusClients)
	ids := func(query authz.StatusQuery) (ids []string) {
		t.Helper()
		due, err := store.DueStatusLists(t.Context(), query)
		must(t, err)
		for _, list := range due {
			ids = append(ids, list.ID)
		}
		return ids
	}
	same(t, "due that expire within 20 s", []string{"new", "b"}, ids(authz.StatusQuery{ExpiresBefore: T0.Add(20 * time.Second), Lists: 10}))
	same(t, "due that expire within 21 s", []string{"new", "b", "a"}, ids(authz.StatusQuery{ExpiresBefore: T0.Add(21 * time.Second), Lists: 10}))
	same(t, "the first two", []string{"new", "b"}, ids(authz.StatusQuery{ExpiresBefore: T0.Add(time.Hour), Lists: 2}))
	same(t, "those after them", []string{"a", "c"}, ids(authz.StatusQuery{ExpiresBefore: T0.Add(time.Hour), AfterVersion: 10, AfterID: "b", Lists: 10}))
	if due := ids(authz.StatusQuery{Lists: 10}); len(due) != 0 {
		t.Errorf("without a bound %v are due, want none", due)
	}
}

func statusRetire(t *testing.T, store Store) {
	userID := withFamilies(t, store, "alice", 0, 1)
	withList(t, store, "empty", authz.StatusSessions)
	withList(t, store, "clients-1", authz.StatusClients)
	lease, err := store.LeaseIndexes(t.Context(), authz.LeaseRequest{Kind: authz.StatusSessions, Count: 4, Now: T0, NewList: authz.Lease{List: "open", Key: []byte{1}, Capacity: 8, End: 4}})
	must(t, err)
	same(t, "the list that is opened", "open", lease.List)
	ended := authz.StatusRef{List: "empty", Index: 3}
	must(t, store.UpdateClient(t.Context(), SampleClient("app"), ended, AnyEvent()))
	left := func(what string, before time.Time, want ...string) {
		t.Helper()
		if _, err := store.Purge(t.Context(), authz.PurgeLimits{ListsBefore: before, Limit: 10}); err != nil {
			t.Fatal(err)
		}
		versions, err := store.StatusListVersions(t.Context())
		must(t, err)
		there := []string{}
		for id := range versions {
			there = append(there, id)
		}
		slices.Sort(there)
		same(t, what, want, there)
	}
	left("while somebody may hold a lease", T0, "clients-1", "empty", "open", "sessions-1")
	left("when the leases are over", T0.Add(time.Second), "clients-1", "open", "sessions-1")
	if due := dueOf(t, store, "empty"); due.ID != "" {
		t.Errorf("a list that has retired is due: %+v", due)
	}
	// The last entries of a list are leased later than it was opened.
	later, err := store.LeaseIndexes(t.Context(), authz.LeaseRequest{Kind: authz.StatusSessions, Count: 4, Now: T0.Add(time.Minute)})
	if err != nil || later.List != "open" {
		t.Fatalf("LeaseIndexes = %+v, %v", later, err)
	}
	left("just leased", T0.Add(time.Minute), "clients-1", "open", "sessions-1")
	left("no longer leased", T0.Add(2*time.Minute), "clients-1", "sessions-1")
	if _, err := store.Purge(t.Context(), authz.PurgeLimits{FamiliesBefore: SampleFamily(userID, 0).AbsoluteExpiresAt.Add(time.Second), Limit: 10}); err != nil {
		t.Fatal(err)
	}
	left("when the last session is gone", T0.Add(time.Hour), "clients-1")
}
