package storage_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chancery/authz"
	"chancery/authz/authztest"
	"chancery/storage"
	"chancery/storage/pgtest"

	"github.com/google/go-cmp/cmp"
)

// loaded returns a SQLite file with some of everything.
func loaded(t *testing.T) string {
	t.Helper()
	path := sqliteFile(t)
	authztest.Load(t, open(t, path), 3)
	fill(t, path, func(column) bool { return true })
	return path
}

// TestCopyFindsWhatChangedOnTheWay lets the target itself change what is
// inserted, in each way that the comparison must notice.
func TestCopyFindsWhatChangedOnTheWay(t *testing.T) {
	for name, change := range map[string]struct {
		table, set, want string
	}{
		"integer":       {"refresh_families", "generation = generation + CASE WHEN generation BETWEEN 0 AND 9 THEN 1 ELSE 0 END", "column generation differs after copying: the sum of the lower halves is "},
		"large integer": {"users", "auth_epoch = auth_epoch * 4294967296", "column auth_epoch differs after copying: the sum of the upper halves is "},
		"text":          {"security_events", "detail = detail || 'x'", "column detail differs after copying: the sum of the lengths is "},
		"bytes":         {"status_lists", "bits = permutation_key", "column bits differs after copying: the sum of the lengths is "},
		"boolean":       {"clients", "introspect = TRUE", "column introspect differs after copying: the number of true values is "},
		"NULL":          {"refresh_families", "revoked_at = 0", "column revoked_at differs after copying: the number of NULLs is "},
		"lost":          {"denied_tokens", "", "table denied_tokens differs after copying: the number of rows is 5 in the source and 4 in the target"},
	} {
		t.Run(name, func(t *testing.T) {
			eachTarget(t, func(t *testing.T, target string) {
				mustExec(t, target, triggers(storage.IsPostgres(target), change.table, change.set)...)
				_, err := tryCopy(t, loaded(t), target, nil)
				if err == nil || !strings.Contains(err.Error(), "table "+change.table) || !strings.Contains(err.Error(), change.want) {
					t.Errorf("Copy = %v, want %q", err, change.want)
				}
				untouched(t, target)
			})
		})
	}
}

// triggers change the row that is inserted with the greatest key, or take it
// away.
func triggers(postgres bool, table, set string) []string {
	key := map[string]string{"refresh_families": "sid", "denied_tokens": "jti"}[table]
	if key == "" {
		key = "id"
	}
	action := "UPDATE " + table + " SET " + set + " WHERE " + key + " = NEW." + key
	if set == "" {
		action = "DELETE FROM " + table + " WHERE " + key + " = NEW." + key + " AND " + key + " LIKE 'line%'"
	}
	if !postgres {
		return []string{"CREATE TRIGGER meddler AFTER INSERT ON " + table + " BEGIN " + action + "; END"}
	}
	return []string{
		"CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN " + action + "; RETURN NULL; END $$",
		"CREATE TRIGGER meddler AFTER INSERT ON " + table + " FOR EACH ROW EXECUTE FUNCTION meddle()",
	}
}

func TestCopyRefusesTargetWithData(t *testing.T) {
	for name, statement := range map[string]string{
		"a row":              "INSERT INTO denied_tokens (jti, expires_at) VALUES ('x', 1)",
		"signing keys":       "UPDATE signing_key_set SET version = 1",
		"versions":           "UPDATE versions SET value = 1 WHERE name = 'keys'",
		"a row among seeded": "INSERT INTO versions (name, value) VALUES ('x', 0)",
	} {
		t.Run(name, func(t *testing.T) {
			eachTarget(t, func(t *testing.T, target string) {
				mustExec(t, target, statement)
				_, err := tryCopy(t, loaded(t), target, nil)
				if err == nil || !strings.HasPrefix(err.Error(), "the target holds data already, in table ") {
					t.Errorf("Copy = %v, want a refusal", err)
				}
			})
		})
	}
}

// TestCopyRefusesOldTargetUnchanged: what is refused is not migrated first.
func TestCopyRefusesOldTargetUnchanged(t *testing.T) {
	target := oldDatabase(t)
	if _, err := tryCopy(t, loaded(t), target, nil); err == nil || !strings.Contains(err.Error(), "the target holds data already") {
		t.Errorf("Copy = %v, want a refusal", err)
	}
	if got := texts(t, raw(t, target), "SELECT CAST(max(version_id) AS TEXT) FROM goose_db_version"); got[0] != "2" {
		t.Errorf("the target has schema version %s afterwards, want 2 as before", got[0])
	}
}

