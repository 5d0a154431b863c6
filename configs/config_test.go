package configs_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"chancery/configs"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// Master keys that are valid and told apart.
const (
	keyA = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="
	keyB = "QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI="
	keyC = "Q0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0M="
)

// write puts text into a new file and returns its path.
func write(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "chancery.example.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// load loads a configuration that must be valid.
func load(t *testing.T, s configs.Sources) configs.Config {
	t.Helper()
	c, _, err := configs.Load(s)
	if err != nil {
		t.Fatalf("Load(%+v): got %v, want no error", s, err)
	}
	return c
}

// problems loads a configuration that must be refused and returns why.
func problems(t *testing.T, s configs.Sources) configs.Problems {
	t.Helper()
	_, _, err := configs.Load(s)
	var p configs.Problems
	if !errors.As(err, &p) || len(p) == 0 {
		t.Fatalf("Load(%+v): got error %v, want Problems", s, err)
	}
	return p
}

// has reports whether a problem begins with prefix.
func has(p configs.Problems, prefix string) bool {
	return slices.ContainsFunc(p, func(problem string) bool { return strings.HasPrefix(problem, prefix) })
}

// nested returns YAML that sets key, which may have a section, to value.
func nested(key, value string) string {
	if section, name, ok := strings.Cut(key, "."); ok {
		return fmt.Sprintf("%s:\n  %s: %q\n", section, name, value)
	}
	return fmt.Sprintf("%s: %q\n", key, value)
}

// variable returns the environment variable of key.
func variable(key string) string {
	return "CHANCERY_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// valueOf returns the value of key, secrets included.
func valueOf(t *testing.T, c configs.Config, key string) string {
	t.Helper()
	switch key {
	case "database_url":
		return c.DatabaseURL
	case "smtp.url":
		return c.SMTP.URL
	case "redis_url":
		return c.RedisURL
	case "tracing.endpoint":
		return c.Tracing.Endpoint
	case "database_direct_url":
		return c.DatabaseDirectURL
	case "master_key":
		return c.MasterKey
	}
	for _, v := range c.Values() {
		if v.Key == key {
			return v.Value
		}
	}
	t.Fatalf("Values() lacks %q", key)
	return ""
}

func TestDefaultsAreValid(t *testing.T) {
	t.Chdir(t.TempDir())
	c, warnings, err := configs.Load(configs.Sources{})
	if err != nil {
		t.Fatalf("Load without sources: got %v, want no error", err)
	}
	if len(warnings) > 0 {
		t.Errorf("warnings: got %q, want none", warnings)
	}
	if diff := cmp.Diff(configs.Default(), c); diff != "" {
		t.Errorf("Load without sources (-default +got):\n%s", diff)
	}
	for _, v := range c.Values() {
		if !v.Default {
			t.Errorf("%s: got default false, want true", v.Key)
		}
		if want := variable(v.Key); v.Variable != want {
			t.Errorf("%s: got variable %s, want %s", v.Key, v.Variable, want)
		}
	}
	if !c.Embedded() {
		t.Errorf("Embedded: got false, want true")
	}
	if got, want := c.Database(), filepath.Join("data", "chancery.db"); got != want {
		t.Errorf("Database: got %q, want %q", got, want)
	}
}

func TestEmbedded(t *testing.T) {
	for address, want := range map[string]bool{
		"": true, "chancery.db": true, "/var/lib/chancery.db": true, "sqlite:///var/lib/chancery.db": true,
		"postgres://db.example/chancery": false, "postgresql://u:p@db.example/chancery?sslmode=require": false,
	} {
		if got := (configs.Config{DatabaseURL: address}).Embedded(); got != want {
			t.Errorf("Embedded with database_url %q: got %t, want %t", address, got, want)
		}
	}
}

func TestDefaultFile(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile(configs.DefaultFile, []byte("data_dir: found\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := load(t, configs.Sources{}).DataDir; got != "found" {
		t.Errorf("data_dir: got %q, want %q of %s", got, "found", configs.DefaultFile)
	}
	other := write(t, "data_dir: named\n")
	if got := load(t, configs.Sources{File: other}).DataDir; got != "named" {
		t.Errorf("data_dir: got %q, want %q of the file that was named", got, "named")
	}
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	if p := problems(t, configs.Sources{File: missing}); !strings.Contains(p.Error(), missing) {
		t.Errorf("problems of a missing file: got %q, want its name", p)
	}
}

func TestEmptyFile(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "{}\n"} {
		c := load(t, configs.Sources{File: write(t, text)})
		if diff := cmp.Diff(configs.Default(), c); diff != "" {
			t.Errorf("Load of %q (-default +got):\n%s", text, diff)
		}
	}
}

// precedence is one setting with a value for each source.
type precedence struct {
	file, env, flag string
	// with are other settings that this one needs.
	with map[string]string
}

func precedences(t *testing.T) map[string]precedence {
	first, second, third := write(t, ""), write(t, ""), write(t, "")
	return map[string]precedence{
		"listen":       {file: "127.0.0.1:1", env: "127.0.0.1:2", flag: "127.0.0.1:3"},
		"issuer":       {file: "https://a.example", env: "https://b.example/tenant", flag: "http://localhost:3"},
		"data_dir":     {file: "a", env: "b", flag: "c"},
		"database_url": {file: "a.db", env: "b.db", flag: "c.db"},
		"database_direct_url": {
			file: "postgres://a.example/d", env: "postgres://b.example/d", flag: "postgresql://c.example/d",
			with: map[string]string{"database_url": "postgres://pool.example/d", "master_key": keyA},
		},
		"master_key":                    {file: keyA, env: keyB + "," + keyA, flag: keyC},
		"trusted_proxies":               {file: "10.0.0.1", env: "10.0.0.0/8,192.0.2.1", flag: "2001:db8::/32"},
		"tls.cert_file":                 {file: first, env: second, flag: third, with: map[string]string{"tls.key_file": first}},
		"tls.key_file":                  {file: first, env: second, flag: third, with: map[string]string{"tls.cert_file": first}},
		"access_token_ttl":              {file: "1m", env: "2m", flag: "24h"},
		"refresh.idle_ttl":              {file: "1h", env: "2h", flag: "3h"},
		"refresh.absolute_ttl":          {file: "200h", env: "300h", flag: "400h"},
		"refresh.leeway":                {file: "1s", env: "2s", flag: "0s"},
		"refresh.lost_response_window":  {file: "1m", env: "2m", flag: "24h"},
		"refresh.lost_response_budget":  {file: "1", env: "2", flag: "0"},
		"browser.idle_ttl":              {file: "1h", env: "2h", flag: "3h"},
		"browser.absolute_ttl":          {file: "20h", env: "30h", flag: "40h"},
		"client_registration.mode":      {file: "token", env: "open", flag: "off"},
		"client_registration.documents": {file: "true", env: "false", flag: "true"},
		"client_registration.resources": {file: "https://a.example", env: "https://b.example,https://c.example", flag: "https://d.example"},
		"outbound.allowed_networks":     {file: "10.0.0.0/8", env: "10.1.0.0/16,192.0.2.0/24", flag: "fd00::/8"},
		"keys.rotation_period":          {file: "100h", env: "200h", flag: "300h"},
		"keys.publish_ahead":            {file: "1h", env: "2h", flag: "3h"},
		"keys.jwks_max_age":             {file: "1m", env: "2m", flag: "3m"},
		"status.ttl":                    {file: "1s", env: "2s", flag: "3s"},
		"status.exp":                    {file: "5m", env: "6m", flag: "24h"},
		"password_grant.enabled":        {file: "false", env: "true", flag: "false"},
		"registration.enabled":          {file: "false", env: "true", flag: "false"},
		"smtp.url":                      {file: "smtp://a.example", env: "smtps://b.example:465", flag: "smtp://u@c.example:25"},
		"smtp.from":                     {file: "a@mail.example", env: "B <b@mail.example>", flag: "c@mail.example"},
		"sessions.max_per_user":         {file: "5", env: "6", flag: "7"},
		"throttle.enabled":              {file: "false", env: "true", flag: "false"},
		"throttle.pair":                 {file: "1", env: "2", flag: "3"},
		"throttle.account":              {file: "1", env: "2", flag: "3"},
		"throttle.address":              {file: "1", env: "2", flag: "3"},
		"throttle.client":               {file: "1", env: "2", flag: "3"},
		"redis_url":                     {file: "redis://a.example:1", env: "rediss://b.example:2/1", flag: "redis://c.example"},
		"password.min_length":           {file: "9", env: "12", flag: "15"},
		"password.blocklist_file":       {file: first, env: second, flag: third},
		"password.concurrent":           {file: "1", env: "2", flag: "3"},
		"password.waiting":              {file: "10", env: "20", flag: "30"},
		"password.memory_kib":           {file: "64", env: "128", flag: "256"},
		"password.iterations":           {file: "1", env: "3", flag: "20"},
		"password.parallelism":          {file: "2", env: "3", flag: "16"},
		"events.retention":              {file: "1h", env: "2h", flag: "3h"},
		"admin.listen":                  {file: "127.0.0.1:1", env: "127.0.0.1:2", flag: "127.0.0.1:3"},
		"metrics.listen":                {file: "127.0.0.1:1", env: "0.0.0.0:2", flag: "10.0.0.1:3"},
		"tracing.endpoint":              {file: "http://a.example:4318", env: "https://b.example", flag: "https://u:p@c.example/otlp"},
		"tracing.sample_percent":        {file: "1", env: "50", flag: "100"},
		"log.level":                     {file: "debug", env: "warn", flag: "error"},
		"log.format":                    {file: "text", env: "json", flag: "text"},
	}
}

func TestPrecedence(t *testing.T) {
	rows := precedences(t)
	for _, v := range configs.Default().Values() {
		if _, ok := rows[v.Key]; !ok {
			t.Errorf("%s: there is no row for it in this test", v.Key)
		}
	}
	for key, row := range rows {
		t.Run(key, func(t *testing.T) {
			s := configs.Sources{File: write(t, nested(key, row.file)), Flags: maps.Clone(row.with)}
			check := func(source, want string) {
				t.Helper()
				if got := valueOf(t, load(t, s), key); got != want {
					t.Errorf("%s: got %q, want %q of the %s", key, got, want, source)
				}
			}
			check("file", row.file)
			s.Environ = []string{variable(key) + "=" + row.env, "PATH=/bin"}
			check("environment", row.env)
			if s.Flags == nil {
				s.Flags = map[string]string{}
			}
			s.Flags[key] = row.flag
			check("flags", row.flag)
		})
	}
}

func TestListsAndNumbersOfFile(t *testing.T) {
	c := load(t, configs.Sources{File: write(t, `
trusted_proxies:
  - 10.0.0.0/8
  - ::1
password: {memory_kib: 128, iterations: 3, parallelism: 2}
password_grant: {enabled: false}
refresh: {lost_response_budget: 7}
`)})
	want := configs.Default()
	want.TrustedProxies = []string{"10.0.0.0/8", "::1"}
	want.Password = configs.Password{MinLength: 8, MemoryKiB: 128, Iterations: 3, Parallelism: 2, Waiting: 100}
	want.PasswordGrant.Enabled = false
	want.Refresh.LostResponseBudget = 7
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("Load (-want +got):\n%s", diff)
	}
}

func TestSecretFiles(t *testing.T) {
	for key, value := range map[string]string{
		"database_url": "a.db", "master_key": keyA, "database_direct_url": "postgres://direct.example/d", "redis_url": "rediss://:hunter2@redis.example/1", "smtp.url": "smtp://u:hunter2@mail.example",
		"tracing.endpoint": "https://u:hunter2@otlp.example",
	} {
		t.Run(key, func(t *testing.T) {
			flags := map[string]string{}
			if key == "database_direct_url" {
				flags = map[string]string{"database_url": "postgres://pool.example/d", "master_key": keyA}
			}
			name := variable(key) + "_FILE"
			c, warnings, err := configs.Load(configs.Sources{Environ: []string{name + "=" + write(t, value+"\n")}, Flags: flags})
			if err != nil || len(warnings) > 0 {
				t.Fatalf("Load with %s: got error %v and warnings %q, want neither", name, err, warnings)
			}
			if got := valueOf(t, c, key); got != value {
				t.Errorf("%s: got %q, want %q, without the newline", key, got, value)
			}
			missing := filepath.Join(t.TempDir(), "missing")
			if p := problems(t, configs.Sources{Environ: []string{name + "=" + missing}, Flags: flags}); !has(p, key) || !strings.Contains(p.Error(), name) {
				t.Errorf("missing file: got %q, want a problem of %s that names %s", p, key, name)
			}
		})
	}
}

// An empty secret file is what a failed deployment leaves behind. To take it
// for "not set" would start a server on an empty SQLite database, or with a
// master key of its own making.
func TestEmptySecretFileIsAProblem(t *testing.T) {
	for _, key := range []string{"database_url", "master_key"} {
		t.Run(key, func(t *testing.T) {
			_, _, err := configs.Load(configs.Sources{Environ: []string{variable(key) + "_FILE=" + write(t, "\n")}})
			var p configs.Problems
			if !errors.As(err, &p) || !has(p, key) {
				t.Errorf("Load with an empty file: got error %v, want a problem of %s", err, key)
			}
		})
	}
}

// The order of the environment means nothing, so it must not decide.
func TestSecretGivenTwice(t *testing.T) {
	direct := "CHANCERY_MASTER_KEY=" + keyA
	file := "CHANCERY_MASTER_KEY_FILE=" + write(t, keyB)
	c1, _, err1 := configs.Load(configs.Sources{Environ: []string{direct, file}})
	c2, _, err2 := configs.Load(configs.Sources{Environ: []string{file, direct}})
	if fmt.Sprint(err1) != fmt.Sprint(err2) || (err1 == nil && c1.MasterKey != c2.MasterKey) {
		t.Errorf("master_key by value and by file: got errors %v and, in the other order, %v, want the same error or the same key", err1, err2)
	}
}

func TestFileVariablesAreForSecretsOnly(t *testing.T) {
	secrets := []string{"database_url", "database_direct_url", "master_key", "redis_url", "smtp.url", "tracing.endpoint"}
	path := write(t, "127.0.0.1:1")
	for _, v := range configs.Default().Values() {
		if slices.Contains(secrets, v.Key) {
			continue
		}
		name := v.Variable + "_FILE"
		c, warnings, err := configs.Load(configs.Sources{Environ: []string{name + "=" + path}})
		if err != nil {
			t.Errorf("Load with %s: got %v, want no error", name, err)
		}
		if len(warnings) != 1 || !strings.Contains(warnings[0], name) {
			t.Errorf("warnings for %s: got %q, want one that names it", name, warnings)
		}
		if diff := cmp.Diff(configs.Default(), c); diff != "" {
			t.Errorf("Load with %s (-default +got):\n%s", name, diff)
		}
	}
}

func TestUnknownVariables(t *testing.T) {
	_, warnings, err := configs.Load(configs.Sources{Environ: []string{
		"CHANCERY_ISUER=https://a.example", "CHANCERY_SERVICE_PORT=tcp://10.0.0.1:80", "CHANCERY_CONFIG=x", "CHANCERY_=x",
		"PATH=/bin", "chancery_listen=x", "XCHANCERY_LISTEN=x", "",
	}})
	if err != nil {
		t.Fatalf("Load with unknown variables: got %v, want no error", err)
	}
	for _, name := range []string{"CHANCERY_ISUER", "CHANCERY_SERVICE_PORT"} {
		if !slices.ContainsFunc(warnings, func(w string) bool { return strings.Contains(w, name+" ") }) {
			t.Errorf("warnings: got %q, want one that names %s", warnings, name)
		}
	}
	if len(warnings) != 3 {
		t.Errorf("warnings: got %q, want 3: of the two variables and of the one without a name", warnings)
	}
	if text := strings.Join(warnings, "\n"); strings.Contains(text, "a.example") || strings.Contains(text, "10.0.0.1") {
		t.Errorf("warnings: got %q, want no values", warnings)
	}
}

func TestUnknownKeys(t *testing.T) {
	for name, s := range map[string]configs.Sources{
		"file": {File: write(t, "refresh:\n  leway: 5s\n")},
		"flag": {Flags: map[string]string{"refresh.leway": "5s"}},
	} {
		p := problems(t, s)
		if want := `unknown key "refresh.leway" (did you mean "refresh.leeway"?)`; !has(p, want) {
			t.Errorf("%s: got %q, want a problem that begins with %s", name, p, want)
		}
	}
	p := problems(t, configs.Sources{Flags: map[string]string{"zzzz": "1"}})
	if want := `unknown key "zzzz"`; len(p) != 1 || p[0] != want {
		t.Errorf("key that is like no other: got %q, want only %s", p, want)
	}
}

// invalid holds one wrong value of every setting that can be wrong.
var invalid = map[string]string{
	"listen": "nowhere", "issuer": "ftp://a.example", "database_direct_url": "postgres://direct.example/d",
	"master_key": "short", "trusted_proxies": "proxy.example", "tls.cert_file": "/nonexistent/cert.pem", "tls.key_file": "/nonexistent/key.pem",
	"access_token_ttl": "1s", "refresh.idle_ttl": "-1h", "refresh.absolute_ttl": "0s", "refresh.leeway": "-1s",
	"refresh.lost_response_window": "-1s", "refresh.lost_response_budget": "101", "browser.idle_ttl": "1s", "outbound.allowed_networks": "10.0.0.1", "client_registration.mode": "on", "client_registration.documents": "maybe", "browser.absolute_ttl": "0s",
	"keys.rotation_period": "-3h", "keys.publish_ahead": "-1h", "keys.jwks_max_age": "0s", "status.ttl": "1500ms", "status.exp": "59s",
	"password.memory_kib": "1048577", "password.iterations": "21", "password.parallelism": "0",
	"sessions.max_per_user": "0", "throttle.pair": "0", "throttle.account": "0", "throttle.address": "0", "throttle.client": "1000001", "redis_url": "http://a.example", "smtp.url": "http://a.example", "smtp.from": "nobody",
	"password.min_length": "7", "password.concurrent": "-1", "password.waiting": "0", "password.blocklist_file": "/does/not/exist",
	"admin.listen": "nowhere", "metrics.listen": "127.0.0.1:99999", "tracing.endpoint": "localhost:4318", "tracing.sample_percent": "0",
	"events.retention": "1s", "log.level": "loud", "log.format": "xml",
}

func TestEveryInvalidValueIsReported(t *testing.T) {
	for key, value := range invalid {
		if p := problems(t, configs.Sources{Flags: map[string]string{key: value}}); !has(p, key+": ") {
			t.Errorf("%s=%s: got %q, want a problem of that key", key, value, p)
		}
	}
	p := problems(t, configs.Sources{Flags: invalid})
	for key := range invalid {
		if !has(p, key+": ") {
			t.Errorf("all at once: got no problem of %s, want one; have:\n%v", key, p)
		}
	}
}

// Values that cannot be read, values out of range and unknown keys stand in
// one report, whichever source they come from.
func TestOneReport(t *testing.T) {
	p := problems(t, configs.Sources{
		File:    write(t, "isuer: https://a.example\naccess_token_ttl: soon\n"),
		Environ: []string{"CHANCERY_MASTER_KEY_FILE=/nonexistent/key", "CHANCERY_LOG_LEVEL=loud"},
		Flags:   map[string]string{"listen": "nowhere", "refresh.leway": "1s"},
	})
	for _, want := range []string{`unknown key "isuer"`, "access_token_ttl: ", "master_key", "log.level: ", "listen: ", `unknown key "refresh.leway"`} {
		if !has(p, want) {
			t.Errorf("got no problem that begins with %q, want one; have:\n%v", want, p)
		}
	}
	if got := strings.Count(p.Error(), "\n"); got != len(p) {
		t.Errorf("Error(): got %d lines after the first, want one for each of %d problems:\n%v", got, len(p), p)
	}
}

func TestReportHasAFixedOrder(t *testing.T) {
	first := problems(t, configs.Sources{Flags: invalid})
	for range 50 {
		if diff := cmp.Diff(first, problems(t, configs.Sources{Flags: invalid})); diff != "" {
			t.Fatalf("the same mistakes again (-first +now):\n%s", diff)
		}
	}
}

func TestBadFiles(t *testing.T) {
	paths, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) < 30 {
		t.Fatalf("testdata/bad: got %d files, want at least 30", len(paths))
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			line, _, _ := strings.Cut(string(content), "\n")
			want, ok := strings.CutPrefix(line, "# want: ")
			if !ok || want == "" {
				t.Fatalf("first line: got %q, want \"# want: \" and a part of the problem", line)
			}
			_, _, err = configs.Load(configs.Sources{File: path})
			var p configs.Problems
			if !errors.As(err, &p) {
				t.Fatalf("Load: got error %v, want Problems with %q", err, want)
			}
			if !slices.ContainsFunc(p, func(problem string) bool { return strings.Contains(problem, want) }) {
				t.Errorf("problems: got %q, want one with %q", p, want)
			}
		})
	}
}

