package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"chancery/authz"
	"chancery/authz/authztest"
	"chancery/authz/password"
	"chancery/authz/verify"
	"chancery/keys"
	"chancery/keys/keystest"
	"chancery/web"
	"chancery/web/status"
)

// issuer is deliberately not the address that the tests talk to.
const issuer = "https://as.example"

// What every server of these tests knows.
const (
	apiURI   = "https://api.example"   // RS256; scopes read, write, manage (role manager)
	otherURI = "https://other.example" // EdDSA, 5 minutes; scope other
	username = "alice"                 // roles: reader
	secretPW = "correct horse battery staple"
	// spaOrigin is where the pages of the client spa come from.
	spaOrigin = "https://spa.example"
)

// server is the real service over the store in memory, behind real endpoints.
type server struct {
	t        testing.TB
	handler  *web.Server
	store    *authztest.Memory
	clock    *testClock
	rotator  *keys.Rotator
	log      *syncBuffer
	users    *authz.Users
	clients  *authz.Clients
	service  *authz.Service
	accounts *authz.Accounts
	lists    *authz.StatusLists
	stream   *status.Stream
	// mails are those that were sent, in their order.
	mails []authz.Mail
	// secrets of the confidential clients by id.
	secrets map[string]authz.Secret
	admin   *authz.Administration
	// sessions are those of the console.
	sessions *consoleStore
	// published are the key sets of clients by their addresses, copied what of
	// them was fetched; fetches says of each fetch whether it was to be fresh.
	published, copied map[string]string
	fetches           []bool
	fetching          sync.Mutex
	// unreachable is set while nothing can be fetched.
	unreachable bool
	proofs      verify.Proofs
}

