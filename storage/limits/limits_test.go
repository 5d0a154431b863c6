package limits_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chancery/authz"
	"chancery/storage/limits"

	"github.com/alicebob/miniredis/v2"
)

// clock is a time that tests move by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }
func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func bucket(key string, burst int, period time.Duration) authz.Bucket {
	return authz.Bucket{Key: key, Burst: burst, Period: period}
}

// fixture is a limiter and how its time passes.
type fixture struct {
	limiter authz.Limiter
	pass    func(d time.Duration)
}

// kinds are the limiters, each of which keeps the same promises.
func kinds() map[string]func(t *testing.T) fixture {
	return map[string]func(t *testing.T) fixture{
		"local": func(t *testing.T) fixture {
			c := newClock()
			return fixture{newLocal(t, c), c.Add}
		},
		"miniredis": func(t *testing.T) fixture {
			c, server := newClock(), miniredis.RunT(t)
			server.SetTime(c.Now())
			return fixture{newRedis(t, "redis://"+server.Addr(), c, &bytes.Buffer{}), func(d time.Duration) {
				c.Add(d)
				server.SetTime(c.Now())
				server.FastForward(d)
			}}
		},
	}
}

func newLocal(t *testing.T, c *clock) *limits.Local {
	l := limits.NewLocal(c.Now)
	t.Cleanup(l.Close)
	return l
}

func newRedis(t *testing.T, address string, c *clock, log *bytes.Buffer) *limits.Redis {
	t.Helper()
	return connect(t, limits.NewPatientRedis, address, c, log)
}

