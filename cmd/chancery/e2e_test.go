package main

import (
	"bufio"
	"database/sql"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"chancery/storage/pgtest"
	"chancery/web/admin"

	"go.uber.org/goleak"
)

// TestSessionLife walks one session through everything that can happen to it.
func TestSessionLife(t *testing.T) {
	eachDatabase(t, func(t *testing.T, env []string) {
		env = append(env, listenEnv(freePort(t))...)
		first := bootstrapped(t, env)
		n := serve(t, env)

		one := n.login(first)
		two := n.mustPost(http.StatusOK, "/oauth/token", refreshForm(first, one.str("refresh_token"))...)
		if !n.active(first, two.str("access_token")) {
			t.Error("a fresh access token is not active")
		}
		again := n.mustPost(http.StatusOK, "/oauth/token", refreshForm(first, one.str("refresh_token"))...)
		if again.str("refresh_token") != two.str("refresh_token") || again.str("cause") != "concurrent" {
			t.Errorf("replay = %s, want the identical successor with cause concurrent", again.body)
		}
		three := n.mustPost(http.StatusOK, "/oauth/token", refreshForm(first, two.str("refresh_token"))...)
		reuse := n.mustPost(http.StatusBadRequest, "/oauth/token", refreshForm(first, one.str("refresh_token"))...)
		if reuse.str("error") != "invalid_grant" || reuse.str("cause") != "reuse_detected" {
			t.Errorf("reuse = %s", reuse.body)
		}
		dead := n.mustPost(http.StatusBadRequest, "/oauth/token", refreshForm(first, three.str("refresh_token"))...)
		if dead.str("cause") != "revoked" || n.active(first, three.str("access_token")) {
			t.Errorf("after a reuse the newest token answers %s", dead.body)
		}

		eventually(t, "the log tells of the login and of the reuse", func() bool {
			log := n.stderr.String()
			return strings.Contains(log, `"msg":"security event","event":"login_succeeded"`) && strings.Contains(log, `"msg":"security event","event":"reuse_detected"`)
		})

		session := n.login(first)
		n.mustPost(http.StatusOK, "/oauth/revoke", "client_id", first.ClientID, "token", session.str("refresh_token"))
		n.mustPost(http.StatusBadRequest, "/oauth/token", refreshForm(first, session.str("refresh_token"))...)

		session = n.login(first)
		cli(t, env, "users", "ban", first.Username, "--forever", "--reason", "test")
		n.mustPost(http.StatusBadRequest, "/oauth/token", refreshForm(first, session.str("refresh_token"))...)
		refused := n.mustPost(http.StatusBadRequest, "/oauth/token", "grant_type", "password", "client_id", first.ClientID, "username", first.Username, "password", first.Password)
		if refused.str("error") != "invalid_grant" {
			t.Errorf("login of a banned user = %s", refused.body)
		}
		cli(t, env, "users", "unban", first.Username)
		n.login(first)
	})
}

// TestParallelRefreshes sends one refresh token 200 times at once.
func TestParallelRefreshes(t *testing.T) {
	eachDatabase(t, func(t *testing.T, env []string) {
		env = append(env, listenEnv(freePort(t))...)
		first := bootstrapped(t, env)
		n := serve(t, env)
		token := n.login(first).str("refresh_token")
		var mu sync.Mutex
		successors, failures := map[string]int{}, map[string]int{}
		var group sync.WaitGroup
		for range 200 {
			group.Go(func() {
				r, err := n.post("/oauth/token", refreshForm(first, token)...)
				mu.Lock()
				defer mu.Unlock()
				if err != nil || r.status != http.StatusOK {
					failures[fmt.Sprint(r.status, r.body, err)]++
					return
				}
				successors[r.str("refresh_token")]++
			})
		}
		group.Wait()
		if len(failures) > 0 || len(successors) != 1 {
			t.Errorf("200 parallel refreshes gave %d distinct successors and these failures: %v, want 1 and none", len(successors), failures)
		}
		for successor := range successors {
			n.mustPost(http.StatusOK, "/oauth/token", refreshForm(first, successor)...)
		}
	})
}

