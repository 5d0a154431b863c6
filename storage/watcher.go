package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"chancery/storage/migrations"

	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"
)

const (
	notifyChannel = "chancery"
	postgresPoll  = time.Second
	sqlitePoll    = 250 * time.Millisecond
	// listenPause is how long a broken LISTEN connection rests; polls go on.
	listenPause = 5 * time.Second
	pollTimeout = 5 * time.Second
	// maxSilence is how long cached values may be used unheard of others.
	maxSilence = 10 * time.Second
)

// versions returns the version of everything that nodes tell each other of.
func (db *DB) versions(ctx context.Context) (map[string]int64, error) {
	var rows []struct {
		Name  string
		Value int64
	}
	err := db.query(ctx, func(tx *gorm.DB) error { return tx.Raw("SELECT name, value FROM versions").Scan(&rows).Error })
	versions := make(map[string]int64, len(rows))
	for _, row := range rows {
		versions[row.Name] = row.Value
	}
	return versions, err
}

// dataVersion returns SQLite's counter of commits by other connections.
func (db *DB) dataVersion(ctx context.Context) (version int64, err error) {
	err = db.watch.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version)
	return version, err
}

// Watcher learns of changes that other connections and nodes commit, by
// polling and, on Postgres, by LISTEN. Polls alone make everything right, only
// slower.
type Watcher struct {
	db  *DB
	log *slog.Logger
	now func() time.Time
	// Registrations is called when clients or resources have changed, Keys
	// when the signing keys have. Both are called from Run.
	Registrations func()
	Keys          func(ctx context.Context)
	heard         atomic.Int64
	last          map[string]int64
	lastData      int64
}

// NewWatcher returns a watcher of db. now is a clock that only rises.
func NewWatcher(db *DB, log *slog.Logger, now func() time.Time) *Watcher {
	return &Watcher{db: db, log: log, now: now, Registrations: func() {}, Keys: func(context.Context) {}}
}

// Fresh reports whether changes have been heard recently enough for cached
// values to be used.
func (w *Watcher) Fresh() bool {
	return w.now().Sub(time.Unix(0, w.heard.Load())) < maxSilence
}

// Run watches until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	wake := make(chan struct{}, 1)
	interval := sqlitePoll
	listening := make(chan struct{})
	if w.db.dialect == migrations.Postgres {
		interval = postgresPoll
		go func() {
			defer close(listening)
			w.listen(ctx, wake)
		}()
	} else {
		close(listening)
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		w.poll(ctx)
		select {
		case <-ticker.C:
		case <-wake:
		case <-ctx.Done():
			<-listening
			return nil
		}
	}
}

// poll reads the versions and calls whom they concern.
func (w *Watcher) poll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	at := w.now()
	unchanged, err := w.unchanged(ctx)
	if err == nil && !unchanged {
		err = w.compare(ctx)
	}
	if err != nil {
		if ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
			w.log.Warn("changes of other nodes not heard", "error", err)
		}
		return
	}
	w.heard.Store(at.UnixNano())
}

// unchanged reports whether SQLite has seen no commit since the last poll.
func (w *Watcher) unchanged(ctx context.Context) (bool, error) {
	if w.db.dialect == migrations.Postgres || w.last == nil {
		return false, nil
	}
	version, err := w.db.dataVersion(ctx)
	if err != nil || version == w.lastData {
		return err == nil, err
	}
	w.lastData = version
	return false, nil
}

func (w *Watcher) compare(ctx context.Context) error {
	current, err := w.db.versions(ctx)
	if err != nil {
		return err
	}
	last := w.last
	w.last = current
	if last[registrationsVersion] != current[registrationsVersion] {
		w.Registrations()
	}
	if last[keysVersion] != current[keysVersion] {
		w.Keys(ctx)
	}
	return nil
}

// listen wakes the poll whenever another node announces a change.
func (w *Watcher) listen(ctx context.Context, wake chan<- struct{}) {
	for ctx.Err() == nil {
		err := w.listenOnce(ctx, wake)
		if ctx.Err() != nil {
			return
		}
		w.log.Warn("listening for changes of other nodes interrupted", "error", err)
		select {
		case <-time.After(listenPause):
		case <-ctx.Done():
		}
	}
}

func (w *Watcher) listenOnce(ctx context.Context, wake chan<- struct{}) error {
	conn, err := pgx.Connect(ctx, w.db.directURL())
	if err != nil {
		return errors.New("cannot connect to database_direct_url") // the driver's text may quote the address
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "LISTEN "+notifyChannel); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	for {
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return fmt.Errorf("wait for notification: %w", err)
		}
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}
