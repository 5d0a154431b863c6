package storage

import (
	"context"
	"time"

	"chancery/authz"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

type consoleRow struct {
	Token     string `gorm:"primaryKey"`
	Data      []byte
	ExpiresAt int64
}

// TableName names the table of consoleRow.
func (consoleRow) TableName() string { return "console_sessions" }

// endConsole ends the sessions in the console together with all others of a
// user, or of everybody. It comes before the sessions are touched: whatever
// changes a user writes the user first.
func endConsole(tx *gorm.DB, ending authz.Ending) error {
	switch {
	case ending.All:
		return tx.Where("token <> ''").Delete(&consoleRow{}).Error
	case ending.UserID != "" && !ending.Trim:
		return tx.Model(&userRow{}).Where("id = ?", ending.UserID).UpdateColumn("console_epoch", gorm.Expr("console_epoch + 1")).Error
	}
	return nil
}

// ConsoleSessions keeps the sessions of the console, for a session manager that
// names them by the hash of their token. Its methods without a context are for
// the manager's interface alone.
type ConsoleSessions struct {
	DB *DB
	// Now is when a session is looked for: one that has expired is not found.
	Now func() time.Time
}

// FindCtx returns the data of a session, or exists false.
func (s ConsoleSessions) FindCtx(ctx context.Context, token string) (data []byte, exists bool, err error) {
	var rows []consoleRow
	err = s.DB.query(ctx, func(tx *gorm.DB) error {
		return tx.Where("token = ? AND expires_at > ?", token, millis(s.Now())).Limit(1).Find(&rows).Error
	})
	if err != nil || len(rows) == 0 {
		return nil, false, err
	}
	return rows[0].Data, true, nil
}

// CommitCtx stores the data of a session until it expires.
func (s ConsoleSessions) CommitCtx(ctx context.Context, token string, data []byte, expiry time.Time) error {
	row := consoleRow{Token: token, Data: data, ExpiresAt: millis(expiry)}
	return s.DB.statement(ctx, func(tx *gorm.DB) error {
		return tx.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "token"}}, UpdateAll: true}).Create(&row).Error
	})
}

// DeleteCtx deletes a session. One that is not there is no error.
func (s ConsoleSessions) DeleteCtx(ctx context.Context, token string) error {
	return s.DB.statement(ctx, func(tx *gorm.DB) error { return tx.Where("token = ?", token).Delete(&consoleRow{}).Error })
}

// Find is FindCtx.
func (s ConsoleSessions) Find(token string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), token)
}

// Commit is CommitCtx.
func (s ConsoleSessions) Commit(token string, data []byte, expiry time.Time) error {
	return s.CommitCtx(context.Background(), token, data, expiry)
}

// Delete is DeleteCtx.
func (s ConsoleSessions) Delete(token string) error {
	return s.DeleteCtx(context.Background(), token)
}
