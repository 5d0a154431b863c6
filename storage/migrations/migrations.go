// Package migrations owns the SQL that makes and changes the schema, one
// numbered file per step and dialect, and runs it under a lock. It leaves to
// package storage what the tables mean.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed postgres/*.sql sqlite/*.sql
var files embed.FS

// Dialect is the kind of database.
type Dialect string

// The dialects that there are migrations for.
const (
	Postgres Dialect = "postgres"
	SQLite   Dialect = "sqlite"
)

// Step is one migration and whether it was applied.
type Step struct {
	Version   int64     `json:"version"`
	Name      string    `json:"name"`
	AppliedAt time.Time `json:"applied_at,omitzero"`
}

// Up applies what is missing and returns the steps that it applied. Any
// number of processes may call it at once: one works, the others wait.
// lockPath names a file for SQLite's lock and is not used on Postgres. db must
// allow at least two connections.
func Up(ctx context.Context, db *sql.DB, dialect Dialect, lockPath string) ([]Step, error) {
	provider, err := newProvider(db, dialect, lockPath)
	if err != nil {
		return nil, err
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	var steps []Step
	for _, result := range results {
		steps = append(steps, Step{Version: result.Source.Version, Name: result.Source.Path})
	}
	return steps, nil
}

// Status returns all steps, oldest first. It changes nothing but the version
// table, which it makes when there is none.
func Status(ctx context.Context, db *sql.DB, dialect Dialect) ([]Step, error) {
	provider, err := newProvider(db, dialect, "")
	if err != nil {
		return nil, err
	}
	all, err := provider.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("migration status: %w", err)
	}
	var steps []Step
	for _, status := range all {
		steps = append(steps, Step{Version: status.Source.Version, Name: status.Source.Path, AppliedAt: status.AppliedAt})
	}
	return steps, nil
}

func newProvider(db *sql.DB, dialect Dialect, lockPath string) (*goose.Provider, error) {
	steps, err := fs.Sub(files, string(dialect))
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger())}
	gooseDialect := goose.DialectSQLite3
	switch {
	case dialect == Postgres:
		gooseDialect = goose.DialectPostgres
		// A table lock works behind PgBouncer in transaction mode, an
		// advisory lock of the session does not.
		locker, err := lock.NewPostgresTableLocker(lock.WithTableLockTimeout(time.Second, 300))
		if err != nil {
			return nil, fmt.Errorf("migration lock: %w", err)
		}
		options = append(options, goose.WithLocker(locker))
	case lockPath != "":
		options = append(options, goose.WithLocker(&fileLock{path: lockPath}))
	}
	provider, err := goose.NewProvider(gooseDialect, db, steps, options...)
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	return provider, nil
}
