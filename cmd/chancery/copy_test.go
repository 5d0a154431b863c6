package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"chancery/authz/verify"
	"chancery/storage/pgtest"

	"github.com/google/go-cmp/cmp"
)

// listings are what an operator sees of a database.
var listings = [][]string{
	{"users", "list"},
	{"clients", "list"},
	{"resources", "list"},
	{"sessions", "list", "--all"},
	{"keys", "list"},
}

func listAll(t *testing.T, env []string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, args := range listings {
		all[strings.Join(args, " ")] = cli(t, env, append(slices.Clone(args), "-o", "json")...)
	}
	return all
}

// copyTo copies between databases as the command line does, without a
// configuration, and returns the environment of a server on the target.
func copyTo(t *testing.T, from, to, masterKey, port string) []string {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "address")
	if err := os.WriteFile(secret, []byte(to+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var report copyReport
	if err := json.Unmarshal([]byte(cli(t, nil, "storage", "copy", "--from", from, "--to-file", secret, "-o", "json")), &report); err != nil {
		t.Fatal(err)
	}
	var rows int64
	for _, table := range report.Tables {
		rows += table.Rows
		if !table.Agrees {
			t.Errorf("table %s does not agree", table.Table)
		}
	}
	if rows != report.Rows || rows < 10 || !strings.Contains(strings.Join(report.Next, " "), "master_key") {
		t.Errorf("the copy reports %+v", report)
	}
	return append(append(slices.Clone(cheap), listenEnv(port)...), "CHANCERY_DATA_DIR="+t.TempDir(), "CHANCERY_DATABASE_URL="+to, "CHANCERY_MASTER_KEY_FILE="+masterKey)
}

// TestMoveToPostgresAndBack moves a server that has been in use to Postgres,
// and on to another SQLite file. Nobody is logged out, what had ended stays
// ended, and a stolen refresh token is still noticed.
func TestMoveToPostgresAndBack(t *testing.T) {
	port := freePort(t)
	env := append(sqliteEnv(t), listenEnv(port)...)
	data := strings.TrimPrefix(env[2], "CHANCERY_DATA_DIR=")
	first := bootstrapped(t, env)
	n := serve(t, env)
	oldest := n.login(first)
	newest := n.mustPost(http.StatusOK, "/oauth/token", refreshForm(first, oldest.str("refresh_token"))...)
	ended := n.login(first)
	n.mustPost(http.StatusOK, "/oauth/revoke", "client_id", first.ClientID, "token", ended.str("refresh_token"))
	banned(t, env)

	address := filepath.Join(data, "chancery.db")
	for _, target := range []string{pgtest.URL(t), filepath.Join(t.TempDir(), "moved.db")} {
		keys, err := n.get("/.well-known/jwks.json")
		if err != nil {
			t.Fatal(err)
		}
		n.stop()
		before := listAll(t, env)
		env = copyTo(t, address, target, filepath.Join(data, masterKeyFile), port)
		address = target
		if diff := cmp.Diff(before, listAll(t, env)); diff != "" {
			t.Errorf("listed before and after (-before +after):\n%s", diff)
		}
		n = serve(t, env)
		if after, err := n.get("/.well-known/jwks.json"); err != nil || after.body != keys.body {
			t.Errorf("other keys are published after the move: %v", err)
		}
		v := verifier(t, n.base, verify.Options{ClientID: first.APIClientID, ClientSecret: first.APIClientSecret})
		if token := newest.str("access_token"); !n.active(first, token) || !accepts(t, v, token) {
			t.Error("an access token of before is refused")
		}
		if n.active(first, ended.str("access_token")) {
			t.Error("an access token of an ended session is active")
		}
		// The end may have been moved before it was published.
		eventually(t, "an access token of an ended session is refused", func() bool { return !accepts(t, v, ended.str("access_token")) })
		if r := n.mustPost(http.StatusBadRequest, "/oauth/token", refreshForm(first, ended.str("refresh_token"))...); r.str("cause") != "revoked" {
			t.Errorf("a revoked session answers %s", r.body)
		}
		n.mustPost(http.StatusBadRequest, "/oauth/token", "grant_type", "password", "client_id", first.ClientID, "username", "mallory", "password", "correct horse battery staple")
		newest = n.mustPost(http.StatusOK, "/oauth/token", refreshForm(first, newest.str("refresh_token"))...)
		n.login(first)
	}
	reuse := n.mustPost(http.StatusBadRequest, "/oauth/token", refreshForm(first, oldest.str("refresh_token"))...)
	if reuse.str("cause") != "reuse_detected" || n.active(first, newest.str("access_token")) {
		t.Errorf("reuse of a token of before = %s, want it noticed and the session ended", reuse.body)
	}
}

// banned makes a user who may not log in.
func banned(t *testing.T, env []string) {
	t.Helper()
	if _, stderr, code := tryCLI(env, "correct horse battery staple\n", "users", "create", "--username", "mallory", "--password-stdin"); code != exitOK {
		t.Fatal(stderr)
	}
	cli(t, env, "users", "ban", "mallory", "--forever")
}

// TestCopyErrorsHideThePassword tries servers that do not answer, on both
// sides.
func TestCopyErrorsHideThePassword(t *testing.T) {
	env := sqliteEnv(t)
	bootstrapped(t, env)
	file := filepath.Join(strings.TrimPrefix(env[2], "CHANCERY_DATA_DIR="), "chancery.db")
	const secret = "hunter2"
	for _, address := range []string{
		"postgres://u:" + secret + "@127.0.0.1:1/d?sslmode=disable",
		"postgres://u:" + secret + "@host:port/d",
		"postgres:/u:" + secret + "@host/d",
		"host=127.0.0.1 password=" + secret,
		"mysql://u:" + secret + "@host/d",
	} {
		for _, args := range [][]string{{"--from", address, "--to", file + ".new"}, {"--from", file, "--to", address}} {
			stdout, stderr, code := tryCLI(nil, "", append([]string{"storage", "copy"}, args...)...)
			if code != exitFailure || stdout != "" || strings.Contains(stderr, secret) || !strings.HasPrefix(stderr, "chancery: ") {
				t.Errorf("copy %q = %d %q %q, want a failure without the password", args, code, stdout, stderr)
			}
			t.Log(stderr)
		}
	}
}
