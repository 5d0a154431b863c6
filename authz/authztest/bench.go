package authztest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"chancery/authz"
)

// Load stores a user with n sessions, SampleFamily 0 to n-1.
func Load(t testing.TB, store Store, n int) {
	t.Helper()
	userID := withUser(t, store, "load")
	for i := range n {
		must(t, store.InsertFamily(t.Context(), SampleFamily(userID, i), 1))
	}
}

// Rotate rotates SampleFamily n from the generation, with a device of its own.
func Rotate(ctx context.Context, store Store, n int, generation uint64) error {
	now := T0.Add(time.Minute)
	_, err := store.Rotate(ctx, authz.Swap{
		HandleHash: SampleHash(n), ClientID: "app", Generation: generation, Now: now, IdleExpiresAt: now.Add(time.Hour),
		Device: authz.Device{Address: "192.0.2.9", UserAgent: fmt.Sprint("agent ", generation)}, KeyThumbprint: "key",
	})
	return err
}

// hotSessions is how many sessions Bench rotates in turn.
const hotSessions = 16

// Bench measures the one statement of a refresh.
func Bench(b *testing.B, open func(b testing.TB) Store) {
	store := open(b)
	Load(b, store, hotSessions)
	generations := make([]uint64, hotSessions)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		n := i % hotSessions
		must(b, Rotate(b.Context(), store, n, generations[n]))
		generations[n]++
	}
}

// BenchMany measures rotations that so many callers make at once, each of a session
// of its own: what one rotation costs of the time of all.
func BenchMany(b *testing.B, callers int, open func(b testing.TB) Store) {
	store := open(b)
	Load(b, store, callers)
	b.ReportAllocs()
	b.ResetTimer()
	var group sync.WaitGroup
	for n := range callers {
		group.Go(func() {
			for generation := range (b.N + callers - 1 - n) / callers {
				if err := Rotate(b.Context(), store, n, uint64(generation)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}
