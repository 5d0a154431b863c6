package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fake is an authorization server that counts what it is asked. Refresh tokens are
// good once.
type fake struct {
	*httptest.Server
	mu    sync.Mutex
	asked map[string]int
	live  map[string]bool
	users map[string]bool
	next  int
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{asked: map[string]int{}, live: map[string]bool{}, users: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		f.count("metadata")
		answer(w, http.StatusOK, map[string]any{
			"token_endpoint": f.URL + "/token", "introspection_endpoint": f.URL + "/introspect", "revocation_endpoint": f.URL + "/revoke", "jwks_uri": f.URL + "/keys",
		})
	})
	mux.HandleFunc("POST /token", f.token)
	mux.HandleFunc("POST /introspect", func(w http.ResponseWriter, r *http.Request) {
		f.count("introspect")
		id, secret := basicAuth(r)
		answer(w, http.StatusOK, map[string]any{"active": r.FormValue("token") == "access" && id == "api" && secret == "its secret"})
	})
	mux.HandleFunc("POST /revoke", func(w http.ResponseWriter, r *http.Request) {
		f.count("revoke")
		f.mu.Lock()
		defer f.mu.Unlock()
		if !f.live[r.FormValue("token")] {
			answer(w, http.StatusBadRequest, map[string]any{"error": "not_live"})
			return
		}
		delete(f.live, r.FormValue("token"))
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		f.count("jwks")
		answer(w, http.StatusOK, map[string]any{})
	})
	f.Server = httptest.NewServer(mux)
	t.Cleanup(f.Close)
	return f
}

func answer(w http.ResponseWriter, status int, body any) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// basicAuth returns client and secret, which are encoded (RFC 6749 section 2.3.1).
func basicAuth(r *http.Request) (id, secret string) {
	id, secret, _ = r.BasicAuth()
	id, _ = url.QueryUnescape(id)
	secret, _ = url.QueryUnescape(secret)
	return id, secret
}

func (f *fake) count(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[what]++
}

func (f *fake) token(w http.ResponseWriter, r *http.Request) {
	grant := r.FormValue("grant_type")
	f.count(grant)
	f.mu.Lock()
	defer f.mu.Unlock()
	id, secret := basicAuth(r)
	switch {
	case grant == "refresh_token" && f.live[r.FormValue("refresh_token")] && r.FormValue("client_id") == "app":
		delete(f.live, r.FormValue("refresh_token"))
	case grant == "password" && r.FormValue("password") == "a password" && r.FormValue("client_id") == "app" && r.FormValue("scope") == "read":
		f.users[r.FormValue("username")] = true
	case grant == "client_credentials" && id == "robot" && secret == "a secret":
		answer(w, http.StatusOK, map[string]any{"access_token": "access"})
		return
	default:
		answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
		return
	}
	f.next++
	refresh := fmt.Sprint("refresh ", f.next)
	f.live[refresh] = true
	answer(w, http.StatusOK, map[string]any{"access_token": "access", "refresh_token": refresh})
}

// loadgen runs the program against the server.
func (f *fake) loadgen(t *testing.T, environment map[string]string, args ...string) (report, error) {
	t.Helper()
	root := newRoot(func(name string) (string, bool) { value, ok := environment[name]; return value, ok })
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetArgs(append([]string{"--issuer", f.URL, "--warmup", "0", "--duration", "1m", "--workers", "4", "-o", "json"}, args...))
	err := root.ExecuteContext(t.Context())
	var r report
	if err == nil {
		err = json.Unmarshal(out.Bytes(), &r)
	}
	return r, err
}

func TestWorks(t *testing.T) {
	app := map[string]string{passwordVariable: "a password", introspectionSecretVariable: "its secret"}
	user := []string{"--client-id", "app", "--username", "ada", "--scope", "read"}
	for work, row := range map[string]struct {
		environment map[string]string
		args        []string
		asked       map[string]int
	}{
		"refresh":            {app, append(user, "--sessions", "10", "--random"), map[string]int{"metadata": 1, "password": 10, "refresh_token": 40}},
		"password":           {app, user, map[string]int{"metadata": 1, "password": 40}},
		"client-credentials": {map[string]string{secretVariable: "a secret"}, []string{"--client-id", "robot"}, map[string]int{"metadata": 1, "client_credentials": 40}},
		"introspect":         {app, append(user, "--introspection-client-id", "api"), map[string]int{"metadata": 1, "password": 1, "introspect": 40}},
		"revoke":             {app, user, map[string]int{"metadata": 1, "password": 40, "revoke": 40}},
		"jwks":               {nil, nil, map[string]int{"metadata": 1, "jwks": 40}},
		"metadata":           {nil, nil, map[string]int{"metadata": 41}},
	} {
		t.Run(work, func(t *testing.T) {
			f := newFake(t)
			r, err := f.loadgen(t, row.environment, append([]string{work, "--operations", "40", "--pid", fmt.Sprint(os.Getpid())}, row.args...)...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.asked, f.asked); diff != "" {
				t.Errorf("the server was asked (-want +got):\n%s", diff)
			}
			if r.Work != work || r.Operations != 40 || r.Workers != 4 || len(r.Failures) > 0 || r.PerSecond <= 0 || r.P50 <= 0 || r.P50 > r.P99 || r.P99 > r.Max {
				t.Errorf("report = %+v", r)
			}
			if len(r.Processes) != 1 || r.Processes[0].PID != os.Getpid() || r.Processes[0].PeakMiB < 1 {
				t.Errorf("processes = %+v", r.Processes)
			}
		})
	}
	if len(works) != 7 {
		t.Errorf("there are %d kinds of work, want each to be tried", len(works))
	}
}

