// Command chancery is an OAuth 2 authorization server in one binary: it serves
// the endpoints and administers clients, resources, users, sessions and keys.
//
// The package owns the wiring: it reads the configuration, opens the database,
// ties the packages below together, and prints for people and scripts. It
// leaves every rule to authz and keys.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second signal does not wait
	code := run(ctx, process{
		args: os.Args[1:], environ: os.Environ(), stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		terminal: isTerminal(os.Stdout),
	})
	stop()
	os.Exit(code)
}
