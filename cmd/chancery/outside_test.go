package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestVerifyNeedsLittle holds the promise of authz/verify: neither it nor its
// tests import more than the standard library, go-jose, and two packages of
// ours that import nothing.
func TestVerifyNeedsLittle(t *testing.T) {
	out, err := exec.Command("go", "list", "-test", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "chancery/authz/verify").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	allowed := []string{"chancery/authz/verify", "chancery/authz/claims", "chancery/authz/statuslist", "github.com/go-jose/go-jose/v4"}
	for line := range strings.Lines(string(out)) {
		path, _, _ := strings.Cut(strings.TrimSpace(line), " ") // "path [variant for tests]"
		path = strings.TrimSuffix(strings.TrimSuffix(path, ".test"), "_test")
		if path != "" && !slices.ContainsFunc(allowed, func(a string) bool { return under(path, a) }) {
			t.Errorf("authz/verify or its test reaches %s", path)
		}
	}
}

// TestOutsideModule makes a module of README's resource server, which imports
// authz/verify, and looks at what it gets with it.
func TestOutsideModule(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string]string{
		"go.mod":  "module example.com/notes\n\ngo 1.26\n",
		"main.go": recipe(t, "main.go", "http://localhost:8080"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"mod", "edit", "-replace", "chancery=" + root}, {"mod", "tidy"}, {"build", "-o", filepath.Join(dir, "notes"), "."},
	} {
		command := exec.Command("go", args...)
		command.Dir = dir
		// What it needs is in the module cache, since this module needs it too.
		command.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=mod", "GOWORK=off", "CGO_ENABLED=0")
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	sum, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(sum), "\n"); lines > 4 || !strings.Contains(string(sum), "go-jose") {
		t.Errorf("go.sum has %d lines, want those of go-jose alone:\n%s", lines, sum)
	}
}
