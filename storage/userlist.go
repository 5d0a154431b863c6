package storage

import (
	"context"
	"strings"

	"chancery/authz"
	"chancery/storage/migrations"

	"gorm.io/gorm"
)

// ListUsers implements authz.UserReader.
func (db *DB) ListUsers(ctx context.Context, filter authz.UserFilter) ([]authz.User, error) {
	var rows []userRow
	err := db.query(ctx, func(tx *gorm.DB) error {
		switch {
		case filter.Name != "":
			tx = db.beginning(tx, "name", filter.Name)
			if filter.Page.AfterID != "" {
				tx = tx.Where("name "+db.after()+" ?", filter.Page.AfterID)
			}
			return tx.Order(db.bytewise("name")).Limit(filter.Page.Limit).Find(&rows).Error
		case filter.Email != "":
			tx = db.beginning(tx, "email_name", filter.Email).Where("email_name <> ''")
			if address, id, ok := strings.Cut(filter.Page.AfterID, " "); ok {
				tx = tx.Where("email_name "+db.after()+" ? OR (email_name = ? AND id > ?)", address, address, id)
			}
			return tx.Order(db.bytewise("email_name") + ", id").Limit(filter.Page.Limit).Find(&rows).Error
		}
		return pageOf(tx, filter.Page, "created_at", "id").Find(&rows).Error
	})
	users := make([]authz.User, len(rows))
	for i, row := range rows {
		users[i] = row.user()
	}
	return users, err
}

// lastRune is greater than any other in the order of bytes.
const lastRune = "\U0010ffff"

// beginning selects rows whose column begins with the text, by an index.
func (db *DB) beginning(tx *gorm.DB, column, text string) *gorm.DB {
	if db.dialect == migrations.Postgres {
		// These operators compare bytes, as the index does.
		return tx.Where(column+" ~>=~ ? AND "+column+" ~<~ ?", text, text+lastRune)
	}
	return tx.Where(column+" >= ? AND "+column+" < ?", text, text+lastRune)
}

func (db *DB) after() string {
	if db.dialect == migrations.Postgres {
		return "~>~"
	}
	return ">"
}

// bytewise orders by the bytes of a column.
func (db *DB) bytewise(column string) string {
	if db.dialect == migrations.Postgres {
		return column + " USING ~<~"
	}
	return column
}

// UserNames implements authz.UserReader.
func (db *DB) UserNames(ctx context.Context, ids []string) (map[string]string, error) {
	var rows []userRow
	err := db.query(ctx, func(tx *gorm.DB) error { return tx.Select("id, username").Where("id IN ?", ids).Find(&rows).Error })
	names := map[string]string{}
	for _, row := range rows {
		names[row.ID] = row.Username
	}
	return names, err
}
