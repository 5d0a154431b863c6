package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"

	"chancery/authz"
	"chancery/configs"

	"github.com/spf13/cobra"
)

// process is what a run gets from its surroundings.
type process struct {
	args     []string
	environ  []string
	stdin    io.Reader
	stdout   io.Writer
	stderr   io.Writer
	terminal bool
}

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// run executes one command line and returns the exit code.
func run(ctx context.Context, p process) int {
	c := &command{process: p}
	root := newRoot(c)
	root.SetArgs(behindFlags(p.args))
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	_, _ = fmt.Fprintln(p.stderr, "chancery: "+explain(err))
	var usage usageError
	if errors.As(err, &usage) || !c.begun {
		return exitUsage
	}
	return exitFailure
}

// explain returns what went wrong in the words of the innermost expected
// failure, without the path that it took.
func explain(err error) string {
	var expected *authz.Error
	if errors.As(err, &expected) {
		return expected.Description
	}
	return err.Error()
}

// keyIDForm is the id of a key that looks like a flag: one of 64 begins with a
// hyphen.
var keyIDForm = regexp.MustCompile(`^-[A-Za-z0-9_-]{42}$`)

// behindFlags returns the arguments with ids of keys where no flag is expected.
func behindFlags(args []string) []string {
	if !slices.ContainsFunc(args, keyIDForm.MatchString) || slices.Contains(args, "--") {
		return args
	}
	var flags, ids []string
	for _, arg := range args {
		if keyIDForm.MatchString(arg) {
			ids = append(ids, arg)
		} else {
			flags = append(flags, arg)
		}
	}
	return append(append(flags, "--"), ids...)
}

// usageError is a mistake on the command line.
type usageError struct{ error }

// command is the state that all commands share: the surroundings and the
// global flags.
type command struct {
	process
	configFile string
	set        []string
	output     string
	// begun is set once the command line was understood.
	begun bool
}

func newRoot(c *command) *cobra.Command {
	root := &cobra.Command{
		Use:           "chancery",
		Short:         "An OAuth 2 authorization server whose tokens are verified offline",
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if c.output != "text" && c.output != "json" {
			return usageError{fmt.Errorf("--output %q: want text or json", c.output)}
		}
		c.begun = true
		return nil
	}
	flags := root.PersistentFlags()
	flags.StringVar(&c.configFile, "config", "", "configuration file (default "+configs.DefaultFile+", if there is one)")
	flags.StringArrayVar(&c.set, "set", nil, "set a configuration key, as `key=value`; repeatable")
	flags.StringVarP(&c.output, "output", "o", "text", "print as `text` or json")
	root.AddCommand(
		c.serveCommand(), c.migrateCommand(), c.bootstrapCommand(), c.clientsCommand(), c.resourcesCommand(), c.usersCommand(),
		c.sessionsCommand(), c.keysCommand(), c.applyCommand(), c.configCommand(), c.storageCommand(), c.healthcheckCommand(), c.demoCommand(), c.versionCommand(),
	)
	return root
}

// group is a command that only holds others.
func group(name, short string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		return usageError{fmt.Errorf("%s: name one of its commands; see chancery %s --help", name, name)}
	}}
	cmd.AddCommand(children...)
	return cmd
}

// loadConfig reads the configuration and tells of what looks like a mistake.
func (c *command) loadConfig() (configs.Config, error) {
	flags := map[string]string{}
	for _, entry := range c.set {
		key, value, ok := strings.Cut(entry, "=")
		if !ok {
			return configs.Config{}, usageError{fmt.Errorf("--set %q: want key=value", entry)}
		}
		flags[key] = value
	}
	file := c.configFile
	if file == "" {
		file = environ(c.environ, "CHANCERY_CONFIG")
	}
	config, warnings, err := configs.Load(configs.Sources{File: file, Environ: c.environ, Flags: flags})
	for _, warning := range warnings {
		_, _ = fmt.Fprintln(c.stderr, "chancery: warning: "+warning)
	}
	return config, err
}

// environ returns the value of a variable, or "".
func environ(entries []string, name string) string {
	for _, entry := range entries {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// logger returns the log, which goes to standard error.
func (c *command) logger(config configs.Config) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(config.Log.Level)) // validated before
	options := &slog.HandlerOptions{Level: level}
	file, ok := c.stderr.(*os.File)
	if config.Log.Format == "text" || (config.Log.Format == "" && ok && isTerminal(file)) {
		return slog.New(slog.NewTextHandler(c.stderr, options))
	}
	return slog.New(slog.NewJSONHandler(c.stderr, options))
}

// isTerminal reports whether f is a terminal.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
