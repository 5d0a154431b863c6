package respond

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
)

// preflightAge is how many seconds a browser may remember a preflight.
const preflightAge = "600"

// AllowOrigin lets scripts of the request's origin read the answer, and why
// they have to wait or sign in. Whether they may, the caller has decided.
func AllowOrigin(c *gin.Context) {
	c.Header("Access-Control-Allow-Origin", c.GetHeader("Origin"))
	c.Header("Access-Control-Expose-Headers", "ETag, Location, Retry-After, WWW-Authenticate")
}

// Preflight answers what a browser asks before a request from another origin
// (Fetch standard, section 4.8); allowed says whether the origin may send it,
// with headers besides those that every API reads.
func Preflight(c *gin.Context, allowed bool, methods string, headers ...string) {
	c.Header("Vary", "Origin")
	if allowed {
		AllowOrigin(c)
		c.Header("Access-Control-Allow-Methods", methods)
		c.Header("Access-Control-Allow-Headers", strings.Join(append([]string{"Authorization", "Content-Type", "DPoP"}, headers...), ", "))
		c.Header("Access-Control-Max-Age", preflightAge)
	}
	c.Status(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
}
