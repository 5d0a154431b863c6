package respond

import (
	"net/http"
	"strings"

	"chancery/authz"

	"github.com/gin-gonic/gin"
)

// problem is an error of a JSON API (RFC 9457). Its type is "about:blank":
// code says more.
type problem struct {
	Type   string     `json:"type"`
	Title  string     `json:"title"`
	Status int        `json:"status"`
	Detail string     `json:"detail,omitempty"`
	Code   authz.Code `json:"code"`
}

// ProblemHandler is Handler for a JSON API: errors are problem documents.
func (r Responder) ProblemHandler(handle func(c *gin.Context) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := handle(c); err != nil {
			r.Problem(c, err)
		}
	}
}

// Problem answers with err as a problem document. What it tells and hides is
// the same as with Error.
func (r Responder) Problem(c *gin.Context, err error) {
	status, body := classify(err)
	if body.Error == authz.UnauthorizedClient {
		status = http.StatusForbidden // which RFC 6749 section 5.2 has as 400
	}
	r.head(c, err, status, body)
	encoded := problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: body.Description, Code: body.Error}
	write(c, status, "application/problem+json", encoded)
	c.Abort()
}

// Nothing answers a request for what is not there, as a problem document.
func (r Responder) Nothing(c *gin.Context, status int, detail string) {
	code := authz.NotFound
	if status == http.StatusMethodNotAllowed {
		code = "method_not_allowed"
	}
	NoStore(c)
	write(c, status, "application/problem+json", problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Code: code})
	c.Abort()
}

// bearerChallenge is what an API answers that asks for an access token
// (RFC 6750 section 3).
func (r Responder) bearerChallenge(body oauthError, scope string) string {
	parts := []string{`realm="` + r.Realm + `"`}
	if body.Error != ErrNoToken.Code {
		parts = append(parts, `error="`+string(body.Error)+`"`, `error_description="`+body.Description+`"`)
	}
	if scope != "" {
		parts = append(parts, `scope="`+scope+`"`)
	}
	return "Bearer " + strings.Join(parts, ", ")
}

// ErrNoToken is returned for a request without any access token: the challenge
// names no error then.
var ErrNoToken = &authz.Error{Code: "missing_token", Description: "An access token is needed here."}
