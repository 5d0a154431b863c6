package authz

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
)

// AuthorizationStore keeps authorization codes and pushed requests.
type AuthorizationStore interface {
	// InsertCode stores a code. In the same transaction it deletes the pushed
	// request with the hash, unless that is zero, and takes from the code's
	// browser session what its login was for. ErrConflict means that the pushed
	// request is gone: it was answered before.
	InsertCode(ctx context.Context, code AuthorizationCode, pushed Hash) error
	// InsertPushedRequest stores a request.
	InsertPushedRequest(ctx context.Context, request PushedRequest) error
	// PushedRequest returns the request with the hash, or ErrNotFound.
	PushedRequest(ctx context.Context, hash Hash) (PushedRequest, error)
}

// Authorizations answers the authorization endpoint. Expected failures are
// *Error and *AuthorizationError; it is safe for concurrent use.
type Authorizations struct {
	Service  *Service
	Store    AuthorizationStore
	Consents ConsentStore
	Devices  DeviceStore
}

// AuthorizationStep is what an authorization request needs next.
type AuthorizationStep int

// The steps of an authorization request.
const (
	// AuthorizationLogin: the user must log in, again if he is.
	AuthorizationLogin AuthorizationStep = iota
	// AuthorizationConsent: the user must say whether he allows it.
	AuthorizationConsent
	// AuthorizationReady: the client can have its code.
	AuthorizationReady
)

// Authorization is an authorization request on its way.
type Authorization struct {
	Request AuthorizationRequest
	Login   BrowserLogin
	Step    AuthorizationStep
	// Scope and Resources are what the user would allow.
	Scope     Scope
	Resources []string
}

var (
	errLoginRequired   = fail(LoginRequired, "The user must log in.")
	errConsentRequired = fail(ConsentRequired, "The user must be asked.")
	errAccessDenied    = fail(AccessDenied, "The user has not allowed it.")
	errNothingLeft     = fail(InvalidScope, "The user may not have any of this scope.")
)

// Check says what the request needs next in a browser. The error is an
// *AuthorizationError when the client shall be told that it cannot be had.
func (a *Authorizations) Check(ctx context.Context, request AuthorizationRequest, login BrowserLogin) (Authorization, error) {
	z := Authorization{Request: request, Login: login}
	silent := slices.Contains(request.Prompt, promptNone)
	if request.needsLogin(login, a.Service.now()) {
		if silent {
			return z, request.refuse(a.Service.Issuer, errLoginRequired)
		}
		return z, nil
	}
	if err := a.entitle(ctx, &z); err != nil {
		return z, err
	}
	asks, err := a.needsConsent(ctx, z)
	switch {
	case err != nil:
		return z, err
	case asks && silent:
		return z, request.refuse(a.Service.Issuer, errConsentRequired)
	case asks:
		z.Step = AuthorizationConsent
	default:
		z.Step = AuthorizationReady
	}
	return z, nil
}

// entitle says what of the request the user may allow.
func (a *Authorizations) entitle(ctx context.Context, z *Authorization) error {
	r := z.Request
	userInfo := UserInfoResource(a.Service.Issuer)
	var candidates []string
	for _, uri := range r.Client.resources(a.Service.Issuer) {
		if len(r.Resources) == 0 || uri == userInfo || slices.Contains(r.Resources, uri) {
			candidates = append(candidates, uri)
		}
	}
	scope, resources, err := a.Service.entitle(ctx, candidates, z.Login.User.Roles, r.Scope)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(r.Resources, func(uri string) bool { return !slices.Contains(resources, uri) }) {
		return r.refuse(a.Service.Issuer, errResourceDenied)
	}
	if len(resources) == 0 || (len(scope) == 0 && len(r.Scope) > 0) {
		return r.refuse(a.Service.Issuer, errNothingLeft)
	}
	z.Scope, z.Resources = scope, resources
	return nil
}

// needsConsent reports whether the user must be asked before the client gets
// what it wants. A client of our own is not asked about, unless any other app
// could pass for it: its user must do something then.
func (a *Authorizations) needsConsent(ctx context.Context, z Authorization) (bool, error) {
	r := z.Request
	if slices.Contains(r.Prompt, promptConsent) {
		return true, nil
	}
	if r.Client.Public() && !claimsRedirect(r.RedirectURI) && z.Login.Session.LoginFor != r.ID {
		return true, nil // RFC 8252 section 8.6
	}
	if r.Client.FirstParty {
		return false, nil
	}
	consent, err := a.consent(ctx, z.Login.User.ID, r.Client.ID)
	return !consent.covers(z.Scope, z.Resources), err
}

// Allow answers for the user who allows what was asked, or does not.
func (a *Authorizations) Allow(ctx context.Context, request AuthorizationRequest, login BrowserLogin, allowed bool, device Device) (AuthorizationAnswer, error) {
	z, err := a.Check(ctx, request, login)
	if err != nil {
		return AuthorizationAnswer{}, err
	}
	switch {
	case z.Step == AuthorizationLogin:
		return AuthorizationAnswer{}, errLoginRequired // his login has ended meanwhile
	case !allowed:
		return AuthorizationAnswer{}, request.refuse(a.Service.Issuer, errAccessDenied)
	case z.Step == AuthorizationConsent:
		if err := a.remember(ctx, z, newDevice(device.Address, device.UserAgent)); err != nil {
			return AuthorizationAnswer{}, err
		}
	}
	return a.Issue(ctx, z)
}

// Issue answers a request that is ready with a code.
func (a *Authorizations) Issue(ctx context.Context, z Authorization) (AuthorizationAnswer, error) {
	code, now := newSecret(authorizationCodeTag), a.Service.now()
	stored := AuthorizationCode{
		Hash: HashSecret(code), Grant: z.grant(), RedirectURI: z.Request.RedirectURI, Challenge: z.Request.Challenge, Nonce: z.Request.Nonce,
		CreatedAt: now, ExpiresAt: now.Add(AuthorizationCodeTTL),
	}
	if err := a.Service.keepClient(ctx, z.Request.Client); err != nil {
		return AuthorizationAnswer{}, err
	}
	err := a.Store.InsertCode(ctx, stored, z.Request.Pushed)
	if errors.Is(err, ErrConflict) {
		return AuthorizationAnswer{}, errPushed
	}
	if err != nil {
		return AuthorizationAnswer{}, fmt.Errorf("store code: %w", err)
	}
	return z.Request.answer(a.Service.Issuer, url.Values{"code": {code.Reveal()}}), nil
}

func (z Authorization) grant() Grant {
	session := z.Login.Session
	return Grant{
		ClientID: z.Request.Client.ID, UserID: session.UserID, AuthEpoch: session.AuthEpoch, BrowserID: session.ID,
		Scope: z.Scope, Resources: z.Resources, AMR: session.AMR, AuthTime: session.AuthTime, KeyThumbprint: z.Request.KeyThumbprint,
	}
}
