package authz

import (
	"context"
	"errors"
	"fmt"
)

// Me returns the signed-in user.
func (a *Accounts) Me(ctx context.Context, p Principal) (User, error) { return a.user(ctx, p.UserID) }

var errCurrentPassword = fail(WrongPassword, "The current password is wrong.")

// proveSelf checks the current password of the signed-in user, throttled as a
// login is, and returns the user as read before.
func (a *Accounts) proveSelf(ctx context.Context, p Principal, current Secret) (User, error) {
	user, err := a.user(ctx, p.UserID)
	if err != nil {
		return User{}, err
	}
	attempt := newAttempt(user.Name, p.ClientID, p.Device.Address)
	if err := a.Service.Throttle.login(ctx, &attempt); err != nil {
		a.Service.throttled(p.ClientID, p.Device)
		return User{}, err
	}
	ok, _, err := a.Service.Passwords.Verify(ctx, user.PasswordHash, current.Reveal())
	if err != nil {
		return User{}, passwordError(user, err)
	}
	if !ok {
		a.Service.loginFailed(user.ID, p.ClientID, p.Device, "wrong current password")
		return User{}, errCurrentPassword
	}
	a.Service.Throttle.succeeded(ctx, attempt)
	return user, nil
}

// ChangePassword replaces the user's password and ends every other session.
// The error has code WrongPassword or InvalidInput.
func (a *Accounts) ChangePassword(ctx context.Context, p Principal, current, next Secret) error {
	if !PlainText(next.Reveal()) {
		return errAccountText
	}
	user, err := a.proveSelf(ctx, p, current)
	if err != nil {
		return err
	}
	hash, err := a.hash(ctx, next, user.Username, user.Email)
	if err != nil {
		return err
	}
	change := PasswordChange{UserChange: a.change(EventPasswordChanged, user, p.ClientID, p.Device, CausePasswordChanged), Hash: hash}
	change.Ending.Except = p.SessionID
	if err := a.Users.SetPassword(ctx, change); err != nil {
		return changed(err)
	}
	a.notify(ctx, p, Mail{Kind: MailPasswordChanged, To: user.Email, Username: user.Username})
	return nil
}

// changed translates the answer of a store that found another epoch: somebody
// else changed the account while the password was being checked.
func changed(err error) error {
	if errors.Is(err, ErrNotFound) {
		return &Error{Code: Conflict, Description: "The account was changed meanwhile.", Err: err}
	}
	return fmt.Errorf("change account: %w", err)
}

// notify mails the user what has happened to the account.
func (a *Accounts) notify(ctx context.Context, p Principal, mail Mail) {
	client, err := a.Service.Registry.Client(ctx, p.ClientID)
	if err != nil {
		client.ID = p.ClientID // the message matters more than the name in it
	}
	a.send(client, mail)
}

// Delete ends the user's sessions and deletes the account. The error has code
// WrongPassword.
func (a *Accounts) Delete(ctx context.Context, p Principal, current Secret) error {
	user, err := a.proveSelf(ctx, p, current)
	if err != nil {
		return err
	}
	change := a.change(EventUserDeleted, user, p.ClientID, Device{}, CauseUserDeleted)
	change.Event.Detail = "by the user"
	if err := a.Users.DeleteUser(ctx, change); err != nil {
		return changed(err)
	}
	a.notify(ctx, p, Mail{Kind: MailAccountDeleted, To: user.Email, Username: user.Username})
	return nil
}

// maxOwnSessions bounds the list of a user's own sessions.
const maxOwnSessions = 1000

// Sessions returns the user's live sessions, newest first.
func (a *Accounts) Sessions(ctx context.Context, p Principal) ([]Family, error) {
	limit := a.Service.MaxSessions + sessionSlack
	if a.Service.MaxSessions <= 0 {
		limit = maxOwnSessions
	}
	return a.Service.Sessions.List(ctx, SessionFilter{UserID: p.UserID, Live: true, Page: Page{Limit: limit}})
}

var errNoSession = fail(NotFound, "There is no such session.")

// EndSession ends one session of the user and, unless it is that of the request,
// the login of the browser that it began in. One that is another user's, or
// over, is answered as one that does not exist, with code NotFound.
func (a *Accounts) EndSession(ctx context.Context, p Principal, sessionID string) error {
	if !PlainText(sessionID) {
		return errNoSession
	}
	f, err := a.Service.Families.FamilyBySession(ctx, sessionID)
	if errors.Is(err, ErrNotFound) || (err == nil && (f.UserID != p.UserID || f.State(a.Service.now()) != "")) {
		return errNoSession
	}
	if err != nil {
		return fmt.Errorf("session: %w", err)
	}
	_, err = a.Service.Sessions.End(ctx, Ending{SessionID: sessionID, Browsers: sessionID != p.SessionID, Cause: CauseLogout, Device: p.Device})
	return err
}

// LogoutScope says which of the user's sessions a logout ends.
type LogoutScope string

// The scopes of a logout.
const (
	// LogoutLocal ends the session of the request.
	LogoutLocal LogoutScope = "local"
	// LogoutOthers ends every other session.
	LogoutOthers LogoutScope = "others"
	// LogoutGlobal ends every session.
	LogoutGlobal LogoutScope = "global"
)

var errLogoutScope = fail(InvalidRequest, "The scope must be local, others or global.")

// Logout ends the sessions that scope says and returns how many.
func (a *Accounts) Logout(ctx context.Context, p Principal, scope LogoutScope) (int, error) {
	ending := Ending{Cause: CauseLogout, Device: p.Device}
	switch scope {
	case LogoutLocal:
		ending.SessionID = p.SessionID
	case LogoutOthers:
		ending.UserID, ending.Except = p.UserID, p.SessionID
	case LogoutGlobal:
		ending.UserID = p.UserID
	default:
		return 0, errLogoutScope
	}
	return a.Service.Sessions.End(ctx, ending)
}
