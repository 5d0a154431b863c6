package storage

import (
	"context"
	"strings"
	"time"

	"chancery/authz"
	"chancery/storage/migrations"

	"gorm.io/gorm"
)

type familyRow struct {
	SID               string `gorm:"column:sid;primaryKey"`
	HandleHash        []byte
	ClientID          string
	UserID            string
	Scope             string
	Resources         string
	Roles             string
	AMR               string `gorm:"column:amr"`
	AuthTime          int64
	CreatedAt         int64 `gorm:"autoCreateTime:false"`
	Generation        int64
	RotatedAt         int64
	IdleExpiresAt     int64
	AbsoluteExpiresAt int64
	RevokedAt         *int64
	RevokedCause      string
	LostGeneration    int64
	LostCount         int
	LostSince         int64
	StatusList        string
	StatusIndex       uint32
	Address           string
	UserAgent         string
	JKT               string `gorm:"column:jkt"`
}

// TableName names the table of familyRow.
func (familyRow) TableName() string { return "refresh_families" }

const familyColumns = "sid, handle_hash, client_id, user_id, scope, resources, roles, amr, auth_time, created_at, generation, rotated_at, " +
	"idle_expires_at, absolute_expires_at, revoked_at, revoked_cause, lost_generation, lost_count, lost_since, status_list, status_index, address, user_agent, jkt"

func (r familyRow) family() authz.Family {
	var revokedAt time.Time
	if r.RevokedAt != nil {
		revokedAt = moment(*r.RevokedAt)
	}
	f := authz.Family{
		SessionID: r.SID, ClientID: r.ClientID, UserID: r.UserID,
		Scope: strings.Fields(r.Scope), Resources: strings.Fields(r.Resources), Roles: strings.Fields(r.Roles), AMR: strings.Fields(r.AMR),
		AuthTime: moment(r.AuthTime), CreatedAt: moment(r.CreatedAt), Generation: uint64(r.Generation), RotatedAt: moment(r.RotatedAt),
		IdleExpiresAt: moment(r.IdleExpiresAt), AbsoluteExpiresAt: moment(r.AbsoluteExpiresAt),
		RevokedAt: revokedAt, RevokedCause: authz.Cause(r.RevokedCause),
		LostGeneration: uint64(r.LostGeneration), LostCount: r.LostCount, LostSince: moment(r.LostSince),
		Status: authz.StatusRef{List: r.StatusList, Index: r.StatusIndex}, Device: authz.Device{Address: r.Address, UserAgent: r.UserAgent},
		KeyThumbprint: r.JKT,
	}
	copy(f.HandleHash[:], r.HandleHash)
	return f
}

// InsertFamily implements authz.LoginStore. The share lock on the user's row
// makes a ban or a change of roles that races with the login wait for it, and
// then reach the session.
func (db *DB) InsertFamily(ctx context.Context, f authz.Family, epoch int64) error {
	return db.statement(ctx, func(tx *gorm.DB) error { return db.insertFamily(tx, f, epoch) })
}

func (db *DB) insertFamily(tx *gorm.DB, f authz.Family, epoch int64) error {
	insert := "INSERT INTO refresh_families (" + familyColumns + ") " +
		"SELECT ?, ?, ?, id, ?, ?, roles, ?, ?, ?, ?, ?, ?, ?, NULL, '', 0, 0, 0, ?, ?, ?, ?, ? FROM users " +
		"WHERE id = ? AND auth_epoch = ? AND disabled_at = 0 AND banned_until <= ? " +
		"AND EXISTS (SELECT 1 FROM clients WHERE id = ? AND disabled_at = 0)"
	if db.dialect == migrations.Postgres {
		insert = strings.Replace(insert, "SELECT ?, ?, ?, id, ?, ?, roles, ?, ?, ?, ?, ?, ?, ?,",
			"SELECT ?, ?::bytea, ?, id, ?, ?, roles, ?, ?::bigint, ?::bigint, ?::bigint, ?::bigint, ?::bigint, ?::bigint,", 1)
		insert = strings.Replace(insert, "0, 0, 0, ?, ?, ?, ?, ?", "0, 0, 0, ?, ?::bigint, ?, ?, ?", 1) + " FOR SHARE"
	}
	result := tx.Exec(insert, f.SessionID, f.HandleHash[:], f.ClientID,
		words(f.Scope), words(f.Resources), words(f.AMR), millis(f.AuthTime), millis(f.CreatedAt), int64(f.Generation), millis(f.RotatedAt),
		millis(f.IdleExpiresAt), millis(f.AbsoluteExpiresAt), f.Status.List, f.Status.Index, f.Device.Address, f.Device.UserAgent, f.KeyThumbprint,
		f.UserID, epoch, millis(f.CreatedAt), f.ClientID)
	return one(result, authz.ErrNotFound)
}

