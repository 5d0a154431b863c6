package main

import (
	"errors"
	"fmt"

	"chancery/storage"
	"chancery/storage/migrations"

	"github.com/spf13/cobra"
)

func (c *command) migrateCommand() *cobra.Command {
	return group("migrate", "Bring the database schema up to date", c.migrateUp(), c.migrateStatus())
}

// withDatabase runs do on a database that is not migrated.
func (c *command) withDatabase(do func(db *storage.DB) error) error {
	config, err := c.loadConfig()
	if err != nil {
		return err
	}
	db, err := openDatabase(config, nil)
	if err != nil {
		return err
	}
	return errors.Join(do(db), db.Close())
}

func (c *command) migrateUp() *cobra.Command {
	return &cobra.Command{
		Use: "up", Short: "Apply what is missing; serve does this by itself", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(a *app) error {
				steps, err := a.db.MigrationStatus(cmd.Context())
				if err != nil {
					return err
				}
				return c.printSteps(steps)
			})
		},
	}
}

func (c *command) migrateStatus() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "List the migrations", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withDatabase(func(db *storage.DB) error {
				steps, err := db.MigrationStatus(cmd.Context())
				if err != nil {
					return err
				}
				return c.printSteps(steps)
			})
		},
	}
}

func (c *command) printSteps(steps []migrations.Step) error {
	return c.print(steps, func(out *table) {
		out.row("VERSION", "NAME", "APPLIED")
		for _, step := range steps {
			out.row(fmt.Sprint(step.Version), step.Name, timestamp(step.AppliedAt))
		}
	})
}
