// Package console owns the admins' web console: its pages, its sessions, and
// what keeps other sites out of it. It leaves to package authz what may be seen
// and changed, by whom, and what is recorded of it.
package console

import (
	"context"
	"encoding/gob"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"chancery/authz"
	"chancery/web/caller"
	"chancery/web/page"
	"chancery/web/respond"

	"github.com/alexedwards/scs/v2"
	"github.com/gin-gonic/gin"
)

// Reach says how far the end of a session has come, as this node sees it.
type Reach struct {
	// Shown says that the status list that this node serves shows the end.
	Shown bool
	// ServedAt is when this node began to serve it, zero if it does not know.
	ServedAt time.Time
	// Listeners is how many verifiers listened then, Told how many of them have
	// heard of it, ToldAt when the last did.
	Listeners, Told int
	ToldAt          time.Time
	// Fetched is how many have fetched the list since, FetchedAt when the first
	// did.
	Fetched   int
	FetchedAt time.Time
}

// Options are what the console is made of. All fields must be set.
type Options struct {
	Administration *authz.Administration
	// Reach says how far the end of a session at that time has come.
	Reach func(status authz.StatusRef, ended time.Time) (Reach, error)
	// Store keeps the sessions of the console.
	Store   scs.CtxStore
	Respond respond.Responder
	// Base is the path of the issuer, Issuer its URL.
	Base, Issuer string
	// Secure says that the issuer is https.
	Secure  bool
	Version string
	// IdleTimeout and Lifetime end a session that is not used, or however often
	// it is.
	IdleTimeout, Lifetime time.Duration
}

// How long sessions of the console live by default.
const (
	DefaultIdleTimeout = 30 * time.Minute
	DefaultLifetime    = 12 * time.Hour
)

// console is the mounted console.
type console struct {
	Options
	*authz.Administration
	manager *scs.SessionManager
	sites   *http.CrossOriginProtection
	pages   map[string]*template.Template
}

// registerTypes makes what sessions hold known to their codec.
var registerTypes = sync.OnceFunc(func() { gob.Register(authz.ConsoleLogin{}) })

// Mount adds the console below "/console" of router. The error tells of a
// template.
func Mount(router gin.IRouter, o Options) error {
	registerTypes()
	pages, err := page.Parse(templates, functions(), []string{"templates/frame.html", "templates/parts.html"}, pageNames)
	if err != nil {
		return err
	}
	manager := newManager(o)
	c := &console{Options: o, Administration: o.Administration, manager: manager, sites: http.NewCrossOriginProtection(), pages: pages}
	group := router.Group("/console", c.protect)
	group.GET("/login", c.open(c.loginPage))
	group.POST("/login", c.open(c.login))
	for _, r := range c.routes() {
		group.Handle(r.method, r.path, c.closed(r.handle))
	}
	return nil
}

// newManager returns what keeps the sessions. scs.New would begin with a store
// of its own that sweeps itself in a goroutine which nobody can end.
func newManager(o Options) *scs.SessionManager {
	name := "chancery_console"
	if o.Secure {
		name = "__Secure-" + name
	}
	return &scs.SessionManager{
		Store: o.Store, HashTokenInStore: true, Codec: scs.GobCodec{}, IdleTimeout: o.IdleTimeout, Lifetime: o.Lifetime,
		Cookie: scs.SessionCookie{Name: name, Path: o.Base + "/console", Secure: o.Secure, HttpOnly: true, SameSite: http.SameSiteLaxMode},
	}
}

// route is a page or a deed of a signed-in admin.
type route struct {
	method, path string
	handle       func(c *gin.Context, admin authz.Administrator) (answer, error)
}

func (c *console) routes() []route {
	const get, post = http.MethodGet, http.MethodPost
	return []route{
		{get, "", c.overview},
		{post, "/logout", c.logout},
		{get, "/sessions", c.sessions},
		{post, "/sessions/confirm", c.confirmSessions},
		{post, "/sessions/revoke", c.revokeSessions},
		{get, "/sessions/:sid", c.session},
		{get, "/sessions/:sid/reach", c.sessionReach},
		{get, "/users", c.users},
		{get, "/users/new", c.newUser},
		{post, "/users", c.createUser},
		{get, "/users/:id", c.user},
		{post, "/users/:id/roles", c.setRoles},
		{post, "/users/:id/ban", c.banUser},
		{post, "/users/:id/unban", c.unbanUser},
		{post, "/users/:id/password", c.setPassword},
		{post, "/users/:id/revoke", c.revokeUser},
		{post, "/users/:id/delete", c.deleteUser},
		{get, "/clients", c.clients},
		{get, "/clients/new", c.newClient},
		{post, "/clients", c.createClient},
		{get, "/clients/:id", c.client},
		{get, "/clients/:id/edit", c.editClient},
		{post, "/clients/:id/edit", c.updateClient},
		{post, "/clients/:id/secret", c.rotateSecret},
		{post, "/clients/:id/disable", c.disableClient(true)},
		{post, "/clients/:id/enable", c.disableClient(false)},
		{post, "/clients/:id/revoke", c.revokeClient},
		{post, "/clients/:id/delete", c.deleteClient},
		{get, "/resources", c.resources},
		{get, "/resources/new", c.newResource},
		{post, "/resources", c.createResource},
		{get, "/resources/:id", c.resource},
		{post, "/resources/:id", c.updateResource},
		{post, "/resources/:id/delete", c.deleteResource},
		{get, "/keys", c.keys},
		{post, "/keys/rotate", c.rotateKey},
		{get, "/keys/:kid/compromise", c.confirmCompromise},
		{post, "/keys/:kid/compromise", c.compromiseKey},
		{get, "/events", c.events},
	}
}

