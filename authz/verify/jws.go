package verify

import (
	"encoding/base64"
	"errors"
	"strings"
)

// Limits of a token and of its parts.
const (
	maxTokenSize = 16 << 10
	maxKeyID     = 256
)

// jws is a token taken apart. Its signature has not been checked.
type jws struct {
	typ, alg, kid string
	payload       []byte
	// signed is what the signature is over.
	signed    []byte
	signature []byte
}

// parseJWS takes a compact JWS apart (RFC 7515 section 7.1). It accepts one
// spelling of each token alone: three parts of unpadded base64url without stray
// bits. Of the header it reads typ, alg and kid; what tells where to find a key
// (jku, jwk, x5u, x5c) is not even looked at.
func parseJWS(token string, limit int) (jws, error) {
	if len(token) > limit {
		return jws{}, refuse(Malformed)
	}
	head, rest, _ := strings.Cut(token, ".")
	payload, signature, found := strings.Cut(rest, ".")
	if !found {
		return jws{}, refuse(Malformed)
	}
	j := jws{signed: []byte(token[:len(head)+1+len(payload)])}
	header, err := decode(head)
	if err == nil {
		j.payload, err = decode(payload)
	}
	if err == nil {
		j.signature, err = decode(signature)
	}
	if err != nil {
		return jws{}, refuse(Malformed)
	}
	if err := j.readHeader(header); err != nil {
		return jws{}, err
	}
	return j, nil
}

// decode decodes base64url. The decoder skips line breaks; they are refused.
func decode(part string) ([]byte, error) {
	if strings.ContainsAny(part, "\r\n") {
		return nil, base64.CorruptInputError(0)
	}
	return base64.RawURLEncoding.Strict().DecodeString(part)
}

func (j *jws) readHeader(header []byte) error {
	err := readObject(header, func(name string, value []byte) error {
		ok := true
		switch name {
		case "typ":
			j.typ, ok = asString(value)
		case "alg":
			j.alg, ok = asString(value)
		case "kid":
			j.kid, ok = asString(value)
			ok = ok && len(j.kid) <= maxKeyID
		case "crit", "b64":
			return refuse(CriticalHeader)
		}
		if !ok {
			return refuse(Malformed)
		}
		return nil
	})
	if err != nil && !errors.Is(err, ErrInvalidToken) {
		return refuse(Malformed)
	}
	return err
}

// hasType reports whether the header "typ" is the media type application/typ
// (RFC 7515 section 4.1.9: in any case, with or without "application/").
func (j *jws) hasType(typ string) bool {
	return strings.EqualFold(strings.TrimPrefix(strings.ToLower(j.typ), "application/"), typ)
}

// verify checks the signature with the key that the issuer publishes for it.
// The algorithm is the key's; the header's must be the same.
func (j *jws) verify(k *key) error {
	if j.alg != k.alg {
		return refuse(WrongAlgorithm)
	}
	if !k.verify(j.signed, j.signature) {
		return refuse(BadSignature)
	}
	return nil
}
