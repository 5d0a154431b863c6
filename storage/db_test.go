package storage_test

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"chancery/authz"
	"chancery/authz/authztest"
	"chancery/storage"
	"chancery/storage/pgtest"

	_ "github.com/glebarez/sqlite"
)

func TestManyProcessesMigrateAtOnce(t *testing.T) {
	for name, address := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return filepath.Join(t.TempDir(), "new.db") },
		"postgres": func(t *testing.T) string { return pgtest.URL(t) },
	} {
		t.Run(name, func(t *testing.T) {
			target := address(t)
			var group sync.WaitGroup
			for range 5 {
				group.Go(func() {
					db, err := storage.Open(storage.Options{URL: target, MaxConnections: 4})
					if err != nil {
						t.Error(err)
						return
					}
					if _, err := db.Migrate(t.Context()); err != nil {
						t.Error(err)
					}
					if err := db.Close(); err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
			db := open(t, target)
			steps, err := db.MigrationStatus(t.Context())
			if err != nil || len(steps) == 0 || steps[0].AppliedAt.IsZero() {
				t.Errorf("MigrationStatus = %+v, %v, want every step applied", steps, err)
			}
		})
	}
}

func TestOpenWaitsForWhoeverWritesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "busy.db")
	other, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	writing, err := other.Begin()
	if err != nil {
		t.Fatal(err)
	}
	opened := make(chan error, 1)
	go func() {
		db, err := storage.Open(storage.Options{URL: path})
		if err == nil {
			err = db.Close()
		}
		opened <- err
	}()
	select {
	case err := <-opened:
		t.Fatalf("Open while another writes = %v, want it to wait", err)
	case <-time.After(100 * time.Millisecond):
	}
	if err := writing.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Errorf("Open once the other is done: %v", err)
	}
}

func TestTimeComesFromTheServer(t *testing.T) {
	now, ok, err := postgres(t).Time(t.Context())
	if err != nil || !ok || time.Since(now).Abs() > time.Minute {
		t.Errorf("Time on Postgres = %s, %v, %v, want this machine's within a minute", now, ok, err)
	}
	if _, ok, err := sqlite(t).Time(t.Context()); err != nil || ok {
		t.Errorf("Time on SQLite = %v, %v, want none", ok, err)
	}
}

func TestDurableTellsOfAsynchronousCommit(t *testing.T) {
	target := pgtest.URL(t)
	for setting, want := range map[string]bool{"on": true, "off": false} {
		db := open(t, pgtest.WithParameter(target, "synchronous_commit", setting))
		if durable, err := db.Durable(t.Context()); err != nil || durable != want {
			t.Errorf("Durable with synchronous_commit=%s = %v, %v, want %v", setting, durable, err, want)
		}
	}
	if durable, err := sqlite(t).Durable(t.Context()); err != nil || !durable {
		t.Errorf("Durable on SQLite = %v, %v, want true", durable, err)
	}
}

func TestUnreachableDatabaseIsUnavailable(t *testing.T) {
	db, err := storage.Open(storage.Options{URL: "postgres://user:secret-word@127.0.0.1:1/none?sslmode=disable"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for name, err := range map[string]error{
		"Ping":    db.Ping(t.Context()),
		"Migrate": func() error { _, err := db.Migrate(t.Context()); return err }(),
		"Rotate":  authztest.Rotate(t.Context(), db, 1, 0),
	} {
		if !errors.Is(err, authz.ErrUnavailable) || strings.Contains(err.Error(), "secret-word") {
			t.Errorf("%s = %v, want ErrUnavailable without the password", name, err)
		}
	}
}

func TestOpenDoesNotQuoteTheAddress(t *testing.T) {
	for _, address := range []string{
		"postgres://user:secret-word@host:port/db", "Mysql://user:secret-word@host/db", "POSTGRES://user:secret-word@host:port/db", "postgres:/user:secret-word@host/db",
		"Host=db Password=secret-word", "two\nlines secret-word", "",
	} {
		_, err := storage.Open(storage.Options{URL: address})
		if !errors.Is(err, storage.ErrAddress) || strings.Contains(err.Error(), "secret-word") {
			t.Errorf("Open of %s = %v, want ErrAddress without the password", address, err)
		}
	}
	if !storage.IsPostgres("Postgres://host/db") || storage.IsPostgres("sqlite:///x") || storage.IsPostgres("postgres.db") {
		t.Error("IsPostgres goes by something else than the scheme")
	}
}

func TestEndedContextIsUnavailable(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func(testing.TB) *storage.DB) {
		db := open(t)
		authztest.Load(t, db, 1)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := authztest.Rotate(ctx, db, 0, 0); !errors.Is(err, authz.ErrUnavailable) {
			t.Errorf("Rotate with an ended context = %v, want ErrUnavailable", err)
		}
		if err := authztest.Rotate(t.Context(), db, 0, 0); err != nil {
			t.Errorf("the refused rotation left something behind: %v", err)
		}
	})
}

func TestReadOnlyDatabaseIsUnavailable(t *testing.T) {
	target := pgtest.URL(t)
	authztest.Load(t, open(t, target), 1)
	readOnly, err := storage.Open(storage.Options{URL: pgtest.WithParameter(target, "default_transaction_read_only", "on")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = readOnly.Close() }()
	if err := authztest.Rotate(t.Context(), readOnly, 0, 0); !errors.Is(err, authz.ErrUnavailable) {
		t.Errorf("Rotate on a read-only server = %v, want ErrUnavailable", err)
	}
}

// TestQueryExecModes: behind PgBouncer in transaction mode one of these is
// set in the address, and everything must still work.
func TestQueryExecModes(t *testing.T) {
	for _, mode := range []string{"exec", "cache_describe", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			db := open(t, pgtest.WithParameter(pgtest.URL(t), "default_query_exec_mode", mode))
			authztest.Load(t, db, 2)
			if err := authztest.Rotate(t.Context(), db, 1, 0); err != nil {
				t.Error(err)
			}
			n, err := db.EndSessions(t.Context(), authz.Ending{All: true, Limit: 10, Cause: authz.CauseAdmin, Now: authztest.T0})
			if err != nil || n != 2 {
				t.Errorf("EndSessions = %d, %v, want 2", n, err)
			}
			if _, err := db.LeaseIndexes(t.Context(), authz.LeaseRequest{
				Kind: authz.StatusSessions, Count: 1, Now: authztest.T0,
				NewList: authz.Lease{List: "l", Key: []byte{1}, Capacity: 8, End: 1},
			}); err != nil {
				t.Error(err)
			}
			if err := db.InsertClient(t.Context(), authztest.SampleClient("another"), authztest.AnyEvent()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSQLitePathsNeedNoEscaping(t *testing.T) {
	for _, name := range []string{"plain.db", "with space.db", "q?mark.db", "hash#.db", "per%cent.db", "ünïcode.db"} {
		path := filepath.Join(t.TempDir(), name)
		authztest.Load(t, open(t, path), 1)
		if info, err := os.Stat(path); err != nil || info.Size() == 0 {
			t.Errorf("%s (as %s): %v, want a file of that very name", name, url.PathEscape(name), err)
		}
	}
}
