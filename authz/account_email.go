package authz

import (
	"context"
	"strings"
)

// ChangeEmail mails a link or code to the new address, which becomes the
// account's when it is confirmed, and tells the old one. The answer does not
// tell whether the address is another account's. The error has code
// WrongPassword or InvalidInput.
func (a *Accounts) ChangeEmail(ctx context.Context, p Principal, current Secret, email string) (ConfirmationSent, error) {
	if !PlainText(email) {
		return ConfirmationSent{}, errAccountText
	}
	var wanted User
	if err := wanted.setEmail(email); err != nil {
		return ConfirmationSent{}, err
	}
	if wanted.Email == "" {
		return ConfirmationSent{}, errEmailMissing
	}
	client, err := a.ownClient(ctx, p.ClientID)
	if err != nil {
		return ConfirmationSent{}, err
	}
	user, err := a.proveSelf(ctx, p, current)
	if err != nil {
		return ConfirmationSent{}, err
	}
	caller := Caller{Address: p.Device.Address, UserAgent: p.Device.UserAgent}
	if err := a.allowMail(ctx, client, caller, wanted.EmailName); err != nil {
		return ConfirmationSent{}, err
	}
	owner, err := a.find(ctx, wanted.EmailName)
	if err != nil {
		return ConfirmationSent{}, err
	}
	if user.EmailName != wanted.EmailName {
		a.send(client, Mail{Kind: MailEmailChanging, To: user.Email, Username: user.Username})
	}
	pending := newConfirmation(a.confirmation(ConfirmEmail, client, user, wanted.Email), client.EmailVerificationURI, linkTTL)
	if owner.ID != "" && owner.ID != user.ID {
		a.send(client, Mail{Kind: MailAccountExists, To: wanted.Email, Username: owner.Username})
		return a.mailConfirmation(ctx, client, "", pending, "", "")
	}
	return a.mailConfirmation(ctx, client, MailEmailChange, pending, "", wanted.Email)
}

// changeEmail gives the user the address that was confirmed.
func (a *Accounts) changeEmail(ctx context.Context, client Client, caller Caller, c Confirmation) (User, error) {
	user, err := a.user(ctx, c.UserID)
	if CodeOf(err) == InvalidToken {
		return User{}, errConfirmation
	}
	if err != nil {
		return User{}, err
	}
	before := user
	username := user.Username
	if strings.Contains(user.Name, "@") {
		username = c.Email // whose name is the address is called by the new one
	}
	if err := user.setNames(username, c.Email); err != nil {
		return User{}, err
	}
	user.AuthEpoch = c.AuthEpoch
	change := EmailChange{
		UserChange: a.change(EventEmailChanged, user, client.ID, caller.device(), ""),
		Username:   user.Username, Name: user.Name, Email: user.Email, EmailName: user.EmailName,
	}
	if err := a.Confirmations.ChangeEmail(ctx, c.Hash, change); err != nil {
		return User{}, used(err)
	}
	user.EmailVerifiedAt = change.Now
	if before.EmailName != user.EmailName {
		a.send(client, Mail{Kind: MailEmailChanged, To: before.Email, Username: user.Username})
	}
	return user, nil
}
