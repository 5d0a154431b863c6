package main

import (
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chancery/storage/pgtest"
)

// BenchmarkRefresh measures a whole refresh over HTTP, client and server in
// one process, RS256.
func BenchmarkRefresh(b *testing.B) {
	for name, environment := range map[string]func(b *testing.B) []string{
		"sqlite":   func(b *testing.B) []string { return sqliteEnv(b) },
		"postgres": func(b *testing.B) []string { return postgresEnv(b, pgtest.URL(b)) },
	} {
		b.Run(name, func(b *testing.B) {
			env := append(environment(b), listenEnv(freePort(b))...)
			first := bootstrapped(b, env)
			n := serve(b, env)
			token := n.login(first).str("refresh_token")
			b.ReportAllocs()
			for b.Loop() {
				token = n.mustPost(http.StatusOK, "/oauth/token", refreshForm(first, token)...).str("refresh_token")
			}
		})
	}
}

// BenchmarkRefreshDuringLogins measures a refresh and a fetch of the keys while
// 100 clients log in without pause, with the default cost of hashes.
func BenchmarkRefreshDuringLogins(b *testing.B) {
	env := slices.DeleteFunc(sqliteEnv(b), func(entry string) bool { return slices.Contains(cheap, entry) })
	env = append(append(env, listenEnv(freePort(b))...), "CHANCERY_THROTTLE_ENABLED=false", "CHANCERY_LOG_LEVEL=error")
	first := bootstrapped(b, env)
	n := serve(b, env)
	token := n.login(first).str("refresh_token")
	var done atomic.Bool
	var logins, busy atomic.Int64
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() {
			for !done.Load() {
				r, err := n.post("/oauth/token", "grant_type", "password", "client_id", first.ClientID, "username", "nobody", "password", "wrong password")
				if err == nil && r.status == http.StatusServiceUnavailable {
					busy.Add(1)
				}
				logins.Add(1)
			}
		})
	}
	var refreshes, keys []time.Duration
	for b.Loop() {
		begun := time.Now()
		token = n.mustPost(http.StatusOK, "/oauth/token", refreshForm(first, token)...).str("refresh_token")
		refreshes = append(refreshes, time.Since(begun))
		begun = time.Now()
		if r, err := n.get("/.well-known/jwks.json"); err != nil || r.status != http.StatusOK {
			b.Fatalf("keys = %d, %v", r.status, err)
		}
		keys = append(keys, time.Since(begun))
	}
	done.Store(true)
	group.Wait()
	for name, took := range map[string][]time.Duration{"refresh": refreshes, "jwks": keys} {
		b.ReportMetric(float64(median(took).Microseconds())/1000, name+"-p50-ms")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, name+"-p99-ms")
	}
	b.ReportMetric(float64(busy.Load())/float64(max(logins.Load(), 1)), "busy-share")
}

// BenchmarkFirstStart measures a start on an empty directory, key generation
// included, until the server listens.
func BenchmarkFirstStart(b *testing.B) {
	for b.Loop() {
		n := serve(b, append(sqliteEnv(b), "CHANCERY_LISTEN=127.0.0.1:0"))
		n.stop()
	}
}
