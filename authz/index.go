package authz

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"chancery/authz/statuslist"
)

// StatusRef is an entry of a token status list: the list's id and the index
// in it. The zero value stands for none.
type StatusRef struct {
	List  string
	Index uint32
}

// StatusKind separates the lists of sessions, which retire when their last
// session is dead, from those of clients, which do not.
type StatusKind string

// The kinds of status list.
const (
	StatusSessions StatusKind = "session"
	StatusClients  StatusKind = "client"
)

// Lease is a run of counters of one list that nobody else is given.
type Lease struct {
	List     string
	Key      []byte
	Capacity uint32
	// Next is the first counter, End the one after the last.
	Next, End uint32
}

// LeaseRequest asks for Count counters of an open list of Kind. If there is
// none with room, a list NewList is opened with the rest.
type LeaseRequest struct {
	Kind    StatusKind
	Count   uint32
	NewList Lease
	Now     time.Time
}

// IndexStore hands out status-list counters.
type IndexStore interface {
	// LeaseIndexes advances a list's counter in one statement, or opens a new
	// list. A counter is never handed out twice. The list remembers when.
	LeaseIndexes(ctx context.Context, request LeaseRequest) (Lease, error)
}

// sessionLease is how many counters a node takes at a time: a crash loses the
// rest of them, and 256 logins cost one more statement.
const sessionLease = 256

// leaseLife is how long a lease is used. After that no node can still give
// anybody an entry of a list that has no room left.
const leaseLife = time.Hour

// Indexes allocates status-list entries for sessions out of leases. It is safe
// for concurrent use.
type Indexes struct {
	store IndexStore
	now   func() time.Time
	// turn is a lock that a waiting request can give up on.
	turn  chan struct{}
	lease Lease
	// leased is when the lease was taken.
	leased time.Time
}

// NewIndexes returns an allocator that leases from store.
func NewIndexes(store IndexStore, now func() time.Time) *Indexes {
	return &Indexes{store: store, now: now, turn: make(chan struct{}, 1)}
}

// Session returns an entry for a new session. A counter that was taken for a
// login that then failed is not used again.
func (x *Indexes) Session(ctx context.Context) (StatusRef, error) {
	select {
	case x.turn <- struct{}{}:
		defer func() { <-x.turn }()
	case <-ctx.Done():
		return StatusRef{}, fmt.Errorf("status index: %w: %w", ErrUnavailable, ctx.Err())
	}
	if now := x.now(); x.lease.Next == x.lease.End || now.Sub(x.leased) > leaseLife {
		lease, err := x.store.LeaseIndexes(ctx, leaseRequest(StatusSessions, sessionLease, now))
		if err != nil {
			return StatusRef{}, fmt.Errorf("lease status indexes: %w", err)
		}
		x.lease, x.leased = lease, now
	}
	ref, err := x.lease.ref()
	x.lease.Next++
	return ref, err
}

// Client returns an entry for a client's own tokens.
func (x *Indexes) Client(ctx context.Context) (StatusRef, error) {
	lease, err := x.store.LeaseIndexes(ctx, leaseRequest(StatusClients, 1, x.now()))
	if err != nil {
		return StatusRef{}, fmt.Errorf("lease status index: %w", err)
	}
	return lease.ref()
}

func (l Lease) ref() (StatusRef, error) {
	index, err := statuslist.Index(l.Key, l.Capacity, l.Next)
	return StatusRef{List: l.List, Index: index}, err
}

func leaseRequest(kind StatusKind, count uint32, now time.Time) LeaseRequest {
	return LeaseRequest{Kind: kind, Count: count, Now: now, NewList: Lease{
		List: strings.ToLower(rand.Text()), Key: randomBytes(statuslist.KeySize), Capacity: statuslist.Capacity, End: count,
	}}
}
