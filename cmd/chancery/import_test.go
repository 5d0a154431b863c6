package main

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// importedUsers is how many users the test below takes over, and each
// sampledUser-th of them logs in.
const (
	importedUsers = 10_000
	sampledUser   = 125
)

func importedName(i int) string     { return fmt.Sprintf("user%05d", i) }
func importedPassword(i int) string { return fmt.Sprintf("Gehéim-%d-wort", i*7919) }

// phpUsers writes a CSV file of users whose hashes are such as PHP's
// password_hash makes them, at bcrypt's least cost.
var phpUsers = sync.OnceValues(func() (string, error) {
	hashes := make([]string, importedUsers)
	failures := make(chan error, importedUsers)
	var group sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for worker := range workers {
		group.Go(func() {
			for i := worker; i < importedUsers; i += workers {
				hash, err := bcrypt.GenerateFromPassword([]byte(importedPassword(i)), bcrypt.MinCost)
				if err != nil {
					failures <- err
					return
				}
				hashes[i] = "$2y$" + strings.TrimPrefix(string(hash), "$2a$")
			}
		})
	}
	group.Wait()
	close(failures)
	if err := <-failures; err != nil {
		return "", err
	}
	var file strings.Builder
	file.WriteString("username,email,email_verified,password_hash\n")
	for i, hash := range hashes {
		fmt.Fprintf(&file, "%s,%s@mail.example,1,%s\n", importedName(i), importedName(i), hash)
	}
	return file.String(), nil
})

// TestImportedPHPUsersLogIn takes over 10,000 users, twice, and logs a sample
// of them in with their old passwords: once against PHP's hash, and once
// against ours, which took its place.
func TestImportedPHPUsersLogIn(t *testing.T) {
	content, err := phpUsers()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "users.csv")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	eachDatabase(t, func(t *testing.T, env []string) {
		env = append(env, append(listenEnv(freePort(t)), "CHANCERY_THROTTLE_ENABLED=false")...)
		first := bootstrapped(t, env)
		if out, want := cli(t, env, "users", "import", path), fmt.Sprintf("%d users created, 0 existed already, 0 lines refused", importedUsers); !strings.Contains(out, want) {
			t.Fatalf("the import printed %q, want %q", out, want)
		}
		if out, want := cli(t, env, "users", "import", path), fmt.Sprintf("0 users created, %d existed already", importedUsers); !strings.Contains(out, want) {
			t.Fatalf("the same import again printed %q, want %q", out, want)
		}
		n := serve(t, env)
		for round := range 2 {
			for i := 0; i < importedUsers; i += sampledUser {
				n.mustPost(http.StatusOK, "/oauth/token", "grant_type", "password", "client_id", first.ClientID,
					"username", importedName(i), "password", importedPassword(i))
			}
			if round == 0 {
				hashed := passwordHashes(t, env)
				for i := 0; i < importedUsers; i += sampledUser {
					if hash := hashed[importedName(i)]; !strings.HasPrefix(hash, "$argon2id$") {
						t.Fatalf("after the first login the hash of %s is of kind %.5q, want argon2id", importedName(i), hash)
					}
				}
				if hash := hashed[importedName(1)]; !strings.HasPrefix(hash, "$2y$") {
					t.Errorf("the hash of %s, who has not logged in, is of kind %.5q", importedName(1), hash)
				}
			}
		}
		n.mustPost(http.StatusBadRequest, "/oauth/token", "grant_type", "password", "client_id", first.ClientID,
			"username", importedName(0), "password", importedPassword(1))
	})
}

// passwordHashes returns the stored hashes by name.
func passwordHashes(t *testing.T, env []string) map[string]string {
	t.Helper()
	rows := queryAll(t, env, "SELECT name || ' ' || password_hash FROM users")
	hashes := map[string]string{}
	for _, row := range rows {
		name, hash, _ := strings.Cut(row, " ")
		hashes[name] = hash
	}
	return hashes
}

// TestImportOfAFileThatBreaksOff keeps what was whole.
func TestImportOfAFileThatBreaksOff(t *testing.T) {
	env := sqliteEnv(t)
	path := filepath.Join(t.TempDir(), "users.csv")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriter(file)
	_, _ = fmt.Fprint(out, "username\n")
	for i := range 2*importBatch + 7 {
		_, _ = fmt.Fprintf(out, "%s\n", importedName(i))
	}
	_, _ = fmt.Fprint(out, "\""+strings.Repeat("x\n", maxUserLine))
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	_, stderr, code := tryCLI(env, "", "users", "import", path)
	if code != exitFailure || !strings.Contains(stderr, fmt.Sprintf("after %d users; what is stored stays", 2*importBatch+7)) {
		t.Errorf("import = %d %s, want a failure that says how far it came", code, stderr)
	}
	if got := len(queryAll(t, env, "SELECT name FROM users")); got != 2*importBatch+7 {
		t.Errorf("%d users are stored, want %d", got, 2*importBatch+7)
	}
}
