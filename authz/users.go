package authz

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"chancery/authz/password"
)

// UserChange is what every change of a user carries: who, when, and the event
// that is stored in the same transaction.
type UserChange struct {
	UserID string
	// Epoch is the user's as it was read: the change is made only while it is
	// still so. Zero makes it in any case.
	Epoch int64
	// Unchanged is when the user was last changed: the change is made only
	// while that is still so. Zero makes it in any case.
	Unchanged time.Time
	// Now becomes the time of the last change, or what is a millisecond after
	// that of the change before.
	Now   time.Time
	Event Event
	// Ending says why and by whom the user's sessions end, for the changes
	// that end them.
	Ending Ending
}

// Ban is the change that bans a user.
type Ban struct {
	UserChange
	Until  time.Time
	Reason string
}

// PasswordChange is the change that sets a user's password.
type PasswordChange struct {
	UserChange
	Hash       string
	MustChange bool
}

// UserStore keeps the users. Each change is one transaction that begins with
// its write and stores the change's event; ErrNotFound means that there is no
// such user, or that its epoch or last change is another than the change names.
type UserStore interface {
	// InsertUser stores a new user; ErrConflict means that the name is taken,
	// or the verified address is another user's.
	InsertUser(ctx context.Context, user User, event Event) error
	// SetRoles changes the roles of the user and of its live families.
	SetRoles(ctx context.Context, change UserChange, roles []string) error
	// SetPassword changes the hash, raises the epoch and ends the sessions.
	SetPassword(ctx context.Context, change PasswordChange) error
	// DeleteUser ends the sessions, blanks the personal data of the families
	// and deletes the user.
	DeleteUser(ctx context.Context, change UserChange) error
}

// UserReader finds and lists the users.
type UserReader interface {
	// UserByName returns the user with the normalised name, or ErrNotFound.
	UserByName(ctx context.Context, name string) (User, error)
	// UserByID returns the user with the id, or ErrNotFound.
	UserByID(ctx context.Context, id string) (User, error)
	// ListUsers returns the users that filter selects, in its order.
	ListUsers(ctx context.Context, filter UserFilter) ([]User, error)
	// UserNames returns the usernames of those of the ids that are users.
	UserNames(ctx context.Context, ids []string) (map[string]string, error)
}

// BanStore bans users, under the same promises as UserStore.
type BanStore interface {
	// BanUser sets the ban, raises the epoch and ends the sessions.
	BanUser(ctx context.Context, ban Ban) error
	// UnbanUser lifts a ban.
	UnbanUser(ctx context.Context, change UserChange) error
}

// Users administers accounts. Usernames are normalised here; expected failures
// are *Error.
type Users struct {
	Store     UserStore
	Reader    UserReader
	Bans      BanStore
	Passwords *password.Hasher
	Policy    *password.Policy
	Now       func() time.Time
	// Actor and Device are stored with every event: who, and from where.
	Actor  string
	Device Device
	// Unchanged, unless zero, is when the user must have been changed last for a
	// change to be made; otherwise its error has code Changed.
	Unchanged time.Time
}

// By returns a copy of u for the changes of an actor.
func (u Users) By(actor string, device Device) *Users {
	u.Actor, u.Device = actor, device
	return &u
}

// If returns a copy of u whose changes are made only while the user was last
// changed at that time.
func (u Users) If(unchanged time.Time) *Users {
	u.Unchanged = unchanged
	return &u
}

// NewUser describes a user to be created.
type NewUser struct {
	Username string
	Email    string
	// EmailVerified says that the address is known to be the user's own.
	EmailVerified bool
	Password      Secret
	Roles         []string
	MustChange    bool
}

// Create stores a new user. The error has code InvalidInput or Conflict.
func (u *Users) Create(ctx context.Context, n NewUser) (User, error) {
	user, err := u.prepare(ctx, n)
	if err != nil {
		return User{}, err
	}
	event := u.change(EventUserCreated, user.ID).Event
	event.Changes = user.differences(User{})
	if err := u.Store.InsertUser(ctx, user, event); err != nil {
		return User{}, fmt.Errorf("create user: %w", named(err, "user", n.Username))
	}
	return user, nil
}

// prepare validates n and hashes its password.
func (u *Users) prepare(ctx context.Context, n NewUser) (User, error) {
	now := u.now()
	user := User{ID: newUserID(), MustChange: n.MustChange, AuthEpoch: 1, CreatedAt: now, UpdatedAt: now}
	if err := user.setNames(n.Username, n.Email); err != nil {
		return User{}, err
	}
	var err error
	if user.Roles, err = validateRoles(n.Roles); err != nil {
		return User{}, err
	}
	if n.EmailVerified && user.Email != "" {
		user.EmailVerifiedAt = now
	}
	user.PasswordHash, err = u.hash(ctx, n.Password, n.Username, user.Email)
	return user, err
}

func (u *Users) hash(ctx context.Context, secret Secret, about ...string) (string, error) {
	return newPasswordHash(ctx, u.Policy, u.Passwords, secret, about...)
}

// newPasswordHash hashes a password that may be set for a user of whom about
// is known. The error has code InvalidInput for one that may not, and
// TemporarilyUnavailable when too many are being hashed.
func newPasswordHash(ctx context.Context, policy *password.Policy, hasher *password.Hasher, secret Secret, about ...string) (string, error) {
	err := policy.Check(secret.Reveal(), about...)
	var hash string
	if err == nil {
		hash, err = hasher.Hash(ctx, secret.Reveal())
	}
	switch {
	case errors.Is(err, password.ErrUnacceptable):
		return "", unacceptable(err)
	case errors.Is(err, password.ErrBusy):
		return "", errBusy(err)
	case err != nil:
		return "", fmt.Errorf("hash password: %w", err)
	}
	return hash, nil
}

