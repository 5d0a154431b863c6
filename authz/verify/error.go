package verify

import "errors"

// Kinds of error. Every error of Verify and of the functions that read requests
// is one of them, for errors.Is.
var (
	// ErrNoToken: the request has no access token.
	ErrNoToken = errors.New("no access token")
	// ErrInvalidRequest: the request has more than one token, or more than one
	// way to carry it.
	ErrInvalidRequest = errors.New("invalid request")
	// ErrInvalidToken: the token is not to be accepted, now or ever. The error
	// is an *InvalidTokenError, which says why.
	ErrInvalidToken = errors.New("invalid token")
	// ErrInvalidProof: the DPoP proof is missing, or not one for this request.
	ErrInvalidProof = errors.New("invalid DPoP proof")
	// ErrInsufficientScope: the token is good, but not for this.
	ErrInsufficientScope = errors.New("insufficient scope")
	// ErrUnavailable: whether the token is good cannot be told now, because the
	// issuer's keys or the status list cannot be had.
	ErrUnavailable = errors.New("cannot verify now")
)

// Reason is why a token is refused, as a word that does not change. It is for
// logs and metrics, not for the client that sent the token.
type Reason string

// The reasons.
const (
	// Malformed: the token is no JWS in compact form, or holds no strict JSON.
	Malformed Reason = "malformed"
	// WrongType: the header "typ" is not that of an access token.
	WrongType Reason = "type"
	// WrongAlgorithm: the algorithm is not allowed, or not that of the key.
	WrongAlgorithm Reason = "algorithm"
	// UnknownKey: the issuer publishes no such key.
	UnknownKey Reason = "key"
	// BadSignature: the key has not signed this.
	BadSignature Reason = "signature"
	// CriticalHeader: the header asks for an extension with "crit" or "b64".
	CriticalHeader Reason = "critical_header"
	// BadClaims: a claim is missing or of the wrong type.
	BadClaims Reason = "claims"
	// WrongIssuer: the token is of another issuer.
	WrongIssuer Reason = "issuer"
	// WrongAudience: the token is for another resource server.
	WrongAudience Reason = "audience"
	// Expired: the token's time is over.
	Expired Reason = "expired"
	// NotYetValid: the token's time has not come.
	NotYetValid Reason = "not_yet_valid"
	// ProofRequired: the token is bound to a key of the client, and came without
	// a proof.
	ProofRequired Reason = "proof_required"
	// NotBound: the token came with a proof, and is bound to no key.
	NotBound Reason = "not_bound"
	// BadStatus: the token has no entry in a status list although one is
	// required, or one that cannot be.
	BadStatus Reason = "status"
	// Revoked: the session or client is over.
	Revoked Reason = "revoked"
)

// InvalidTokenError says why a token is refused.
type InvalidTokenError struct {
	Reason Reason
}

// Error returns the reason. It never holds a part of the token.
func (e *InvalidTokenError) Error() string { return "invalid token: " + string(e.Reason) }

// Is makes it an ErrInvalidToken.
func (e *InvalidTokenError) Is(target error) bool { return target == ErrInvalidToken }

func refuse(reason Reason) error { return &InvalidTokenError{Reason: reason} }
