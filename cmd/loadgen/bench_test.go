//go:build bench

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"chancery/storage/pgtest"

	"github.com/jackc/pgx/v5"
)

// benchFor is how long each line is measured.
const benchFor = 10 * time.Second

const benchPassword = "a long enough password"

// benchServer is the program itself, as a process of its own, with the settings
// that it comes with. Only guessing is not throttled: it is one address that logs
// in.
type benchServer struct {
	t      *testing.T
	binary string
	env    []string
	issuer string
	cmd    *exec.Cmd
	// postgres is nil on SQLite.
	postgres *pgtest.Server
	secret   string
}

func newBenchServer(t *testing.T, postgres *pgtest.Server) *benchServer {
	t.Helper()
	dir := t.TempDir()
	s := &benchServer{t: t, binary: filepath.Join(dir, "chancery"), postgres: postgres}
	build := exec.Command("go", "build", "-trimpath", "-o", s.binary, "../chancery")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := listener.Addr().String()
	must(t, listener.Close())
	s.issuer = "http://" + address
	s.env = []string{"CHANCERY_LISTEN=" + address, "CHANCERY_ISSUER=" + s.issuer, "CHANCERY_DATA_DIR=" + filepath.Join(dir, "data"), "CHANCERY_THROTTLE_ENABLED=false", "CHANCERY_SESSIONS_MAX_PER_USER=10000"}
	if postgres != nil {
		key := make([]byte, 32)
		_, _ = rand.Read(key)
		s.env = append(s.env, "CHANCERY_DATABASE_URL="+postgres.URL, "CHANCERY_MASTER_KEY="+base64.StdEncoding.EncodeToString(key))
	}
	s.run("", "bootstrap")
	for algorithm, uri := range map[string]string{"EdDSA": "https://ed.example", "RS256": "https://rs.example"} {
		s.run("", "resources", "create", "--uri", uri, "--alg", algorithm, "--scope", algorithm+":read", "--scope", algorithm+":write")
		s.run("", "clients", "create", "--id", algorithm, "--type", "public", "--first-party", "--grant", "password", "--grant", "refresh_token",
			"--resource", uri, "--scope", algorithm+":read", "--scope", algorithm+":write")
	}
	var client struct {
		Secret string `json:"client_secret"`
	}
	must(t, json.Unmarshal([]byte(s.run("", "clients", "create", "--id", "robot", "--type", "confidential", "--introspect", "--grant", "client_credentials",
		"--resource", "https://ed.example", "--scope", "EdDSA:read", "-o", "json")), &client))
	s.secret = client.Secret
	s.run(benchPassword, "users", "create", "--username", "ada", "--password-stdin")
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run runs a command of the program.
func (s *benchServer) run(stdin string, args ...string) string {
	s.t.Helper()
	cmd := exec.Command(s.binary, args...)
	cmd.Env, cmd.Stdin = append(os.Environ(), s.env...), strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		s.t.Fatalf("%v: %v: %s", args, err, errs.String())
	}
	return out.String()
}

// start starts the server and returns how long it took until it answered.
func (s *benchServer) start() time.Duration {
	s.t.Helper()
	s.cmd = exec.Command(s.binary, "serve")
	s.cmd.Env = append(os.Environ(), s.env...)
	log, err := os.Create(filepath.Join(filepath.Dir(s.binary), "log"))
	must(s.t, err)
	s.cmd.Stderr = log
	output, err := s.cmd.StdoutPipe()
	must(s.t, err)
	begun := time.Now()
	must(s.t, s.cmd.Start())
	must(s.t, log.Close())
	lines := bufio.NewScanner(output)
	for lines.Scan() && !strings.Contains(lines.Text(), "listens on") {
	}
	response, err := http.Get(s.issuer + "/.well-known/jwks.json")
	must(s.t, err)
	must(s.t, response.Body.Close())
	took := time.Since(begun)
	s.t.Cleanup(s.stop)
	return took
}

