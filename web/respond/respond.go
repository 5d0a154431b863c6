// Package respond owns how answers look: which HTTP status an error has, the
// JSON of OAuth errors (RFC 6749 section 5.2), the headers that every answer
// carries, and what of a request is noted for the access log. It leaves to the
// endpoints what they answer.
package respond

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"

	"chancery/authz"

	"github.com/gin-gonic/gin"
)

// RetryAfter is how many seconds a client is asked to wait when the server
// cannot answer now.
const RetryAfter = 2

// Statuses of pages: shown as asked for, and a form that is shown again because
// of what was filled in.
const (
	StatusShown = http.StatusOK
	StatusUnfit = http.StatusUnprocessableEntity
)

// statusClosed is logged for a request whose client has gone.
const statusClosed = 499

// Responder turns what handlers return into answers.
type Responder struct {
	// Realm names the server in challenges: the issuer.
	Realm string
}

// Handler adapts a handler that returns an error. The handler either answers
// and returns nil, or returns an error and has not answered.
func (r Responder) Handler(handle func(c *gin.Context) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := handle(c); err != nil {
			r.Error(c, err)
		}
	}
}

// oauthError is the body of an error answer.
type oauthError struct {
	Error       authz.Code  `json:"error"`
	Description string      `json:"error_description,omitempty"`
	Cause       authz.Cause `json:"cause,omitempty"`
	// Scope is the one that was missing, for the challenge.
	Scope string `json:"-"`
}

// serverError is the code of a fault of the server (RFC 6749 section 4.1.2.1).
const serverError authz.Code = "server_error"

// Error answers with err. An expected failure shows its code and description;
// anything else is a bare 503 or 500, and its text goes to the access log
// alone.
func (r Responder) Error(c *gin.Context, err error) {
	status, body := classify(err)
	r.head(c, err, status, body)
	JSON(c, status, body)
	c.Abort()
}

// head notes an error for the access log and sets the headers that go with it.
func (r Responder) head(c *gin.Context, err error, status int, body oauthError) {
	Note(c, slog.String("error", string(body.Error)))
	if body.Cause != "" {
		Note(c, slog.String("cause", string(body.Cause)))
	}
	if status >= http.StatusInternalServerError || status == statusClosed {
		Note(c, slog.String("detail", err.Error()))
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		if challenge := r.challenge(c, body); challenge != "" {
			c.Header("WWW-Authenticate", challenge)
		}
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		c.Header("Retry-After", strconv.Itoa(retryAfter(err)))
	case http.StatusRequestEntityTooLarge:
		c.Header("Connection", "close")
	}
	NoStore(c)
}

// challenge says how to do better, where that is a matter of authentication.
func (r Responder) challenge(c *gin.Context, body oauthError) string {
	switch body.Error {
	case authz.InvalidClient:
		if c.GetHeader("Origin") != "" && c.GetHeader("Authorization") == "" {
			// A browser would ask its user for a name and a password.
			return `OAuth realm="` + r.Realm + `"`
		}
		return `Basic realm="` + r.Realm + `", charset="UTF-8"`
	case authz.InvalidToken, ErrNoToken.Code:
		challenge := r.bearerChallenge(body, "")
		if scheme, _, _ := strings.Cut(c.GetHeader("Authorization"), " "); strings.EqualFold(scheme, "DPoP") {
			challenge = "DPoP" + strings.TrimPrefix(challenge, "Bearer") // RFC 9449 section 7.1
		}
		return challenge
	case authz.InsufficientScope:
		return r.bearerChallenge(body, body.Scope)
	}
	return ""
}

// ErrTooLarge is returned for a request body over the limit.
var ErrTooLarge = errors.New("request body too large")

// Describe returns how a page tells of err: the HTTP status, and a sentence for
// people, which is empty for a fault of the server.
func (r Responder) Describe(c *gin.Context, err error) (status int, description string) {
	status, body := classify(err)
	r.head(c, err, status, body)
	c.Writer.Header().Del("WWW-Authenticate") // a page asks for a login itself
	if body.Error == authz.InvalidGrant {
		status = http.StatusUnauthorized // which RFC 6749 section 5.2 has as 400
	}
	return status, body.Description
}

func classify(err error) (int, oauthError) {
	var expected *authz.Error
	switch {
	case errors.As(err, &expected):
		return statusOf(expected), oauthError{Error: expected.Code, Description: expected.Description, Cause: expected.Cause, Scope: expected.Scope}
	case errors.Is(err, ErrTooLarge):
		return http.StatusRequestEntityTooLarge, oauthError{Error: authz.InvalidRequest, Description: "The request body is too large."}
	case errors.Is(err, context.Canceled):
		return statusClosed, oauthError{Error: authz.TemporarilyUnavailable}
	case errors.Is(err, authz.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable, oauthError{Error: authz.TemporarilyUnavailable, Description: "The server cannot answer now. Try again."}
	}
	return http.StatusInternalServerError, oauthError{Error: serverError}
}

// statusOf maps the codes of expected failures to HTTP.
func statusOf(err *authz.Error) int {
	if err.RetryAfter > 0 {
		return http.StatusTooManyRequests
	}
	switch err.Code {
	case authz.InvalidClient, authz.InvalidToken, ErrNoToken.Code:
		return http.StatusUnauthorized
	case authz.UnauthorizedClient:
		return http.StatusBadRequest // RFC 6749 section 5.2
	case authz.WrongPassword, authz.InsufficientScope, authz.RegistrationClosed:
		return http.StatusForbidden
	case authz.Unsupported:
		return http.StatusNotImplemented
	case authz.TemporarilyUnavailable:
		return http.StatusServiceUnavailable
	case authz.NotFound:
		return http.StatusNotFound
	case authz.Conflict:
		return http.StatusConflict
	case authz.Changed:
		return http.StatusPreconditionFailed
	case ErrPreconditionRequired.Code:
		return http.StatusPreconditionRequired
	}
	return http.StatusBadRequest
}

// maxNotedID bounds what an unauthenticated request can put into the log.
const maxNotedID = 128

// NoteClient says in the access log which client a request names.
func NoteClient(c *gin.Context, id string) {
	Note(c, slog.String("client_id", id[:min(len(id), maxNotedID)]))
}

// retryAfter returns how many seconds to ask a client to wait.
func retryAfter(err error) int {
	var expected *authz.Error
	if errors.As(err, &expected) && expected.RetryAfter > 0 {
		return int(math.Ceil(expected.RetryAfter.Seconds()))
	}
	return RetryAfter
}

// JSON answers with a JSON body.
func JSON(c *gin.Context, status int, body any) { write(c, status, "application/json", body) }

func write(c *gin.Context, status int, mediaType string, body any) {
	encoded, err := json.Marshal(body)
	if err != nil {
		Note(c, slog.String("detail", "encode answer: "+err.Error()))
		c.Status(http.StatusInternalServerError)
		return
	}
	c.Data(status, mediaType, encoded)
}

// notesKey is where a request's notes for the access log are kept.
const notesKey = "chancery.notes"

// Note adds attributes to the request's access line. They must not be secret.
func Note(c *gin.Context, attrs ...slog.Attr) {
	c.Set(notesKey, append(Notes(c), attrs...))
}

// Notes returns what was noted of the request.
func Notes(c *gin.Context) []slog.Attr {
	value, _ := c.Get(notesKey)
	notes, _ := value.([]slog.Attr)
	return notes
}
