package storage

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"

	"chancery/storage/migrations"

	"github.com/glebarez/sqlite"
)

// columnKind is what a column holds, whatever its database calls that.
type columnKind string

const (
	integerColumn columnKind = "integer"
	booleanColumn columnKind = "boolean"
	textColumn    columnKind = "text"
	bytesColumn   columnKind = "bytes"
)

// columnKinds are the types of both databases whose values Copy carries over
// exactly.
var columnKinds = map[string]columnKind{
	"INTEGER": integerColumn, "BIGINT": integerColumn, "integer": integerColumn, "bigint": integerColumn, "BOOLEAN": booleanColumn, "boolean": booleanColumn,
	"TEXT": textColumn, "text": textColumn, "BLOB": bytesColumn, "bytea": bytesColumn,
}

// copyColumn is a column; key is its place in the primary key, from 1, or 0.
type copyColumn struct {
	name string
	kind columnKind
	key  int
}

// copyTable is a table with its columns by name.
type copyTable struct {
	name    string
	columns []copyColumn
}

// key returns the positions of the columns of the primary key, in its order.
func (t copyTable) key() []int {
	var positions []int
	for i, column := range t.columns {
		if column.key > 0 {
			positions = append(positions, i)
		}
	}
	slices.SortFunc(positions, func(a, b int) int { return t.columns[a].key - t.columns[b].key })
	return positions
}

// Columns of all tables: table, column, type, place in the primary key. What
// the database counts or computes by itself has the type "generated", which
// is none that can be copied.
const (
	sqliteColumns = `SELECT m.name, c.name, CASE WHEN c.hidden <> 0 OR m.sql LIKE '%AUTOINCREMENT%' THEN 'generated' ELSE c.type END, c.pk
		FROM sqlite_master m, pragma_table_xinfo(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite~_%' ESCAPE '~' AND m.name NOT LIKE 'goose~_%' ESCAPE '~' ORDER BY m.name, c.name`
	postgresColumns = `SELECT t.relname, c.attname,
			CASE WHEN c.attidentity <> '' OR c.attgenerated <> '' OR pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%' THEN 'generated'
				ELSE format_type(c.atttypid, c.atttypmod) END,
			coalesce(array_position(string_to_array(k.indkey::text, ' '), c.attnum::text), 0)
		FROM pg_class t JOIN pg_attribute c ON c.attrelid = t.oid AND c.attnum > 0 AND NOT c.attisdropped
		LEFT JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = c.attnum LEFT JOIN pg_index k ON k.indrelid = t.oid AND k.indisprimary
		WHERE t.relkind IN ('r', 'p') AND t.relnamespace = to_regnamespace(quote_ident(current_schema())) AND t.relname NOT LIKE 'goose~_%' ESCAPE '~'
		ORDER BY t.relname COLLATE "C", c.attname COLLATE "C"`
)

// tables reads the schema. A column of a type that is not known has no kind.
func (s copySide) tables(ctx context.Context) (map[string]copyTable, error) {
	query := sqliteColumns
	if s.dialect == migrations.Postgres {
		query = postgresColumns
	}
	found := map[string]copyTable{}
	err := s.each(ctx, query, func(rows *sql.Rows) error {
		var table, kind string
		var column copyColumn
		if err := rows.Scan(&table, &column.name, &kind, &column.key); err != nil {
			return err
		}
		column.kind = columnKinds[kind]
		found[table] = copyTable{name: table, columns: append(found[table].columns, column)}
		return nil
	})
	return found, err
}

// versions returns the numbers of the migrations that were applied.
func (s copySide) versions(ctx context.Context) (versions []int64, err error) {
	err = s.each(ctx, "SELECT version_id FROM goose_db_version WHERE is_applied ORDER BY version_id", func(rows *sql.Rows) error {
		var version int64
		err := rows.Scan(&version)
		versions = append(versions, version)
		return err
	})
	return versions, err
}

