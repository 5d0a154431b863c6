package authztest

import (
	"fmt"
	"sync"
	"testing"

	"chancery/authz"
)

func indexes(t *testing.T, store Store) {
	const writers, each = 10, 6
	var mu sync.Mutex
	seen := map[string]bool{}
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			for j := range each {
				kind := authz.StatusSessions
				if j%3 == 0 {
					kind = authz.StatusClients
				}
				lease, err := store.LeaseIndexes(t.Context(), authz.LeaseRequest{Kind: kind, Count: 4, Now: T0, NewList: authz.Lease{
					List: fmt.Sprintf("%s-%d-%d", kind, i, j), Key: []byte{byte(i), byte(j)}, Capacity: 16, End: 4,
				}})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if lease.End != lease.Next+4 || lease.End > lease.Capacity || len(lease.Key) != 2 {
					t.Errorf("lease = %+v", lease)
				}
				for counter := lease.Next; counter < lease.End; counter++ {
					entry := fmt.Sprintf("%s/%d", lease.List, counter)
					if seen[entry] {
						t.Errorf("counter %s was given twice", entry)
					}
					seen[entry] = true
				}
				if lease.List[:len(kind)] != string(kind) {
					t.Errorf("a %s counter comes from list %s", kind, lease.List)
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if len(seen) != writers*each*4 {
		t.Errorf("%d counters were given, want %d", len(seen), writers*each*4)
	}
}
