package main

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"chancery/storage/pgtest"
)

// cliUser returns the id of a user.
func cliUser(t testing.TB, env []string, name string) string {
	t.Helper()
	var user userView
	if err := json.Unmarshal([]byte(cli(t, env, "users", "show", name, "-o", "json")), &user); err != nil {
		t.Fatal(err)
	}
	return user.ID
}

// spawn starts a server as a process of its own, which can be killed.
func spawn(t *testing.T, env []string) (*node, *exec.Cmd) {
	t.Helper()
	cmd := exec.Command("chancery", "serve")
	cmd.Env = append(os.Environ(), env...)
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, stderr: &lockedBuffer{}}
	cmd.Stderr = n.stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	n.base = "http://" + waitListening(t, output, n.stderr)
	return n, cmd
}

// chain is one session under load: the newest refresh token that was
// acknowledged, or the acknowledged end of the session.
type chain struct {
	token   string
	revoked bool
	steps   int
}

// TestKillLosesNothingAcknowledged kills the server in the middle of load,
// again and again, and checks what it had answered with 200.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	for name, environment := range map[string]func(t *testing.T) []string{
		"sqlite":   func(t *testing.T) []string { return sqliteEnv(t) },
		"postgres": func(t *testing.T) []string { return postgresEnv(t, pgtest.URL(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			env := append(environment(t), listenEnv(freePort(t))...)
			first := bootstrapped(t, env)
			for round := range 3 {
				killRound(t, env, first, round)
			}
		})
	}
}

// killed is after how many acknowledged rotations the server is killed.
const killed = 150

func killRound(t *testing.T, env []string, first firstCredentials, round int) {
	n, cmd := spawn(t, env)
	chains := make([]*chain, 8)
	for i := range chains {
		chains[i] = &chain{token: n.login(first).str("refresh_token")}
	}
	var acknowledged atomic.Int32
	var group sync.WaitGroup
	for i, c := range chains {
		group.Go(func() { drive(n, first, c, i, &acknowledged, func() { _ = cmd.Process.Signal(syscall.SIGKILL) }) })
	}
	group.Wait()
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("round %d: the server ended with %v:\n%s", round, err, n.stderr)
	}
	n, cmd = spawn(t, env)
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	for i, c := range chains {
		r, err := n.post("/oauth/token", refreshForm(first, c.token)...)
		switch {
		case err != nil:
			t.Fatal(err)
		case c.revoked && (r.status != http.StatusBadRequest || r.str("cause") != "revoked"):
			t.Errorf("round %d, chain %d: an acknowledged revocation was lost: %d %s", round, i, r.status, r.body)
		case !c.revoked && r.status != http.StatusOK:
			t.Errorf("round %d, chain %d: the token of the last acknowledged rotation is refused: %d %s", round, i, r.status, r.body)
		case r.str("cause") == "restored":
			t.Errorf("round %d, chain %d: an acknowledged rotation was lost", round, i)
		}
	}
}

// drive refreshes one session until the server is gone. Half of the sessions
// are revoked on the way.
func drive(n *node, first firstCredentials, c *chain, i int, acknowledged *atomic.Int32, kill func()) {
	for {
		if i%2 == 1 && c.steps == 5+i {
			r, err := n.post("/oauth/revoke", "client_id", first.ClientID, "token", c.token)
			if err == nil && r.status == http.StatusOK {
				c.revoked = true
			}
			return
		}
		r, err := n.post("/oauth/token", refreshForm(first, c.token)...)
		if err != nil || r.status != http.StatusOK {
			return
		}
		c.token = r.str("refresh_token")
		c.steps++
		if acknowledged.Add(1) == killed {
			kill()
		}
	}
}
