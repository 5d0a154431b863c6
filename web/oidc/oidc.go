// Package oidc owns what users see of logging in with a browser: the
// authorization endpoint and its pages, the end of a login, the page of
// connected apps, and what clients may know of a user (RFC 6749 section 4.1,
// OpenID Connect Core, RP-Initiated Logout). It leaves every decision to package
// authz, and the token endpoint to package oauth.
package oidc

import (
	"context"
	"html/template"
	"net/http"
	"net/url"

	"chancery/authz"
	"chancery/web/caller"
	"chancery/web/page"
	"chancery/web/respond"

	"github.com/gin-gonic/gin"
)

// Authorizations answers the authorization endpoint. Each method is that of
// authz.Authorizations.
type Authorizations interface {
	Read(ctx context.Context, values url.Values, address string) (authz.AuthorizationRequest, error)
	Check(ctx context.Context, request authz.AuthorizationRequest, login authz.BrowserLogin) (authz.Authorization, error)
	Allow(ctx context.Context, request authz.AuthorizationRequest, login authz.BrowserLogin, consenting authz.Consenting) (authz.AuthorizationAnswer, error)
	Issue(ctx context.Context, z authz.Authorization) (authz.AuthorizationAnswer, error)
	LetIn(ctx context.Context, login authz.BrowserLogin, clientID string) (bool, error)
	Apps(ctx context.Context, login authz.BrowserLogin) ([]authz.App, error)
	Disconnect(ctx context.Context, login authz.BrowserLogin, clientID string, device authz.Device) error
}

// Devices lets users allow what devices ask for. Each method is that of
// authz.Authorizations.
type Devices interface {
	FindDevice(ctx context.Context, login authz.BrowserLogin, userCode, address string) (authz.DeviceGrant, authz.Authorization, error)
	DecideDevice(ctx context.Context, login authz.BrowserLogin, userCode string, consenting authz.Consenting) error
}

// Browsers logs users in and out. Each method is that of authz.Browsers.
type Browsers interface {
	Find(ctx context.Context, token authz.Secret) (authz.BrowserLogin, error)
	Login(ctx context.Context, attempt authz.BrowserAttempt) (authz.Secret, error)
	ReadLogout(ctx context.Context, values url.Values, login authz.BrowserLogin) (authz.Logout, error)
	Logout(ctx context.Context, login authz.BrowserLogin, device authz.Device) error
}

// Users says what clients may know of users. Its method is that of
// authz.Accounts.
type Users interface {
	UserInfo(ctx context.Context, token authz.Presented) (authz.UserInfo, error)
}

// Resources says what resources are called.
type Resources interface {
	// Resource returns the resource with the URI, or authz.ErrNotFound.
	Resource(ctx context.Context, uri string) (authz.Resource, error)
}

// Options are what the endpoints are made of. All fields must be set.
type Options struct {
	Authorizations Authorizations
	Devices        Devices
	Browsers       Browsers
	Users          Users
	Resources      Resources
	Origins        caller.Origins
	Respond        respond.Responder
	// Issuer has no trailing slash; Base is its path.
	Issuer, Base string
	// Secure says that the issuer is https.
	Secure bool
}

// endpoints are the mounted endpoints.
type endpoints struct {
	Options
	cookie cookie
	sites  *http.CrossOriginProtection
	pages  map[string]*template.Template
}

// Paths of the endpoints, below the issuer.
const (
	authorizePath = "/oauth/authorize"
	loginPath     = "/oauth/login"
	consentPath   = "/oauth/consent"
	switchPath    = "/oauth/switch"
	logoutPath    = "/oauth/logout"
	confirmPath   = "/oauth/logout/confirm"
	userInfoPath  = "/oauth/userinfo"
	accountPath   = "/account"
	devicePath    = "/device"
)

// Mount adds the endpoints to router and returns what the metadata says of them
// (OpenID Connect Discovery section 3). The error tells of a template.
func Mount(router gin.IRouter, o Options) (map[string]any, error) {
	pages, err := page.Parse(templates, functions(), []string{"templates/frame.html"}, pageNames)
	if err != nil {
		return nil, err
	}
	e := &endpoints{Options: o, cookie: newCookie(o.Base, o.Secure), sites: http.NewCrossOriginProtection(), pages: pages}
	router.GET(authorizePath, e.page(e.authorize))
	router.POST(authorizePath, e.page(e.repeat))
	router.GET(logoutPath, e.page(e.logout))
	router.POST(logoutPath, e.page(e.postLogout))
	router.GET(accountPath, e.page(e.account))
	router.GET(devicePath, e.page(e.device))
	for path, handle := range map[string]func(*gin.Context) error{
		loginPath: e.login, consentPath: e.consent, switchPath: e.switchUser, confirmPath: e.confirmLogout,
		accountPath + "/disconnect": e.disconnect, accountPath + "/sign-out": e.signOut, devicePath: e.decideDevice,
	} {
		router.POST(path, e.page(e.ours(handle)))
	}
	userInfo := o.Respond.Handler(e.userInfo)
	router.GET(userInfoPath, userInfo)
	router.POST(userInfoPath, userInfo)
	router.OPTIONS(userInfoPath, o.Respond.Handler(func(c *gin.Context) error { return caller.Preflight(c, o.Origins, "GET, POST") }))
	return e.metadata(), nil
}

// metadata says what these endpoints can do, and what they cannot where a client
// would take the opposite for granted.
func (e *endpoints) metadata() map[string]any {
	return map[string]any{
		"authorization_endpoint":                         e.Issuer + authorizePath,
		"userinfo_endpoint":                              e.Issuer + userInfoPath,
		"end_session_endpoint":                           e.Issuer + logoutPath,
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query", "form_post"},
		"code_challenge_methods_supported":               []string{"S256"},
		"authorization_response_iss_parameter_supported": true,
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          authz.SigningAlgorithms(),
		"acr_values_supported":                           authz.ACRValues(),
		"prompt_values_supported":                        authz.Prompts(),
		"claims_supported":                               []string{"sub", "iss", "auth_time", "acr", "amr", "preferred_username", "updated_at", "email", "email_verified"},
		"claims_parameter_supported":                     false,
		"request_parameter_supported":                    false,
		"request_uri_parameter_supported":                false,
		"backchannel_logout_supported":                   true,
		"backchannel_logout_session_supported":           true,
		"ui_locales_supported":                           []string{"en"},
	}
}

// page adapts a handler of a page: an error becomes one, or goes to the client
// that can do something about it.
func (e *endpoints) page(handle func(c *gin.Context) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		page.Policy(c)
		if err := handle(c); err != nil {
			e.refuse(c, err)
		}
	}
}

var errOtherSite = &authz.Error{Code: authz.InsufficientScope, Description: "This form was sent by another site."}

// ours lets only our own pages send a form.
func (e *endpoints) ours(handle func(c *gin.Context) error) func(c *gin.Context) error {
	return func(c *gin.Context) error {
		if err := e.sites.Check(c.Request); err != nil {
			return errOtherSite
		}
		return handle(c)
	}
}

// browser returns who is logged in in the browser.
func (e *endpoints) browser(c *gin.Context) (authz.BrowserLogin, error) {
	return e.Browsers.Find(c.Request.Context(), e.cookie.read(c.Request))
}
