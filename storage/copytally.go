package storage

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"chancery/storage/migrations"
)

// measure is one number that a table has, equal in both databases when its
// rows are.
type measure struct {
	column string
	what   string
	// expression is over all rows.
	expression string
}

// tally holds the measures of a table, as decimal text. The first is how many
// rows there are.
type tally []string

// rows returns how many rows were counted.
func (t tally) rows() (int64, error) { return strconv.ParseInt(t[0], 10, 64) }

// measures returns what is compared of a table, in the same order for both
// databases.
func (t copyTable) measures(dialect migrations.Dialect) []measure {
	all := []measure{{"", "number of rows", "count(*)"}}
	for _, column := range t.columns {
		name := quoted(column.name)
		add := func(what, each string) {
			all = append(all, measure{column.name, what, "coalesce(sum(" + each + "), 0)"})
		}
		all = append(all, measure{column.name, "number of NULLs", "count(*) - count(" + name + ")"})
		switch column.kind {
		case integerColumn:
			// Two halves, since SQLite refuses a sum beyond 64 bits.
			add("sum of the upper halves", "CAST("+name+" AS BIGINT) >> 32")
			add("sum of the lower halves", "CAST("+name+" AS BIGINT) & 4294967295")
		case booleanColumn:
			add("number of true values", "CASE WHEN "+name+" THEN 1 ELSE 0 END")
		case textColumn, bytesColumn:
			add("sum of the lengths", bytesOf(dialect, column.kind, name))
		}
	}
	return all
}

// bytesOf is how many bytes a value has in UTF-8. SQLite's own length of a
// text ends at a zero byte.
func bytesOf(dialect migrations.Dialect, kind columnKind, name string) string {
	switch {
	case dialect == migrations.SQLite:
		return "length(CAST(" + name + " AS BLOB))"
	case kind == textColumn:
		return "octet_length(convert_to(" + name + ", 'UTF8'))"
	}
	return "octet_length(" + name + ")"
}

// tally reads the measures of a table.
func (s copySide) tally(ctx context.Context, table copyTable) (tally, error) {
	var expressions []string
	for _, m := range table.measures(s.dialect) {
		expressions = append(expressions, "CAST("+m.expression+" AS TEXT)")
	}
	result := make(tally, len(expressions))
	targets := make([]any, len(expressions))
	for i := range result {
		targets[i] = &result[i]
	}
	query := "SELECT " + strings.Join(expressions, ", ") + " FROM " + quoted(table.name)
	return result, translate(s.tx.QueryRowContext(ctx, query).Scan(targets...))
}

// compare returns an error that names the first measure in which two tallies
// of a table differ.
func (t copyTable) compare(source, target tally) error {
	for i, m := range t.measures(migrations.SQLite) {
		if source[i] == target[i] {
			continue
		}
		where := "table " + t.name
		if m.column != "" {
			where += ", column " + m.column
		}
		return fmt.Errorf("%s differs after copying: the %s is %s in the source and %s in the target", where, m.what, source[i], target[i])
	}
	return nil
}

// quoted is a name in SQL.
func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
