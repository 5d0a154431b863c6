package storage

import (
	"context"
	"time"

	"chancery/authz"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// consoleRow is a session of the console. One that has ended stays without data
// until it would have expired, so that a request that was under way then, and
// stores the session when it is done, does not bring it back.
type consoleRow struct {
	Token     string `gorm:"primaryKey"`
	Data      []byte
	ExpiresAt int64
}

// TableName names the table of consoleRow.
func (consoleRow) TableName() string { return "console_sessions" }

// endedKept is how long a session that has ended is remembered: longer than a
// request takes that has read it before.
const endedKept = time.Hour

// consoleLives is the condition of a session that has not ended.
const consoleLives = "length(console_sessions.data) > 0"

// endConsole ends the sessions in the console together with all others of a
// user, or of everybody, and reports whether it did. It comes before the
// sessions are touched: whatever changes a user writes the user first.
func endConsole(tx *gorm.DB, ending authz.Ending) (bool, error) {
	var update *gorm.DB
	switch {
	case ending.All:
		update = endConsoleSessions(tx.Where(consoleLives), ending.Now)
	case ending.OfUser():
		update = tx.Model(&userRow{}).Where("id = ?", ending.UserID).UpdateColumn("console_epoch", gorm.Expr("console_epoch + 1"))
	default:
		return false, nil
	}
	return update.RowsAffected > 0, update.Error
}

// endConsoleSessions takes the data of the selected sessions away.
func endConsoleSessions(tx *gorm.DB, now time.Time) *gorm.DB {
	return tx.Model(&consoleRow{}).Updates(map[string]any{"data": []byte{}, "expires_at": millis(now.Add(endedKept))})
}

// consoleEvent tells of sessions in the console that an admin has ended, where
// no other session ended that would.
func consoleEvent(ending authz.Ending) authz.Event {
	event := ending.Event("", ending.UserID, authz.ConsoleClientID)
	event.Detail = "those in the console, if there were any"
	return event
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
		return tx.Where("token = ? AND expires_at > ? AND "+consoleLives, token, millis(s.Now())).Limit(1).Find(&rows).Error
	})
	if err != nil || len(rows) == 0 {
		return nil, false, err
	}
	return rows[0].Data, true, nil
}

// CommitCtx stores the data of a session until it expires. One that has been
// deleted meanwhile stays so.
func (s ConsoleSessions) CommitCtx(ctx context.Context, token string, data []byte, expiry time.Time) error {
	row := consoleRow{Token: token, Data: data, ExpiresAt: millis(expiry)}
	return s.DB.statement(ctx, func(tx *gorm.DB) error {
		return tx.Clauses(clause.OnConflict{
			Columns: []clause.Column{{Name: "token"}}, DoUpdates: clause.AssignmentColumns([]string{"data", "expires_at"}),
			Where: clause.Where{Exprs: []clause.Expression{clause.Expr{SQL: consoleLives}}},
		}).Create(&row).Error
	})
}

// DeleteCtx deletes a session. One that is not there is no error.
func (s ConsoleSessions) DeleteCtx(ctx context.Context, token string) error {
	return s.DB.statement(ctx, func(tx *gorm.DB) error { return endConsoleSessions(tx.Where("token = ?", token), s.Now()).Error })
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
