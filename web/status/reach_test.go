package status_test

import (
	"fmt"
	"testing"
	"time"

	"chancery/authz"
	"chancery/web/status"
)

// The stream remembers the first version at or after a moment, and of the latest
// versions and lists alone.
func TestReachRemembersTheLatest(t *testing.T) {
	begun := time.UnixMilli(1_700_000_000_000).UTC()
	now := begun
	stream := status.NewStream(status.DefaultStreamLimits(), func() time.Time { return now })
	announce := func(id string, at time.Time) {
		now = at.Add(time.Second)
		stream.Announce(authz.SignedStatusList{ID: id, Version: at.UnixMilli()})
	}
	if r, ok := stream.Reach("a", begun); ok {
		t.Errorf("Reach of nothing = %+v", r)
	}
	for i := range 10 {
		announce("a", begun.Add(time.Duration(i)*time.Minute))
	}
	for since, want := range map[time.Duration]time.Duration{-time.Hour: 0, 0: 0, time.Millisecond: time.Minute, time.Minute: time.Minute, 9 * time.Minute: 9 * time.Minute} {
		at := begun.Add(want)
		if r, ok := stream.Reach("a", begun.Add(since)); !ok || r.Version != at.UnixMilli() || !r.ServedAt.Equal(at.Add(time.Second)) || r.Told+r.Listeners+r.Fetched != 0 {
			t.Errorf("Reach since %s = %+v, %t, want the version of %s", since, r, ok, want)
		}
	}
	if r, ok := stream.Reach("a", begun.Add(time.Hour)); ok {
		t.Errorf("Reach since the future = %+v", r)
	}
	for i := range 200 {
		announce("a", begun.Add(time.Hour+time.Duration(i)*time.Minute))
	}
	if r, ok := stream.Reach("a", begun); ok {
		t.Errorf("Reach since what is forgotten = %+v, want nothing: an earlier version may have shown it", r)
	}
	if _, ok := stream.Reach("a", begun.Add(time.Hour+199*time.Minute)); !ok {
		t.Error("the latest version is forgotten")
	}
	for i := range 100 {
		announce(fmt.Sprint("list", i), begun.Add(24*time.Hour))
	}
	for id, want := range map[string]bool{"a": false, "list0": false, "list35": false, "list36": true, "list99": true} {
		if _, ok := stream.Reach(id, begun.Add(24*time.Hour)); ok != want {
			t.Errorf("Reach of %s: known is %t, want %t", id, ok, want)
		}
	}
}
