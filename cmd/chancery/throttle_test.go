package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
)

// TestNodesCountAttemptsTogether guesses at one node and is refused by both,
// as long as Redis is there; without it logins go on.
func TestNodesCountAttemptsTogether(t *testing.T) {
	redis := miniredis.RunT(t)
	env := append(sqliteEnv(t), "CHANCERY_REDIS_URL=redis://"+redis.Addr(), "CHANCERY_ISSUER=http://127.0.0.1:9", "CHANCERY_LISTEN=127.0.0.1:0")
	first := bootstrapped(t, env)
	one, two := serve(t, env), serve(t, env)
	guess := func(n *node, name string) int {
		t.Helper()
		r, err := n.post("/oauth/token", "grant_type", "password", "client_id", first.ClientID, "username", name, "password", "a wrong guess")
		if err != nil {
			t.Fatal(err)
		}
		if r.status == http.StatusTooManyRequests && r.header.Get("Retry-After") == "" {
			t.Errorf("429 without Retry-After: %s", r.body)
		}
		return r.status
	}
	// A machine that is busy may answer too late for Redis to count; then the
	// next name is tried.
	names := 0
	eventually(t, "after ten guesses, five at each node, both refuse the next", func() bool {
		names++
		name := fmt.Sprint("somebody", names)
		for i := range 10 {
			guess([]*node{one, two}[i%2], name)
		}
		return guess(one, name) == http.StatusTooManyRequests && guess(two, name) == http.StatusTooManyRequests
	})
	one.login(first)
	two.login(first)
	redis.Close()
	for _, n := range []*node{one, two} {
		n.login(first)
		if log := n.stderr.String(); !strings.Contains(log, "Redis does not answer") {
			t.Errorf("the log does not tell that Redis is gone:\n%s", log)
		}
		for range 10 {
			guess(n, "another")
		}
		if status := guess(n, "another"); status != http.StatusTooManyRequests {
			t.Errorf("without Redis the 11th guess = %d, want 429 by the node's own count", status)
		}
	}
}
