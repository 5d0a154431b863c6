package authz

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Registration is what a new user chooses. Without a username the address is
// the name; without a password, which a client with a page for its links may
// leave out, it is chosen when the address is confirmed.
type Registration struct {
	Username string
	Email    string
	Password Secret
}

var (
	errRegistrationClosed = fail(RegistrationClosed, "Registration is closed.")
	errEmailMissing       = fail(InvalidInput, "email is missing")
)

// Register mails a link or code to the address; the account comes to be when
// it is confirmed, so that nobody can take an address in advance that is not
// his. A username that is taken is refused with code Conflict; whether an
// address has an account is told to its owner alone.
func (a *Accounts) Register(ctx context.Context, caller Caller, r Registration) (ConfirmationSent, error) {
	client, err := a.client(ctx, caller, r.Username, r.Email, r.Password.Reveal())
	if err != nil {
		return ConfirmationSent{}, err
	}
	if !a.Registration {
		return ConfirmationSent{}, errRegistrationClosed
	}
	user, err := r.user()
	if err != nil {
		return ConfirmationSent{}, err
	}
	// With a code whoever asks is who confirms, and chooses now.
	if r.Password != "" || client.EmailVerificationURI == "" {
		if err := a.Policy.Check(r.Password.Reveal(), user.Username, user.Email); err != nil {
			return ConfirmationSent{}, unacceptable(err)
		}
	}
	if err := a.allowMail(ctx, client, caller, user.EmailName); err != nil {
		return ConfirmationSent{}, err
	}
	if err := a.checkNameFree(ctx, user); err != nil {
		return ConfirmationSent{}, err
	}
	if r.Password != "" {
		if user.PasswordHash, err = a.hash(ctx, r.Password, user.Username, user.Email); err != nil {
			return ConfirmationSent{}, err
		}
	}
	c := a.confirmation(ConfirmRegistration, client, User{}, user.Email)
	c.Username, c.PasswordHash = user.Username, user.PasswordHash
	pending := newConfirmation(c, client.EmailVerificationURI, linkTTL)
	owner, err := a.find(ctx, user.EmailName)
	if err != nil {
		return ConfirmationSent{}, err
	}
	if owner.ID == "" {
		return a.mailConfirmation(ctx, client, MailRegistration, pending, "", user.Email)
	}
	// The same is stored and answered; only the owner learns of it.
	a.send(client, Mail{Kind: MailAccountExists, To: user.Email, Username: owner.Username})
	return a.mailConfirmation(ctx, client, "", pending, "", "")
}

// user validates what was chosen.
func (r Registration) user() (User, error) {
	if r.Username == "" {
		r.Username = strings.TrimSpace(r.Email)
	}
	if strings.TrimSpace(r.Email) == "" {
		return User{}, errEmailMissing
	}
	var user User
	err := user.setNames(r.Username, r.Email)
	return user, err
}

// checkNameFree refuses a username that is taken. An address as name is not
// looked up: whether it is taken must not be told.
func (a *Accounts) checkNameFree(ctx context.Context, user User) error {
	if user.Name == user.EmailName {
		return nil
	}
	_, err := a.Users.UserByName(ctx, user.Name)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("user: %w", err)
	}
	return fail(Conflict, "The username is taken.")
}

// VerifyEmail confirms an address: the account is created that was asked for,
// or gets its new address. A password that is given here is that of the new
// account, whatever was chosen when it was asked for: whoever opens the link is
// the owner of the address, and may be another. The error has code
// InvalidConfirmation, Conflict or InvalidInput.
func (a *Accounts) VerifyEmail(ctx context.Context, caller Caller, proof Proof, secret Secret) (User, error) {
	client, err := a.client(ctx, caller, proof.Token.Reveal(), proof.RequestID.Reveal(), proof.Code.Reveal(), secret.Reveal())
	if err != nil {
		return User{}, err
	}
	if secret != "" {
		if err := a.Policy.Check(secret.Reveal()); err != nil {
			return User{}, unacceptable(err) // before a try of the code is counted
		}
	}
	c, err := a.confirm(ctx, client, proof, caller, ConfirmRegistration, ConfirmEmail)
	if err != nil {
		return User{}, err
	}
	if c.Purpose == ConfirmEmail && secret != "" {
		return User{}, errPasswordElsewhere
	}
	if c.Purpose == ConfirmEmail {
		return a.changeEmail(ctx, client, caller, c)
	}
	return a.createUser(ctx, client, caller, c, secret)
}

var (
	errPasswordMissing   = fail(InvalidInput, "password is missing")
	errPasswordElsewhere = fail(InvalidInput, "password: this confirms a change of address and sets none")
)

func (a *Accounts) createUser(ctx context.Context, client Client, caller Caller, c Confirmation, secret Secret) (User, error) {
	if !a.Registration {
		return User{}, errRegistrationClosed
	}
	user, err := Registration{Username: c.Username, Email: c.Email}.user()
	if err != nil {
		return User{}, err
	}
	switch user.PasswordHash = c.PasswordHash; {
	case secret != "":
		if user.PasswordHash, err = a.hash(ctx, secret, user.Username, user.Email); err != nil {
			return User{}, err
		}
	case c.PasswordHash == "":
		return User{}, errPasswordMissing
	}
	now := a.Service.now()
	user.ID, user.AuthEpoch, user.SelfRegistered = newUserID(), 1, true
	user.EmailVerifiedAt, user.CreatedAt, user.UpdatedAt = now, now, now
	event := NewEvent(EventUserCreated, now)
	event.UserID, event.ClientID, event.Device, event.Detail = user.ID, client.ID, caller.device(), "registered"
	if err := a.Confirmations.RegisterUser(ctx, c.Hash, user, event); err != nil {
		return User{}, used(err)
	}
	return user, nil
}
