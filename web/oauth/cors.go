package oauth

import (
	"errors"
	"net/http"

	"chancery/authz"
	"chancery/web/respond"

	"github.com/gin-gonic/gin"
)

// preflight answers the question that a browser asks before a request from
// another origin. It names no client, so any client's origin will do; the
// request itself is checked against its own.
func (e *Endpoints) preflight(c *gin.Context) error {
	origin, allowed := c.GetHeader("Origin"), false
	if origin != "" {
		var err error
		if allowed, err = e.Clients.OriginAllowed(c.Request.Context(), origin); err != nil {
			return err
		}
	}
	if allowed {
		c.Header("Access-Control-Allow-Credentials", "true") // whether the cookie may be used the answer says
	}
	respond.Preflight(c, allowed, http.MethodPost)
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
	respond.AllowOrigin(c)
	if client.CookieDelivery {
		c.Header("Access-Control-Allow-Credentials", "true")
	}
	return nil
}
