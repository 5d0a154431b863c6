// Package web owns the HTTP server as a whole: which families of endpoints are
// mounted where, and what every request goes through: request id, access log,
// recovery, limits, security headers, the client's address. It leaves the
// endpoints to its subpackages and the listening socket to its caller.
package web

import (
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"chancery/authz"
	"chancery/web/account"
	"chancery/web/admin"
	"chancery/web/assets"
	"chancery/web/console"
	"chancery/web/oauth"
	"chancery/web/oidc"
	"chancery/web/respond"
	"chancery/web/status"
	"chancery/web/wellknown"

	"github.com/alexedwards/scs/v2"
	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel/trace"
)

// Observer is told of each request, for figures. Its method returns at once and
// is safe for concurrent use.
type Observer interface {
	// RequestAnswered tells of an answer: the pattern of the route, "" if none
	// fits, the method as it was sent, the status and how long it took.
	RequestAnswered(route, method string, status int, took time.Duration)
}

// StatusLists are the status lists that this node serves.
type StatusLists interface {
	status.Lists
	// Ended reports whether the list that is served shows the entry as ended.
	Ended(ref authz.StatusRef) (bool, error)
}

// Options are what the server is made of. All fields must be set but those that
// say otherwise, lists may be empty.
type Options struct {
	// Issuer is the configured URL; answers never depend on the Host header.
	Issuer  string
	Service oauth.Service
	// Accounts answers the account API.
	Accounts *authz.Accounts
	// Authorizations and Browsers answer those who log in with a browser.
	Authorizations *authz.Authorizations
	Browsers       *authz.Browsers
	// ClientRegistrations lets clients register themselves; nil lets none.
	ClientRegistrations *authz.ClientRegistrations
	// ClientDocuments says that clients are let in that publish what they are.
	ClientDocuments bool
	// Registry answers for clients' origins and the registered resources.
	Registry *authz.Registry
	// Administration is what the admin API and the console work on.
	Administration *authz.Administration
	// ConsoleSessions keeps the sessions of the console.
	ConsoleSessions scs.CtxStore
	// AdminApart gives these a handler of their own.
	AdminApart bool
	// Metrics answers /metrics for this machine and its private networks; nil
	// for a server that does so elsewhere.
	Metrics http.Handler
	// Observer is told of each request, and may be nil.
	Observer Observer
	// Tracer traces requests; nil traces none.
	Tracer     trace.TracerProvider
	Keys       wellknown.KeySet
	JWKSMaxAge time.Duration
	// StatusLists are served for StatusTTL; StatusStream tells of new ones.
	StatusLists   StatusLists
	StatusStream  *status.Stream
	StatusTTL     time.Duration
	PasswordGrant bool
	// AssertionAlgorithms are those that clients may sign with.
	AssertionAlgorithms []string
	// ProofAlgorithms are those of DPoP proofs.
	ProofAlgorithms []string
	// TrustedProxies are the addresses and networks whose X-Forwarded-For is
	// believed.
	TrustedProxies []string
	// Ready are the checks of /readyz by name.
	Ready   []Check
	Version Version
	Log     *slog.Logger
	// Now is the service's clock.
	Now func() time.Time
}

// Server is the handler of all requests and the documents that follow the
// registrations.
type Server struct {
	http.Handler
	// Admin serves the admin API and the console if they stand apart, and is
	// nil otherwise.
	Admin     http.Handler
	Documents *wellknown.Documents
}

// New mounts all endpoints. The error tells of an invalid option.
func New(o Options) (*Server, error) {
	gin.SetMode(gin.ReleaseMode)
	issuer, err := url.Parse(o.Issuer)
	if err != nil {
		return nil, err
	}
	m := &mounting{
		options: o, base: strings.TrimSuffix(issuer.Path, "/"), https: issuer.Scheme == "https", respond: respond.Responder{Realm: o.Issuer},
	}
	public, err := m.site()
	if err != nil {
		return nil, err
	}
	documents, err := m.mountPublic(public)
	if err != nil {
		return nil, err
	}
	server := &Server{Handler: public.engine, Documents: documents}
	admins := public
	if o.AdminApart {
		if admins, err = m.site(); err != nil {
			return nil, err
		}
		server.Admin = admins.engine
	}
	return server, m.mountAdmin(admins)
}

// mounting is what the endpoints of all sites share.
type mounting struct {
	options Options
	// base is the path of the issuer.
	base    string
	https   bool
	respond respond.Responder
}

// site is what one listener serves.
type site struct {
	engine *gin.Engine
	// hosted holds requests to their time limit; router is the same below the
	// issuer's path, and free is without the limit.
	hosted, router, free *gin.RouterGroup
}

