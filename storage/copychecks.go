package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"chancery/storage/migrations"
)

// refuseSame returns an error if two databases are one.
func refuseSame(ctx context.Context, from, to *DB) error {
	if from.dialect != to.dialect {
		return nil
	}
	identities := make([]string, 2)
	for i, db := range []*DB{from, to} {
		if db.dialect == migrations.SQLite {
			continue
		}
		// Two servers do not start in the same microsecond.
		const query = "SELECT concat_ws(' ', pg_postmaster_start_time(), current_database(), current_schema())"
		if err := db.read.WithContext(ctx).Raw(query).Scan(&identities[i]).Error; err != nil {
			return translate(err)
		}
	}
	same := identities[0] == identities[1]
	if from.dialect == migrations.SQLite {
		one, oneErr := os.Stat(from.options.URL)
		other, otherErr := os.Stat(to.options.URL)
		if err := errors.Join(oneErr, otherErr); err != nil {
			return fmt.Errorf("compare the files: %w", err)
		}
		same = os.SameFile(one, other)
	}
	if same {
		return errors.New("the source and the target are the same database")
	}
	return nil
}

// refuseFilled finds rows in tables that the migrations leave empty. What is
// there must be refused before it is migrated; its schema may be an older one,
// so that nothing is said of columns yet.
func (s *copySchema) refuseFilled(ctx context.Context) func(side copySide) error {
	return func(side copySide) error {
		there, err := side.tables(ctx)
		if err != nil {
			return err
		}
		for _, table := range s.tables {
			if _, ok := there[table.name]; !ok {
				continue
			}
			var rows int
			if err := side.tx.QueryRowContext(ctx, "SELECT count(*) FROM (SELECT 1 FROM "+quoted(table.name)+" LIMIT 1) AS first").Scan(&rows); err != nil {
				return translate(err)
			}
			if rows > 0 && s.seeds[table.name][0] == "0" {
				return filled(table)
			}
		}
		return nil
	}
}

func filled(table copyTable) error {
	return fmt.Errorf("the target holds data already, in table %s: copy into an empty database", table.name)
}

// checkVersions refuses a schema that is older or newer than this program's.
func (s *copySchema) checkVersions(ctx context.Context, side copySide) error {
	versions, err := side.versions(ctx)
	if err != nil {
		return err
	}
	newest, want := slices.Max(append(versions, 0)), slices.Max(s.versions)
	switch {
	case newest > want:
		return fmt.Errorf("the schema of the %s is version %d, and this program knows up to %d: copy with the program that it belongs to", side.name, newest, want)
	case !slices.Equal(versions, s.versions):
		return fmt.Errorf("the schema of the %s is version %d, and this program's is %d: bring it up to date first, with \"chancery migrate up\"", side.name, newest, want)
	}
	return nil
}

// checkSource refuses a schema that is not this program's, and counts.
func (c *copying) checkSource(ctx context.Context) error {
	there, err := c.source.tables(ctx)
	if err != nil {
		return err
	}
	if _, ok := there["signing_key_set"]; !ok {
		return errors.New("the source is no database of Chancery")
	}
	if err := c.schema.checkVersions(ctx, c.source); err != nil {
		return err
	}
	if err := c.schema.check(ctx, c.source); err != nil {
		return err
	}
	c.before = map[string]tally{}
	for _, table := range c.schema.tables {
		tally, err := c.source.tally(ctx, table)
		if err != nil {
			return fmt.Errorf("count table %s of the source: %w", table.name, err)
		}
		c.before[table.name] = tally
		rows, err := tally.rows()
		if err != nil {
			return err
		}
		c.at.Total += rows
	}
	return nil
}

// prepareTarget makes sure that nobody else writes, that there is nothing but
// what the migrations inserted, and takes that away.
func (c *copying) prepareTarget(ctx context.Context) error {
	if c.target.dialect == migrations.Postgres {
		names := make([]string, len(c.schema.tables))
		for i, table := range c.schema.tables {
			names[i] = quoted(table.name)
		}
		lock := "LOCK TABLE " + strings.Join(names, ", ") + " IN EXCLUSIVE MODE"
		for _, statement := range []string{"SET LOCAL lock_timeout = '10s'", lock} {
			if _, err := c.target.tx.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("lock the target, which must not be in use: %w", translate(err))
			}
		}
	}
	if err := c.schema.checkVersions(ctx, c.target); err != nil {
		return err
	}
	if err := c.schema.check(ctx, c.target); err != nil {
		return err
	}
	for _, table := range slices.Backward(c.schema.tables) {
		there, err := c.target.tally(ctx, table)
		if err != nil {
			return err
		}
		if !slices.Equal(there, c.schema.seeds[table.name]) {
			return filled(table)
		}
		if _, err := c.target.tx.ExecContext(ctx, "DELETE FROM "+quoted(table.name)); err != nil { //nolint:gosec // the name is of our own schema
			return translate(err)
		}
	}
	return nil
}