// oldDatabase returns a SQLite file of the second schema, with data.
func oldDatabase(t *testing.T) string {
	t.Helper()
	dump, err := os.ReadFile(filepath.Join("migrations", "testdata", "00002.sqlite.sql"))
	if err != nil {
		t.Fatal(err)
	}
	path := sqliteFile(t)
	mustExec(t, path, string(dump))
	return path
}

func TestCopyRefusesSource(t *testing.T) {
	altered := func(statement string) func(t *testing.T) string {
		return func(t *testing.T) string {
			path := loaded(t)
			mustExec(t, path, statement)
			return path
		}
	}
	for name, test := range map[string]struct {
		source func(t *testing.T) string
		want   string
	}{
		"older":         {oldDatabase, `the schema of the source is version 2, and this program's is `},
		"newer":         {altered("INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)"), "the schema of the source is version 9999, and this program knows up to "},
		"a step missed": {altered("DELETE FROM goose_db_version WHERE version_id = 2"), "bring it up to date first"},
		"another's": {func(t *testing.T) string {
			path := sqliteFile(t)
			mustExec(t, path, "CREATE TABLE users (id TEXT PRIMARY KEY)")
			return path
		}, "the source is no database of Chancery"},
		"a column too many":  {altered("ALTER TABLE users ADD COLUMN shoe_size INTEGER"), "column shoe_size cannot be copied"},
		"a column too few":   {altered("ALTER TABLE users DROP COLUMN ban_reason"), "column ban_reason cannot be copied"},
		"a table too few":    {altered("DROP TABLE work_leases"), "it has no table work_leases"},
		"not a boolean":      {altered("UPDATE users SET must_change = 2"), "table users, column must_change, row "},
		"bytes in text":      {altered("UPDATE users SET ban_reason = x'00'"), `table users, column ban_reason, row `},
		"text in an integer": {altered("UPDATE users SET auth_epoch = 'x'"), "holds a value of another type than integer: correct it in the source"},
		"a fraction":         {altered("UPDATE users SET auth_epoch = 1.5"), "holds a value of another type than integer"},
		"not UTF-8":          {altered("UPDATE security_events SET user_agent = CAST(x'41ff' AS TEXT) WHERE detail = ''"), `table security_events, column user_agent, row "" holds text that Postgres refuses`},
		"a zero byte":        {altered("UPDATE security_events SET user_agent = CAST(x'410042' AS TEXT)"), "holds text that Postgres refuses"},
		"a key that is NULL": {altered("INSERT INTO denied_tokens (jti, expires_at) VALUES (NULL, 1)"), "write table denied_tokens: "},
	} {
		t.Run(name, func(t *testing.T) {
			source, target := test.source(t), postgresURL(t)
			open(t, target)
			before := dump(t, source)
			_, err := tryCopy(t, source, target, nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Copy = %v, want %q", err, test.want)
			}
			untouched(t, target)
			if diff := cmp.Diff(before, dump(t, source)); diff != "" {
				t.Errorf("the refused source has changed:\n%s", diff)
			}
		})
	}
}

func TestCopyRefusesNewerTarget(t *testing.T) {
	eachTarget(t, func(t *testing.T, target string) {
		mustExec(t, target, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, TRUE)")
		_, err := tryCopy(t, loaded(t), target, nil)
		if err == nil || !strings.Contains(err.Error(), "the schema of the target is version 9999") {
			t.Errorf("Copy = %v, want a refusal", err)
		}
		untouched(t, target)
	})
}

// TestCopyRefusesWhatPostgresCounts: a column that Postgres fills by itself
// would go on counting where the copy has begun.
func TestCopyRefusesWhatPostgresCounts(t *testing.T) {
	target := postgresURL(t)
	open(t, target)
	mustExec(t, target, "ALTER TABLE users ALTER COLUMN auth_epoch ADD GENERATED BY DEFAULT AS IDENTITY")
	_, err := tryCopy(t, loaded(t), target, nil)
	if err == nil || !strings.Contains(err.Error(), "the target has another table users than this program makes: column auth_epoch cannot be copied") {
		t.Errorf("Copy = %v, want a refusal", err)
	}
}

