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
	// watched is how many versions a watcher compares.
	watched = 3
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
	// when the signing keys have, StatusLists when lists were published; all at
	// the first poll too. They are called from Run, and again at the next poll
	// when they return an error.
	Registrations func(ctx context.Context) error
	Keys          func(ctx context.Context) error
	StatusLists   func(ctx context.Context) error
	// StatusDue is called from Run while status lists are due to be published,
	// and must not block.
	StatusDue func()
	// heard keeps the monotonic reading, so that a wall clock that is set back
	// makes nothing look fresh.
	heard    atomic.Pointer[time.Time]
	last     map[string]int64
	lastData int64
	// deaf is set while polls fail, so that only the change is logged.
	deaf bool
}

// NewWatcher returns a watcher of db. now is a clock that only rises.
func NewWatcher(db *DB, log *slog.Logger, now func() time.Time) *Watcher {
	nothing := func(context.Context) error { return nil }
	return &Watcher{
		db: db, log: log, now: now, last: map[string]int64{},
		Registrations: nothing, Keys: nothing, StatusLists: nothing, StatusDue: func() {},
	}
}

// Fresh reports whether changes have been heard recently enough for cached
// values to be used.
func (w *Watcher) Fresh() bool {
	heard := w.heard.Load()
	return heard != nil && w.now().Sub(*heard) < maxSilence
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
	data, err := w.dataVersion(ctx)
	if err == nil && (data == 0 || data != w.lastData || len(w.last) < watched) {
		if err = w.compare(ctx); err == nil {
			w.lastData = data
		}
	}
	if err != nil {
		if !w.deaf && !errors.Is(ctx.Err(), context.Canceled) {
			w.log.Warn("changes of other nodes are not heard", "error", err)
			w.deaf = true
		}
		return
	}
	if w.deaf {
		w.log.Info("changes of other nodes are heard again")
		w.deaf = false
	}
	w.heard.Store(&at)
}

// dataVersion returns what tells on SQLite, without reading a table, whether
// another connection has committed since; 0 on Postgres, which has no such.
func (w *Watcher) dataVersion(ctx context.Context) (int64, error) {
	if w.db.dialect == migrations.Postgres {
		return 0, nil
	}
	return w.db.dataVersion(ctx)
}

// compare reads the versions and calls whom they concern. A version is taken
// as seen only once its call has succeeded. A failure to load keys is logged
// here: it must not stop registrations from being used.
func (w *Watcher) compare(ctx context.Context) error {
	current, err := w.db.versions(ctx)
	if err != nil {
		return err
	}
	err = w.call(ctx, registrationsVersion, current, w.Registrations)
	err = errors.Join(err, w.call(ctx, statusVersion, current, w.StatusLists))
	due, dueErr := w.db.statusDue(ctx)
	if err = errors.Join(err, dueErr); due {
		w.StatusDue()
	}
	if keysErr := w.call(ctx, keysVersion, current, w.Keys); keysErr != nil {
		w.log.Error("signing keys were changed by another node and cannot be loaded", "error", keysErr)
	}
	return err
}

// call calls do if the named version has changed since it last succeeded.
func (w *Watcher) call(ctx context.Context, name string, current map[string]int64, do func(context.Context) error) error {
	if seen, known := w.last[name]; known && seen == current[name] {
		return nil
	}
	if err := do(ctx); err != nil {
		delete(w.last, name)
		return err
	}
	w.last[name] = current[name]
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
