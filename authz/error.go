package authz

import (
	"errors"
	"fmt"
	"time"
)

// Code is the machine-readable kind of an expected failure. The first group
// are the error codes of RFC 6749 section 5.2, RFC 8707 section 2 and RFC 7009
// section 2.2.1; the second group belongs to devices, the third to the
// authorization endpoint, the fourth to clients that register themselves, the
// fifth to administration, the sixth to the account API, beginning with the
// codes of RFC 6750 section 3.1.
type Code string

// The codes of expected failures.
const (
	InvalidRequest         Code = "invalid_request"
	InvalidClient          Code = "invalid_client"
	InvalidGrant           Code = "invalid_grant"
	UnauthorizedClient     Code = "unauthorized_client"
	UnsupportedGrantType   Code = "unsupported_grant_type"
	InvalidScope           Code = "invalid_scope"
	InvalidTarget          Code = "invalid_target"
	InvalidDPoPProof       Code = "invalid_dpop_proof"
	TemporarilyUnavailable Code = "temporarily_unavailable"

	// Codes of devices (RFC 8628 section 3.5).
	AuthorizationPending Code = "authorization_pending"
	SlowDown             Code = "slow_down"
	ExpiredToken         Code = "expired_token"

	// Codes of the authorization endpoint alone (RFC 6749 section 4.1.2.1, OpenID
	// Connect Core section 3.1.2.6).
	AccessDenied             Code = "access_denied"
	UnsupportedResponseType  Code = "unsupported_response_type"
	LoginRequired            Code = "login_required"
	ConsentRequired          Code = "consent_required"
	RequestNotSupported      Code = "request_not_supported"
	RequestURINotSupported   Code = "request_uri_not_supported"
	RegistrationNotSupported Code = "registration_not_supported"

	// Codes of clients that register themselves (RFC 7591 section 3.2.2).
	InvalidRedirectURI    Code = "invalid_redirect_uri"
	InvalidClientMetadata Code = "invalid_client_metadata"

	InvalidInput Code = "invalid_input"
	NotFound     Code = "not_found"
	Conflict     Code = "conflict"
	Changed      Code = "changed"

	InvalidToken        Code = "invalid_token"
	InsufficientScope   Code = "insufficient_scope"
	InvalidConfirmation Code = "invalid_confirmation"
	WrongPassword       Code = "wrong_password"
	Unsupported         Code = "unsupported"
	RegistrationClosed  Code = "registration_closed"
)

// Error is an expected failure: its code and description are meant for the
// caller. Anything that is not an *Error is a fault of the server.
type Error struct {
	Code Code
	// Description is a fixed sentence for OAuth errors; it never quotes input.
	Description string
	// Cause tells a client why its session was refused; see Cause.
	Cause Cause
	// Scope is the one that an access token lacked.
	Scope string
	// RetryAfter is set for a caller who has tried too often: how long to wait.
	RetryAfter time.Duration
	// Err is what happened underneath, for logs alone. It may be nil.
	Err error
}

// Error returns code and description, with the underlying error for logs.
func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Description, e.Err)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Description)
}

// Unwrap returns the underlying error.
func (e *Error) Unwrap() error { return e.Err }

// Errors that stores return, wrapped or bare.
var (
	// ErrNotFound: no row fits.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the row exists already, or has changed since it was read.
	ErrConflict = errors.New("conflict")
	// ErrUnavailable: the database cannot answer now; the same call may
	// succeed later.
	ErrUnavailable = errors.New("database unavailable")
)

// ErrChanged is returned for a change that was meant for something as it was
// before another change.
var ErrChanged = fail(Changed, "It was changed meanwhile.")

// CodeOf returns the code of the *Error that err wraps, or "".
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// CauseOf returns the cause of the *Error that err wraps, or "".
func CauseOf(err error) Cause {
	var e *Error
	if errors.As(err, &e) {
		return e.Cause
	}
	return ""
}

func fail(code Code, description string) *Error {
	return &Error{Code: code, Description: description}
}

func invalidInput(format string, args ...any) *Error {
	return fail(InvalidInput, fmt.Sprintf(format, args...))
}

// named translates a store's answer about one named thing into an expected
// failure; other errors pass through.
func named(err error, kind, name string) error {
	switch {
	case errors.Is(err, ErrNotFound):
		return &Error{Code: NotFound, Description: fmt.Sprintf("there is no %s %q", kind, name), Err: err}
	case errors.Is(err, ErrConflict):
		return &Error{Code: Conflict, Description: fmt.Sprintf("%s %q exists already", kind, name), Err: err}
	}
	return err
}
