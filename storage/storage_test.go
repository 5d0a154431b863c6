package storage_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"chancery/authz"
	"chancery/authz/authztest"
	"chancery/keys"
	"chancery/keys/keystest"
	"chancery/storage"
	"chancery/storage/pgtest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
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

func TestKeyChangesAreEvents(t *testing.T) {
	for name, db := range map[string]*storage.DB{"sqlite": sqlite(t), "postgres": postgres(t)} {
		t.Run(name, func(t *testing.T) {
			at := authztest.T0
			changes := []keys.Change{
				{Kind: keys.Created, KeyID: "a", Algorithm: keys.RS256, After: keys.Pending, ActivateAt: at.Add(time.Hour), At: at},
				{Kind: keys.Compromised, KeyID: "b", Algorithm: keys.EdDSA, Before: keys.Active, After: keys.Gone, Actor: keys.Actor{ID: "usr_admin", Address: "192.0.2.1", UserAgent: "Desk"}, At: at.Add(time.Second)},
			}
			if err := db.SaveKeys(t.Context(), keys.Set{Version: 1}, 0, changes); err != nil {
				t.Fatal(err)
			}
			if err := db.SaveKeys(t.Context(), keys.Set{Version: 1}, 0, changes); !errors.Is(err, keys.ErrConflict) {
				t.Errorf("SaveKeys of an old version = %v, want a conflict", err)
			}
			got, err := db.ListEvents(t.Context(), authz.EventFilter{Page: authz.Page{Limit: 10}})
			want := []authz.Event{
				{
					Time: at.Add(time.Second), Kind: authz.EventKeyCompromised, Target: "b", Actor: "usr_admin", Detail: "EdDSA",
					Device: authz.Device{Address: "192.0.2.1", UserAgent: "Desk"}, Changes: []authz.Difference{{Field: "state", Before: "active", After: "gone"}},
				},
				{
					Time: at, Kind: authz.EventKeyCreated, Target: "a", Detail: "RS256, signs from 2026-03-01T13:00:00Z",
					Changes: []authz.Difference{{Field: "state", After: "pending"}},
				},
			}
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(authz.Event{}, "ID")); diff != "" || err != nil {
				t.Errorf("events differ (-want +got): %v\n%s", err, diff)
			}
		})
	}
}
