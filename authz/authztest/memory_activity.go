package authztest

import (
	"context"
	"maps"
	"slices"
	"time"

	"chancery/authz"
)

// activityKey is what an amount is counted for.
type activityKey struct {
	minute int64
	kind   authz.ActivityKind
}

// AddActivity implements authz.ActivityStore.
func (m *Memory) AddActivity(ctx context.Context, minute time.Time, amounts map[authz.ActivityKind]int64) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "AddActivity"); err != nil {
		return err
	}
	for kind, amount := range amounts {
		m.activity[activityKey{minute.UnixMilli(), kind}] += amount
	}
	return nil
}

// SetActiveSessions implements authz.ActivityStore.
func (m *Memory) SetActiveSessions(ctx context.Context, minute time.Time, amount int64) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "SetActiveSessions"); err != nil {
		return err
	}
	m.activity[activityKey{minute.UnixMilli(), authz.ActiveSessions}] = amount
	return nil
}

// Activity implements authz.ActivityStore.
func (m *Memory) Activity(ctx context.Context, query authz.ActivityQuery) ([]authz.ActivityPoint, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "Activity"); err != nil {
		return nil, err
	}
	sums := map[activityKey]int64{}
	for key, amount := range m.activity {
		if key.minute < query.From.UnixMilli() || key.minute >= query.Until.UnixMilli() {
			continue
		}
		key.minute -= key.minute % query.Step.Milliseconds()
		if key.kind == authz.ActiveSessions {
			sums[key] = max(sums[key], amount)
		} else {
			sums[key] += amount
		}
	}
	keys := slices.SortedFunc(maps.Keys(sums), func(a, b activityKey) int {
		if a.minute != b.minute {
			return int(a.minute - b.minute)
		}
		if a.kind < b.kind {
			return -1
		}
		return 1
	})
	points := make([]authz.ActivityPoint, len(keys))
	for i, key := range keys {
		points[i] = authz.ActivityPoint{Time: time.UnixMilli(key.minute).UTC(), Kind: key.kind, Amount: sums[key]}
	}
	return points, nil
}

// CountSessions implements authz.ActivityStore.
func (m *Memory) CountSessions(ctx context.Context, now time.Time) (int64, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "CountSessions"); err != nil {
		return 0, err
	}
	var n int64
	for _, family := range m.families {
		if family.State(now) == "" {
			n++
		}
	}
	return n, nil
}
