package storage_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"chancery/authz"
	"chancery/authz/authztest"
	"chancery/storage"
)

// TestEventsAreToldOnceCommitted: whoever listens hears of what is stored, and
// of nothing else.
func TestEventsAreToldOnceCommitted(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func(testing.TB) *storage.DB) {
		db := open(t)
		var told []string
		db.OnEvents = func(ctx context.Context, events []authz.Event) {
			for _, event := range events {
				told = append(told, event.ID)
				// It is there for every other connection.
				stored, err := db.ListEvents(ctx, authz.EventFilter{Kind: event.Kind, Page: authz.Page{Limit: 10}})
				if err != nil || !slices.ContainsFunc(stored, func(e authz.Event) bool { return e.ID == event.ID }) {
					t.Errorf("event %s was told before it was stored: %v", event.ID, err)
				}
			}
		}
		event := func(id string) authz.Event {
			return authz.Event{ID: id, Time: authztest.T0, Kind: authz.EventKind("kind " + id)}
		}
		alice := authztest.SampleUser("alice")
		if err := db.InsertUser(t.Context(), alice, event("one")); err != nil {
			t.Fatal(err)
		}
		if err := db.InsertUser(t.Context(), alice, event("two")); !errors.Is(err, authz.ErrConflict) {
			t.Fatalf("InsertUser of a taken name = %v", err)
		}
		if err := db.AppendEvents(t.Context(), []authz.Event{event("three"), event("four")}); err != nil {
			t.Fatal(err)
		}
		if want := []string{"one", "three", "four"}; !slices.Equal(told, want) {
			t.Errorf("told of %v, want %v", told, want)
		}
	})
}
