package authz

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"chancery/authz/claims"
)

// TokenQuery is a decoded request to the revocation (RFC 7009) or the
// introspection endpoint (RFC 7662). The hint is not part of it: all kinds of
// token are searched in any case.
type TokenQuery struct {
	Credentials Credentials
	Token       Secret
	// Browser matters to revocation alone.
	Browser   Browser
	Address   string
	UserAgent string
}

var (
	errTokenMissing = fail(InvalidRequest, "The token parameter is missing.")
	errTokenOwner   = fail(InvalidGrant, "The token was issued to another client.")
)

// maxTokenLength bounds the token parameter; longer ones are simply unknown.
const maxTokenLength = 16 << 10

// Revoke ends what the token stands for: a refresh token of any generation,
// or an access token of a user, ends the session; a client's own access token
// is denied by its id. A token that is unknown, malformed or dead already is
// no error. When Revoke returns nil the effect is committed.
func (s *Service) Revoke(ctx context.Context, query TokenQuery) error {
	client, err := s.authenticateQuery(ctx, query)
	if err != nil {
		return err
	}
	if query.Token, err = query.tokenOf(client, s.Refreshes); err != nil {
		return err
	}
	if query.Token == "" {
		return errTokenMissing
	}
	if token, err := s.Refreshes.parse(query.Token); err == nil {
		return s.revokeRefreshToken(ctx, client, token, query)
	}
	if token, ok := s.readAccessToken(query.Token); ok {
		return s.revokeAccessToken(ctx, client, token, query)
	}
	return nil
}

// tokenOf returns the token that the client wants revoked: that of its cookie,
// if it has one and sent no access token.
func (q TokenQuery) tokenOf(client Client, codec *RefreshTokens) (Secret, error) {
	if !client.CookieDelivery {
		return q.Token, nil
	}
	var inBody Secret
	if _, err := codec.parse(q.Token); err == nil {
		inBody = q.Token
	}
	if err := q.Browser.check(client, inBody); err != nil {
		return "", err
	}
	if q.Token == "" {
		return q.Browser.RefreshToken, nil
	}
	return q.Token, nil
}

func (s *Service) authenticateQuery(ctx context.Context, query TokenQuery) (Client, error) {
	if !PlainText(query.Credentials.ClientID) || !PlainText(query.Credentials.Secret.Reveal()) || !PlainText(query.Credentials.Assertion.Reveal()) || !PlainText(query.Token.Reveal()) || !PlainText(query.Browser.RefreshToken.Reveal()) {
		return Client{}, errText
	}
	client, err := s.Authenticate(ctx, query.Credentials, query.Address)
	if err != nil {
		return Client{}, err
	}
	return client, nil
}

func (s *Service) revokeRefreshToken(ctx context.Context, client Client, token refreshToken, query TokenQuery) error {
	f, err := s.Families.FamilyByHandle(ctx, token.handle.hash())
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("session: %w", err)
	}
	return s.endOwn(ctx, client, f.ClientID, f.SessionID, query)
}

// revokeAccessToken ends the session of a user's token. A token that belongs to
// no session of the client's own is denied by itself: one that it got for
// itself, or in exchange for another.
func (s *Service) revokeAccessToken(ctx context.Context, client Client, token claims.AccessToken, query TokenQuery) error {
	if token.SessionID != "" && token.Actor == nil {
		return s.endOwn(ctx, client, token.ClientID, token.SessionID, query)
	}
	if token.ClientID != client.ID {
		return ownerError(client)
	}
	expires := time.Unix(token.ExpiresAt, 0).UTC()
	if !s.now().Before(expires) {
		return nil
	}
	if err := s.Denylist.Deny(ctx, token.ID, expires); err != nil {
		return fmt.Errorf("deny token: %w", err)
	}
	event := NewEvent(EventTokenRevoked, s.now())
	event.ClientID, event.Device = client.ID, newDevice(query.Address, query.UserAgent)
	event.Once = onceKey(token.ID, string(event.Kind))
	s.Events.Record(event)
	return nil
}

// endOwn ends the session if it belongs to the client.
func (s *Service) endOwn(ctx context.Context, client Client, owner, sessionID string, query TokenQuery) error {
	if owner != client.ID {
		return ownerError(client)
	}
	_, err := s.Sessions.End(ctx, Ending{
		SessionID: sessionID, Cause: CauseLogout, Device: newDevice(query.Address, query.UserAgent),
	})
	return err
}

// ownerError refuses to revoke another client's token. A public client, which
// anybody can claim to be, is not told that the token exists.
func ownerError(client Client) error {
	if client.Public() {
		return nil
	}
	return errTokenOwner
}

// readAccessToken returns the claims of an access token that this server
// signed with a key that is still published. Its expiry is not looked at.
func (s *Service) readAccessToken(text Secret) (claims.AccessToken, bool) {
	var token claims.AccessToken
	if len(text) > maxTokenLength {
		return token, false
	}
	payload, err := s.Signer.Verify(text.Reveal(), claims.TypeAccessToken)
	if err != nil || json.Unmarshal(payload, &token) != nil || token.Issuer != s.Issuer {
		return token, false
	}
	return token, true
}
