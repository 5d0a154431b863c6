package storage

import (
	"context"
	"maps"
	"slices"
	"time"

	"chancery/authz"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

type activityRow struct {
	Minute int64  `gorm:"primaryKey;autoIncrement:false"`
	Kind   string `gorm:"primaryKey"`
	Amount int64
}

// TableName names the table of activityRow.
func (activityRow) TableName() string { return "activity" }

// AddActivity implements authz.ActivityStore.
func (db *DB) AddActivity(ctx context.Context, minute time.Time, amounts map[authz.ActivityKind]int64) error {
	var rows []activityRow
	for _, kind := range slices.Sorted(maps.Keys(amounts)) { // in one order, so that two nodes do not wait for each other
		rows = append(rows, activityRow{Minute: millis(minute), Kind: string(kind), Amount: amounts[kind]})
	}
	return db.upsertActivity(ctx, rows, gorm.Expr("activity.amount + excluded.amount"))
}

// SetActiveSessions implements authz.ActivityStore.
func (db *DB) SetActiveSessions(ctx context.Context, minute time.Time, amount int64) error {
	rows := []activityRow{{Minute: millis(minute), Kind: string(authz.ActiveSessions), Amount: amount}}
	return db.upsertActivity(ctx, rows, gorm.Expr("excluded.amount"))
}

func (db *DB) upsertActivity(ctx context.Context, rows []activityRow, amount clause.Expr) error {
	if len(rows) == 0 {
		return nil
	}
	return db.statement(ctx, func(tx *gorm.DB) error {
		return tx.Clauses(clause.OnConflict{
			Columns: []clause.Column{{Name: "minute"}, {Name: "kind"}}, DoUpdates: clause.Set{{Column: clause.Column{Name: "amount"}, Value: amount}},
		}).Create(&rows).Error
	})
}

// Activity implements authz.ActivityStore.
func (db *DB) Activity(ctx context.Context, query authz.ActivityQuery) ([]authz.ActivityPoint, error) {
	var rows []activityRow
	step := query.Step.Milliseconds()
	err := db.query(ctx, func(tx *gorm.DB) error {
		return tx.Raw("SELECT minute - minute % ? AS minute, kind, CAST(CASE WHEN kind = ? THEN max(amount) ELSE sum(amount) END AS BIGINT) AS amount FROM activity "+
			"WHERE minute >= ? AND minute < ? GROUP BY 1, 2 ORDER BY 1, 2", step, string(authz.ActiveSessions), millis(query.From), millis(query.Until)).Scan(&rows).Error
	})
	points := make([]authz.ActivityPoint, len(rows))
	for i, row := range rows {
		points[i] = authz.ActivityPoint{Time: moment(row.Minute), Kind: authz.ActivityKind(row.Kind), Amount: row.Amount}
	}
	return points, err
}

// CountSessions implements authz.ActivityStore.
func (db *DB) CountSessions(ctx context.Context, now time.Time) (int64, error) {
	var n int64
	ms := millis(now)
	err := db.query(ctx, func(tx *gorm.DB) error {
		return tx.Model(&familyRow{}).Where("revoked_at IS NULL AND idle_expires_at > ? AND absolute_expires_at > ?", ms, ms).Count(&n).Error
	})
	return n, err
}
