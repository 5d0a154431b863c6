package authz

import (
	"context"
	"errors"
	"fmt"

	"chancery/authz/password"
)

// AccountStore is what users change of themselves.
type AccountStore interface {
	// UserByName returns the user with the normalised name, or ErrNotFound.
	UserByName(ctx context.Context, name string) (User, error)
	// UserByLogin returns the user with the normalised name or, if there is
	// none, with that verified address, in one statement; or ErrNotFound.
	UserByLogin(ctx context.Context, name string) (User, error)
	// UserByID returns the user with the id, or ErrNotFound.
	UserByID(ctx context.Context, id string) (User, error)
	// SetPassword is that of UserStore.
	SetPassword(ctx context.Context, change PasswordChange) error
	// DeleteUser is that of UserStore.
	DeleteUser(ctx context.Context, change UserChange) error
}

// Accounts lets users register, recover and change their own accounts, through
// first-party clients. No answer tells whether an address belongs to an
// account. Expected failures are *Error; it is safe for concurrent use.
type Accounts struct {
	Service       *Service
	Policy        *password.Policy
	Users         AccountStore
	Confirmations ConfirmationStore
	// Mailer is nil when no mail can be sent: whatever needs one is refused.
	Mailer Mailer
	// Registration says whether users may register.
	Registration bool
}

// Caller is who makes a request without an access token: a client, from an
// address.
type Caller struct {
	Credentials Credentials
	Address     string
	UserAgent   string
}

func (c Caller) device() Device { return newDevice(c.Address, c.UserAgent) }

var (
	errNotFirstParty = fail(UnauthorizedClient, "The client is not a first-party client.")
	errNoMail        = fail(Unsupported, "The server cannot send mail.")
	errAccountText   = fail(InvalidRequest, "A member holds control characters.")
)

// client returns the first-party client that the caller proves to be. texts
// are what it sent besides.
func (a *Accounts) client(ctx context.Context, caller Caller, texts ...string) (Client, error) {
	for _, text := range append(texts, caller.Credentials.ClientID, caller.Credentials.Secret.Reveal()) {
		if !PlainText(text) {
			return Client{}, errAccountText
		}
	}
	client, err := a.Service.Authenticate(ctx, caller.Credentials, caller.Address)
	if err != nil {
		return Client{}, err
	}
	if !client.FirstParty {
		return Client{}, errNotFirstParty
	}
	return client, nil
}

// throttled records that a caller is being slowed down, and returns err.
func (a *Accounts) throttled(client Client, caller Caller, err error) error {
	a.Service.throttled(client.ID, caller.device())
	return err
}

// send mails one message about an account of the client's.
func (a *Accounts) send(client Client, mail Mail) {
	mail.App = validText(client.Name)
	if mail.App == "" {
		mail.App = client.ID
	}
	if a.Mailer != nil && mail.To != "" {
		a.Mailer.Send(mail)
	}
}

// allowMail throttles what sends a mail, by the account or address it concerns and
// by where it is asked for.
func (a *Accounts) allowMail(ctx context.Context, client Client, caller Caller, subject string) error {
	if a.Mailer == nil {
		return errNoMail
	}
	if err := a.Service.Throttle.mail(ctx, subject, caller.Address); err != nil {
		return a.throttled(client, caller, err)
	}
	return nil
}

// hash hashes a password that the user of whom about is known may set.
func (a *Accounts) hash(ctx context.Context, secret Secret, about ...string) (string, error) {
	return newPasswordHash(ctx, a.Policy, a.Service.Passwords, secret, about...)
}

// Strength estimates a password for the form in which it is chosen.
func (a *Accounts) Strength(ctx context.Context, caller Caller, secret Secret, about ...string) (password.Strength, error) {
	client, err := a.client(ctx, caller)
	if err != nil {
		return password.Strength{}, err
	}
	if err := a.Service.Throttle.take(ctx, limitStrength.of(Network(caller.Address))); err != nil {
		return password.Strength{}, a.throttled(client, caller, err)
	}
	return a.Policy.Strength(secret.Reveal(), about...), nil
}

// find returns the user who can log in by the name; the zero value if nobody
// can.
func (a *Accounts) find(ctx context.Context, name string) (User, error) {
	user, err := a.Users.UserByLogin(ctx, name)
	if errors.Is(err, ErrNotFound) {
		return User{}, nil
	}
	if err != nil {
		return User{}, fmt.Errorf("user: %w", err)
	}
	return user, nil
}

// ownClient returns the client of a session that lived a moment ago.
func (a *Accounts) ownClient(ctx context.Context, id string) (Client, error) {
	client, err := a.Service.Registry.Client(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return Client{}, errToken
	}
	if err != nil {
		return Client{}, fmt.Errorf("client: %w", err)
	}
	return client, nil
}

// user returns a user who was there a moment ago.
func (a *Accounts) user(ctx context.Context, id string) (User, error) {
	user, err := a.Users.UserByID(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return User{}, errToken
	}
	if err != nil {
		return User{}, fmt.Errorf("user: %w", err)
	}
	return user, nil
}

// change is a change that a user makes on a device, good only while the epoch
// is the one that was read.
func (a *Accounts) change(kind EventKind, user User, clientID string, device Device, cause Cause) UserChange {
	now := a.Service.now()
	event := NewEvent(kind, now)
	event.UserID, event.ClientID, event.Device = user.ID, clientID, device
	return UserChange{
		UserID: user.ID, Epoch: user.AuthEpoch, Now: now, Event: event,
		Ending: Ending{UserID: user.ID, Cause: cause, Device: device, Now: now},
	}
}

// confirmation begins a confirmation that a client asked for.
func (a *Accounts) confirmation(purpose ConfirmationPurpose, client Client, user User, email string) Confirmation {
	return Confirmation{
		Purpose: purpose, ClientID: client.ID, UserID: user.ID, AuthEpoch: user.AuthEpoch, Email: email, CreatedAt: a.Service.now(),
	}
}

// mailConfirmation stores a confirmation and, where it has a recipient, mails
// it.
func (a *Accounts) mailConfirmation(ctx context.Context, client Client, kind MailKind, c confirmable, username, to string) (ConfirmationSent, error) {
	if err := a.Confirmations.InsertConfirmation(ctx, c.Confirmation); err != nil {
		return ConfirmationSent{}, fmt.Errorf("store confirmation: %w", err)
	}
	a.send(client, Mail{Kind: kind, To: to, Username: username, Link: c.link, Code: c.code, ExpiresIn: c.sent.ExpiresIn})
	return c.sent, nil
}
