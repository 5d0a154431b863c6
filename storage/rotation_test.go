package storage_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"chancery/authz"
	"chancery/authz/authztest"
	"chancery/storage"
	"chancery/storage/pgtest"
)

// withSessions stores a user with n sessions.
func withSessions(t testing.TB, db *storage.DB, n int) {
	t.Helper()
	user := authztest.SampleUser("load")
	if err := db.InsertUser(t.Context(), user, authz.Event{ID: "created", Kind: authz.EventUserCreated, Time: authztest.T0}); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := db.InsertFamily(t.Context(), authztest.SampleFamily(user.ID, i), 1); err != nil {
			t.Fatal(err)
		}
	}
}

func rotate(ctx context.Context, db *storage.DB, n int, generation uint64) error {
	now := authztest.T0.Add(time.Minute)
	_, err := db.Rotate(ctx, authz.Swap{
		HandleHash: authztest.SampleHash(n), ClientID: "app", Generation: generation, Now: now, IdleExpiresAt: now.Add(time.Hour),
		Device: authz.Device{Address: "192.0.2.9", UserAgent: fmt.Sprint("agent ", generation)},
	})
	return err
}

// TestRotationsAreHOT requires that rotations stay heap-only updates: an
// update that touches an index would grow all of them with every refresh.
func TestRotationsAreHOT(t *testing.T) {
	url := pgtest.URL(t)
	db := open(t, url)
	const sessions, rotations = 1000, 20_000
	withSessions(t, db, sessions)
	generations := make([]uint64, sessions)
	for range rotations {
		n := rand.IntN(sessions)
		if err := rotate(t.Context(), db, n, generations[n]); err != nil {
			t.Fatal(err)
		}
		generations[n]++
	}
	raw, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = raw.Close() }()
	var updates, hot int64
	// Statistics arrive when a session is idle or ends.
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for updates < rotations && time.Now().Before(deadline) {
		err := raw.QueryRowContext(t.Context(), "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'refresh_families' AND schemaname = current_schema()").Scan(&updates, &hot)
		if err != nil {
			t.Fatal(err)
		}
	}
	if updates < rotations || hot*100 < updates*95 {
		t.Errorf("%d of %d updates were HOT, want at least 95 %% of %d", hot, updates, rotations)
	}
}

// BenchmarkRotate measures the one statement of a refresh.
func BenchmarkRotate(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *storage.DB{"sqlite": sqlite, "postgres": postgres} {
		b.Run(name, func(b *testing.B) {
			db := open(b)
			withSessions(b, db, 16)
			generations := make([]uint64, 16)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				n := i % len(generations)
				if err := rotate(b.Context(), db, n, generations[n]); err != nil {
					b.Fatal(err)
				}
				generations[n]++
			}
		})
	}
}
