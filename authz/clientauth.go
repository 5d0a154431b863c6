package authz

import (
	"context"
	"errors"
	"time"
)

// Credentials are how a request says which client it comes from.
type Credentials struct {
	ClientID string
	Secret   Secret
	// Assertion is what the client has signed (RFC 7523).
	Assertion Secret
	// Method is how the client proves itself: AuthBasic, AuthPost,
	// AuthPrivateKeyJWT, AuthNone when it does not, or AuthAnySecret where the way
	// of a secret does not matter.
	Method AuthMethod
}

// Authenticate returns the client that the credentials prove, of a request
// from the address. Wrong secrets are throttled, by client and address. The
// error has code InvalidClient.
func (s *Service) Authenticate(ctx context.Context, credentials Credentials, address string) (Client, error) {
	if credentials.Method == AuthNone {
		return s.authenticate(ctx, credentials, address)
	}
	if err := s.Throttle.secretAllowed(credentials.ClientID, address); err != nil {
		return Client{}, err
	}
	client, err := s.authenticate(ctx, credentials, address)
	if CodeOf(err) == InvalidClient {
		if tooMany := s.Throttle.secretFailed(ctx, credentials.ClientID, address); tooMany != nil {
			err = tooMany
		}
	}
	return client, err
}

// errInvalidClient is one answer for every way to fail, so that it does not
// tell which clients exist.
var errInvalidClient = fail(InvalidClient, "Client authentication failed.")

// authenticate returns the client that the credentials prove. The error is
// errInvalidClient for an unknown or disabled client, a wrong secret and a
// method that the client is not registered for alike.
func (s *Service) authenticate(ctx context.Context, credentials Credentials, address string) (Client, error) {
	client, err := s.storedClient(ctx, credentials.ClientID, address)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Client{}, err
	}
	known := err == nil
	// The comparison is made for unknown clients too, with the same work.
	proven := client.proves(credentials.Secret, s.now())
	if !known || !client.DisabledAt.IsZero() || !client.accepts(credentials.Method) {
		return Client{}, errInvalidClient
	}
	switch {
	case credentials.Method == AuthNone:
		return client, nil
	case credentials.Method == AuthPrivateKeyJWT:
		return client, s.proveAssertion(ctx, client, credentials.Assertion)
	case !proven:
		return Client{}, errInvalidClient
	}
	return client, nil
}

// accepts reports whether the client may authenticate by method.
func (c Client) accepts(method AuthMethod) bool {
	if method == AuthAnySecret {
		return c.HasSecret()
	}
	if c.AuthMethod == AuthAnySecret {
		return method == AuthBasic || method == AuthPost
	}
	return c.AuthMethod == method
}

const maxClientSecrets = 2

// proves reports whether secret is one of the client's live secrets. It
// compares as many hashes for every client, in constant time.
func (c Client) proves(secret Secret, now time.Time) bool {
	presented := HashSecret(secret)
	proven := false
	for i := range maxClientSecrets {
		var stored ClientSecret
		if i < len(c.Secrets) {
			stored = c.Secrets[i]
		}
		fits := stored.Hash.equal(presented)
		if fits && i < len(c.Secrets) && (stored.ExpiresAt.IsZero() || now.Before(stored.ExpiresAt)) {
			proven = true
		}
	}
	return proven
}
