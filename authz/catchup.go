package authz

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// catchUp lets any number of requests share one read of the database: there is
// one at a time, however long it takes, and a pause between two.
type catchUp struct {
	// turn is held while a read is under way.
	turn chan struct{}
	mu   sync.Mutex
	next *awaited
	// last is when the read before ended; only whoever has the turn touches it.
	last time.Time
}

// awaited is one read that is yet to begin.
type awaited struct {
	done chan struct{}
	err  error
}

func newCatchUp() catchUp { return catchUp{turn: make(chan struct{}, 1)} }

const (
	// catchUpPause is the least time between two reads.
	catchUpPause   = 50 * time.Millisecond
	catchUpTimeout = 5 * time.Second
)

// do calls load, or waits for a call that begins after do was called. The
// first who comes makes the call, when the one before is done and a pause over.
func (c *catchUp) do(ctx context.Context, load func(context.Context) error) error {
	c.mu.Lock()
	read, first := c.next, c.next == nil
	if first {
		read = &awaited{done: make(chan struct{})}
		c.next = read
	}
	c.mu.Unlock()
	if first {
		go c.read(context.WithoutCancel(ctx), read, load)
	}
	select {
	case <-read.done:
		return read.err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

// read makes the call for all who wait for it.
func (c *catchUp) read(ctx context.Context, read *awaited, load func(context.Context) error) {
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	time.Sleep(catchUpPause - time.Since(c.last))
	c.mu.Lock()
	c.next = nil // whoever comes from now on wants another
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, catchUpTimeout)
	defer cancel()
	read.err = load(ctx)
	c.last = time.Now() //nolint:forbidigo // only for the pause, no rule sees it
	close(read.done)
}
