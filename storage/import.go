package storage

import (
	"context"

	"chancery/authz"

	"gorm.io/gorm"
)

// importBatch is how many users one statement inserts: SQLite takes 32,766
// parameters.
const importBatch = 500

// TakenNames implements authz.ImportStore.
func (db *DB) TakenNames(ctx context.Context, names, addresses []string) (takenNames, takenAddresses map[string]bool, err error) {
	if takenNames, err = db.existing(ctx, "name", "", names); err != nil {
		return nil, nil, err
	}
	takenAddresses, err = db.existing(ctx, "email_name", "(email_verified_at <> 0 OR name = email_name)", addresses)
	return takenNames, takenAddresses, err
}

// existing returns which of values stand in a column of users, among those
// that meet the condition.
func (db *DB) existing(ctx context.Context, column, condition string, values []string) (map[string]bool, error) {
	found := map[string]bool{}
	if len(values) == 0 {
		return found, nil
	}
	var rows []string
	err := db.query(ctx, func(tx *gorm.DB) error {
		tx = tx.Model(&userRow{}).Where(column+" IN ?", values)
		if condition != "" {
			tx = tx.Where(condition)
		}
		return tx.Limit(len(values)).Pluck(column, &rows).Error
	})
	for _, row := range rows {
		found[row] = true
	}
	return found, err
}

// InsertUsers implements authz.ImportStore.
func (db *DB) InsertUsers(ctx context.Context, users []authz.User, events []authz.Event) error {
	if len(users) == 0 {
		return nil
	}
	rows := make([]userRow, len(users))
	for i, user := range users {
		rows[i] = newUserRow(user)
	}
	return db.transaction(ctx, func(tx *gorm.DB) error {
		if err := tx.CreateInBatches(&rows, importBatch).Error; err != nil {
			return err
		}
		return insertEvents(tx, events...)
	})
}
