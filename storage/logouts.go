package storage

import (
	"context"
	"iter"
	"slices"
	"time"

	"chancery/authz"
	"chancery/storage/migrations"

	"gorm.io/gorm"
)

type logoutRow struct {
	ID        string `gorm:"primaryKey"`
	ClientID  string
	UserID    string
	SID       string `gorm:"column:sid"`
	Attempts  int
	CreatedAt int64 `gorm:"autoCreateTime:false"`
	DueAt     int64
}

// TableName names the table of logoutRow.
func (logoutRow) TableName() string { return "logout_deliveries" }

// batches returns the session ids of rows, so many at a time as one statement
// takes.
func batches(rows []familyRow) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		for chunk := range slices.Chunk(rows, 1000) {
			ids := make([]string, len(chunk))
			for i, row := range chunk {
				ids[i] = row.SID
			}
			if !yield(ids) {
				return
			}
		}
	}
}

// tellClients stores what the clients of sessions are to be told: of those that
// have ended, and of those that stay though their browser was logged out.
func tellClients(tx *gorm.DB, ending authz.Ending, ended []familyRow) error {
	if ending.BrowserID != "" {
		var kept []familyRow
		err := tx.Raw("SELECT f.sid FROM browser_families b JOIN refresh_families f ON f.sid = b.sid WHERE b.browser_id = ? AND f.revoked_at IS NULL",
			ending.BrowserID).Scan(&kept).Error
		if err != nil {
			return err
		}
		ended = slices.Concat(ended, kept)
	}
	for batch := range batches(ended) {
		var begun []browserFamilyRow
		err := tx.Raw("SELECT b.sid, b.client_id, b.user_id FROM browser_families b JOIN clients c ON c.id = b.client_id "+
			"WHERE c.backchannel_logout_uri <> '' AND b.sid IN ?", batch).Scan(&begun).Error
		if err != nil {
			return err
		}
		rows := make([]logoutRow, len(begun))
		for i, b := range begun {
			d := authz.NewLogoutDelivery(b.ClientID, b.UserID, b.SID, ending.Now)
			rows[i] = logoutRow{ID: d.ID, ClientID: d.ClientID, UserID: d.UserID, SID: d.SessionID, CreatedAt: millis(d.CreatedAt), DueAt: millis(d.CreatedAt)}
		}
		if len(rows) > 0 {
			if err := tx.Create(&rows).Error; err != nil {
				return err
			}
		}
	}
	return nil
}

// ClaimLogouts implements authz.LogoutStore.
func (db *DB) ClaimLogouts(ctx context.Context, now, until time.Time, limit, perClient int) ([]authz.LogoutDelivery, error) {
	// Each client's oldest come first, of those that have waited longest.
	const oldest = "SELECT l.id FROM logout_deliveries l JOIN (SELECT id, ROW_NUMBER() OVER (PARTITION BY client_id ORDER BY due_at, id) AS turn " +
		"FROM (SELECT id, client_id, due_at FROM logout_deliveries WHERE due_at <= ? ORDER BY due_at, id LIMIT 5000) d) t ON t.id = l.id " +
		"WHERE t.turn <= ? AND l.due_at <= ? ORDER BY t.turn, l.due_at, l.id LIMIT ?"
	due := "IN (" + oldest + ")"
	if db.dialect == migrations.Postgres {
		due = "= ANY (ARRAY (" + oldest + " FOR UPDATE OF l SKIP LOCKED))"
	}
	var claimed []logoutRow
	err := db.statement(ctx, func(tx *gorm.DB) error {
		return tx.Raw("UPDATE logout_deliveries SET attempts = attempts + 1, due_at = ? WHERE id "+due+
			" RETURNING id, client_id, user_id, sid, attempts, created_at, due_at", millis(until), millis(now), perClient, millis(now), limit).Scan(&claimed).Error
	})
	deliveries := make([]authz.LogoutDelivery, len(claimed))
	for i, row := range claimed {
		deliveries[i] = authz.LogoutDelivery{
			ID: row.ID, ClientID: row.ClientID, UserID: row.UserID, SessionID: row.SID, Attempts: row.Attempts, CreatedAt: moment(row.CreatedAt),
		}
	}
	return deliveries, err
}

// RetryLogout implements authz.LogoutStore.
func (db *DB) RetryLogout(ctx context.Context, id string, due time.Time) error {
	return db.statement(ctx, func(tx *gorm.DB) error {
		return tx.Model(&logoutRow{}).Where("id = ?", id).UpdateColumn("due_at", millis(due)).Error
	})
}

// FinishLogout implements authz.LogoutStore.
func (db *DB) FinishLogout(ctx context.Context, id string, event authz.Event) error {
	return db.transaction(ctx, func(tx *gorm.DB) error {
		if err := tx.Where("id = ?", id).Delete(&logoutRow{}).Error; err != nil {
			return err
		}
		return insertEvents(tx, event)
	})
}
