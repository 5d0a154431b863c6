// Package account owns the account API as it is on the wire: JSON in and out,
// problem documents (RFC 9457), access tokens in the Authorization header
// (RFC 6750), calls from other web origins. It leaves every decision to package
// authz, and errors to package respond.
package account

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"chancery/authz"
	"chancery/authz/password"
	"chancery/web/caller"
	"chancery/web/respond"

	"github.com/gin-gonic/gin"
)

// Recovery answers requests that come without an access token. Expected
// failures are *authz.Error; each method is that of authz.Accounts.
type Recovery interface {
	Register(ctx context.Context, caller authz.Caller, registration authz.Registration) (authz.ConfirmationSent, error)
	VerifyEmail(ctx context.Context, caller authz.Caller, proof authz.Proof, secret authz.Secret) (authz.User, error)
	ForgotPassword(ctx context.Context, caller authz.Caller, username string) (authz.ConfirmationSent, error)
	ResetPassword(ctx context.Context, caller authz.Caller, proof authz.Proof, secret authz.Secret) error
	Strength(ctx context.Context, caller authz.Caller, secret authz.Secret, about ...string) (password.Strength, error)
}

// Self answers the requests of a signed-in user, under the same promises.
type Self interface {
	User(ctx context.Context, token authz.Presented, device authz.Device) (authz.Principal, error)
	Me(ctx context.Context, p authz.Principal) (authz.User, error)
	ChangePassword(ctx context.Context, p authz.Principal, current, next authz.Secret) error
	ChangeEmail(ctx context.Context, p authz.Principal, current authz.Secret, email string) (authz.ConfirmationSent, error)
	Delete(ctx context.Context, p authz.Principal, current authz.Secret) error
}

// Sessions lists and ends the sessions of a signed-in user, under the same
// promises.
type Sessions interface {
	Sessions(ctx context.Context, p authz.Principal) ([]authz.Family, error)
	EndSession(ctx context.Context, p authz.Principal, sessionID string) error
	Logout(ctx context.Context, p authz.Principal, scope authz.LogoutScope) (int, error)
}

// Clients says which web origins may call, and what a client is called.
type Clients interface {
	// OriginAllowed reports whether any client allows the origin.
	OriginAllowed(ctx context.Context, origin string) (bool, error)
	// Client returns the registered client, or authz.ErrNotFound.
	Client(ctx context.Context, id string) (authz.Client, error)
}

// Endpoints are the account API. All fields must be set.
type Endpoints struct {
	Recovery Recovery
	Self     Self
	Sessions Sessions
	Clients  Clients
	Issuer   string
	Respond  respond.Responder
}

// Mount adds the endpoints below "/account" of router.
func (e *Endpoints) Mount(router gin.IRouter) {
	api := router.Group("/account")
	for _, route := range []struct {
		method, path string
		handle       func(c *gin.Context) error
	}{
		{http.MethodPost, "/register", e.register},
		{http.MethodPost, "/email/verify", e.verifyEmail},
		{http.MethodPost, "/password/forgot", e.forgotPassword},
		{http.MethodPost, "/password/reset", e.resetPassword},
		{http.MethodPost, "/password/strength", e.strength},
		{http.MethodGet, "/me", e.signedIn(e.me)},
		{http.MethodPut, "/password", e.signedIn(e.changePassword)},
		{http.MethodPut, "/email", e.signedIn(e.changeEmail)},
		{http.MethodDelete, "", e.signedIn(e.delete)},
		{http.MethodGet, "/sessions", e.signedIn(e.sessions)},
		{http.MethodDelete, "/sessions/:id", e.signedIn(e.endSession)},
		{http.MethodPost, "/logout", e.signedIn(e.logout)},
	} {
		api.Handle(route.method, route.path, e.handler(route.handle))
		api.OPTIONS(route.path, e.Respond.ProblemHandler(e.preflight))
	}
}

// handler lets scripts of every client's origins read the answer, errors
// included: there is no cookie, so a request carries no right but its own.
func (e *Endpoints) handler(handle func(c *gin.Context) error) gin.HandlerFunc {
	return e.Respond.ProblemHandler(func(c *gin.Context) error {
		respond.NoStore(c)
		if err := caller.AllowOrigin(c, e.Clients); err != nil {
			return err
		}
		return handle(c)
	})
}

// preflight answers what a browser asks before a request from another origin.
func (e *Endpoints) preflight(c *gin.Context) error {
	return caller.Preflight(c, e.Clients, "GET, POST, PUT, DELETE")
}

// signedIn calls handle with the user of the request's access token.
func (e *Endpoints) signedIn(handle func(c *gin.Context, p authz.Principal) error) func(c *gin.Context) error {
	return func(c *gin.Context) error {
		token, err := caller.AccessToken(c, e.Issuer)
		if err != nil {
			return err
		}
		p, err := e.Self.User(c.Request.Context(), token, caller.Device(c))
		if err != nil {
			return err
		}
		respond.Note(c, slog.String("user_id", p.UserID), slog.String("sid", p.SessionID), slog.String("client_id", p.ClientID))
		return handle(c, p)
	}
}

// empty answers without a body.
func empty(c *gin.Context) error {
	c.Status(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
	return nil
}

// sentAnswer says that something was mailed, or would have been.
type sentAnswer struct {
	RequestID string `json:"request_id,omitempty"`
	ExpiresIn int64  `json:"expires_in"`
}

func accepted(c *gin.Context, sent authz.ConfirmationSent) error {
	respond.JSON(c, http.StatusAccepted, sentAnswer{RequestID: sent.RequestID.Reveal(), ExpiresIn: int64(sent.ExpiresIn / time.Second)})
	return nil
}

// userAnswer is a user as users see themselves.
type userAnswer struct {
	ID            string    `json:"id"`
	Username      string    `json:"username"`
	Email         string    `json:"email,omitempty"`
	EmailVerified bool      `json:"email_verified"`
	Roles         []string  `json:"roles"`
	CreatedAt     time.Time `json:"created_at"`
}

func answerUser(c *gin.Context, user authz.User) error {
	respond.Note(c, slog.String("user_id", user.ID))
	respond.JSON(c, http.StatusOK, userAnswer{
		ID: user.ID, Username: user.Username, Email: user.Email, EmailVerified: !user.EmailVerifiedAt.IsZero(),
		Roles: append([]string{}, user.Roles...), CreatedAt: user.CreatedAt,
	})
	return nil
}