func TestGoodAddresses(t *testing.T) {
	for _, flags := range []map[string]string{
		{"listen": ":8080", "issuer": "https://login.example"},
		{"listen": "0.0.0.0:8080", "issuer": "https://login.example/tenant"},
		{"listen": "[::1]:0", "issuer": "http://[::1]:8080"},
		{"listen": "localhost:8080", "issuer": "http://app.localhost:8080"},
		{"listen": "127.0.0.2:8080", "issuer": "http://127.0.0.1"},
		{"database_url": "sqlite:///var/lib/x.db"},
		{"database_url": "postgres:///chancery?host=/run/postgresql", "master_key": keyA},
		{"database_url": "postgres://u:p@a.example,b.example/d?target_session_attrs=read-write", "master_key": keyA},
		{"master_key": strings.TrimRight(keyA, "=") + ", " + keyB},
		{"master_key": "-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_8"},
	} {
		load(t, configs.Sources{Flags: flags})
	}
}

// planted is the secret that must not appear anywhere.
const planted = "hunter2"

func TestSecretsAreNeverPrinted(t *testing.T) {
	good := map[string]string{"master_key": keyA}
	for name, s := range map[string]configs.Sources{
		"password of database_url":            {Flags: map[string]string{"database_url": "postgres://u:hunter2@h.example/d", "master_key": keyA}},
		"password of smtp.url":                {Flags: map[string]string{"smtp.url": "http://u:hunter2@mail.example"}},
		"password of redis_url":               {Flags: map[string]string{"redis_url": "http://u:hunter2@redis.example"}},
		"password of tracing.endpoint":        {Flags: map[string]string{"tracing.endpoint": "ftp://u:hunter2@otlp.example"}},
		"password of database_direct_url":     {Flags: map[string]string{"database_url": "postgres://h.example/d", "database_direct_url": "postgres://u:hunter2@h.example/d", "master_key": keyA}},
		"password in the query":               {Flags: map[string]string{"database_url": "postgres://u@h.example/d?password=hunter2", "master_key": keyA}},
		"password of the key in the query":    {Flags: map[string]string{"database_url": "postgres://u@h.example/d?sslpassword=hunter2", "master_key": keyA}},
		"malformed escape":                    {Flags: map[string]string{"database_url": "postgres://u:hunter2%zz@h.example/d", "master_key": keyA}},
		"malformed port":                      {Flags: map[string]string{"database_url": "postgres://u:hunter2@h.example:port/d", "master_key": keyA}},
		"unescaped hash":                      {Flags: map[string]string{"database_url": "postgres://u:#hunter2@h.example/d", "master_key": keyA}},
		"unescaped slash":                     {Flags: map[string]string{"database_url": "postgres://u:/hunter2@h.example/d", "master_key": keyA}},
		"unescaped at":                        {Flags: map[string]string{"database_url": "postgres://u:x@hunter2@h.example/d", "master_key": keyA}},
		"control character":                   {Flags: map[string]string{"database_url": "postgres://u:hunter2\n@h.example/d", "master_key": keyA}},
		"keywords and values":                 {Flags: map[string]string{"database_url": "host=h.example user=u password=hunter2"}},
		"other scheme":                        {Flags: map[string]string{"database_url": "mysql://u:hunter2@h.example/d"}},
		"no scheme":                           {Flags: map[string]string{"database_url": "u:hunter2@h.example/d"}},
		"malformed direct address":            {Flags: map[string]string{"database_direct_url": "postgres://u:hunter2%zz@h.example/d"}},
		"master key too short":                {Flags: map[string]string{"master_key": planted}},
		"second master key":                   {Flags: map[string]string{"master_key": keyA + "," + planted}},
		"secret file with something else":     {Environ: []string{"CHANCERY_MASTER_KEY_FILE=" + write(t, planted)}},
		"variable that is misspelt":           {Environ: []string{"CHANCERY_MASTERKEY=" + planted, "CHANCERY_DATABASE_PASSWORD=" + planted}, Flags: good},
		"key that is misspelt":                {File: write(t, "master_kee: hunter2\n")},
		"flag that is misspelt":               {Flags: map[string]string{"master_kee": planted}},
		"list":                                {File: write(t, "master_key: [hunter2]\n")},
		"duration":                            {File: write(t, "access_token_ttl: hunter2\n")},
		"secret file named as configuration":  {File: write(t, "hunter2\n")},
		"address file named as configuration": {File: write(t, "postgres://u:hunter2@h.example/d\n")},
		"secret that begins with a star":      {File: write(t, "master_key: *hunter2\n")},
		"secret that begins with a bang":      {File: write(t, "master_key: !hunter2 x\n")},
		"secret that begins with an at":       {File: write(t, "master_key: @hunter2\n")},
		"secret that begins with a percent":   {File: write(t, "master_key: %hunter2\n")},
		"secret with a colon":                 {File: write(t, "master_key: a: hunter2\n")},
		"secret with a quotation mark":        {File: write(t, "master_key: \"hunter2\n")},
	} {
		t.Run(name, func(t *testing.T) {
			c, warnings, err := configs.Load(s)
			values, marshalErr := json.MarshalIndent(c.Values(), "", " ")
			if marshalErr != nil {
				t.Fatal(marshalErr)
			}
			for what, text := range map[string]string{
				"error": fmt.Sprint(err), "warnings": strings.Join(warnings, "\n"), "Values": string(values),
				"String": c.String(), "%v": fmt.Sprintf("%v", c), "%+v": fmt.Sprintf("%+v", &c),
			} {
				for line := range strings.Lines(text) {
					for _, secret := range []string{planted, keyA} {
						if strings.Contains(line, secret) {
							t.Errorf("%s: got %q, want it without %q", what, line, secret)
						}
					}
				}
			}
		})
	}
}