// TestCopyBetweenSQLiteFilesKeepsAnyText: nothing is refused that the target
// takes.
func TestCopyBetweenSQLiteFilesKeepsAnyText(t *testing.T) {
	source, target := loaded(t), sqliteFile(t)
	mustExec(t, source, "UPDATE security_events SET user_agent = CAST(x'41ff0042' AS TEXT)")
	mustCopy(t, source, target)
	if got := texts(t, raw(t, target), "SELECT DISTINCT hex(user_agent) FROM security_events"); len(got) != 1 || got[0] != "41FF0042" {
		t.Errorf("user agents = %q", got)
	}
}

func TestCopyRefusesSameDatabase(t *testing.T) {
	source, target := loaded(t), postgresURL(t)
	link := sqliteFile(t)
	if err := os.Symlink(source, link); err != nil {
		t.Fatal(err)
	}
	mustCopy(t, source, target)
	for _, pair := range [][2]string{
		{source, source},
		{source, link},
		{source, "sqlite://" + source},
		{target, pgtest.WithParameter(target, "application_name", "another")},
	} {
		_, err := tryCopy(t, pair[0], pair[1], nil)
		if err == nil || err.Error() != "the source and the target are the same database" {
			t.Errorf("Copy from %s to %s = %v, want a refusal", pair[0], pair[1], err)
		}
	}
}

// TestCopyKeepsWritersOut: nothing is written to either side meanwhile, or it
// is not part of the copy.
func TestCopyKeepsWritersOut(t *testing.T) {
	const insert = "INSERT INTO denied_tokens (jti, expires_at) VALUES ('meanwhile', 1)"
	lite, source, target := loaded(t), postgresURL(t), postgresURL(t)
	locked := raw(t, lite)
	tries := 0
	_, err := tryCopy(t, lite, source, func(storage.CopyProgress) {
		tries++
		if _, err := locked.ExecContext(t.Context(), insert); err == nil {
			t.Error("the source could be written while it was copied")
		}
	})
	if err != nil || tries == 0 {
		t.Fatalf("Copy = %v after %d steps", err, tries)
	}
	beside, shut := raw(t, source), raw(t, pgtest.WithParameter(target, "lock_timeout", "1ms"))
	written := false
	_, err = tryCopy(t, source, target, func(storage.CopyProgress) {
		if !written {
			written = true
			mustExec(t, source, insert)
		}
		if _, err := shut.ExecContext(t.Context(), insert); err == nil {
			t.Error("the target could be written while it was filled")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	count := "SELECT CAST(count(*) AS TEXT) FROM denied_tokens"
	if before, after := texts(t, beside, count)[0], texts(t, raw(t, target), count)[0]; before != "6" || after != "5" {
		t.Errorf("rows = %s and %s, want the one that came meanwhile in the source alone", before, after)
	}
}

func TestCancelledCopyLeavesNothing(t *testing.T) {
	eachTarget(t, func(t *testing.T, target string) {
		for _, verifying := range []bool{false, true} {
			ctx, cancel := context.WithCancel(t.Context())
			_, err := copyWith(ctx, t, loaded(t), target, func(at storage.CopyProgress) {
				if at.Table == "users" && at.Verifying == verifying {
					cancel()
				}
			})
			if !errors.Is(err, authz.ErrUnavailable) {
				t.Errorf("Copy = %v, want ErrUnavailable", err)
			}
			untouched(t, target)
		}
		mustCopy(t, loaded(t), target)
	})
}

func TestFailedCopyLeavesNothing(t *testing.T) {
	eachTarget(t, func(t *testing.T, target string) {
		if storage.IsPostgres(target) {
			mustExec(t, target, "ALTER TABLE users ADD CONSTRAINT picky CHECK (name NOT LIKE 'line%')")
		} else {
			mustExec(t, target, "CREATE TRIGGER picky BEFORE INSERT ON users WHEN NEW.name LIKE 'line%' BEGIN SELECT RAISE(ABORT, 'picky'); END")
		}
		_, err := tryCopy(t, loaded(t), target, nil)
		if err == nil || !strings.HasPrefix(err.Error(), "write table users: ") {
			t.Errorf("Copy = %v, want the table", err)
		}
		untouched(t, target)
	})
}

func TestOpenOfWhatMustExist(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.db")
	if _, err := storage.Open(storage.Options{URL: path, MustExist: true}); err == nil || err.Error() != "there is no SQLite file "+path {
		t.Errorf("Open = %v, want that there is none", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Stat = %v, want no file", err)
	}
	open(t, path)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a new file has mode %v, %v, want 0600", info.Mode(), err)
	}
}
