package limits

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"chancery/authz"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
)

const (
	// patience is how long one call waits for Redis in all.
	patience = 100 * time.Millisecond
	// pause is how long Redis is left alone after it failed, so that an
	// outage costs one request in a while its patience.
	pause = 2 * time.Second
)

// Redis counts in Redis, so that many nodes count together. While Redis does
// not answer, each node counts for itself. It satisfies authz.Limiter and is
// safe for concurrent use.
type Redis struct {
	client   *redis.Client
	rates    *redis_rate.Limiter
	local    *Local
	log      *slog.Logger
	now      func() time.Time
	patience time.Duration
	// prefix keeps the servers of several issuers apart.
	prefix string
	// retryAt is when Redis may be asked again, in nanoseconds of the epoch;
	// zero while it answers.
	retryAt atomic.Int64
}

// NewRedis returns a limiter on the Redis at address, a redis:// or rediss://
// URL, for the servers of one issuer. It does not wait for a connection. The error never quotes the address,
// which may hold a password.
func NewRedis(address, issuer string, local *Local, log *slog.Logger, now func() time.Time) (*Redis, error) {
	return newRedis(address, issuer, local, log, now, patience)
}

func newRedis(address, issuer string, local *Local, log *slog.Logger, now func() time.Time, patience time.Duration) (*Redis, error) {
	options, err := redis.ParseURL(address)
	if err != nil {
		return nil, errors.New("redis_url: want redis://[user:password@]host:port/number")
	}
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout = patience, patience, patience
	options.ContextTimeoutEnabled, options.MaxRetries, options.DialerRetries = true, -1, 1
	redis.SetLogger(silence{}) // ask reports what matters, in the server's own log
	client := redis.NewClient(options)
	return &Redis{client: client, rates: redis_rate.NewLimiter(client), local: local, log: log, now: now, prefix: prefixOf(issuer), patience: patience}, nil
}

func prefixOf(issuer string) string {
	sum := sha256.Sum256([]byte(issuer))
	return "chancery:" + hex.EncodeToString(sum[:4]) + ":"
}

// silence takes the place of the library's logger, which is one for the whole
// program and writes to standard error.
type silence struct{}

// Printf implements the library's logging interface.
func (silence) Printf(context.Context, string, ...any) {}

// Close closes the connections.
func (r *Redis) Close() error { return r.client.Close() }

// ask runs do with Redis, within bounds, and reports whether it answered.
func (r *Redis) ask(ctx context.Context, do func(ctx context.Context) error) bool {
	if retryAt := r.retryAt.Load(); retryAt != 0 {
		// One caller finds out whether Redis is back; the others do not wait.
		now := r.now()
		if now.UnixNano() < retryAt || !r.retryAt.CompareAndSwap(retryAt, now.Add(pause).UnixNano()) {
			return false
		}
	}
	// A caller that goes away says nothing about Redis.
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.patience)
	defer cancel()
	err := do(bounded)
	if err == nil {
		if r.retryAt.Swap(0) != 0 {
			r.log.Info("Redis answers again")
		}
		return true
	}
	if r.retryAt.Swap(r.now().Add(pause).UnixNano()) == 0 {
		r.log.Warn("Redis does not answer: attempts are counted by each node for itself", "error", err)
	}
	return false
}

// Take implements authz.Limiter.
func (r *Redis) Take(ctx context.Context, buckets []authz.Bucket) time.Duration {
	var wait time.Duration
	answered := r.ask(ctx, func(ctx context.Context) error {
		for _, b := range buckets {
			result, err := r.rates.Allow(ctx, r.prefix+b.Key, rateOf(b))
			if err != nil {
				return err
			}
			if result.Allowed == 0 {
				wait = max(result.RetryAfter, time.Millisecond)
				return nil
			}
		}
		return nil
	})
	if !answered {
		return r.local.Take(ctx, buckets)
	}
	return wait
}

// Return implements authz.Limiter.
func (r *Redis) Return(ctx context.Context, buckets []authz.Bucket) {
	answered := r.ask(ctx, func(ctx context.Context) error {
		for _, b := range buckets {
			if _, err := r.rates.AllowN(ctx, r.prefix+b.Key, rateOf(b), -1); err != nil {
				return err
			}
		}
		return nil
	})
	if !answered {
		r.local.Return(ctx, buckets)
	}
}

func rateOf(b authz.Bucket) redis_rate.Limit {
	return redis_rate.Limit{Rate: max(b.Burst, 1), Burst: max(b.Burst, 1), Period: b.Period}
}

// Reset implements authz.Limiter.
func (r *Redis) Reset(ctx context.Context, buckets []authz.Bucket) {
	r.local.Reset(ctx, buckets)
	r.ask(ctx, func(ctx context.Context) error {
		for _, b := range buckets {
			if err := r.rates.Reset(ctx, r.prefix+b.Key); err != nil {
				return err
			}
		}
		return nil
	})
}

// Remember implements authz.Limiter. The key is kept here too, for when Redis
// is gone.
func (r *Redis) Remember(ctx context.Context, key string, duration time.Duration) {
	r.local.Remember(ctx, key, duration)
	r.ask(ctx, func(ctx context.Context) error { return r.client.Set(ctx, r.prefix+key, 1, duration).Err() })
}

// Remembers implements authz.Limiter.
func (r *Redis) Remembers(ctx context.Context, key string) bool {
	var found int64
	answered := r.ask(ctx, func(ctx context.Context) (err error) {
		found, err = r.client.Exists(ctx, r.prefix+key).Result()
		return err
	})
	if !answered {
		return r.local.Remembers(ctx, key)
	}
	return found > 0
}
