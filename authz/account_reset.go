package authz

import (
	"context"
	"errors"
	"fmt"
)

// ForgotPassword mails a link or code to the address of the account with that
// username or verified address. The answer is the same when there is none.
func (a *Accounts) ForgotPassword(ctx context.Context, caller Caller, username string) (ConfirmationSent, error) {
	client, err := a.client(ctx, caller, username)
	if err != nil {
		return ConfirmationSent{}, err
	}
	name, err := NormalizeName(username)
	if err != nil {
		return ConfirmationSent{}, err // by its form alone, whatever accounts there are
	}
	if err := a.allowMail(ctx, client, caller, name); err != nil {
		return ConfirmationSent{}, err
	}
	user, err := a.find(ctx, name)
	if err != nil {
		return ConfirmationSent{}, err
	}
	to := user.Email
	if !user.Active(a.Service.now()) {
		to = ""
	}
	pending := newConfirmation(a.confirmation(ConfirmReset, client, user, to), client.PasswordResetURI, resetLinkTTL)
	return a.mailConfirmation(ctx, client, MailPasswordReset, pending, user.Username, to)
}

// ResetPassword sets another password, ends every session of the user, and
// lifts a must-change. A password that is refused leaves the confirmation good,
// with one try of a code less when it is the user's own name or address that it
// is refused for. The error has code InvalidConfirmation or InvalidInput.
func (a *Accounts) ResetPassword(ctx context.Context, caller Caller, proof Proof, secret Secret) error {
	client, err := a.client(ctx, caller, proof.Token.Reveal(), proof.RequestID.Reveal(), proof.Code.Reveal(), secret.Reveal())
	if err != nil {
		return err
	}
	if err := a.Policy.Check(secret.Reveal()); err != nil {
		return unacceptable(err) // before a try of the code is counted
	}
	c, err := a.confirm(ctx, client, proof, caller, ConfirmReset)
	if err != nil {
		return err
	}
	user, err := a.Users.UserByID(ctx, c.UserID)
	if errors.Is(err, ErrNotFound) || (err == nil && user.AuthEpoch != c.AuthEpoch) {
		return errConfirmation
	}
	if err != nil {
		return fmt.Errorf("user: %w", err)
	}
	hash, err := a.hash(ctx, secret, user.Username, user.Email)
	if err != nil {
		return err
	}
	change := PasswordChange{UserChange: a.change(EventPasswordChanged, user, client.ID, caller.device(), CausePasswordChanged), Hash: hash}
	change.Event.Detail = "reset by mail"
	if err := a.Confirmations.ResetPassword(ctx, c.Hash, change); err != nil {
		return used(err)
	}
	for _, name := range []string{user.Name, user.EmailName} {
		// Whoever reads the mailbox gets in from here, whatever attack is on.
		a.Service.Throttle.succeeded(ctx, newAttempt(name, client.ID, caller.Address))
	}
	a.send(client, Mail{Kind: MailPasswordChanged, To: user.Email, Username: user.Username})
	return nil
}
