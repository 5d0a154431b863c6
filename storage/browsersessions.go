package storage

import (
	"context"
	"strings"
	"time"

	"chancery/authz"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

type browserSessionRow struct {
	Hash         []byte `gorm:"primaryKey"`
	ID           string
	UserID       string
	AuthEpoch    int64
	SessionEpoch int64
	AMR          string `gorm:"column:amr"`
	AuthTime     int64
	LoginFor     []byte
	CreatedAt    int64 `gorm:"autoCreateTime:false"`
	UsedAt       int64
	ExpiresAt    int64
	Address      string
	UserAgent    string
}

// TableName names the table of browserSessionRow.
func (browserSessionRow) TableName() string { return "browser_sessions" }

// hashOrEmpty stores the zero hash as nothing.
func hashOrEmpty(hash authz.Hash) []byte {
	if hash == (authz.Hash{}) {
		return []byte{}
	}
	return hash[:]
}

// BrowserSession implements authz.BrowserSessionStore.
func (db *DB) BrowserSession(ctx context.Context, hash authz.Hash) (authz.BrowserSession, error) {
	var row browserSessionRow
	err := db.query(ctx, func(tx *gorm.DB) error { return tx.Where("hash = ?", hash[:]).Take(&row).Error })
	s := authz.BrowserSession{
		Hash: hash, ID: row.ID, UserID: row.UserID, AuthEpoch: row.AuthEpoch, SessionEpoch: row.SessionEpoch, AMR: strings.Fields(row.AMR),
		AuthTime: moment(row.AuthTime), CreatedAt: moment(row.CreatedAt), UsedAt: moment(row.UsedAt), ExpiresAt: moment(row.ExpiresAt),
		Device: authz.Device{Address: row.Address, UserAgent: row.UserAgent},
	}
	copy(s.LoginFor[:], row.LoginFor)
	return s, err
}

// SaveBrowserSession implements authz.BrowserSessionStore.
func (db *DB) SaveBrowserSession(ctx context.Context, s authz.BrowserSession, before authz.Hash) error {
	row := browserSessionRow{
		Hash: s.Hash[:], ID: s.ID, UserID: s.UserID, AuthEpoch: s.AuthEpoch, SessionEpoch: s.SessionEpoch, AMR: words(s.AMR), AuthTime: millis(s.AuthTime),
		LoginFor: hashOrEmpty(s.LoginFor), CreatedAt: millis(s.CreatedAt), UsedAt: millis(s.UsedAt), ExpiresAt: millis(s.ExpiresAt),
		Address: s.Device.Address, UserAgent: s.Device.UserAgent,
	}
	return db.transaction(ctx, func(tx *gorm.DB) error {
		if err := tx.Where("hash = ? AND id <> ?", before[:], s.ID).Delete(&browserSessionRow{}).Error; err != nil {
			return err
		}
		// Of two logins in one browser at once the later one stays.
		return tx.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "id"}}, DoUpdates: clause.AssignmentColumns([]string{
			"hash", "user_id", "auth_epoch", "session_epoch", "amr", "auth_time", "login_for", "created_at", "used_at", "expires_at", "address", "user_agent",
		})}).Create(&row).Error
	})
}

// UseBrowserSession implements authz.BrowserSessionStore.
func (db *DB) UseBrowserSession(ctx context.Context, hash authz.Hash, used time.Time) error {
	return db.statement(ctx, func(tx *gorm.DB) error {
		return tx.Model(&browserSessionRow{}).Where("hash = ?", hash[:]).UpdateColumn("used_at", millis(used)).Error
	})
}

// BrowserOf implements authz.BrowserSessionStore.
func (db *DB) BrowserOf(ctx context.Context, sessionID string) (string, error) {
	var row browserFamilyRow
	err := db.query(ctx, func(tx *gorm.DB) error { return tx.Where("sid = ?", sessionID).Take(&row).Error })
	return row.BrowserID, err
}

// endBrowser ends the session of the browser whose sessions are ended, or every
// one. It comes first: a session that is about to begin there is waited for, and ended then.
func endBrowser(tx *gorm.DB, ending authz.Ending) error {
	switch {
	case ending.All:
		return tx.Where("created_at <= ?", millis(ending.Now)).Delete(&browserSessionRow{}).Error
	case ending.BrowserID != "":
		return tx.Where("id = ?", ending.BrowserID).Delete(&browserSessionRow{}).Error
	}
	return nil
}

// endBrowsers ends the sessions of the browsers in which the ended sessions began,
// if that is asked for.
func endBrowsers(tx *gorm.DB, ending authz.Ending, ended []familyRow) error {
	if !ending.Browsers {
		return nil
	}
	for batch := range batches(ended) {
		begun := tx.Session(&gorm.Session{NewDB: true}).Model(&browserFamilyRow{}).Where("sid IN ?", batch).Select("browser_id")
		if err := tx.Where("id IN (?)", begun).Delete(&browserSessionRow{}).Error; err != nil {
			return err
		}
	}
	return nil
}
