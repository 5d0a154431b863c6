package authz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"chancery/authz/claims"
)

// Introspection is the answer of the introspection endpoint. An inactive one
// is empty but for Active.
type Introspection struct {
	Active bool
	// TokenType is "Bearer" for an access token, "DPoP" for one that is bound to a
	// key, "refresh_token" for a refresh token.
	TokenType string
	Claims    claims.AccessToken
}

// Token types of an introspection answer.
const (
	tokenTypeBearer  = "Bearer"
	tokenTypeDPoP    = "DPoP"
	tokenTypeRefresh = "refresh_token"
)

// Introspect says whether a token is good at this moment, by the live state
// of its session, user and client (RFC 7662). A resource server, a
// confidential client with the introspect permission, sees access tokens for
// its own resources; every confidential client sees its own refresh tokens.
// Everything else is inactive. A public client is refused.
func (s *Service) Introspect(ctx context.Context, query TokenQuery) (Introspection, error) {
	client, err := s.authenticateQuery(ctx, query)
	if err != nil {
		return Introspection{}, err
	}
	if client.Public() {
		return Introspection{}, errInvalidClient
	}
	if query.Token == "" {
		return Introspection{}, errTokenMissing
	}
	if token, err := s.Refreshes.parse(query.Token); err == nil {
		return s.introspectRefreshToken(ctx, client, token)
	}
	token, ok := s.readAccessToken(query.Token)
	if !ok || !client.Introspect || !slices.Contains(client.resources(s.Issuer), token.Audience) {
		return Introspection{}, nil
	}
	return s.introspectAccessToken(ctx, token)
}

func (s *Service) introspectAccessToken(ctx context.Context, token claims.AccessToken) (Introspection, error) {
	now := s.now()
	if !now.Before(time.Unix(token.ExpiresAt, 0)) {
		return Introspection{}, nil
	}
	owner, err := s.Registry.Client(ctx, token.ClientID)
	if errors.Is(err, ErrNotFound) || (err == nil && !owner.DisabledAt.IsZero()) {
		return Introspection{}, nil
	}
	if err != nil {
		return Introspection{}, err
	}
	if token.SessionID == "" && token.IssuedAt < owner.TokensNotBefore.Unix() {
		return Introspection{}, nil
	}
	alive, err := s.tokenAlive(ctx, token, now)
	if err != nil || !alive {
		return Introspection{}, err
	}
	tokenType := tokenTypeBearer
	if token.Confirmation != nil {
		tokenType = tokenTypeDPoP
	}
	return Introspection{Active: true, TokenType: tokenType, Claims: token}, nil
}

// tokenAlive reads what a signature cannot tell: a user's token lives with its
// session (a live session implies an active user), a client's until denied, one
// that was exchanged as long as both.
func (s *Service) tokenAlive(ctx context.Context, token claims.AccessToken, now time.Time) (bool, error) {
	if token.SessionID == "" || token.Actor != nil {
		denied, err := s.Denylist.Denied(ctx, token.ID)
		if err != nil {
			return false, fmt.Errorf("denylist: %w", err)
		}
		if denied || token.SessionID == "" {
			return !denied, nil
		}
	}
	f, err := s.Families.FamilyBySession(ctx, token.SessionID)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("session: %w", err)
	}
	return f.State(now) == "", nil
}

// introspectRefreshToken answers the client that holds the token. Only the
// newest generation is active.
func (s *Service) introspectRefreshToken(ctx context.Context, client Client, token refreshToken) (Introspection, error) {
	f, err := s.Families.FamilyByHandle(ctx, token.handle.hash())
	if errors.Is(err, ErrNotFound) {
		return Introspection{}, nil
	}
	if err != nil {
		return Introspection{}, fmt.Errorf("session: %w", err)
	}
	decision := f.Check(token.generation, client.Refresh.Over(s.Refresh), s.now())
	if f.ClientID != client.ID || decision.Action != Rotate {
		return Introspection{}, nil
	}
	return Introspection{Active: true, TokenType: tokenTypeRefresh, Claims: claims.AccessToken{
		Issuer: s.Issuer, Subject: f.UserID, ClientID: f.ClientID, IssuedAt: f.RotatedAt.Unix(), ExpiresAt: f.expiry().Unix(),
		Scope: f.Scope.String(), SessionID: f.SessionID, AuthTime: f.AuthTime.Unix(), AMR: f.AMR,
	}}, nil
}
