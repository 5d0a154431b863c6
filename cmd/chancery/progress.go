package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progressBar shows on a terminal how much of long work is done.
type progressBar struct {
	out io.Writer
	// unit is what is counted.
	unit string
	// done of total, in bytes or whatever else the work is measured by.
	done, total int64
	begun       time.Time
	drawn       bool
}

// newProgressBar returns a bar that shows nothing unless out is a terminal.
func newProgressBar(out io.Writer, unit string, total int64) *progressBar {
	if file, ok := out.(*os.File); !ok || !isTerminal(file) {
		out = nil
	}
	return &progressBar{out: out, unit: unit, total: total, begun: time.Now()}
}

// hidden reports whether nobody sees the bar.
func (b *progressBar) hidden() bool { return b.out == nil }

// reader counts what is read of r as done.
func (b *progressBar) reader(r io.Reader) io.Reader {
	return io.TeeReader(r, writerFunc(func(p []byte) { b.done += int64(len(p)) }))
}

type writerFunc func(p []byte)

// Write implements io.Writer.
func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }

const barWidth = 30

// line returns the bar after so many units.
func (b *progressBar) line(count int64, elapsed time.Duration) string {
	done := 1.0
	if b.total > 0 {
		done = min(float64(b.done)/float64(b.total), 1)
	}
	full := int(done * barWidth)
	return fmt.Sprintf("[%s%s] %3.0f %%  %d %s, %.0f/s", strings.Repeat("#", full), strings.Repeat(".", barWidth-full),
		done*100, count, b.unit, float64(count)/max(elapsed.Seconds(), 0.001))
}

// show draws the bar after so many units, with what is being done, if that
// is to be said.
func (b *progressBar) show(count int64, doing string) {
	if b.hidden() {
		return
	}
	b.drawn = true
	if doing != "" {
		doing = "  " + doing
	}
	_, _ = fmt.Fprintf(b.out, "\r\x1b[K%s%s", b.line(count, time.Since(b.begun)), doing)
}

// finish leaves the bar behind, if there is one.
func (b *progressBar) finish() {
	if b.drawn {
		_, _ = fmt.Fprintln(b.out)
	}
}
