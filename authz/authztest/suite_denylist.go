package authztest

import (
	"testing"
	"time"
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
