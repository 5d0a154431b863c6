package storage

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"

	"chancery/authz"

	"github.com/glebarez/go-sqlite"
	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
)

// Primary result codes of SQLite (https://sqlite.org/rescode.html).
const (
	sqliteBusy       = 5
	sqliteLocked     = 6
	sqliteReadOnly   = 8
	sqliteIOErr      = 10
	sqliteFull       = 13
	sqliteCantOpen   = 14
	sqliteUnique     = 2067
	sqlitePrimaryKey = 1555
	sqliteForeignKey = 787
)

// Codes of Postgres (SQLSTATE).
const (
	pgUnique     = "23505"
	pgForeignKey = "23503"
	pgReadOnly   = "25006"
	pgSerial     = "40001"
	pgDeadlock   = "40P01"
)

// pgUnavailable are the SQLSTATE classes of a server that cannot answer now:
// connection, resources, shutdown and system errors.
var pgUnavailable = []string{"08", "53", "57", "58"}

// translate turns what a driver says into the errors that package authz
// declares. It is the only place that knows drivers' errors. Their texts stay
// in the wrapped error, for the log.
func translate(err error) error {
	switch {
	case err == nil, errors.Is(err, authz.ErrNotFound), errors.Is(err, authz.ErrConflict), errors.Is(err, authz.ErrUnavailable):
		return err
	case errors.Is(err, gorm.ErrRecordNotFound), errors.Is(err, sql.ErrNoRows):
		return authz.ErrNotFound
	case isUnique(err):
		return fmt.Errorf("%w: %w", authz.ErrConflict, err)
	case isReference(err):
		return fmt.Errorf("%w: %w", authz.ErrNotFound, err)
	case isRetryable(err), isUnreachable(err):
		return fmt.Errorf("%w: %w", authz.ErrUnavailable, err)
	}
	return fmt.Errorf("database: %w", err)
}

// openError says that a SQLite file cannot be opened; the driver calls that
// "out of memory".
func openError(path string, err error) error {
	var lite *sqlite.Error
	if errors.As(err, &lite) && lite.Code()&0xff == sqliteCantOpen {
		return fmt.Errorf("%w: cannot open or make the SQLite file %s", authz.ErrUnavailable, path)
	}
	return translate(fmt.Errorf("open SQLite file %s: %w", path, err))
}

func isUnique(err error) bool {
	var pg *pgconn.PgError
	var lite *sqlite.Error
	return (errors.As(err, &pg) && pg.Code == pgUnique) ||
		(errors.As(err, &lite) && (lite.Code() == sqliteUnique || lite.Code() == sqlitePrimaryKey))
}

// isReference reports whether what a row refers to is not there.
func isReference(err error) bool {
	var pg *pgconn.PgError
	var lite *sqlite.Error
	return (errors.As(err, &pg) && pg.Code == pgForeignKey) || (errors.As(err, &lite) && lite.Code() == sqliteForeignKey)
}

// isRetryable reports whether the database took nothing of the transaction and
// the same one may succeed at once.
func isRetryable(err error) bool {
	var pg *pgconn.PgError
	var lite *sqlite.Error
	switch {
	case errors.As(err, &pg):
		return pg.Code == pgSerial || pg.Code == pgDeadlock || pg.Code == pgReadOnly
	case errors.As(err, &lite):
		return lite.Code()&0xff == sqliteBusy || lite.Code()&0xff == sqliteLocked
	}
	return pgconn.SafeToRetry(err)
}

func isUnreachable(err error) bool {
	var pg *pgconn.PgError
	var lite *sqlite.Error
	switch {
	case errors.As(err, &pg):
		return slices.Contains(pgUnavailable, pg.Code[:min(2, len(pg.Code))])
	case errors.As(err, &lite):
		return slices.Contains([]int{sqliteReadOnly, sqliteIOErr, sqliteFull, sqliteCantOpen}, lite.Code()&0xff)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone):
		return true
	}
	var network net.Error
	var connect *pgconn.ConnectError
	return errors.As(err, &network) || errors.As(err, &connect) || pgconn.Timeout(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}
