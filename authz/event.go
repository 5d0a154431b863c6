package authz

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/google/uuid"
)

// EventKind names what a security event tells of.
type EventKind string

// The kinds of security event.
const (
	EventLoginSucceeded  EventKind = "login_succeeded"
	EventLoginFailed     EventKind = "login_failed"
	EventSessionStarted  EventKind = "session_started"
	EventConsentGiven    EventKind = "consent_given"
	EventConsentRevoked  EventKind = "consent_revoked"
	EventLogoutDelivered EventKind = "logout_delivered"
	EventLogoutFailed    EventKind = "logout_failed"
	EventThrottled       EventKind = "throttled"
	EventSessionEnded    EventKind = "session_ended"
	EventReuseDetected   EventKind = "reuse_detected"
	EventLostResponse    EventKind = "lost_response"
	EventSessionRestored EventKind = "session_restored"
	EventRefreshRefused  EventKind = "refresh_refused"
	EventWrongClient     EventKind = "wrong_client"
	EventTokenRevoked    EventKind = "token_revoked"
	EventUserCreated     EventKind = "user_created"
	EventUserChanged     EventKind = "user_changed"
	EventUserBanned      EventKind = "user_banned"
	EventUserUnbanned    EventKind = "user_unbanned"
	EventUserDeleted     EventKind = "user_deleted"
	EventRolesChanged    EventKind = "roles_changed"
	EventPasswordChanged EventKind = "password_changed"
	EventEmailChanged    EventKind = "email_changed"

	EventClientCreated   EventKind = "client_created"
	EventClientChanged   EventKind = "client_changed"
	EventSecretRotated   EventKind = "client_secret_rotated"
	EventClientDeleted   EventKind = "client_deleted"
	EventResourceCreated EventKind = "resource_created"
	EventResourceChanged EventKind = "resource_changed"
	EventResourceDeleted EventKind = "resource_deleted"
	EventKeyCreated      EventKind = "key_created"
	EventKeyRotated      EventKind = "key_rotated"
	EventKeyCompromised  EventKind = "key_compromised"
	EventKeyRemoved      EventKind = "key_removed"
)

// EventKinds returns all kinds, in the order of their constants.
func EventKinds() []EventKind {
	return []EventKind{
		EventLoginSucceeded, EventLoginFailed, EventSessionStarted, EventConsentGiven, EventConsentRevoked, EventLogoutDelivered, EventLogoutFailed,
		EventThrottled, EventSessionEnded, EventReuseDetected, EventLostResponse, EventSessionRestored,
		EventRefreshRefused, EventWrongClient, EventTokenRevoked, EventUserCreated, EventUserChanged, EventUserBanned, EventUserUnbanned,
		EventUserDeleted, EventRolesChanged, EventPasswordChanged, EventEmailChanged, EventClientCreated, EventClientChanged, EventSecretRotated,
		EventClientDeleted, EventResourceCreated, EventResourceChanged, EventResourceDeleted, EventKeyCreated, EventKeyRotated,
		EventKeyCompromised, EventKeyRemoved,
	}
}

// Event is one line of the security log. Every field but Kind and Time may be
// empty.
type Event struct {
	ID        string
	Time      time.Time
	Kind      EventKind
	UserID    string
	ClientID  string
	SessionID string
	// Actor is who did it, when it was not the session's own user or client: a
	// user's or client's id, or "cli".
	Actor string
	// Target is what was changed when it is neither the user, the client nor
	// the session: the URI of a resource, the id of a key.
	Target string
	// Changes are what of the target is different now.
	Changes []Difference
	Cause   Cause
	Device  Device
	// Detail is a short text for people, without secrets.
	Detail string
	// Once, when set, lets the event be stored only if none with the same
	// value is: a stranger cannot fill the log by repeating himself.
	Once string
}

// EventSink takes events that need not stand in the transaction of what they
// tell of.
type EventSink interface {
	// Record keeps the event for a later write and does not block. When too
	// many wait it drops the event and counts that.
	Record(event Event)
}

// Difference is one changed field of something, in the words of the admin
// API. It holds no secret.
type Difference struct {
	Field, Before, After string
}

// EventFilter selects events for a list; empty fields select all. Of Kind,
// UserID, ClientID, SessionID, Actor and Target a store is given one at most.
type EventFilter struct {
	Kind      EventKind
	UserID    string
	ClientID  string
	SessionID string
	Actor     string
	Target    string
	// From and Until bound the time: From is included, Until is not.
	From  time.Time
	Until time.Time
	Page  Page
}

// EventStore writes and lists events.
type EventStore interface {
	// ListEvents returns events from the newest to the oldest.
	ListEvents(ctx context.Context, filter EventFilter) ([]Event, error)
	// AppendEvents stores events in one transaction; those whose Once is
	// stored already are left out.
	AppendEvents(ctx context.Context, events []Event) error
}

// NewEvent returns an event with what every one has. IDs sort by time.
func NewEvent(kind EventKind, now time.Time) Event {
	id, err := uuid.NewV7()
	if err != nil {
		id = uuid.New() // the clock-less kind; it cannot fail
	}
	return Event{ID: id.String(), Time: now, Kind: kind}
}

// oncePerHour limits an event to one per session, kind and hour.
func (e Event) oncePerHour() Event {
	e.Once = onceKey(e.SessionID, string(e.Kind), e.Time.UTC().Format("2006010215"))
	return e
}

// oncePerMinute limits an event to one per user, network address, kind,
// detail and minute: a stranger who guesses passwords cannot fill the log.
func (e Event) oncePerMinute() Event {
	e.Once = onceKey(e.UserID, Network(e.Device.Address), string(e.Kind), e.Detail, e.Time.UTC().Format("200601021504"))
	return e
}

// oncePerSession limits an event to one per session and kind.
func (e Event) oncePerSession() Event {
	e.Once = onceKey(e.SessionID, string(e.Kind))
	return e
}

// onceKey is a hash: it is kept as long as the event, and must not keep an
// address that was blanked beside it.
func onceKey(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// forFamily says which session the event belongs to.
func (e Event) forFamily(f Family, device Device) Event {
	e.UserID, e.ClientID, e.SessionID, e.Device = f.UserID, f.ClientID, f.SessionID, device
	return e
}
