package storage_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chancery/authz"
	"chancery/authz/authztest"
	"chancery/storage"
)

func event(id string) authz.Event {
	return authz.Event{ID: id, Kind: authz.EventLoginFailed, Time: authztest.T0}
}

// eventStore is a store whose writes can be made to fail.
type eventStore struct {
	*authztest.Memory
	mu       sync.Mutex
	failures int
	err      error
}

func (s *eventStore) AppendEvents(ctx context.Context, events []authz.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failures > 0 {
		s.failures--
		return s.err
	}
	return s.Memory.AppendEvents(ctx, events)
}

func (s *eventStore) count(t *testing.T) int {
	t.Helper()
	found, err := s.ListEvents(t.Context(), authz.EventFilter{Page: authz.Page{Limit: 100_000}})
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

func TestEventWriter(t *testing.T) {
	for _, test := range []struct {
		name          string
		failures      int
		err           error
		stored, drops int
	}{
		{"all are stored", 0, nil, 250, 0},
		{"a database that is down is waited for", 3, authz.ErrUnavailable, 250, 0},
		{"a batch that cannot be stored is dropped", 1, errors.New("broken"), 249, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &eventStore{Memory: authztest.NewMemory(), failures: test.failures, err: test.err}
				w := storage.NewEventWriter(store, slog.New(slog.DiscardHandler))
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- w.Run(ctx) }()
				w.Record(event("first")) // alone in its batch
				synctest.Wait()
				for i := range 249 {
					w.Record(event(fmt.Sprint("e", i)))
				}
				time.Sleep(time.Minute) // the bubble's clock: no real time passes
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
				if got := store.count(t); got != test.stored || w.Dropped() != int64(test.drops) {
					t.Errorf("%d events stored and %d dropped, want %d and %d", got, w.Dropped(), test.stored, test.drops)
				}
			})
		})
	}
}

func TestEventWriterStoresWhatWaitsWhenItEnds(t *testing.T) {
	store := &eventStore{Memory: authztest.NewMemory()}
	w := storage.NewEventWriter(store, slog.New(slog.DiscardHandler))
	for i := range 250 {
		w.Record(event(fmt.Sprint("e", i)))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if got := store.count(t); got != 250 {
		t.Errorf("%d events stored, want 250", got)
	}
}

func TestEventWriterIsBounded(t *testing.T) {
	w := storage.NewEventWriter(authztest.NewMemory(), slog.New(slog.DiscardHandler))
	for i := range 100_000 {
		w.Record(event(fmt.Sprint("e", i)))
	}
	if w.Dropped() < 90_000 {
		t.Errorf("%d of 100,000 events dropped with nobody writing, want most", w.Dropped())
	}
}

// TestEventWriterReportsWhatItDropped: a gap in the security log is not silent.
func TestEventWriterReportsWhatItDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		w := storage.NewEventWriter(authztest.NewMemory(), slog.New(slog.NewTextHandler(&log, nil)))
		for i := range 10_000 {
			w.Record(event(fmt.Sprint("e", i)))
		}
		dropped := w.Dropped()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if want := fmt.Sprintf(`msg="security events were dropped" count=%d`, dropped); strings.Count(log.String(), want) != 1 {
			t.Errorf("log = %s, want one line with %s", log.String(), want)
		}
	})
}

func TestEventWriterForgetsRepetitions(t *testing.T) {
	store := &eventStore{Memory: authztest.NewMemory()}
	w := storage.NewEventWriter(store, slog.New(slog.DiscardHandler))
	for i := range 1000 {
		repeated := event(fmt.Sprint("e", i))
		repeated.Once = "the same"
		w.Record(repeated)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if got := store.count(t); got != 1 || w.Dropped() != 0 {
		t.Errorf("%d events stored and %d dropped, want 1 and 0", got, w.Dropped())
	}
}