// FamilyByHandle implements authz.FamilyStore.
func (db *DB) FamilyByHandle(ctx context.Context, hash authz.Hash) (authz.Family, error) {
	return db.family(ctx, "handle_hash = ?", hash[:])
}

// FamilyBySession implements authz.FamilyStore.
func (db *DB) FamilyBySession(ctx context.Context, sessionID string) (authz.Family, error) {
	return db.family(ctx, "sid = ?", sessionID)
}

func (db *DB) family(ctx context.Context, condition string, value any) (authz.Family, error) {
	var row familyRow
	err := db.query(ctx, func(tx *gorm.DB) error { return tx.Where(condition, value).Take(&row).Error })
	return row.family(), err
}

// Forgive implements authz.FamilyStore.
func (db *DB) Forgive(ctx context.Context, f authz.Forgiveness) error {
	return db.transaction(ctx, func(tx *gorm.DB) error {
		generation := int64(f.Generation)
		update := tx.Model(&familyRow{}).
			Where("sid = ? AND generation = ? AND lost_generation <> ? AND lost_count = ? AND revoked_at IS NULL", f.SessionID, generation, generation, f.Before).
			Updates(map[string]any{"lost_generation": generation, "lost_count": f.Count, "lost_since": millis(f.Since)})
		if err := one(update, authz.ErrConflict); err != nil {
			return err
		}
		return insertEvents(tx, f.Event)
	})
}

// Restore implements authz.FamilyStore.
func (db *DB) Restore(ctx context.Context, r authz.Restoration) (authz.Family, error) {
	var f authz.Family
	err := db.transaction(ctx, func(tx *gorm.DB) (err error) {
		if f, err = swap(tx, r.Swap, r.Next, authz.ErrConflict); err != nil {
			return err
		}
		return insertEvents(tx, r.Event)
	})
	return f, err
}

// ListSessions implements authz.SessionStore.
func (db *DB) ListSessions(ctx context.Context, filter authz.SessionFilter) ([]authz.Family, error) {
	var rows []familyRow
	err := db.query(ctx, func(tx *gorm.DB) error {
		if filter.UserID != "" {
			tx = tx.Where("user_id = ?", filter.UserID)
		}
		if filter.ClientID != "" {
			tx = tx.Where("client_id = ?", filter.ClientID)
		}
		if filter.Live {
			now := millis(filter.Now)
			tx = tx.Where("revoked_at IS NULL AND idle_expires_at > ? AND absolute_expires_at > ?", now, now)
		}
		return pageOf(tx, filter.Page, "created_at", "sid").Find(&rows).Error
	})
	families := make([]authz.Family, len(rows))
	for i, row := range rows {
		families[i] = row.family()
	}
	return families, err
}

// EndSessions implements authz.SessionStore.
func (db *DB) EndSessions(ctx context.Context, ending authz.Ending) (int, error) {
	var n int
	err := db.transaction(ctx, func(tx *gorm.DB) (err error) {
		n, err = db.endSessions(tx, ending)
		return err
	})
	return n, err
}