func TestRedaction(t *testing.T) {
	c := load(t, configs.Sources{Flags: map[string]string{"database_url": "postgres://u:hunter2@h.example/d?sslmode=require", "master_key": keyA}})
	if got := valueOfPrinted(c, "master_key"); got != "REDACTED" {
		t.Errorf("master_key: got %q, want REDACTED", got)
	}
	got := valueOfPrinted(c, "database_url")
	for _, want := range []string{"u:", "h.example/d"} {
		if !strings.Contains(got, want) {
			t.Errorf("database_url: got %q, want all but the password, such as %q", got, want)
		}
	}
	if got := valueOfPrinted(configs.Default(), "master_key"); got != "" {
		t.Errorf("master_key that is not set: got %q, want nothing", got)
	}
}

// valueOfPrinted returns the value of key as it is printed.
func valueOfPrinted(c configs.Config, key string) string {
	for _, v := range c.Values() {
		if v.Key == key {
			return v.Value
		}
	}
	return "no such key"
}

// TestStringIsLoadable writes what String prints to a file and loads it.
// Secrets, which String hides, come from flags.
func TestStringIsLoadable(t *testing.T) {
	certificate := write(t, "")
	rows := map[string]map[string]string{
		"defaults": {},
		"everything": {
			"listen": "[::]:8443", "issuer": "https://login.example/tenant", "data_dir": "/var/lib/chancery", "database_url": "postgres://u:p@h.example/d",
			"database_direct_url": "postgres://u:p@direct.example/d", "master_key": keyA, "trusted_proxies": "10.0.0.0/8,::1", "tls.cert_file": certificate,
			"tls.key_file": certificate, "access_token_ttl": "1h30m", "refresh.idle_ttl": "90s", "refresh.absolute_ttl": "1h0m30s", "refresh.leeway": "1500ms",
			"browser.idle_ttl": "1h", "browser.absolute_ttl": "2h", "outbound.allowed_networks": "10.0.0.0/8", "client_registration.mode": "token", "client_registration.documents": "true", "client_registration.resources": "https://a.example", "refresh.lost_response_window": "10s", "refresh.lost_response_budget": "0", "keys.rotation_period": "100h", "keys.publish_ahead": "3h",
			"keys.jwks_max_age": "1h", "status.ttl": "2s", "status.exp": "1h", "password_grant.enabled": "false", "password.memory_kib": "64", "password.iterations": "3",
			"password.parallelism": "2", "events.retention": "24h", "log.level": "debug", "log.format": "json",
		},
	}
	for _, dir := range []string{
		"null", "~", "true", "no", "012", "0x1F", "1e3", "-", "- a", "? a", " a", "a ", "a: b", "a #b", "#a", "a\tb", "a\nb", "=", "<<", "2026-01-02",
		`C:\data`, `"quoted"`, "'quoted'", "é", "*a", "&a", "!a", "%a", "@a", "`a", "[a", "{a", "|", ">",
	} {
		rows[fmt.Sprintf("data_dir %q", dir)] = map[string]string{"data_dir": dir}
	}
	for name, flags := range rows {
		t.Run(name, func(t *testing.T) {
			before := load(t, configs.Sources{Flags: flags})
			secrets := map[string]string{}
			for _, key := range []string{"database_url", "database_direct_url", "master_key"} {
				if flags[key] != "" {
					secrets[key] = flags[key]
				}
			}
			after := load(t, configs.Sources{File: write(t, before.String()), Flags: secrets})
			if diff := cmp.Diff(before, after, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("Load of String() (-before +after):\n%s", diff)
			}
		})
	}
}