// testClock is a time that tests move by hand.
type testClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *testClock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }
func (c *testClock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// syncBuffer is a log that may be written from several goroutines.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}
func (b *syncBuffer) String() string { b.mu.Lock(); defer b.mu.Unlock(); return b.buf.String() }

// firstKeys are made once, since RSA keys are slow to make; each server gets a
// copy.
var (
	firstKeys   keys.Set
	firstKeysMu sync.Mutex
)

// options change a server before it is made.
type options struct {
	issuer         string
	passwordGrant  bool
	trustedProxies []string
	refresh        authz.RefreshPolicy
	// throttle is nil for a server that throttles nothing.
	throttle           *authz.ThrottlePolicy
	maxSessions        int
	registrationClosed bool
	stream             status.StreamLimits
	adminApart         bool
	// clientRegistration is "", "token" or "open".
	clientRegistration string
	// clientDocuments lets clients in that publish what they are.
	clientDocuments bool
	// log is where the log goes, the harness's buffer if it is nil; observer is
	// told of requests.
	log      io.Writer
	observer web.Observer
}

// newServer returns a server with these clients:
//
//	app    public, first-party: password, refresh; read write manage; api, other
//	app2   as app
//	web    confidential, first-party: password, refresh; origin https://app.example
//	spa    public, first-party, refresh token in a cookie; origin https://spa.example
//	robot  confidential: client_credentials; read write other; api, other
//	api    confidential: introspects tokens for api
//	basic  as robot, client_secret_basic alone;  post: client_secret_post alone
//	plain  public, not first-party: refresh only
func newServer(t testing.TB, edit ...func(*options)) *server {
	t.Helper()
	o := options{stream: status.DefaultStreamLimits(), issuer: issuer, passwordGrant: true, refresh: authz.RefreshPolicy{
		IdleTTL: 168 * time.Hour, AbsoluteTTL: 2160 * time.Hour, Leeway: 30 * time.Second, LostResponseWindow: 10 * time.Minute, LostResponseBudget: 3,
	}}
	for _, e := range edit {
		e(&o)
	}
	s := &server{t: t, store: authztest.NewMemory(), clock: &testClock{now: authztest.T0}, log: &syncBuffer{}, secrets: map[string]authz.Secret{}, published: map[string]string{}, copied: map[string]string{}, sessions: &consoleStore{rows: map[string]consoleSession{}}}
	hasher, err := password.New(password.Params{MemoryKiB: 64, Iterations: 1, Parallelism: 1}, password.Limits{})
	must(t, err)
	policy, err := password.NewPolicy(8, nil, nil)
	must(t, err)
	var throttle *authz.Throttle
	if o.throttle != nil {
		limiter := authztest.NewLimiter(s.clock.Now)
		throttle = &authz.Throttle{Policy: *o.throttle, Limiter: limiter, Failures: limiter}
	}
	var log io.Writer = s.log
	if o.log != nil {
		log = o.log
	}
	settings := authz.Settings{MaxSessions: o.maxSessions, Issuer: o.issuer, AccessTokenTTL: 15 * time.Minute, PasswordGrant: o.passwordGrant, Refresh: o.refresh}
	registry := authz.NewRegistry(o.issuer, s.store, nil)
	indexes := authz.NewIndexes(s.store, s.clock.Now)
	sessions := &authz.Sessions{Store: s.store, Now: s.clock.Now}
	s.users = &authz.Users{Store: s.store, Reader: s.store, Bans: s.store, Passwords: hasher, Policy: policy, Now: s.clock.Now, Actor: "test"}
	s.clients = &authz.Clients{Settings: settings, Store: s.store, Lookup: registry, Indexes: indexes, Sessions: sessions, Now: s.clock.Now}
	refreshes, err := authz.NewRefreshTokens([]authz.MACKey{{ID: 7, Secret: [32]byte{1}}})
	must(t, err)
	s.newRotator()
	s.service = &authz.Service{
		Settings: settings, Now: s.clock.Now, Registry: registry, Logins: s.store, Codes: s.store, Devices: s.store, Families: s.store, Sessions: sessions, Denylist: s.store,
		Indexes: indexes, Events: s.store, Refreshes: refreshes, Passwords: hasher, Signer: s.rotator.Ring, Throttle: throttle,
	}
	if o.clientDocuments {
		s.service.Documents = &authz.ClientDocuments{Source: s, Clients: s.clients, Throttle: throttle, Resources: []string{apiURI}}
	}
	s.service.Used, s.service.ClientKeys, s.service.Proofs = s.store, s, s
	s.register()
	registry.Invalidate()
	s.accounts = &authz.Accounts{
		Service: s.service, Policy: policy, Users: s.store, Confirmations: s.store, Mailer: s, Registration: !o.registrationClosed,
	}
	s.lists = authz.NewStatusLists(authz.StatusSettings{Issuer: o.issuer, TTL: 30 * time.Second, Exp: 15 * time.Minute}, s.store, s.rotator.Ring, s.clock.Now)
	s.stream = status.NewStream(o.stream, s.clock.Now)
	s.lists.OnChange = s.stream.Announce
	s.admin = &authz.Administration{
		Admins: &authz.Admins{Service: s.service, Users: s.store}, Users: s.users, Clients: s.clients,
		Resources: &authz.Resources{Issuer: o.issuer, Store: s.store, Lookup: registry, Now: s.clock.Now}, Sessions: sessions,
		Events: &authz.Events{Store: s.store}, Activity: &authz.Activity{Store: s.store, Now: s.clock.Now, Holder: "test"}, Keys: &authztest.SigningKeys{}, Now: s.clock.Now,
	}
	s.service.Observer = s.admin.Activity
	var registrations *authz.ClientRegistrations
	if o.clientRegistration != "" {
		registrations = &authz.ClientRegistrations{Service: s.service, Clients: s.clients, Open: o.clientRegistration == "open", Resources: []string{apiURI}}
	}
	s.handler, err = web.New(web.Options{
		ClientRegistrations: registrations, ClientDocuments: o.clientDocuments,
		Authorizations:  &authz.Authorizations{Service: s.service, Store: s.store, Consents: s.store, Devices: s.store},
		Browsers:        &authz.Browsers{Service: s.service, Store: s.store, Policy: authz.BrowserPolicy{IdleTTL: 12 * time.Hour, AbsoluteTTL: 168 * time.Hour}},
		ConsoleSessions: s.sessions, Administration: s.admin, AdminApart: o.adminApart,
		StatusLists: s.lists, StatusStream: s.stream, StatusTTL: s.lists.TTL,
		Accounts: s.accounts, Issuer: o.issuer, Service: s.service, Registry: registry, Keys: s.rotator.Ring, JWKSMaxAge: 10 * time.Minute, PasswordGrant: o.passwordGrant, AssertionAlgorithms: keys.ForeignAlgorithms(), ProofAlgorithms: verify.Algorithms(),
		TrustedProxies: o.trustedProxies, Version: web.Version{Version: "test"}, Log: slog.New(slog.NewJSONHandler(log, nil)), Observer: o.observer, Now: s.clock.Now,
		Ready: []web.Check{{Name: "database", Run: func(ctx context.Context) error { _, err := s.store.Registrations(ctx); return err }}},
	})
	must(t, err)
	must(t, s.handler.Documents.Rebuild(t.Context()))
	return s
}

// Verify implements authz.ClientKeys.
func (s *server) Verify(jwks []byte, token string) (string, []byte, error) {
	return keys.VerifyForeign(jwks, token)
}

// Prove implements authz.ProofVerifier.
func (s *server) Prove(text, method, uri, accessToken string) (string, error) {
	proof, err := verify.ParseProof(text)
	if err == nil && (!proof.Fits(method, uri, s.clock.Now(), 0) || (accessToken != "" && !proof.IsFor(accessToken)) || !s.proofs.Use(proof, s.clock.Now(), 0)) {
		err = verify.ErrInvalidProof
	}
	return proof.KeyThumbprint, err
}

// Fetch implements authz.ClientKeys.
func (s *server) Fetch(_ context.Context, uri string, fresh bool) ([]byte, error) {
	s.fetching.Lock()
	defer s.fetching.Unlock()
	s.fetches = append(s.fetches, fresh)
	if jwks, ok := s.published[uri]; ok && (fresh || s.copied[uri] == "") {
		s.copied[uri] = jwks
	}
	if s.unreachable {
		return nil, fmt.Errorf("%w: no answer", authz.ErrUnavailable)
	}
	if s.copied[uri] == "" {
		return nil, errors.New("no document")
	}
	return []byte(s.copied[uri]), nil
}

// Kept implements authz.DocumentSource.
func (s *server) Kept(uri string) bool {
	s.fetching.Lock()
	defer s.fetching.Unlock()
	return s.copied[uri] != ""
}

// Send implements authz.Mailer.
func (s *server) Send(mail authz.Mail) { s.mails = append(s.mails, mail) }

func (s *server) newRotator() {
	master, err := keys.ParseMasterKeys(strings.Repeat("A", 43))
	must(s.t, err)
	sealer, err := keys.NewSealer(master)
	must(s.t, err)
	firstKeysMu.Lock()
	defer firstKeysMu.Unlock()
	store := &keystest.Memory{}
	if firstKeys.Version > 0 {
		must(s.t, store.SaveKeys(s.t.Context(), firstKeys, 0, nil))
	}
	s.rotator = &keys.Rotator{
		Store: store, Sealer: sealer, Ring: keys.NewRing(s.clock.Now, 24*time.Hour), Now: s.clock.Now,
		Policy: func(context.Context) (keys.Policy, error) {
			return keys.Policy{RotationPeriod: 720 * time.Hour, PublishAhead: 24 * time.Hour, Margin: 11 * time.Minute, MaxTokenTTL: 15 * time.Minute}, nil
		},
	}
	must(s.t, s.rotator.Tick(s.t.Context()))
	if firstKeys.Version == 0 {
		firstKeys, err = store.LoadKeys(s.t.Context())
		must(s.t, err)
	}
}

func (s *server) register() {
	ctx := s.t.Context()
	for _, resource := range []authz.Resource{
		{URI: apiURI, Algorithm: "RS256", Scopes: []authz.ResourceScope{{Name: "read"}, {Name: "write"}, {Name: "manage", Roles: []string{"manager"}}}},
		{URI: otherURI, Algorithm: "EdDSA", AccessTokenTTL: 5 * time.Minute, Scopes: []authz.ResourceScope{{Name: "other"}}},
	} {
		must(s.t, s.store.InsertResource(ctx, resource, authztest.AnyEvent()))
	}
	login := []string{authz.GrantPassword, authz.GrantRefreshToken}
	machine := []string{authz.GrantClientCredentials}
	userScope, robotScope := authz.Scope{"read", "write", "manage", "other"}, authz.Scope{"read", "write", "other"}
	both := []string{apiURI, otherURI}
	for _, client := range []authz.Client{
		{ID: "app", AuthMethod: authz.AuthNone, FirstParty: true, GrantTypes: login, Scope: userScope, Resources: both},
		{ID: "app2", AuthMethod: authz.AuthNone, FirstParty: true, GrantTypes: login, Scope: userScope, Resources: both},
		{ID: "web", AuthMethod: authz.AuthAnySecret, FirstParty: true, GrantTypes: login, Scope: userScope, Resources: both, AllowedOrigins: []string{"https://app.example"}},
		{
			ID: "spa", AuthMethod: authz.AuthNone, FirstParty: true, GrantTypes: login, Scope: userScope, Resources: both,
			AllowedOrigins: []string{spaOrigin}, CookieDelivery: true,
		},
		{ID: "robot", AuthMethod: authz.AuthAnySecret, GrantTypes: machine, Scope: robotScope, Resources: both},
		{ID: "api", AuthMethod: authz.AuthAnySecret, Introspect: true, Resources: []string{apiURI}},
		{ID: "basic", AuthMethod: authz.AuthBasic, GrantTypes: machine, Scope: robotScope, Resources: both},
		{ID: "post", AuthMethod: authz.AuthPost, GrantTypes: machine, Scope: robotScope, Resources: both},
		{ID: "plain", AuthMethod: authz.AuthNone, GrantTypes: []string{authz.GrantRefreshToken}, Scope: authz.Scope{"read"}, Resources: both},
	} {
		_, secret, err := s.clients.Create(ctx, client)
		must(s.t, err)
		s.secrets[client.ID] = secret
	}
	_, err := s.users.Create(ctx, authz.NewUser{Username: username, Password: secretPW, Roles: []string{"reader"}})
	must(s.t, err)
}

// updateClient changes a registration, as an admin on another node would.
func (s *server) updateClient(id string, edit func(*authz.Client)) {
	s.t.Helper()
	_, err := s.clients.Update(s.t.Context(), id, func(client *authz.Client) error {
		edit(client)
		return nil
	})
	must(s.t, err)
	s.service.Registry.Invalidate()
}

// answer is a response with its body read and, where it is JSON, decoded.
type answer struct {
	*http.Response
	body string
	json map[string]any
}

// do sends the request to the handler.
func (s *server) do(r *http.Request) answer {
	s.t.Helper()
	recorder := httptest.NewRecorder()
	s.handler.ServeHTTP(recorder, r)
	response := recorder.Result()
	body, err := io.ReadAll(response.Body)
	must(s.t, err)
	a := answer{Response: response, body: string(body)}
	if strings.Contains(response.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(body, &a.json); err != nil {
			s.t.Fatalf("body %q is not JSON: %v", body, err)
		}
	}
	return a
}

// get sends a GET request.
func (s *server) get(path string) answer {
	s.t.Helper()
	return s.do(httptest.NewRequestWithContext(s.t.Context(), http.MethodGet, path, nil))
}

// form returns a POST request with the parameters as name, value pairs. An
// edit may change it.
func (s *server) form(path string, pairs ...string) *http.Request {
	s.t.Helper()
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	r := httptest.NewRequestWithContext(s.t.Context(), http.MethodPost, path, strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// post sends a form.
func (s *server) post(path string, pairs ...string) answer {
	s.t.Helper()
	return s.do(s.form(path, pairs...))
}

// as sends a form to path with the client's credentials: Basic for a
// confidential client, client_id for a public one.
func (s *server) as(clientID, path string, pairs ...string) answer {
	s.t.Helper()
	if secret := s.secrets[clientID]; secret != "" {
		r := s.form(path, pairs...)
		r.SetBasicAuth(url.QueryEscape(clientID), url.QueryEscape(secret.Reveal()))
		return s.do(r)
	}
	return s.post(path, append([]string{"client_id", clientID}, pairs...)...)
}

// login logs alice in through the client and returns the answer.
func (s *server) login(clientID string, pairs ...string) answer {
	s.t.Helper()
	a := s.as(clientID, "/oauth/token", append([]string{"grant_type", "password", "username", username, "password", secretPW}, pairs...)...)
	if a.StatusCode != http.StatusOK {
		s.t.Fatalf("login: %d %s", a.StatusCode, a.body)
	}
	return a
}

// refresh sends a refresh token.
func (s *server) refresh(clientID, token string, pairs ...string) answer {
	s.t.Helper()
	return s.as(clientID, "/oauth/token", append([]string{"grant_type", "refresh_token", "refresh_token", token}, pairs...)...)
}

// str returns a member of the JSON body as a string.
func (a answer) str(name string) string { value, _ := a.json[name].(string); return value }

// claims returns the verified claims of an access token.
func (s *server) claims(token string) map[string]any {
	s.t.Helper()
	payload, err := s.rotator.Ring.Verify(token, "at+jwt")
	must(s.t, err)
	var claims map[string]any
	must(s.t, json.Unmarshal(payload, &claims))
	return claims
}

// expect fails the test unless the answer has the status and, if not empty,
// the error code.
func (s *server) expect(a answer, status int, code string) {
	s.t.Helper()
	if a.StatusCode != status || (code != "" && a.str("error") != code) {
		s.t.Errorf("answer = %d %s, want %d with error %q", a.StatusCode, a.body, status, code)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
