package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	_ "github.com/glebarez/go-sqlite" // the "sqlite" driver of database/sql
)

// fileLock is a lock between processes on one machine: an immediate
// transaction on an empty SQLite file beside the database. The operating
// system gives it up when its holder dies.
type fileLock struct {
	path string
	db   *sql.DB
	tx   *sql.Tx
}

// Lock waits until no other process holds the lock.
func (l *fileLock) Lock(ctx context.Context, _ *sql.DB) error {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: l.path}).EscapedPath()+"?_txlock=immediate&_pragma=busy_timeout(60000)")
	if err != nil {
		return fmt.Errorf("open migration lock: %w", err)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return errors.Join(fmt.Errorf("take migration lock: %w", err), db.Close())
	}
	l.db, l.tx = db, tx
	return nil
}

// Unlock gives the lock up.
func (l *fileLock) Unlock(context.Context, *sql.DB) error {
	return errors.Join(l.tx.Rollback(), l.db.Close())
}
