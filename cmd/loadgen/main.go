// Command loadgen puts an OAuth 2 server under load and says what an operation
// costs: how many a second, how long they take, and the processor time and memory
// of processes that it is told to watch. It drives any server by its metadata and
// its endpoints alone, and leaves the server, its clients and its users to its
// caller.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newRoot(os.LookupEnv).ExecuteContext(ctx)
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "loadgen: "+err.Error())
		os.Exit(1)
	}
}

// Variables that hold secrets, which have no place on a command line.
const (
	passwordVariable            = "LOADGEN_PASSWORD"
	secretVariable              = "LOADGEN_CLIENT_SECRET"        //nolint:gosec // the name of a variable
	introspectionSecretVariable = "LOADGEN_INTROSPECTION_SECRET" //nolint:gosec // the name of a variable
)

// options are what a run is made of.
type options struct {
	issuer   string
	workers  int
	duration time.Duration
	warmup   time.Duration
	// operations ends the run after so many, if it is not 0.
	operations int
	sessions   int
	random     bool
	tokens     string
	pids       []int
	output     string

	clientID, clientSecret               string
	introspectionID, introspectionSecret string
	username, password                   string
	users                                int
	scope, resource                      string
}

func newRoot(lookup func(string) (string, bool)) *cobra.Command {
	var o options
	root := &cobra.Command{
		Use: "loadgen WORK", Args: cobra.ExactArgs(1), SilenceErrors: true, SilenceUsage: true,
		ValidArgs: workNames(),
		Short:     "Put an OAuth 2 server under load, and say what an operation costs",
		Long: `Put an OAuth 2 server under load, and say what an operation costs.

Each of the workers sends its next request when it has the answer to the last
one, on a connection that it keeps. WORK is one of

` + workList() + `
Endpoints are those of the server's metadata. Passwords and secrets come in the
environment: ` + passwordVariable + `, ` + secretVariable + ` and ` + introspectionSecretVariable + `.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.password, _ = lookup(passwordVariable)
			o.clientSecret, _ = lookup(secretVariable)
			o.introspectionSecret, _ = lookup(introspectionSecretVariable)
			if err := o.check(args[0]); err != nil {
				return err
			}
			report, err := load(cmd.Context(), args[0], o)
			if err != nil {
				return err
			}
			return report.print(cmd.OutOrStdout(), o.output)
		},
	}
	flags := root.Flags()
	flags.StringVar(&o.issuer, "issuer", "http://localhost:8080", "the server, by its issuer `URL`")
	flags.IntVar(&o.workers, "workers", 16, "this many workers")
	flags.DurationVar(&o.duration, "duration", 10*time.Second, "measure for so long")
	flags.DurationVar(&o.warmup, "warmup", 2*time.Second, "work for so long before")
	flags.IntVar(&o.operations, "operations", 0, "end after so many operations, if that is sooner; revoke needs it")
	flags.IntVar(&o.sessions, "sessions", 0, "begin so many sessions, of which each worker refreshes its share; as many as workers if 0")
	flags.BoolVar(&o.random, "random", false, "refresh the sessions of a worker in random order, not in turn")
	flags.StringVar(&o.tokens, "refresh-tokens", "", "take the sessions from a `file` with a refresh token on each line")
	flags.IntSliceVar(&o.pids, "pid", nil, "watch this process with its descendants; repeatable")
	flags.StringVarP(&o.output, "output", "o", "text", "print as `text` or json")
	flags.StringVar(&o.clientID, "client-id", "", "be this client")
	flags.StringVar(&o.introspectionID, "introspection-client-id", "", "introspect as this client; as --client-id if empty")
	flags.StringVar(&o.username, "username", "", "log this user in; with %d in it, user 0, 1, … in turn")
	flags.IntVar(&o.users, "users", 1, "this many users, for a name with %d")
	flags.StringVar(&o.scope, "scope", "", "ask for this scope at logins")
	flags.StringVar(&o.resource, "resource", "", "ask for tokens for this resource at logins, by its `URI`")
	return root
}

// check refuses what cannot be run.
func (o *options) check(work string) error {
	switch {
	case works[work] == nil:
		return fmt.Errorf("%s: want one of\n%s", work, workList())
	case o.workers < 1, o.duration <= 0, o.warmup < 0, o.operations < 0, o.sessions < 0, o.users < 1:
		return errors.New("workers, duration and users want to be more than 0, and nothing less than it")
	case o.output != "text" && o.output != "json":
		return fmt.Errorf("--output %q: want text or json", o.output)
	case work == "revoke" && o.operations == 0:
		return errors.New("revoke needs --operations: so many sessions are begun before")
	}
	return nil
}
