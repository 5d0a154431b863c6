package account

import (
	"log/slog"

	"chancery/authz"
	"chancery/web/bearer"
	"chancery/web/respond"

	"github.com/gin-gonic/gin"
)

var errTwoTokens = invalid("The request carries more than one access token.")

// bearerToken returns the access token of the request.
func bearerToken(c *gin.Context) (authz.Secret, error) {
	token, found, err := bearer.FromRequest(c.Request)
	switch {
	case err != nil:
		return "", errTwoTokens
	case !found:
		return "", respond.ErrNoToken
	}
	return authz.Secret(token), nil
}

// signedIn calls handle with the user of the request's access token.
func (e *Endpoints) signedIn(handle func(c *gin.Context, p authz.Principal) error) func(c *gin.Context) error {
	return func(c *gin.Context) error {
		token, err := bearerToken(c)
		if err != nil {
			return err
		}
		p, err := e.Self.User(c.Request.Context(), token, authz.Device{Address: c.ClientIP(), UserAgent: c.Request.UserAgent()})
		if err != nil {
			return err
		}
		respond.Note(c, slog.String("user_id", p.UserID), slog.String("sid", p.SessionID), slog.String("client_id", p.ClientID))
		return handle(c, p)
	}
}
