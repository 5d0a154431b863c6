package authz

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"log/slog"
)

// Secret is a string that never shows in logs, errors or panics: a password,
// a client secret, a token. Reveal returns it.
type Secret string

// String hides the secret.
func (Secret) String() string { return "REDACTED" }

// GoString hides the secret.
func (Secret) GoString() string { return "REDACTED" }

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue("REDACTED") }

// MarshalText hides the secret: whoever may send it says so with Reveal.
func (Secret) MarshalText() ([]byte, error) { return []byte("REDACTED"), nil }

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// Hash is the SHA-256 of a secret of at least 128 bits of entropy. A fast
// hash is right for those alone (RFC 6749 section 10.10), never for passwords.
type Hash [sha256.Size]byte

// HashSecret returns the hash under which s is stored.
func HashSecret(s Secret) Hash { return sha256.Sum256([]byte(s)) }

// equal compares in constant time.
func (h Hash) equal(other Hash) bool { return subtle.ConstantTimeCompare(h[:], other[:]) == 1 }

// newSecret returns 256 random bits behind a prefix that tells scanners of
// leaked secrets what they found.
func newSecret(prefix string) Secret {
	return Secret(prefix + base64.RawURLEncoding.EncodeToString(randomBytes(32)))
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the program instead
	return b
}
