package authz

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// ConsoleClientID is what stands for the console where events name a client.
// No client can be registered under it.
const ConsoleClientID = "~console"

// Administrator is who makes a request to the admin API or the console.
type Administrator struct {
	// Actor is stored with the events of what is done: a user's id, or that of
	// a client that acts for itself.
	Actor    string
	UserID   string
	ClientID string
	// SessionID is that of the access token, "" in the console and for a client.
	SessionID string
	// Username is for people.
	Username string
	Device   Device
}

// AdminStore reads the users that admins are.
type AdminStore interface {
	// UserByID returns the user with the id, or ErrNotFound.
	UserByID(ctx context.Context, id string) (User, error)
}

// Admins tells admins from others, at each request anew. Expected failures are
// *Error; it is safe for concurrent use.
type Admins struct {
	Service *Service
	Users   AdminStore
}

var (
	errNotAdmin    = fail(InsufficientScope, "The user is not an admin.")
	errNoAdminApp  = fail(InsufficientScope, "The client is not registered for the admin API, or not for this scope.")
	errConsoleOver = fail(InvalidToken, "The session is over.")
)

// ByToken returns who makes a request to the admin API with an access token. It
// must be meant for that API, alive, and of the scope; the client must be
// registered for it, and the user have the role. The error has code
// InvalidToken or InsufficientScope.
func (a *Admins) ByToken(ctx context.Context, token Presented, scope string, device Device) (Administrator, error) {
	resource := AdminResource(a.Service.Issuer)
	read, err := a.Service.aliveTokenFor(ctx, token, resource, scope)
	if err != nil {
		return Administrator{}, err
	}
	client, err := a.Service.Registry.Client(ctx, read.ClientID)
	if err != nil {
		return Administrator{}, fmt.Errorf("client: %w", err)
	}
	if !slices.Contains(client.Resources, resource) || !client.Scope.Has(scope) {
		return Administrator{}, errNoAdminApp
	}
	admin := Administrator{Actor: client.ID, ClientID: client.ID, Username: client.ID, Device: newDevice(device.Address, device.UserAgent)}
	if read.SessionID == "" {
		return admin, nil
	}
	user, err := a.user(ctx, read.Subject)
	if err != nil {
		return Administrator{}, err
	}
	admin.Actor, admin.UserID, admin.Username, admin.SessionID = user.ID, user.ID, user.Username, read.SessionID
	return admin, nil
}

// user returns the user with the id, if he is an admin and may log in.
func (a *Admins) user(ctx context.Context, id string) (User, error) {
	user, err := a.Users.UserByID(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return User{}, errToken
	case err != nil:
		return User{}, fmt.Errorf("user: %w", err)
	case !user.Active(a.Service.now()):
		return User{}, errToken
	case !slices.Contains(user.Roles, RoleAdmin):
		return User{}, errNotAdmin
	}
	return user, nil
}

// ConsoleLogin is what a session of the console remembers of its login.
type ConsoleLogin struct {
	UserID       string
	AuthEpoch    int64
	ConsoleEpoch int64
}

// Login checks the password of an admin, with the same throttle as every other
// login. The error has code InvalidGrant, the same for every reason, or
// TemporarilyUnavailable.
func (a *Admins) Login(ctx context.Context, username string, secret Secret, device Device) (ConsoleLogin, error) {
	device = newDevice(device.Address, device.UserAgent)
	if !PlainText(username) || !PlainText(secret.Reveal()) {
		return ConsoleLogin{}, errLogin
	}
	login, err := a.Service.Login(ctx, ConsoleClientID, LoginProof{Username: username, Password: secret}, device)
	if err != nil {
		a.Service.observe(GrantPassword, TokenResponse{}, err)
		return ConsoleLogin{}, err
	}
	user := login.User
	if !slices.Contains(user.Roles, RoleAdmin) {
		a.Service.loginFailed(user.ID, ConsoleClientID, device, "right password, not an admin")
		a.Service.observe(GrantPassword, TokenResponse{}, errLogin)
		return ConsoleLogin{}, errLogin
	}
	event := NewEvent(EventLoginSucceeded, a.Service.now())
	event.UserID, event.ClientID, event.Device = user.ID, ConsoleClientID, device
	a.Service.Events.Record(event)
	a.Service.observe(GrantPassword, TokenResponse{}, nil)
	return ConsoleLogin{UserID: user.ID, AuthEpoch: user.AuthEpoch, ConsoleEpoch: user.ConsoleEpoch}, nil
}

// ByLogin returns who makes a request to the console in a session that began
// with the login. A ban, another password, the loss of the role, and whatever
// ends all sessions of the user end it too. The error has code InvalidToken or
// InsufficientScope.
func (a *Admins) ByLogin(ctx context.Context, login ConsoleLogin, device Device) (Administrator, error) {
	user, err := a.user(ctx, login.UserID)
	if err != nil {
		return Administrator{}, err
	}
	if user.AuthEpoch != login.AuthEpoch || user.ConsoleEpoch != login.ConsoleEpoch || user.MustChange {
		return Administrator{}, errConsoleOver
	}
	return Administrator{
		Actor: user.ID, UserID: user.ID, ClientID: ConsoleClientID, Username: user.Username, Device: newDevice(device.Address, device.UserAgent),
	}, nil
}