func (s *benchServer) stop() {
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

// line is one line of the table: a kind of work, and the most that it may cost in
// milliseconds of processor time, of the server and of Postgres.
type line struct {
	name   string
	args   []string
	env    map[string]string
	server float64
	sql    float64
	// statements is how many an operation may send.
	statements float64
}

func (s *benchServer) lines() []line {
	user := map[string]string{passwordVariable: benchPassword, introspectionSecretVariable: s.secret}
	client := map[string]string{secretVariable: s.secret}
	return []line{
		{"refresh, EdDSA", []string{"refresh", "--client-id", "EdDSA", "--username", "ada"}, user, 0.20, 0.13, 1},
		{"refresh, RS256", []string{"refresh", "--client-id", "RS256", "--username", "ada"}, user, 1.1, 0.15, 1},
		{"client_credentials, EdDSA", []string{"client-credentials", "--client-id", "robot"}, client, 0.10, 0, 0},
		{"jwks", []string{"jwks"}, nil, 0.035, 0, 0},
		{"metadata", []string{"metadata"}, nil, 0.035, 0, 0},
		{"introspect", []string{"introspect", "--client-id", "EdDSA", "--username", "ada", "--introspection-client-id", "robot"}, user, 0.25, 0.08, 1},
		{"password", []string{"password", "--client-id", "EdDSA", "--username", "ada"}, user, 22.5, 0, 3},
	}
}

// TestTable prints what each kind of work costs beside what it may cost.
func TestTable(t *testing.T) {
	for _, database := range []string{"sqlite", "postgres"} {
		t.Run(database, func(t *testing.T) {
			var postgres *pgtest.Server
			if database == "postgres" {
				var err error
				postgres, err = pgtest.Start("fsync=on", "shared_preload_libraries=pg_stat_statements", "shared_buffers=512MB", "max_wal_size=4GB", "checkpoint_timeout=30min")
				must(t, err)
				t.Cleanup(postgres.Stop)
			}
			s := newBenchServer(t, postgres)
			s.start()
			s.stop()
			started := s.start()
			var out bytes.Buffer
			table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
			_, _ = fmt.Fprintf(table, "\n%s\tms of server\tat most\tms of Postgres\tat most\tstatements\tat most\tWAL bytes\ta second\tp50 ms\tp99 ms\tMiB\t\n", database)
			for _, l := range s.lines() {
				r, statements, wal := s.measure(l)
				sql := 0.0
				if len(r.Processes) > 1 {
					sql = r.Processes[1].CPUPerOperation
				}
				_, _ = fmt.Fprintf(table, "%s\t%.3f\t%.3f\t%.3f\t%.3f\t%.2f\t%.0f\t%.0f\t%.0f\t%.2f\t%.2f\t%.0f\t\n",
					l.name, r.Processes[0].CPUPerOperation, l.server, sql, l.sql, statements, l.statements, wal, r.PerSecond, r.P50, r.P99, r.Processes[0].PeakMiB)
				if len(r.Failures) > 0 {
					t.Errorf("%s: %v", l.name, r.Failures)
				}
			}
			must(t, table.Flush())
			fmt.Printf("%s\nstart on an existing database to the first answer: %d ms, at most 250\n", out.String(), started.Milliseconds())
		})
	}
}

// measure runs one line.
func (s *benchServer) measure(l line) (r report, statements, wal float64) {
	s.t.Helper()
	s.load(l, 2*time.Second)
	before := s.counters()
	r = s.load(l, benchFor)
	after := s.counters()
	operations := float64(max(r.Operations, 1))
	return r, (after.statements - before.statements) / operations, (after.wal - before.wal) / operations
}

// load runs the program of this package.
func (s *benchServer) load(l line, duration time.Duration) (r report) {
	s.t.Helper()
	root := newRoot(func(name string) (string, bool) { value, ok := l.env[name]; return value, ok })
	var out bytes.Buffer
	root.SetOut(&out)
	args := append([]string{"--issuer", s.issuer, "--warmup", "0", "--duration", duration.String(), "-o", "json", "--pid", fmt.Sprint(s.cmd.Process.Pid)}, l.args...)
	if s.postgres != nil {
		args = append(args, "--pid", fmt.Sprint(s.postgres.PID()))
	}
	root.SetArgs(args)
	must(s.t, root.ExecuteContext(s.t.Context()))
	must(s.t, json.Unmarshal(out.Bytes(), &r))
	return r
}

// counters are what Postgres has counted: statements of the server, and bytes of
// its log.
type counters struct{ statements, wal float64 }

func (s *benchServer) counters() counters {
	if s.postgres == nil {
		return counters{}
	}
	ctx := context.WithoutCancel(s.t.Context())
	conn, err := pgx.Connect(ctx, s.postgres.URL)
	must(s.t, err)
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
	must(s.t, err)
	var c counters
	must(s.t, conn.QueryRow(ctx, "SELECT (SELECT coalesce(sum(calls), 0)::float8 FROM pg_stat_statements), (pg_current_wal_insert_lsn() - '0/0')::float8").
		Scan(&c.statements, &c.wal))
	return c
}
