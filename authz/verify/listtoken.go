package verify

import (
	"context"
	"encoding/base64"
	"errors"
	"time"

	"chancery/authz/claims"
	"chancery/authz/statuslist"
)

// listState is one version of a list. It is never changed.
type listState struct {
	*statuslist.List
	// version is 0 for an issuer that numbers none.
	version  int64
	issuedAt int64
	keys     string
	expires  time.Time
	ttl      time.Duration
	etag     string
}

// olderThan compares two versions of a list: by their number where the issuer
// gives one, since its clock may have been set back.
func (l *listState) olderThan(o *listState) bool {
	if l.version != 0 && o.version != 0 {
		return l.version < o.version
	}
	return l.issuedAt < o.issuedAt
}

// read verifies a status list token (section 8.3 of the draft).
func (s *listStore) read(ctx context.Context, uri, token string, now time.Time) (*listState, error) {
	j, err := parseJWS(token, maxListToken)
	if err != nil {
		return nil, err
	}
	if !j.hasType(claims.TypeStatusList) {
		return nil, errors.New("no status list token")
	}
	k, err := s.keys.find(ctx, j.kid, &s.keys.forLists)
	if err != nil {
		return nil, err
	}
	if err := j.verify(k); err != nil {
		return nil, err
	}
	c, err := parseList(j.payload)
	if err != nil {
		return nil, err
	}
	next := &listState{keys: c.Keys, version: c.Version, issuedAt: c.IssuedAt, expires: now.Add(maxListAge), ttl: defaultListAge}
	if c.ExpiresAt != 0 {
		next.expires = time.Unix(min(c.ExpiresAt, now.Add(maxListLife).Unix()), 0)
	}
	if c.TTL != 0 {
		next.ttl = time.Duration(min(c.TTL, int64(maxListAge/time.Second))) * time.Second
	}
	switch {
	case c.Subject != uri || (c.Issuer != "" && c.Issuer != s.issuer):
		return nil, errors.New("another list")
	case c.IssuedAt > now.Add(s.leeway).Unix():
		return nil, errors.New("of the future")
	case !now.Before(next.expires):
		return nil, errors.New("expired")
	}
	compressed, err := base64.RawURLEncoding.Strict().DecodeString(c.StatusList.List)
	if err != nil {
		return nil, err
	}
	next.List, err = statuslist.Decompress(compressed, c.StatusList.Bits)
	return next, err
}

// parseList reads the claims of a status list token.
func parseList(payload []byte) (claims.StatusListToken, error) {
	c := claims.StatusListToken{IssuedAt: -1}
	number := func(into *int64, value []byte) (ok bool) { *into, ok = asInteger(value); return ok }
	inner := func(name string, value []byte) error {
		ok, bits := true, int64(0)
		switch name {
		case "bits":
			ok = number(&bits, value)
			c.StatusList.Bits = int(bits)
		case "lst":
			c.StatusList.List, ok = asString(value)
		}
		if !ok {
			return refuse(BadClaims)
		}
		return nil
	}
	err := readObject(payload, func(name string, value []byte) error {
		ok := true
		switch name {
		case "iss":
			c.Issuer, ok = asString(value)
		case "sub":
			c.Subject, ok = asString(value)
		case "iat":
			ok = number(&c.IssuedAt, value)
		case "exp":
			ok = number(&c.ExpiresAt, value) && c.ExpiresAt > 0
		case "ttl":
			ok = number(&c.TTL, value) && c.TTL > 0
		case "version":
			ok = number(&c.Version, value)
		case "keys":
			c.Keys, ok = asString(value)
		case "status_list":
			return readObject(value, inner)
		}
		if !ok {
			return refuse(BadClaims)
		}
		return nil
	})
	if err == nil && (c.IssuedAt < 0 || c.Subject == "" || c.StatusList.Bits == 0) {
		err = refuse(BadClaims)
	}
	return c, err
}
