package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
)

// report is what a run has measured. Times are milliseconds.
type report struct {
	Work       string          `json:"work"`
	Workers    int             `json:"workers"`
	Seconds    float64         `json:"seconds"`
	Operations int             `json:"operations"`
	PerSecond  float64         `json:"per_second"`
	P50        float64         `json:"p50_ms"`
	P90        float64         `json:"p90_ms"`
	P99        float64         `json:"p99_ms"`
	Max        float64         `json:"max_ms"`
	Failures   map[string]int  `json:"failures,omitempty"`
	Processes  []processReport `json:"processes,omitempty"`
}

// processReport is what a watched process used, its descendants included.
type processReport struct {
	PID             int     `json:"pid"`
	Name            string  `json:"name"`
	CPUSeconds      float64 `json:"cpu_seconds"`
	CPUPerOperation float64 `json:"cpu_ms_per_operation"`
	PeakMiB         float64 `json:"peak_mib"`
}

// print writes the report as text or JSON.
func (r report) print(w io.Writer, output string) error {
	if output == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, format string, values ...any) {
		_, _ = fmt.Fprintf(table, name+"\t"+format+"\n", values...)
	}
	line(r.Work, "%d operations in %.1f s by %d workers", r.Operations, r.Seconds, r.Workers)
	line("rate", "%.0f a second", r.PerSecond)
	line("latency", "p50 %.2f ms, p90 %.2f ms, p99 %.2f ms, max %.2f ms", r.P50, r.P90, r.P99, r.Max)
	for _, p := range r.Processes {
		line(fmt.Sprintf("%s (%d)", p.Name, p.PID), "%.3f ms of processor time an operation, at most %.0f MiB", p.CPUPerOperation, p.PeakMiB)
	}
	for _, text := range slices.Sorted(maps.Keys(r.Failures)) {
		line("failed", "%d times: %s", r.Failures[text], text)
	}
	return table.Flush()
}