// endSessions is the one place where sessions end. Every change that ends some
// calls it within its own transaction.
func (db *DB) endSessions(tx *gorm.DB, ending authz.Ending) (int, error) {
	inConsole, err := endConsole(tx, ending)
	if err != nil {
		return 0, err
	}
	if err := endBrowser(tx, ending); err != nil {
		return 0, err
	}
	if err := takeBackGrants(tx, ending); err != nil {
		return 0, err
	}
	condition, values := selection(ending)
	condition += " AND revoked_at IS NULL AND sid <> ?"
	values = append(values, ending.Except)
	if ending.Spare != "" {
		position := "instr"
		if db.dialect == migrations.Postgres {
			position = "strpos"
		}
		condition += " AND " + position + "(' ' || scope || ' ', ?) = 0"
		values = append(values, " "+ending.Spare+" ")
	}
	if ending.Trim {
		live := "user_id = ? AND revoked_at IS NULL AND idle_expires_at > ? AND absolute_expires_at > ?"
		condition += " AND " + live + " AND sid NOT IN (SELECT sid FROM refresh_families WHERE " + live + " ORDER BY created_at DESC, sid DESC LIMIT ?)"
		of := []any{ending.UserID, millis(ending.Now), millis(ending.Now)}
		values = append(append(append(values, of...), of...), ending.Keep)
	}
	if ending.Limit > 0 {
		batch := "SELECT sid FROM refresh_families WHERE " + condition + " ORDER BY created_at, sid LIMIT ?"
		condition = "sid IN (" + batch + ") AND revoked_at IS NULL"
		if db.dialect == migrations.Postgres {
			// With the lock a second caller waits, passes over what the first
			// one has ended, and still gets a whole batch. As an array the
			// batch is selected once; IN could select it anew for every row.
			condition = "sid = ANY (ARRAY (" + batch + " FOR UPDATE)) AND revoked_at IS NULL"
		}
		values = append(values, ending.Limit)
	}
	var ended []familyRow
	update := "UPDATE refresh_families SET revoked_at = ?, revoked_cause = ? WHERE " + condition + " RETURNING sid, user_id, client_id, status_list, status_index"
	if err := tx.Raw(update, append([]any{millis(ending.Now), string(ending.Cause)}, values...)...).Scan(&ended).Error; err != nil {
		return 0, err
	}
	events, statuses := make([]authz.Event, len(ended)), make([]authz.StatusRef, len(ended))
	for i, row := range ended {
		events[i] = ending.Event(row.SID, row.UserID, row.ClientID)
		statuses[i] = authz.StatusRef{List: row.StatusList, Index: row.StatusIndex}
	}
	if inConsole && len(ended) == 0 && ending.Cause == authz.CauseAdmin {
		events = append(events, consoleEvent(ending))
	}
	if err := db.endStatuses(tx, statuses...); err != nil {
		return 0, err
	}
	if err := tellClients(tx, ending, ended); err != nil {
		return 0, err
	}
	if err := endBrowsers(tx, ending, ended); err != nil {
		return 0, err
	}
	return len(ended), insertEvents(tx, events...)
}

// selection returns the condition that picks the sessions. An ending that
// selects nothing ends nothing.
func selection(ending authz.Ending) (condition string, values []any) {
	switch {
	case ending.SessionID != "":
		return "sid = ?", []any{ending.SessionID}
	case ending.BrowserID != "":
		return "sid IN (SELECT sid FROM browser_families WHERE browser_id = ?)", []any{ending.BrowserID}
	case ending.UserID != "" && ending.ClientID != "":
		return "user_id = ? AND client_id = ?", []any{ending.UserID, ending.ClientID}
	case ending.UserID != "":
		return "user_id = ?", []any{ending.UserID}
	case ending.ClientID != "":
		return "client_id = ?", []any{ending.ClientID}
	case ending.All:
		return "created_at <= ?", []any{millis(ending.Now)} // those that begin meanwhile are not meant
	}
	return "sid = ?", []any{""}
}
