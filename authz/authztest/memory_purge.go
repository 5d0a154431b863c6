package authztest

import (
	"context"
	"slices"
	"time"

	"chancery/authz"
)

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
	families, denied, events, confirmations := 0, 0, 0, 0
	for hash, family := range m.families {
		if family.AbsoluteExpiresAt.Before(limits.FamiliesBefore) && families < limits.Limit {
			delete(m.families, hash)
			delete(m.begun, family.SessionID)
			families++
		}
	}
	for id, expires := range m.denied {
		if expires.Before(limits.DeniedBefore) && denied < limits.Limit {
			delete(m.denied, id)
			denied++
		}
	}
	for hash, c := range m.confirmations {
		if c.ExpiresAt.Before(limits.ConfirmationsBefore) && confirmations < limits.Limit {
			delete(m.confirmations, hash)
			confirmations++
		}
	}
	browsers := purgeRows(m.browsers, limits.Limit, func(s authz.BrowserSession) bool { return s.ExpiresAt.Before(limits.BrowsersBefore) }) +
		purgeRows(m.codes, limits.Limit, func(c authz.AuthorizationCode) bool { return c.ExpiresAt.Before(limits.CodesBefore) }) +
		purgeRows(m.pushed, limits.Limit, func(p authz.PushedRequest) bool { return p.ExpiresAt.Before(limits.PushedBefore) })
	browsers += purgeRows(m.devices, limits.Limit, func(d authz.DeviceGrant) bool { return d.ExpiresAt.Before(limits.DevicesBefore) })
	browsers += purgeRows(m.used, limits.Limit, func(expires time.Time) bool { return expires.Before(limits.UsedBefore) })
	browsers += m.purgeStrangers(limits)
	minutes := 0
	for key := range m.activity {
		if time.UnixMilli(key.minute).Before(limits.ActivityBefore) && minutes < limits.Limit {
			delete(m.activity, key)
			minutes++
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
	return families + denied + events + confirmations + minutes + browsers + m.retireLists(limits), nil
}

func (m *Memory) purgeStrangers(limits authz.PurgeLimits) int {
	used := map[string]bool{}
	for key := range m.consents {
		used[key[1]] = true
	}
	for _, family := range m.families {
		used[family.ClientID] = true
	}
	deleted := 0
	for id, client := range m.clients {
		own := client.Origin != authz.OriginDynamic && client.Origin != authz.OriginDocument
		if own || used[id] || !client.DisabledAt.IsZero() || !client.UpdatedAt.Before(limits.StrangersBefore) || deleted == limits.Limit {
			continue
		}
		delete(m.clients, id)
		deleted++
	}
	return deleted
}

// purgeRows deletes at most limit rows that are over, and returns how many.
func purgeRows[V any](rows map[authz.Hash]V, limit int, over func(V) bool) int {
	n := 0
	for hash, row := range rows {
		if n < limit && over(row) {
			delete(rows, hash)
			n++
		}
	}
	return n
}
