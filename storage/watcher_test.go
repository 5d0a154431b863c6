package storage_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"chancery/authz"
	"chancery/authz/authztest"
	"chancery/keys"
	"chancery/storage"
)

// watch runs a watcher on db until the test ends and returns the channels on
// which it reports.
func watch(t *testing.T, db *storage.DB, edit func(*storage.Watcher)) (w *storage.Watcher, registrations, keyChanges chan struct{}) {
	t.Helper()
	registrations, keyChanges = make(chan struct{}, 100), make(chan struct{}, 100)
	w = storage.NewWatcher(db, slog.New(slog.DiscardHandler), time.Now)
	w.Registrations = func(context.Context) error { registrations <- struct{}{}; return nil }
	w.Keys = func(context.Context) error { keyChanges <- struct{}{}; return nil }
	if edit != nil {
		edit(w)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		if err := w.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); group.Wait() })
	return w, registrations, keyChanges
}

func receive(t *testing.T, what string, from chan struct{}) {
	t.Helper()
	select {
	case <-from:
	case <-time.After(20 * time.Second):
		t.Fatalf("not within 20 s: %s", what)
	}
}

func TestWatcherHearsOtherConnections(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func(testing.TB) *storage.DB) {
		db := open(t)
		w, registrations, keyChanges := watch(t, db, nil)
		receive(t, "the first poll reports registrations", registrations)
		receive(t, "the first poll reports keys", keyChanges)
		if err := db.InsertClient(t.Context(), authztest.SampleClient("app"), authztest.AnyEvent()); err != nil {
			t.Fatal(err)
		}
		receive(t, "a new client", registrations)
		if err := db.SaveKeys(t.Context(), keys.Set{Version: 1, MasterSince: authztest.T0}, 0, nil); err != nil {
			t.Fatal(err)
		}
		receive(t, "a change of the keys", keyChanges)
		if !w.Fresh() {
			t.Error("a watcher that hears everything is not fresh")
		}
		if len(registrations) > 0 {
			t.Error("registrations were reported without a change")
		}
	})
}

// What ends a session on one node, or on the command line, is heard by those
// that can publish it, and what they publish by all.
func TestWatcherHearsOfStatusLists(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func(testing.TB) *storage.DB) {
		db := open(t) // of which the watcher has a connection of its own
		due, published, own := make(chan struct{}, 1000), make(chan struct{}, 100), make(chan struct{}, 100)
		db.OnStatusChange = func() { own <- struct{}{} }
		watch(t, db, func(w *storage.Watcher) {
			w.StatusDue = func() { due <- struct{}{} }
			w.StatusLists = func(context.Context) error { published <- struct{}{}; return nil }
		})
		receive(t, "the first poll", published)
		lease, err := db.LeaseIndexes(t.Context(), authz.LeaseRequest{Kind: authz.StatusClients, Count: 1, NewList: authz.Lease{List: "one", Key: []byte{1}, Capacity: 8, End: 1}})
		if err != nil {
			t.Fatal(err)
		}
		receive(t, "a new list is to be published", due)
		receive(t, "a new list, on the node itself", own)
		publish := func(before int64) {
			t.Helper()
			lists, err := db.DueStatusLists(t.Context(), authz.StatusQuery{Lists: 10, Entries: 10})
			if err != nil {
				t.Fatal(err)
			}
			p := authz.StatusPublication{SignedStatusList: authz.SignedStatusList{ID: lease.List, Version: before + 1, Token: "t"}, Before: before, Bits: []byte{1}}
			for _, list := range lists {
				p.Ended = append(p.Ended, list.Ended...)
			}
			if err := db.PublishStatusList(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
		publish(0)
		receive(t, "a published list", published)
		client := authztest.SampleClient("app")
		if err := db.InsertClient(t.Context(), client, authztest.AnyEvent()); err != nil {
			t.Fatal(err)
		}
		for len(due) > 0 {
			<-due
		}
		if err := db.UpdateClient(t.Context(), client, authz.StatusRef{List: lease.List, Index: 3}, authztest.AnyEvent()); err != nil {
			t.Fatal(err)
		}
		receive(t, "an entry that has ended", due)
		receive(t, "an entry that has ended, on the node itself", own)
		publish(1)
		receive(t, "its publication", published)
		_, err = db.LeaseIndexes(t.Context(), authz.LeaseRequest{Kind: authz.StatusSessions, Count: 8, Now: authztest.T0, NewList: authz.Lease{List: "full", Key: []byte{1}, Capacity: 8, End: 8}})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := db.Purge(t.Context(), authz.PurgeLimits{ListsBefore: authztest.T0.Add(time.Hour), Limit: 10}); err != nil || n != 1 {
			t.Fatalf("Purge = %d, %v, want the full list gone", n, err)
		}
		receive(t, "a list that has retired", published)
	})
}

func TestWatcherRepeatsWhatFailed(t *testing.T) {
	db := sqlite(t)
	calls := make(chan struct{}, 100)
	failed := false
	watch(t, db, func(w *storage.Watcher) {
		w.Registrations = func(context.Context) error {
			calls <- struct{}{}
			if !failed {
				failed = true
				return errors.New("not yet")
			}
			return nil
		}
	})
	receive(t, "the first call, which fails", calls)
	receive(t, "the second call", calls)
}

func TestWatcherKeysThatCannotBeLoadedDoNotStopRegistrations(t *testing.T) {
	db := sqlite(t)
	keyCalls := make(chan struct{}, 100)
	w, registrations, _ := watch(t, db, func(w *storage.Watcher) {
		w.Keys = func(context.Context) error {
			select {
			case keyCalls <- struct{}{}:
			default:
			}
			return errors.New("sealed under another master key")
		}
	})
	receive(t, "the first registrations", registrations)
	receive(t, "keys that cannot be loaded", keyCalls)
	receive(t, "keys again", keyCalls)
	if !w.Fresh() {
		t.Error("registrations are not fresh because keys cannot be loaded")
	}
}

func TestWatcherThatHearsNothingIsNotFresh(t *testing.T) {
	db := sqlite(t)
	if w := storage.NewWatcher(db, slog.New(slog.DiscardHandler), time.Now); w.Fresh() {
		t.Error("a watcher that never polled is fresh")
	}
}
