package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"chancery/authz"

	"github.com/spf13/cobra"
)

// importBatch is how many users are stored in one transaction.
const importBatch = 500

// maxShownRefusals is how many refused lines the text form lists.
const maxShownRefusals = 20

func (c *command) usersImport() *cobra.Command {
	var format, report string
	var dryRun bool
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Take over users and their password hashes from another program", Args: cobra.ExactArgs(1),
		Long: "Import users from a CSV file, whose first line names the columns, or from JSON lines. Columns: " +
			strings.Join(userColumns, ", ") + ". Password hashes are those of PHP's password_hash (bcrypt, argon2i, argon2id), other bcrypt, scrypt and PBKDF2; " +
			"each is made anew at the user's first login. A user that exists stays as it is, so that an import can be repeated.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(a *app) error {
				r := &importRun{
					command: c, importer: &authz.Importer{Store: a.db, Now: a.clock.Now, Actor: a.actor, DryRun: dryRun},
					report: importReport{DryRun: dryRun, Refusals: []refusal{}},
				}
				return r.run(cmd.Context(), args[0], format, report)
			})
		},
	}
	cmd.Flags().StringVar(&format, "format", "", "csv or jsonl (default: by the file's name)")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would happen, and store nothing")
	cmd.Flags().StringVar(&report, "report", "", "write every refused line to this `file`, as JSON lines")
	return cmd
}

// importReport says what became of a file.
type importReport struct {
	DryRun  bool `json:"dry_run"`
	Created int  `json:"created"`
	Existed int  `json:"existed"`
	Refused int  `json:"refused"`
	// Refusals are the first refused lines.
	Refusals []refusal `json:"refusals"`
}

// refusal is a line that did not become a user.
type refusal struct {
	Line     int    `json:"line"`
	Username string `json:"username"`
	Reason   string `json:"reason"`
}

// importRun is one run of the command.
type importRun struct {
	*command
	importer *authz.Importer
	report   importReport
	refused  *json.Encoder
	progress *progressBar

	batch []record
}

// record is one record of the file; bad says why it cannot become a user.
type record struct {
	line int
	user authz.ImportedUser
	bad  string
}

func (r *importRun) run(ctx context.Context, path, format, report string) (err error) {
	file, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if report != "" {
		out, err := os.OpenFile(report, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600) //nolint:gosec // the operator names the file
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, out.Close()) }()
		r.refused = json.NewEncoder(out)
	}
	r.progress = newProgressBar(r.stderr, "users", info.Size())
	users, err := newUserFile(formatOf(path, format), r.progress.reader(file))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	err = r.importAll(ctx, users)
	r.progress.finish()
	if err != nil {
		return fmt.Errorf("%s: %w, after %d users; what is stored stays, and the import can be repeated", path, err, r.report.Created)
	}
	if err := r.print(r.report, r.report.draw); err != nil {
		return err
	}
	if r.report.Refused > 0 {
		return fmt.Errorf("%d lines were refused", r.report.Refused)
	}
	return nil
}

func formatOf(path, format string) string {
	switch extension := strings.ToLower(filepath.Ext(path)); {
	case format != "":
		return format
	case extension == ".jsonl", extension == ".ndjson", extension == ".json":
		return "jsonl"
	}
	return "csv"
}

func (r *importRun) importAll(ctx context.Context, users userFile) error {
	for {
		user, line, err := users.next()
		var bad *lineError
		switch {
		case errors.Is(err, io.EOF):
			return r.flush(ctx)
		case errors.As(err, &bad):
			r.batch = append(r.batch, record{line, user, bad.reason})
		case err != nil:
			return errors.Join(err, r.flush(ctx))
		default:
			r.batch = append(r.batch, record{line, user, ""})
		}
		if len(r.batch) == importBatch {
			if err := r.flush(ctx); err != nil {
				return err
			}
		}
	}
}

// flush imports what was read since the last time.
func (r *importRun) flush(ctx context.Context) error {
	var users []authz.ImportedUser
	for _, one := range r.batch {
		if one.bad == "" {
			users = append(users, one.user)
		}
	}
	results, err := r.importer.Import(ctx, users)
	if err != nil {
		return err
	}
	for _, one := range r.batch {
		result := authz.ImportResult{Outcome: authz.ImportRefused, Reason: one.bad}
		if one.bad == "" {
			result, results = results[0], results[1:]
		}
		switch result.Outcome {
		case authz.ImportCreated:
			r.report.Created++
		case authz.ImportExists:
			r.report.Existed++
		case authz.ImportRefused:
			if err := r.refuse(one.line, one.user.Username, result.Reason); err != nil {
				return err
			}
		}
	}
	r.batch = r.batch[:0]
	r.progress.show(int64(r.report.Created+r.report.Existed+r.report.Refused), "")
	return nil
}

// maxShownName bounds what a broken file can put on a terminal.
const maxShownName = 64

func (r *importRun) refuse(line int, username, reason string) error {
	one := refusal{Line: line, Username: strconv.Quote(username[:min(len(username), maxShownName)]), Reason: reason}
	one.Username = one.Username[1 : len(one.Username)-1]
	r.report.Refused++
	if len(r.report.Refusals) < maxShownRefusals {
		r.report.Refusals = append(r.report.Refusals, one)
	}
	if r.refused == nil {
		return nil
	}
	return r.refused.Encode(one)
}

func (report importReport) draw(out *table) {
	verb := ""
	if report.DryRun {
		verb = "would be "
	}
	out.text(fmt.Sprintf("%d users %screated, %d existed already, %d lines %srefused", report.Created, verb, report.Existed, report.Refused, verb))
	if report.Refused > 0 {
		out.row("LINE", "USERNAME", "REASON")
	}
	for _, one := range report.Refusals {
		out.row(strconv.Itoa(one.Line), dash(one.Username), one.Reason)
	}
	if more := report.Refused - len(report.Refusals); more > 0 {
		out.text(fmt.Sprintf("… and %d more; --report FILE writes them all", more))
	}
}
