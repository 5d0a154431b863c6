package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"chancery/storage/pgtest"
)

// eachDatabase runs the test on SQLite and on Postgres. The environment that
// it hands over names a fresh, empty database.
func eachDatabase(t *testing.T, test func(t *testing.T, env []string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, sqliteEnv(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, postgresEnv(t, pgtest.URL(t))) })
}

// cheap makes password hashes cost little: these tests are not about them.
var cheap = []string{"CHANCERY_PASSWORD_MEMORY_KIB=64", "CHANCERY_PASSWORD_ITERATIONS=1"}

func sqliteEnv(t testing.TB) []string {
	return append(slices.Clone(cheap), "CHANCERY_DATA_DIR="+filepath.Join(t.TempDir(), "data"))
}

func postgresEnv(t testing.TB, address string) []string {
	return append(slices.Clone(cheap), "CHANCERY_DATA_DIR="+t.TempDir(), "CHANCERY_DATABASE_URL="+address,
		"CHANCERY_MASTER_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
}

// freePort returns a port that nobody listens on at the moment.
func freePort(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return fmt.Sprint(listener.Addr().(*net.TCPAddr).Port)
}

// listenEnv gives a server a port and the issuer that goes with it.
func listenEnv(port string) []string {
	return []string{"CHANCERY_LISTEN=127.0.0.1:" + port, "CHANCERY_ISSUER=http://127.0.0.1:" + port}
}

// node is a running server of these tests.
type node struct {
	t      testing.TB
	base   string
	stdout *lockedBuffer
	stderr *lockedBuffer
	stop   func() int
}

// lockedBuffer collects what a server prints.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}
func (b *lockedBuffer) String() string { b.mu.Lock(); defer b.mu.Unlock(); return b.buf.String() }

// serve starts a server in this process and waits until it listens. It is
// stopped, and must end well, when the test does.
func serve(t testing.TB, env []string) *node {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	n := &node{t: t, stdout: &lockedBuffer{}, stderr: &lockedBuffer{}}
	exited := make(chan int, 1)
	go func() {
		code := run(ctx, process{args: []string{"serve"}, environ: env, stdin: strings.NewReader(""), stdout: io.MultiWriter(n.stdout, writer), stderr: n.stderr})
		_ = writer.Close()
		exited <- code
	}()
	n.stop = sync.OnceValue(func() int { cancel(); return <-exited })
	t.Cleanup(func() {
		if code := n.stop(); code != exitOK {
			t.Errorf("serve exited with %d:\n%s", code, n.stderr)
		}
	})
	n.base = "http://" + waitListening(t, reader, n.stderr)
	go func() { _, _ = io.Copy(io.Discard, reader) }()
	return n
}

// waitListening reads what a server prints until it says where it listens.
func waitListening(t testing.TB, output io.Reader, stderr fmt.Stringer) string {
	t.Helper()
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "Chancery listens on "); ok {
			address, _, _ := strings.Cut(rest, " ")
			return address
		}
	}
	t.Fatalf("the server ended before it listened:\n%s", stderr)
	return ""
}

// cli runs a command line and returns what it printed.
func cli(t testing.TB, env []string, args ...string) string {
	t.Helper()
	out, errs, code := tryCLI(env, "", args...)
	if code != exitOK {
		t.Fatalf("chancery %s: exit code %d: %s", strings.Join(args, " "), code, errs)
	}
	return out
}

func tryCLI(env []string, stdin string, args ...string) (stdout, stderr string, code int) {
	var out, errs bytes.Buffer
	code = run(context.Background(), process{args: args, environ: env, stdin: strings.NewReader(stdin), stdout: &out, stderr: &errs})
	return out.String(), errs.String(), code
}

// bootstrapped creates the first rows and returns their credentials.
func bootstrapped(t testing.TB, env []string) firstCredentials {
	t.Helper()
	var first firstCredentials
	if err := json.Unmarshal([]byte(cli(t, env, "bootstrap", "-o", "json")), &first); err != nil {
		t.Fatal(err)
	}
	return first
}

// reply is an HTTP answer, read and decoded.
type reply struct {
	status int
	header http.Header
	body   string
	json   map[string]any
}

func (r reply) str(name string) string { value, _ := r.json[name].(string); return value }

// post sends a form of name, value pairs.
func (n *node) post(path string, pairs ...string) (reply, error) {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	return read(http.PostForm(n.base+path, values))
}

func (n *node) get(path string) (reply, error) {
	return read(http.Get(n.base + path))
}

func read(response *http.Response, err error) (reply, error) {
	if err != nil {
		return reply{}, err
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	r := reply{status: response.StatusCode, header: response.Header, body: string(body)}
	_ = json.Unmarshal(body, &r.json)
	return r, err
}

// mustPost is post that requires the status.
func (n *node) mustPost(status int, path string, pairs ...string) reply {
	n.t.Helper()
	r, err := n.post(path, pairs...)
	if err != nil || r.status != status {
		n.t.Fatalf("POST %s = %d %s, %v, want %d", path, r.status, r.body, err, status)
	}
	return r
}

// login starts a session of the first admin.
func (n *node) login(first firstCredentials, pairs ...string) reply {
	n.t.Helper()
	return n.mustPost(http.StatusOK, "/oauth/token", append([]string{
		"grant_type", "password", "client_id", first.ClientID, "username", first.Username, "password", first.Password,
	}, pairs...)...)
}

func refreshForm(first firstCredentials, token string, pairs ...string) []string {
	return append([]string{"grant_type", "refresh_token", "client_id", first.ClientID, "refresh_token", token}, pairs...)
}

// active introspects an access token as the first API.
func (n *node) active(first firstCredentials, token string) bool {
	n.t.Helper()
	r := n.mustPost(http.StatusOK, "/oauth/introspect", "client_id", first.APIClientID, "client_secret", first.APIClientSecret, "token", token)
	active, _ := r.json["active"].(bool)
	return active
}