func TestFailuresAreCounted(t *testing.T) {
	f := newFake(t)
	r, err := f.loadgen(t, map[string]string{secretVariable: "wrong"}, "client-credentials", "--client-id", "robot", "--operations", "8")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"400 invalid_grant": 8}, r.Failures); diff != "" || r.Operations != 0 {
		t.Errorf("report = %+v", r)
	}
}

func TestManyUsers(t *testing.T) {
	f := newFake(t)
	environment := map[string]string{passwordVariable: "a password"}
	if _, err := f.loadgen(t, environment, "password", "--client-id", "app", "--username", "user%d", "--users", "3", "--scope", "read", "--operations", "7"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]bool{"user0": true, "user1": true, "user2": true}, f.users); diff != "" {
		t.Errorf("users:\n%s", diff)
	}
}

// TestTokensOfAFile: each session stays a chain of its own.
func TestTokensOfAFile(t *testing.T) {
	f := newFake(t)
	path := filepath.Join(t.TempDir(), "tokens")
	var lines strings.Builder
	for i := range 9 {
		token := fmt.Sprint("kept ", i)
		f.live[token] = true
		_, _ = fmt.Fprintln(&lines, token)
	}
	if err := os.WriteFile(path, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := f.loadgen(t, nil, "refresh", "--client-id", "app", "--refresh-tokens", path, "--operations", "60")
	if err != nil || r.Operations != 60 || f.asked["password"] != 0 || len(f.live) != 9 {
		t.Errorf("report = %+v, %v, %d sessions live", r, err, len(f.live))
	}
}

func TestRefused(t *testing.T) {
	f := newFake(t)
	for _, args := range [][]string{
		{"nothing"},
		{"revoke"},
		{"refresh", "--workers", "0"},
		{"jwks", "-o", "xml"},
		{"jwks", "--pid", "999999999"},
		{"refresh", "--refresh-tokens", filepath.Join(t.TempDir(), "none")},
		{"introspect", "--client-id", "nobody"},
	} {
		if _, err := f.loadgen(t, nil, args...); err == nil {
			t.Errorf("%v is run", args)
		}
	}
}

func TestRank(t *testing.T) {
	var took []time.Duration
	for i := range 200 {
		took = append(took, time.Duration(i+1)*time.Millisecond)
	}
	for percent, want := range map[int]float64{50: 100, 90: 180, 99: 198, 100: 200} {
		if got := rank(took, percent); got != want {
			t.Errorf("rank %d = %v, want %v", percent, got, want)
		}
	}
	if got := rank(took[:1], 50); got != 1 {
		t.Errorf("rank of one = %v", got)
	}
}

func TestParseStat(t *testing.T) {
	s, err := parseStat("42 (a) b (c) S 7 42 42 0 -1 4194304 100 0 0 0 150 25 30 5 20 0 1 0")
	want := stat{name: "a) b (c", parent: 7, own: 1750 * time.Millisecond, ended: 350 * time.Millisecond}
	if err != nil || s != want {
		t.Errorf("stat = %+v, %v, want %+v", s, err, want)
	}
	for _, text := range []string{"", "42 (a", "42 (a) S 7", "42 (a) S x 42 42 0 -1 0 100 0 0 0 150 25 30 5", "42 (a) S 7 42 42 0 -1 0 100 0 0 0 x 25 30 5"} {
		if s, err := parseStat(text); err == nil {
			t.Errorf("%q is read as %+v", text, s)
		}
	}
	all := map[int]stat{1: {}, 2: {parent: 1}, 3: {parent: 2}, 4: {parent: 4}, 5: {parent: 1}}
	for pid, want := range map[int]bool{1: false, 2: true, 3: true, 4: false, 5: false, 6: false} {
		if got := within(all, pid, 2); got != want {
			t.Errorf("%d within 2: %t", pid, got)
		}
	}
}

func TestPrint(t *testing.T) {
	var out strings.Builder
	r := report{
		Work: "refresh", Workers: 16, Seconds: 10, Operations: 1000, PerSecond: 100, P50: 1, P90: 2, P99: 3, Max: 4, Failures: map[string]int{"429": 2},
		Processes: []processReport{{PID: 7, Name: "server", CPUPerOperation: 0.1234, PeakMiB: 60.4}},
	}
	if err := r.print(&out, "text"); err != nil {
		t.Fatal(err)
	}
	want := "refresh     1000 operations in 10.0 s by 16 workers\nrate        100 a second\nlatency     p50 1.00 ms, p90 2.00 ms, p99 3.00 ms, max 4.00 ms\n" +
		"server (7)  0.123 ms of processor time an operation, at most 60 MiB\nfailed      2 times: 429\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
}
