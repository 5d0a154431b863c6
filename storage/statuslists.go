package storage

import (
	"context"
	"slices"

	"chancery/authz"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

type statusListRow struct {
	ID             string `gorm:"primaryKey"`
	Kind           string
	PermutationKey []byte
	Capacity       uint32
	NextCounter    uint32
	CreatedAt      int64 `gorm:"autoCreateTime:false"`
	LeasedAt       int64
	Version        int64
	Bits           []byte
	Token          string
	ExpiresAt      int64
}

// TableName names the table of statusListRow.
func (statusListRow) TableName() string { return "status_lists" }

// statusChangeRow is an entry that has ended and that no version shows yet.
type statusChangeRow struct {
	ListID string `gorm:"primaryKey"`
	Idx    uint32 `gorm:"primaryKey;autoIncrement:false"`
}

// TableName names the table of statusChangeRow.
func (statusChangeRow) TableName() string { return "status_changes" }

// LeaseIndexes implements authz.IndexStore.
func (db *DB) LeaseIndexes(ctx context.Context, request authz.LeaseRequest) (authz.Lease, error) {
	lease := request.NewList
	err := db.transaction(ctx, func(tx *gorm.DB) error {
		var row statusListRow
		advance := tx.Raw("UPDATE status_lists SET next_counter = next_counter + ?, leased_at = ? "+
			"WHERE id = (SELECT id FROM status_lists WHERE kind = ? AND next_counter + ? <= capacity ORDER BY created_at, id LIMIT 1) AND next_counter + ? <= capacity "+
			"RETURNING id, permutation_key, capacity, next_counter", request.Count, millis(request.Now), string(request.Kind), request.Count, request.Count).Scan(&row)
		if advance.Error != nil {
			return advance.Error
		}
		if advance.RowsAffected > 0 {
			lease = authz.Lease{List: row.ID, Key: row.PermutationKey, Capacity: row.Capacity, Next: row.NextCounter - request.Count, End: row.NextCounter}
			return nil
		}
		n := request.NewList
		effectsOf(tx).statuses = true // its first version, with nothing in it
		if err := tx.Create(&statusListRow{
			ID: n.List, Kind: string(request.Kind), PermutationKey: n.Key, Capacity: n.Capacity, NextCounter: n.End,
			CreatedAt: millis(request.Now), LeasedAt: millis(request.Now), Bits: []byte{},
		}).Error; err != nil {
			return err
		}
		return db.notify(tx, statusVersion)
	})
	return lease, err
}

// statusBatch is how many entries one statement carries.
const statusBatch = 500

// endStatuses notes within a transaction that entries have ended, so that the
// next version of their list shows it. The zero entry stands for none.
func (db *DB) endStatuses(tx *gorm.DB, refs ...authz.StatusRef) error {
	var rows []statusChangeRow
	for _, ref := range refs {
		if ref.List != "" {
			rows = append(rows, statusChangeRow{ListID: ref.List, Idx: ref.Index})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	effectsOf(tx).statuses = true
	if err := tx.Clauses(clause.OnConflict{DoNothing: true}).CreateInBatches(&rows, statusBatch).Error; err != nil {
		return err
	}
	return db.notify(tx, statusVersion)
}

// StatusListVersions implements authz.StatusListStore.
func (db *DB) StatusListVersions(ctx context.Context) (map[string]int64, error) {
	var rows []statusListRow
	err := db.query(ctx, func(tx *gorm.DB) error { return tx.Select("id", "version").Find(&rows).Error })
	versions := make(map[string]int64, len(rows))
	for _, row := range rows {
		versions[row.ID] = row.Version
	}
	return versions, err
}

// SignedStatusLists implements authz.StatusListStore.
func (db *DB) SignedStatusLists(ctx context.Context, ids []string) ([]authz.SignedStatusList, error) {
	var rows []statusListRow
	err := db.query(ctx, func(tx *gorm.DB) error {
		return tx.Select("id", "version", "token", "expires_at").Where("id IN ? AND version > 0", ids).Find(&rows).Error
	})
	lists := make([]authz.SignedStatusList, len(rows))
	for i, row := range rows {
		lists[i] = authz.SignedStatusList{ID: row.ID, Version: row.Version, Token: row.Token, ExpiresAt: moment(row.ExpiresAt)}
	}
	return lists, err
}

// statusEnded is the condition under which a list must be published although
// its last version is young.
const statusEnded = "EXISTS (SELECT 1 FROM status_changes c WHERE c.list_id = status_lists.id)"

// DueStatusLists implements authz.StatusListStore.
func (db *DB) DueStatusLists(ctx context.Context, query authz.StatusQuery) ([]authz.DueStatusList, error) {
	var due []authz.DueStatusList
	err := db.query(ctx, func(tx *gorm.DB) error {
		var rows []statusListRow
		page := tx.Select("id", "capacity", "version", "expires_at", "bits").Where("(expires_at < ? OR "+statusEnded+")", millis(query.ExpiresBefore))
		if query.AfterID != "" {
			page = page.Where("(version, id) > (?, ?)", query.AfterVersion, query.AfterID)
		}
		if err := page.Order("version, id").Limit(query.Lists).Find(&rows).Error; err != nil {
			return err
		}
		due = make([]authz.DueStatusList, len(rows))
		for i, row := range rows {
			due[i] = authz.DueStatusList{ID: row.ID, Capacity: row.Capacity, Version: row.Version, ExpiresAt: moment(row.ExpiresAt)}
			if len(row.Bits) > 0 {
				due[i].Bits = row.Bits
			}
			if err := tx.Model(&statusChangeRow{}).Where("list_id = ?", row.ID).Order("idx").Limit(query.Entries).Pluck("idx", &due[i].Ended).Error; err != nil {
				return err
			}
		}
		return nil
	})
	return due, err
}

// PublishStatusList implements authz.StatusListStore.
func (db *DB) PublishStatusList(ctx context.Context, p authz.StatusPublication) error {
	return db.transaction(ctx, func(tx *gorm.DB) error {
		swap := tx.Model(&statusListRow{}).Where("id = ? AND version = ?", p.ID, p.Before).
			Updates(map[string]any{"version": p.Version, "token": p.Token, "bits": p.Bits, "expires_at": millis(p.ExpiresAt)})
		if err := one(swap, authz.ErrConflict); err != nil {
			return err
		}
		for shown := range slices.Chunk(p.Ended, statusBatch) {
			if err := tx.Where("list_id = ? AND idx IN ?", p.ID, shown).Delete(&statusChangeRow{}).Error; err != nil {
				return err
			}
		}
		return db.announce(tx, statusVersion)
	})
}

// retireLists deletes lists of sessions that are full and have none left.
func (db *DB) retireLists(ctx context.Context, limits authz.PurgeLimits) (int, error) {
	var retired []string
	before := millis(limits.ListsBefore)
	err := db.transaction(ctx, func(tx *gorm.DB) error {
		remove := "DELETE FROM status_lists WHERE id IN (SELECT l.id FROM status_lists l WHERE l.kind = ? AND l.next_counter >= l.capacity " +
			"AND l.created_at < ? AND l.leased_at < ? AND NOT EXISTS (SELECT 1 FROM refresh_families f WHERE f.status_list = l.id) ORDER BY l.created_at LIMIT ?) RETURNING id"
		if err := tx.Raw(remove, string(authz.StatusSessions), before, before, limits.Limit).Scan(&retired).Error; err != nil || len(retired) == 0 {
			return err
		}
		if err := tx.Where("list_id IN ?", retired).Delete(&statusChangeRow{}).Error; err != nil {
			return err
		}
		return db.announce(tx, statusVersion) // so that all nodes forget them
	})
	return len(retired), err
}

// statusDue reports whether entries have ended that no version shows, or a
// list was never signed.
func (db *DB) statusDue(ctx context.Context) (bool, error) {
	var due bool
	err := db.query(ctx, func(tx *gorm.DB) error {
		return tx.Raw("SELECT EXISTS (SELECT 1 FROM status_lists WHERE version = 0 OR " + statusEnded + ")").Scan(&due).Error
	})
	return due, err
}
