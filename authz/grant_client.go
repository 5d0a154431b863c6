package authz

import "context"

// clientGrant answers the client credentials grant (RFC 6749 section 4.4): an
// access token for the client itself, without a refresh token. It needs no
// database.
func (s *Service) clientGrant(ctx context.Context, client Client, request TokenRequest) (TokenResponse, error) {
	wanted, err := client.wantedScope(request.Scope)
	if err != nil {
		return TokenResponse{}, err
	}
	resource, err := parseResource(request.Resources)
	if err != nil {
		return TokenResponse{}, err
	}
	t, err := s.chooseTarget(ctx, client.resources(s.Issuer), resource, wanted, anyScope)
	if err != nil {
		return TokenResponse{}, err
	}
	return s.mintForClient(client, t, s.now(), request.thumbprint)
}

var errScopeDenied = fail(InvalidScope, "The client may not ask for this scope.")

// wantedScope returns the scope that a login asks for: the parameter, of which
// every token must be registered, or all that the client may ask for.
func (c Client) wantedScope(parameter string) (Scope, error) {
	wanted, err := ParseScope(parameter)
	if err != nil {
		return nil, err
	}
	if wanted == nil {
		return c.scope(), nil
	}
	if !c.scope().HasAll(wanted) {
		return nil, errScopeDenied
	}
	return wanted, nil
}
