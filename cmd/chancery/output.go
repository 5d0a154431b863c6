package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// table is the text form of an answer.
type table struct{ *tabwriter.Writer }

// row prints cells in columns.
func (t *table) row(cells ...string) {
	_, _ = fmt.Fprintln(t, strings.Join(cells, "\t"))
}

// text prints lines as they are.
func (t *table) text(text string) { _, _ = fmt.Fprintln(t, text) }

// print writes value as JSON with -o json, and otherwise what draw draws.
func (c *command) print(value any, draw func(out *table)) error {
	switch c.output {
	case "json":
		encoder := json.NewEncoder(c.stdout)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(value)
	default:
		out := &table{tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)}
		draw(out)
		return out.Flush()
	}
}

// timestamp prints a time, or a dash for never.
func timestamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// dash prints a dash for nothing.
func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// list prints words, or a dash for none.
func list(words []string) string { return dash(strings.Join(words, " ")) }

// yes prints a flag.
func yes(flag bool) string {
	if flag {
		return "yes"
	}
	return "-"
}