// A list that is given as empty is the default of a list that is not given.
func TestEmptyListIsTheDefault(t *testing.T) {
	for _, text := range []string{"trusted_proxies: []\n", "trusted_proxies: \"\"\n", configs.Default().String()} {
		c := load(t, configs.Sources{File: write(t, text)})
		for _, v := range c.Values() {
			if !v.Default {
				t.Errorf("%s after loading %q: got default false, want true", v.Key, text)
			}
		}
	}
}

// FuzzLoad reads any text as a configuration file: it is refused with problems,
// or it makes a configuration whose values make it again.
func FuzzLoad(f *testing.F) {
	paths, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(content))
	}
	f.Add(configs.Default().String())
	f.Add("trusted_proxies: [10.0.0.0/8, '::1']\nrefresh: {leeway: 1s}\n")
	path := filepath.Join(f.TempDir(), "chancery.example.yaml")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, _, err := configs.Load(configs.Sources{File: path})
		if err != nil {
			var p configs.Problems
			if !errors.As(err, &p) || len(p) == 0 {
				t.Fatalf("got error %v, want Problems", err)
			}
			return
		}
		flags := map[string]string{"database_url": c.DatabaseURL, "database_direct_url": c.DatabaseDirectURL, "master_key": c.MasterKey}
		for _, v := range c.Values() {
			if _, secret := flags[v.Key]; !secret {
				flags[v.Key] = v.Value
			}
		}
		again, _, err := configs.Load(configs.Sources{Flags: flags})
		if err != nil {
			t.Fatalf("Load of the values %q: got %v, want no error", flags, err)
		}
		if diff := cmp.Diff(c, again, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("Load of the values (-first +again):\n%s", diff)
		}
	})
}

