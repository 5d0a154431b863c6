package authztest

import (
	"context"
	"sync"
	"time"

	"chancery/authz"
)

// Limiter counts attempts in memory, exactly and without bounds, for tests. It
// satisfies authz.Limiter and authz.FailureLimiter.
type Limiter struct {
	mu  sync.Mutex
	now func() time.Time
	// full is when a bucket will be full again.
	full  map[string]time.Time
	known map[string]time.Time
}

// NewLimiter returns a limiter whose buckets are all full.
func NewLimiter(now func() time.Time) *Limiter {
	return &Limiter{now: now, full: map[string]time.Time{}, known: map[string]time.Time{}}
}

// Take implements authz.Limiter.
func (l *Limiter) Take(_ context.Context, buckets []authz.Bucket) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range buckets {
		if wait := l.wait(b); wait > 0 {
			return wait
		}
		l.full[b.Key] = l.fullAt(b).Add(interval(b))
	}
	return 0
}

// Return implements authz.Limiter.
func (l *Limiter) Return(_ context.Context, buckets []authz.Bucket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range buckets {
		l.full[b.Key] = l.fullAt(b).Add(-interval(b))
	}
}

// Wait implements authz.FailureLimiter.
func (l *Limiter) Wait(buckets []authz.Bucket) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range buckets {
		if wait := l.wait(b); wait > 0 {
			return wait
		}
	}
	return 0
}

func interval(b authz.Bucket) time.Duration { return b.Period / time.Duration(b.Burst) }

func (l *Limiter) fullAt(b authz.Bucket) time.Time {
	if now := l.now(); l.full[b.Key].Before(now) {
		return now
	}
	return l.full[b.Key]
}

// wait returns how long until the bucket has an attempt.
func (l *Limiter) wait(b authz.Bucket) time.Duration {
	return l.fullAt(b).Add(interval(b)).Sub(l.now().Add(interval(b) * time.Duration(b.Burst)))
}

// Reset implements authz.Limiter.
func (l *Limiter) Reset(_ context.Context, buckets []authz.Bucket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range buckets {
		delete(l.full, b.Key)
	}
}

// Remember implements authz.Limiter.
func (l *Limiter) Remember(_ context.Context, key string, duration time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known[key] = l.now().Add(duration)
}

// Remembers implements authz.Limiter.
func (l *Limiter) Remembers(_ context.Context, key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now().Before(l.known[key])
}
