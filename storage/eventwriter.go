package storage

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"chancery/authz"

	"github.com/maypok86/otter/v2"
)

// EventWriter writes events behind the requests that cause them, in batches.
// It satisfies authz.EventSink. When the database is too slow or down, events
// wait in a bounded queue, and what does not fit is dropped, counted and
// reported in the log.
type EventWriter struct {
	store   authz.EventStore
	log     *slog.Logger
	queue   chan authz.Event
	dropped atomic.Int64
	// seen spares the database the repetitions of a stranger.
	seen *otter.Cache[string, struct{}]
}

const (
	eventQueue   = 4096
	eventsSeen   = 10_000
	eventTimeout = 10 * time.Second
	eventPause   = time.Second
)

// NewEventWriter returns a writer to store. Nothing is written before Run.
func NewEventWriter(store authz.EventStore, log *slog.Logger) *EventWriter {
	return &EventWriter{
		store: store, log: log, queue: make(chan authz.Event, eventQueue),
		seen: otter.Must(&otter.Options[string, struct{}]{MaximumSize: eventsSeen}),
	}
}

// Record implements authz.EventSink. It never blocks.
func (w *EventWriter) Record(event authz.Event) {
	if event.Once != "" {
		if _, added := w.seen.SetIfAbsent(event.Once, struct{}{}); !added {
			return
		}
	}
	select {
	case w.queue <- event:
	default:
		w.dropped.Add(1)
	}
}

// Dropped returns how many events were lost: they did not fit into the queue,
// or the database refused them.
func (w *EventWriter) Dropped() int64 { return w.dropped.Load() }

// Run writes events until ctx ends, then what is still queued. A batch that
// cannot be written is tried again until ctx ends.
func (w *EventWriter) Run(ctx context.Context) error {
	var reported int64
	for {
		select {
		case event := <-w.queue:
			w.write(ctx, w.batch(event))
			if dropped := w.Dropped(); dropped > reported {
				w.log.Error("security events were dropped", "count", dropped-reported)
				reported = dropped
			}
		case <-ctx.Done():
			return w.drain(context.WithoutCancel(ctx))
		}
	}
}

// batch returns first and what else waits, up to one batch.
func (w *EventWriter) batch(first authz.Event) []authz.Event {
	events := []authz.Event{first}
	for len(events) < eventBatch {
		select {
		case event := <-w.queue:
			events = append(events, event)
		default:
			return events
		}
	}
	return events
}

func (w *EventWriter) write(ctx context.Context, events []authz.Event) {
	for {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), eventTimeout)
		err := w.store.AppendEvents(bounded, events)
		cancel()
		if err == nil {
			return
		}
		w.log.Error("security events not written", "count", len(events), "error", err)
		if ctx.Err() != nil || !errors.Is(err, authz.ErrUnavailable) {
			w.dropped.Add(int64(len(events)))
			return
		}
		select {
		case <-time.After(eventPause):
		case <-ctx.Done():
		}
	}
}

func (w *EventWriter) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, eventTimeout)
	defer cancel()
	for {
		select {
		case event := <-w.queue:
			if err := w.store.AppendEvents(ctx, w.batch(event)); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}
