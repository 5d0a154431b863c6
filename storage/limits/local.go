package limits

import (
	"context"
	"time"

	"chancery/authz"

	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"
)

// Limits of what one process remembers. A stranger can make up as many names
// as he likes: the least used buckets go first.
const (
	maxBuckets = 200_000
	maxKnown   = 200_000
)

// Local counts in the memory of this process. It satisfies authz.Limiter and
// authz.FailureLimiter, is bounded, and safe for concurrent use.
type Local struct {
	now     func() time.Time
	buckets *otter.Cache[string, *bucket]
	known   *otter.Cache[string, time.Time]
}

// bucket is a rate limiter and how long it takes to fill up.
type bucket struct {
	*rate.Limiter
	period time.Duration
}

// NewLocal returns an empty Local.
func NewLocal(now func() time.Time) *Local { return newLocal(now, maxBuckets, maxKnown) }

func newLocal(now func() time.Time, maxBuckets, maxKnown int) *Local {
	return &Local{
		now: now,
		// A bucket that was left alone for its period is full: it may go.
		buckets: otter.Must(&otter.Options[string, *bucket]{
			MaximumSize: maxBuckets,
			ExpiryCalculator: otter.ExpiryAccessingFunc(func(entry otter.Entry[string, *bucket]) time.Duration {
				return entry.Value.period
			}),
		}),
		known: otter.Must(&otter.Options[string, time.Time]{MaximumSize: maxKnown}),
	}
}

// Close ends the work behind the buckets. Nothing may be taken after it.
func (l *Local) Close() {
	l.buckets.StopAllGoroutines()
	l.known.StopAllGoroutines()
}

// Take implements authz.Limiter.
func (l *Local) Take(_ context.Context, buckets []authz.Bucket) time.Duration {
	now := l.now()
	for _, b := range buckets {
		// A reservation that is cancelled would not be given back whole when
		// others came in between: the bucket would run into debt.
		if bucket := l.bucket(b); !bucket.AllowN(now, 1) {
			return max(bucket.wait(now), time.Millisecond)
		}
	}
	return 0
}

// wait returns how long until the bucket has an attempt.
func (b *bucket) wait(now time.Time) time.Duration {
	missing := 1 - b.TokensAt(now)
	return time.Duration(max(missing, 0) / float64(b.Limit()) * float64(time.Second))
}

// Return implements authz.Limiter.
func (l *Local) Return(_ context.Context, buckets []authz.Bucket) {
	now := l.now()
	for _, b := range buckets {
		if found, ok := l.buckets.GetIfPresent(b.Key); ok {
			found.AllowN(now, -1) // a bucket never holds more than its burst
		}
	}
}

func (l *Local) bucket(b authz.Bucket) *bucket {
	found, _ := l.buckets.ComputeIfAbsent(b.Key, func() (*bucket, bool) {
		burst := max(b.Burst, 1)
		return &bucket{Limiter: rate.NewLimiter(rate.Limit(float64(burst)/b.Period.Seconds()), burst), period: b.Period}, false
	})
	return found
}

// Wait implements authz.FailureLimiter.
func (l *Local) Wait(buckets []authz.Bucket) time.Duration {
	now := l.now()
	for _, b := range buckets {
		if found, ok := l.buckets.GetIfPresent(b.Key); ok {
			if wait := found.wait(now); wait > 0 {
				return wait
			}
		}
	}
	return 0
}

// Reset implements authz.Limiter.
func (l *Local) Reset(_ context.Context, buckets []authz.Bucket) {
	for _, b := range buckets {
		l.buckets.Invalidate(b.Key)
	}
}

// Remember implements authz.Limiter.
func (l *Local) Remember(_ context.Context, key string, duration time.Duration) {
	l.known.Set(key, l.now().Add(duration))
}

// Remembers implements authz.Limiter.
func (l *Local) Remembers(_ context.Context, key string) bool {
	until, ok := l.known.GetIfPresent(key)
	return ok && l.now().Before(until)
}
