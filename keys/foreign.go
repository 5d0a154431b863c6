package keys

import (
	"crypto/rsa"
	"encoding/json"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// ForeignAlgorithms returns the algorithms that others may sign with what
// VerifyForeign checks: asymmetric ones alone.
func ForeignAlgorithms() []string { return []string{"RS256", "PS256", "ES256", "ES384", "EdDSA"} }

// Limits of a foreign key set.
const (
	maxForeignKeys = 20
	minRSABits     = 2048
)

// VerifyForeign returns the "typ" header and the payload of a compact JWS that
// somebody else has signed with a key of the set jwks (RFC 7517). A key id in
// the header must be one of the set. Symmetric keys, weak ones, and those for
// something else count for nothing. It looks at no claim. The error is
// ErrInvalid, whatever the reason.
func VerifyForeign(jwks []byte, token string) (typ string, payload []byte, err error) {
	var set jose.JSONWebKeySet
	if !wellFormed(token) || json.Unmarshal(jwks, &set) != nil || len(set.Keys) > maxForeignKeys {
		return "", nil, ErrInvalid
	}
	algorithms := make([]jose.SignatureAlgorithm, 0, len(ForeignAlgorithms()))
	for _, algorithm := range ForeignAlgorithms() {
		algorithms = append(algorithms, jose.SignatureAlgorithm(algorithm))
	}
	object, err := jose.ParseSignedCompact(token, algorithms)
	if err != nil || len(object.Signatures) != 1 {
		return "", nil, ErrInvalid
	}
	header := object.Signatures[0].Protected
	for _, key := range set.Keys {
		if !key.Valid() || !key.IsPublic() || (header.KeyID != "" && key.KeyID != header.KeyID) || key.Use == "enc" ||
			(key.Algorithm != "" && key.Algorithm != header.Algorithm) || weak(key) {
			continue
		}
		if payload, err := object.Verify(key); err == nil {
			typ, _ := header.ExtraHeaders[jose.HeaderType].(string)
			return typ, payload, nil
		}
	}
	return "", nil, fmt.Errorf("%w: no key of the set has signed it", ErrInvalid)
}

func weak(key jose.JSONWebKey) bool {
	public, ok := key.Key.(*rsa.PublicKey)
	return ok && public.N.BitLen() < minRSABits
}
