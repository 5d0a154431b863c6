package main

import (
	"testing"

	"chancery/storage/pgtest"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the test binary stand for the program: testscript and the
// tests that kill a server run it as "chancery".
func TestMain(m *testing.M) {
	testscript.Main(runner{m}, map[string]func(){"chancery": main})
}

// runner stops the shared Postgres server after the tests.
type runner struct{ m *testing.M }

// Run implements testscript.TestingM.
func (r runner) Run() int { return pgtest.Run(r.m) }

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			// Hashes are cheap here: these scripts test the commands.
			env.Setenv("CHANCERY_PASSWORD_MEMORY_KIB", "64")
			env.Setenv("CHANCERY_PASSWORD_ITERATIONS", "1")
			return nil
		},
	})
}