// TestRefreshesAddNoRow refreshes one session 500 times and counts the rows of
// every table before and after.
func TestRefreshesAddNoRow(t *testing.T) {
	eachDatabase(t, func(t *testing.T, env []string) {
		env = append(env, listenEnv(freePort(t))...)
		first := bootstrapped(t, env)
		n := serve(t, env)
		token := n.login(first).str("refresh_token")
		n.stop() // writes the event of the login
		before := countRows(t, env)
		n = serve(t, env)
		for range 500 {
			token = n.mustPost(http.StatusOK, "/oauth/token", refreshForm(first, token)...).str("refresh_token")
		}
		n.stop()
		if after := countRows(t, env); after != before {
			t.Errorf("500 refreshes changed the rows from %d to %d, want none added", before, after)
		}
	})
}

// countRows returns how many rows all tables hold together, but for the leases
// of background work, which begins when it pleases.
func countRows(t *testing.T, env []string) (total int64) {
	t.Helper()
	for _, table := range []string{
		"clients", "client_resources", "resources", "users", "refresh_families", "status_lists", "denied_tokens",
		"security_events", "signing_keys", "status_changes", "account_confirmations",
	} {
		n, err := strconv.ParseInt(queryAll(t, env, "SELECT CAST(count(*) AS TEXT) FROM "+table)[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		total += n
	}
	return total
}

// queryAll reads the one text column of a query from the database itself.
func queryAll(t *testing.T, env []string, query string) (values []string) {
	t.Helper()
	config, err := (&command{process: process{environ: env, stderr: &lockedBuffer{}}}).loadConfig()
	if err != nil {
		t.Fatal(err)
	}
	driver := "sqlite"
	if !config.Embedded() {
		driver = "pgx"
	}
	db, err := sql.Open(driver, config.Database())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
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

// TestNodesAgree starts three nodes at once on an empty Postgres database.
func TestNodesAgree(t *testing.T) {
	env := postgresEnv(t, pgtest.URL(t))
	issuer := "CHANCERY_ISSUER=http://127.0.0.1:9"
	nodes := make([]*node, 3)
	var group sync.WaitGroup
	for i := range nodes {
		group.Go(func() { nodes[i] = serve(t, append(append([]string{}, env...), "CHANCERY_LISTEN=127.0.0.1:0", issuer)) })
	}
	group.Wait()
	if t.Failed() {
		return
	}
	env = append(env, issuer)
	first := bootstrapped(t, env)
	want, err := nodes[0].get("/.well-known/jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range nodes {
		if got, err := n.get("/.well-known/jwks.json"); err != nil || got.body != want.body {
			t.Errorf("node %d publishes other keys: %v", i, err)
		}
		// A client of another node's making is known without a restart.
		eventually(t, fmt.Sprintf("node %d knows the app", i), func() bool {
			r, err := n.post("/oauth/token", "grant_type", "password", "client_id", first.ClientID, "username", first.Username, "password", first.Password)
			return err == nil && r.status == http.StatusOK
		})
	}
	session := nodes[0].login(first)
	moved := nodes[1].mustPost(http.StatusOK, "/oauth/token", refreshForm(first, session.str("refresh_token"))...)
	if !nodes[2].active(first, moved.str("access_token")) {
		t.Error("node 2 does not accept a token of node 1")
	}
	nodes[2].mustPost(http.StatusOK, "/oauth/revoke", "client_id", first.ClientID, "token", moved.str("refresh_token"))
	nodes[0].mustPost(http.StatusBadRequest, "/oauth/token", refreshForm(first, moved.str("refresh_token"))...)

	rotated := cli(t, env, "keys", "rotate", "--alg", "EdDSA", "-o", "json")
	var key admin.Key
	if err := json.Unmarshal([]byte(rotated), &key); err != nil {
		t.Fatal(err)
	}
	for i, n := range nodes {
		eventually(t, fmt.Sprintf("node %d publishes the new key", i), func() bool {
			r, err := n.get("/.well-known/jwks.json")
			return err == nil && strings.Contains(r.body, key.ID)
		})
	}
}

// eventually asks again until the condition holds: each question is a request
// to a server, whose answer it waits for.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// TestChangesBesideARunningServer: on SQLite the CLI works on the file that
// the server has open, and the server sees it.
func TestChangesBesideARunningServer(t *testing.T) {
	env := append(sqliteEnv(t), listenEnv(freePort(t))...)
	first := bootstrapped(t, env)
	n := serve(t, env)
	session := n.login(first)
	cli(t, env, "clients", "update", first.ClientID, "--disabled")
	eventually(t, "the client is refused", func() bool {
		r, err := n.post("/oauth/token", refreshForm(first, session.str("refresh_token"))...)
		return err == nil && r.status == http.StatusUnauthorized
	})
	if n.active(first, session.str("access_token")) {
		t.Error("an access token of a disabled client is active")
	}
	cli(t, env, "clients", "update", first.ClientID, "--disabled=false")
	eventually(t, "the client is let in", func() bool {
		r, err := n.post("/oauth/token", refreshForm(first, session.str("refresh_token"))...)
		return err == nil && r.str("cause") == "revoked"
	})
}

// TestFirstStart: an empty machine gets credentials that work, in a file that
// only its owner reads.
func TestFirstStart(t *testing.T) {
	env := append(sqliteEnv(t), listenEnv(freePort(t))...)
	n := serve(t, env)
	data := strings.TrimPrefix(env[2], "CHANCERY_DATA_DIR=")
	for _, name := range []string{firstCredentialsFile, masterKeyFile, "chancery.db"} {
		info, err := os.Stat(filepath.Join(data, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v, want mode 0600", name, info, err)
		}
	}
	guide, err := os.ReadFile(filepath.Join(data, firstCredentialsFile))
	if err != nil {
		t.Fatal(err)
	}
	password := between(string(guide), "password         ", "\n")
	if password == "" || strings.Contains(n.stdout.String()+n.stderr.String(), password) {
		t.Errorf("password %q is missing, or was printed without a terminal", password)
	}
	n.login(firstCredentials{ClientID: firstApp, Username: firstAdmin, Password: password})
	n.stop()
	if serve(t, env); strings.Contains(n.stdout.String(), "First start") != true {
		t.Errorf("the first start printed %q", n.stdout)
	}
}

// TestFirstCredentialsAreNotLost: when they cannot be written, nothing is
// created that nobody could log in to.
func TestFirstCredentialsAreNotLost(t *testing.T) {
	env := append(sqliteEnv(t), listenEnv(freePort(t))...)
	data := strings.TrimPrefix(env[2], "CHANCERY_DATA_DIR=")
	if err := os.MkdirAll(filepath.Join(data, firstCredentialsFile), 0o700); err != nil { // a directory is in the way
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, firstCredentialsFile, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := tryCLI(env, "", "serve"); code == exitOK || !strings.Contains(stderr, firstCredentialsFile) {
		t.Errorf("serve = %d, %s, want a failure that names the file", code, stderr)
	}
	drafts, err := filepath.Glob(filepath.Join(data, firstCredentialsFile+".*"))
	if err != nil || len(drafts) != 1 {
		t.Fatalf("drafts = %v, %v, want the one with the credentials of the admin that exists", drafts, err)
	}
	guide, err := os.ReadFile(drafts[0])
	if err != nil {
		t.Fatal(err)
	}
	serve(t, env).login(firstCredentials{ClientID: firstApp, Username: firstAdmin, Password: between(string(guide), "password         ", "\n")})
}

func between(text, from, to string) string {
	_, rest, _ := strings.Cut(text, from)
	found, _, _ := strings.Cut(rest, to)
	return found
}

// TestDatabaseDown stops Postgres under a running server.
func TestDatabaseDown(t *testing.T) {
	pgtest.URL(t) // skips without Postgres
	postgres, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(postgres.Stop)
	env := append(postgresEnv(t, postgres.URL), listenEnv(freePort(t))...)
	first := bootstrapped(t, env)
	n := serve(t, env)
	session := n.login(first)
	postgres.Stop()
	for path, form := range map[string][]string{
		"/oauth/token":      refreshForm(first, session.str("refresh_token")),
		"/oauth/revoke":     {"client_id", first.ClientID, "token", session.str("refresh_token")},
		"/oauth/introspect": {"client_id", first.APIClientID, "client_secret", first.APIClientSecret, "token", session.str("access_token")},
	} {
		r := n.mustPost(http.StatusServiceUnavailable, path, form...)
		if r.header.Get("Retry-After") == "" || r.str("error") != "temporarily_unavailable" {
			t.Errorf("%s without a database = %v %s", path, r.header, r.body)
		}
	}
	for path, status := range map[string]int{
		"/.well-known/jwks.json": http.StatusOK, "/.well-known/openid-configuration": http.StatusOK,
		"/healthz": http.StatusOK, "/readyz": http.StatusServiceUnavailable,
	} {
		if r, err := n.get(path); err != nil || r.status != status {
			t.Errorf("GET %s without a database = %d, %v, want %d", path, r.status, err, status)
		}
	}
	if got := n.stderr.String(); strings.Contains(got, session.str("refresh_token")) {
		t.Error("the log holds a refresh token")
	}
}

// TestShutdownLeavesNothingRunning compares the goroutines before a server's
// life with those after it.
func TestShutdownLeavesNothingRunning(t *testing.T) {
	eachDatabase(t, func(t *testing.T, env []string) {
		env = append(env, listenEnv(freePort(t))...)
		first := bootstrapped(t, env)
		before := goleak.IgnoreCurrent()
		n := serve(t, env)
		session := n.login(first)
		n.mustPost(http.StatusOK, "/oauth/token", refreshForm(first, session.str("refresh_token"))...)
		if code := n.stop(); code != exitOK {
			t.Fatalf("serve exited with %d:\n%s", code, n.stderr)
		}
		http.DefaultClient.CloseIdleConnections()
		goleak.VerifyNone(t, before)
	})
}

// TestGracefulShutdown lets a request that has begun end.
func TestGracefulShutdown(t *testing.T) {
	env := append(sqliteEnv(t), listenEnv(freePort(t))...)
	first := bootstrapped(t, env)
	n := serve(t, env)
	body := url.Values{}
	for form := refreshForm(first, n.login(first).str("refresh_token")); len(form) > 0; form = form[2:] {
		body.Set(form[0], form[1])
	}
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(n.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	answers := bufio.NewReader(conn)
	_, _ = fmt.Fprintf(conn, "POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", len(body.Encode()))
	// The server says so when the handler begins to read the body.
	if line, err := answers.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("interim answer = %q, %v", line, err)
	}
	_, _ = answers.ReadString('\n')
	stopped := make(chan int, 1)
	go func() { stopped <- n.stop() }()
	eventually(t, "new connections are refused", func() bool {
		_, err := n.get("/healthz")
		return err != nil
	})
	_, _ = fmt.Fprint(conn, body.Encode())
	response, err := http.ReadResponse(answers, nil)
	if r, err := read(response, err); err != nil || r.status != http.StatusOK {
		t.Errorf("the request that had begun = %d %s, %v, want 200", r.status, r.body, err)
	}
	if code := <-stopped; code != exitOK {
		t.Errorf("serve exited with %d", code)
	}
}
