package storage

import (
	"context"
	"strings"
	"time"

	"chancery/authz"

	"gorm.io/gorm"
)

type userRow struct {
	ID              string `gorm:"primaryKey"`
	Username        string
	Name            string
	Email           string
	EmailName       string
	EmailVerifiedAt int64
	PasswordHash    string
	Roles           string
	SelfRegistered  bool
	MustChange      bool
	AuthEpoch       int64
	ConsoleEpoch    int64
	DisabledAt      int64
	BannedUntil     int64
	BanReason       string
	CreatedAt       int64 `gorm:"autoCreateTime:false"`
	UpdatedAt       int64 `gorm:"autoUpdateTime:false"`
}

// TableName names the table of userRow.
func (userRow) TableName() string { return "users" }

func newUserRow(u authz.User) userRow {
	return userRow{
		ID: u.ID, Username: u.Username, Name: u.Name, Email: u.Email, EmailName: u.EmailName, EmailVerifiedAt: millis(u.EmailVerifiedAt),
		PasswordHash: u.PasswordHash, Roles: words(u.Roles), SelfRegistered: u.SelfRegistered,
		MustChange: u.MustChange, AuthEpoch: u.AuthEpoch, ConsoleEpoch: u.ConsoleEpoch, DisabledAt: millis(u.DisabledAt), BannedUntil: millis(u.BannedUntil),
		BanReason: u.BanReason, CreatedAt: millis(u.CreatedAt), UpdatedAt: millis(u.UpdatedAt),
	}
}

func (r userRow) user() authz.User {
	return authz.User{
		ID: r.ID, Username: r.Username, Name: r.Name, Email: r.Email, EmailName: r.EmailName, EmailVerifiedAt: moment(r.EmailVerifiedAt),
		PasswordHash: r.PasswordHash, Roles: strings.Fields(r.Roles), SelfRegistered: r.SelfRegistered,
		MustChange: r.MustChange, AuthEpoch: r.AuthEpoch, ConsoleEpoch: r.ConsoleEpoch, DisabledAt: moment(r.DisabledAt), BannedUntil: moment(r.BannedUntil),
		BanReason: r.BanReason, CreatedAt: moment(r.CreatedAt), UpdatedAt: moment(r.UpdatedAt),
	}
}

const (
	userColumns = "id, username, name, email, email_name, email_verified_at, password_hash, roles, self_registered, must_change, auth_epoch, console_epoch, disabled_at, " +
		"banned_until, ban_reason, created_at, updated_at"
	// fromUsers finds the name before the address, by the unique index of
	// either.
	fromUsers    = " FROM users WHERE name = ? OR (email_name = ? AND email_verified_at <> 0) ORDER BY CASE WHEN name = ? THEN 0 ELSE 1 END LIMIT 1"
	userSessions = "SELECT " + userColumns + ", (SELECT count(*) FROM refresh_families f WHERE f.user_id = users.id AND f.revoked_at IS NULL " +
		"AND f.idle_expires_at > ? AND f.absolute_expires_at > ?) AS sessions"
)

// UserForLogin implements authz.LoginStore.
func (db *DB) UserForLogin(ctx context.Context, name string, now time.Time) (authz.User, int, error) {
	return db.userWithSessions(ctx, fromUsers, now, name, name, name)
}

// userWithSessions returns the user that a clause selects, and how many live
// sessions he has.
func (db *DB) userWithSessions(ctx context.Context, from string, now time.Time, values ...any) (authz.User, int, error) {
	var row struct {
		User     userRow `gorm:"embedded"`
		Sessions int
	}
	ms := millis(now)
	err := db.query(ctx, func(tx *gorm.DB) error {
		return one(tx.Raw(userSessions+from, append([]any{ms, ms}, values...)...).Scan(&row), authz.ErrNotFound)
	})
	return row.User.user(), row.Sessions, err
}

// UserByLogin implements authz.AccountStore.
func (db *DB) UserByLogin(ctx context.Context, name string) (authz.User, error) {
	var row userRow
	err := db.query(ctx, func(tx *gorm.DB) error {
		return one(tx.Raw("SELECT "+userColumns+fromUsers, name, name, name).Scan(&row), authz.ErrNotFound)
	})
	return row.user(), err
}

// UserByName implements authz.UserReader and authz.AccountStore.
func (db *DB) UserByName(ctx context.Context, name string) (authz.User, error) {
	var row userRow
	err := db.query(ctx, func(tx *gorm.DB) error { return tx.Where("name = ?", name).Take(&row).Error })
	return row.user(), err
}

// UserByID implements authz.UserReader, authz.AccountStore and authz.AdminStore.
func (db *DB) UserByID(ctx context.Context, id string) (authz.User, error) {
	var row userRow
	err := db.query(ctx, func(tx *gorm.DB) error { return tx.Where("id = ?", id).Take(&row).Error })
	return row.user(), err
}

// InsertUser implements authz.UserStore.
func (db *DB) InsertUser(ctx context.Context, user authz.User, event authz.Event) error {
	return db.transaction(ctx, func(tx *gorm.DB) error { return insertUser(tx, user, event) })
}

