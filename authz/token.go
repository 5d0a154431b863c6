package authz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// TokenRequest is a decoded request to the token endpoint (RFC 6749 section
// 3.2). Absent and empty parameters are the same.
type TokenRequest struct {
	Credentials  Credentials
	GrantType    string
	Username     string
	Password     Secret
	RefreshToken Secret
	// Code, RedirectURI and CodeVerifier are those of an authorization code.
	Code         Secret
	RedirectURI  string
	CodeVerifier Secret
	// DeviceCode is that of a device (RFC 8628).
	DeviceCode Secret
	Scope      string
	// Resources holds every value of the resource parameter (RFC 8707).
	Resources []string
	// SubjectToken and what follows are those of a token exchange (RFC 8693).
	SubjectToken, ActorToken             Secret
	SubjectTokenType, RequestedTokenType string
	Audiences                            []string

	Browser Browser
	// Possession is how the client proves to hold a key.
	Possession Possession
	Address    string
	UserAgent  string
	// ReceivedAt is when the request arrived, by the service's clock.
	ReceivedAt time.Time
	// thumbprint is that of the key that the client has proven to hold.
	thumbprint string
}

// TokenResponse is a successful answer of the token endpoint.
type TokenResponse struct {
	AccessToken Secret
	// Bound says that the access token is bound to a key: its type is DPoP.
	Bound bool
	// ExpiresIn and RefreshExpiresIn are seconds.
	ExpiresIn int64
	// Scope is that of the access token.
	Scope            Scope
	RefreshToken     Secret
	RefreshExpiresIn int64
	// IssuedType is that of an exchanged token, "" for all others.
	IssuedType string
	// IDToken is empty unless a session began that was granted openid.
	IDToken Secret
	// InCookie: the refresh token goes into the client's cookie, not into the
	// body.
	InCookie bool
	// Cause is set when a refresh repeated an earlier answer.
	Cause Cause
	// ClientID, UserID and SessionID are for the log.
	ClientID, UserID, SessionID string
}

// maxRequestAge is how long a request may have waited before it touches a
// family: its client has given up by then, and a rotation would be lost on it.
const maxRequestAge = 10 * time.Second

var (
	errGrantMissing     = fail(InvalidRequest, "The grant_type parameter is missing.")
	errGrantUnsupported = fail(UnsupportedGrantType, "The grant type is not supported.")
	errGrantDenied      = fail(UnauthorizedClient, "The client may not use this grant type.")
	errText             = fail(InvalidRequest, "A parameter holds invalid UTF-8 or control characters.")
	errTooOld           = &Error{Code: TemporarilyUnavailable, Description: "The request waited too long and was dropped.", Err: ErrUnavailable}
)

// Token answers one request to the token endpoint. Expected failures are
// *Error; a refused request consumes nothing. The client is authenticated
// first, so that nothing about a grant is told to a stranger.
func (s *Service) Token(ctx context.Context, request TokenRequest) (TokenResponse, error) {
	response, err := s.token(ctx, request)
	s.observe(request.GrantType, response, err)
	return response, err
}