var errOtherSite = &authz.Error{Code: authz.InsufficientScope, Description: "This request comes from another site."}

// protect goes before every request: it refuses what another site sends, and
// loads the session.
func (c *console) protect(g *gin.Context) {
	page.Policy(g)
	g.Header("Cross-Origin-Opener-Policy", "same-origin")
	if err := c.sites.Check(g.Request); err != nil {
		c.refuse(g, errOtherSite)
		return
	}
	token := ""
	if cookie, err := g.Request.Cookie(c.manager.Cookie.Name); err == nil {
		token = cookie.Value
	}
	ctx, err := c.manager.Load(g.Request.Context(), token)
	if err != nil {
		c.refuse(g, err)
		return
	}
	g.Request = g.Request.WithContext(ctx)
	g.Next()
}

// open handles what needs no login.
func (c *console) open(handle func(g *gin.Context) (answer, error)) gin.HandlerFunc {
	return func(g *gin.Context) {
		a, err := handle(g)
		if err != nil {
			c.refuse(g, err)
			return
		}
		c.write(g, a, authz.Administrator{})
	}
}

// Keys of what a session holds.
const (
	keyLogin = "login"
	keyFlash = "flash"
)

// closed handles what only a signed-in admin may ask for. Whether he still is
// one is looked up each time.
func (c *console) closed(handle func(g *gin.Context, admin authz.Administrator) (answer, error)) gin.HandlerFunc {
	return func(g *gin.Context) {
		admin, err := c.admin(g)
		if errors.Is(err, errSignIn) {
			c.signIn(g)
			return
		}
		if err != nil {
			c.refuse(g, err)
			return
		}
		respond.Note(g, slog.String("user_id", admin.UserID))
		a, err := handle(g, admin)
		if err != nil {
			c.refuseTo(g, admin, err)
			return
		}
		c.write(g, a, admin)
	}
}

// errSignIn says that there is no session, or none any more.
var errSignIn = errors.New("sign in")

// admin returns who is signed in.
func (c *console) admin(g *gin.Context) (authz.Administrator, error) {
	ctx := g.Request.Context()
	login, ok := c.manager.Get(ctx, keyLogin).(authz.ConsoleLogin)
	if !ok {
		return authz.Administrator{}, errSignIn
	}
	admin, err := c.Admins.ByLogin(ctx, login, caller.Device(g))
	if code := authz.CodeOf(err); code == authz.InvalidToken || code == authz.InsufficientScope {
		return authz.Administrator{}, errors.Join(errSignIn, c.manager.Destroy(ctx))
	}
	return admin, err
}

// signIn sends the browser to the login.
func (c *console) signIn(g *gin.Context) {
	login := "/console/login"
	if g.GetHeader("HX-Request") != "" {
		g.Header("HX-Redirect", c.Base+login) // a part of a page cannot show the login
		c.finish(g, http.StatusOK, nil)
		return
	}
	// Nothing is stored for somebody who has not signed in.
	if next := g.Request.URL.RequestURI(); g.Request.Method == http.MethodGet && next != c.Base+"/console" {
		login = link(login, "next", next)
	}
	g.Header("Location", c.Base+login)
	c.finish(g, http.StatusSeeOther, nil)
}

// finish stores the session, sets its cookie and answers.
func (c *console) finish(g *gin.Context, status int, content []byte) {
	if err := c.commit(g); err != nil {
		g.Writer.Header().Del("Location")
		c.refuse(g, err)
		return
	}
	if content == nil {
		g.Status(status)
		g.Writer.WriteHeaderNow()
		g.Abort()
		return
	}
	page.HTML(g, status, content)
}

// polled reports whether a page asks by the clock, which is no use of the
// console by anybody: it must not keep a session that nobody uses. The ids are
// those of the parts that templates renew.
func polled(g *gin.Context) bool {
	return slices.Contains([]string{"figures", "reach"}, g.GetHeader("HX-Target"))
}

func (c *console) commit(g *gin.Context) error {
	ctx := g.Request.Context()
	switch c.manager.Status(ctx) {
	case scs.Modified:
		if polled(g) {
			break
		}
		token, expiry, err := c.manager.Commit(context.WithoutCancel(ctx))
		if err != nil {
			return err
		}
		c.manager.WriteSessionCookie(ctx, g.Writer, token, expiry)
	case scs.Destroyed:
		c.manager.WriteSessionCookie(ctx, g.Writer, "", time.Time{})
	}
	respond.NoStore(g) // which is more than the manager asks for
	return nil
}
