package storage

import (
	"context"

	"chancery/authz"

	"gorm.io/gorm"
)

type statusListRow struct {
	ID             string `gorm:"primaryKey"`
	Kind           string
	PermutationKey []byte
	Capacity       uint32
	NextCounter    uint32
	CreatedAt      int64 `gorm:"autoCreateTime:false"`
}

// TableName names the table of statusListRow.
func (statusListRow) TableName() string { return "status_lists" }

// LeaseIndexes implements authz.IndexStore.
func (db *DB) LeaseIndexes(ctx context.Context, request authz.LeaseRequest) (authz.Lease, error) {
	lease := request.NewList
	err := db.transaction(ctx, func(tx *gorm.DB) error {
		var row statusListRow
		advance := tx.Raw("UPDATE status_lists SET next_counter = next_counter + ? "+
			"WHERE id = (SELECT id FROM status_lists WHERE kind = ? AND next_counter + ? <= capacity ORDER BY created_at, id LIMIT 1) AND next_counter + ? <= capacity "+
			"RETURNING id, permutation_key, capacity, next_counter", request.Count, string(request.Kind), request.Count, request.Count).Scan(&row)
		if advance.Error != nil {
			return advance.Error
		}
		if advance.RowsAffected > 0 {
			lease = authz.Lease{List: row.ID, Key: row.PermutationKey, Capacity: row.Capacity, Next: row.NextCounter - request.Count, End: row.NextCounter}
			return nil
		}
		n := request.NewList
		return tx.Create(&statusListRow{
			ID: n.List, Kind: string(request.Kind), PermutationKey: n.Key, Capacity: n.Capacity, NextCounter: n.End, CreatedAt: millis(request.Now),
		}).Error
	})
	return lease, err
}
