package storage

import (
	"context"
	"errors"
	"time"

	"chancery/authz"
	"chancery/storage/migrations"

	"github.com/cenkalti/backoff/v5"
	"gorm.io/gorm"
)

const maxTries = 4

// transaction runs do in one write transaction and translates its error. What
// the database gave back whole (a serialization failure, a deadlock, a broken
// connection before the statement) is tried again; do must therefore only
// write through tx.
func (db *DB) transaction(ctx context.Context, do func(tx *gorm.DB) error) error {
	var done effects
	err := db.retry(ctx, "transaction", func() error {
		done = effects{}
		return db.write.WithContext(ctx).Set(effectsSetting, &done).Transaction(do)
	})
	if err == nil && db.OnEvents != nil && len(done.events) > 0 {
		db.OnEvents(ctx, done.events)
	}
	if err == nil && db.OnStatusChange != nil && done.statuses {
		db.OnStatusChange()
	}
	return err
}

// effects are what others are told of once a transaction is committed.
type effects struct {
	events   []authz.Event
	statuses bool
}

// effectsSetting is the setting of a transaction that holds its effects.
const effectsSetting = "chancery:effects"

// effectsOf returns what to note the effects of a transaction in.
func effectsOf(tx *gorm.DB) *effects {
	if setting, ok := tx.Get(effectsSetting); ok {
		if e, ok := setting.(*effects); ok {
			return e
		}
	}
	return &effects{}
}

// statement runs one writing statement, under the same promises as
// transaction but without BEGIN and COMMIT.
func (db *DB) statement(ctx context.Context, do func(tx *gorm.DB) error) error {
	return db.retry(ctx, "statement", func() error { return do(db.write.WithContext(ctx)) })
}

// query runs a reading statement.
func (db *DB) query(ctx context.Context, do func(tx *gorm.DB) error) error {
	return db.retry(ctx, "query", func() error { return do(db.read.WithContext(ctx)) })
}

// retry runs do until it succeeds, fails for good, or has been tried often
// enough, translates its error, and reports to the observer.
func (db *DB) retry(ctx context.Context, kind string, do func() error) error {
	if ctx.Err() != nil {
		return translate(ctx.Err())
	}
	begun, tries := time.Now(), 1 //nolint:forbidigo // a duration for figures, not a time that any rule sees
	err := do()
	if err != nil && isRetryable(err) {
		_, err = backoff.Retry(ctx, func() (struct{}, error) {
			tries++
			err := do()
			if err != nil && !isRetryable(err) {
				return struct{}{}, backoff.Permanent(err)
			}
			return struct{}{}, err
		}, backoff.WithBackOff(briefly()), backoff.WithMaxTries(maxTries-1))
	}
	err = translate(err)
	if db.Observer != nil {
		db.Observer.Asked(kind, time.Since(begun), tries, outcome(err))
	}
	return err
}

// outcome says in a word what came of a statement.
func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, authz.ErrNotFound):
		return "not_found"
	case errors.Is(err, authz.ErrConflict):
		return "conflict"
	case errors.Is(err, authz.ErrUnavailable):
		return "unavailable"
	}
	return "error"
}

// briefly is how long to wait for what another holds for a moment.
func briefly() backoff.BackOff {
	return &backoff.ExponentialBackOff{InitialInterval: 5 * time.Millisecond, RandomizationFactor: 0.5, Multiplier: 3, MaxInterval: 200 * time.Millisecond}
}

// one returns ErrNotFound unless exactly the wanted row was written.
func one(tx *gorm.DB, missing error) error {
	if tx.Error != nil {
		return tx.Error
	}
	if tx.RowsAffected == 0 {
		return missing
	}
	return nil
}

// Names of what is versioned between nodes.
const (
	registrationsVersion = "registrations"
	keysVersion          = "keys"
	statusVersion        = "status"
)

// announce raises a version within a transaction and tells the other nodes.
func (db *DB) announce(tx *gorm.DB, name string) error {
	if err := tx.Exec("UPDATE versions SET value = value + 1 WHERE name = ?", name).Error; err != nil {
		return err
	}
	return db.notify(tx, name)
}

// notify wakes the nodes that listen on Postgres once the transaction is
// committed.
func (db *DB) notify(tx *gorm.DB, name string) error {
	if db.dialect != migrations.Postgres {
		return nil
	}
	return tx.Exec("SELECT pg_notify(?, ?)", notifyChannel, name).Error
}

// pageOf adds the order and the limits of a list from new to old.
func pageOf(tx *gorm.DB, page authz.Page, timeColumn, idColumn string) *gorm.DB {
	if page.AfterID != "" {
		tx = tx.Where("("+timeColumn+", "+idColumn+") < (?, ?)", millis(page.After), page.AfterID)
	}
	return tx.Order(timeColumn + " DESC, " + idColumn + " DESC").Limit(page.Limit)
}

// millis returns t as it is stored: milliseconds since the epoch, 0 for never.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// moment is the inverse of millis.
func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
