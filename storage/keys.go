package storage

import (
	"context"
	"encoding/json"
	"time"

	"chancery/authz"
	"chancery/keys"

	"gorm.io/gorm"
)

type keyRow struct {
	Kid           string `gorm:"primaryKey"`
	Algorithm     string
	PublicJWK     string `gorm:"column:public_jwk"`
	Sealed        string
	CreatedAt     int64 `gorm:"autoCreateTime:false"`
	ActivateAt    int64
	RetireAt      int64
	RemoveAt      int64
	MaxTokenTTL   int64 `gorm:"column:max_token_ttl"`
	CompromisedAt int64
}

// TableName names the table of keyRow.
func (keyRow) TableName() string { return "signing_keys" }

type keySetRow struct {
	ID                int64 `gorm:"primaryKey"`
	Version           int64
	MasterFingerprint string
	MasterSince       int64
}

// TableName names the table of keySetRow.
func (keySetRow) TableName() string { return "signing_key_set" }

// keySetID is the id of the only row of signing_key_set.
const keySetID = 1

func newKeyRow(k keys.Key) keyRow {
	return keyRow{
		Kid: k.ID, Algorithm: string(k.Algorithm), PublicJWK: string(k.Public), Sealed: k.Sealed, CreatedAt: millis(k.CreatedAt),
		ActivateAt: millis(k.ActivateAt), RetireAt: millis(k.RetireAt), RemoveAt: millis(k.RemoveAt),
		MaxTokenTTL: k.MaxTokenTTL.Milliseconds(), CompromisedAt: millis(k.CompromisedAt),
	}
}

func (r keyRow) key() keys.Key {
	return keys.Key{
		ID: r.Kid, Algorithm: keys.Algorithm(r.Algorithm), Public: json.RawMessage(r.PublicJWK), Sealed: r.Sealed, CreatedAt: moment(r.CreatedAt),
		ActivateAt: moment(r.ActivateAt), RetireAt: moment(r.RetireAt), RemoveAt: moment(r.RemoveAt),
		MaxTokenTTL: time.Duration(r.MaxTokenTTL) * time.Millisecond, CompromisedAt: moment(r.CompromisedAt),
	}
}

// maxKeys bounds a set; ten years of monthly rotation keep fewer.
const maxKeys = 1000

// LoadKeys implements keys.Store.
func (db *DB) LoadKeys(ctx context.Context) (keys.Set, error) {
	var head keySetRow
	var rows []keyRow
	// The version is read before the keys, so that a change in between makes
	// the set look old and a later compare-and-swap fail, never the reverse.
	err := db.query(ctx, func(tx *gorm.DB) error { return tx.Where("id = ?", keySetID).Take(&head).Error })
	if err != nil {
		return keys.Set{}, err
	}
	err = db.query(ctx, func(tx *gorm.DB) error { return tx.Order("created_at, kid").Limit(maxKeys).Find(&rows).Error })
	if err != nil {
		return keys.Set{}, err
	}
	set := keys.Set{Version: head.Version, MasterFingerprint: head.MasterFingerprint, MasterSince: moment(head.MasterSince)}
	for _, row := range rows {
		set.Keys = append(set.Keys, row.key())
	}
	return set, nil
}

// SaveKeys implements keys.Store.
func (db *DB) SaveKeys(ctx context.Context, set keys.Set, expected int64, changes []keys.Change) error {
	return db.transaction(ctx, func(tx *gorm.DB) error {
		head := map[string]any{"version": set.Version, "master_fingerprint": set.MasterFingerprint, "master_since": millis(set.MasterSince)}
		swap := tx.Model(&keySetRow{}).Where("id = ? AND version = ?", keySetID, expected).Updates(head)
		if err := one(swap, keys.ErrConflict); err != nil {
			return err
		}
		// A set holds a dozen rows and changes monthly: it is written anew.
		if err := tx.Where("kid <> ''").Delete(&keyRow{}).Error; err != nil {
			return err
		}
		var rows []keyRow
		for _, k := range set.Keys {
			rows = append(rows, newKeyRow(k))
		}
		if len(rows) > 0 {
			if err := tx.Create(&rows).Error; err != nil {
				return err
			}
		}
		if err := insertEvents(tx, keyEvents(changes)...); err != nil {
			return err
		}
		return db.announce(tx, keysVersion)
	})
}

// keyEvents returns the events that record the changes.
func keyEvents(changes []keys.Change) []authz.Event {
	kinds := map[keys.ChangeKind]authz.EventKind{
		keys.Created: authz.EventKeyCreated, keys.Rotated: authz.EventKeyRotated,
		keys.Compromised: authz.EventKeyCompromised, keys.Removed: authz.EventKeyRemoved,
	}
	events := make([]authz.Event, len(changes))
	for i, c := range changes {
		event := authz.NewEvent(kinds[c.Kind], c.At)
		event.Target, event.Actor, event.Detail = c.KeyID, c.Actor.ID, string(c.Algorithm)
		event.Device = authz.Device{Address: c.Actor.Address, UserAgent: c.Actor.UserAgent}
		event.Changes = []authz.Difference{{Field: "state", Before: string(c.Before), After: string(c.After)}}
		if c.Kind == keys.Created || c.Kind == keys.Rotated {
			event.Detail += ", signs from " + c.ActivateAt.UTC().Format(time.RFC3339)
		}
		events[i] = event
	}
	return events
}
