package authz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"chancery/authz/password"
)

// LoginStore is what a login reads and writes.
type LoginStore interface {
	// UserForLogin returns the user with the normalised name or, if there is
	// none, with that verified address, and how many live sessions the user has
	// at now, all in one statement. ErrNotFound means that there is neither.
	UserForLogin(ctx context.Context, name string, now time.Time) (user User, sessions int, err error)
	// InsertFamily stores a new session in one statement that checks the user
	// again: it must exist with the epoch and be active at the family's
	// creation; and the client must exist and not be disabled. ErrNotFound means
	// that it is otherwise, and nothing was stored. The roles are taken from the user as it is then, not from family.
	InsertFamily(ctx context.Context, family Family, epoch int64) error
	// Rehash replaces the user's password hash if it is still before.
	Rehash(ctx context.Context, userID, before, after string) error
}

// Login is who somebody has proven to be so far: the user, as read before the
// first check, and how it was proven.
type Login struct {
	User User
	// Sessions is how many live sessions the user had then.
	Sessions int
	// AMR are the proofs so far (RFC 8176); AuthTime is that of the last one.
	AMR      []string
	AuthTime time.Time
}

// LoginStep names what a login asks for.
type LoginStep string

// The steps of a login.
const (
	// StepPassword asks for username and password.
	StepPassword LoginStep = "password"
	// StepDone asks for nothing more.
	StepDone LoginStep = "done"
)

// amrPassword says that a password was checked (RFC 8176 section 2).
const amrPassword = "pwd"

// Next returns the step that the login must take now. It is the whole rule of
// what a user has to prove, for grants and pages alike.
func (l Login) Next() LoginStep {
	if !slices.Contains(l.AMR, amrPassword) {
		return StepPassword
	}
	return StepDone
}

// LoginProof is what somebody presents to log in. Each step reads what it asks
// for.
type LoginProof struct {
	Username string
	Password Secret
}

// errLogin is one answer for an unknown user, a wrong password and an account
// that may not log in.
var errLogin = fail(InvalidGrant, "The username or password is wrong.")

// errBusy tells that too many passwords are being hashed.
func errBusy(err error) *Error {
	return &Error{Code: TemporarilyUnavailable, Description: "Too many logins at once. Try again.", Err: err}
}

// passwordError translates what a check of the user's password could not do.
func passwordError(user User, err error) error {
	if errors.Is(err, password.ErrBusy) {
		return errBusy(err)
	}
	return fmt.Errorf("user %s: %w", user.ID, err)
}

// Login takes the steps of a login until none is left, with what proof holds
// for them. It is the only way in, for every grant and page. A proof that lacks
// what a step asks for fails. The error has code InvalidGrant, the same for
// every reason, or TemporarilyUnavailable.
func (s *Service) Login(ctx context.Context, clientID string, proof LoginProof, device Device) (Login, error) {
	var login Login
	for login.Next() != StepDone {
		var err error
		if login, err = s.advance(ctx, clientID, login, proof, device); err != nil {
			return Login{}, err
		}
	}
	return login, nil
}

// advance takes the next step of a login and returns what is proven then.
func (s *Service) advance(ctx context.Context, clientID string, login Login, proof LoginProof, device Device) (Login, error) {
	switch login.Next() {
	case StepPassword:
		return s.provePassword(ctx, clientID, proof, device)
	case StepDone:
	}
	return login, nil
}

// provePassword is the step in which the user says who he is. Unknown users are
// throttled as known ones are, and cost the same work.
func (s *Service) provePassword(ctx context.Context, clientID string, proof LoginProof, device Device) (Login, error) {
	name, err := NormalizeName(proof.Username)
	if err != nil {
		// No account can have the name. It is counted and looked up all the
		// same, under one that cannot exist either, to take as long.
		name = " "
	}
	attempt := newAttempt(name, clientID, device.Address)
	if err := s.Throttle.login(ctx, &attempt); err != nil {
		s.throttled(clientID, device)
		return Login{}, err
	}
	user, sessions, err := s.userForLogin(ctx, name)
	if err != nil {
		return Login{}, err
	}
	ok, rehash, err := s.Passwords.Verify(ctx, user.PasswordHash, proof.Password.Reveal())
	if err != nil {
		return Login{}, passwordError(user, err)
	}
	now := s.now()
	if !ok || !user.Active(now) || user.MustChange {
		s.loginFailed(user.ID, clientID, device, loginFailure(user, ok, now))
		return Login{}, errLogin
	}
	s.Throttle.succeeded(ctx, attempt)
	if rehash {
		if err := s.rehash(ctx, user, proof.Password); err != nil {
			return Login{}, err
		}
	}
	return Login{User: user, Sessions: sessions, AMR: []string{amrPassword}, AuthTime: now}, nil
}

// userForLogin returns the user of that name, or one without a password hash,
// so that the work that follows is the same.
func (s *Service) userForLogin(ctx context.Context, name string) (User, int, error) {
	user, sessions, err := s.Logins.UserForLogin(ctx, name, s.now())
	if errors.Is(err, ErrNotFound) {
		return User{}, 0, nil
	}
	if err != nil {
		return User{}, 0, fmt.Errorf("user: %w", err)
	}
	return user, sessions, nil
}

// throttled records that attempts from a device are being refused.
func (s *Service) throttled(clientID string, device Device) {
	event := NewEvent(EventThrottled, s.now())
	event.ClientID, event.Device = clientID, device
	s.Events.Record(event.oncePerMinute())
}

func loginFailure(user User, ok bool, now time.Time) string {
	switch {
	case user.ID == "":
		return "unknown user"
	case !ok:
		return "wrong password"
	case !user.Active(now):
		return "account not active"
	}
	return "password must be changed"
}

func (s *Service) loginFailed(userID, clientID string, device Device, detail string) {
	event := NewEvent(EventLoginFailed, s.now())
	event.UserID, event.ClientID, event.Device, event.Detail = userID, clientID, device, detail
	s.Events.Record(event.oncePerMinute())
}

func (s *Service) rehash(ctx context.Context, user User, secret Secret) error {
	hash, err := s.Passwords.Hash(ctx, secret.Reveal())
	if errors.Is(err, password.ErrUnacceptable) || errors.Is(err, password.ErrBusy) {
		return nil // the old hash stays good, and there is a next time
	}
	if err != nil {
		return fmt.Errorf("rehash password of user %s: %w", user.ID, err)
	}
	if err := s.Logins.Rehash(ctx, user.ID, user.PasswordHash, hash); err != nil {
		return fmt.Errorf("rehash password of user %s: %w", user.ID, err)
	}
	return nil
}
