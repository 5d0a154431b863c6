package storage

import (
	"context"
	"strings"
	"time"

	"chancery/authz"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

type consentRow struct {
	UserID    string `gorm:"primaryKey"`
	ClientID  string `gorm:"primaryKey"`
	Scope     string
	Resources string
	CreatedAt int64 `gorm:"autoCreateTime:false"`
	UpdatedAt int64 `gorm:"autoUpdateTime:false"`
}

// TableName names the table of consentRow.
func (consentRow) TableName() string { return "consents" }

func (r consentRow) consent() authz.Consent {
	return authz.Consent{
		UserID: r.UserID, ClientID: r.ClientID, Scope: strings.Fields(r.Scope), Resources: strings.Fields(r.Resources),
		CreatedAt: moment(r.CreatedAt), UpdatedAt: moment(r.UpdatedAt),
	}
}

// Consent implements authz.ConsentStore.
func (db *DB) Consent(ctx context.Context, userID, clientID string) (authz.Consent, error) {
	var row consentRow
	err := db.query(ctx, func(tx *gorm.DB) error {
		return tx.Where("user_id = ? AND client_id = ?", userID, clientID).Take(&row).Error
	})
	return row.consent(), err
}

// SaveConsent implements authz.ConsentStore.
func (db *DB) SaveConsent(ctx context.Context, c authz.Consent, before time.Time, event authz.Event) error {
	row := consentRow{
		UserID: c.UserID, ClientID: c.ClientID, Scope: words(c.Scope), Resources: words(c.Resources),
		CreatedAt: millis(c.CreatedAt), UpdatedAt: millis(c.UpdatedAt),
	}
	return db.transaction(ctx, func(tx *gorm.DB) error {
		saved := tx.Model(&row).Where("updated_at = ?", millis(before)).Select("scope", "resources", "updated_at").Updates(&row)
		if before.IsZero() {
			saved = tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&row)
		}
		if err := one(saved, authz.ErrConflict); err != nil {
			return err
		}
		return insertEvents(tx, event)
	})
}

// DeleteConsent implements authz.ConsentStore.
func (db *DB) DeleteConsent(ctx context.Context, userID, clientID string, event authz.Event) error {
	return db.transaction(ctx, func(tx *gorm.DB) error {
		const theirs = "user_id = ? AND client_id = ?"
		if err := tx.Where(theirs+" AND sid = ''", userID, clientID).Delete(&codeRow{}).Error; err != nil {
			return err
		}
		if err := tx.Where(theirs, userID, clientID).Delete(&deviceRow{}).Error; err != nil {
			return err
		}
		gone := tx.Where(theirs, userID, clientID).Delete(&consentRow{})
		if gone.Error != nil || gone.RowsAffected == 0 {
			return gone.Error
		}
		return insertEvents(tx, event)
	})
}

// ListConsents implements authz.ConsentStore.
func (db *DB) ListConsents(ctx context.Context, userID string, limit int) ([]authz.Consent, error) {
	var rows []consentRow
	err := db.query(ctx, func(tx *gorm.DB) error {
		return tx.Where("user_id = ?", userID).Order("client_id").Limit(limit).Find(&rows).Error
	})
	consents := make([]authz.Consent, len(rows))
	for i, row := range rows {
		consents[i] = row.consent()
	}
	return consents, err
}
