package authz

import (
	"context"
	"time"
)

// SigningKey is a signing key as admins see it. A zero time means that the
// event is not planned.
type SigningKey struct {
	ID        string
	Algorithm string
	// State is pending, active, retired, compromised or gone.
	State         string
	CreatedAt     time.Time
	ActivateAt    time.Time
	RetireAt      time.Time
	RemoveAt      time.Time
	CompromisedAt time.Time
}

// SigningKeys shows and changes the signing keys, which others keep. Expected
// failures are *Error, of code InvalidInput or NotFound.
type SigningKeys interface {
	// Keys returns all keys, the oldest first.
	Keys(ctx context.Context) ([]SigningKey, error)
	// Rotate starts the change to another key of the algorithm and returns it.
	Rotate(ctx context.Context, algorithm string, by Administrator) (SigningKey, error)
	// Compromise takes the key out of use at once, and returns the one that
	// takes its place, or the zero value.
	Compromise(ctx context.Context, id string, by Administrator) (SigningKey, error)
}

// Administration is everything that admins see and change, for the admin API
// and the console alike.
type Administration struct {
	Admins    *Admins
	Users     *Users
	Clients   *Clients
	Resources *Resources
	Sessions  *Sessions
	Events    *Events
	Activity  *Activity
	Keys      SigningKeys
	Now       func() time.Time
}

// UsersBy returns the users for changes of the admin.
func (a *Administration) UsersBy(admin Administrator) *Users {
	return a.Users.By(admin.Actor, admin.Device)
}

// ClientsBy returns the clients for changes of the admin.
func (a *Administration) ClientsBy(admin Administrator) *Clients {
	return a.Clients.By(admin.Actor, admin.Device)
}

// ResourcesBy returns the resources for changes of the admin.
func (a *Administration) ResourcesBy(admin Administrator) *Resources {
	return a.Resources.By(admin.Actor, admin.Device)
}

// EndSessions ends the sessions that ending selects, on behalf of the admin,
// and returns how many.
func (a *Administration) EndSessions(ctx context.Context, admin Administrator, ending Ending) (int, error) {
	ending.Cause, ending.Actor, ending.Device = CauseAdmin, admin.Actor, admin.Device
	ctx, cancel := Unhurried(ctx)
	defer cancel()
	return a.Sessions.End(ctx, ending)
}

// unhurried is how long ending many sessions may take.
const unhurried = 10 * time.Minute

// Unhurried returns a context for what goes on although the request that began
// it is given up: ending the sessions of a client, of which there may be many.
func Unhurried(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), unhurried)
}