// The file that README hands out names every setting with its default.
func TestSampleFileIsTheDefault(t *testing.T) {
	content, err := os.ReadFile("chancery.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c := load(t, configs.Sources{File: "chancery.example.yaml"})
	for _, value := range c.Values() {
		if !value.Default {
			t.Errorf("%s: got %q in the file, want the default", value.Key, value.Value)
		}
		if name := value.Key[strings.LastIndex(value.Key, ".")+1:]; !strings.Contains(string(content), name+": ") {
			t.Errorf("%s: got a file without it", value.Key)
		}
	}
}

func TestAdminExposed(t *testing.T) {
	for name, test := range map[string]struct {
		flags map[string]string
		want  bool
	}{
		"this machine":   {map[string]string{"listen": "127.0.0.1:8080"}, false},
		"everybody":      {map[string]string{"listen": "0.0.0.0:8080", "issuer": "https://a.example"}, true},
		"every address":  {map[string]string{"listen": ":8080", "issuer": "https://a.example"}, true},
		"apart":          {map[string]string{"listen": "0.0.0.0:8080", "issuer": "https://a.example", "admin.listen": "10.0.0.1:9000"}, false},
		"only IPv6 here": {map[string]string{"listen": "[::1]:8080"}, false},
	} {
		if got := load(t, configs.Sources{Flags: test.flags}).AdminExposed(); got != test.want {
			t.Errorf("%s: AdminExposed = %v, want %v", name, got, test.want)
		}
	}
}
