package storage

import (
	"context"
	"time"

	"chancery/authz"

	"gorm.io/gorm"
)

// AcquireLease implements authz.PurgeStore.
func (db *DB) AcquireLease(ctx context.Context, name, holder string, now, until time.Time) (bool, error) {
	var rows int64
	err := db.statement(ctx, func(tx *gorm.DB) error {
		result := tx.Exec("INSERT INTO work_leases (name, holder, expires_at) VALUES (?, ?, ?) "+
			"ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at "+
			"WHERE work_leases.holder = excluded.holder OR work_leases.expires_at <= ?", name, holder, millis(until), millis(now))
		rows = result.RowsAffected
		return result.Error
	})
	return rows > 0, err
}

// Purge implements authz.PurgeStore.
func (db *DB) Purge(ctx context.Context, limits authz.PurgeLimits) (int, error) {
	total, err := db.purgeFamilies(ctx, limits)
	if err != nil {
		return total, err
	}
	for _, kind := range []struct {
		sql    string
		before time.Time
	}{
		{"DELETE FROM denied_tokens WHERE jti IN (SELECT jti FROM denied_tokens WHERE expires_at < ? ORDER BY expires_at LIMIT ?)", limits.DeniedBefore},
		{"DELETE FROM account_confirmations WHERE hash IN (SELECT hash FROM account_confirmations WHERE expires_at < ? ORDER BY expires_at LIMIT ?)", limits.ConfirmationsBefore},
		{"DELETE FROM console_sessions WHERE token IN (SELECT token FROM console_sessions WHERE expires_at < ? ORDER BY expires_at LIMIT ?)", limits.ConsoleBefore},
		{"DELETE FROM browser_sessions WHERE hash IN (SELECT hash FROM browser_sessions WHERE expires_at < ? ORDER BY expires_at LIMIT ?)", limits.BrowsersBefore},
		{"DELETE FROM authorization_codes WHERE hash IN (SELECT hash FROM authorization_codes WHERE expires_at < ? ORDER BY expires_at LIMIT ?)", limits.CodesBefore},
		{"DELETE FROM pushed_requests WHERE hash IN (SELECT hash FROM pushed_requests WHERE expires_at < ? ORDER BY expires_at LIMIT ?)", limits.PushedBefore},
		{"DELETE FROM used_ids WHERE hash IN (SELECT hash FROM used_ids WHERE expires_at < ? ORDER BY expires_at LIMIT ?)", limits.UsedBefore},
		{"DELETE FROM device_grants WHERE hash IN (SELECT hash FROM device_grants WHERE expires_at < ? ORDER BY expires_at LIMIT ?)", limits.DevicesBefore},
		{"DELETE FROM activity WHERE (minute, kind) IN (SELECT minute, kind FROM activity WHERE minute < ? ORDER BY minute LIMIT ?)", limits.ActivityBefore},
		{"DELETE FROM security_events WHERE id IN (SELECT id FROM security_events WHERE time < ? ORDER BY time LIMIT ?)", limits.EventsBefore},
	} {
		err := db.statement(ctx, func(tx *gorm.DB) error {
			result := tx.Exec(kind.sql, millis(kind.before), limits.Limit)
			total += int(result.RowsAffected)
			return result.Error
		})
		if err != nil {
			return total, err
		}
	}
	strangers, err := db.purgeStrangers(ctx, limits)
	if err != nil {
		return total, err
	}
	retired, err := db.retireLists(ctx, limits)
	return total + strangers + retired, err
}

// purgeStrangers deletes clients that no admin has registered and no user uses.
func (db *DB) purgeStrangers(ctx context.Context, limits authz.PurgeLimits) (int, error) {
	deleted := 0
	err := db.transaction(ctx, func(tx *gorm.DB) error {
		result := tx.Exec("DELETE FROM clients WHERE id IN (SELECT c.id FROM clients c WHERE c.origin IN ? AND c.disabled_at = 0 AND c.updated_at < ? "+
			"AND NOT EXISTS (SELECT 1 FROM consents WHERE client_id = c.id) AND NOT EXISTS (SELECT 1 FROM refresh_families WHERE client_id = c.id) LIMIT ?)",
			[]string{authz.OriginDynamic, authz.OriginDocument}, millis(limits.StrangersBefore), limits.Limit)
		if deleted = int(result.RowsAffected); result.Error != nil || deleted == 0 {
			return result.Error
		}
		return db.announce(tx, registrationsVersion)
	})
	return deleted, err
}

// purgeFamilies deletes sessions together with what is known of where they
// began.
func (db *DB) purgeFamilies(ctx context.Context, limits authz.PurgeLimits) (int, error) {
	var gone []familyRow
	err := db.transaction(ctx, func(tx *gorm.DB) error {
		gone = nil // when it is tried again
		old := "SELECT sid FROM refresh_families WHERE absolute_expires_at < ? ORDER BY absolute_expires_at LIMIT ?"
		deleted := tx.Raw("DELETE FROM refresh_families WHERE sid IN ("+old+") RETURNING sid", millis(limits.FamiliesBefore), limits.Limit).Scan(&gone)
		if deleted.Error != nil {
			return deleted.Error
		}
		for batch := range batches(gone) {
			if err := tx.Where("sid IN ?", batch).Delete(&browserFamilyRow{}).Error; err != nil {
				return err
			}
		}
		return nil
	})
	return len(gone), err
}
