package authz

import (
	"context"
	"errors"
	"fmt"
)

var errLoginMissing = fail(InvalidRequest, "The username or password parameter is missing.")

// passwordGrant answers the resource owner password credentials grant
// (RFC 6749 section 4.3), for first-party clients only: it logs the user in
// and starts a session.
func (s *Service) passwordGrant(ctx context.Context, client Client, request TokenRequest) (TokenResponse, error) {
	if request.Username == "" || request.Password == "" {
		return TokenResponse{}, errLoginMissing
	}
	device := newDevice(request.Address, request.UserAgent)
	login, err := s.Login(ctx, client.ID, LoginProof{Username: request.Username, Password: request.Password}, device)
	if err != nil {
		return TokenResponse{}, err
	}
	f, t, err := s.grant(ctx, client, login, request)
	if CodeOf(err) != "" {
		// The password was right: whoever is guessing must not be able to
		// find that out unseen.
		s.loginFailed(login.User.ID, client.ID, device, "right password, refused scope or resource")
	}
	if err != nil {
		return TokenResponse{}, err
	}
	if err := s.received(request.ReceivedAt); err != nil {
		return TokenResponse{}, err
	}
	f.UserID, f.Roles, f.AMR, f.AuthTime, f.Device = login.User.ID, login.User.Roles, login.AMR, login.AuthTime, device
	return s.startSession(ctx, beginning{
		client: client, family: f, target: t, thumbprint: request.thumbprint, sessions: login.Sessions, event: EventLoginSucceeded,
		store: func(ctx context.Context, f Family) error { return s.storeLogin(ctx, f, login.User.AuthEpoch) },
	})
}

// grant decides what a login is granted, as the beginning of a family, and
// what its first access token is for.
func (s *Service) grant(ctx context.Context, client Client, login Login, request TokenRequest) (Family, target, error) {
	wanted, err := client.wantedScope(request.Scope)
	if err != nil {
		return Family{}, target{}, err
	}
	resource, err := parseResource(request.Resources)
	if err != nil {
		return Family{}, target{}, err
	}
	granted, reached, err := s.entitle(ctx, client.resources(s.Issuer), login.User.Roles, wanted)
	if err != nil {
		return Family{}, target{}, err
	}
	if request.Scope != "" && len(granted) < len(wanted) {
		return Family{}, target{}, errScopeRole
	}
	// A token that is permitted at one resource may ask for a role at another
	// that defines the same name.
	t, err := s.chooseTarget(ctx, reached, resource, granted, func(r Resource, token string) bool { return r.permits(token, login.User.Roles) })
	return Family{Scope: granted, Resources: reached}, t, err
}

var errScopeRole = fail(InvalidScope, "The user may not have this scope.")

// entitle returns the tokens of wanted that a user with roles may have at the
// candidates, and those of them that they reach, in their order. Who wants no
// scope reaches all of them.
func (s *Service) entitle(ctx context.Context, candidates []string, roles []string, wanted Scope) (Scope, []string, error) {
	permitted := map[string]bool{}
	var reached []string
	for _, uri := range candidates {
		resource, err := s.Registry.Resource(ctx, uri)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		here := wanted.Filter(func(token string) bool { return resource.permits(token, roles) })
		for _, token := range here {
			permitted[token] = true
		}
		if len(here) > 0 || len(resource.Scopes) == 0 || len(wanted) == 0 {
			reached = append(reached, uri)
		}
	}
	return wanted.Filter(func(token string) bool { return permitted[token] }), reached, nil
}

// storeLogin inserts the family, unless the user was banned, disabled or given
// another password while the old one was being checked.
func (s *Service) storeLogin(ctx context.Context, f Family, epoch int64) error {
	err := s.Logins.InsertFamily(ctx, f, epoch)
	if errors.Is(err, ErrNotFound) {
		s.loginFailed(f.UserID, f.ClientID, f.Device, "account changed during login")
		return errLogin
	}
	if err != nil {
		return fmt.Errorf("store session: %w", err)
	}
	return nil
}
