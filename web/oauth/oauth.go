// Package oauth owns the token, revocation and introspection endpoints as they
// are on the wire: how a form and the client's credentials are read, and how
// the answers are written (RFC 6749, 7009, 7662). It leaves every decision to
// package authz, and errors to package respond.
package oauth

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"chancery/authz"
	"chancery/authz/claims"
	"chancery/web/caller"
	"chancery/web/respond"

	"github.com/gin-gonic/gin"
)

// Service answers the endpoints. Expected failures are *authz.Error.
type Service interface {
	Token(ctx context.Context, request authz.TokenRequest) (authz.TokenResponse, error)
	Revoke(ctx context.Context, query authz.TokenQuery) error
	Introspect(ctx context.Context, query authz.TokenQuery) (authz.Introspection, error)
	Authenticate(ctx context.Context, credentials authz.Credentials, address string) (authz.Client, error)
}

// Authorizations takes what clients send ahead of the user's browser. Expected
// failures are *authz.Error.
type Authorizations interface {
	Push(ctx context.Context, push authz.Push) (authz.PushedResponse, error)
	StartDevice(ctx context.Context, request authz.DeviceRequest) (authz.DeviceResponse, error)
}

// Clients says how clients in browsers may reach the endpoints.
type Clients interface {
	// OriginAllowed reports whether any client allows the origin.
	OriginAllowed(ctx context.Context, origin string) (bool, error)
	// Client returns the registered client, or authz.ErrNotFound.
	Client(ctx context.Context, id string) (authz.Client, error)
}

// Endpoints are the OAuth endpoints. All fields must be set.
type Endpoints struct {
	Service        Service
	Authorizations Authorizations
	Clients        Clients
	// Issuer has no trailing slash.
	Issuer  string
	Respond respond.Responder
	// Cookies are how refresh tokens reach clients in browsers.
	Cookies Cookies
	// Now is the service's clock.
	Now func() time.Time
	// AssertionAlgorithms are those that clients may sign with.
	AssertionAlgorithms []string
	// ProofAlgorithms are those of DPoP proofs.
	ProofAlgorithms []string
	// PasswordGrant says whether the password grant is advertised.
	PasswordGrant bool
}

// Paths of the endpoints, below the issuer.
const (
	tokenPath      = "/oauth/token" //nolint:gosec // a path
	revokePath     = "/oauth/revoke"
	introspectPath = "/oauth/introspect"
	parPath        = "/oauth/par"
	devicePath     = "/oauth/device"
)

// Mount adds the endpoints to router and returns what the metadata says of
// them (RFC 8414 section 2).
func (e *Endpoints) Mount(router gin.IRouter) map[string]any {
	issuer := e.Issuer
	for path, handle := range map[string]handler{
		tokenPath: e.token, revokePath: e.revoke, introspectPath: e.introspect, parPath: e.push, devicePath: e.device,
	} {
		router.POST(path, e.Respond.Handler(func(c *gin.Context) error { return e.post(c, handle) }))
		router.OPTIONS(path, e.Respond.Handler(e.preflight))
	}
	provenMethods := []authz.AuthMethod{authz.AuthBasic, authz.AuthPost, authz.AuthPrivateKeyJWT}
	anyMethod := append(provenMethods, authz.AuthNone)
	grants := []string{authz.GrantAuthorizationCode, authz.GrantRefreshToken, authz.GrantClientCredentials, authz.GrantDeviceCode, authz.GrantTokenExchange}
	if e.PasswordGrant {
		grants = append(grants, authz.GrantPassword)
	}
	members := map[string]any{
		"token_endpoint":                                issuer + tokenPath,
		"token_endpoint_auth_methods_supported":         anyMethod,
		"grant_types_supported":                         grants,
		"revocation_endpoint":                           issuer + revokePath,
		"revocation_endpoint_auth_methods_supported":    anyMethod,
		"pushed_authorization_request_endpoint":         issuer + parPath,
		"device_authorization_endpoint":                 issuer + devicePath,
		"introspection_endpoint":                        issuer + introspectPath,
		"introspection_endpoint_auth_methods_supported": provenMethods,
		"dpop_signing_alg_values_supported":             e.ProofAlgorithms,
	}
	for _, endpoint := range []string{"token", "revocation", "introspection"} {
		members[endpoint+"_endpoint_auth_signing_alg_values_supported"] = e.AssertionAlgorithms
	}
	return members
}

