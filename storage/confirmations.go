package storage

import (
	"context"

	"chancery/authz"

	"gorm.io/gorm"
)

type confirmationRow struct {
	Hash         []byte `gorm:"primaryKey"`
	Purpose      string
	ClientID     string
	UserID       string
	AuthEpoch    int64
	Username     string
	Email        string
	PasswordHash string
	CodeHash     []byte
	Attempts     int
	CreatedAt    int64 `gorm:"autoCreateTime:false"`
	ExpiresAt    int64
}

// TableName names the table of confirmationRow.
func (confirmationRow) TableName() string { return "account_confirmations" }

func (r confirmationRow) confirmation() authz.Confirmation {
	c := authz.Confirmation{
		Purpose: authz.ConfirmationPurpose(r.Purpose), ClientID: r.ClientID, UserID: r.UserID, AuthEpoch: r.AuthEpoch, Username: r.Username,
		Email: r.Email, PasswordHash: r.PasswordHash, Attempts: r.Attempts, CreatedAt: moment(r.CreatedAt), ExpiresAt: moment(r.ExpiresAt),
	}
	copy(c.Hash[:], r.Hash)
	copy(c.CodeHash[:], r.CodeHash)
	return c
}

// InsertConfirmation implements authz.ConfirmationStore.
func (db *DB) InsertConfirmation(ctx context.Context, c authz.Confirmation) error {
	row := confirmationRow{
		Hash: c.Hash[:], Purpose: string(c.Purpose), ClientID: c.ClientID, UserID: c.UserID, AuthEpoch: c.AuthEpoch, Username: c.Username,
		Email: c.Email, PasswordHash: c.PasswordHash, CodeHash: c.CodeHash[:], Attempts: c.Attempts,
		CreatedAt: millis(c.CreatedAt), ExpiresAt: millis(c.ExpiresAt),
	}
	return db.statement(ctx, func(tx *gorm.DB) error { return tx.Create(&row).Error })
}

const tryConfirmationSQL = "UPDATE account_confirmations SET attempts = attempts + 1 " +
	"WHERE hash = ? AND client_id = ? AND purpose IN ? AND expires_at > ? AND attempts < ? RETURNING " +
	"hash, purpose, client_id, user_id, auth_epoch, username, email, password_hash, code_hash, attempts, created_at, expires_at"

// TryConfirmation implements authz.ConfirmationStore.
func (db *DB) TryConfirmation(ctx context.Context, try authz.ConfirmationTry) (authz.Confirmation, error) {
	var row confirmationRow
	err := db.statement(ctx, func(tx *gorm.DB) error {
		result := tx.Raw(tryConfirmationSQL, try.Hash[:], try.ClientID, try.Purposes, millis(try.Now), try.MaxAttempts).Scan(&row)
		return one(result, authz.ErrNotFound)
	})
	return row.confirmation(), err
}

// useConfirmation deletes the confirmation and does what it confirms.
func (db *DB) useConfirmation(ctx context.Context, hash authz.Hash, do func(tx *gorm.DB) error) error {
	return db.transaction(ctx, func(tx *gorm.DB) error {
		if err := one(tx.Where("hash = ?", hash[:]).Delete(&confirmationRow{}), authz.ErrNotFound); err != nil {
			return err
		}
		return do(tx)
	})
}

// RegisterUser implements authz.ConfirmationStore.
func (db *DB) RegisterUser(ctx context.Context, hash authz.Hash, user authz.User, event authz.Event) error {
	return db.useConfirmation(ctx, hash, func(tx *gorm.DB) error { return insertUser(tx, user, event) })
}

// ChangeEmail implements authz.ConfirmationStore.
func (db *DB) ChangeEmail(ctx context.Context, hash authz.Hash, change authz.EmailChange) error {
	return db.useConfirmation(ctx, hash, func(tx *gorm.DB) error {
		return updateUser(tx, change.UserChange, map[string]any{
			"username": change.Username, "name": change.Name, "email": change.Email, "email_name": change.EmailName, "email_verified_at": millis(change.Now),
			"auth_epoch": gorm.Expr("auth_epoch + 1"),
		})
	})
}

// ResetPassword implements authz.ConfirmationStore.
func (db *DB) ResetPassword(ctx context.Context, hash authz.Hash, change authz.PasswordChange) error {
	return db.useConfirmation(ctx, hash, func(tx *gorm.DB) error {
		return db.updateAndEnd(tx, change.UserChange, passwordColumns(change))
	})
}
