package storage

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"chancery/storage/migrations"
)

const (
	// copyBatchRows and copyBatchBytes bound what is held in memory.
	copyBatchRows  = 500
	copyBatchBytes = 4 << 20
	// Parameters of one statement: Postgres takes no more, and SQLite's driver
	// needs the square of their number in time.
	postgresParameters = 65535
	sqliteParameters   = 500
)

// copySide is one of the two databases, in the transaction of the copy.
type copySide struct {
	tx      *sql.Tx
	dialect migrations.Dialect
	// name is what errors call it.
	name string
}

// placeholder is the n-th parameter of a statement, from 1.
func (s copySide) placeholder(n int) string {
	if s.dialect == migrations.Postgres {
		return "$" + strconv.Itoa(n)
	}
	return "?"
}

// tuple is a list of parameters, beginning with the n-th.
func (s copySide) tuple(n, length int) string {
	parameters := make([]string, length)
	for i := range parameters {
		parameters[i] = s.placeholder(n + i)
	}
	return "(" + strings.Join(parameters, ", ") + ")"
}

// names lists columns in SQL.
func (t copyTable) names(positions []int) string {
	names := make([]string, len(positions))
	for i, position := range positions {
		names[i] = quoted(t.columns[position].name)
	}
	return strings.Join(names, ", ")
}

// all returns the positions of all columns.
func (t copyTable) all() []int {
	positions := make([]int, len(t.columns))
	for i := range positions {
		positions[i] = i
	}
	return positions
}

// page reads the rows that follow the one given, by primary key; nil stands
// for the first. No row is left when it returns none.
func (s copySide) page(ctx context.Context, table copyTable, after []any) (page [][]any, err error) {
	key := table.key()
	query := "SELECT " + table.names(table.all()) + " FROM " + quoted(table.name)
	var arguments []any
	if after != nil {
		query += " WHERE (" + table.names(key) + ") > " + s.tuple(1, len(key))
		for _, position := range key {
			arguments = append(arguments, after[position])
		}
	}
	rows, err := s.tx.QueryContext(ctx, query+" ORDER BY "+table.names(key)+" LIMIT "+strconv.Itoa(copyBatchRows), arguments...)
	if err != nil {
		return nil, translate(err)
	}
	defer func() { _ = rows.Close() }()
	for size := 0; size < copyBatchBytes && rows.Next(); {
		row, bytes, err := table.scan(rows)
		if err != nil {
			return nil, err
		}
		page, size = append(page, row), size+bytes
	}
	return page, translate(rows.Err())
}

// scan reads a row and how large it is.
func (t copyTable) scan(rows *sql.Rows) (row []any, size int, err error) {
	row = make([]any, len(t.columns))
	targets := make([]any, len(t.columns))
	for i := range row {
		targets[i] = &row[i]
	}
	if err := rows.Scan(targets...); err != nil {
		return nil, 0, translate(err)
	}
	for i, column := range t.columns {
		value, bytes, ok := column.value(row[i])
		if !ok {
			return nil, 0, t.bad(row, column, "a value of another type than "+string(column.kind))
		}
		row[i], size = value, size+bytes
	}
	return row, size, nil
}

// bad says that a value of a row cannot be copied.
func (t copyTable) bad(row []any, column copyColumn, what string) error {
	var key []string
	for _, position := range t.key() {
		key = append(key, fmt.Sprintf("%q", fmt.Sprint(row[position])))
	}
	return fmt.Errorf("table %s, column %s, row %s holds %s: correct it in the source", t.name, column.name, strings.Join(key, ", "), what)
}

// value returns what a driver read as both drivers write it, and its size; ok
// is false for a value of another type, which SQLite may hold in any column.
func (c copyColumn) value(read any) (value any, size int, ok bool) {
	const fixed = 8
	switch v := read.(type) {
	case nil:
		return nil, fixed, true
	case int64:
		if c.kind == booleanColumn {
			return v == 1, fixed, v == 0 || v == 1
		}
		return v, fixed, c.kind == integerColumn
	case bool:
		return v, fixed, c.kind == booleanColumn
	case string:
		return v, fixed + len(v), c.kind == textColumn
	case []byte:
		if v == nil { // how SQLite's driver reads an empty one
			v = []byte{}
		}
		return v, fixed + len(v), c.kind == bytesColumn
	}
	return nil, 0, false
}

// insert writes rows.
func (s copySide) insert(ctx context.Context, table copyTable, rows [][]any) error {
	if err := s.accepts(table, rows); err != nil {
		return err
	}
	parameters := postgresParameters
	if s.dialect == migrations.SQLite {
		parameters = sqliteParameters
	}
	for some := range slices.Chunk(rows, max(1, parameters/len(table.columns))) {
		var arguments []any
		var tuples []string
		for _, row := range some {
			tuples = append(tuples, s.tuple(len(arguments)+1, len(row)))
			arguments = append(arguments, row...)
		}
		statement := "INSERT INTO " + quoted(table.name) + " (" + table.names(table.all()) + ") VALUES " + strings.Join(tuples, ", ") //nolint:gosec // names of our own schema, and parameters
		if _, err := s.tx.ExecContext(ctx, statement, arguments...); err != nil {
			return fmt.Errorf("write table %s: %w", table.name, translate(err))
		}
	}
	return nil
}

// accepts finds text that SQLite holds and Postgres refuses, whose own error
// would not say where it stands.
func (s copySide) accepts(table copyTable, rows [][]any) error {
	if s.dialect != migrations.Postgres {
		return nil
	}
	for _, row := range rows {
		for i, column := range table.columns {
			if text, ok := row[i].(string); ok && (!utf8.ValidString(text) || strings.ContainsRune(text, 0)) {
				return table.bad(row, column, "text that Postgres refuses (not UTF-8, or with a zero byte)")
			}
		}
	}
	return nil
}
