package authz

import (
	"context"
	"time"
)

// Grant is what a user has allowed a client in a browser, and how he had proven
// who he is.
type Grant struct {
	ClientID string
	UserID   string
	// AuthEpoch is that of the user then: whatever ends all of his sessions ends
	// the grant too.
	AuthEpoch int64
	// BrowserID is the browser session that it was given in.
	BrowserID string
	Scope     Scope
	Resources []string
	AMR       []string
	AuthTime  time.Time
	// KeyThumbprint is that of the key that the client must prove to hold, "" for
	// any (RFC 9449 section 10).
	KeyThumbprint string
}

// AuthorizationCode is what a client exchanges for a session (RFC 6749 section
// 4.1.2). It is good once.
type AuthorizationCode struct {
	// Hash is that of the code, which nobody but its client has.
	Hash Hash
	Grant
	RedirectURI string
	// Challenge is the S256 code challenge (RFC 7636), "" for a client that need
	// not send one.
	Challenge string
	Nonce     string
	CreatedAt time.Time
	ExpiresAt time.Time
	// SessionID is the session that it was exchanged for, "" before.
	SessionID string
}

// authorizationCodeTag tells scanners of leaked secrets what they found.
const authorizationCodeTag = "chac_"

// AuthorizationCodeTTL is how long a code is good.
const AuthorizationCodeTTL = time.Minute

// codeKept is how long a code is remembered after it has expired, so that its
// replay ends what it was exchanged for.
const codeKept = 24 * time.Hour

// CodeStore is what the exchange of a code reads and writes.
type CodeStore interface {
	// Code returns the code with the hash, or ErrNotFound.
	Code(ctx context.Context, hash Hash) (AuthorizationCode, error)
	// UserWithSessions returns the user with the id, and how many live sessions
	// he has at now, in one statement. ErrNotFound means that there is none.
	UserWithSessions(ctx context.Context, id string, now time.Time) (user User, sessions int, err error)
	// RedeemCode marks the code with the hash as exchanged for the family, stores
	// that as InsertFamily does with the grant's epoch, and remembers which
	// browser it belongs to, in one transaction. ErrConflict means that the code
	// was exchanged already, or is gone; ErrNotFound that user or client are not
	// as they were. Nothing was stored then.
	RedeemCode(ctx context.Context, hash Hash, family Family, grant Grant) error
}
