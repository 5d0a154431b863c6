package storage_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

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
		if err := db.InsertClient(t.Context(), authztest.SampleClient("app")); err != nil {
			t.Fatal(err)
		}
		receive(t, "a new client", registrations)
		if err := db.SaveKeys(t.Context(), keys.Set{Version: 1, MasterSince: authztest.T0}, 0); err != nil {
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
