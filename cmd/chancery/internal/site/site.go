// Package site owns a sample client: a web site that logs its users in with the
// authorization code flow, calls an API for them, and is told when their session
// ends. It is written to be read and copied, with the libraries that a site of
// one's own would use, and leaves the authorization server to its caller.
package site

import (
	"context"
	"crypto/rand"
	"embed"
	"html/template"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

//go:embed page
var files embed.FS

// Options are what the site is made of. All fields but Resource and API must be
// set.
type Options struct {
	// Name is what the site calls itself, Base its URL without a path.
	Name, Base string
	// Issuer is the URL of the authorization server.
	Issuer           string
	ClientID, Secret string
	Scopes           []string
	// Resource is the API that access tokens are for (RFC 8707), API what the site
	// asks for with one.
	Resource, API string
	Log           *slog.Logger
}

// Site serves the site. It keeps who is logged in in memory, and is safe for
// concurrent use.
type Site struct {
	http.Handler
	options Options
	pages   *template.Template
	client  *http.Client

	// mu guards the fields below; visits are by what the cookie holds.
	mu       sync.Mutex
	provider *oidc.Provider
	visits   map[string]*visit
}

// visit is what the site knows of one browser.
type visit struct {
	began time.Time
	// state, nonce and verifier are those of a login under way.
	state, nonce, verifier string
	// user is nil while nobody is logged in.
	user *user
	// notice says why nobody is any more, steps what went back and forth.
	notice string
	steps  []step
}

// user is somebody who is logged in.
type user struct {
	Name, Subject, SessionID string
	// idToken goes back when he logs out, tokens are refreshed as needed.
	idToken string
	tokens  oauth2.TokenSource
	// Claims are those of the ID token.
	Claims map[string]any
}

// step is one thing that happened.
type step struct{ Title, Detail string }

const (
	// cookie holds the key of a visit. A site on https would give it the prefix
	// __Host-.
	cookie = "site"
	// maxVisits bounds the memory: beyond it the oldest visit is forgotten.
	maxVisits = 100
	timeout   = 10 * time.Second
	maxBody   = 64 << 10
)

// New returns a site. It asks the authorization server for nothing before the
// first login.
func New(o Options) (*Site, error) {
	pages, err := template.ParseFS(files, "page/*.html")
	if err != nil {
		return nil, err
	}
	static, err := fs.Sub(files, "page")
	if err != nil {
		return nil, err
	}
	s := &Site{options: o, pages: pages, client: &http.Client{Timeout: timeout}, visits: map[string]*visit{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("GET /state", s.state)
	mux.HandleFunc("GET /login", s.login)
	mux.HandleFunc("GET /callback", s.callback)
	mux.HandleFunc("POST /logout", s.logout)
	for _, name := range []string{"site.css", "site.js"} {
		mux.Handle("GET /"+name, http.FileServerFS(static))
	}
	// Logout tokens come from the authorization server, everything else from
	// browsers.
	outer := http.NewServeMux()
	outer.Handle("/", http.NewCrossOriginProtection().Handler(mux))
	outer.HandleFunc("POST /logged-out", s.loggedOut)
	s.Handler = s.protect(outer)
	return s, nil
}

// protect sets what keeps other pages out.
func (s *Site) protect(next http.Handler) http.Handler {
	policy := "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self' " + s.options.Issuer
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// context is that of requests to the authorization server and the API.
func (s *Site) context(ctx context.Context) context.Context { return oidc.ClientContext(ctx, s.client) }

// discover returns what the authorization server says of itself, which it is asked
// for once.
func (s *Site) discover(ctx context.Context) (*oidc.Provider, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.provider != nil {
		return s.provider, nil
	}
	// The provider fetches keys with this context later on.
	provider, err := oidc.NewProvider(s.context(context.WithoutCancel(ctx)), s.options.Issuer)
	s.provider = provider
	return provider, err
}

// config is what the site is to the authorization server.
func (s *Site) config(provider *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{
		ClientID: s.options.ClientID, ClientSecret: s.options.Secret, Endpoint: provider.Endpoint(), Scopes: s.options.Scopes,
		RedirectURL: s.options.Base + "/callback",
	}
}

// visit returns the key and a copy of what is known of a browser, the zero values
// for nothing.
func (s *Site) visit(r *http.Request) (string, visit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, err := r.Cookie(cookie); err == nil && s.visits[c.Value] != nil {
		return c.Value, *s.visits[c.Value]
	}
	return "", visit{}
}

// keep stores what is known of a browser under a new key in place of the old one,
// so that nobody can have planted it.
func (s *Site) keep(w http.ResponseWriter, old string, v visit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.visits, old)
	if len(s.visits) >= maxVisits {
		oldest := slices.MinFunc(slices.Collect(maps.Keys(s.visits)), func(a, b string) int { return s.visits[a].began.Compare(s.visits[b].began) })
		delete(s.visits, oldest)
	}
	key := rand.Text()
	s.visits[key] = &v
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure wherever the site is on https
		Name: cookie, Value: key, Path: "/", Secure: strings.HasPrefix(s.options.Base, "https:"), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// change lets edit change what is known of a browser.
func (s *Site) change(key string, edit func(*visit)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.visits[key]; v != nil {
		edit(v)
	}
}
