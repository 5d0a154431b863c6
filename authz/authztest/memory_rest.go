package authztest

import (
	"context"
	"slices"
	"time"

	"chancery/authz"
)

// Deny implements authz.DenyStore.
func (m *Memory) Deny(ctx context.Context, tokenID string, expires time.Time) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "Deny"); err != nil {
		return err
	}
	m.denied[tokenID] = expires
	return nil
}

// Denied implements authz.DenyStore.
func (m *Memory) Denied(ctx context.Context, tokenID string) (bool, error) {
	defer m.mu.Unlock()
	err := m.begin(ctx, "Denied")
	_, denied := m.denied[tokenID]
	return denied, err
}

// LeaseIndexes implements authz.IndexStore.
func (m *Memory) LeaseIndexes(ctx context.Context, request authz.LeaseRequest) (authz.Lease, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "LeaseIndexes"); err != nil {
		return authz.Lease{}, err
	}
	for i := range m.lists {
		if list := &m.lists[i]; m.kinds[i] == request.Kind && list.End+request.Count <= list.Capacity {
			lease := *list
			lease.Next, lease.End = list.End, list.End+request.Count
			list.End = lease.End
			return lease, nil
		}
	}
	m.lists, m.kinds = append(m.lists, request.NewList), append(m.kinds, request.Kind)
	return request.NewList, nil
}

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
			(filter.ClientID != "" && e.ClientID != filter.ClientID) || (filter.SessionID != "" && e.SessionID != filter.SessionID)
	})
	slices.SortFunc(all, func(a, b authz.Event) int { return newestFirst(a.Time, b.Time, a.ID, b.ID) })
	return page(all, filter.Page, func(e authz.Event) (time.Time, string) { return e.Time, e.ID }), nil
}

// AcquireLease implements authz.PurgeStore.
func (m *Memory) AcquireLease(ctx context.Context, name, holder string, now, until time.Time) (bool, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "AcquireLease"); err != nil {
		return false, err
	}
	if held, ok := m.leases[name]; ok && held.holder != holder && now.Before(held.until) {
		return false, nil
	}
	m.leases[name] = workLease{holder: holder, until: until}
	return true, nil
}

// Purge implements authz.PurgeStore.
func (m *Memory) Purge(ctx context.Context, limits authz.PurgeLimits) (int, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "Purge"); err != nil {
		return 0, err
	}
	families, denied, events := 0, 0, 0
	for hash, family := range m.families {
		if family.AbsoluteExpiresAt.Before(limits.FamiliesBefore) && families < limits.Limit {
			delete(m.families, hash)
			families++
		}
	}
	for id, expires := range m.denied {
		if expires.Before(limits.DeniedBefore) && denied < limits.Limit {
			delete(m.denied, id)
			denied++
		}
	}
	m.events = slices.DeleteFunc(m.events, func(e authz.Event) bool {
		old := e.Time.Before(limits.EventsBefore) && events < limits.Limit
		if old {
			events++
			delete(m.once, e.Once)
		}
		return old
	})
	return families + denied + events, nil
}
