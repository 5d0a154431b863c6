package authz_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"chancery/authz"
	"chancery/authz/authztest"

	"github.com/google/go-cmp/cmp"
)

// newActivity returns the figures of a node over a store.
func newActivity(f *fixture, holder string) *authz.Activity {
	return &authz.Activity{Store: f.store, Now: func() time.Time { return f.now }, Holder: holder}
}

func overview(t *testing.T, a *authz.Activity, last time.Duration) authz.Overview {
	t.Helper()
	o, err := a.Overview(t.Context(), last)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestActivityCounts says what each answer counts as.
func TestActivityCounts(t *testing.T) {
	type counts = map[authz.ActivityKind]int64
	for _, test := range []struct {
		grant, outcome string
		cause          authz.Cause
		want           counts
	}{
		{authz.GrantPassword, authz.OutcomeOK, "", counts{authz.ActivityLogins: 1}},
		{authz.GrantRefreshToken, authz.OutcomeOK, "", counts{authz.ActivityRefreshes: 1}},
		{authz.GrantRefreshToken, authz.OutcomeOK, authz.CauseConcurrent, counts{authz.ActivityRefreshes: 1}},
		{authz.GrantClientCredentials, authz.OutcomeOK, "", counts{}},
		{authz.GrantPassword, string(authz.InvalidGrant), "", counts{authz.ActivityFailures: 1}},
		{authz.GrantRefreshToken, string(authz.InvalidGrant), authz.CauseRevoked, counts{authz.ActivityFailures: 1}},
		{authz.GrantRefreshToken, string(authz.InvalidGrant), authz.CauseReuse, counts{authz.ActivityFailures: 1, authz.ActivityReuse: 1}},
		{authz.GrantPassword, string(authz.InvalidClient), "", counts{}},
		{authz.GrantPassword, string(authz.TemporarilyUnavailable), "", counts{}},
		{authz.GrantRefreshToken, authz.OutcomeFault, "", counts{}},
		{"other", string(authz.UnsupportedGrantType), "", counts{}},
	} {
		f := newFixture(t)
		a := newActivity(f, "one")
		a.TokenAnswered(test.grant, test.outcome, test.cause)
		for _, when := range []string{"waiting", "stored"} {
			if diff := cmp.Diff(test.want, overview(t, a, authz.RangeHour).Totals); diff != "" {
				t.Errorf("%s %s %s, %s (-want +got):\n%s", test.grant, test.outcome, test.cause, when, diff)
			}
			if err := a.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestActivityFlushKeepsCounts fails to store, and stores everything later,
// once.
func TestActivityFlushKeepsCounts(t *testing.T) {
	f := newFixture(t)
	a := newActivity(f, "one")
	login := func() { a.TokenAnswered(authz.GrantPassword, authz.OutcomeOK, "") }
	if err := a.Flush(t.Context()); err != nil || f.store.Calls["AddActivity"] != 0 {
		t.Errorf("Flush of nothing = %v after %d writes, want none", err, f.store.Calls["AddActivity"])
	}
	login()
	f.store.SetDown(authz.ErrUnavailable)
	if err := a.Flush(t.Context()); !errors.Is(err, authz.ErrUnavailable) {
		t.Errorf("Flush without a database = %v", err)
	}
	login()
	if err := a.Flush(t.Context()); !errors.Is(err, authz.ErrUnavailable) {
		t.Errorf("second Flush without a database = %v", err)
	}
	f.store.SetDown(nil)
	login()
	for range 2 {
		if err := a.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := overview(t, newActivity(f, "two"), authz.RangeHour).Totals[authz.ActivityLogins]; got != 3 {
		t.Errorf("%d logins are stored, want 3", got)
	}
}

// slowActivity counts while it stores.
type slowActivity struct {
	authz.ActivityStore
	during func()
	err    error
}

func (s *slowActivity) AddActivity(context.Context, time.Time, map[authz.ActivityKind]int64) error {
	s.during()
	return s.err
}

// TestActivityFlushBesideCounting counts while a flush is under way that fails.
func TestActivityFlushBesideCounting(t *testing.T) {
	f := newFixture(t)
	a := newActivity(f, "one")
	login := func() { a.TokenAnswered(authz.GrantPassword, authz.OutcomeOK, "") }
	a.Store = &slowActivity{f.store, func() {
		var group sync.WaitGroup
		for range 10 {
			group.Go(login)
		}
		group.Wait()
	}, authz.ErrUnavailable}
	login()
	if err := a.Flush(t.Context()); !errors.Is(err, authz.ErrUnavailable) {
		t.Errorf("Flush = %v", err)
	}
	a.Store = f.store
	if err := a.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := overview(t, a, authz.RangeHour).Totals[authz.ActivityLogins]; got != 11 {
		t.Errorf("%d logins, want 11", got)
	}
}

// TestActivityOverview looks back for each range.
func TestActivityOverview(t *testing.T) {
	f := newFixture(t)
	f.now = authztest.T0.Add(7*time.Minute + 30*time.Second)
	here, there := newActivity(f, "here"), newActivity(f, "there")
	here.TokenAnswered(authz.GrantPassword, authz.OutcomeOK, "")
	there.TokenAnswered(authz.GrantPassword, authz.OutcomeOK, "")
	if err := there.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := f.store.AddActivity(t.Context(), authztest.T0.Add(-25*time.Hour), map[authz.ActivityKind]int64{authz.ActivityLogins: 40}); err != nil {
		t.Fatal(err)
	}
	for last, want := range map[time.Duration]struct {
		step   time.Duration
		logins int64
	}{authz.RangeHour: {time.Minute, 2}, authz.RangeDay: {15 * time.Minute, 2}, authz.RangeWeek: {2 * time.Hour, 42}, authz.RangeMonth: {8 * time.Hour, 42}} {
		o := overview(t, here, last)
		steps := int(last / want.step)
		end := o.Times[len(o.Times)-1].Add(o.Step)
		if o.Step != want.step || len(o.Times) != steps || o.Totals[authz.ActivityLogins] != want.logins || !end.After(f.now) || end.Sub(f.now) > o.Step {
			t.Errorf("overview of %s = %d steps of %s to %s with %d logins, want %d of %s with %d", last, len(o.Times), o.Step, end, o.Totals[authz.ActivityLogins], steps, want.step, want.logins)
		}
		for _, kind := range authz.ActivityKinds() {
			if len(o.Series[kind]) != steps {
				t.Errorf("series of %s has %d steps, want %d", kind, len(o.Series[kind]), steps)
			}
		}
		if latest := o.Series[authz.ActivityLogins][steps-1]; latest != 2 {
			t.Errorf("latest step of %s = %d logins, want those of both nodes", last, latest)
		}
		if _, ok := o.Totals[authz.ActiveSessions]; ok {
			t.Error("there is a total of sessions, which are no happenings")
		}
	}
	_, err := here.Overview(t.Context(), 90*time.Minute)
	wantCode(t, "Overview of another range", err, authz.InvalidInput)
	f.store.SetDown(authz.ErrUnavailable)
	if _, err := here.Overview(t.Context(), authz.RangeHour); !errors.Is(err, authz.ErrUnavailable) {
		t.Errorf("Overview without a database = %v", err)
	}
}

// TestActivitySample has one of two nodes count the sessions.
func TestActivitySample(t *testing.T) {
	f := newFixture(t)
	one, two := newActivity(f, "one"), newActivity(f, "two")
	sample := func(a *authz.Activity, want int) {
		t.Helper()
		if err := a.Sample(t.Context()); err != nil || f.store.Calls["SetActiveSessions"] != want {
			t.Errorf("Sample = %v, stored %d times, want %d", err, f.store.Calls["SetActiveSessions"], want)
		}
	}
	sample(one, 1)
	sample(two, 1)
	f.now = f.now.Add(54 * time.Second)
	sample(two, 1)
	f.now = f.now.Add(time.Second)
	sample(two, 2)
	sample(one, 2)
	f.now = f.now.Add(time.Minute)
	f.store.SetDown(authz.ErrUnavailable)
	if err := one.Sample(t.Context()); !errors.Is(err, authz.ErrUnavailable) {
		t.Errorf("Sample without a database = %v", err)
	}
}

// TestOverviewShowsTheLastCount counts no sessions: any node has done so lately.
func TestOverviewShowsTheLastCount(t *testing.T) {
	f := newFixture(t)
	one, two := newActivity(f, "one"), newActivity(f, "two")
	if _, _, err := f.clients.Create(t.Context(), confidential("robot")); err != nil {
		t.Fatal(err)
	}
	withSessions(t, f)
	want := int64(live(t, f))
	if err := one.Sample(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		wait time.Duration
		want int64
	}{{0, want}, {9 * time.Minute, want}, {2 * time.Minute, 0}} {
		f.now = f.now.Add(test.wait)
		if got := overview(t, two, authz.RangeHour).Sessions; got != test.want {
			t.Errorf("after %s there are %d sessions, want %d", test.wait, got, test.want)
		}
	}
	if got := f.store.Calls["CountSessions"]; got != 1 {
		t.Errorf("the sessions were counted %d times, want 1", got)
	}
}
