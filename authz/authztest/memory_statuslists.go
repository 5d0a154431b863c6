package authztest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"chancery/authz"
)

// statusList is one list with what was published of it.
type statusList struct {
	authz.Lease
	kind            authz.StatusKind
	created, leased time.Time
	signed          authz.SignedStatusList
	bits            []byte
}

// LeaseIndexes implements authz.IndexStore.
func (m *Memory) LeaseIndexes(ctx context.Context, request authz.LeaseRequest) (authz.Lease, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "LeaseIndexes"); err != nil {
		return authz.Lease{}, err
	}
	for _, list := range m.lists {
		if list.kind == request.Kind && list.End+request.Count <= list.Capacity {
			lease := list.Lease
			lease.Next, lease.End = list.End, list.End+request.Count
			list.End, list.leased = lease.End, request.Now
			return lease, nil
		}
	}
	m.lists = append(m.lists, &statusList{Lease: request.NewList, kind: request.Kind, created: request.Now, leased: request.Now})
	return request.NewList, nil
}

// endStatus remembers an entry that the next version of its list shows.
func (m *Memory) endStatus(ref authz.StatusRef) {
	if ref.List != "" {
		m.ended[ref] = true
	}
}

// StatusListVersions implements authz.StatusListStore.
func (m *Memory) StatusListVersions(ctx context.Context) (map[string]int64, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "StatusListVersions"); err != nil {
		return nil, err
	}
	versions := map[string]int64{}
	for _, list := range m.lists {
		versions[list.List] = list.signed.Version
	}
	return versions, nil
}

// SignedStatusLists implements authz.StatusListStore.
func (m *Memory) SignedStatusLists(ctx context.Context, ids []string) ([]authz.SignedStatusList, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "SignedStatusLists"); err != nil {
		return nil, err
	}
	var signed []authz.SignedStatusList
	for _, list := range m.lists {
		if slices.Contains(ids, list.List) && list.signed.Version > 0 {
			signed = append(signed, list.signed)
		}
	}
	return signed, nil
}

// DueStatusLists implements authz.StatusListStore.
func (m *Memory) DueStatusLists(ctx context.Context, query authz.StatusQuery) ([]authz.DueStatusList, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "DueStatusLists"); err != nil {
		return nil, err
	}
	var due []authz.DueStatusList
	for _, list := range m.lists {
		var ended []uint32
		for _, ref := range slices.SortedFunc(maps.Keys(m.ended), func(a, b authz.StatusRef) int { return cmp.Compare(a.Index, b.Index) }) {
			if ref.List == list.List {
				ended = append(ended, ref.Index)
			}
		}
		if list.signed.ExpiresAt.Before(query.ExpiresBefore) || len(ended) > 0 {
			due = append(due, authz.DueStatusList{
				ID: list.List, Capacity: list.Capacity, Version: list.signed.Version, ExpiresAt: list.signed.ExpiresAt, Bits: list.bits, Ended: ended[:min(len(ended), query.Entries)],
			})
		}
	}
	order := func(a, b authz.DueStatusList) int {
		return cmp.Or(cmp.Compare(a.Version, b.Version), cmp.Compare(a.ID, b.ID))
	}
	after := authz.DueStatusList{ID: query.AfterID, Version: query.AfterVersion}
	due = slices.DeleteFunc(due, func(list authz.DueStatusList) bool { return query.AfterID != "" && order(list, after) <= 0 })
	slices.SortFunc(due, order)
	return due[:min(len(due), query.Lists)], nil
}

// PublishStatusList implements authz.StatusListStore.
func (m *Memory) PublishStatusList(ctx context.Context, p authz.StatusPublication) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "PublishStatusList"); err != nil {
		return err
	}
	for _, list := range m.lists {
		if list.List == p.ID && list.signed.Version == p.Before {
			list.signed, list.bits = p.SignedStatusList, p.Bits
			for _, index := range p.Ended {
				delete(m.ended, authz.StatusRef{List: p.ID, Index: index})
			}
			return nil
		}
	}
	return authz.ErrConflict
}

// retireLists deletes lists of sessions that are full and have none left.
func (m *Memory) retireLists(limits authz.PurgeLimits) int {
	retired := 0
	m.lists = slices.DeleteFunc(m.lists, func(list *statusList) bool {
		over := list.kind == authz.StatusSessions && list.End >= list.Capacity && list.created.Before(limits.ListsBefore) && list.leased.Before(limits.ListsBefore)
		for _, family := range m.families {
			over = over && family.Status.List != list.List
		}
		if !over || retired == limits.Limit {
			return false
		}
		maps.DeleteFunc(m.ended, func(ref authz.StatusRef, _ bool) bool { return ref.List == list.List })
		retired++
		return true
	})
	return retired
}
