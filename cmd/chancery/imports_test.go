package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// imports is the import table: which packages of ours each package may import
// outside of tests. A package without a row, and a row without a package, fail.
var imports = map[string][]string{
	// level 0
	"configs":            {},
	"authz/claims":       {},
	"authz/statuslist":   {},
	"authz/password":     {},
	"keys":               {},
	"storage/migrations": {},
	"storage/pgtest":     {},
	// level 1
	"authz":         {"authz/claims", "authz/statuslist", "authz/password"},
	"keys/keystest": {"keys"},
	"authz/verify":  {"authz/claims", "authz/statuslist"},
	// level 2
	"authz/authztest": {"authz"},
	"storage":         {"authz", "keys", "storage/migrations"},
	"storage/limits":  {"authz"},
	"web/respond":     {"authz"},
	"web/bearer":      {"authz/verify"},
	"web/body":        {},
	"web/cursor":      {"authz"},
	"web/segment":     {},
	"web/page":        {"authz", "web/respond"},
	"web/caller":      {"authz", "web/bearer", "web/respond"},
	// level 3
	"web/account":   {"authz", "authz/password", "web/body", "web/caller", "web/respond"},
	"web/admin":     {"authz", "web/body", "web/caller", "web/cursor", "web/respond", "web/segment"},
	"web/assets":    {"web/respond"},
	"web/console":   {"authz", "web/caller", "web/cursor", "web/page", "web/respond", "web/segment"},
	"web/oauth":     {"authz", "authz/claims", "web/caller", "web/respond"},
	"web/oidc":      {"authz", "web/caller", "web/page", "web/respond"},
	"web/status":    {"authz", "authz/claims", "web/respond"},
	"web/wellknown": {"authz", "authz/claims", "web/respond"},
	// level 4
	"web": {"authz", "authz/claims", "web/account", "web/admin", "web/assets", "web/console", "web/oauth", "web/oidc", "web/respond", "web/status", "web/wellknown"},
	// level 5
	"cmd/chancery/internal/mail":      {"authz"},
	"cmd/chancery/internal/outbound":  {},
	"cmd/chancery/internal/smtptest":  {},
	"cmd/chancery/internal/demo":      {"authz/verify"},
	"cmd/chancery/internal/site":      {},
	"cmd/chancery/internal/telemetry": {"authz"},
	"cmd/loadgen":                     {},
	"cmd/chancery": {
		"cmd/chancery/internal/demo", "cmd/chancery/internal/mail", "cmd/chancery/internal/outbound", "cmd/chancery/internal/site", "cmd/chancery/internal/telemetry", "authz", "authz/claims", "authz/password", "authz/statuslist", "authz/verify", "configs", "keys", "storage", "storage/limits", "storage/migrations",
		"web", "web/admin", "web/oauth", "web/respond", "web/status", "web/wellknown",
	},
}

// testHelpers may be imported by tests everywhere and by nothing else.
var testHelpers = []string{"authz/authztest", "keys/keystest", "storage/pgtest", "cmd/chancery/internal/smtptest"}

// foreign says which of our packages alone may import a library.
var foreign = []struct {
	library string
	allowed []string
	reason  string
}{
	{"github.com/go-jose/go-jose", []string{"keys", "authz/verify"}, "one place makes signatures and one checks them"},
	{"github.com/gin-gonic/gin", []string{"web"}, "nothing below the endpoints knows HTTP"},
	{"github.com/danielgtaylor/huma", []string{"web"}, "nothing below the endpoints knows HTTP"},
	{"gorm.io", []string{"storage"}, "rows stay in storage"},
	{"github.com/pressly/goose", []string{"storage"}, "the schema stays in storage"},
	{"github.com/glebarez", []string{"storage"}, "drivers stay in storage"},
	{"github.com/jackc/pgx", []string{"storage"}, "drivers stay in storage"},
	{"github.com/wneessen/go-mail", []string{"cmd/chancery/internal/mail"}, "mail is sent in one place"},
	{"github.com/redis", []string{"storage/limits"}, "counters stay in storage/limits"},
	{"github.com/go-redis", []string{"storage/limits"}, "counters stay in storage/limits"},
	{"github.com/prometheus", []string{"web", "storage", "cmd/chancery/internal/telemetry"}, "rules report through an observer"},
	{"go.opentelemetry.io", []string{"web", "storage", "cmd/chancery"}, "rules report through an observer"},
	{"github.com/XSAM/otelsql", []string{"storage"}, "drivers stay in storage"},
	{"github.com/knadh/koanf", []string{"configs"}, "configuration is read in one place"},
	{"github.com/spf13/cobra", []string{"cmd"}, "the command line is in cmd"},
}

// withoutHTTP must not reach net/http, even through others.
var withoutHTTP = []string{"authz", "keys", "configs", "authz/claims", "authz/statuslist", "authz/password"}

// listedPackage is what "go list" says of a package.
type listedPackage struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

const module = "chancery"

// packages returns our packages by path relative to the module.
func packages(t *testing.T) map[string]listedPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", module+"/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	found := map[string]listedPackage{}
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p listedPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return found
		} else if err != nil {
			t.Fatal(err)
		}
		found[strings.TrimPrefix(p.ImportPath, module+"/")] = p
	}
}

func TestImports(t *testing.T) {
	found := packages(t)
	for name := range imports {
		if _, ok := found[name]; !ok {
			t.Errorf("the table has a row for %s, which does not exist", name)
		}
	}
	for name, p := range found {
		allowed, ok := imports[name]
		if !ok {
			t.Errorf("package %s has no row in the table", name)
		}
		for _, path := range p.Imports {
			ours, isOurs := strings.CutPrefix(path, module+"/")
			if isOurs && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s, which the table does not allow", name, ours)
			}
			if isOurs && slices.Contains(testHelpers, ours) {
				t.Errorf("%s imports %s outside of tests", name, ours)
			}
			checkForeign(t, name, path)
		}
	}
	for _, name := range withoutHTTP {
		if slices.Contains(found[name].Deps, "net/http") {
			t.Errorf("%s reaches net/http", name)
		}
	}
}

func checkForeign(t *testing.T, name, path string) {
	t.Helper()
	for _, rule := range foreign {
		if !under(path, rule.library) {
			continue
		}
		if !slices.ContainsFunc(rule.allowed, func(allowed string) bool { return under(name, allowed) }) {
			t.Errorf("%s imports %s: %s", name, path, rule.reason)
		}
	}
}

// under reports whether path is root or below it.
func under(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }
