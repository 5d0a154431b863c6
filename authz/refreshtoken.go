package authz

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
)

// MACKey authenticates refresh tokens. ID is stored in the token and says
// which key made its tag. It prints as REDACTED.
type MACKey struct {
	ID     byte
	Secret [32]byte
}

// String hides the key.
func (MACKey) String() string { return "REDACTED" }

// GoString hides the key.
func (MACKey) GoString() string { return "REDACTED" }

// RefreshTokens makes and reads refresh tokens:
//
//	"chrt_" base64url( version ‖ key id ‖ handle(32) ‖ uvarint generation ‖ tag(16) )
//
// The first key signs, all of them verify. It is safe for concurrent use.
type RefreshTokens struct{ keys []MACKey }

const (
	refreshPrefix   = "chrt_"
	refreshVersion  = 1
	refreshMACLabel = "chancery refresh token v1\x00"
	handleSize      = 32
	tagSize         = 16
	refreshHead     = 2 + handleSize
	minRefresh      = refreshHead + 1 + tagSize
	maxRefresh      = refreshHead + binary.MaxVarintLen64 + tagSize
)

// handle is the 256-bit secret that names a family. Only its hash is stored.
type handle [handleSize]byte

func (h handle) hash() Hash { return sha256.Sum256(h[:]) }

// refreshToken is a parsed refresh token.
type refreshToken struct {
	handle     handle
	generation uint64
}

// NewRefreshTokens returns a codec for keys, of which there must be one.
func NewRefreshTokens(keys []MACKey) (*RefreshTokens, error) {
	if len(keys) == 0 {
		return nil, errors.New("refresh tokens need a MAC key")
	}
	return &RefreshTokens{keys: keys}, nil
}

// format returns the one spelling of t under the first key. Since it holds
// nothing random beside the handle, the successor of a token can be made again
// whenever its answer got lost.
func (r *RefreshTokens) format(t refreshToken) Secret {
	raw := make([]byte, 0, maxRefresh)
	raw = append(raw, refreshVersion, r.keys[0].ID)
	raw = append(raw, t.handle[:]...)
	raw = binary.AppendUvarint(raw, t.generation)
	raw = append(raw, refreshTag(r.keys[0], raw)...)
	return Secret(refreshPrefix + base64.RawURLEncoding.EncodeToString(raw))
}

var errRefreshToken = errors.New("not a refresh token of this server")

// parse reads a refresh token and checks its MAC, without any access to the
// database. Only the canonical spelling is accepted.
func (r *RefreshTokens) parse(text Secret) (refreshToken, error) {
	var t refreshToken
	encoded, ok := bytes.CutPrefix([]byte(text), []byte(refreshPrefix))
	if !ok || len(encoded) > base64.RawURLEncoding.EncodedLen(maxRefresh) || bytes.ContainsAny(encoded, "\r\n") {
		return t, errRefreshToken
	}
	raw, err := base64.RawURLEncoding.Strict().AppendDecode(nil, encoded)
	if err != nil || len(raw) < minRefresh || raw[0] != refreshVersion {
		return t, errRefreshToken
	}
	body, tag := raw[:len(raw)-tagSize], raw[len(raw)-tagSize:]
	generation, n := binary.Uvarint(body[refreshHead:])
	if n <= 0 || refreshHead+n != len(body) || generation >= math.MaxInt64 || (n > 1 && body[len(body)-1] == 0) {
		return t, errRefreshToken
	}
	if !r.verify(body, tag) {
		return t, errRefreshToken
	}
	return refreshToken{handle: handle(body[2:refreshHead]), generation: generation}, nil
}

// verify tries every key with the id of the token: ids are one byte long, so
// two keys of a list may share one.
func (r *RefreshTokens) verify(body, tag []byte) bool {
	valid := false
	for _, key := range r.keys {
		if key.ID == body[1] && hmac.Equal(tag, refreshTag(key, body)) {
			valid = true
		}
	}
	return valid
}

func refreshTag(key MACKey, body []byte) []byte {
	mac := hmac.New(sha256.New, key.Secret[:])
	mac.Write([]byte(refreshMACLabel))
	mac.Write(body)
	return mac.Sum(nil)[:tagSize]
}
