package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode"

	"chancery/storage/migrations"

	"github.com/cenkalti/backoff/v5"
	"github.com/glebarez/sqlite"
	"gorm.io/gorm"
)

func openSQLite(options Options) (*DB, error) {
	path := options.URL
	switch scheme := schemeOf(path); {
	case scheme == "sqlite":
		path = path[len("sqlite://"):]
	case scheme != "", path == "", mistyped(path):
		return nil, ErrAddress
	}
	options.URL = path
	if err := prepareFile(path, options.MustExist); err != nil {
		return nil, err
	}
	write, err := openUnlocked(options, 1)
	if err != nil {
		return nil, err
	}
	read, err := openUnlocked(options, sqliteReaders)
	if err != nil {
		return nil, errors.Join(err, closeGorm(write))
	}
	watch, err := sql.Open(sqlite.DriverName, sqliteDSN(path))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open sqlite: %w", err), closeGorm(write), closeGorm(read))
	}
	watch.SetMaxOpenConns(1)
	pool, err := write.DB()
	if err != nil {
		return nil, errors.Join(err, closeGorm(write), closeGorm(read), watch.Close())
	}
	return &DB{dialect: migrations.SQLite, options: options, write: write, read: read, watch: watch, together: &together{pool: pool}}, nil
}

// prepareFile makes a new file for its owner alone, since SQLite would make it
// readable by everybody. What cannot be made is reported when it is opened.
func prepareFile(path string, mustExist bool) error {
	if mustExist {
		if info, err := os.Stat(path); err != nil || info.IsDir() {
			return fmt.Errorf("there is no SQLite file %s", path)
		}
		return nil
	}
	if file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600); err == nil { //nolint:gosec // the operator names the file
		_ = file.Close()
	}
	return nil
}

// mistyped reports whether a path is rather an address of Postgres in a form
// that is not taken, or the content of some file. None should be made of that
// name, and no password be printed as one.
func mistyped(path string) bool {
	lower := strings.ToLower(path)
	return strings.HasPrefix(lower, "postgres:") || strings.HasPrefix(lower, "postgresql:") || strings.Contains(lower, "password=") ||
		strings.ContainsFunc(path, unicode.IsControl)
}

// openTimeout bounds how long a file is waited for that others are opening.
const openTimeout = 10 * time.Second

// openUnlocked opens a pool of a file. Several processes that open a new file
// at once all switch it to write-ahead logging, which SQLite's own busy timeout
// does not wait for.
func openUnlocked(options Options, connections int) (*gorm.DB, error) {
	db, err := backoff.Retry(context.Background(), func() (*gorm.DB, error) {
		db, err := openSQLitePool(options, connections)
		if err != nil && !isRetryable(err) {
			err = backoff.Permanent(err)
		}
		return db, err
	}, backoff.WithBackOff(briefly()), backoff.WithMaxElapsedTime(openTimeout))
	if err != nil {
		return nil, openError(options.URL, err)
	}
	return db, nil
}

// openSQLitePool opens a pool once. One that could not be used is closed, by
// gorm too, and is of no use for another attempt.
func openSQLitePool(options Options, connections int) (*gorm.DB, error) {
	pool, err := openTraced(options.Tracer, sqlite.DriverName, sqliteDSN(options.URL))
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	db, err := gorm.Open(&sqlite.Dialector{Conn: pool}, gormConfig())
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return db, nil
}

// sqliteDSN names the file with what every connection needs: durable writes,
// readers that do not block the writer, and transactions that take the write
// lock when they begin.
func sqliteDSN(path string) string {
	pragmas := "?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)"
	return "file:" + (&url.URL{Path: path}).EscapedPath() + pragmas
}
