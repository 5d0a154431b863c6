package storage

import (
	"context"
	"strings"
	"time"

	"chancery/authz"
	"chancery/storage/migrations"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

type deviceRow struct {
	Hash         []byte `gorm:"primaryKey"`
	UserCodeHash []byte
	ClientID     string
	Scope        string
	Resources    string
	State        string
	UserID       string
	AuthEpoch    int64
	BrowserID    string
	AMR          string `gorm:"column:amr"`
	AuthTime     int64
	JKT          string `gorm:"column:jkt"`
	Address      string
	UserAgent    string
	PollInterval int64
	PolledAt     int64
	CreatedAt    int64 `gorm:"autoCreateTime:false"`
	ExpiresAt    int64
}

// TableName names the table of deviceRow.
func (deviceRow) TableName() string { return "device_grants" }

func newDeviceRow(d authz.DeviceGrant) deviceRow {
	return deviceRow{
		Hash: d.Hash[:], UserCodeHash: d.UserCodeHash[:], ClientID: d.ClientID, Scope: words(d.Scope), Resources: words(d.Resources), State: string(d.State),
		UserID: d.UserID, AuthEpoch: d.AuthEpoch, BrowserID: d.BrowserID, AMR: words(d.AMR), AuthTime: millis(d.AuthTime), JKT: d.KeyThumbprint,
		Address: d.Device.Address, UserAgent: d.Device.UserAgent, PollInterval: d.Interval.Milliseconds(), PolledAt: millis(d.PolledAt),
		CreatedAt: millis(d.CreatedAt), ExpiresAt: millis(d.ExpiresAt),
	}
}

func (r deviceRow) device() authz.DeviceGrant {
	d := authz.DeviceGrant{
		Grant: authz.Grant{
			ClientID: r.ClientID, UserID: r.UserID, AuthEpoch: r.AuthEpoch, BrowserID: r.BrowserID, Scope: strings.Fields(r.Scope),
			Resources: strings.Fields(r.Resources), AMR: strings.Fields(r.AMR), AuthTime: moment(r.AuthTime), KeyThumbprint: r.JKT,
		},
		State: authz.DeviceState(r.State), Device: authz.Device{Address: r.Address, UserAgent: r.UserAgent},
		Interval: time.Duration(r.PollInterval) * time.Millisecond, PolledAt: moment(r.PolledAt), CreatedAt: moment(r.CreatedAt), ExpiresAt: moment(r.ExpiresAt),
	}
	copy(d.Hash[:], r.Hash)
	copy(d.UserCodeHash[:], r.UserCodeHash)
	return d
}

// InsertDevice implements authz.DeviceStore.
func (db *DB) InsertDevice(ctx context.Context, device authz.DeviceGrant) error {
	row := newDeviceRow(device)
	return db.statement(ctx, func(tx *gorm.DB) error { return tx.Create(&row).Error })
}

// Device implements authz.DeviceStore.
func (db *DB) Device(ctx context.Context, hash authz.Hash) (authz.DeviceGrant, error) {
	return db.device(ctx, "hash = ?", hash)
}

// DeviceByUserCode implements authz.DeviceStore.
func (db *DB) DeviceByUserCode(ctx context.Context, hash authz.Hash) (authz.DeviceGrant, error) {
	return db.device(ctx, "user_code_hash = ?", hash)
}

func (db *DB) device(ctx context.Context, condition string, hash authz.Hash) (authz.DeviceGrant, error) {
	var row deviceRow
	err := db.query(ctx, func(tx *gorm.DB) error { return tx.Where(condition, hash[:]).Take(&row).Error })
	return row.device(), err
}

// PolledDevice implements authz.DeviceStore.
func (db *DB) PolledDevice(ctx context.Context, hash authz.Hash, polled time.Time, interval time.Duration) error {
	return db.statement(ctx, func(tx *gorm.DB) error {
		return tx.Model(&deviceRow{}).Where("hash = ?", hash[:]).
			Updates(map[string]any{"polled_at": millis(polled), "poll_interval": interval.Milliseconds()}).Error
	})
}

// DecideDevice implements authz.DeviceStore.
func (db *DB) DecideDevice(ctx context.Context, device authz.DeviceGrant) error {
	row := newDeviceRow(device)
	return db.statement(ctx, func(tx *gorm.DB) error {
		update := tx.Model(&deviceRow{}).Where("hash = ? AND state = ?", device.Hash[:], string(authz.DevicePending)).
			Select("state", "user_id", "auth_epoch", "browser_id", "scope", "resources", "amr", "auth_time").Updates(&row)
		return one(update, authz.ErrConflict)
	})
}

// RedeemDevice implements authz.DeviceStore, as RedeemCode does.
func (db *DB) RedeemDevice(ctx context.Context, hash authz.Hash, f authz.Family, grant authz.Grant) error {
	return db.transaction(ctx, func(tx *gorm.DB) error {
		if err := db.begin(tx, f, grant); err != nil {
			return err
		}
		return one(tx.Where("hash = ? AND state = ?", hash[:], string(authz.DeviceApproved)).Delete(&deviceRow{}), authz.ErrConflict)
	})
}

// begin stores a session that began in a browser, if that has not been logged out
// meanwhile; one without a browser began on a device. The share lock makes a logout that races with it wait for it, and then
// reach the session.
func (db *DB) begin(tx *gorm.DB, f authz.Family, grant authz.Grant) error {
	if grant.BrowserID != "" && !grant.Scope.Has(authz.ScopeOfflineAccess) {
		alive := tx.Model(&browserSessionRow{}).Where("id = ?", grant.BrowserID)
		if db.dialect == migrations.Postgres {
			alive = alive.Clauses(clause.Locking{Strength: "SHARE"})
		}
		if err := alive.Take(&browserSessionRow{}).Error; err != nil {
			return err
		}
	}
	if err := db.insertFamily(tx, f, grant.AuthEpoch); err != nil {
		return err
	}
	return tx.Create(&browserFamilyRow{
		SID: f.SessionID, BrowserID: grant.BrowserID, ClientID: f.ClientID, UserID: f.UserID, CreatedAt: millis(f.CreatedAt),
	}).Error
}
