package storage

import (
	"context"
	"time"

	"chancery/authz"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

type deniedRow struct {
	JTI       string `gorm:"column:jti;primaryKey"`
	ExpiresAt int64
}

// TableName names the table of deniedRow.
func (deniedRow) TableName() string { return "denied_tokens" }

// Deny implements authz.DenyStore.
func (db *DB) Deny(ctx context.Context, tokenID string, expires time.Time) error {
	return db.statement(ctx, func(tx *gorm.DB) error {
		return tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&deniedRow{JTI: tokenID, ExpiresAt: millis(expires)}).Error
	})
}

// Denied implements authz.DenyStore.
func (db *DB) Denied(ctx context.Context, tokenID string) (bool, error) {
	var n int64
	err := db.query(ctx, func(tx *gorm.DB) error {
		return tx.Model(&deniedRow{}).Where("jti = ?", tokenID).Limit(1).Count(&n).Error
	})
	return n > 0, err
}

type usedRow struct {
	Hash      []byte `gorm:"primaryKey"`
	ExpiresAt int64
}

// TableName names the table of usedRow.
func (usedRow) TableName() string { return "used_ids" }

// UseID implements authz.UsedStore.
func (db *DB) UseID(ctx context.Context, hash authz.Hash, expires time.Time) error {
	return db.statement(ctx, func(tx *gorm.DB) error {
		return tx.Create(&usedRow{Hash: hash[:], ExpiresAt: millis(expires)}).Error
	})
}
