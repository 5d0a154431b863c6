package authz

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
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
	f.Device = device
	return s.startSession(ctx, client, login, f, t)
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
	granted, reached, err := s.entitle(ctx, client, login.User.Roles, wanted)
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

// entitle returns the tokens of wanted that a user with roles may have through
// the client, and the resources that they reach, in the client's order. A
// client without any scope reaches all of its resources.
func (s *Service) entitle(ctx context.Context, client Client, roles []string, wanted Scope) (Scope, []string, error) {
	permitted := map[string]bool{}
	var reached []string
	for _, uri := range client.resources(s.Issuer) {
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

// startSession stores a new family and answers with its first tokens. The
// tokens are made first: nothing remains of a login that could not be
// answered.
func (s *Service) startSession(ctx context.Context, client Client, login Login, f Family, t target) (TokenResponse, error) {
	status, err := s.Indexes.Session(ctx)
	if err != nil {
		return TokenResponse{}, err
	}
	policy := client.Refresh.Over(s.Refresh)
	now := s.now()
	h := handle(randomBytes(handleSize))
	f.SessionID, f.HandleHash = uuid.NewString(), h.hash()
	f.ClientID, f.UserID, f.Roles = client.ID, login.User.ID, login.User.Roles
	f.AMR, f.AuthTime = login.AMR, login.AuthTime
	f.CreatedAt, f.RotatedAt = now, now
	f.AbsoluteExpiresAt, f.IdleExpiresAt = now.Add(policy.AbsoluteTTL), now.Add(policy.IdleTTL)
	f.Status = status
	response, err := s.mintForUser(f, t, now)
	if err != nil {
		return TokenResponse{}, err
	}
	if client.allows(GrantRefreshToken) {
		response = s.withRefreshToken(response, f, h, now)
	}
	if err := s.makeRoom(ctx, login); err != nil {
		return TokenResponse{}, err
	}
	if err := s.storeSession(ctx, f, login.User.AuthEpoch); err != nil {
		return TokenResponse{}, err
	}
	s.Events.Record(NewEvent(EventLoginSucceeded, now).forFamily(f, f.Device))
	return response, nil
}

// sessionSlack is how many logins of one user at the same moment are reckoned
// with: none of them sees the sessions of the others.
const sessionSlack = 16

// makeRoom ends the user's oldest sessions when one more could be too many.
func (s *Service) makeRoom(ctx context.Context, login Login) error {
	if s.MaxSessions <= 0 || login.Sessions+sessionSlack < s.MaxSessions {
		return nil
	}
	_, err := s.Sessions.End(ctx, Ending{UserID: login.User.ID, Trim: true, Keep: s.MaxSessions - 1, Cause: CauseSessionLimit})
	return err
}

// storeSession inserts the family, unless the user was banned, disabled or
// given another password while the old one was being checked.
func (s *Service) storeSession(ctx context.Context, f Family, epoch int64) error {
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
