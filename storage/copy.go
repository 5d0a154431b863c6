package storage

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"chancery/storage/migrations"
)

// CopyProgress is how far a copy has come.
type CopyProgress struct {
	// Table is the one at work.
	Table string
	// Verifying is set once all rows are copied and are compared.
	Verifying bool
	// Rows of Total are copied, over all tables.
	Rows, Total int64
}

// CopiedTable is a table that agrees in both databases.
type CopiedTable struct {
	Table string
	Rows  int64
}

// Copy copies every row of every table from one database into another one,
// which it migrates, and compares the two before it commits. It returns the
// tables by name.
//
// The source is read in one snapshot; while a SQLite file is the source,
// nothing else writes to it. Copy refuses, with an error in words for the
// operator, a source whose schema is not the newest, a target that holds more
// than its migrations inserted, and one that is the source. After any error the
// target holds nothing new but the schema, save for one that says so of the
// commit. progress is called from the calling goroutine, once or more for every
// table, and may be nil.
func Copy(ctx context.Context, from, to *DB, progress func(CopyProgress)) (copied []CopiedTable, err error) {
	if err := refuseSame(ctx, from, to); err != nil {
		return nil, err
	}
	schema, err := newCopySchema(ctx)
	if err != nil {
		return nil, fmt.Errorf("the schema of this program: %w", err)
	}
	if progress == nil {
		progress = func(CopyProgress) {}
	}
	c := &copying{schema: schema, progress: progress}
	err = from.copySide(ctx, sourceName, func(side copySide) error {
		c.source = side
		if err := c.checkSource(ctx); err != nil {
			return err
		}
		if err := to.copySide(ctx, targetName, schema.refuseFilled(ctx)); err != nil {
			return err
		}
		if _, err := to.Migrate(ctx); err != nil {
			return fmt.Errorf("migrate the target: %w", err)
		}
		return to.copySide(ctx, targetName, func(side copySide) error {
			c.target = side
			if copied, err = c.run(ctx); err != nil {
				return err
			}
			if err := side.tx.Commit(); err != nil {
				return fmt.Errorf("the target did not confirm that it keeps what was copied, and may hold all of it or nothing: %w", translate(err))
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(copied, func(a, b CopiedTable) int { return strings.Compare(a.Table, b.Table) })
	return copied, nil
}

// What errors call the two databases.
const (
	sourceName = "source"
	targetName = "target"
)

// copySide runs do in a transaction and rolls back what do does not commit. On
// SQLite it holds the write lock; on Postgres it is one snapshot if it is that
// of the source.
func (db *DB) copySide(ctx context.Context, name string, do func(side copySide) error) error {
	options := &sql.TxOptions{}
	switch {
	case db.dialect == migrations.Postgres && name == sourceName:
		options = &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	case db.dialect == migrations.Postgres:
		options.Isolation = sql.LevelReadCommitted // what was there before the tables were locked must be seen
	}
	pool, err := db.write.DB()
	if err != nil {
		return fmt.Errorf("open the %s: %w", name, err)
	}
	tx, err := pool.BeginTx(ctx, options)
	if err != nil {
		return fmt.Errorf("open the %s: %w", name, translate(err))
	}
	defer func() { _ = tx.Rollback() }()
	side := copySide{tx: tx, dialect: db.dialect, name: name}
	if db.dialect == migrations.Postgres {
		// Some sums take longer than a server's answer may.
		const unlimited = "SELECT set_config(name, '0', true) FROM pg_settings WHERE name IN ('statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')"
		if _, err := tx.ExecContext(ctx, unlimited); err != nil {
			return fmt.Errorf("open the %s: %w", name, translate(err))
		}
	}
	return do(side)
}

// copying is one run of Copy.
type copying struct {
	schema         *copySchema
	source, target copySide
	// before are the tallies of the source, by table.
	before   map[string]tally
	progress func(CopyProgress)
	at       CopyProgress
}

// run does the work in the target's transaction.
func (c *copying) run(ctx context.Context) ([]CopiedTable, error) {
	if err := c.prepareTarget(ctx); err != nil {
		return nil, err
	}
	for _, table := range c.schema.tables {
		if err := c.copyTable(ctx, table); err != nil {
			return nil, err
		}
	}
	var copied []CopiedTable
	c.at.Verifying = true
	for _, table := range c.schema.tables {
		rows, err := c.verify(ctx, table)
		if err != nil {
			return nil, err
		}
		copied = append(copied, CopiedTable{Table: table.name, Rows: rows})
	}
	return copied, nil
}

func (c *copying) copyTable(ctx context.Context, table copyTable) error {
	c.at.Table = table.name
	c.progress(c.at)
	var last []any
	for {
		page, err := c.source.page(ctx, table, last)
		if err != nil || len(page) == 0 {
			return err
		}
		if err := c.target.insert(ctx, table, page); err != nil {
			return err
		}
		last = page[len(page)-1]
		c.at.Rows += int64(len(page))
		c.progress(c.at)
	}
}

// verify compares a table in both databases and returns its number of rows.
func (c *copying) verify(ctx context.Context, table copyTable) (int64, error) {
	c.at.Table = table.name
	c.progress(c.at)
	after, err := c.target.tally(ctx, table)
	if err != nil {
		return 0, err
	}
	if err := table.compare(c.before[table.name], after); err != nil {
		return 0, err
	}
	return after.rows()
}
