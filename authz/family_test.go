package authz_test

import (
	"testing"
	"time"

	"chancery/authz"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// familyT0 is when the families of these tests were rotated last.
var familyT0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var familyPolicy = authz.RefreshPolicy{
	IdleTTL: 168 * time.Hour, AbsoluteTTL: 2160 * time.Hour, Leeway: 30 * time.Second, LostResponseWindow: 10 * time.Minute, LostResponseBudget: 3,
}

// familyAt returns a living family at generation 5, rotated at familyT0.
func familyAt(edit func(*authz.Family)) authz.Family {
	f := authz.Family{
		Generation: 5, CreatedAt: familyT0.Add(-time.Hour), RotatedAt: familyT0,
		IdleExpiresAt: familyT0.Add(168 * time.Hour), AbsoluteExpiresAt: familyT0.Add(2159 * time.Hour),
	}
	if edit != nil {
		edit(&f)
	}
	return f
}

func TestFamilyCheck(t *testing.T) {
	const ms = time.Millisecond
	refuse := func(cause authz.Cause) authz.Decision { return authz.Decision{Action: authz.Refuse, Cause: cause} }
	rotate := authz.Decision{Action: authz.Rotate}
	concurrent := authz.Decision{Action: authz.Replay, Cause: authz.CauseConcurrent}
	repeated := authz.Decision{Action: authz.Replay, Cause: authz.CauseLostResponse}
	restore := authz.Decision{Action: authz.Restore, Cause: authz.CauseRestored}
	reuse := authz.Decision{Action: authz.Reuse, Cause: authz.CauseReuse}
	forgive := func(count int, since time.Time) authz.Decision {
		return authz.Decision{Action: authz.Forgive, Cause: authz.CauseLostResponse, LostCount: count, LostSince: since}
	}
	revoked := func(f *authz.Family) { f.RevokedAt, f.RevokedCause = familyT0, authz.CauseLogout }
	idle := func(f *authz.Family) { f.IdleExpiresAt = familyT0.Add(20 * time.Second) }
	absolute := func(f *authz.Family) { f.AbsoluteExpiresAt = familyT0.Add(20 * time.Second) }
	lost := func(generation uint64, count int, since time.Time) func(*authz.Family) {
		return func(f *authz.Family) { f.LostGeneration, f.LostCount, f.LostSince = generation, count, since }
	}
	dayAgo := func(d time.Duration) time.Time { return familyT0.Add(time.Minute - 24*time.Hour + d) }
	cases := []struct {
		name       string
		edit       func(*authz.Family)
		generation uint64
		after      time.Duration
		want       authz.Decision
	}{
		{"newest token at once", nil, 5, 0, rotate},
		{"newest token much later", nil, 5, 100 * time.Hour, rotate},
		{"first token of a login", func(f *authz.Family) { f.Generation = 0 }, 0, 0, rotate},

		{"predecessor at once", nil, 4, 0, concurrent},
		{"predecessor before its rotation, by a clock that went back", nil, 4, -time.Second, concurrent},
		{"predecessor just before the leeway ends", nil, 4, 30*time.Second - ms, concurrent},
		{"predecessor exactly at the leeway", nil, 4, 30 * time.Second, forgive(1, familyT0.Add(30*time.Second))},
		{"predecessor just before the window ends", nil, 4, 10*time.Minute - ms, forgive(1, familyT0.Add(10*time.Minute-ms))},
		{"predecessor exactly at the window's end", nil, 4, 10 * time.Minute, reuse},
		{"predecessor of the first rotation", func(f *authz.Family) { f.Generation = 1 }, 0, time.Minute, forgive(1, familyT0.Add(time.Minute))},

		{"retry of a forgiven generation", lost(5, 1, familyT0), 4, time.Minute, repeated},
		{"retry of a forgiven generation with the budget spent", lost(5, 3, familyT0), 4, time.Minute, repeated},
		{"retry of a forgiven generation after the window", lost(5, 1, familyT0), 4, 10 * time.Minute, reuse},
		{"leeway comes before the forgiven generation", lost(5, 3, familyT0), 4, time.Second, concurrent},
		{"leeway needs no budget", lost(4, 3, familyT0), 4, 29 * time.Second, concurrent},
		{"second of the day", lost(4, 1, familyT0), 4, time.Minute, forgive(2, familyT0)},
		{"last of the budget", lost(4, 2, familyT0), 4, time.Minute, forgive(3, familyT0)},
		{"budget spent", lost(4, 3, familyT0), 4, time.Minute, reuse},
		{"budget overspent by an older policy", lost(4, 9, familyT0), 4, time.Minute, reuse},
		{"budget spent just less than a day ago", lost(4, 3, dayAgo(ms)), 4, time.Minute, reuse},
		{"budget spent exactly a day ago", lost(4, 3, dayAgo(0)), 4, time.Minute, forgive(1, familyT0.Add(time.Minute))},
		{"count just less than a day ago", lost(4, 1, dayAgo(ms)), 4, time.Minute, forgive(2, dayAgo(ms))},

		{"grandparent within the leeway", nil, 3, 0, reuse},
		{"grandparent of a forgiven generation", lost(5, 1, familyT0), 3, time.Minute, reuse},
		{"first token", nil, 0, 0, reuse},

		{"token one ahead", nil, 6, 0, restore},
		{"token far ahead", nil, 1 << 60, 100 * time.Hour, restore},
		{"token ahead of generation 0", func(f *authz.Family) { f.Generation = 0 }, 1, 0, restore},

		{"revoked, newest token", revoked, 5, 0, refuse(authz.CauseRevoked)},
		{"revoked, predecessor within the leeway", revoked, 4, time.Second, refuse(authz.CauseRevoked)},
		{"revoked, grandparent", revoked, 3, 0, refuse(authz.CauseRevoked)},
		{"revoked, token ahead", revoked, 6, 0, refuse(authz.CauseRevoked)},
		{"idle just before its end", idle, 5, 20*time.Second - ms, rotate},
		{"idle, newest token", idle, 5, 20 * time.Second, refuse(authz.CauseExpiredIdle)},
		{"idle, predecessor within the leeway", idle, 4, 20 * time.Second, refuse(authz.CauseExpiredIdle)},
		{"idle, grandparent", idle, 3, 20 * time.Second, refuse(authz.CauseExpiredIdle)},
		{"idle, token ahead", idle, 6, 20 * time.Second, refuse(authz.CauseExpiredIdle)},
		{"absolute just before its end", absolute, 5, 20*time.Second - ms, rotate},
		{"absolute, newest token", absolute, 5, 20 * time.Second, refuse(authz.CauseExpiredAbsolute)},
		{"absolute, predecessor within the leeway", absolute, 4, 20 * time.Second, refuse(authz.CauseExpiredAbsolute)},
		{"absolute, grandparent", absolute, 3, 20 * time.Second, refuse(authz.CauseExpiredAbsolute)},
		{"absolute, token ahead", absolute, 6, 20 * time.Second, refuse(authz.CauseExpiredAbsolute)},
		{"revoked and expired", func(f *authz.Family) { revoked(f); idle(f); absolute(f) }, 5, time.Minute, refuse(authz.CauseRevoked)},
		{"expired both ways", func(f *authz.Family) { idle(f); absolute(f) }, 5, time.Minute, refuse(authz.CauseExpiredAbsolute)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := familyAt(c.edit).Check(c.generation, familyPolicy, familyT0.Add(c.after))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("Check (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFamilyCheckPolicies(t *testing.T) {
	cases := []struct {
		name  string
		edit  func(*authz.RefreshPolicy)
		after time.Duration
		want  authz.Action
	}{
		{"no leeway", func(p *authz.RefreshPolicy) { p.Leeway = 0 }, 0, authz.Forgive},
		{"no leeway and no window", func(p *authz.RefreshPolicy) { p.Leeway, p.LostResponseWindow = 0, 0 }, 0, authz.Reuse},
		{"window as long as the leeway", func(p *authz.RefreshPolicy) { p.LostResponseWindow = p.Leeway }, 30 * time.Second, authz.Reuse},
		{"no budget", func(p *authz.RefreshPolicy) { p.LostResponseBudget = 0 }, time.Minute, authz.Reuse},
		{"no budget, within the leeway", func(p *authz.RefreshPolicy) { p.LostResponseBudget = 0 }, 0, authz.Replay},
		{"longer leeway", func(p *authz.RefreshPolicy) { p.Leeway = 5 * time.Minute }, 4 * time.Minute, authz.Replay},
		{"longer window", func(p *authz.RefreshPolicy) { p.LostResponseWindow = 24 * time.Hour }, 23 * time.Hour, authz.Forgive},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			policy := familyPolicy
			c.edit(&policy)
			if got := familyAt(nil).Check(4, policy, familyT0.Add(c.after)); got.Action != c.want {
				t.Errorf("Check = %+v, want action %d", got, c.want)
			}
		})
	}
}

func TestFamilyState(t *testing.T) {
	end := familyT0.Add(time.Hour)
	f := authz.Family{IdleExpiresAt: end, AbsoluteExpiresAt: end.Add(time.Hour)}
	if got := f.State(end.Add(-1)); got != "" {
		t.Errorf("State just before the idle end = %q, want it alive", got)
	}
	if got := f.State(end); got != authz.CauseExpiredIdle {
		t.Errorf("State at the idle end = %q, want %q", got, authz.CauseExpiredIdle)
	}
	f.IdleExpiresAt = end.Add(2 * time.Hour)
	if got := f.State(end.Add(time.Hour)); got != authz.CauseExpiredAbsolute {
		t.Errorf("State at the absolute end = %q, want %q", got, authz.CauseExpiredAbsolute)
	}
}

// familyHistory carries decisions out as the service does, and keeps its own
// books of what was forgiven.
type familyHistory struct {
	rt     *rapid.T
	family authz.Family
	policy authz.RefreshPolicy
	now    time.Time
	// dayBegan and inDay count what was forgiven in the present period of 24
	// hours; forgiven are the generations, none of which may come twice.
	dayBegan time.Time
	inDay    int
	forgiven map[uint64]bool
}

func drawHistory(rt *rapid.T) *familyHistory {
	seconds := func(name string, low, high int64) time.Duration {
		return time.Duration(rapid.Int64Range(low, high).Draw(rt, name)) * time.Second
	}
	var p authz.RefreshPolicy
	p.AbsoluteTTL = seconds("absolute", 60, 90*24*3600)
	p.IdleTTL = seconds("idle", 60, int64(p.AbsoluteTTL/time.Second))
	p.Leeway = seconds("leeway", 0, min(300, int64(p.IdleTTL/time.Second)))
	p.LostResponseWindow = seconds("window", int64(p.Leeway/time.Second), min(24*3600, int64(p.IdleTTL/time.Second)))
	p.LostResponseBudget = rapid.IntRange(0, 4).Draw(rt, "budget")
	if problems := p.Problems(); len(problems) > 0 {
		rt.Fatalf("drawn policy has problems: %v", problems)
	}
	return &familyHistory{rt: rt, policy: p, now: familyT0, forgiven: map[uint64]bool{}, family: authz.Family{
		CreatedAt: familyT0, RotatedAt: familyT0, IdleExpiresAt: familyT0.Add(p.IdleTTL), AbsoluteExpiresAt: familyT0.Add(p.AbsoluteTTL),
	}}
}

// step presents a token some generations behind the newest, and carries out
// what Check says.
func (h *familyHistory) step() {
	h.now = h.now.Add(time.Duration(rapid.OneOf(rapid.Int64Range(0, 60), rapid.Int64Range(0, 30*3600)).Draw(h.rt, "wait")) * time.Second)
	behind := rapid.SampledFrom([]int64{0, 0, 0, 1, 1, 1, 1, 1, 2, -1}).Draw(h.rt, "behind")
	generation := uint64(max(0, int64(h.family.Generation)-behind))
	before := h.family
	d := before.Check(generation, h.policy, h.now)
	h.check(before, generation, d)
	f := &h.family
	switch d.Action {
	case authz.Rotate, authz.Restore:
		f.Generation, f.RotatedAt, f.IdleExpiresAt = generation+1, h.now, h.now.Add(h.policy.IdleTTL)
	case authz.Forgive:
		h.forgive(d)
		f.LostGeneration, f.LostCount, f.LostSince = f.Generation, d.LostCount, d.LostSince
	case authz.Reuse:
		f.RevokedAt, f.RevokedCause = h.now, authz.CauseReuse
	case authz.Refuse, authz.Replay:
	}
	if !f.AbsoluteExpiresAt.Equal(before.AbsoluteExpiresAt) {
		h.rt.Fatalf("the absolute expiry moved")
	}
}

// check holds what is true of every single decision.
func (h *familyHistory) check(f authz.Family, generation uint64, d authz.Decision) {
	behind := int64(f.Generation) - int64(generation)
	since := h.now.Sub(f.RotatedAt)
	over := !f.RevokedAt.IsZero() || !h.now.Before(f.IdleExpiresAt) || !h.now.Before(f.AbsoluteExpiresAt)
	switch {
	case over != (d.Action == authz.Refuse):
		h.rt.Fatalf("over = %t, but the decision is %+v", over, d)
	case over:
	case (behind == 0) != (d.Action == authz.Rotate), (behind < 0) != (d.Action == authz.Restore), behind >= 2 && d.Action != authz.Reuse:
		h.rt.Fatalf("%d behind: %+v", behind, d)
	case d.Action == authz.Replay && (behind != 1 || since >= max(h.policy.Leeway, h.policy.LostResponseWindow)):
		h.rt.Fatalf("%d behind, %v after the rotation: %+v", behind, since, d)
	case behind == 1 && (since < h.policy.Leeway) != (d.Cause == authz.CauseConcurrent):
		h.rt.Fatalf("%v after the rotation with a leeway of %v: %+v", since, h.policy.Leeway, d)
	case d.Action == authz.Replay && d.Cause == authz.CauseLostResponse && !h.forgiven[f.Generation]:
		h.rt.Fatalf("generation %d is repeated but was never forgiven", f.Generation)
	case behind == 1 && since >= h.policy.LostResponseWindow && d.Action != authz.Reuse:
		h.rt.Fatalf("%v after the rotation with a window of %v: %+v", since, h.policy.LostResponseWindow, d)
	}
}

// forgive books a forgiveness.
func (h *familyHistory) forgive(d authz.Decision) {
	if h.forgiven[h.family.Generation] {
		h.rt.Fatalf("generation %d was forgiven twice", h.family.Generation)
	}
	h.forgiven[h.family.Generation] = true
	if h.dayBegan.IsZero() || h.now.Sub(h.dayBegan) >= 24*time.Hour {
		h.dayBegan, h.inDay = h.now, 0
	}
	h.inDay++
	if h.inDay > h.policy.LostResponseBudget {
		h.rt.Fatalf("%d generations forgiven since %v, want at most %d", h.inDay, h.dayBegan, h.policy.LostResponseBudget)
	}
	if d.LostCount != h.inDay || !d.LostSince.Equal(h.dayBegan) {
		h.rt.Fatalf("forgiven %d since %v, want %d since %v", d.LostCount, d.LostSince, h.inDay, h.dayBegan)
	}
}

func TestFamilyCheckAlongRandomHistories(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := drawHistory(rt)
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			h.step()
		}
	})
}
