package authz

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// BrowserSession says that a user is logged in in a browser. It is apart from
// the sessions of clients, which begin with it and outlive it or not. Times are
// UTC with milliseconds.
type BrowserSession struct {
	// Hash is that of what the browser's cookie holds.
	Hash Hash
	// ID stays the same when the user logs in again.
	ID     string
	UserID string
	// AuthEpoch and SessionEpoch are those of the user when he logged in:
	// whatever ends all of his sessions ends this one.
	AuthEpoch    int64
	SessionEpoch int64
	AMR          []string
	AuthTime     time.Time
	// LoginFor is the authorization request that the last login was made for,
	// until that is answered; zero for none.
	LoginFor  Hash
	CreatedAt time.Time
	// UsedAt is when it was last used, to within usedPrecision.
	UsedAt    time.Time
	ExpiresAt time.Time
	Device    Device
}

// BrowserSessionStore keeps the sessions of browsers.
type BrowserSessionStore interface {
	// BrowserSession returns the session with the hash, or ErrNotFound.
	BrowserSession(ctx context.Context, hash Hash) (BrowserSession, error)
	// SaveBrowserSession stores the session and deletes the one with the hash
	// before, if there is one, in one transaction.
	SaveBrowserSession(ctx context.Context, session BrowserSession, before Hash) error
	// UseBrowserSession sets when the session was used, if it is there.
	UseBrowserSession(ctx context.Context, hash Hash, used time.Time) error
	// BrowserOf returns the id of the browser session in which a session of a client
	// began, or ErrNotFound.
	BrowserOf(ctx context.Context, sessionID string) (string, error)
	// UserByID returns the user with the id, or ErrNotFound.
	UserByID(ctx context.Context, id string) (User, error)
}

// BrowserPolicy says how long a browser stays logged in.
type BrowserPolicy struct {
	// IdleTTL ends a session that is not used for so long, AbsoluteTTL one that
	// is so old.
	IdleTTL, AbsoluteTTL time.Duration
}

// usedPrecision is how much later a session must be used again for that to be
// written.
const usedPrecision = time.Minute

// BrowserLogin is a browser with the user who is logged in in it. The zero value
// is a browser in which nobody is.
type BrowserLogin struct {
	Session BrowserSession
	User    User
}

// Known reports whether a user is logged in.
func (l BrowserLogin) Known() bool { return l.User.ID != "" }

// Browsers logs users in and out in browsers. It is safe for concurrent use.
type Browsers struct {
	Service *Service
	Store   BrowserSessionStore
	Policy  BrowserPolicy
}

// AccountClientID is what stands for the user's own pages where events name a
// client. No client can be registered under it.
const AccountClientID = "~account"

// Find returns the login of the browser whose cookie holds the token. A session
// that is over is none, and that is no error.
func (b *Browsers) Find(ctx context.Context, token Secret) (BrowserLogin, error) {
	if token == "" {
		return BrowserLogin{}, nil
	}
	session, err := b.Store.BrowserSession(ctx, HashSecret(token))
	if errors.Is(err, ErrNotFound) {
		return BrowserLogin{}, nil
	}
	if err != nil {
		return BrowserLogin{}, fmt.Errorf("browser session: %w", err)
	}
	now := b.Service.now()
	if !now.Before(session.ExpiresAt) || !now.Before(session.UsedAt.Add(b.Policy.IdleTTL)) {
		return BrowserLogin{}, nil
	}
	user, err := b.Store.UserByID(ctx, session.UserID)
	if errors.Is(err, ErrNotFound) {
		return BrowserLogin{}, nil
	}
	if err != nil {
		return BrowserLogin{}, fmt.Errorf("user: %w", err)
	}
	if !user.Active(now) || user.MustChange || user.AuthEpoch != session.AuthEpoch || user.ConsoleEpoch != session.SessionEpoch {
		return BrowserLogin{}, nil
	}
	if now.Sub(session.UsedAt) >= usedPrecision {
		if err := b.Store.UseBrowserSession(ctx, session.Hash, now); err != nil {
			return BrowserLogin{}, fmt.Errorf("browser session: %w", err)
		}
	}
	return BrowserLogin{Session: session, User: user}, nil
}

// BrowserAttempt is a login on a page.
type BrowserAttempt struct {
	// ClientID is the client that the login is for, AccountClientID for none.
	ClientID string
	// For is the authorization request that it is for, zero for none.
	For   Hash
	Proof LoginProof
	// Before is the login that the browser has already.
	Before BrowserLogin
	Device Device
}

// Login logs a user in and returns what the browser's cookie shall hold: never
// what it held before, which somebody else may have put there. The error is as
// that of Service.Login.
func (b *Browsers) Login(ctx context.Context, attempt BrowserAttempt) (Secret, error) {
	device := newDevice(attempt.Device.Address, attempt.Device.UserAgent)
	if !PlainText(attempt.Proof.Username) || !PlainText(attempt.Proof.Password.Reveal()) {
		return "", errLogin
	}
	login, err := b.Service.Login(ctx, attempt.ClientID, attempt.Proof, device)
	b.Service.observe(GrantPassword, TokenResponse{}, err)
	if err != nil {
		return "", err
	}
	token, now := newSecret(""), b.Service.now()
	session := BrowserSession{
		Hash: HashSecret(token), ID: uuid.NewString(), UserID: login.User.ID, AuthEpoch: login.User.AuthEpoch, SessionEpoch: login.User.ConsoleEpoch,
		AMR: login.AMR, AuthTime: login.AuthTime, LoginFor: attempt.For, CreatedAt: now, UsedAt: now, ExpiresAt: now.Add(b.Policy.AbsoluteTTL), Device: device,
	}
	if before := attempt.Before; before.User.ID == login.User.ID {
		session.ID, session.CreatedAt = before.Session.ID, before.Session.CreatedAt
	} else if err := b.Logout(ctx, before, device); err != nil {
		return "", err // somebody else was logged in
	}
	if err := b.Store.SaveBrowserSession(ctx, session, attempt.Before.Session.Hash); err != nil {
		return "", fmt.Errorf("browser session: %w", err)
	}
	event := NewEvent(EventLoginSucceeded, now)
	event.UserID, event.ClientID, event.Device = login.User.ID, attempt.ClientID, device
	b.Service.Events.Record(event)
	return token, nil
}

// Logout ends the login of a browser and with it the sessions of clients that
// began there, but for those that were granted offline access (OpenID Connect
// Back-Channel Logout section 2.7).
func (b *Browsers) Logout(ctx context.Context, login BrowserLogin, device Device) error {
	if !login.Known() {
		return nil
	}
	_, err := b.Service.Sessions.End(ctx, Ending{
		BrowserID: login.Session.ID, Spare: ScopeOfflineAccess, Cause: CauseLogout, Device: newDevice(device.Address, device.UserAgent),
	})
	return err
}
