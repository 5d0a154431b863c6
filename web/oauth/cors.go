package oauth

import (
	"errors"
	"net/http"

	"chancery/authz"

	"github.com/gin-gonic/gin"
)

// preflightAge is how many seconds a browser may remember a preflight.
const preflightAge = "600"

// preflight answers the question that a browser asks before a request from
// another origin (Fetch standard, section 4.8). It names no client, so any
// client's origin will do; the request itself is checked against its own.
func (e *Endpoints) preflight(c *gin.Context) error {
	c.Header("Vary", "Origin")
	origin := c.GetHeader("Origin")
	if origin != "" {
		allowed, err := e.Clients.OriginAllowed(c.Request.Context(), origin)
		if err != nil {
			return err
		}
		if allowed {
			c.Header("Access-Control-Allow-Origin", origin)
			c.Header("Access-Control-Allow-Methods", http.MethodPost)
			c.Header("Access-Control-Allow-Headers", "Authorization, Content-Type")
			c.Header("Access-Control-Max-Age", preflightAge)
			// Whether the cookie may really be used the answer says.
			c.Header("Access-Control-Allow-Credentials", "true")
		}
	}
	c.Status(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
	return nil
}

// allowOrigin lets scripts of the request's origin read the answer, errors
// included, if the client that the request names allows the origin. Where the
// refresh token is in a cookie, the browser may send and keep it.
func (e *Endpoints) allowOrigin(c *gin.Context, clientID string) error {
	origin := c.GetHeader("Origin")
	if origin == "" {
		return nil
	}
	client, err := e.Clients.Client(c.Request.Context(), clientID)
	if errors.Is(err, authz.ErrNotFound) || (err == nil && !client.AllowsOrigin(origin)) {
		return nil
	}
	if err != nil {
		return err
	}
	c.Header("Access-Control-Allow-Origin", origin)
	if client.CookieDelivery {
		c.Header("Access-Control-Allow-Credentials", "true")
	}
	return nil
}
