package authz

import (
	"time"
)

// Family is one session: the row that all refresh tokens of a login share.
// Times are UTC with milliseconds; zero means never.
type Family struct {
	// SessionID is public ("sid"); the row is not looked up by it on refresh.
	SessionID string
	// HandleHash is the SHA-256 of the handle inside the refresh tokens.
	HandleHash Hash
	ClientID   string
	UserID     string
	Scope      Scope
	Resources  []string
	Roles      []string
	AMR        []string
	AuthTime   time.Time
	CreatedAt  time.Time
	// Generation is that of the newest refresh token; RotatedAt is when it
	// came to be, which is also when the session was last used.
	Generation        uint64
	RotatedAt         time.Time
	IdleExpiresAt     time.Time
	AbsoluteExpiresAt time.Time
	RevokedAt         time.Time
	RevokedCause      Cause
	// LostGeneration is the last generation whose lost answer was repeated
	// after the leeway; LostCount counts such generations since LostSince.
	LostGeneration uint64
	LostCount      int
	LostSince      time.Time
	Status         StatusRef
	Device         Device
	// KeyThumbprint is that of the key which the refresh tokens of a public client
	// are bound to (RFC 9449 section 5), "" for none.
	KeyThumbprint string
}

// Device is what is known of the device that a session was last used from.
type Device struct {
	Address   string
	UserAgent string
}

const maxUserAgent = 256

// newDevice cuts the user agent to the length that is stored.
func newDevice(address, userAgent string) Device {
	if len(userAgent) > maxUserAgent {
		userAgent = userAgent[:maxUserAgent]
	}
	return Device{Address: address, UserAgent: validText(userAgent)}
}

// State returns why the session can no longer be refreshed, or "" while it
// lives. A time that is reached has passed.
func (f Family) State(now time.Time) Cause {
	switch {
	case !f.RevokedAt.IsZero():
		return CauseRevoked
	case !now.Before(f.AbsoluteExpiresAt):
		return CauseExpiredAbsolute
	case !now.Before(f.IdleExpiresAt):
		return CauseExpiredIdle
	}
	return ""
}

// expiry returns when the session ends if it is not used again.
func (f Family) expiry() time.Time {
	if f.AbsoluteExpiresAt.Before(f.IdleExpiresAt) {
		return f.AbsoluteExpiresAt
	}
	return f.IdleExpiresAt
}

// Action is what a presented refresh token asks for.
type Action int

// The actions that Family.Check decides between.
const (
	// Refuse: the session is over.
	Refuse Action = iota
	// Rotate: the token is the newest one; swap the generation.
	Rotate
	// Replay: repeat the answer; nothing is written.
	Replay
	// Forgive: repeat the answer once the forgiveness is recorded.
	Forgive
	// Restore: the row has fallen behind the token; bring it forward.
	Restore
	// Reuse: end the session.
	Reuse
)

// Decision is the outcome of Family.Check.
type Decision struct {
	Action Action
	Cause  Cause
	// LostCount and LostSince are what a Forgive records.
	LostCount int
	LostSince time.Time
}

const lostResponsePeriod = 24 * time.Hour

// Check decides what a refresh token of the given generation means for the
// family at now. It is the whole refresh rule, and pure: the token's MAC and
// the client have been checked before. Windows are anchored at the rotation
// and never slide.
func (f Family) Check(generation uint64, policy RefreshPolicy, now time.Time) Decision {
	if cause := f.State(now); cause != "" {
		return Decision{Action: Refuse, Cause: cause}
	}
	switch {
	case generation == f.Generation:
		return Decision{Action: Rotate}
	case generation > f.Generation:
		return Decision{Action: Restore, Cause: CauseRestored}
	case generation == f.Generation-1:
		return f.checkPredecessor(policy, now)
	}
	return Decision{Action: Reuse, Cause: CauseReuse}
}

// checkPredecessor decides about the token just before the newest one: its
// answer was lost, two tabs raced, or it was stolen.
func (f Family) checkPredecessor(policy RefreshPolicy, now time.Time) Decision {
	if now.Before(f.RotatedAt.Add(policy.Leeway)) {
		return Decision{Action: Replay, Cause: CauseConcurrent}
	}
	if !now.Before(f.RotatedAt.Add(policy.LostResponseWindow)) {
		return Decision{Action: Reuse, Cause: CauseReuse}
	}
	if f.LostGeneration == f.Generation {
		return Decision{Action: Replay, Cause: CauseLostResponse}
	}
	count, since := f.LostCount, f.LostSince
	if since.IsZero() || !now.Before(since.Add(lostResponsePeriod)) {
		count, since = 0, now
	}
	if count >= policy.LostResponseBudget {
		return Decision{Action: Reuse, Cause: CauseReuse}
	}
	return Decision{Action: Forgive, Cause: CauseLostResponse, LostCount: count + 1, LostSince: since}
}
