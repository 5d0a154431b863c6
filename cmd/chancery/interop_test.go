package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// missing skips the test for want of a tool, unless it must be there.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CHANCERY_TEST_INTEROP_REQUIRED") != "" {
		t.Fatalf("%s is not there, and CHANCERY_TEST_INTEROP_REQUIRED is set", what)
	}
	t.Skipf("%s is not there", what)
}

// program returns the path of a program that a test needs.
func program(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing(t, names[0])
	return ""
}

// nodeModules returns the directory of the packages that .ci/run installs.
func nodeModules(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../.ci/node/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		missing(t, "node_modules (npm ci --prefix .ci/node)")
	}
	return path
}

// recipe returns the code that README gives to be saved as the named file, for
// this issuer.
func recipe(t *testing.T, name, issuer string) string {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(readme), "as `"+name+"`")
	_, rest, fenced := strings.Cut(rest, "\n```")
	_, rest, begun := strings.Cut(rest, "\n")
	code, _, ended := strings.Cut(rest, "\n```\n")
	if !found || !fenced || !begun || !ended {
		t.Fatalf("README has no code for %s", name)
	}
	return strings.ReplaceAll(code, "http://localhost:8080", issuer) + "\n"
}

// recipeServer is a server with the API, the app and the user of README's tour.
type recipeServer struct {
	*node
	env []string
	// apiSecret is that of the client notes-api.
	apiSecret string
}

func newRecipeServer(t *testing.T, alg string) *recipeServer {
	t.Helper()
	env := append(sqliteEnv(t), listenEnv(freePort(t))...)
	cli(t, env, "resources", "create", "--uri", "https://notes.example", "--alg", alg, "--scope", "notes:read", "--scope", "notes:write")
	cli(t, env, "resources", "create", "--uri", "https://other.example", "--alg", alg, "--scope", "other:read")
	cli(t, env, "clients", "create", "--id", "notes-app", "--type", "public", "--first-party", "--grant", "password", "--grant", "refresh_token",
		"--resource", "https://notes.example", "--resource", "https://other.example", "--scope", "notes:read", "--scope", "notes:write", "--scope", "other:read")
	api := cli(t, env, "clients", "create", "--id", "notes-api", "--type", "confidential", "--introspect", "--resource", "https://notes.example", "-o", "json")
	if _, stderr, code := tryCLI(env, "a long enough password", "users", "create", "--username", "ada", "--password-stdin"); code != exitOK {
		t.Fatal(stderr)
	}
	return &recipeServer{node: serve(t, env), env: env, apiSecret: between(api, `"client_secret": "`, `"`)}
}

func (s *recipeServer) login(pairs ...string) reply {
	s.t.Helper()
	return s.mustPost(http.StatusOK, "/oauth/token", append([]string{
		"grant_type", "password", "client_id", "notes-app", "username", "ada", "password", "a long enough password",
	}, pairs...)...)
}

func (s *recipeServer) revoke(session reply) {
	s.t.Helper()
	s.mustPost(http.StatusOK, "/oauth/revoke", "client_id", "notes-app", "token", session.str("refresh_token"))
}

// check runs a verifier over tokens that are good, revoked, tampered and for
// another API. accepts returns what it printed and whether it accepted.
func (s *recipeServer) check(accepts func(token string) (string, bool)) {
	s.t.Helper()
	good, revoked, other := s.login(), s.login(), s.login("resource", "https://other.example", "scope", "other:read")
	s.revoke(revoked)
	user := cliUser(s.t, s.env, "ada")
	if out, ok := accepts(good.str("access_token")); !ok || !strings.Contains(out, user) {
		s.t.Errorf("a good token: accepted = %v, printed %q, want %s", ok, out, user)
	}
	for what, token := range map[string]string{
		"a tampered token": tampered(good.str("access_token")), "a token of another API": other.str("access_token"), "no token": "x.y.z",
	} {
		if out, ok := accepts(token); ok {
			s.t.Errorf("%s is accepted: %s", what, out)
		}
	}
	eventually(s.t, "the revoked session is refused", func() bool { _, ok := accepts(revoked.str("access_token")); return !ok })
	if _, ok := accepts(good.str("access_token")); !ok {
		s.t.Error("a good token is refused beside a revoked one")
	}
}

// TestRecipes runs the verifiers that README gives in other languages, as they
// stand there.
func TestRecipes(t *testing.T) {
	for name, test := range map[string]struct {
		command func(t *testing.T, dir string) []string
		algs    []string
	}{
		"verify.mjs": {func(t *testing.T, dir string) []string {
			if err := os.Symlink(nodeModules(t), filepath.Join(dir, "node_modules")); err != nil {
				t.Fatal(err)
			}
			return []string{program(t, "node")}
		}, []string{"RS256", "EdDSA", "ES256"}},
		"verify.php": {func(t *testing.T, _ string) []string { return []string{program(t, "php")} }, []string{"RS256", "EdDSA"}},
		"verify.py": {func(t *testing.T, _ string) []string {
			python := program(t, "/usr/bin/python3") // Debian's, which has Debian's packages
			if err := exec.Command(python, "-c", "import jwt, cryptography").Run(); err != nil {
				missing(t, "python3-jwt")
			}
			return []string{python}
		}, []string{"RS256", "EdDSA", "ES256"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			command := test.command(t, dir)
			for _, alg := range test.algs {
				t.Run(alg, func(t *testing.T) {
					s := newRecipeServer(t, alg)
					path := filepath.Join(dir, name)
					if err := os.WriteFile(path, []byte(recipe(t, name, s.base)), 0o600); err != nil {
						t.Fatal(err)
					}
					s.check(func(token string) (string, bool) {
						run := exec.Command(command[0], append(command[1:], path, token)...)
						run.Dir = dir
						out, err := run.Output()
						return string(out), err == nil
					})
				})
			}
		})
	}
}

