// Package pgtest owns the private Postgres server of the tests: it finds or
// starts one and gives each test a schema of its own. It leaves to others what
// is done with the database, and is imported by tests alone.
package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// The environment of the helper.
const (
	// AddressVariable holds the postgres:// address of a server to use; the
	// tests make and drop schemas in its database.
	AddressVariable = "CHANCERY_TEST_POSTGRES"
	// RequiredVariable, when "1", turns the lack of a server into a failure.
	RequiredVariable = "CHANCERY_TEST_POSTGRES_REQUIRED"
)

// Server is a Postgres server that this process started.
type Server struct {
	// URL is the address of its database "postgres", for a superuser.
	URL string
	dir string
	cmd *exec.Cmd
}

// started remembers whether any test asked for the shared server.
var started atomic.Bool

var shared = sync.OnceValues(func() (*Server, error) {
	if address := os.Getenv(AddressVariable); address != "" {
		return &Server{URL: address}, nil
	}
	return Start()
})

// Main is what a TestMain calls that does nothing else.
func Main(m *testing.M) { os.Exit(Run(m)) }

// Run runs the tests of a package, stops the server that they shared, and
// returns the exit code.
func Run(m *testing.M) int {
	code := m.Run()
	if started.Load() {
		if server, err := shared(); err == nil {
			server.Stop()
		}
	}
	return code
}

// URL returns the address of a fresh schema, which is dropped when the test
// ends. Without any server the test is skipped, or fails if one is required.
func URL(t testing.TB) string {
	t.Helper()
	started.Store(true)
	server, err := shared()
	if err != nil {
		if os.Getenv(RequiredVariable) == "1" {
			t.Fatalf("Postgres is required: %v", err)
		}
		t.Skipf("no Postgres: %v", err)
	}
	schema := "test_" + strings.ToLower(rand.Text())
	exec := func(sql string) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		conn, err := pgx.Connect(ctx, server.URL)
		if err != nil {
			t.Fatalf("connect to Postgres: %v", err)
		}
		defer func() { _ = conn.Close(ctx) }()
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	exec("CREATE SCHEMA " + schema)
	t.Cleanup(func() { exec("DROP SCHEMA " + schema + " CASCADE") })
	return WithParameter(server.URL, "search_path", schema)
}

// WithParameter returns address with a query parameter set.
func WithParameter(address, name, value string) string {
	u, err := url.Parse(address)
	if err != nil {
		panic(err) // an address of this package's own making
	}
	query := u.Query()
	query.Set(name, value)
	u.RawQuery = query.Encode()
	return u.String()
}

// Start starts a server of its own in a temporary directory on a random port
// of the loopback interface, with settings such as "fsync=on" over those of the
// tests, which care for no crash. The caller stops it.
func Start(settings ...string) (*Server, error) {
	postgres, err := find("postgres")
	if err != nil {
		return nil, err
	}
	initdb, err := find("initdb")
	if err != nil {
		return nil, err
	}
	identity, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "chancery-pg-")
	if err != nil {
		return nil, fmt.Errorf("postgres directory: %w", err)
	}
	s := &Server{dir: dir}
	if err := s.start(initdb, postgres, identity, settings); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// PID returns the process that is the parent of all others of the server, 0 if this
// process has not started it.
func (s *Server) PID() int {
	if s.cmd == nil {
		return 0
	}
	return s.cmd.Process.Pid
}

func (s *Server) start(initdb, postgres string, identity *syscall.Credential, settings []string) error {
	if identity != nil {
		if err := os.Chown(s.dir, int(identity.Uid), int(identity.Gid)); err != nil {
			return fmt.Errorf("postgres directory: %w", err)
		}
	}
	data := filepath.Join(s.dir, "data")
	run := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(name, args...)
		cmd.Dir = s.dir
		cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: identity, Setpgid: true}
		return cmd
	}
	if out, err := run(initdb, "-D", data, "-U", "chancery", "-A", "trust", "-E", "UTF8", "--no-sync").CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	args := []string{"-D", data, "-p", strconv.Itoa(port), "-k", s.dir, "-h", "127.0.0.1"}
	for _, setting := range append([]string{"fsync=off", "max_connections=200", "log_min_messages=fatal"}, settings...) {
		args = append(args, "-c", setting)
	}
	s.cmd = run(postgres, args...)
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		return fmt.Errorf("start postgres: %w", err)
	}
	s.URL = fmt.Sprintf("postgres://chancery@127.0.0.1:%d/postgres?sslmode=disable", port)
	return s.wait()
}

// wait returns when the server answers.
func (s *Server) wait() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.URL)
		if err == nil {
			return conn.Close(ctx)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("postgres does not answer: %w", err)
		}
		runtime.Gosched()
	}
}

// Stop stops the server, if this process started it, and deletes its files.
func (s *Server) Stop() {
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(syscall.SIGQUIT)
		_ = s.cmd.Wait()
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}

// find looks for a server program where Debian puts it, and in the PATH.
func find(name string) (string, error) {
	matches, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err == nil && len(matches) > 0 {
		return matches[len(matches)-1], nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is not installed and %s is not set", name, AddressVariable)
	}
	return path, nil
}

// unprivileged returns whom to run the server as: Postgres refuses to run as
// root.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return nil, fmt.Errorf("account %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("running as root, and there is no account postgres or nobody to run the server as")
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a port: %w", err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
