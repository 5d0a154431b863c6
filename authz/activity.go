package authz

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"
)

// ActivityKind names what is counted over time.
type ActivityKind string

// What is counted. ActiveSessions is how many there were; all others are how
// often something happened.
const (
	ActivityLogins    ActivityKind = "logins"
	ActivityRefreshes ActivityKind = "refreshes"
	ActivityFailures  ActivityKind = "failures" // logins and refreshes that were refused
	ActivityReuse     ActivityKind = "reuse"
	ActiveSessions    ActivityKind = "active_sessions"
)

// ActivityKinds returns all kinds.
func ActivityKinds() []ActivityKind {
	return []ActivityKind{ActiveSessions, ActivityLogins, ActivityRefreshes, ActivityFailures, ActivityReuse}
}

// ActivityPoint is how much of a kind there was in the time from Time on.
type ActivityPoint struct {
	Time   time.Time
	Kind   ActivityKind
	Amount int64
}

// ActivityQuery asks for the time from From to Until in steps. From is a
// multiple of Step since the epoch.
type ActivityQuery struct {
	From, Until time.Time
	Step        time.Duration
}

// ActivityStore keeps what was counted on all nodes, by the minute.
type ActivityStore interface {
	// AddActivity adds to what was counted in the minute.
	AddActivity(ctx context.Context, minute time.Time, amounts map[ActivityKind]int64) error
	// SetActiveSessions sets how many sessions there were in the minute.
	SetActiveSessions(ctx context.Context, minute time.Time, amount int64) error
	// Activity returns the points that are not zero, by time and kind: sums, and
	// of ActiveSessions the greatest.
	Activity(ctx context.Context, query ActivityQuery) ([]ActivityPoint, error)
	// CountSessions returns how many sessions live at now.
	CountSessions(ctx context.Context, now time.Time) (int64, error)
	// AcquireLease is that of PurgeStore.
	AcquireLease(ctx context.Context, name, holder string, now, until time.Time) (bool, error)
}

// Activity counts what the service answers, and keeps it with what other nodes
// counted. It is an Observer, and safe for concurrent use.
type Activity struct {
	Store  ActivityStore
	Now    func() time.Time
	Holder string

	mu      sync.Mutex
	counted map[ActivityKind]int64
}

