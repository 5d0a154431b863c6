package keys

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// sealPurpose stands in the protected header of every sealed private key, so
// that nothing else sealed under the same master key opens as one.
const sealPurpose = "signing-key"

// Sealer seals private keys with the first master key and opens what any of
// them sealed. It is safe for concurrent use.
type Sealer struct {
	keys        []DerivedKey
	fingerprint string
}

// NewSealer derives the sealing keys of m.
func NewSealer(m MasterKeys) (*Sealer, error) {
	derived, err := m.Derive(PurposeSeal, "")
	if err != nil {
		return nil, err
	}
	fingerprint, err := m.Fingerprint()
	if err != nil {
		return nil, err
	}
	return &Sealer{keys: derived, fingerprint: fingerprint}, nil
}

// seal encrypts private as a compact JWE (A256GCMKW, A256GCM). A compact JWE
// has no additional data of its own, so the kid and the purpose stand in the
// protected header and are compared when it is opened: a row whose ciphertext
// was swapped with another's does not open.
func (s *Sealer) seal(private jose.JSONWebKey) (string, error) {
	options := (&jose.EncrypterOptions{}).
		WithHeader("kid", private.KeyID).
		WithHeader("purpose", sealPurpose).
		WithHeader("master", int(s.keys[0].ID))
	encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.A256GCMKW, Key: s.keys[0].Secret[:]}, options)
	if err != nil {
		return "", fmt.Errorf("seal key %s: %w", private.KeyID, err)
	}
	plain, err := private.MarshalJSON()
	if err != nil {
		return "", fmt.Errorf("seal key %s: encode", private.KeyID)
	}
	object, err := encrypter.Encrypt(plain)
	if err != nil {
		return "", fmt.Errorf("seal key %s: %w", private.KeyID, err)
	}
	return object.CompactSerialize()
}

var errNotOpened = errors.New("no master key of the list opens it")

// open decrypts what seal made for the key kid, and reports whether it was
// sealed by the first master key. Errors never hold key material.
func (s *Sealer) open(kid, sealed string) (private jose.JSONWebKey, first bool, err error) {
	object, err := jose.ParseEncryptedCompact(sealed, []jose.KeyAlgorithm{jose.A256GCMKW}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		return private, false, fmt.Errorf("open key %s: not a sealed key", kid)
	}
	if object.Header.KeyID != kid || object.Header.ExtraHeaders["purpose"] != sealPurpose {
		return private, false, fmt.Errorf("open key %s: sealed for another key or purpose", kid)
	}
	for i := range s.keys {
		plain, err := object.Decrypt(s.keys[i].Secret[:])
		if err != nil {
			continue
		}
		if err := json.Unmarshal(plain, &private); err != nil || private.KeyID != kid {
			return jose.JSONWebKey{}, false, fmt.Errorf("open key %s: content does not fit", kid)
		}
		return private, i == 0, nil
	}
	return private, false, fmt.Errorf("open key %s: %w", kid, errNotOpened)
}