// request is a request whose form was read.
type request struct {
	form
	// credentials are how the client identifies itself, unless they are
	// unreadable.
	credentials authz.Credentials
	unreadable  error
	// possession is the proof that the client holds a key.
	possession authz.Possession
	// received is when the request came, its body not yet read, by the
	// service's clock.
	received time.Time
}

// handler answers one request.
type handler func(c *gin.Context, r request) error

// post reads the form of a request and hands it on. Answers are never cached.
func (e *Endpoints) post(c *gin.Context, handle handler) error {
	received := e.Now()
	respond.NoStore(c)
	c.Header("Vary", "Origin")
	f, err := readForm(c.Writer, c.Request)
	if err != nil {
		return err
	}
	r := request{form: f, received: received}
	if r.possession, err = caller.Possession(c, e.Issuer); err != nil {
		return err
	}
	r.credentials, r.unreadable = readCredentials(c.Request, f)
	if err := e.allowOrigin(c, r.credentials.ClientID); err != nil {
		return err
	}
	return handle(c, r)
}

// tokenAnswer is the body of a token response (RFC 6749 section 5.1).
type tokenAnswer struct {
	AccessToken      string      `json:"access_token"`
	TokenType        string      `json:"token_type"`
	ExpiresIn        int64       `json:"expires_in"`
	Scope            string      `json:"scope"`
	RefreshToken     string      `json:"refresh_token,omitempty"`
	RefreshExpiresIn int64       `json:"refresh_token_expires_in,omitempty"`
	IDToken          string      `json:"id_token,omitempty"`
	IssuedType       string      `json:"issued_token_type,omitempty"`
	Cause            authz.Cause `json:"cause,omitempty"`
}

func (e *Endpoints) token(c *gin.Context, r request) error {
	if r.unreadable != nil {
		return r.unreadable
	}
	wanted := authz.TokenRequest{
		Credentials: r.credentials, GrantType: r.value("grant_type"),
		Username: r.value("username"), Password: authz.Secret(r.value("password")),
		Code: authz.Secret(r.value("code")), RedirectURI: r.value("redirect_uri"), CodeVerifier: authz.Secret(r.value("code_verifier")),
		DeviceCode: authz.Secret(r.value("device_code")), SubjectToken: authz.Secret(r.value("subject_token")), ActorToken: authz.Secret(r.value("actor_token")),
		SubjectTokenType: r.value("subject_token_type"), RequestedTokenType: r.value("requested_token_type"), Audiences: r.values("audience"),
		RefreshToken: authz.Secret(r.value("refresh_token")), Scope: r.value("scope"), Resources: r.values("resource"),
		Possession: r.possession, Address: c.ClientIP(), UserAgent: c.Request.UserAgent(), ReceivedAt: r.received,
		Browser: e.Cookies.browser(c.Request, r.credentials.ClientID),
	}
	note(c, r.credentials, slog.String("grant_type", known(wanted.GrantType)))
	response, err := e.Service.Token(c.Request.Context(), wanted)
	if err != nil {
		return err
	}
	if response.SessionID != "" {
		respond.Note(c, slog.String("sid", response.SessionID), slog.String("user_id", response.UserID))
	}
	if response.Cause != "" {
		respond.Note(c, slog.String("cause", string(response.Cause)))
	}
	if response.InCookie {
		e.Cookies.set(c, response.ClientID, response.RefreshToken, response.RefreshExpiresIn)
		response.RefreshToken = ""
	}
	tokenType := "Bearer"
	if response.Bound {
		tokenType = "DPoP"
	}
	respond.JSON(c, http.StatusOK, tokenAnswer{
		AccessToken: response.AccessToken.Reveal(), TokenType: tokenType, ExpiresIn: response.ExpiresIn, Scope: response.Scope.String(),
		RefreshToken: response.RefreshToken.Reveal(), RefreshExpiresIn: response.RefreshExpiresIn, IDToken: response.IDToken.Reveal(), IssuedType: response.IssuedType, Cause: response.Cause,
	})
	return nil
}