// TokenAnswered implements Observer.
func (a *Activity) TokenAnswered(grantType, outcome string, cause Cause) {
	var kinds []ActivityKind
	switch {
	case grantType == GrantPassword && outcome == OutcomeOK:
		kinds = []ActivityKind{ActivityLogins}
	case grantType == GrantRefreshToken && outcome == OutcomeOK:
		kinds = []ActivityKind{ActivityRefreshes}
	case outcome == string(InvalidGrant) && cause == CauseReuse:
		kinds = []ActivityKind{ActivityFailures, ActivityReuse}
	case outcome == string(InvalidGrant):
		kinds = []ActivityKind{ActivityFailures}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.counted == nil {
		a.counted = map[ActivityKind]int64{}
	}
	for _, kind := range kinds {
		a.counted[kind]++
	}
}

// Flush stores what was counted since the last time. What cannot be stored is
// kept for the next.
func (a *Activity) Flush(ctx context.Context) error {
	a.mu.Lock()
	amounts := a.counted
	a.counted = nil
	a.mu.Unlock()
	if len(amounts) == 0 {
		return nil
	}
	err := a.Store.AddActivity(ctx, a.minute(), amounts)
	if err == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	later := a.counted
	a.counted = amounts
	for kind, amount := range later {
		a.counted[kind] += amount
	}
	return fmt.Errorf("store activity: %w", err)
}

// sampleLease is how long a node that counts the sessions has the others wait.
const sampleLease = 55 * time.Second

// Sample stores how many sessions there are, if no other node does.
func (a *Activity) Sample(ctx context.Context) error {
	now := a.Now().UTC()
	mine, err := a.Store.AcquireLease(ctx, "activity", a.Holder, now, now.Add(sampleLease))
	if err != nil || !mine {
		return err
	}
	n, err := a.Store.CountSessions(ctx, now)
	if err != nil {
		return fmt.Errorf("count sessions: %w", err)
	}
	if err := a.Store.SetActiveSessions(ctx, a.minute(), n); err != nil {
		return fmt.Errorf("store the number of sessions: %w", err)
	}
	return nil
}

func (a *Activity) minute() time.Time { return a.Now().UTC().Truncate(time.Minute) }

// Ranges of time that an overview is given for.
const (
	RangeHour  = time.Hour
	RangeDay   = 24 * time.Hour
	RangeWeek  = 7 * 24 * time.Hour
	RangeMonth = 30 * 24 * time.Hour
)

// Range is a length of time that an overview is given for.
type Range struct {
	// Name is for programs, Label for people.
	Name, Label string
	Length      time.Duration
}

// Ranges returns all ranges, the shortest first.
func Ranges() []Range {
	return []Range{{"hour", "Hour", RangeHour}, {"day", "Day", RangeDay}, {"week", "Week", RangeWeek}, {"month", "30 days", RangeMonth}}
}

// steps is in how many parts each range is shown.
var steps = map[time.Duration]time.Duration{
	RangeHour: time.Minute, RangeDay: 15 * time.Minute, RangeWeek: 2 * time.Hour, RangeMonth: 8 * time.Hour,
}

// Overview is what admins see first.
type Overview struct {
	// Sessions is how many lived when they were last counted, about a minute ago.
	Sessions int64
	// Totals are what happened within the range.
	Totals map[ActivityKind]int64
	// Times are the beginnings of the steps, and Series for each kind the
	// amounts of each.
	Times  []time.Time
	Step   time.Duration
	Series map[ActivityKind][]int64
}

// Overview returns the figures of the last hour, day, week or month. The error
// has code InvalidInput.
func (a *Activity) Overview(ctx context.Context, last time.Duration) (Overview, error) {
	step, ok := steps[last]
	if !ok {
		return Overview{}, invalidInput("range: want hour, day, week or month")
	}
	until := a.Now().UTC().Truncate(step).Add(step)
	query := ActivityQuery{From: until.Add(-last), Until: until, Step: step}
	points, err := a.Store.Activity(ctx, query)
	if err != nil {
		return Overview{}, fmt.Errorf("activity: %w", err)
	}
	o := Overview{Step: step, Totals: map[ActivityKind]int64{}, Series: map[ActivityKind][]int64{}}
	for at := query.From; at.Before(until); at = at.Add(step) {
		o.Times = append(o.Times, at)
	}
	for _, kind := range ActivityKinds() {
		o.Series[kind] = make([]int64, len(o.Times))
	}
	for _, p := range a.withPending(points, until.Add(-step)) {
		if i := int(p.Time.Sub(query.From) / step); o.Series[p.Kind] != nil && i >= 0 && i < len(o.Times) {
			o.Series[p.Kind][i] += p.Amount
			o.Totals[p.Kind] += p.Amount
		}
	}
	if o.Sessions, err = a.sessions(ctx); err != nil {
		return Overview{}, err
	}
	delete(o.Totals, ActiveSessions)
	return o, nil
}

// withPending adds what this node has counted and not stored yet.
func (a *Activity) withPending(points []ActivityPoint, at time.Time) []ActivityPoint {
	a.mu.Lock()
	defer a.mu.Unlock()
	for kind, amount := range maps.All(a.counted) {
		points = append(points, ActivityPoint{Time: at, Kind: kind, Amount: amount})
	}
	return points
}

// sampled is how old the last count of sessions may be that is shown.
const sampled = 10 * time.Minute

// sessions returns the last count of the sessions, by whichever node: counting
// them walks over all, which no page does.
func (a *Activity) sessions(ctx context.Context) (int64, error) {
	minute := a.minute()
	points, err := a.Store.Activity(ctx, ActivityQuery{From: minute.Add(-sampled), Until: minute.Add(time.Minute), Step: time.Minute})
	if err != nil {
		return 0, fmt.Errorf("activity: %w", err)
	}
	last := int64(0)
	for _, p := range points {
		if p.Kind == ActiveSessions {
			last = p.Amount
		}
	}
	return last, nil
}
