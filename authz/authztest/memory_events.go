package authztest

import (
	"context"
	"slices"
	"time"

	"chancery/authz"
)

// AppendEvents implements authz.EventStore.
func (m *Memory) AppendEvents(ctx context.Context, events []authz.Event) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "AppendEvents"); err != nil {
		return err
	}
	for _, event := range events {
		m.append(event)
	}
	return nil
}

// ListEvents implements authz.EventStore.
func (m *Memory) ListEvents(ctx context.Context, filter authz.EventFilter) ([]authz.Event, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "ListEvents"); err != nil {
		return nil, err
	}
	all := slices.DeleteFunc(slices.Clone(m.events), func(e authz.Event) bool {
		return (filter.Kind != "" && e.Kind != filter.Kind) || (filter.UserID != "" && e.UserID != filter.UserID) ||
			(filter.ClientID != "" && e.ClientID != filter.ClientID) || (filter.SessionID != "" && e.SessionID != filter.SessionID) ||
			(filter.Actor != "" && e.Actor != filter.Actor) || (filter.Target != "" && e.Target != filter.Target) ||
			(!filter.From.IsZero() && e.Time.Before(filter.From)) || (!filter.Until.IsZero() && !e.Time.Before(filter.Until))
	})
	slices.SortFunc(all, func(a, b authz.Event) int { return newestFirst(a.Time, b.Time, a.ID, b.ID) })
	return page(all, filter.Page, func(e authz.Event) (time.Time, string) { return e.Time, e.ID }), nil
}
