package authz

import (
	"context"
	"fmt"
	"slices"
	"time"

	"chancery/authz/claims"
)

// TypeAccessToken is the only token type of an exchange (RFC 8693 section 3).
const TypeAccessToken = "urn:ietf:params:oauth:token-type:access_token" //nolint:gosec // the name of a type

// maxActors bounds how many clients may act for each other.
const maxActors = 4

var (
	errSubjectMissing = fail(InvalidRequest, "The subject_token or subject_token_type parameter is missing.")
	errTokenType      = fail(InvalidRequest, "The token types must be that of an access token, without an actor token.")
	errSubjectToken   = fail(InvalidRequest, "The subject_token is not a user's access token for a resource of this client, or no longer.")
	errActors         = fail(InvalidRequest, "Too many clients act for each other.")
)

// exchangeGrant gives a resource server an access token for another one, on
// behalf of the user whose token it was sent (RFC 8693). The new token says who
// acts, belongs to the same session, ends no later than the one before, and is
// for what the client is registered for and the user's roles permit.
func (s *Service) exchangeGrant(ctx context.Context, client Client, request TokenRequest) (TokenResponse, error) {
	subject, err := s.exchangeSubject(ctx, client, request)
	if err != nil {
		return TokenResponse{}, err
	}
	wanted, err := client.wantedScope(request.Scope)
	if err != nil {
		return TokenResponse{}, err
	}
	// Both parameters name a resource by its URI (RFC 8693 section 2.1).
	resource, err := parseResource(union(request.Resources, request.Audiences))
	if err != nil {
		return TokenResponse{}, err
	}
	own := []string{AccountResource(s.Issuer), AdminResource(s.Issuer)}
	candidates := slices.DeleteFunc(slices.Clone(client.Resources), func(uri string) bool {
		return slices.Contains(own, uri) || uri == subject.Audience // what users do for themselves, and what it has already
	})
	// What the user has granted for a resource bounds whatever is had for it.
	granted, err := s.Families.FamilyBySession(ctx, subject.SessionID)
	if err != nil {
		return TokenResponse{}, fmt.Errorf("session: %w", err)
	}
	t, err := s.chooseTarget(ctx, candidates, resource, wanted, func(r Resource, token string) bool {
		return r.permits(token, subject.Roles) && (granted.Scope.Has(token) || !slices.Contains(granted.Resources, r.URI))
	})
	if err != nil {
		return TokenResponse{}, err
	}
	token := claims.AccessToken{
		Subject: subject.Subject, SessionID: subject.SessionID, AuthTime: subject.AuthTime, AMR: subject.AMR, Roles: subject.Roles, Status: subject.Status,
		Actor: &claims.Actor{Subject: client.ID, Actor: subject.Actor}, Confirmation: confirmation(request.thumbprint),
	}
	response, err := s.mint(token, client.ID, t, s.now(), time.Unix(subject.ExpiresAt, 0))
	response.UserID, response.SessionID, response.IssuedType = subject.Subject, subject.SessionID, TypeAccessToken
	return response, err
}

// exchangeSubject returns what the token says that the client was sent.
func (s *Service) exchangeSubject(ctx context.Context, client Client, request TokenRequest) (claims.AccessToken, error) {
	switch {
	case request.SubjectToken == "" || request.SubjectTokenType == "":
		return claims.AccessToken{}, errSubjectMissing
	case request.SubjectTokenType != TypeAccessToken, request.ActorToken != "", request.RequestedTokenType != "" && request.RequestedTokenType != TypeAccessToken:
		return claims.AccessToken{}, errTokenType
	}
	subject, ok := s.readAccessToken(request.SubjectToken)
	if !ok || subject.SessionID == "" || !client.Introspect || !slices.Contains(client.Resources, subject.Audience) {
		return claims.AccessToken{}, errSubjectToken
	}
	alive, err := s.introspectAccessToken(ctx, subject)
	if err != nil {
		return claims.AccessToken{}, err
	}
	if !alive.Active {
		return claims.AccessToken{}, errSubjectToken
	}
	if subject.Actor.Depth() >= maxActors {
		return claims.AccessToken{}, errActors
	}
	return subject, nil
}