// connect makes a limiter with the given constructor.
func connect(t *testing.T, open func(string, string, *limits.Local, *slog.Logger, func() time.Time) (*limits.Redis, error), address string, c *clock, log *bytes.Buffer) *limits.Redis {
	t.Helper()
	r, err := open(address, "https://as.example", newLocal(t, c), slog.New(slog.NewTextHandler(log, nil)), c.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// about reports whether two durations differ by rounding alone.
func about(a, b time.Duration) bool { return (a - b).Abs() < 50*time.Millisecond }

func TestLimiters(t *testing.T) {
	for name, open := range kinds() {
		t.Run(name, func(t *testing.T) {
			t.Run("burst, wait, refill", func(t *testing.T) {
				f := open(t)
				b := []authz.Bucket{bucket("a", 4, time.Minute)}
				for i := range 4 {
					if wait := f.limiter.Take(t.Context(), b); wait != 0 {
						t.Errorf("attempt %d waits %s, want 0", i+1, wait)
					}
				}
				if wait := f.limiter.Take(t.Context(), b); !about(wait, 15*time.Second) {
					t.Errorf("the fifth attempt waits %s, want 15s", wait)
				}
				f.pass(5 * time.Second)
				// Asking again does not make the wait longer.
				if wait := f.limiter.Take(t.Context(), b); !about(wait, 10*time.Second) {
					t.Errorf("5 s later it waits %s, want 10s", wait)
				}
				f.pass(10100 * time.Millisecond)
				if wait := f.limiter.Take(t.Context(), b); wait != 0 {
					t.Errorf("after the wait it waits %s more", wait)
				}
				if wait := f.limiter.Take(t.Context(), b); wait == 0 {
					t.Error("two attempts came back for the wait of one")
				}
				f.pass(time.Hour)
				for i := range 4 {
					if wait := f.limiter.Take(t.Context(), b); wait != 0 {
						t.Errorf("an hour later attempt %d waits %s", i+1, wait)
					}
				}
				if wait := f.limiter.Take(t.Context(), b); wait == 0 {
					t.Error("an idle bucket holds more than its burst")
				}
			})
			t.Run("stops at the first empty bucket", func(t *testing.T) {
				f := open(t)
				small, large := bucket("small", 1, time.Minute), bucket("large", 3, time.Hour)
				both := []authz.Bucket{small, large}
				for range 10 { // the first takes one of each, the others none of large
					f.limiter.Take(t.Context(), both)
				}
				for i := range 2 {
					if wait := f.limiter.Take(t.Context(), []authz.Bucket{large}); wait != 0 {
						t.Errorf("attempt %d on the second bucket waits %s: refused attempts were taken from it", i+2, wait)
					}
				}
				if wait := f.limiter.Take(t.Context(), []authz.Bucket{large}); !about(wait, 20*time.Minute) {
					t.Errorf("the fourth attempt on the second bucket waits %s, want 20m", wait)
				}
			})
			t.Run("reset", func(t *testing.T) {
				f := open(t)
				b := []authz.Bucket{bucket("a", 1, time.Hour), bucket("b", 1, time.Hour)}
				f.limiter.Take(t.Context(), b)
				f.limiter.Reset(t.Context(), b)
				if wait := f.limiter.Take(t.Context(), b); wait != 0 {
					t.Errorf("after a reset an attempt waits %s", wait)
				}
			})
			t.Run("remember", func(t *testing.T) {
				f := open(t)
				if f.limiter.Remembers(t.Context(), "k") {
					t.Error("a key that was never remembered is known")
				}
				f.limiter.Remember(t.Context(), "k", time.Hour)
				if !f.limiter.Remembers(t.Context(), "k") || f.limiter.Remembers(t.Context(), "K") {
					t.Error("a remembered key is unknown, or another one known")
				}
				f.pass(time.Hour + time.Second)
				if f.limiter.Remembers(t.Context(), "k") {
					t.Error("a key is remembered for too long")
				}
			})
			t.Run("return", func(t *testing.T) {
				f := open(t)
				b := []authz.Bucket{bucket("a", 5, time.Hour)}
				for range 50 { // each gives back what it took
					f.limiter.Take(t.Context(), b)
					f.limiter.Return(t.Context(), b)
				}
				passed := 0
				for f.limiter.Take(t.Context(), b) == 0 {
					passed++
				}
				if passed < 4 || passed > 5 { // Redis keeps up to one
					t.Errorf("after 50 attempts that were given back %d pass, want 5", passed)
				}
				f.limiter.Return(t.Context(), []authz.Bucket{bucket("never taken", 5, time.Hour)})
			})
			t.Run("refused attempts cost nothing", func(t *testing.T) {
				f := open(t)
				b := []authz.Bucket{bucket("a", 30, time.Minute)}
				for f.limiter.Take(t.Context(), b) == 0 {
				}
				var group sync.WaitGroup
				for range 16 {
					group.Go(func() {
						for range 200 {
							f.limiter.Take(context.WithoutCancel(t.Context()), b)
						}
					})
				}
				group.Wait()
				if wait := f.limiter.Take(t.Context(), b); wait > 3*time.Second {
					t.Errorf("after 3200 refused attempts at once the wait is %s, want the 2s of one attempt", wait)
				}
			})
			t.Run("concurrent attempts", func(t *testing.T) {
				f := open(t)
				var passed atomic.Int64
				var group sync.WaitGroup
				for range 100 {
					group.Go(func() {
						if f.limiter.Take(context.WithoutCancel(t.Context()), []authz.Bucket{bucket("a", 8, 24*time.Hour)}) == 0 {
							passed.Add(1)
						}
					})
				}
				group.Wait()
				if passed.Load() != 8 {
					t.Errorf("of 100 attempts at once %d passed, want 8", passed.Load())
				}
			})
		})
	}
}

// TestWaitTakesNothing: asking how long to wait leaves the bucket as it is.
func TestWaitTakesNothing(t *testing.T) {
	c := newClock()
	l := newLocal(t, c)
	b := []authz.Bucket{bucket("a", 2, time.Minute)}
	for range 10 {
		if wait := l.Wait(b); wait != 0 {
			t.Fatalf("Wait on a full bucket = %s, want 0", wait)
		}
	}
	l.Take(t.Context(), b)
	l.Take(t.Context(), b)
	if wait := l.Wait(b); !about(wait, 30*time.Second) {
		t.Errorf("Wait on an empty bucket = %s, want 30s", wait)
	}
	c.Add(30 * time.Second)
	if wait := l.Wait(b); wait != 0 {
		t.Errorf("Wait once it is filled up = %s, want 0", wait)
	}
}

// TestLocalIsBounded: a stranger makes up a million names (attack 55).
func TestLocalIsBounded(t *testing.T) {
	l := limits.NewLocalOf(newClock().Now, 1000, 100)
	for i := range 50_000 {
		key := fmt.Sprint("made up ", i)
		l.Take(t.Context(), []authz.Bucket{bucket(key, 5, time.Minute)})
		l.Remember(t.Context(), key, time.Hour)
	}
	if buckets, known := l.Size(); buckets > 1100 || known > 200 {
		t.Errorf("%d buckets and %d known keys are kept, want about 1000 and 100", buckets, known)
	}
}

// TestNodesCountTogether: two nodes with one Redis share their buckets.
func TestNodesCountTogether(t *testing.T) {
	server, c := miniredis.RunT(t), newClock()
	server.SetTime(c.Now())
	one, two := newRedis(t, "redis://"+server.Addr(), c, &bytes.Buffer{}), newRedis(t, "redis://"+server.Addr(), c, &bytes.Buffer{})
	b := []authz.Bucket{bucket("a", 2, time.Minute)}
	one.Take(t.Context(), b)
	two.Take(t.Context(), b)
	if wait := one.Take(t.Context(), b); wait == 0 {
		t.Error("the third attempt over two nodes passed a bucket of two")
	}
	one.Remember(t.Context(), "k", time.Hour)
	if !two.Remembers(t.Context(), "k") {
		t.Error("what one node remembers the other does not")
	}
	for _, key := range server.Keys() {
		if !strings.HasPrefix(key, "rate:chancery:") && !strings.HasPrefix(key, "chancery:") {
			t.Errorf("key %q in Redis does not say whose it is", key)
		}
		if server.TTL(key) <= 0 {
			t.Errorf("key %q stays in Redis for ever", key)
		}
	}
}

// TestRedisGoesAway: attempts are counted by the node alone, an outage is told
// once, and Redis is used again when it is back.
func TestRedisGoesAway(t *testing.T) {
	server, c, log := miniredis.RunT(t), newClock(), &bytes.Buffer{}
	server.SetTime(c.Now())
	r := newRedis(t, "redis://"+server.Addr(), c, log)
	b := []authz.Bucket{bucket("a", 2, time.Minute)}
	r.Take(t.Context(), b)
	r.Take(t.Context(), b)
	r.Remember(t.Context(), "k", time.Hour)
	server.Close()
	var waits []time.Duration
	for range 3 {
		waits = append(waits, r.Take(t.Context(), b))
	}
	if waits[0] != 0 || waits[1] != 0 || waits[2] == 0 {
		t.Errorf("waits without Redis = %v, want the node's own bucket of two", waits)
	}
	if !r.Remembers(t.Context(), "k") {
		t.Error("a key is forgotten with Redis")
	}
	if n := strings.Count(log.String(), "Redis does not answer"); n != 1 {
		t.Errorf("the outage was told %d times, want once:\n%s", n, log)
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	if wait := r.Take(t.Context(), b); wait == 0 {
		t.Error("Redis is asked again at once, want a pause")
	}
	c.Add(3 * time.Second)
	server.SetTime(c.Now())
	if wait := r.Take(t.Context(), b); wait == 0 {
		t.Error("after the pause the bucket in Redis, which is empty, let an attempt through")
	}
	if !strings.Contains(log.String(), "Redis answers again") {
		t.Errorf("the log does not say that Redis is back:\n%s", log)
	}
}

// TestRedisThatHangs: a server that accepts and never answers costs one
// request a bounded wait, and the next ones nothing.
func TestRedisThatHangs(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	c, log := newClock(), &bytes.Buffer{}
	r := connect(t, limits.NewRedis, "redis://"+listener.Addr().String(), c, log)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for range 1000 {
		r.Take(ctx, []authz.Bucket{bucket("a", 5000, time.Minute)})
	}
	if ctx.Err() != nil {
		t.Error("1000 attempts beside a hanging Redis took 5 s, want one bounded wait")
	}
	if strings.Count(log.String(), "Redis does not answer") != 1 {
		t.Errorf("log = %s", log)
	}
}

func TestRedisAddressIsNotQuoted(t *testing.T) {
	c := newClock()
	_, err := limits.NewRedis("http://user:hunter2@redis.example", "https://as.example", newLocal(t, c), slog.Default(), c.Now)
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("NewRedis of a wrong address = %v, want an error without the password", err)
	}
}

// TestRealRedis runs a server where one is installed.
func TestRealRedis(t *testing.T) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed")
	}
	socket := t.TempDir() + "/redis.sock"
	server := exec.CommandContext(t.Context(), path, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", t.TempDir())
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	deadline := time.Now().Add(20 * time.Second)
	for {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			_ = conn.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("redis-server does not listen")
		}
	}
	r, err := limits.NewPatientRedis("unix://"+socket, "https://as.example", limits.NewLocal(time.Now), slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	b := []authz.Bucket{bucket("a", 3, time.Hour), bucket("b", 10, time.Hour)}
	for i := range 3 {
		if wait := r.Take(t.Context(), b); wait != 0 {
			t.Errorf("attempt %d waits %s", i+1, wait)
		}
	}
	if wait := r.Take(t.Context(), b); wait < 19*time.Minute || wait > 20*time.Minute {
		t.Errorf("the fourth attempt waits %s, want about 20m", wait)
	}
	r.Reset(t.Context(), b)
	if wait := r.Take(t.Context(), b); wait != 0 {
		t.Errorf("after a reset an attempt waits %s", wait)
	}
	r.Remember(t.Context(), "k", time.Hour)
	if !r.Remembers(t.Context(), "k") || r.Remembers(t.Context(), "other") {
		t.Error("Remembers is wrong on a real Redis")
	}
}

func BenchmarkLocalTake(b *testing.B) {
	l := limits.NewLocal(time.Now)
	buckets := []authz.Bucket{bucket("a", 1<<30, time.Second), bucket("b", 1<<30, time.Second), bucket("c", 1<<30, time.Second)}
	for b.Loop() {
		l.Take(b.Context(), buckets)
	}
}
