package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// fakeServer is a database whose clock is off by a fixed amount.
type fakeServer struct {
	off, trip time.Duration
	err       error
	none      bool
}

func (s *fakeServer) Time(context.Context) (time.Time, bool, error) {
	time.Sleep(s.trip / 2)
	now := time.Now().Add(s.off)
	time.Sleep(s.trip - s.trip/2)
	return now, !s.none, s.err
}

func TestClockFollowsTheDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &fakeServer{off: -time.Hour, trip: 200 * time.Millisecond}
		c, err := newClock(t.Context(), server)
		if err != nil {
			t.Fatal(err)
		}
		expect := func(what string, off time.Duration) {
			t.Helper()
			if got := time.Until(c.Now()); got != off {
				t.Errorf("%s the clock is off by %s, want %s", what, got, off)
			}
		}
		expect("at first", -time.Hour)
		time.Sleep(30 * time.Second)
		expect("later", -time.Hour)
		server.off = -time.Minute
		expect("before the next sync", -time.Hour)
		if err := c.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect("after it", -time.Minute)
		server.err = errors.New("down")
		if err := c.Sync(t.Context()); err == nil {
			t.Error("a failed sync reports no error")
		}
		expect("after a failed sync", -time.Minute)
		server.err, server.trip, server.off = nil, 1500*time.Millisecond, time.Hour
		if err := c.Sync(t.Context()); !errors.Is(err, errSlowSync) {
			t.Errorf("a slow sync reports %v, want errSlowSync", err)
		}
		expect("after a slow sync", -time.Minute)
		time.Sleep(9*time.Minute + 57*time.Second)
		if err := c.Check(t.Context()); err != nil {
			t.Errorf("Check before 10 minutes = %v", err)
		}
		time.Sleep(2 * time.Second)
		if err := c.Check(t.Context()); !errors.Is(err, errUnsynced) {
			t.Errorf("Check after 10 minutes = %v, want errUnsynced", err)
		}
	})
}

func TestClockWithoutADatabaseClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := newClock(t.Context(), &fakeServer{none: true})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if err := c.Check(t.Context()); err != nil || !c.Now().Equal(time.Now()) {
			t.Errorf("Now = %s, Check = %v, want this machine's time and nil", c.Now(), err)
		}
	})
}
