package keys

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

const masterKeySize = 32

// Purposes that a key is derived for. A derived key serves one purpose only.
const (
	PurposeSeal       = "seal"
	PurposeRefreshMAC = "refresh-mac"
)

// MasterKeys is the list of master keys: the first seals and signs, all of
// them open and verify. It prints as REDACTED.
type MasterKeys struct{ keys [][]byte }

// DerivedKey is a key made from a master key for one purpose. ID tells which
// of several keys was used; it is derived with the key and does not depend on
// the master key's place in the list. It prints as REDACTED.
type DerivedKey struct {
	ID     byte
	Secret [32]byte
}

// String hides the key.
func (DerivedKey) String() string { return "REDACTED" }

// GoString hides the key.
func (DerivedKey) GoString() string { return "REDACTED" }

// String hides the keys.
func (MasterKeys) String() string { return "REDACTED" }

// GoString hides the keys.
func (MasterKeys) GoString() string { return "REDACTED" }

// NewMasterKey returns a random master key in the form that ParseMasterKeys
// reads.
func NewMasterKey() string {
	key := make([]byte, masterKeySize)
	_, _ = rand.Read(key) // never fails: crypto/rand ends the program instead
	return base64.StdEncoding.EncodeToString(key)
}

// ParseMasterKeys reads a comma-separated list of base64 keys of 32 bytes
// each. Standard and URL alphabets are accepted, with or without padding. The
// error names the place in the list and never quotes the text.
func ParseMasterKeys(text string) (MasterKeys, error) {
	var m MasterKeys
	for i, part := range strings.Split(text, ",") {
		part = strings.TrimRight(strings.TrimSpace(part), "=")
		part = strings.NewReplacer("+", "-", "/", "_").Replace(part)
		key, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			return MasterKeys{}, fmt.Errorf("master key %d is not base64", i+1)
		}
		if len(key) != masterKeySize {
			return MasterKeys{}, fmt.Errorf("master key %d has %d bytes, want %d", i+1, len(key), masterKeySize)
		}
		m.keys = append(m.keys, key)
	}
	return m, nil
}

// Derive returns one key for the purpose per master key, in the order of the
// list (HKDF-SHA256, RFC 5869). context separates keys of the same purpose,
// for example by issuer.
func (m MasterKeys) Derive(purpose, context string) ([]DerivedKey, error) {
	if len(m.keys) == 0 {
		return nil, errors.New("no master key")
	}
	derived := make([]DerivedKey, 0, len(m.keys))
	for _, key := range m.keys {
		bytes, err := hkdf.Key(sha256.New, key, nil, "chancery "+purpose+"\x00"+context, 1+masterKeySize)
		if err != nil {
			return nil, fmt.Errorf("derive %s key: %w", purpose, err)
		}
		derived = append(derived, DerivedKey{ID: bytes[0], Secret: [32]byte(bytes[1:])})
	}
	return derived, nil
}

// Fingerprint identifies the first master key without telling anything of it.
func (m MasterKeys) Fingerprint() (string, error) {
	derived, err := m.Derive("fingerprint", "")
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(derived[0].Secret[:8]), nil
}
