package migrations_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chancery/storage/migrations"
	"chancery/storage/pgtest"

	_ "github.com/glebarez/go-sqlite"
	"github.com/google/go-cmp/cmp"
	_ "github.com/jackc/pgx/v5/stdlib"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// database is one dialect and how to get an empty database of it.
type database struct {
	dialect migrations.Dialect
	open    func(t *testing.T) *sql.DB
	// schema lists every column and index, one on a line.
	schema string
}

func databases() []database {
	return []database{
		{migrations.SQLite, func(t *testing.T) *sql.DB {
			return open(t, "sqlite", filepath.Join(t.TempDir(), "test.db"))
		}, `SELECT m.name || ' ' || c.name || ' ' || c.type || ' ' || c."notnull" || ' ' || coalesce(c.dflt_value, '') AS line
			FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'
			UNION ALL SELECT tbl_name || ' ' || name || ' ' || replace(coalesce(sql, ''), char(10), ' ') FROM sqlite_master
			WHERE type = 'index' ORDER BY 1`},
		{migrations.Postgres, func(t *testing.T) *sql.DB {
			return open(t, "pgx", pgtest.WithParameter(pgtest.URL(t), "default_query_exec_mode", "simple_protocol"))
		}, `SELECT table_name || ' ' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || coalesce(column_default, '') AS line
			FROM information_schema.columns WHERE table_schema = current_schema() AND table_name <> 'goose_db_version'
			UNION ALL SELECT replace(indexdef, current_schema() || '.', '') FROM pg_indexes WHERE schemaname = current_schema() ORDER BY 1`},
	}
}

