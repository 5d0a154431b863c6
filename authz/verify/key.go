package verify

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"

	"chancery/authz/claims"

	"github.com/go-jose/go-jose/v4"
)

// Algorithms returns the signature algorithms that are accepted unless
// Options.Algorithms names fewer.
func Algorithms() []string { return []string{"RS256", "EdDSA", "ES256"} }

// minRSABits is the least size of an RSA key (RFC 7518 section 3.3).
const minRSABits = 2048

// key is a public key of the issuer. It signs with one algorithm.
type key struct {
	id, alg string
	public  crypto.PublicKey
}

// verify reports whether signature is the key's over signed. The checks are
// those of the standard library: a JWS library would parse the token again,
// less strictly, and cost a third of an RSA verification.
func (k *key) verify(signed, signature []byte) bool {
	switch public := k.public.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(public, signed, signature)
	case *rsa.PublicKey:
		sum := sha256.Sum256(signed)
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], signature) == nil
	case *ecdsa.PublicKey:
		sum := sha256.Sum256(signed)
		half := len(signature) / 2
		if len(signature) != 64 { // RFC 7518 section 3.4
			return false
		}
		return ecdsa.Verify(public, sum[:], new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:]))
	}
	return false
}

// parseKeys reads a JWK set (RFC 7517). Keys that are for none of Algorithms are
// passed over, since an issuer may publish others; a set that
// holds a private key is refused as a whole.
func parseKeys(body []byte) (*keySet, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("JWK set: %w", err)
	}
	keys, ids := map[string]*key{}, []string{}
	for _, raw := range set.Keys {
		var jwk jose.JSONWebKey
		if err := jwk.UnmarshalJSON(raw); err != nil {
			continue
		}
		if !jwk.IsPublic() {
			return nil, errors.New("JWK set: holds a key that is not public")
		}
		ids = append(ids, jwk.KeyID)
		k := &key{id: jwk.KeyID, public: jwk.Key}
		if k.alg = algorithmOf(jwk); k.alg == "" || k.id == "" || len(k.id) > maxKeyID {
			continue
		}
		if _, twice := keys[k.id]; twice {
			return nil, errors.New("JWK set: holds a kid twice")
		}
		keys[k.id] = k
	}
	if len(keys) == 0 {
		return nil, errors.New("JWK set: holds no key that can be used")
	}
	return &keySet{byID: keys, tag: claims.KeysTag(ids)}, nil
}

// algorithmOf returns the one algorithm of a key that is for signatures, or ""
// for one that cannot be used.
func algorithmOf(jwk jose.JSONWebKey) string {
	var alg string
	switch public := jwk.Key.(type) {
	case ed25519.PublicKey:
		alg = "EdDSA"
	case *rsa.PublicKey:
		if public.N.BitLen() >= minRSABits {
			alg = "RS256"
		}
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P256() {
			alg = "ES256"
		}
	}
	if (jwk.Use != "" && jwk.Use != "sig") || (jwk.Algorithm != "" && jwk.Algorithm != alg) {
		return ""
	}
	return alg
}

// same reports whether two keys are one.
func (k *key) same(o *key) bool {
	public, ok := k.public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && o != nil && k.alg == o.alg && k.id == o.id && public.Equal(o.public)
}
