package account

import (
	"log/slog"
	"strings"

	"chancery/authz"
	"chancery/web/respond"

	"github.com/gin-gonic/gin"
)

var errTwoTokens = invalid("The request holds more than one Authorization header.")

// bearerToken returns the access token of the Authorization header, the only
// place where one is looked for (RFC 6750 section 2.1).
func bearerToken(c *gin.Context) (authz.Secret, error) {
	headers := c.Request.Header.Values("Authorization")
	if len(headers) == 0 {
		return "", respond.ErrNoToken
	}
	if len(headers) > 1 {
		return "", errTwoTokens
	}
	scheme, token, found := strings.Cut(headers[0], " ")
	if !found || !strings.EqualFold(scheme, "Bearer") {
		return "", respond.ErrNoToken
	}
	return authz.Secret(strings.TrimSpace(token)), nil
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