func (s *Service) token(ctx context.Context, request TokenRequest) (TokenResponse, error) {
	if err := request.check(); err != nil {
		return TokenResponse{}, err
	}
	client, err := s.Authenticate(ctx, request.Credentials, request.Address)
	if err != nil {
		return TokenResponse{}, err
	}
	if err := request.Browser.check(client, request.RefreshToken); err != nil {
		return TokenResponse{}, err
	}
	if client.CookieDelivery {
		request.RefreshToken = request.Browser.RefreshToken
	}
	if err := s.checkGrantType(client, request.GrantType); err != nil {
		return TokenResponse{}, err
	}
	if request.thumbprint, err = s.prove(client, request.Possession); err != nil {
		return TokenResponse{}, err
	}
	// What could not be answered must not use anything up.
	if err := s.Signer.Ready(); err != nil {
		return TokenResponse{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	response, err := s.grantToken(ctx, client, request)
	response.InCookie = client.CookieDelivery && response.RefreshToken != ""
	return response, err
}

func (s *Service) grantToken(ctx context.Context, client Client, request TokenRequest) (TokenResponse, error) {
	switch request.GrantType {
	case GrantAuthorizationCode:
		return s.codeGrant(ctx, client, request)
	case GrantDeviceCode:
		return s.deviceGrant(ctx, client, request)
	case GrantTokenExchange:
		return s.exchangeGrant(ctx, client, request)
	case GrantPassword:
		return s.passwordGrant(ctx, client, request)
	case GrantRefreshToken:
		return s.refreshGrant(ctx, client, request)
	default:
		return s.clientGrant(ctx, client, request)
	}
}

// check refuses what no database should see.
func (r TokenRequest) check() error {
	if r.GrantType == "" {
		return errGrantMissing
	}
	values := append([]string{
		r.GrantType, r.Username, r.Password.Reveal(), r.Scope, r.Credentials.ClientID, r.RefreshToken.Reveal(), r.Credentials.Secret.Reveal(),
		r.Browser.RefreshToken.Reveal(), r.Credentials.Assertion.Reveal(), r.Code.Reveal(), r.RedirectURI, r.CodeVerifier.Reveal(), r.DeviceCode.Reveal(),
		r.SubjectToken.Reveal(), r.ActorToken.Reveal(), r.SubjectTokenType, r.RequestedTokenType,
	}, slices.Concat(r.Resources, r.Audiences)...)
	for _, value := range values {
		if !PlainText(value) {
			return errText
		}
	}
	return nil
}

func (s *Service) checkGrantType(client Client, grantType string) error {
	switch {
	case grantType == GrantPassword && !s.PasswordGrant:
		return errGrantUnsupported
	case !slices.Contains(GrantTypes(), grantType):
		return errGrantUnsupported
	case !client.allows(grantType), grantType == GrantPassword && !client.FirstParty, grantType == GrantClientCredentials && client.Public():
		return errGrantDenied
	}
	return nil
}

// received returns an error when the request has waited too long since at.
func (s *Service) received(at time.Time) error {
	if !at.IsZero() && s.Now().Sub(at) > maxRequestAge {
		return errTooOld
	}
	return nil
}

// permission says whether a token of a scope may be had for a resource that
// defines it.
type permission func(resource Resource, token string) bool

// anyScope permits whatever a resource defines.
func anyScope(Resource, string) bool { return true }

// target is what an access token is for.
type target struct {
	resource Resource
	scope    Scope
}

// chooseTarget picks the resource of an access token: the named one, or the
// first of candidates for which a token of wanted is defined and permitted, or
// that defines no scope at all; with an empty wanted, the first one there is.
// Its scope is what is wanted, defined and permitted. The scopes of OpenID
// Connect come with it wherever the token is for: clients ask the UserInfo
// endpoint with the token that they got (OpenID Connect Core section 5.3.1).
func (s *Service) chooseTarget(ctx context.Context, candidates []string, name string, wanted Scope, permitted permission) (target, error) {
	for _, uri := range candidates {
		if name != "" && uri != name {
			continue
		}
		resource, err := s.Registry.Resource(ctx, uri)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return target{}, err
		}
		here := func(token string) bool { return resource.scope().Has(token) && permitted(resource, token) }
		if slices.ContainsFunc(wanted, here) || len(wanted) == 0 || len(resource.Scopes) == 0 {
			return s.targetAt(ctx, resource, candidates, wanted, here, permitted)
		}
	}
	return target{}, errResourceDenied
}

// targetAt returns the target of a token for resource, of which here says what
// it may hold.
func (s *Service) targetAt(
	ctx context.Context, resource Resource, candidates []string, wanted Scope, here func(token string) bool, permitted permission,
) (target, error) {
	uri := UserInfoResource(s.Issuer)
	if !slices.Contains(candidates, uri) || resource.URI == uri {
		return target{resource: resource, scope: wanted.Filter(here)}, nil
	}
	userInfo, err := s.Registry.Resource(ctx, uri)
	scope := wanted.Filter(func(token string) bool {
		return here(token) || (userInfo.scope().Has(token) && permitted(userInfo, token))
	})
	return target{resource: resource, scope: scope}, err
}
