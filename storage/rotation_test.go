package storage_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"chancery/authz/authztest"
	"chancery/storage"
	"chancery/storage/pgtest"
)

// TestRotationsAreHOT requires that rotations stay heap-only updates: an
// update that touches an index would grow all of them with every refresh.
func TestRotationsAreHOT(t *testing.T) {
	url := pgtest.URL(t)
	db := open(t, url)
	const sessions, rotations = 1000, 20_000
	authztest.Load(t, db, sessions)
	generations := make([]uint64, sessions)
	for range rotations {
		n := rand.IntN(sessions)
		if err := authztest.Rotate(t.Context(), db, n, generations[n]); err != nil {
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

func BenchmarkRotate(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *storage.DB{"sqlite": sqlite, "postgres": postgres} {
		b.Run(name, func(b *testing.B) {
			authztest.Bench(b, func(b testing.TB) authztest.Store { return open(b) })
		})
	}
}

// BenchmarkRotateMany tells how much is gained when rotations come together.
func BenchmarkRotateMany(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *storage.DB{"sqlite": sqlite, "postgres": postgres} {
		for _, callers := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%s/%d", name, callers), func(b *testing.B) {
				authztest.BenchMany(b, callers, func(b testing.TB) authztest.Store { return open(b) })
			})
		}
	}
}
