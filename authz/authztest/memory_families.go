package authztest

import (
	"context"
	"maps"
	"slices"
	"time"

	"chancery/authz"
)

// Rotate implements authz.FamilyStore.
func (m *Memory) Rotate(ctx context.Context, swap authz.Swap) (authz.Family, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "Rotate"); err != nil {
		return authz.Family{}, err
	}
	family, ok := m.families[swap.HandleHash]
	if !ok || family.ClientID != swap.ClientID || family.Generation != swap.Generation || family.State(swap.Now) != "" ||
		(family.KeyThumbprint != "" && family.KeyThumbprint != swap.KeyThumbprint) {
		return authz.Family{}, authz.ErrNotFound
	}
	return m.swap(family, swap, swap.Generation+1), nil
}

func (m *Memory) swap(family authz.Family, swap authz.Swap, generation uint64) authz.Family {
	family.Generation, family.RotatedAt, family.IdleExpiresAt, family.Device = generation, swap.Now, swap.IdleExpiresAt, swap.Device
	m.families[family.HandleHash] = family
	return family
}

// FamilyByHandle implements authz.FamilyStore.
func (m *Memory) FamilyByHandle(ctx context.Context, hash authz.Hash) (authz.Family, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "FamilyByHandle"); err != nil {
		return authz.Family{}, err
	}
	family, ok := m.families[hash]
	if !ok {
		return authz.Family{}, authz.ErrNotFound
	}
	return family, nil
}

// FamilyBySession implements authz.FamilyStore.
func (m *Memory) FamilyBySession(ctx context.Context, sessionID string) (authz.Family, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "FamilyBySession"); err != nil {
		return authz.Family{}, err
	}
	return m.bySession(sessionID)
}

func (m *Memory) bySession(sessionID string) (authz.Family, error) {
	for _, family := range m.families {
		if family.SessionID == sessionID {
			return family, nil
		}
	}
	return authz.Family{}, authz.ErrNotFound
}

// Forgive implements authz.FamilyStore.
func (m *Memory) Forgive(ctx context.Context, f authz.Forgiveness) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "Forgive"); err != nil {
		return err
	}
	family, err := m.bySession(f.SessionID)
	if err != nil || family.Generation != f.Generation || family.LostGeneration == f.Generation || family.LostCount != f.Before || !family.RevokedAt.IsZero() {
		return authz.ErrConflict
	}
	family.LostGeneration, family.LostCount, family.LostSince = f.Generation, f.Count, f.Since
	m.families[family.HandleHash] = family
	m.append(f.Event)
	return nil
}

// Restore implements authz.FamilyStore.
func (m *Memory) Restore(ctx context.Context, r authz.Restoration) (authz.Family, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "Restore"); err != nil {
		return authz.Family{}, err
	}
	family, ok := m.families[r.HandleHash]
	if !ok || family.ClientID != r.ClientID || family.Generation != r.Generation || family.State(r.Now) != "" {
		return authz.Family{}, authz.ErrConflict
	}
	m.append(r.Event)
	return m.swap(family, r.Swap, r.Next), nil
}

// ListSessions implements authz.SessionStore.
func (m *Memory) ListSessions(ctx context.Context, filter authz.SessionFilter) ([]authz.Family, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "ListSessions"); err != nil {
		return nil, err
	}
	all := slices.SortedFunc(maps.Values(m.families), func(a, b authz.Family) int {
		return newestFirst(a.CreatedAt, b.CreatedAt, a.SessionID, b.SessionID)
	})
	all = slices.DeleteFunc(all, func(f authz.Family) bool {
		return (filter.UserID != "" && f.UserID != filter.UserID) || (filter.ClientID != "" && f.ClientID != filter.ClientID) ||
			(filter.Live && f.State(filter.Now) != "")
	})
	return page(all, filter.Page, func(f authz.Family) (time.Time, string) { return f.CreatedAt, f.SessionID }), nil
}

// EndSessions implements authz.SessionStore.
func (m *Memory) EndSessions(ctx context.Context, ending authz.Ending) (int, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "EndSessions"); err != nil {
		return 0, err
	}
	return m.endSessions(ending), nil
}

func (m *Memory) endSessions(ending authz.Ending) int {
	if user, ok := m.users[ending.UserID]; ok && ending.OfUser() {
		user.ConsoleEpoch++
		m.users[user.ID] = user
	}
	m.takeBackGrants(ending)
	n, spared := 0, m.newest(ending)
	var ended []authz.Family
	for hash, family := range m.families {
		if ending.Trim && (spared[family.SessionID] || family.State(ending.Now) != "") {
			continue
		}
		if !m.selected(ending, family) || family.SessionID == ending.Except || !family.RevokedAt.IsZero() || (ending.Limit > 0 && n == ending.Limit) {
			continue
		}
		family.RevokedAt, family.RevokedCause = ending.Now, ending.Cause
		m.families[hash] = family
		m.endStatus(family.Status)
		m.append(ending.Event(family.SessionID, family.UserID, family.ClientID))
		ended = append(ended, family)
		n++
	}
	m.afterEnding(ending, ended)
	if _, ok := m.users[ending.UserID]; ok && ending.OfUser() && n == 0 && ending.Cause == authz.CauseAdmin {
		event := ending.Event("", ending.UserID, authz.ConsoleClientID)
		event.Detail = "those in the console, if there were any"
		m.append(event)
	}
	return n
}

func (m *Memory) selected(ending authz.Ending, family authz.Family) bool {
	if family.Scope.Has(ending.Spare) {
		return false
	}
	ofUser, ofClient := family.UserID == ending.UserID, family.ClientID == ending.ClientID
	switch {
	case ending.SessionID != "":
		return family.SessionID == ending.SessionID
	case ending.BrowserID != "":
		return m.begun[family.SessionID] == ending.BrowserID
	case ending.UserID != "":
		return ofUser && (ofClient || ending.ClientID == "")
	case ending.ClientID != "":
		return ofClient
	}
	return ending.All && !family.CreatedAt.After(ending.Now)
}

// newest returns the sessions that an ending with Keep spares.
func (m *Memory) newest(ending authz.Ending) map[string]bool {
	var live []authz.Family
	for _, family := range m.families {
		if family.UserID == ending.UserID && family.State(ending.Now) == "" {
			live = append(live, family)
		}
	}
	slices.SortFunc(live, func(a, b authz.Family) int { return newestFirst(a.CreatedAt, b.CreatedAt, a.SessionID, b.SessionID) })
	spared := map[string]bool{}
	for _, family := range live[:min(ending.Keep, len(live))] {
		spared[family.SessionID] = true
	}
	return spared
}
