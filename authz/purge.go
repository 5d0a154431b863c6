package authz

import (
	"context"
	"fmt"
	"time"
)

// PurgeLimits says what is old enough to be deleted, and how many rows of each
// kind one call may delete.
type PurgeLimits struct {
	// FamiliesBefore compares with the absolute expiry, EventsBefore with the
	// time of the event, DeniedBefore with the token's expiry.
	FamiliesBefore time.Time
	EventsBefore   time.Time
	DeniedBefore   time.Time
	// ConfirmationsBefore compares with when a mailed link or code expires.
	ConfirmationsBefore time.Time
	// ActivityBefore compares with the minute, ConsoleBefore with when a
	// session of the console expires.
	ActivityBefore time.Time
	ConsoleBefore  time.Time
	// BrowsersBefore compares with when a session of a browser expires,
	// CodesBefore with when an authorization code does, PushedBefore with when a
	// pushed request does.
	BrowsersBefore time.Time
	CodesBefore    time.Time
	PushedBefore   time.Time
	// DevicesBefore compares with when a device that waits expires.
	DevicesBefore time.Time
	// UsedBefore compares with when an id that was used once expires.
	UsedBefore time.Time
	// StrangersBefore compares with when a client that no admin has registered
	// changed last; only one goes that nobody has let in and that is not disabled.
	StrangersBefore time.Time
	// ListsBefore compares with when a status list of sessions last gave away
	// entries; only one that is full and has no session left goes.
	ListsBefore time.Time
	Limit       int
}

// PurgeStore deletes what is over.
type PurgeStore interface {
	// AcquireLease makes holder the one who does the named work until the
	// given time, unless another holds it at now.
	AcquireLease(ctx context.Context, name, holder string, now, until time.Time) (bool, error)
	// Purge deletes at most Limit rows of each kind, each kind in a
	// transaction of its own, and returns how many it deleted in all.
	Purge(ctx context.Context, limits PurgeLimits) (int, error)
}

// Purger deletes expired families, denied tokens, old events and the status
// lists of sessions that are all gone, in small batches. Many nodes may run one: a lease lets one of them work.
type Purger struct {
	Store PurgeStore
	Now   func() time.Time
	// Holder is the node's random name.
	Holder string
	// EventRetention is how long events are kept.
	EventRetention time.Duration
}

const (
	purgeLease = 10 * time.Minute
	purgeBatch = 500
	// activityKept is a little more than the longest range of an overview.
	activityKept = RangeMonth + 24*time.Hour
	// strangerKept is how long a client that has registered itself may wait for its
	// first user.
	strangerKept = 30 * 24 * time.Hour
	// familyGrace keeps a family until the last access token that could ever
	// have been issued for it is dead, with a minute of leeway.
	familyGrace = MaxAccessTokenTTL + time.Minute
)

// Tick deletes what is over and returns how many rows that were. It does
// nothing while another node holds the lease.
func (p *Purger) Tick(ctx context.Context) (int, error) {
	now := p.Now().UTC()
	mine, err := p.Store.AcquireLease(ctx, "purge", p.Holder, now, now.Add(purgeLease))
	if err != nil || !mine {
		return 0, err
	}
	limits := PurgeLimits{
		FamiliesBefore: now.Add(-familyGrace), EventsBefore: now.Add(-p.EventRetention), DeniedBefore: now,
		ConfirmationsBefore: now, ActivityBefore: now.Add(-activityKept), ConsoleBefore: now,
		BrowsersBefore: now, CodesBefore: now.Add(-codeKept), PushedBefore: now, UsedBefore: now, DevicesBefore: now.Add(-deviceKept),
		StrangersBefore: now.Add(-strangerKept), ListsBefore: now.Add(-2 * leaseLife), Limit: purgeBatch,
	}
	total := 0
	for {
		n, err := p.Store.Purge(ctx, limits)
		total += n
		if err != nil {
			return total, fmt.Errorf("purge after %d rows: %w", total, err)
		}
		if n < purgeBatch {
			return total, nil
		}
	}
}