// unacceptable tells why a password may not be set.
func unacceptable(err error) *Error { return &Error{Code: InvalidInput, Description: err.Error()} }

// Find returns the user whom who names: by id, if it has the form of one, and
// else by username. The error has code NotFound.
func (u *Users) Find(ctx context.Context, who string) (User, error) {
	if userIDForm.MatchString(who) {
		user, err := u.Reader.UserByID(ctx, who)
		if err != nil {
			return User{}, fmt.Errorf("find user: %w", named(err, "user", who))
		}
		return user, nil
	}
	name, err := NormalizeName(who)
	if err != nil {
		return User{}, err
	}
	user, err := u.Reader.UserByName(ctx, name)
	if err != nil {
		return User{}, fmt.Errorf("find user: %w", named(err, "user", who))
	}
	return user, nil
}

// userIDForm is the form of user ids. No username may have it.
var userIDForm = regexp.MustCompile(`^usr_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// Ban refuses logins until the given time (Forever for a ban without end) and
// ends every session at once.
func (u *Users) Ban(ctx context.Context, username string, until time.Time, reason string) (User, error) {
	if !until.After(u.now()) {
		return User{}, invalidInput("a ban must end in the future")
	}
	until, reason = until.UTC().Truncate(time.Millisecond), validText(reason)
	set := func(user *User) { user.BannedUntil, user.BanReason = until, reason }
	return u.edit(ctx, username, EventUserBanned, CauseBanned, set, func(change UserChange) error {
		change.Event.Detail = reason
		return u.Bans.BanUser(ctx, Ban{UserChange: change, Until: until, Reason: reason})
	})
}

// Unban lifts a ban. Sessions that it ended stay ended.
func (u *Users) Unban(ctx context.Context, username string) (User, error) {
	set := func(user *User) { user.BannedUntil, user.BanReason = time.Time{}, "" }
	return u.edit(ctx, username, EventUserUnbanned, "", set, func(change UserChange) error {
		return u.Bans.UnbanUser(ctx, change)
	})
}

// SetPassword replaces the password and ends every session.
func (u *Users) SetPassword(ctx context.Context, username string, secret Secret, mustChange bool) (User, error) {
	user, err := u.Find(ctx, username)
	if err != nil {
		return User{}, err
	}
	hash, err := u.hash(ctx, secret, user.Username, user.Email)
	if err != nil {
		return User{}, err
	}
	set := func(user *User) { user.PasswordHash, user.MustChange = hash, mustChange }
	return u.edit(ctx, username, EventPasswordChanged, CausePasswordChanged, set, func(change UserChange) error {
		return u.Store.SetPassword(ctx, PasswordChange{UserChange: change, Hash: hash, MustChange: mustChange})
	})
}

// SetRoles replaces the roles of the user and of its live sessions.
func (u *Users) SetRoles(ctx context.Context, username string, roles []string) (User, error) {
	roles, err := validateRoles(roles)
	if err != nil {
		return User{}, err
	}
	set := func(user *User) { user.Roles = roles }
	return u.edit(ctx, username, EventRolesChanged, "", set, func(change UserChange) error {
		return u.Store.SetRoles(ctx, change, roles)
	})
}

// Delete ends the user's sessions and deletes the account. Its id is never
// given again.
func (u *Users) Delete(ctx context.Context, username string) (User, error) {
	return u.edit(ctx, username, EventUserDeleted, CauseUserDeleted, func(*User) {}, func(change UserChange) error {
		return u.Store.DeleteUser(ctx, change)
	})
}

// edit finds the user and carries out one change of it, which makes of it what
// set does, and returns it as it is then.
func (u *Users) edit(ctx context.Context, username string, kind EventKind, cause Cause, set func(*User), do func(UserChange) error) (User, error) {
	for range editAttempts {
		before, err := u.Find(ctx, username)
		if err != nil {
			return User{}, err
		}
		if !u.Unchanged.IsZero() && !u.Unchanged.Equal(before.UpdatedAt) {
			return User{}, ErrChanged
		}
		after := before
		set(&after)
		change := u.change(kind, before.ID)
		change.Unchanged = before.UpdatedAt // so that what is recorded is what was changed
		change.Event.Changes = after.differences(before)
		change.Ending = Ending{UserID: before.ID, Cause: cause, Actor: u.Actor, Device: u.Device, Now: change.Now}
		err = do(change)
		if errors.Is(err, ErrNotFound) {
			continue // it was changed or deleted meanwhile
		}
		if err != nil {
			return User{}, fmt.Errorf("%s: %w", kind, err)
		}
		after.UpdatedAt = change.stamp(before.UpdatedAt)
		return after, nil
	}
	return User{}, &Error{Code: Conflict, Description: fmt.Sprintf("user %q keeps being changed", username)}
}

// editAttempts bounds how often a change is made anew because another came in
// between.
const editAttempts = 8

// stamp returns the time of the change: no two of one user have the same.
func (c UserChange) stamp(before time.Time) time.Time {
	if c.Now.After(before) {
		return c.Now
	}
	return before.Add(time.Millisecond)
}

func (u *Users) change(kind EventKind, userID string) UserChange {
	now := u.now()
	event := NewEvent(kind, now)
	event.UserID, event.Actor, event.Device = userID, u.Actor, u.Device
	return UserChange{UserID: userID, Now: now, Event: event}
}

func (u *Users) now() time.Time { return kept(u.Now) }