// apache runs Debian's Apache with the recipe, edited, until the test ends, and
// returns its address.
func apache(t *testing.T, s *recipeServer, edit func(string) string) string {
	t.Helper()
	server := program(t, "/usr/sbin/apache2")
	const modules = "/usr/lib/apache2/modules/"
	if _, err := os.Stat(modules + "mod_oauth2.so"); err != nil {
		missing(t, "libapache2-mod-oauth2")
	}
	dir := t.TempDir()
	// Apache is another user, if it is started as root.
	for _, own := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(own, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	config := fmt.Sprintf("ServerName localhost\nServerRoot %s\nPidFile %s/pid\nListen 127.0.0.1:%s\nErrorLog %s/error.log\nDocumentRoot %s\nMutex posixsem\n", dir, dir, port, dir, dir)
	if os.Getuid() == 0 {
		config += "User www-data\nGroup www-data\n"
	}
	for _, module := range []string{"mpm_event", "authn_core", "authz_core", "oauth2"} {
		config += "LoadModule " + module + "_module " + modules + "mod_" + module + ".so\n"
	}
	config += strings.ReplaceAll(edit(recipe(t, "notes.conf", s.base)), "SECRET", s.apiSecret)
	path := filepath.Join(dir, "httpd.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(server, "-f", path).CombinedOutput(); err != nil {
		t.Fatalf("apache2: %v\n%s", err, out)
	}
	pid := func() int {
		text, _ := os.ReadFile(filepath.Join(dir, "pid"))
		n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		return n
	}
	eventually(t, "Apache is there", func() bool { return pid() > 0 })
	process := pid()
	t.Cleanup(func() {
		_ = syscall.Kill(process, syscall.SIGTERM)
		eventually(t, "Apache is gone", func() bool { return syscall.Kill(process, 0) != nil })
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "error.log"))
			t.Logf("Apache's log:\n%s", log)
		}
	})
	return "http://127.0.0.1:" + port
}

// through asks Apache for a page with a token.
func through(t *testing.T, address string) func(token string) (string, bool) {
	return func(token string) (string, bool) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/index.html", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := read(http.DefaultClient.Do(r))
		if err != nil {
			t.Fatal(err)
		}
		return answer.body, answer.status == http.StatusOK
	}
}

func TestRecipeApache(t *testing.T) {
	s := newRecipeServer(t, "RS256")
	accepts := through(t, apache(t, s, func(config string) string { return config }))
	s.check(func(token string) (string, bool) {
		_, ok := accepts(token)
		return cliUser(t, s.env, "ada"), ok // Apache hands the user on, the page does not show it
	})
	// Offline, as README says it, without the status.
	offline := through(t, apache(t, s, func(config string) string {
		lines := strings.Split(config, "\n")
		for i, line := range lines {
			if strings.Contains(line, "OAuth2TokenVerify") {
				lines[i] = "OAuth2TokenVerify jwks_uri " + s.base + "/.well-known/jwks.json verify.exp=required"
			}
			if strings.Contains(line, "<RequireAll>") {
				lines[i] += "\nRequire oauth2_claim iss:" + s.base
			}
		}
		return strings.Join(lines, "\n")
	}))
	good, other := s.login().str("access_token"), s.login("resource", "https://other.example", "scope", "other:read").str("access_token")
	if _, ok := offline(good); !ok {
		t.Error("offline: a good token is refused")
	}
	for _, token := range []string{tampered(good), other, "x"} {
		if _, ok := offline(token); ok {
			t.Errorf("offline: a bad token is accepted: %s", token)
		}
	}
}

// TestBrowserClientTypes checks the types that the browser client's comments
// promise.
func TestBrowserClientTypes(t *testing.T) {
	modules := nodeModules(t)
	use := filepath.Join(t.TempDir(), "use.ts")
	client, err := filepath.Abs("../../web/assets/files/chancery.js")
	if err != nil {
		t.Fatal(err)
	}
	code := `import { Chancery, ChanceryError } from ` + strconv.Quote(client) + `
const session: Chancery = new Chancery({ issuer: "https://as.example", clientId: "app", cookie: true })
const response: Promise<Response> = session.fetch("/api", { method: "POST" })
const signedIn: boolean = session.signedIn
const ends: number = session.expiresAt
const cause: string | undefined = new ChanceryError("x", "y", { cause: "revoked" }).reason
session.logout("global")
// @ts-expect-error: there is no such place
session.logout("here")
// @ts-expect-error: the client is missing
new Chancery({ issuer: "https://as.example" })
export { response, signedIn, ends, cause }
`
	if err := os.WriteFile(use, []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program(t, "node"), filepath.Join(modules, "typescript/bin/tsc"), "--noEmit", "--strict", "--allowJs", "--checkJs",
		"--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler", "--lib", "es2022,dom,dom.iterable", use).CombinedOutput()
	if err != nil {
		t.Errorf("tsc: %v\n%s", err, out)
	}
}
