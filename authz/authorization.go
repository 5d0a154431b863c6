package authz

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
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
	// CloseRequest does what InsertCode does besides, for a request that is
	// answered without a code. Its ErrConflict means the same.
	CloseRequest(ctx context.Context, browserID string, pushed Hash) error
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
	errShownAnew       = fail(ConsentRequired, "The app asks for something else by now.")
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

// Shown stands for what a user is shown of the request: who asks, for what, and
// where the answer goes.
func (z Authorization) Shown() string {
	client := z.Request.Client
	all := []string{client.ID, client.Name, z.Request.RedirectURI, z.Login.User.ID, z.Scope.String(), strings.Join(z.Resources, " ")}
	sum := HashSecret(Secret(strings.Join(all, "\x00")))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Consenting is the user's answer to a request.
type Consenting struct {
	Allowed bool
	// Shown is what he was shown: he has allowed nothing else, whatever the client
	// asks for by now.
	Shown  string
	Device Device
}

// Allow answers for the user who allows what was asked, or does not. The error
// has code LoginRequired or ConsentRequired when the user must be asked anew.
func (a *Authorizations) Allow(ctx context.Context, request AuthorizationRequest, login BrowserLogin, consenting Consenting) (AuthorizationAnswer, error) {
	z, err := a.Check(ctx, request, login)
	if err != nil {
		return AuthorizationAnswer{}, err
	}
	device := consenting.Device
	switch {
	case z.Step == AuthorizationLogin:
		return AuthorizationAnswer{}, errLoginRequired // his login has ended meanwhile
	case !consenting.Allowed:
		return AuthorizationAnswer{}, a.deny(ctx, z)
	case z.Step == AuthorizationConsent && consenting.Shown != z.Shown():
		return AuthorizationAnswer{}, errShownAnew
	case z.Step == AuthorizationConsent:
		if err := a.remember(ctx, z, newDevice(device.Address, device.UserAgent)); err != nil {
			return AuthorizationAnswer{}, err
		}
	}
	return a.Issue(ctx, z)
}

// deny closes a request that the user does not allow, and returns the error that
// the client is told.
func (a *Authorizations) deny(ctx context.Context, z Authorization) error {
	if err := a.Store.CloseRequest(ctx, z.Login.Session.ID, z.Request.Pushed); errors.Is(err, ErrConflict) {
		return errPushed
	} else if err != nil {
		return fmt.Errorf("close request: %w", err)
	}
	err := z.Request.refuse(a.Service.Issuer, errAccessDenied)
	var told *AuthorizationError
	if errors.As(err, &told) {
		told.Stranger = false // the user has read where his answer goes
	}
	return err
}

// LetIn reports whether the user of a browser has let the client in.
func (a *Authorizations) LetIn(ctx context.Context, login BrowserLogin, clientID string) (bool, error) {
	if !login.Known() {
		return false, nil
	}
	consent, err := a.consent(ctx, login.User.ID, clientID)
	return consent.ClientID != "", err
}

// limitIssue bounds the sessions that a user begins: each is a row, and its end is
// told to its client.
var limitIssue = Bucket{Key: "authorize", Burst: 300, Period: 10 * time.Minute}

// Issue answers a request that is ready with a code.
func (a *Authorizations) Issue(ctx context.Context, z Authorization) (AuthorizationAnswer, error) {
	if err := a.Service.Throttle.take(ctx, limitIssue.of(z.Login.User.ID)); err != nil {
		return AuthorizationAnswer{}, err
	}
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
