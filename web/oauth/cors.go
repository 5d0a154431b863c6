package oauth

import (
	"net/http"

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
		allowed, err := e.Origins.OriginAllowed(c.Request.Context(), origin)
		if err != nil {
			return err
		}
		if allowed {
			c.Header("Access-Control-Allow-Origin", origin)
			c.Header("Access-Control-Allow-Methods", http.MethodPost)
			c.Header("Access-Control-Allow-Headers", "Authorization, Content-Type")
			c.Header("Access-Control-Max-Age", preflightAge)
		}
	}
	c.Status(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
	return nil
}

// allowOrigin lets scripts of the request's origin read the answer, errors
// included, if the client that the request names allows the origin.
func (e *Endpoints) allowOrigin(c *gin.Context, f form) error {
	origin := c.GetHeader("Origin")
	if origin == "" {
		return nil
	}
	// Credentials that cannot be read name no client; the handler reports them.
	credentials, _ := readCredentials(c.Request, f)
	allowed, err := e.Origins.ClientAllowsOrigin(c.Request.Context(), credentials.ClientID, origin)
	if err != nil {
		return err
	}
	if allowed {
		c.Header("Access-Control-Allow-Origin", origin)
	}
	return nil
}
