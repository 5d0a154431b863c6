package respond

import (
	"net/http"
	"strings"

	"chancery/authz"

	"github.com/gin-gonic/gin"
)

// Problem is an error of a JSON API (RFC 9457). Its type is "about:blank": code
// says more. As an error it answers a request of the admin API's framework.
type Problem struct {
	Type   string     `json:"type" example:"about:blank"`
	Title  string     `json:"title" example:"Not Found"`
	Status int        `json:"status" example:"404"`
	Detail string     `json:"detail,omitempty" example:"there is no client \"shop\""`
	Code   authz.Code `json:"code" example:"not_found" doc:"What went wrong, for programs."`
	// Errors name what of a request is not as documented, without its values.
	Errors []ProblemDetail `json:"errors,omitempty" nullable:"false"`
}

// ProblemDetail is one thing that is wrong with a request.
type ProblemDetail struct {
	Detail   string `json:"detail" example:"expected string"`
	Location string `json:"location,omitempty" example:"body.client_name"`
}

// NewProblem returns a problem of that status and code.
func NewProblem(status int, code authz.Code, detail string) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Code: code}
}

// Error returns code and detail.
func (p *Problem) Error() string { return string(p.Code) + ": " + p.Detail }

// GetStatus returns the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType returns the media type of problem documents.
func (p *Problem) ContentType(string) string { return problemType }

const problemType = "application/problem+json"

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
	p := r.ProblemOf(c, err)
	write(c, p.Status, problemType, p)
	c.Abort()
}

// ProblemOf sets the headers of an answer with err, notes it for the access
// log, and returns the document for somebody else to write.
func (r Responder) ProblemOf(c *gin.Context, err error) *Problem {
	status, body := classify(err)
	if body.Error == authz.UnauthorizedClient {
		status = http.StatusForbidden // which RFC 6749 section 5.2 has as 400
	}
	r.head(c, err, status, body)
	return NewProblem(status, body.Error, body.Description)
}

// Nothing answers a request for what is not there, as a problem document.
func (r Responder) Nothing(c *gin.Context, status int, detail string) {
	code := authz.NotFound
	if status == http.StatusMethodNotAllowed {
		code = "method_not_allowed"
	}
	NoStore(c)
	write(c, status, problemType, NewProblem(status, code, detail))
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

// ErrPreconditionRequired is returned for a change without the If-Match header
// that it needs (RFC 6585 section 3).
var ErrPreconditionRequired = &authz.Error{Code: "precondition_required", Description: "Send the entity tag of what you change, in If-Match."}
