// Package demo owns the demonstration that "chancery demo" runs: a page that
// plays two devices and an admin, and an orders API that verifies tokens with
// authz/verify. It leaves the authorization server, and what an admin can do
// there, to its caller.
package demo

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"chancery/authz/verify"
)

// page holds the files of the page.
//
//go:embed page
var page embed.FS

// Options are what the demonstration is made of. All fields must be set.
type Options struct {
	// Issuer is the URL of the authorization server, Origin that of the page.
	// Origin is also the audience of the tokens for the API.
	Issuer, Origin     string
	ClientID           string
	Username, Password string
	// Site is the URL of another company's site, which has pages of its own.
	Site string
	// Read and Write are the scopes of the API.
	Read, Write string
	// Sessions returns the live sessions, newest first; Revoke ends one.
	Sessions func(ctx context.Context) ([]Session, error)
	Revoke   func(ctx context.Context, sessionID string) error
	Log      *slog.Logger
}

// Session is a live session as the admin sees it.
type Session struct {
	ID string `json:"id"`
	// Client is the name of a client that is none of the page's devices.
	Client      string    `json:"client,omitempty"`
	CreatedAt   time.Time `json:"created_at"`
	RefreshedAt time.Time `json:"refreshed_at"`
	Refreshes   uint64    `json:"refreshes"`
}

// Server serves the page, the API and the admin's buttons.
type Server struct {
	http.Handler
	options  Options
	host     string
	verifier *verify.Verifier
	pages    *template.Template
	// token lets nobody but the page itself press the admin's buttons.
	token  string
	orders orders
}

// New returns a server that is ready once Run is running.
func New(o Options) (*Server, error) {
	origin, err := url.Parse(o.Origin)
	if err != nil {
		return nil, err
	}
	// Without leeway the countdown on the page is the whole truth.
	verifier, err := verify.New(o.Issuer, o.Origin, verify.Options{Leeway: -1, Log: o.Log})
	if err != nil {
		return nil, err
	}
	pages, err := template.ParseFS(page, "page/*.html")
	if err != nil {
		return nil, err
	}
	files, err := fs.Sub(page, "page")
	if err != nil {
		return nil, err
	}
	s := &Server{options: o, host: origin.Host, verifier: verifier, pages: pages, token: rand.Text()}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.show("index.html"))
	mux.HandleFunc("GET /device", s.show("device.html"))
	for _, name := range []string{"demo.css", "index.js", "device.js"} {
		mux.Handle("GET /"+name, http.FileServerFS(files))
	}
	mux.Handle("GET /api/orders", verifier.Require(o.Read)(http.HandlerFunc(s.orders.list)))
	mux.Handle("POST /api/orders", verifier.Require(o.Write)(http.HandlerFunc(s.orders.add)))
	mux.Handle("GET "+verifier.MetadataPath(), verifier.Metadata(o.Read, o.Write))
	mux.HandleFunc("GET /admin/sessions", s.admin(s.sessions))
	mux.HandleFunc("POST /admin/revoke", s.admin(s.revoke))
	s.Handler = s.guard(http.NewCrossOriginProtection().Handler(mux))
	return s, nil
}

// Run keeps the API's verifier up to date until ctx ends.
func (s *Server) Run(ctx context.Context) error { return s.verifier.Run(ctx) }

// guard answers requests to this host alone, so that no name that a stranger
// has pointed at the loopback address leads here, and sets headers.
func (s *Server) guard(next http.Handler) http.Handler {
	policy := "default-src 'none'; style-src 'self'; img-src data:; script-src 'self' " + s.options.Issuer + "; connect-src 'self' " + s.options.Issuer +
		"; frame-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != s.host {
			http.Error(w, "The demo is at "+s.options.Origin, http.StatusMisdirectedRequest)
			return
		}
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// show answers with a page, which gets what it must know.
func (s *Server) show(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		err := s.pages.ExecuteTemplate(w, name, struct {
			Options
			Token, Device string
		}{s.options, s.token, r.URL.Query().Get("name")})
		if err != nil {
			s.options.Log.ErrorContext(r.Context(), "a page cannot be shown", "page", name, "error", err)
		}
	}
}

// admin lets requests pass that carry the token of this run.
func (s *Server) admin(handle func(r *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("X-Demo-Token")), []byte(s.token)) != 1 {
			http.Error(w, "The token of this run is missing.", http.StatusForbidden)
			return
		}
		answer, err := handle(r)
		if errors.Is(err, errBadRequest) {
			http.Error(w, "The body names a session by its id.", http.StatusBadRequest)
			return
		}
		if err != nil {
			s.options.Log.ErrorContext(r.Context(), "the admin's request failed", "error", err)
			http.Error(w, "That did not work; the log says why.", http.StatusInternalServerError)
			return
		}
		writeJSON(w, http.StatusOK, answer)
	}
}

func (s *Server) sessions(r *http.Request) (any, error) { return s.options.Sessions(r.Context()) }

var errBadRequest = errors.New("the request names no session")

// revoke ends the session that the body names.
func (s *Server) revoke(r *http.Request) (any, error) {
	var body struct {
		ID string `json:"id"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody)).Decode(&body); err != nil || body.ID == "" {
		return nil, errBadRequest
	}
	return body, s.options.Revoke(r.Context(), body.ID)
}

const maxBody = 4 << 10

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may have gone
}

// orders is what the API keeps: a few orders of each user.
type orders struct {
	mu     sync.Mutex
	byUser map[string][]order
}

type order struct {
	Number int    `json:"number"`
	Item   string `json:"item"`
}

// maxOrders is how many orders of a user are kept.
const maxOrders = 5

// ordersAnswer tells a device its orders, and which session it is.
type ordersAnswer struct {
	Session string  `json:"session"`
	Orders  []order `json:"orders"`
}

func (o *orders) list(w http.ResponseWriter, r *http.Request) {
	token, _ := verify.FromContext(r.Context())
	o.mu.Lock()
	defer o.mu.Unlock()
	writeJSON(w, http.StatusOK, ordersAnswer{Session: token.SessionID, Orders: append([]order{}, o.byUser[token.Subject]...)})
}

func (o *orders) add(w http.ResponseWriter, r *http.Request) {
	token, _ := verify.FromContext(r.Context())
	var body struct {
		Item string `json:"item"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&body); err != nil || body.Item == "" || len(body.Item) > 40 {
		http.Error(w, "An order is {\"item\": …}.", http.StatusBadRequest)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byUser == nil {
		o.byUser = map[string][]order{}
	}
	list, number := o.byUser[token.Subject], 1
	if len(list) > 0 {
		number = list[0].Number + 1
	}
	list = slices.Insert(list, 0, order{Number: number, Item: body.Item})
	o.byUser[token.Subject] = list[:min(len(list), maxOrders)]
	writeJSON(w, http.StatusCreated, ordersAnswer{Session: token.SessionID, Orders: o.byUser[token.Subject]})
}
