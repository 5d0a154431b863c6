// Package bearer is authz/verify for resource servers on Gin: a middleware that
// lets requests pass whose access token is good. It owns nothing of the rules.
package bearer

import (
	"errors"
	"net/http"
	"slices"

	"chancery/authz/verify"

	"github.com/gin-gonic/gin"
)

// Require returns a middleware that lets requests pass whose access token v
// accepts and that was granted all of the scopes. It answers all others by
// itself, as verify.Verifier.Refuse does.
func Require(v *verify.Verifier, scopes ...string) gin.HandlerFunc {
	scopes = slices.Clone(scopes)
	return func(c *gin.Context) {
		token, err := v.Authenticate(c.Request, scopes...)
		if err != nil {
			_ = c.Error(err) // for the log, which may tell why
			v.Refuse(c.Writer, err, scopes...)
			c.Abort()
			return
		}
		c.Request = c.Request.WithContext(verify.NewContext(c.Request.Context(), token))
		c.Next()
	}
}

// Token returns the token that Require has verified.
func Token(c *gin.Context) (*verify.Token, bool) { return verify.FromContext(c.Request.Context()) }

// FromRequest returns the access token of the Authorization header, the only
// place where one is looked for (RFC 6750 section 2.1), and whether there is
// one. The error means that the request carries more than one. It is for
// servers that verify tokens otherwise than by a Verifier.
func FromRequest(r *http.Request) (token string, found bool, err error) {
	token, err = verify.FromRequest(r)
	if errors.Is(err, verify.ErrNoToken) {
		return "", false, nil
	}
	return token, err == nil, err
}
