package authz

import (
	"context"
	"time"

	"chancery/authz/password"
)

// Signer signs access tokens.
type Signer interface {
	// Sign returns payload as a compact JWS with the active key of the
	// algorithm and the header "typ" typ. It works from memory.
	Sign(algorithm, typ string, payload []byte) (string, error)
	// Ready returns an error while Sign could not succeed. It works from
	// memory and is asked before anything is used up.
	Ready() error
	// Verify returns the payload of a compact JWS that a published key signed
	// with the header "typ" typ; any error means that it is not valid.
	Verify(token, typ string) ([]byte, error)
}

// DenyStore remembers single access tokens that were revoked: those of
// clients, which have no session to end.
type DenyStore interface {
	// Deny stores the token id until it expires. Doing so twice is no error.
	Deny(ctx context.Context, tokenID string, expires time.Time) error
	// Denied reports whether the token id is stored.
	Denied(ctx context.Context, tokenID string) (bool, error)
}

// Settings are the values of the configuration that the rules use.
type Settings struct {
	// Issuer is the URL of the server, without a trailing slash.
	Issuer string
	// AccessTokenTTL applies where a resource sets none.
	AccessTokenTTL time.Duration
	Refresh        RefreshPolicy
	// PasswordGrant turns the password grant on for the whole server.
	PasswordGrant bool
	// MaxSessions is how many live sessions a user may have; zero stands for
	// any number.
	MaxSessions int
}

// Service answers the token, revocation and introspection endpoints. All
// fields but Documents, Throttle and Observer must be set; it is safe for concurrent use.
type Service struct {
	Settings
	// Now is the one clock (UTC).
	Now      func() time.Time
	Registry *Registry
	Logins   LoginStore
	Codes    CodeStore
	Devices  DeviceStore
	Families FamilyStore
	Sessions *Sessions
	Denylist DenyStore
	Used     UsedStore
	// Documents finds clients that publish what they are; nil lets none in.
	Documents *ClientDocuments
	// ClientKeys checks the signatures of clients.
	ClientKeys ClientKeys
	Proofs     ProofVerifier
	Indexes    *Indexes
	Events     EventSink
	Refreshes  *RefreshTokens
	Passwords  *password.Hasher
	Signer     Signer
	// Throttle may be nil: nothing is throttled then.
	Throttle *Throttle
	// Observer may be nil.
	Observer Observer
}

func (s *Service) now() time.Time { return kept(s.Now) }

// kept returns the time of a clock as both databases keep it: UTC, with
// milliseconds.
func kept(now func() time.Time) time.Time { return now().UTC().Truncate(time.Millisecond) }