func open(t *testing.T, driver, address string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func lines(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var all []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		all = append(all, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func up(t *testing.T, d database, db *sql.DB) []migrations.Step {
	t.Helper()
	steps, err := migrations.Up(t.Context(), db, d.dialect, filepath.Join(t.TempDir(), "lock"))
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

// TestDumpsMigrate loads the dump of every older schema, made by the program
// of its time with a few sessions in it, brings it up to date, and compares
// the schema with that of an empty database.
func TestDumpsMigrate(t *testing.T) {
	for _, d := range databases() {
		t.Run(string(d.dialect), func(t *testing.T) {
			fresh := d.open(t)
			all := up(t, d, fresh)
			dumps, err := filepath.Glob("testdata/*." + string(d.dialect) + ".sql")
			if err != nil || len(dumps) != len(all)-1 {
				t.Fatalf("there are %d dumps (%v) for %d steps, want one for each but the newest", len(dumps), err, len(all))
			}
			for i, path := range dumps {
				t.Run(filepath.Base(path), func(t *testing.T) {
					old := d.open(t)
					load(t, old, path)
					before := lines(t, old, liveRows)
					if steps := up(t, d, old); len(steps) != len(all)-i-1 {
						t.Errorf("%d steps were applied, want %d", len(steps), len(all)-i-1)
					}
					if diff := cmp.Diff(lines(t, fresh, d.schema), lines(t, old, d.schema)); diff != "" {
						t.Errorf("the migrated schema differs from a fresh one (-fresh +migrated):\n%s", diff)
					}
					if diff := cmp.Diff(before, lines(t, old, liveRows)); diff != "" || len(before) < 5 {
						t.Errorf("of %d rows these changed:\n%s", len(before), diff)
					}
				})
			}
		})
	}
}

// liveRows tells of rows whose loss would be noticed, by columns that every
// schema has had.
const liveRows = `SELECT 'session ' || sid || ' ' || user_id || ' ' || generation || ' ' || coalesce(revoked_at, 0) AS line FROM refresh_families
	UNION ALL SELECT 'user ' || name || ' ' || email || ' ' || password_hash || ' ' || roles || ' ' || banned_until FROM users
	UNION ALL SELECT 'client ' || id || ' ' || scope FROM clients
	UNION ALL SELECT 'key ' || kid || ' ' || sealed FROM signing_keys
	UNION ALL SELECT 'event ' || id || ' ' || kind FROM security_events ORDER BY 1`

func load(t *testing.T, db *sql.DB, path string) {
	t.Helper()
	dump, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Both dialects take a whole dump as one text.
	if _, err := db.ExecContext(context.WithoutCancel(t.Context()), string(dump)); err != nil {
		t.Fatalf("load %s: %v", path, err)
	}
}

// TestOldProgramOnNewSchema inserts what the version before inserts: it knows
// nothing of the newer columns.
func TestOldProgramOnNewSchema(t *testing.T) {
	for _, d := range databases() {
		t.Run(string(d.dialect), func(t *testing.T) {
			dump, err := os.ReadFile("testdata/00001." + string(d.dialect) + ".sql")
			if err != nil {
				t.Fatal(err)
			}
			db := d.open(t)
			up(t, d, db)
			for line := range strings.Lines(string(dump)) {
				table, values, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "INSERT INTO "), " VALUES")
				name := strings.Trim(table, `" `)
				columns, known := columnsOfVersion1[name]
				if !ok || !known {
					continue
				}
				values, _ = strings.CutSuffix(values, ";")
				if _, err := db.ExecContext(t.Context(), "INSERT INTO "+name+" ("+columns+") VALUES"+values); err != nil {
					t.Errorf("the version before cannot insert into %s: %v", name, err)
				}
			}
			if got := lines(t, db, "SELECT name FROM users ORDER BY 1"); len(got) != 4 {
				t.Errorf("users = %v, want the four of the dump", got)
			}
		})
	}
}

// TestOldProgramEndsSessions ends a session and a client as the version before
// does, which knows nothing of status_changes.
func TestOldProgramEndsSessions(t *testing.T) {
	for _, d := range databases() {
		t.Run(string(d.dialect), func(t *testing.T) {
			db := d.open(t)
			load(t, db, "testdata/00002."+string(d.dialect)+".sql")
			up(t, d, db)
			// What had ended before is to be published by the first who can.
			const changes = "SELECT list_id || ' ' || idx AS line FROM status_changes ORDER BY 1"
			before := lines(t, db, changes)
			ended := lines(t, db, "SELECT status_list || ' ' || status_index FROM refresh_families WHERE revoked_at IS NOT NULL "+
				"UNION SELECT status_list || ' ' || status_index FROM clients WHERE disabled_at <> 0 AND status_list <> '' ORDER BY 1")
			if diff := cmp.Diff(ended, before); diff != "" || len(before) < 2 {
				t.Errorf("ended before the migration (-ended +to be published):\n%s", diff)
			}
			for _, statement := range []string{
				"UPDATE refresh_families SET revoked_at = 5, revoked_cause = 'x' WHERE sid = (SELECT sid FROM refresh_families WHERE revoked_at IS NULL ORDER BY sid LIMIT 1)",
				"UPDATE refresh_families SET revoked_at = revoked_at, revoked_cause = 'y' WHERE revoked_at IS NOT NULL",
				"UPDATE clients SET name = name, disabled_at = 5 WHERE id = 'robot'",
				"UPDATE clients SET name = name, disabled_at = disabled_at",
			} {
				if _, err := db.ExecContext(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			if after := lines(t, db, changes); len(after) != len(before)+2 {
				t.Errorf("after two more ended %d are to be published, want %d", len(after), len(before)+2)
			}
		})
	}
}

// columnsOfVersion1 are the columns that the first version names when it
// inserts into the tables that have grown since.
var columnsOfVersion1 = map[string]string{
	"users": "id, username, name, email, password_hash, roles, must_change, auth_epoch, disabled_at, banned_until, ban_reason, created_at, updated_at",
	"clients": "id, name, auth_method, secrets, first_party, introspect, grant_types, scope, resources, allowed_origins, idle_ttl, absolute_ttl, " +
		"leeway, lost_response_window, lost_response_budget, status_list, status_index, disabled_at, tokens_not_before, created_at, updated_at, version",
}