func insertUser(tx *gorm.DB, user authz.User, event authz.Event) error {
	row := newUserRow(user)
	if err := tx.Create(&row).Error; err != nil {
		return err
	}
	return insertEvents(tx, event)
}

// Rehash implements authz.LoginStore.
func (db *DB) Rehash(ctx context.Context, userID, before, after string) error {
	return db.statement(ctx, func(tx *gorm.DB) error {
		return tx.Model(&userRow{}).Where("id = ? AND password_hash = ?", userID, before).Update("password_hash", after).Error
	})
}

// SetRoles implements authz.UserStore.
func (db *DB) SetRoles(ctx context.Context, change authz.UserChange, roles []string) error {
	return db.transaction(ctx, func(tx *gorm.DB) error { return setRoles(tx, change, roles, map[string]any{}) })
}

// setRoles writes the roles of the user and of its live families, and columns
// of the user besides.
func setRoles(tx *gorm.DB, change authz.UserChange, roles []string, columns map[string]any) error {
	columns["roles"] = words(roles)
	if err := updateUser(tx, change, columns); err != nil {
		return err
	}
	live := tx.Model(&familyRow{}).Where("user_id = ? AND revoked_at IS NULL", change.UserID)
	return live.Update("roles", words(roles)).Error
}

// SetPassword implements authz.UserStore and authz.AccountStore.
func (db *DB) SetPassword(ctx context.Context, change authz.PasswordChange) error {
	return db.changeAndEnd(ctx, change.UserChange, passwordColumns(change))
}

func passwordColumns(change authz.PasswordChange) map[string]any {
	return map[string]any{"password_hash": change.Hash, "must_change": change.MustChange, "auth_epoch": gorm.Expr("auth_epoch + 1")}
}

// BanUser implements authz.BanStore.
func (db *DB) BanUser(ctx context.Context, ban authz.Ban) error {
	return db.changeAndEnd(ctx, ban.UserChange, map[string]any{
		"banned_until": millis(ban.Until), "ban_reason": ban.Reason, "auth_epoch": gorm.Expr("auth_epoch + 1"),
	})
}

// UnbanUser implements authz.BanStore.
func (db *DB) UnbanUser(ctx context.Context, change authz.UserChange) error {
	return db.transaction(ctx, func(tx *gorm.DB) error {
		return updateUser(tx, change, map[string]any{"banned_until": 0, "ban_reason": ""})
	})
}

// DeleteUser implements authz.UserStore and authz.AccountStore.
func (db *DB) DeleteUser(ctx context.Context, change authz.UserChange) error {
	err := db.transaction(ctx, func(tx *gorm.DB) error {
		// The write of the user row comes first: it waits for logins that hold
		// a share lock on it and lets none in behind it.
		if err := one(userOfChange(tx, change).Delete(&userRow{}), authz.ErrNotFound); err != nil {
			return err
		}
		if _, err := db.endSessions(tx, change.Ending); err != nil {
			return err
		}
		blank := map[string]any{"address": "", "user_agent": ""}
		if err := tx.Model(&familyRow{}).Where("user_id = ?", change.UserID).Updates(blank).Error; err != nil {
			return err
		}
		if err := forgetUser(tx, change.UserID); err != nil {
			return err
		}
		return insertEvents(tx, change.Event)
	})
	if err != nil {
		return err
	}
	// Without the user they are good for nothing. Deleted within the
	// transaction they would be locked in the other order than when they are
	// used; what is left by an error here is purged within a day.
	for _, row := range []any{&confirmationRow{}, &browserSessionRow{}, &deviceRow{}} {
		_ = db.statement(context.WithoutCancel(ctx), func(tx *gorm.DB) error { return tx.Where("user_id = ?", change.UserID).Delete(row).Error })
	}
	return nil
}

// userOfChange selects the user, if its epoch and last change are those that
// the change names.
func userOfChange(tx *gorm.DB, change authz.UserChange) *gorm.DB {
	tx = tx.Where("id = ?", change.UserID)
	if change.Epoch != 0 {
		tx = tx.Where("auth_epoch = ?", change.Epoch)
	}
	if !change.Unchanged.IsZero() {
		tx = tx.Where("updated_at = ?", millis(change.Unchanged))
	}
	return tx
}

// changeAndEnd changes the user and ends the sessions that the change says.
func (db *DB) changeAndEnd(ctx context.Context, change authz.UserChange, columns map[string]any) error {
	return db.transaction(ctx, func(tx *gorm.DB) error { return db.updateAndEnd(tx, change, columns) })
}

func (db *DB) updateAndEnd(tx *gorm.DB, change authz.UserChange, columns map[string]any) error {
	if err := updateUser(tx, change, columns); err != nil {
		return err
	}
	_, err := db.endSessions(tx, change.Ending)
	return err
}

// updateUser writes columns of one user and stores the change's event.
func updateUser(tx *gorm.DB, change authz.UserChange, columns map[string]any) error {
	columns["updated_at"] = gorm.Expr("CASE WHEN updated_at < ? THEN ? ELSE updated_at + 1 END", millis(change.Now), millis(change.Now))
	if err := one(userOfChange(tx.Model(&userRow{}), change).Updates(columns), authz.ErrNotFound); err != nil {
		return err
	}
	return insertEvents(tx, change.Event)
}