// pushAnswer is the body of a pushed authorization response (RFC 9126 section
// 2.2).
type pushAnswer struct {
	RequestURI string `json:"request_uri"`
	ExpiresIn  int64  `json:"expires_in"`
}

func (e *Endpoints) push(c *gin.Context, r request) error {
	if r.unreadable != nil {
		return r.unreadable
	}
	note(c, r.credentials)
	response, err := e.Authorizations.Push(c.Request.Context(), authz.Push{
		Credentials: r.credentials, Possession: r.possession, Parameters: url.Values(r.form), Address: c.ClientIP(),
	})
	if err != nil {
		return err
	}
	respond.JSON(c, http.StatusCreated, pushAnswer{RequestURI: response.RequestURI, ExpiresIn: int64(response.ExpiresIn / time.Second)})
	return nil
}

func (e *Endpoints) revoke(c *gin.Context, r request) error {
	query, err := readQuery(c, r)
	if err != nil {
		return err
	}
	query.Browser = e.Cookies.browser(c.Request, r.credentials.ClientID)
	if err := e.Service.Revoke(c.Request.Context(), query); err != nil {
		return err
	}
	if query.Token == "" { // it was that of the cookie
		e.Cookies.clear(c, r.credentials.ClientID)
	}
	c.Status(http.StatusOK)
	c.Writer.WriteHeaderNow()
	return nil
}

// introspectionAnswer is the body of an introspection response (RFC 7662
// section 2.2). An inactive token has no member but active.
type introspectionAnswer struct {
	Active    bool     `json:"active"`
	Issuer    string   `json:"iss,omitempty"`
	Subject   string   `json:"sub,omitempty"`
	Audience  string   `json:"aud,omitempty"`
	ClientID  string   `json:"client_id,omitempty"`
	Scope     string   `json:"scope,omitempty"`
	ExpiresAt int64    `json:"exp,omitempty"`
	IssuedAt  int64    `json:"iat,omitempty"`
	ID        string   `json:"jti,omitempty"`
	TokenType string   `json:"token_type,omitempty"`
	SessionID string   `json:"sid,omitempty"`
	AuthTime  int64    `json:"auth_time,omitempty"`
	AMR       []string `json:"amr,omitempty"`
	Roles     []string `json:"roles,omitempty"`
	// Actor is who acts for the subject (RFC 8693 section 4.1).
	Actor *claims.Actor `json:"act,omitempty"`
	// Confirmation is how the token is bound to a key (RFC 9449 section 6.2).
	Confirmation *claims.Confirmation `json:"cnf,omitempty"`
}

func (e *Endpoints) introspect(c *gin.Context, r request) error {
	query, err := readQuery(c, r)
	if err != nil {
		return err
	}
	result, err := e.Service.Introspect(c.Request.Context(), query)
	if err != nil {
		return err
	}
	token := result.Claims
	respond.JSON(c, http.StatusOK, introspectionAnswer{
		Active: result.Active, Issuer: token.Issuer, Subject: token.Subject, Audience: token.Audience, ClientID: token.ClientID,
		Scope: token.Scope, ExpiresAt: token.ExpiresAt, IssuedAt: token.IssuedAt, ID: token.ID, TokenType: result.TokenType,
		SessionID: token.SessionID, AuthTime: token.AuthTime, AMR: token.AMR, Roles: token.Roles, Actor: token.Actor, Confirmation: token.Confirmation,
	})
	return nil
}

func readQuery(c *gin.Context, r request) (authz.TokenQuery, error) {
	if r.unreadable != nil {
		return authz.TokenQuery{}, r.unreadable
	}
	note(c, r.credentials)
	return authz.TokenQuery{
		Credentials: r.credentials, Token: authz.Secret(r.value("token")), Address: c.ClientIP(), UserAgent: c.Request.UserAgent(),
	}, nil
}

func note(c *gin.Context, credentials authz.Credentials, attrs ...slog.Attr) {
	respond.Note(c, attrs...)
	respond.NoteClient(c, credentials.ClientID)
}

// known keeps the log free of what a stranger makes up.
func known(grantType string) string {
	for _, grant := range authz.GrantTypes() {
		if grant == grantType {
			return grant
		}
	}
	return "other"
}
