package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// timeSource is a database that has a clock.
type timeSource interface {
	// Time returns the database's time; ok is false when it has none.
	Time(ctx context.Context) (now time.Time, ok bool, err error)
}

// clock is the one clock of the program: the database's time at the last sync,
// moved on by this machine's monotonic clock. A node whose wall clock is wrong
// or steps therefore agrees with the others. A database without a clock is
// replaced by the wall clock at the start.
type clock struct {
	source timeSource
	synced atomic.Pointer[syncPoint]
}

// syncPoint ties a time to a reading of the monotonic clock.
type syncPoint struct {
	time time.Time
	read time.Time
	// free is set when there is no clock to sync with.
	free bool
}

// maxUnsynced is how long a node may go without a sync before it is not ready.
const maxUnsynced = 10 * time.Minute

const (
	syncTimeout = 5 * time.Second
	// maxTrip is the longest question that says anything: half of it is how
	// wrong the answer may be.
	maxTrip = time.Second
)

var errSlowSync = errors.New("the database answered too late to tell the time")

var errUnsynced = errors.New("the clock was not compared with the database for 10 minutes")

// newClock returns a clock that is synced once.
func newClock(ctx context.Context, source timeSource) (*clock, error) {
	c := &clock{source: source}
	return c, c.Sync(ctx)
}

// Now returns the time. It never waits.
func (c *clock) Now() time.Time {
	p := c.synced.Load()
	return p.time.Add(time.Since(p.read)).UTC()
}

// Sync compares with the database, allowing for the way there and back. An
// answer that took too long is not used, unless it is the first.
func (c *clock) Sync(ctx context.Context) error {
	if p := c.synced.Load(); p != nil && p.free {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	asked := time.Now()
	now, ok, err := c.source.Time(ctx)
	if err != nil {
		return fmt.Errorf("sync clock: %w", err)
	}
	read := time.Now()
	if trip := read.Sub(asked); trip > maxTrip && c.synced.Load() != nil {
		return fmt.Errorf("sync clock: %w after %s", errSlowSync, trip)
	}
	if !ok {
		c.synced.Store(&syncPoint{time: read, read: read, free: true})
		return nil
	}
	c.synced.Store(&syncPoint{time: now.Add(read.Sub(asked) / 2), read: read})
	return nil
}

// Check returns an error when the last sync is too long ago.
func (c *clock) Check(context.Context) error {
	if p := c.synced.Load(); !p.free && time.Since(p.read) > maxUnsynced {
		return errUnsynced
	}
	return nil
}
