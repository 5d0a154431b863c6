package storage_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"chancery/authz"
	"chancery/authz/authztest"
	"chancery/storage"
	"chancery/storage/pgtest"

	"github.com/google/go-cmp/cmp"
)

func sqliteFile(t *testing.T) string { return filepath.Join(t.TempDir(), "a b?.db") }

func postgresURL(t *testing.T) string {
	t.Helper()
	return pgtest.URL(t)
}

// eachTarget runs the test with a migrated target of both kinds.
func eachTarget(t *testing.T, test func(t *testing.T, address string)) {
	for name, address := range map[string]func(*testing.T) string{"to sqlite": sqliteFile, "to postgres": postgresURL} {
		t.Run(name, func(t *testing.T) {
			target := address(t)
			open(t, target)
			test(t, target)
		})
	}
}

// raw opens a database without any of our code.
func raw(t testing.TB, address string) *sql.DB {
	t.Helper()
	driver := "pgx"
	if !storage.IsPostgres(address) {
		driver, address = "sqlite", "file:"+strings.ReplaceAll(address, "?", "%3f")+"?_pragma=busy_timeout(10)"
	}
	db, err := sql.Open(driver, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func mustExec(t testing.TB, address string, statements ...string) {
	t.Helper()
	db := raw(t, address)
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// column is a column of a SQLite database.
type column struct {
	table, name, kind string
	nullable          bool
	// parent is the column that a foreign key refers to.
	parent string
}

// columnsOf lists the columns of every table of ours in a SQLite file.
func columnsOf(t testing.TB, db *sql.DB) (columns []column) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT m.name, c.name, c.type, c."notnull" = 0 AND c.pk = 0, coalesce(f."table" || '.' || f."to", '')
		FROM sqlite_master m, pragma_table_info(m.name) c LEFT JOIN pragma_foreign_key_list(m.name) f ON f."from" = c.name
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' AND m.name NOT LIKE 'goose%' ORDER BY m.name, c.cid`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var c column
		if err := rows.Scan(&c.table, &c.name, &c.kind, &c.nullable, &c.parent); err != nil {
			t.Fatal(err)
		}
		columns = append(columns, c)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return columns
}

// texts reads the one text column of a query.
func texts(t testing.TB, db *sql.DB, query string) (values []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var value string
		if err := rows.Scan(&value); err != nil {
			t.Fatal(err)
		}
		values = append(values, value)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return values
}

// awkward is how many rows fill puts into each table.
const awkward = 5

// awkwardValue is a value that is easily changed on the way. The row with
// number 1 holds nothing wherever that is possible.
func awkwardValue(c column, narrow bool, row int) any {
	place := c.table + "." + c.name
	if c.parent != "" {
		place = c.parent
	}
	switch {
	case row == 1 && c.nullable:
		return nil
	case c.kind == "INTEGER" && narrow:
		return []int64{math.MaxInt32, 0, math.MinInt32, math.MaxInt32 - 1, -1}[row]
	case c.kind == "INTEGER":
		return []int64{math.MaxInt64, 0, math.MinInt64, math.MaxInt64 - 1, math.MaxInt64 - 2}[row]
	case c.kind == "BOOLEAN":
		return row%2 == 0
	case c.kind == "BLOB":
		every := make([]byte, 256)
		for i := range every {
			every[i] = byte(i)
		}
		return [][]byte{every, {}, {0}, []byte("text " + place), {0xff, 0xfe, 0}}[row]
	}
	return []string{"日本語 ☃ 🔑 " + place, "", "line\nbreak\ttab 'quote' \"two\" \\n " + place, strings.Repeat("Ü", 300) + place, " spaces " + place + "  "}[row]
}

// fill puts rows of awkward values into every table of a SQLite file, whatever
// tables there are. A narrow column holds no more than 32 bits.
func fill(t testing.TB, path string, narrow func(column) bool) {
	t.Helper()
	db := raw(t, path)
	var tables []string
	names, values := map[string][]string{}, map[string][][]any{}
	for _, c := range columnsOf(t, db) {
		if names[c.table] == nil {
			tables, values[c.table] = append(tables, c.table), make([][]any, awkward)
		}
		names[c.table] = append(names[c.table], `"`+c.name+`"`)
		for row := range awkward {
			values[c.table][row] = append(values[c.table][row], awkwardValue(c, narrow(c), row))
		}
	}
	for _, table := range tables {
		for _, row := range values[table] {
			statement := fmt.Sprintf(`INSERT INTO "%s" (%s) VALUES (?%s)`, table, strings.Join(names[table], ", "), strings.Repeat(", ?", len(row)-1))
			if _, err := db.ExecContext(t.Context(), statement, row...); err != nil {
				t.Fatalf("fill %s: %v", table, err)
			}
		}
	}
}

// dump returns every row of a SQLite file as literals, by table.
func dump(t testing.TB, path string) map[string][]string {
	t.Helper()
	db := raw(t, path)
	literals := map[string][]string{}
	for _, c := range columnsOf(t, db) {
		literals[c.table] = append(literals[c.table], `'`+c.name+`=' || quote("`+c.name+`")`)
	}
	rows := map[string][]string{}
	for table, columns := range literals {
		rows[table] = texts(t, db, "SELECT "+strings.Join(columns, " || ' ' || ")+` FROM "`+table+`" ORDER BY 1`)
	}
	return rows
}

// mustCopy copies and returns how many rows each table had.
func mustCopy(t testing.TB, from, to string) map[string]int64 {
	t.Helper()
	copied, err := tryCopy(t, from, to, nil)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int64{}
	for _, table := range copied {
		counts[table.Table] = table.Rows
	}
	return counts
}

func tryCopy(t testing.TB, from, to string, progress func(storage.CopyProgress)) ([]storage.CopiedTable, error) {
	t.Helper()
	return copyWith(t.Context(), t, from, to, progress)
}

func copyWith(ctx context.Context, t testing.TB, from, to string, progress func(storage.CopyProgress)) ([]storage.CopiedTable, error) {
	t.Helper()
	source, err := storage.Open(storage.Options{URL: from, MustExist: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = source.Close() }()
	target, err := storage.Open(storage.Options{URL: to})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = target.Close() }()
	return storage.Copy(ctx, source, target, progress)
}

// TestCopyInEveryDirection copies each table's awkward rows, and more sessions
// than one batch holds, through both databases and back, and compares every
// value with what it was.
func TestCopyInEveryDirection(t *testing.T) {
	first, one, two, back, last := sqliteFile(t), postgresURL(t), postgresURL(t), sqliteFile(t), sqliteFile(t)
	db := open(t, first)
	open(t, one) // a target may be migrated already
	postgres := raw(t, one)
	authztest.Load(t, db, 1201)
	narrow := texts(t, postgres, "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = current_schema() AND data_type = 'integer'")
	fill(t, first, func(c column) bool { return slices.Contains(narrow, c.table+"."+c.name) })
	mustExec(t, first, "UPDATE status_lists SET bits = randomblob(3000000)")
	want := dump(t, first)
	for _, step := range [][2]string{{first, one}, {one, two}, {two, back}, {back, last}} {
		counts := mustCopy(t, step[0], step[1])
		for table, rows := range want {
			if counts[table] != int64(len(rows)) || len(rows) < awkward {
				t.Errorf("of table %s %d rows were copied, want %d", table, counts[table], len(rows))
			}
		}
		if len(counts) != len(want) {
			t.Errorf("%d tables were copied, want %d", len(counts), len(want))
		}
	}
	if diff := cmp.Diff(want, dump(t, last)); diff != "" {
		t.Errorf("after four copies (-first +last):\n%s", diff[:min(len(diff), 2000)])
	}
	tables := texts(t, postgres, "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() AND table_name NOT LIKE 'goose%'")
	for _, table := range tables {
		if _, ok := want[table]; !ok {
			t.Errorf("table %s of Postgres is not copied", table)
		}
	}
}

// TestCopiedDatabaseGoesOn rotates sessions where the source left off.
func TestCopiedDatabaseGoesOn(t *testing.T) {
	eachTarget(t, func(t *testing.T, target string) {
		source := sqliteFile(t)
		db := open(t, source)
		authztest.Load(t, db, 3)
		if err := authztest.Rotate(t.Context(), db, 1, 0); err != nil {
			t.Fatal(err)
		}
		lease := authz.LeaseRequest{Kind: authz.StatusSessions, Count: 7, Now: authztest.T0, NewList: authz.Lease{List: "l", Key: []byte{1}, Capacity: 100, End: 7}}
		if _, err := db.LeaseIndexes(t.Context(), lease); err != nil {
			t.Fatal(err)
		}
		mustCopy(t, source, target)
		copied := open(t, target)
		if err := authztest.Rotate(t.Context(), copied, 1, 0); !errors.Is(err, authz.ErrNotFound) {
			t.Errorf("a generation that was used before the copy = %v, want ErrNotFound", err)
		}
		if err := authztest.Rotate(t.Context(), copied, 1, 1); err != nil {
			t.Error(err)
		}
		if got, err := copied.LeaseIndexes(t.Context(), lease); err != nil || got.Next < 7 {
			t.Errorf("LeaseIndexes = %+v, %v, want none that was leased before", got, err)
		}
	})
}

// untouched fails the test unless a migrated target holds what its migrations
// inserted, and nothing else.
func untouched(t *testing.T, target string) {
	t.Helper()
	fresh := sqliteFile(t)
	open(t, fresh)
	db := raw(t, target)
	want := dump(t, fresh)
	for _, table := range slices.Sorted(maps.Keys(want)) {
		var rows int
		if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&rows); err != nil || rows != len(want[table]) {
			t.Errorf("the target has %d rows in %s (%v), want %d", rows, table, err, len(want[table]))
		}
	}
}
