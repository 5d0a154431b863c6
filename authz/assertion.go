package authz

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// AssertionType is the only client_assertion_type (RFC 7523 section 2.2).
const AssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// ClientKeys checks what clients sign with keys of their own.
type ClientKeys interface {
	// Verify returns the "typ" header and the payload of a compact JWS that a key
	// of the set (RFC 7517) has signed; any error means that none has.
	Verify(jwks []byte, token string) (typ string, payload []byte, err error)
	// The sets that clients publish.
	DocumentSource
}

// UsedStore remembers what may be presented once alone.
type UsedStore interface {
	// UseID stores the hash until it expires. ErrConflict means that it is stored
	// already.
	UseID(ctx context.Context, hash Hash, expires time.Time) error
}

const (
	// maxAssertionLife bounds how far ahead an assertion may expire, and
	// assertionLeeway how far clocks may differ.
	maxAssertionLife = 5 * time.Minute
	assertionLeeway  = 30 * time.Second
	maxJTI           = 256
)

// AssertedClient returns the client that an assertion says it is of. Nothing of
// it is proven.
func AssertedClient(assertion Secret) string {
	parts := strings.Split(assertion.Reveal(), ".")
	if len(parts) != 3 || len(assertion) > maxTokenLength {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	claims, err := readAssertion(payload)
	if err != nil {
		return ""
	}
	return claims.subject
}

// assertion holds the claims of a client assertion (RFC 7523 section 3).
type assertion struct {
	issuer, subject, audience, id string
	expires, issued, notBefore    time.Time
}

var errAssertion = errors.New("malformed assertion")

// readAssertion reads the claims. Names are compared as they are, and the
// audience is one string (draft-ietf-oauth-rfc7523bis).
func readAssertion(payload []byte) (assertion, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(payload, &all); err != nil {
		return assertion{}, errAssertion
	}
	var a assertion
	for name, into := range map[string]*string{"iss": &a.issuer, "sub": &a.subject, "aud": &a.audience, "jti": &a.id} {
		if json.Unmarshal(all[name], into) != nil || *into == "" {
			return assertion{}, errAssertion
		}
	}
	for name, into := range map[string]*time.Time{"exp": &a.expires, "iat": &a.issued, "nbf": &a.notBefore} {
		var seconds float64
		if all[name] == nil && name != "exp" {
			continue
		}
		if json.Unmarshal(all[name], &seconds) != nil || seconds < 0 || seconds > 1<<40 {
			return assertion{}, errAssertion
		}
		*into = time.Unix(int64(seconds), 0)
	}
	return a, nil
}

// proveAssertion checks that the client has signed the assertion for us, and
// uses it up.
func (s *Service) proveAssertion(ctx context.Context, client Client, token Secret) error {
	payload, err := s.verifyAssertion(ctx, client, token)
	if err != nil {
		return err
	}
	a, err := readAssertion(payload)
	now := s.now()
	switch {
	case err != nil, a.issuer != client.ID, a.subject != client.ID, a.audience != s.Issuer, len(a.id) > maxJTI, !PlainText(a.id):
		return errInvalidClient
	case !now.Before(a.expires.Add(assertionLeeway)), a.expires.After(now.Add(maxAssertionLife + assertionLeeway)):
		return errInvalidClient
	case a.issued.After(now.Add(assertionLeeway)), a.notBefore.After(now.Add(assertionLeeway)):
		return errInvalidClient
	}
	err = s.Used.UseID(ctx, HashSecret(Secret("assertion\x00"+client.ID+"\x00"+a.id)), a.expires.Add(assertionLeeway))
	if errors.Is(err, ErrConflict) {
		return errInvalidClient
	}
	if err != nil {
		return fmt.Errorf("use assertion: %w", err)
	}
	return nil
}

// verifyAssertion returns the payload of an assertion that a key of the client
// has signed. Keys that it publishes by itself are fetched again when none fits:
// it may have changed them.
func (s *Service) verifyAssertion(ctx context.Context, client Client, token Secret) ([]byte, error) {
	if len(token) > maxTokenLength {
		return nil, errInvalidClient
	}
	for _, fresh := range []bool{false, true} {
		jwks, err := s.keysOf(ctx, client, fresh)
		if err != nil {
			return nil, &Error{Code: InvalidClient, Description: errInvalidClient.Description, Err: err}
		}
		typ, payload, err := s.ClientKeys.Verify(jwks, token.Reveal())
		if err == nil && slices.Contains([]string{"", "jwt", "client-authentication+jwt"}, strings.ToLower(typ)) {
			return payload, nil
		}
	}
	return nil, errInvalidClient
}

// keysOf returns the key set of a client: an empty one if a fresh set is wanted of
// a client that publishes none. A key that a client has taken out of its document is
// good no longer than a copy of that.
func (s *Service) keysOf(ctx context.Context, client Client, fresh bool) ([]byte, error) {
	if client.Origin == OriginDocument && s.Documents != nil {
		var err error
		if client.JWKS, client.JWKSURI, err = s.Documents.keys(ctx, client, fresh); err != nil {
			return nil, err
		}
	}
	switch {
	case client.JWKSURI != "":
		return s.ClientKeys.Fetch(ctx, client.JWKSURI, fresh)
	case fresh && client.Origin != OriginDocument:
		return nil, nil
	}
	return []byte(client.JWKS), nil
}

// maxJWKS bounds the key set of a client in bytes.
const maxJWKS = 16 << 10

// validKeySet reports whether text is a set of public keys. Whether each can
// verify anything the one who checks signatures finds out.
func validKeySet(text string) bool {
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if len(text) > maxJWKS || json.Unmarshal([]byte(text), &set) != nil || len(set.Keys) == 0 {
		return false
	}
	for _, key := range set.Keys {
		if kty, _ := key["kty"].(string); !slices.Contains([]string{"RSA", "EC", "OKP"}, kty) {
			return false
		}
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			if _, ok := key[private]; ok {
				return false
			}
		}
	}
	return true
}

// validateKeys checks the keys of a client that proves itself by one.
func (c Client) validateKeys() error {
	switch {
	case c.AuthMethod != AuthPrivateKeyJWT && (c.JWKS != "" || c.JWKSURI != ""):
		return invalidInput("jwks: only for a client with the authentication method private_key_jwt")
	case c.AuthMethod == AuthPrivateKeyJWT && (c.JWKS == "") == (c.JWKSURI == ""):
		return invalidInput("authentication method private_key_jwt: needs either jwks or jwks_uri")
	case c.JWKS != "" && !validKeySet(c.JWKS):
		return invalidInput("jwks: want a set of at least one public RSA, EC or OKP key, in at most %d bytes", maxJWKS)
	case !validPage(c.JWKSURI):
		return invalidInput("jwks uri %q: want an https URL without fragment and user, or http on a loopback host", c.JWKSURI)
	}
	return nil
}
