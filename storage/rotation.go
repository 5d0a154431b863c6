package storage

import (
	"context"
	"database/sql"
	"errors"

	"chancery/authz"

	"gorm.io/gorm"
)

// swapSQL is the one statement of a rotation. Its condition is the d = 0 line
// of authz.Family.Check, the client, and the key that the family is bound to.
const swapSQL = "UPDATE refresh_families SET generation = ?, rotated_at = ?, idle_expires_at = ?, address = ?, user_agent = ? " +
	"WHERE handle_hash = ? AND generation = ? AND client_id = ? AND revoked_at IS NULL AND idle_expires_at > ? AND absolute_expires_at > ? " +
	"AND (jkt = '' OR jkt = ?) RETURNING " + familyColumns

// swapColumns is how many values swapSQL takes, swapValues what they are.
const swapColumns = 11

func swapValues(s authz.Swap, next uint64) []any {
	now := millis(s.Now)
	return []any{
		int64(next), now, millis(s.IdleExpiresAt), s.Device.Address, s.Device.UserAgent,
		s.HandleHash[:], int64(s.Generation), s.ClientID, now, now, s.KeyThumbprint,
	}
}

// scanFamily reads a row of familyColumns. The hot path has no use for what gorm
// does to fill a struct.
func scanFamily(scan func(into ...any) error, missing error) (authz.Family, error) {
	var r familyRow
	err := scan(&r.SID, &r.HandleHash, &r.ClientID, &r.UserID, &r.Scope, &r.Resources, &r.Roles, &r.AMR, &r.AuthTime, &r.CreatedAt, &r.Generation, &r.RotatedAt,
		&r.IdleExpiresAt, &r.AbsoluteExpiresAt, &r.RevokedAt, &r.RevokedCause, &r.LostGeneration, &r.LostCount, &r.LostSince, &r.StatusList, &r.StatusIndex,
		&r.Address, &r.UserAgent, &r.JKT)
	if errors.Is(err, sql.ErrNoRows) {
		return authz.Family{}, missing
	}
	return r.family(), err
}

// Rotate implements authz.FamilyStore. On SQLite rotations that come together are
// committed together.
func (db *DB) Rotate(ctx context.Context, s authz.Swap) (authz.Family, error) {
	var f authz.Family
	err := db.retry(ctx, "statement", func() (err error) {
		if db.together != nil {
			f, err = db.together.rotate(ctx, s)
		} else {
			f, err = swap(db.write.WithContext(ctx), s, s.Generation+1, authz.ErrNotFound)
		}
		return err
	})
	return f, err
}

func swap(tx *gorm.DB, s authz.Swap, next uint64, missing error) (authz.Family, error) {
	row := tx.Raw(swapSQL, swapValues(s, next)...).Row()
	if row == nil {
		return authz.Family{}, tx.Error
	}
	return scanFamily(row.Scan, missing)
}
