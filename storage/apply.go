package storage

import (
	"context"

	"chancery/authz"

	"gorm.io/gorm"
)

// Registrations implements authz.ApplyStore.
func (db *DB) Registrations(ctx context.Context) (int64, error) {
	versions, err := db.versions(ctx)
	return versions[registrationsVersion], err
}

// Apply implements authz.ApplyStore.
func (db *DB) Apply(ctx context.Context, changes authz.ApplyChanges) error {
	return db.transaction(ctx, func(tx *gorm.DB) error {
		swap := tx.Exec("UPDATE versions SET value = value WHERE name = ? AND value = ?", registrationsVersion, changes.Registrations)
		if err := one(swap, authz.ErrConflict); err != nil {
			return err
		}
		if err := db.announce(tx, registrationsVersion); err != nil {
			return err
		}
		if err := applyRegistrations(tx, changes); err != nil {
			return err
		}
		for _, user := range changes.InsertUsers {
			row := newUserRow(user)
			if err := tx.Create(&row).Error; err != nil {
				return err
			}
		}
		if err := insertEvents(tx, changes.Events...); err != nil {
			return err
		}
		for _, update := range changes.UpdateUsers {
			columns := map[string]any{}
			if update.NewEmail {
				columns = map[string]any{
					"email": update.Email, "email_name": update.EmailName, "email_verified_at": millis(update.EmailVerifiedAt),
					"auth_epoch": gorm.Expr("auth_epoch + 1"),
				}
			}
			if err := setRoles(tx, update.UserChange, update.Roles, columns); err != nil {
				return err
			}
		}
		return nil
	})
}

func applyRegistrations(tx *gorm.DB, changes authz.ApplyChanges) error {
	for _, resource := range changes.InsertResources {
		if err := insertResource(tx, resource); err != nil {
			return err
		}
	}
	for _, resource := range changes.UpdateResources {
		if err := updateResource(tx, resource); err != nil {
			return err
		}
	}
	for _, client := range changes.InsertClients {
		if err := insertClient(tx, client); err != nil {
			return err
		}
	}
	for _, client := range changes.UpdateClients {
		if err := updateClient(tx, client); err != nil {
			return err
		}
	}
	return nil
}
