package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// process is what a process has used, its descendants included.
type process struct {
	pid  int
	name string
	cpu  time.Duration
	// peak is the most memory in bytes that it held itself at any sample.
	peak int64
}

// watch watches processes until it is stopped.
type watch struct {
	before map[int]time.Duration
	names  map[int]string
	pids   []int
	peaks  map[int]int64
	done   chan struct{}
	group  sync.WaitGroup
}

const (
	// sampleInterval is how often memory is looked at.
	sampleInterval = 50 * time.Millisecond
	// clockTick is the unit of processor times in /proc on every Linux that Go
	// runs on.
	clockTick = 10 * time.Millisecond
)

// watchProcesses begins to watch. It needs Linux's /proc.
func watchProcesses(pids []int) (*watch, error) {
	w := &watch{before: map[int]time.Duration{}, names: map[int]string{}, pids: pids, peaks: map[int]int64{}, done: make(chan struct{})}
	for _, pid := range pids {
		stat, err := readStat(pid)
		if err != nil {
			return nil, err
		}
		w.names[pid] = stat.name
		if w.before[pid], err = treeTime(pid); err != nil {
			return nil, err
		}
	}
	if len(pids) == 0 {
		return w, nil
	}
	w.group.Go(func() {
		ticker := time.NewTicker(sampleInterval)
		defer ticker.Stop()
		for {
			for _, pid := range pids {
				w.peaks[pid] = max(w.peaks[pid], residentBytes(pid))
			}
			select {
			case <-w.done:
				return
			case <-ticker.C:
			}
		}
	})
	return w, nil
}

// stop returns what was used meanwhile.
func (w *watch) stop() ([]process, error) {
	close(w.done)
	w.group.Wait()
	var processes []process
	for _, pid := range w.pids {
		after, err := treeTime(pid)
		if err != nil {
			return nil, err
		}
		processes = append(processes, process{pid: pid, name: w.names[pid], cpu: after - w.before[pid], peak: w.peaks[pid]})
	}
	return processes, nil
}

// stat is what /proc/PID/stat says of a process.
type stat struct {
	name   string
	parent int
	// own is its processor time, ended that of children that have ended.
	own, ended time.Duration
}

var errStat = errors.New("cannot be read")

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return stat{}, fmt.Errorf("process %d: %w", pid, err)
	}
	s, err := parseStat(string(text))
	if err != nil {
		return stat{}, fmt.Errorf("process %d: %w", pid, err)
	}
	return s, nil
}

// parseStat reads the line of /proc/PID/stat (proc_pid_stat(5)). The name may hold
// spaces and parentheses.
func parseStat(text string) (stat, error) {
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return stat{}, errStat
	}
	fields := strings.Fields(text[end+1:])
	const parent, userTime, childrenSystemTime = 1, 11, 14
	if len(fields) <= childrenSystemTime {
		return stat{}, errStat
	}
	s := stat{name: text[open+1 : end]}
	var err error
	if s.parent, err = strconv.Atoi(fields[parent]); err != nil {
		return stat{}, errStat
	}
	for i, into := range []*time.Duration{&s.own, &s.own, &s.ended, &s.ended} {
		ticks, err := strconv.ParseInt(fields[userTime+i], 10, 64)
		if err != nil {
			return stat{}, errStat
		}
		*into += time.Duration(ticks) * clockTick
	}
	return s, nil
}

// treeTime returns the processor time of a process and all its descendants, those
// that have ended included.
func treeTime(root int) (time.Duration, error) {
	all := map[int]stat{}
	names, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		pid, err := strconv.Atoi(filepath.Base(name))
		if err != nil {
			continue
		}
		s, err := readStat(pid)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errStat) {
			continue // it has ended
		}
		if err == nil {
			all[pid] = s
		}
	}
	if _, ok := all[root]; !ok {
		return 0, fmt.Errorf("process %d: %w", root, fs.ErrNotExist)
	}
	var total time.Duration
	for pid, s := range all {
		if within(all, pid, root) {
			total += s.own + s.ended
		}
	}
	return total, nil
}

// within reports whether a process is root or descends from it.
func within(all map[int]stat, pid, root int) bool {
	for range len(all) {
		if pid == root {
			return true
		}
		s, ok := all[pid]
		if !ok {
			return false
		}
		pid = s.parent
	}
	return false
}

// residentBytes returns the memory that a process holds now, 0 if it has ended.
func residentBytes(pid int) int64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "statm"))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
