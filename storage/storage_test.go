package storage_test

import (
	"path/filepath"
	"testing"

	"chancery/authz/authztest"
	"chancery/keys"
	"chancery/keys/keystest"
	"chancery/storage"
	"chancery/storage/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// open returns a migrated database that is closed when the test ends.
func open(t testing.TB, url string) *storage.DB {
	t.Helper()
	db, err := storage.Open(storage.Options{URL: url, MaxConnections: 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

func sqlite(t testing.TB) *storage.DB { return open(t, filepath.Join(t.TempDir(), "a b?.db")) }
func postgres(t testing.TB) *storage.DB {
	t.Helper()
	return open(t, pgtest.URL(t))
}

// eachDatabase runs the test on SQLite and on Postgres.
func eachDatabase(t *testing.T, test func(t *testing.T, open func(testing.TB) *storage.DB)) {
	t.Run("sqlite", func(t *testing.T) { test(t, sqlite) })
	t.Run("postgres", func(t *testing.T) { test(t, postgres) })
}

func TestConforms(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func(testing.TB) *storage.DB) {
		authztest.Suite(t, func(t *testing.T) authztest.Store { return open(t) })
	})
}

func TestKeyStoreConforms(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func(testing.TB) *storage.DB) {
		keystest.Suite(t, func(t *testing.T) keys.Store { return open(t) })
	})
}
