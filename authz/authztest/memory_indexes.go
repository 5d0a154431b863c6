package authztest

import (
	"context"

	"chancery/authz"
)

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
