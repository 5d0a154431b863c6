package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// errExhausted is returned by an operation that has nothing left to do.
var errExhausted = errors.New("nothing is left to do")

// worker is what one worker has measured.
type worker struct {
	took     []time.Duration
	failures map[string]int
}

// load prepares the work, warms the server up, and measures.
func load(ctx context.Context, name string, o options) (report, error) {
	s, err := discover(ctx, o.issuer, o.workers)
	if err != nil {
		return report{}, err
	}
	defer s.client.CloseIdleConnections()
	operations, err := works[name].prepare(ctx, s, o)
	if err != nil {
		return report{}, err
	}
	if name != "revoke" {
		run(ctx, operations, o.warmup, 0)
	}
	watch, err := watchProcesses(o.pids)
	if err != nil {
		return report{}, err
	}
	begun := time.Now()
	workers := run(ctx, operations, o.duration, o.operations)
	elapsed := time.Since(begun)
	processes, err := watch.stop()
	if err != nil {
		return report{}, err
	}
	if err := ctx.Err(); err != nil {
		return report{}, err
	}
	return summarize(name, workers, elapsed, processes), nil
}

// run lets each worker work until the time is over, or so many operations are done
// if limit is not 0.
func run(ctx context.Context, operations []operation, duration time.Duration, limit int) []worker {
	workers := make([]worker, len(operations))
	var done atomic.Int64
	var group sync.WaitGroup
	end := time.Now().Add(duration)
	for i, do := range operations {
		group.Go(func() {
			w := worker{failures: map[string]int{}}
			for ctx.Err() == nil {
				begun := time.Now()
				if begun.After(end) || (limit > 0 && done.Add(1) > int64(limit)) {
					break
				}
				err := do(ctx)
				if errors.Is(err, errExhausted) {
					break
				}
				if err != nil {
					w.failures[err.Error()]++
					continue
				}
				w.took = append(w.took, time.Since(begun))
			}
			workers[i] = w
		})
	}
	group.Wait()
	return workers
}

// summarize makes a report of what the workers measured.
func summarize(name string, workers []worker, elapsed time.Duration, processes []process) report {
	var took []time.Duration
	r := report{Work: name, Workers: len(workers), Seconds: elapsed.Seconds()}
	for _, w := range workers {
		took = append(took, w.took...)
		for text, n := range w.failures {
			if r.Failures == nil {
				r.Failures = map[string]int{}
			}
			r.Failures[text] += n
		}
	}
	slices.Sort(took)
	r.Operations = len(took)
	r.PerSecond = float64(len(took)) / elapsed.Seconds()
	if len(took) > 0 {
		r.P50, r.P90, r.P99, r.Max = rank(took, 50), rank(took, 90), rank(took, 99), rank(took, 100)
	}
	for _, p := range processes {
		r.Processes = append(r.Processes, processReport{
			PID: p.pid, Name: p.name, CPUSeconds: p.cpu.Seconds(), CPUPerOperation: milliseconds(p.cpu) / float64(max(len(took), 1)), PeakMiB: float64(p.peak) / (1 << 20),
		})
	}
	return r
}

// rank returns the smallest time that so many of a hundred do not exceed, in
// milliseconds.
func rank(sorted []time.Duration, percent int) float64 {
	return milliseconds(sorted[max((len(sorted)*percent+99)/100, 1)-1])
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
