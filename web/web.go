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
	"chancery/web/assets"
	"chancery/web/oauth"
	"chancery/web/respond"
	"chancery/web/status"
	"chancery/web/wellknown"

	"github.com/gin-gonic/gin"
)

// Options are what the server is made of. All fields must be set, lists may be
// empty.
type Options struct {
	// Issuer is the configured URL; answers never depend on the Host header.
	Issuer  string
	Service oauth.Service
	// Accounts answers the account API.
	Accounts *authz.Accounts
	// Registry answers for clients' origins and the registered resources.
	Registry   *authz.Registry
	Keys       wellknown.KeySet
	JWKSMaxAge time.Duration
	// StatusLists are served for StatusTTL; StatusStream tells of new ones.
	StatusLists   status.Lists
	StatusStream  *status.Stream
	StatusTTL     time.Duration
	PasswordGrant bool
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
	Documents *wellknown.Documents
}

// New mounts all endpoints. The error tells of an invalid option.
func New(o Options) (*Server, error) {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.HandleMethodNotAllowed = true
	engine.RedirectTrailingSlash = false
	engine.RedirectFixedPath = false
	engine.ForwardedByClientIP = len(o.TrustedProxies) > 0
	engine.RemoteIPHeaders = []string{"X-Forwarded-For"}
	if err := engine.SetTrustedProxies(o.TrustedProxies); err != nil {
		return nil, err
	}
	issuer, err := url.Parse(o.Issuer)
	if err != nil {
		return nil, err
	}
	base, responder := strings.TrimSuffix(issuer.Path, "/"), respond.Responder{Realm: o.Issuer}
	engine.Use(accessLog(o.Log), recovery(responder), secureHeaders(issuer.Scheme == "https"))
	engine.NoRoute(nothing(responder, base, http.StatusNotFound, "There is nothing here."))
	engine.NoMethod(nothing(responder, base, http.StatusMethodNotAllowed, "This method is not allowed here."))

	endpoints := &oauth.Endpoints{
		Service: o.Service, Clients: o.Registry, Respond: responder, Now: o.Now, PasswordGrant: o.PasswordGrant,
		Cookies: oauth.Cookies{Path: base + "/oauth", Secure: issuer.Scheme == "https"},
	}
	// Only the stream takes as long as its listener wants.
	hosted := engine.Group("", deadline)
	router := hosted.Group(base)
	members := endpoints.Mount(router, o.Issuer)
	statuses := &status.Endpoints{
		Issuer: o.Issuer, Lists: o.StatusLists, Stream: o.StatusStream, Client: endpoints.Client, Respond: responder, TTL: o.StatusTTL, Now: o.Now,
	}
	maps.Copy(members, statuses.Mount(router, engine.Group(base)))
	accounts := &account.Endpoints{Recovery: o.Accounts, Self: o.Accounts, Sessions: o.Accounts, Clients: o.Registry, Respond: responder}
	accounts.Mount(router)
	assets.Mount(router)
	documents := &wellknown.Documents{Issuer: o.Issuer, Keys: o.Keys, Resources: o.Registry, Respond: responder, MaxAge: o.JWKSMaxAge}
	if err := documents.Mount(hosted, members); err != nil {
		return nil, err
	}
	// Probes and operators ask a node itself, whatever the issuer's path is.
	mountHealth(hosted, o.Ready, o.Version)
	if base != "" {
		mountHealth(router, o.Ready, o.Version)
	}
	return &Server{Handler: engine, Documents: documents}, nil
}

// nothing answers what no endpoint is asked for, in the form of the API that the
// path belongs to.
func nothing(responder respond.Responder, base string, code int, description string) gin.HandlerFunc {
	return func(c *gin.Context) {
		if path := c.Request.URL.Path + "/"; strings.HasPrefix(path, base+"/account/") {
			responder.Nothing(c, code, description)
			return
		}
		respond.NoStore(c)
		respond.JSON(c, code, map[string]string{"error": string(authz.InvalidRequest), "error_description": description})
		c.Abort()
	}
}