// site returns a site with what every one has: what a request goes through, the
// assets, and the probes.
func (m *mounting) site() (*site, error) {
	o := m.options
	engine := gin.New()
	engine.HandleMethodNotAllowed = true
	engine.RedirectTrailingSlash = false
	engine.RedirectFixedPath = false
	engine.ForwardedByClientIP = len(o.TrustedProxies) > 0
	engine.RemoteIPHeaders = []string{"X-Forwarded-For"}
	if err := engine.SetTrustedProxies(o.TrustedProxies); err != nil {
		return nil, err
	}
	if o.Tracer != nil {
		engine.Use(tracing(o.Tracer))
	}
	engine.Use(accessLog(o.Log, o.Observer), recovery(m.respond), secureHeaders(m.https))
	engine.NoRoute(nothing(m.respond, m.base, http.StatusNotFound, "There is nothing here."))
	engine.NoMethod(nothing(m.respond, m.base, http.StatusMethodNotAllowed, "This method is not allowed here."))
	hosted := engine.Group("", deadline)
	s := &site{engine: engine, hosted: hosted, router: hosted.Group(m.base), free: engine.Group(m.base)}
	if err := assets.Mount(s.router); err != nil {
		return nil, err
	}
	// Probes and operators ask a node itself, whatever the issuer's path is.
	mountHealth(hosted, o.Ready, o.Version)
	if m.base != "" {
		mountHealth(s.router, o.Ready, o.Version)
	}
	return s, nil
}

// mountPublic adds what clients, users and resource servers ask for.
func (m *mounting) mountPublic(s *site) (*wellknown.Documents, error) {
	o := m.options
	endpoints := &oauth.Endpoints{
		Issuer: o.Issuer, Service: o.Service, Authorizations: o.Authorizations, Clients: o.Registry, Respond: m.respond, Now: o.Now, PasswordGrant: o.PasswordGrant, AssertionAlgorithms: o.AssertionAlgorithms,
		ProofAlgorithms: o.ProofAlgorithms, Cookies: oauth.Cookies{Path: m.base + "/oauth", Secure: m.https},
	}
	members := endpoints.Mount(s.router)
	if o.ClientRegistrations != nil {
		maps.Copy(members, endpoints.MountRegistration(s.router, o.ClientRegistrations))
	}
	if o.ClientDocuments {
		members["client_id_metadata_document_supported"] = true
	}
	statuses := &status.Endpoints{
		Issuer: o.Issuer, Lists: o.StatusLists, Stream: o.StatusStream, Client: endpoints.Client, Respond: m.respond, TTL: o.StatusTTL, Now: o.Now,
	}
	maps.Copy(members, statuses.Mount(s.router, s.free)) // only the stream takes as long as its listener wants
	accounts := &account.Endpoints{Recovery: o.Accounts, Self: o.Accounts, Sessions: o.Accounts, Clients: o.Registry, Issuer: o.Issuer, Respond: m.respond}
	accounts.Mount(s.router)
	logins, err := oidc.Mount(s.router, oidc.Options{
		Authorizations: o.Authorizations, Devices: o.Authorizations, Browsers: o.Browsers, Users: o.Accounts, Resources: o.Registry, Origins: o.Registry, Respond: m.respond,
		Issuer: o.Issuer, Base: m.base, Secure: m.https,
	})
	if err != nil {
		return nil, err
	}
	maps.Copy(members, logins)
	documents := &wellknown.Documents{Issuer: o.Issuer, Keys: o.Keys, Resources: o.Registry, Respond: m.respond, MaxAge: o.JWKSMaxAge}
	if o.Metrics != nil {
		mountMetrics(s.hosted, o.Metrics)
	}
	return documents, documents.Mount(s.hosted, members)
}

// mountAdmin adds what admins ask for.
func (m *mounting) mountAdmin(s *site) error {
	o := m.options
	endpoints := &admin.Endpoints{
		Administration: o.Administration, Origins: o.Registry, Respond: m.respond, Issuer: o.Issuer, Version: o.Version.Version,
	}
	if err := endpoints.Mount(s.engine, s.router, s.free); err != nil {
		return err
	}
	return console.Mount(s.router, console.Options{
		Administration: o.Administration, Reach: m.reach, Store: o.ConsoleSessions, Respond: m.respond, Base: m.base, Issuer: o.Issuer,
		Secure: m.https, Version: o.Version.Version, IdleTimeout: console.DefaultIdleTimeout, Lifetime: console.DefaultLifetime,
	})
}

// reach says how far the end of a session has come.
func (m *mounting) reach(ref authz.StatusRef, ended time.Time) (console.Reach, error) {
	shown, err := m.options.StatusLists.Ended(ref)
	if err != nil || !shown {
		return console.Reach{}, err
	}
	reached, _ := m.options.StatusStream.Reach(ref.List, ended)
	return console.Reach{
		Shown: true, ServedAt: reached.ServedAt, Listeners: reached.Listeners, Told: reached.Told, ToldAt: reached.ToldAt,
		Fetched: reached.Fetched, FetchedAt: reached.FetchedAt,
	}, nil
}

// nothing answers what no endpoint is asked for, in the form of the API that the
// path belongs to.
func nothing(responder respond.Responder, base string, code int, description string) gin.HandlerFunc {
	return func(c *gin.Context) {
		path := c.Request.URL.Path + "/"
		if strings.HasPrefix(path, base+"/account/") || strings.HasPrefix(path, base+"/admin/") {
			responder.Nothing(c, code, description)
			return
		}
		respond.NoStore(c)
		respond.JSON(c, code, map[string]string{"error": string(authz.InvalidRequest), "error_description": description})
		c.Abort()
	}
}
