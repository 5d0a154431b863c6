package authz

import (
	"context"

	"chancery/authz/claims"
)

// Principal is the user of an access token, on one of our own APIs.
type Principal struct {
	UserID    string
	SessionID string
	ClientID  string
	Device    Device
}

var errToken = fail(InvalidToken, "The access token is not valid, or no longer.")

// Principal verifies an access token for one of the server's own resources, in
// process, and checks that its session, user and client live: an access token
// of a session that was ended is refused at once. The error has code
// InvalidToken, InvalidDPoPProof or InsufficientScope.
func (s *Service) Principal(ctx context.Context, token Presented, resource, scope string, device Device) (Principal, error) {
	read, err := s.aliveTokenFor(ctx, token, resource, scope)
	if err != nil {
		return Principal{}, err
	}
	if read.SessionID == "" {
		return Principal{}, errToken
	}
	return Principal{
		UserID: read.Subject, SessionID: read.SessionID, ClientID: read.ClientID, Device: newDevice(device.Address, device.UserAgent),
	}, nil
}

// aliveTokenFor returns what an access token says that is meant for the
// resource, was granted the scope, and is good at this moment.
func (s *Service) aliveTokenFor(ctx context.Context, token Presented, resource, scope string) (claims.AccessToken, error) {
	read, ok := s.readAccessToken(token.Token)
	if !ok || read.Audience != resource {
		return claims.AccessToken{}, errToken
	}
	if err := s.possessed(read, token); err != nil {
		return claims.AccessToken{}, err
	}
	return s.aliveToken(ctx, read, scope)
}

// aliveToken returns an access token that is good at this moment and was granted
// the scope.
func (s *Service) aliveToken(ctx context.Context, read claims.AccessToken, scope string) (claims.AccessToken, error) {
	alive, err := s.introspectAccessToken(ctx, read)
	if err != nil {
		return claims.AccessToken{}, err
	}
	if !alive.Active {
		return claims.AccessToken{}, errToken
	}
	if !hasScope(read, scope) {
		return claims.AccessToken{}, &Error{Code: InsufficientScope, Description: "The access token lacks the scope that is needed here.", Scope: scope}
	}
	return read, nil
}

func hasScope(token claims.AccessToken, scope string) bool {
	granted, err := ParseScope(token.Scope)
	return err == nil && granted.Has(scope)
}

// User returns who makes a request to the account API.
func (a *Accounts) User(ctx context.Context, token Presented, device Device) (Principal, error) {
	p, err := a.Service.Principal(ctx, token, AccountResource(a.Service.Issuer), ScopeAccount, device)
	if err != nil {
		return Principal{}, err
	}
	client, err := a.ownClient(ctx, p.ClientID)
	if err != nil {
		return Principal{}, err
	}
	if !client.FirstParty {
		return Principal{}, errNotFirstParty
	}
	return p, nil
}