// each calls do for every row of a query.
func (s copySide) each(ctx context.Context, query string, do func(rows *sql.Rows) error) error {
	rows, err := s.tx.QueryContext(ctx, query)
	if err != nil {
		return translate(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := do(rows); err != nil {
			return translate(err)
		}
	}
	return translate(rows.Err())
}

// copySchema is what the migrations of this program make of an empty
// database. Asking them, and not the databases, leaves out tables that others
// keep in the same schema, and none of ours.
type copySchema struct {
	// tables stand in an order in which each comes after those it refers to.
	tables   []copyTable
	versions []int64
	// seeds are the tallies of the rows that migrations insert, by table.
	seeds map[string]tally
}

// newCopySchema migrates a database in memory and looks at it.
func newCopySchema(ctx context.Context) (schema *copySchema, err error) {
	pool, err := sql.Open(sqlite.DriverName, "file:/"+rand.Text()+"?vfs=memdb")
	if err != nil {
		return nil, translate(err)
	}
	defer func() { err = errors.Join(err, translate(pool.Close())) }()
	if _, err := migrations.Up(ctx, pool, migrations.SQLite, ""); err != nil {
		return nil, translate(err)
	}
	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return nil, translate(err)
	}
	defer func() { _ = tx.Rollback() }()
	fresh := copySide{tx: tx, dialect: migrations.SQLite, name: "fresh database"}
	schema = &copySchema{seeds: map[string]tally{}}
	if schema.versions, err = fresh.versions(ctx); err != nil {
		return nil, err
	}
	if schema.tables, err = fresh.orderedTables(ctx); err != nil {
		return nil, err
	}
	for _, table := range schema.tables {
		if schema.seeds[table.name], err = fresh.tally(ctx, table); err != nil {
			return nil, err
		}
	}
	return schema, nil
}

// orderedTables returns the tables of a SQLite database, each after those that
// its foreign keys refer to.
func (s copySide) orderedTables(ctx context.Context) ([]copyTable, error) {
	tables, err := s.tables(ctx)
	if err != nil {
		return nil, err
	}
	parents := map[string][]string{}
	err = s.each(ctx, `SELECT m.name, f."table" FROM sqlite_master m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table'`, func(rows *sql.Rows) error {
		var child, parent string
		err := rows.Scan(&child, &parent)
		parents[child] = append(parents[child], parent)
		return err
	})
	if err != nil {
		return nil, err
	}
	var ordered []copyTable
	placed := map[string]bool{}
	for len(ordered) < len(tables) {
		before := len(ordered)
		for _, name := range slices.Sorted(maps.Keys(tables)) {
			waits := slices.ContainsFunc(parents[name], func(parent string) bool { return !placed[parent] })
			if !placed[name] && !waits {
				ordered, placed[name] = append(ordered, tables[name]), true
			}
		}
		if len(ordered) == before {
			return nil, errors.New("the tables refer to each other in a circle, which cannot be copied")
		}
	}
	return ordered, nil
}

// check returns an error unless the side has the schema of this program, with
// columns that can be copied.
func (s *copySchema) check(ctx context.Context, side copySide) error {
	actual, err := side.tables(ctx)
	if err != nil {
		return err
	}
	for _, want := range s.tables {
		got, ok := actual[want.name]
		if !ok {
			return fmt.Errorf("the %s is no database of Chancery: it has no table %s", side.name, want.name)
		}
		for _, column := range slices.Concat(got.columns, want.columns) {
			if column.kind == "" || !slices.Contains(want.columns, column) || !slices.Contains(got.columns, column) {
				return fmt.Errorf("the %s has another table %s than this program makes: column %s cannot be copied", side.name, want.name, column.name)
			}
		}
		if len(want.key()) == 0 {
			return fmt.Errorf("table %s has no primary key, and cannot be copied", want.name)
		}
	}
	return nil
}
