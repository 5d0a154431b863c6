package authztest

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chancery/authz"
)

func denylist(t *testing.T, store Store) {
	denied := func(id string) bool {
		t.Helper()
		ok, err := store.Denied(t.Context(), id)
		must(t, err)
		return ok
	}
	if denied("a") {
		t.Error("an unknown token is denied")
	}
	must(t, store.Deny(t.Context(), "a", T0))
	must(t, store.Deny(t.Context(), "a", T0.Add(time.Hour)))
	if !denied("a") || denied("b") {
		t.Error("want a denied and b not")
	}
}

func usedIDs(t *testing.T, store Store) {
	hash := authz.HashSecret("id")
	var winners atomic.Int32
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			switch err := store.UseID(t.Context(), hash, T0.Add(time.Minute)); {
			case err == nil:
				winners.Add(1)
			case !errors.Is(err, authz.ErrConflict):
				t.Errorf("UseID = %v, want nil or ErrConflict", err)
			}
		})
	}
	group.Wait()
	if winners.Load() != 1 {
		t.Errorf("%d callers used the same id, want one", winners.Load())
	}
	must(t, store.UseID(t.Context(), authz.HashSecret("another"), T0.Add(time.Hour)))
	n, err := store.Purge(t.Context(), authz.PurgeLimits{UsedBefore: T0.Add(2 * time.Minute), Limit: 10})
	if must(t, err); n != 1 {
		t.Errorf("Purge deleted %d ids, want the one that is over", n)
	}
	must(t, store.UseID(t.Context(), hash, T0.Add(time.Hour)))
	want(t, "UseID of one that is kept", store.UseID(t.Context(), authz.HashSecret("another"), T0), authz.ErrConflict)
}
