//go:build latency

package main

import (
	"slices"
	"testing"
	"time"
)

// TestRevocationLatency revokes 200 sessions one by one, on three nodes over
// one Postgres, at uneven times, and holds the promise of how soon verifiers
// refuse them. It needs the machine for itself.
func TestRevocationLatency(t *testing.T) {
	stream, polling := revokeOneByOne(t, 200, func(i int) time.Duration { return time.Duration(i*97%301) * time.Millisecond })
	t.Logf("with the stream: %s", stream)
	t.Logf("without, ttl 2 s: %s", polling)
	slices.Sort(stream)
	slices.Sort(polling)
	if median, worst := stream[len(stream)/2], stream[len(stream)-1]; median > 300*time.Millisecond || worst > 2*time.Second {
		t.Errorf("with the stream: median %s, worst %s; want 300 ms and 2 s at most", median, worst)
	}
	if worst := polling[len(polling)-1]; worst > 3*time.Second {
		t.Errorf("without the stream: worst %s; want the ttl and a second more, 3 s", worst)
	}
}
