package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"chancery/authz"
	"chancery/storage/migrations"

	"github.com/glebarez/sqlite"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"go.opentelemetry.io/otel/trace"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// Options say which database to open.
type Options struct {
	// URL is a postgres:// address or the path of a SQLite file.
	URL string
	// DirectURL is an address of the same Postgres that is not pooled by
	// transaction; empty stands for URL.
	DirectURL string
	// MaxConnections bounds the connections to Postgres; 0 stands for 16.
	MaxConnections int
	// MustExist refuses a SQLite file that is not there, instead of making it.
	MustExist bool
	// Tracer traces each statement; nil traces nothing.
	Tracer trace.TracerProvider
}

// ErrAddress is returned for an address that names no database. Its text does
// not quote the address, which may hold a password.
var ErrAddress = errors.New("neither a postgres:// address nor the path of a SQLite file")

// DB is an open database. It satisfies the store interfaces of packages authz
// and keys, and is safe for concurrent use.
type DB struct {
	// OnEvents, when set before the first call, is told of security events
	// once they are committed, in their order. Repetitions that were left out
	// for their Once may be among them.
	OnEvents func(ctx context.Context, events []authz.Event)
	// Observer, when set before the first call, is told what the database was
	// asked.
	Observer Observer
	// OnStatusChange, when set before the first call, is told that status lists
	// are due to be published, once what makes them so is committed.
	OnStatusChange func()

	dialect migrations.Dialect
	options Options
	// write and read are the same on Postgres. On SQLite all writes go through
	// one connection, where they queue fairly; a second writer would only
	// spin on the lock of the file.
	write *gorm.DB
	read  *gorm.DB
	// together commits rotations on SQLite; nil on Postgres.
	together *together
	// watch is the connection of SQLite whose data_version tells of others.
	watch *sql.DB
}

// Observer is told what the database was asked, for figures. Its method returns
// at once and is safe for concurrent use.
type Observer interface {
	// Asked tells of a query, a writing statement or a transaction: how long it
	// took with all tries, how often it was tried, and what came of it: "ok",
	// "not_found", "conflict", "unavailable" or "error".
	Asked(kind string, took time.Duration, tries int, outcome string)
}

// IsPostgres reports whether address is that of a Postgres server.
func IsPostgres(address string) bool {
	scheme := schemeOf(address)
	return scheme == "postgres" || scheme == "postgresql"
}

// schemeOf returns the scheme of an address in lower case, "" for a path.
func schemeOf(address string) string {
	scheme, _, found := strings.Cut(address, "://")
	if !found {
		return ""
	}
	return strings.ToLower(scheme)
}

const (
	defaultConnections = 16
	sqliteReaders      = 4
	connectionIdle     = 5 * time.Minute
)

// Open opens the database. It does not touch the schema; see Migrate.
func Open(options Options) (*DB, error) {
	if IsPostgres(options.URL) {
		return openPostgres(options)
	}
	return openSQLite(options)
}

func gormConfig() *gorm.Config {
	return &gorm.Config{SkipDefaultTransaction: true, Logger: logger.Discard, DisableAutomaticPing: true, QueryFields: true}
}

func openPostgres(options Options) (*DB, error) {
	config, err := pgx.ParseConfig(options.URL)
	if err != nil {
		return nil, ErrAddress // the parser's text may quote the password
	}
	pool := traced(options.Tracer, stdlib.GetConnector(*config))
	limit := options.MaxConnections
	if limit == 0 {
		limit = defaultConnections
	}
	pool.SetMaxOpenConns(limit)
	pool.SetMaxIdleConns(limit)
	pool.SetConnMaxIdleTime(connectionIdle)
	db, err := gorm.Open(postgres.New(postgres.Config{Conn: pool}), gormConfig())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open postgres: %w", err), pool.Close())
	}
	return &DB{dialect: migrations.Postgres, options: options, write: db, read: db}, nil
}

// Close closes all connections.
func (db *DB) Close() error {
	err := closeGorm(db.write)
	if db.read != db.write {
		err = errors.Join(err, closeGorm(db.read))
	}
	if db.watch != nil {
		err = errors.Join(err, db.watch.Close())
	}
	return err
}

func closeGorm(db *gorm.DB) error {
	pool, err := db.DB()
	if err != nil {
		return fmt.Errorf("close database: %w", err)
	}
	return pool.Close()
}

// Pools returns the connection pools by what they are for.
func (db *DB) Pools() (map[string]*sql.DB, error) {
	write, err := db.write.DB()
	if err != nil {
		return nil, fmt.Errorf("pool: %w", err)
	}
	if db.read == db.write {
		return map[string]*sql.DB{"shared": write}, nil
	}
	read, err := db.read.DB()
	if err != nil {
		return nil, fmt.Errorf("pool: %w", err)
	}
	return map[string]*sql.DB{"write": write, "read": read}, nil
}

// Dialect returns the kind of database.
func (db *DB) Dialect() migrations.Dialect { return db.dialect }

// Migrate brings the schema up to date and returns the steps that it applied.
// Many processes may call it at once.
func (db *DB) Migrate(ctx context.Context) ([]migrations.Step, error) {
	pool, err := db.migrationPool()
	if err != nil {
		return nil, err
	}
	steps, err := migrations.Up(ctx, pool, db.dialect, db.options.URL+".migrate-lock")
	return steps, errors.Join(translate(err), pool.Close())
}

// MigrationStatus returns all migrations and when they were applied.
func (db *DB) MigrationStatus(ctx context.Context) ([]migrations.Step, error) {
	pool, err := db.migrationPool()
	if err != nil {
		return nil, err
	}
	steps, err := migrations.Status(ctx, pool, db.dialect)
	return steps, errors.Join(translate(err), pool.Close())
}

// migrationPool opens connections of its own: a migration needs two at once,
// and on Postgres not through a pooler.
func (db *DB) migrationPool() (*sql.DB, error) {
	if db.dialect == migrations.SQLite {
		pool, err := sql.Open(sqlite.DriverName, sqliteDSN(db.options.URL))
		return pool, translate(err)
	}
	config, err := pgx.ParseConfig(db.directURL())
	if err != nil {
		return nil, errors.New("database_direct_url is not a valid postgres:// address")
	}
	return stdlib.OpenDB(*config), nil
}

func (db *DB) directURL() string {
	if db.options.DirectURL != "" {
		return db.options.DirectURL
	}
	return db.options.URL
}

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error {
	var one int
	return translate(db.read.WithContext(ctx).Raw("SELECT 1").Scan(&one).Error)
}

// Time returns the clock of a Postgres server, or ok false on SQLite, which
// has none but the machine's.
func (db *DB) Time(ctx context.Context) (now time.Time, ok bool, err error) {
	if db.dialect == migrations.SQLite {
		return time.Time{}, false, nil
	}
	var ms float64
	err = db.read.WithContext(ctx).Raw("SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::float8").Scan(&ms).Error
	if err != nil {
		return time.Time{}, false, translate(err)
	}
	return time.UnixMicro(int64(ms * 1000)).UTC(), true, nil
}

// Durable reports whether a committed transaction survives a crash of the
// database server.
func (db *DB) Durable(ctx context.Context) (bool, error) {
	if db.dialect == migrations.SQLite {
		return true, nil
	}
	var setting string
	if err := db.read.WithContext(ctx).Raw("SHOW synchronous_commit").Scan(&setting).Error; err != nil {
		return false, translate(err)
	}
	return setting != "off", nil
}
