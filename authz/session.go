package authz

import (
	"context"
	"fmt"
	"time"
)

// Ending says which sessions end, and why. Exactly one of SessionID, UserID,
// ClientID, BrowserID and All selects them, or UserID and ClientID together.
type Ending struct {
	SessionID string
	UserID    string
	ClientID  string
	// BrowserID selects the sessions that began in a browser session, which ends
	// with them. The clients of those that are spared are told all the same.
	BrowserID string
	All       bool
	// Spare, unless empty, is a scope that spares a session that was granted it.
	Spare string
	// Browsers ends the browser sessions too in which the ended ones began:
	// otherwise they could begin anew without the user. What an admin ends always
	// does.
	Browsers bool
	// Except is a session id that stays.
	Except string
	// Trim spares the newest Keep of the user's live sessions, and those that
	// are over already.
	Trim  bool
	Keep  int
	Cause Cause
	// Kind is the event that is stored for each, EventSessionEnded if empty.
	Kind   EventKind
	Actor  string
	Device Device
	Now    time.Time
	// Limit bounds how many end in one transaction; zero stands for all.
	Limit int
}

// OfUser reports whether all sessions of a user are meant, with which those in
// the console and in browsers end.
func (e Ending) OfUser() bool { return e.UserID != "" && e.ClientID == "" && !e.Trim }

// Event returns what is stored beside the end of one session.
func (e Ending) Event(sessionID, userID, clientID string) Event {
	kind := e.Kind
	if kind == "" {
		kind = EventSessionEnded
	}
	event := NewEvent(kind, e.Now)
	event.SessionID, event.UserID, event.ClientID = sessionID, userID, clientID
	event.Cause, event.Actor, event.Device = e.Cause, e.Actor, e.Device
	return event
}

// SessionFilter selects sessions for a list.
type SessionFilter struct {
	UserID   string
	ClientID string
	// Live leaves out sessions that are ended or expired at Now.
	Live bool
	Now  time.Time
	Page Page
}

// Page is a place in a list that runs from new to old: after the row of that
// time and id, at most Limit rows.
type Page struct {
	After   time.Time
	AfterID string
	Limit   int
}

// SessionStore lists and ends sessions.
type SessionStore interface {
	// FamilyBySession returns the session with the id, or ErrNotFound.
	FamilyBySession(ctx context.Context, sessionID string) (Family, error)
	// ListSessions returns sessions from the newest to the oldest.
	ListSessions(ctx context.Context, filter SessionFilter) ([]Family, error)
	// EndSessions ends the selected sessions that were not ended before, also
	// those that have expired, and stores an event for each, in one transaction
	// that begins with the write. It returns how many it ended.
	EndSessions(ctx context.Context, ending Ending) (int, error)
}

// Sessions finds, lists and ends sessions. Every path that ends a session,
// except a change of its user (which does it in its own transaction), goes
// through End.
type Sessions struct {
	Store SessionStore
	Now   func() time.Time
}

// endBatch is how many sessions end in one transaction when a client or
// everybody is meant.
const endBatch = 500

// End ends the selected sessions and returns how many it ended. It is
// idempotent; when it returns nil the end is committed. Cause and selection
// must be set, Now is filled in.
func (s *Sessions) End(ctx context.Context, ending Ending) (int, error) {
	ending.Now = kept(s.Now)
	if ending.Cause == CauseAdmin {
		ending.Browsers = true
	}
	if !ending.All && (ending.ClientID == "" || ending.UserID != "") {
		n, err := s.Store.EndSessions(ctx, ending)
		if err != nil {
			return n, fmt.Errorf("end sessions: %w", err)
		}
		return n, nil
	}
	ending.Limit = endBatch
	total := 0
	for {
		n, err := s.Store.EndSessions(ctx, ending)
		total += n
		if err != nil {
			return total, fmt.Errorf("end sessions after %d: %w", total, err)
		}
		// A batch may be short because one of its sessions ended meanwhile;
		// only an empty one says that none is left.
		if n == 0 {
			return total, nil
		}
	}
}

// List returns the sessions that filter selects, newest first.
func (s *Sessions) List(ctx context.Context, filter SessionFilter) ([]Family, error) {
	filter.Now = s.Now()
	families, err := s.Store.ListSessions(ctx, filter)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	return families, nil
}
