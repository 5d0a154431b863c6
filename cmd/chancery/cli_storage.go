package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"chancery/storage"

	"github.com/spf13/cobra"
)

func (c *command) storageCommand() *cobra.Command {
	return group("storage", "Move everything to another database", c.storageCopy())
}

func (c *command) storageCopy() *cobra.Command {
	from, to := addressFlag{name: "from"}, addressFlag{name: "to"}
	cmd := &cobra.Command{
		Use: "copy (--from ADDRESS | --from-file FILE) (--to ADDRESS | --to-file FILE)", Short: "Copy everything from one database into an empty one", Args: cobra.NoArgs,
		Long: "Copy users, clients, sessions, keys and all else from one database into another one, which is empty, and compare the two before anything is kept. " +
			"An address is the path of a SQLite file or a postgres:// URL. Stop every server on the source first: what it would still write is not copied. " +
			"The command reads no configuration and needs no master key.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			source, target, err := addresses(from, to)
			if err != nil {
				return err
			}
			return c.copyStorage(cmd.Context(), source, target)
		},
	}
	from.register(cmd, "copy from this `address`: the path of a SQLite file, or postgres://…")
	to.register(cmd, "copy to the database at this `address`, which must be empty; a SQLite file is made")
	return cmd
}

// addressFlag is an address on the command line, or in a file, so that its
// password does not stand in the list of processes.
type addressFlag struct {
	name        string
	value, file *string
}

func (f *addressFlag) register(cmd *cobra.Command, usage string) {
	f.value = cmd.Flags().String(f.name, "", usage)
	f.file = cmd.Flags().String(f.name+"-file", "", "read the address of --"+f.name+" from this `file`")
}

// addresses reads both flags.
func addresses(from, to addressFlag) (source, target string, err error) {
	if source, err = from.address(); err != nil {
		return "", "", err
	}
	target, err = to.address()
	return source, target, err
}

func (f *addressFlag) address() (string, error) {
	if (*f.value == "") == (*f.file == "") {
		return "", usageError{fmt.Errorf("storage copy: want --%[1]s ADDRESS or --%[1]s-file FILE", f.name)}
	}
	if *f.file == "" {
		return *f.value, nil
	}
	content, err := os.ReadFile(*f.file)
	if err != nil {
		return "", fmt.Errorf("--%s-file: %w", f.name, err)
	}
	return strings.TrimSpace(string(content)), nil
}

// copyReport says what was copied.
type copyReport struct {
	Tables []copiedTable `json:"tables"`
	Rows   int64         `json:"rows"`
	// Next is what else the new server needs.
	Next []string `json:"next"`
}

// copiedTable is a table whose rows are the same in both databases.
type copiedTable struct {
	Table  string `json:"table"`
	Rows   int64  `json:"rows"`
	Agrees bool   `json:"agrees"`
}

// afterCopy is what no database holds.
var afterCopy = []string{
	"Give the new server the same master_key: signing keys and refresh tokens depend on it. With SQLite it is the content of master.key in the data directory.",
	"Give it the same issuer: tokens, and the keys of refresh tokens, are bound to it.",
	"Leave the old server stopped. If it ran during the copy, what it has written since is missing: copy again, into an empty database.",
}

func (c *command) copyStorage(ctx context.Context, source, target string) (err error) {
	from, err := storage.Open(storage.Options{URL: source, MustExist: true})
	if err != nil {
		return fmt.Errorf("--from: %w", err)
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	to, err := storage.Open(storage.Options{URL: target})
	if err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	progress := &copyProgress{command: c, bar: newProgressBar(c.stderr, "rows", 0)}
	tables, err := storage.Copy(ctx, from, to, progress.show)
	progress.bar.finish()
	switch {
	case ctx.Err() != nil && err != nil:
		return fmt.Errorf("interrupted: %w", err)
	case err != nil:
		return err
	}
	report := copyReport{Next: afterCopy}
	for _, table := range tables {
		report.Tables = append(report.Tables, copiedTable{Table: table.Table, Rows: table.Rows, Agrees: true})
		report.Rows += table.Rows
	}
	return c.print(report, report.draw)
}

// copyProgress shows a bar on a terminal, and otherwise a line for each step.
type copyProgress struct {
	*command
	bar  *progressBar
	last string
}

func (p *copyProgress) show(at storage.CopyProgress) {
	doing := "copying " + at.Table
	if at.Verifying {
		doing = "comparing " + at.Table
	}
	p.bar.done, p.bar.total = at.Rows, at.Total
	p.bar.show(at.Rows, doing)
	if p.bar.hidden() && doing != p.last {
		_, _ = fmt.Fprintln(p.stderr, doing)
	}
	p.last = doing
}

func (report copyReport) draw(out *table) {
	out.row("TABLE", "ROWS", "AGREES")
	for _, one := range report.Tables {
		out.row(one.Table, strconv.FormatInt(one.Rows, 10), yes(one.Agrees))
	}
	out.text(fmt.Sprintf("\nAll %d rows are copied and agree in both databases. Next:", report.Rows))
	for _, next := range report.Next {
		out.text("- " + next)
	}
}
