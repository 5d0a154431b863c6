package authz

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// Rows that no index selects are searched for among searchWindow rows at most,
// searchBatch at a time; the caller goes on from there if he likes.
const (
	searchWindow = 5000
	searchBatch  = 500
)

// window collects up to page.Limit rows that match among the next rows of a
// list, and returns the place to go on from; its AfterID is empty at the end of
// the list.
func window[T any](page Page, list func(Page) ([]T, error), match func(T) bool, place func(T) (time.Time, string)) ([]T, Page, error) {
	var found []T
	next := page
	for seen := 0; seen < searchWindow; {
		// One row more than wanted tells whether the list goes on.
		next.Limit = min(max(page.Limit-len(found)+1, 2), searchBatch)
		if seen > 0 {
			next.Limit = searchBatch
		}
		rows, err := list(next)
		if err != nil {
			return nil, Page{}, err
		}
		for i, row := range rows {
			if match(row) {
				found = append(found, row)
			}
			next.After, next.AfterID = place(row)
			if len(found) == page.Limit {
				if i == len(rows)-1 && len(rows) < next.Limit {
					return found, Page{}, nil
				}
				return found, Page{After: next.After, AfterID: next.AfterID}, nil
			}
		}
		if len(rows) < next.Limit {
			return found, Page{}, nil
		}
		seen += len(rows)
	}
	return found, Page{After: next.After, AfterID: next.AfterID}, nil
}

// SessionState is what a session is for those who look at it.
type SessionState string

// The states of a session.
const (
	SessionLive    SessionState = "live"
	SessionRevoked SessionState = "revoked"
	SessionExpired SessionState = "expired"
)

// SessionStates returns all states.
func SessionStates() []SessionState {
	return []SessionState{SessionLive, SessionRevoked, SessionExpired}
}

// StateAt returns the state of the session at now.
func (f Family) StateAt(now time.Time) SessionState {
	switch f.State(now) {
	case "":
		return SessionLive
	case CauseRevoked:
		return SessionRevoked
	}
	return SessionExpired
}

// ExpiresAt returns when the session ends if it is not used again.
func (f Family) ExpiresAt() time.Time { return f.expiry() }

// SessionQuery is what somebody looks for among the sessions; empty fields
// select all.
type SessionQuery struct {
	UserID   string
	ClientID string
	// Address is that of the last use, or its network as Network gives it.
	Address string
	State   SessionState
	Page    Page
}

// Search returns the sessions that fit, newest first, and the place to go on
// from, whose AfterID is empty when there are no more. A page may hold fewer
// than its limit, or none, and still not be the last.
func (s *Sessions) Search(ctx context.Context, q SessionQuery) ([]Family, Page, error) {
	now := s.Now()
	address := canonicalAddress(q.Address)
	filter := SessionFilter{UserID: q.UserID, ClientID: q.ClientID, Live: q.State == SessionLive, Now: now}
	found, next, err := window(q.Page, func(page Page) ([]Family, error) {
		filter.Page = page
		return s.Store.ListSessions(ctx, filter)
	}, func(f Family) bool {
		return (address == "" || f.Device.Address == address || Network(f.Device.Address) == address) && (q.State == "" || f.StateAt(now) == q.State)
	}, func(f Family) (time.Time, string) { return f.CreatedAt, f.SessionID })
	if err != nil {
		return nil, Page{}, fmt.Errorf("search sessions: %w", err)
	}
	return found, next, nil
}

// canonicalAddress returns the form in which addresses and networks are kept.
func canonicalAddress(text string) string {
	if ip, err := netip.ParseAddr(text); err == nil {
		return ip.Unmap().String()
	}
	if network, err := netip.ParsePrefix(text); err == nil {
		return network.Masked().String()
	}
	return text
}

// Find returns the session with the id. The error has code NotFound.
func (s *Sessions) Find(ctx context.Context, id string) (Family, error) {
	if !PlainText(id) {
		return Family{}, errNoSession
	}
	f, err := s.Store.FamilyBySession(ctx, id)
	if err != nil {
		return Family{}, fmt.Errorf("session: %w", named(err, "session", id))
	}
	return f, nil
}

// Events lists the security events.
type Events struct {
	Store EventStore
}

// Search returns the events that fit, newest first, and the place to go on
// from, as Sessions.Search does.
func (e *Events) Search(ctx context.Context, filter EventFilter) ([]Event, Page, error) {
	indexed := filter.indexed()
	found, next, err := window(filter.Page, func(page Page) ([]Event, error) {
		indexed.Page = page
		return e.Store.ListEvents(ctx, indexed)
	}, filter.match, func(event Event) (time.Time, string) { return event.Time, event.ID })
	if err != nil {
		return nil, Page{}, fmt.Errorf("search events: %w", err)
	}
	return found, next, nil
}

// indexed returns the filter with only the one of its fields that selects the
// fewest events.
func (f EventFilter) indexed() EventFilter {
	one := EventFilter{From: f.From, Until: f.Until}
	switch {
	case f.SessionID != "":
		one.SessionID = f.SessionID
	case f.Target != "":
		one.Target = f.Target
	case f.UserID != "":
		one.UserID = f.UserID
	case f.Actor != "":
		one.Actor = f.Actor
	case f.ClientID != "":
		one.ClientID = f.ClientID
	default:
		one.Kind = f.Kind
	}
	return one
}

func (f EventFilter) match(e Event) bool {
	fits := func(wanted, is string) bool { return wanted == "" || wanted == is }
	return fits(string(f.Kind), string(e.Kind)) && fits(f.UserID, e.UserID) && fits(f.ClientID, e.ClientID) &&
		fits(f.SessionID, e.SessionID) && fits(f.Actor, e.Actor) && fits(f.Target, e.Target)
}
