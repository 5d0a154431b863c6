package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Algorithm is a JWS algorithm (RFC 7518 section 3.1, RFC 8037 section 3.1).
type Algorithm string

// The algorithms that Chancery signs with. One key serves one algorithm.
const (
	RS256 Algorithm = "RS256"
	EdDSA Algorithm = "EdDSA"
	ES256 Algorithm = "ES256"
)

// Algorithms returns all supported algorithms, the default one first.
func Algorithms() []Algorithm { return []Algorithm{RS256, EdDSA, ES256} }

// Valid reports whether a is one of Algorithms.
func (a Algorithm) Valid() bool { return a == RS256 || a == EdDSA || a == ES256 }

const rsaBits = 2048

// State is where a key stands in its life. It follows from the key's times.
type State string

// The states of a key, in the order in which it goes through them.
const (
	Pending State = "pending" // published, not signing
	Active  State = "active"  // published, signing
	Retired State = "retired" // published until its last token is dead
	Gone    State = "gone"    // no longer published
)

// Key is one signing key as it is stored. Times are UTC; a zero time means
// that the event is not planned.
type Key struct {
	// ID is the RFC 7638 thumbprint of the public half, the "kid" of tokens.
	ID        string
	Algorithm Algorithm
	// Public is the key as RFC 7517 JSON: kty, use, alg, kid and the numbers.
	Public json.RawMessage
	// Sealed is the private half as a compact JWE; empty once compromised.
	Sealed     string
	CreatedAt  time.Time
	ActivateAt time.Time
	// RetireAt is when a successor takes over, RemoveAt when the public half
	// leaves the JWKS.
	RetireAt time.Time
	RemoveAt time.Time
	// MaxTokenTTL is the greatest lifetime in force while the key was active.
	MaxTokenTTL   time.Duration
	CompromisedAt time.Time
}

// State returns the state of the key at now.
func (k Key) State(now time.Time) State {
	switch {
	case !k.CompromisedAt.IsZero(), !k.RemoveAt.IsZero() && !now.Before(k.RemoveAt):
		return Gone
	case !k.RetireAt.IsZero() && !now.Before(k.RetireAt):
		return Retired
	case now.Before(k.ActivateAt):
		return Pending
	default:
		return Active
	}
}

// Published reports whether the public half belongs into the JWKS at now.
func (k Key) Published(now time.Time) bool { return k.State(now) != Gone }

// material is a freshly made key pair.
type material struct {
	id      string
	public  json.RawMessage
	private jose.JSONWebKey
}

func generate(a Algorithm) (material, error) {
	var signer crypto.Signer
	var err error
	switch a {
	case RS256:
		signer, err = rsa.GenerateKey(rand.Reader, rsaBits)
	case EdDSA:
		_, signer, err = ed25519.GenerateKey(rand.Reader)
	case ES256:
		signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		return material{}, fmt.Errorf("unsupported algorithm %q", a)
	}
	if err != nil {
		return material{}, fmt.Errorf("generate %s key: %w", a, err)
	}
	public := jose.JSONWebKey{Key: signer.Public(), Algorithm: string(a), Use: "sig"}
	thumbprint, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return material{}, fmt.Errorf("thumbprint of %s key: %w", a, err)
	}
	public.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
	encoded, err := public.MarshalJSON()
	if err != nil {
		return material{}, fmt.Errorf("encode %s key: %w", a, err)
	}
	private := jose.JSONWebKey{Key: signer, KeyID: public.KeyID, Algorithm: string(a), Use: "sig"}
	return material{id: public.KeyID, public: encoded, private: private}, nil
}
