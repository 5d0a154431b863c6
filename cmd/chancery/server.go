package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	"chancery/authz"
	"chancery/authz/verify"
	"chancery/cmd/chancery/internal/mail"
	"chancery/cmd/chancery/internal/outbound"
	"chancery/cmd/chancery/internal/telemetry"
	"chancery/keys"
	"chancery/storage"
	"chancery/storage/limits"
	"chancery/web"
	"chancery/web/status"
)

// server is a prepared app with all that serves its requests.
type server struct {
	*app
	events   *storage.EventWriter
	stream   *status.Stream
	activity *authz.Activity
	// mails is nil when nothing can be sent.
	mails *mail.Queue
	// outbound calls addresses that clients have chosen.
	outbound *outbound.Client
	// logouts tells clients of sessions that have ended.
	logouts *authz.Logouts
	web     *web.Server
	metrics *telemetry.Metrics
	close   func()
}

// newServer wires the services behind the endpoints. The caller closes it.
func (a *app) newServer(ctx context.Context) (*server, error) {
	s := &server{
		app: a, events: storage.NewEventWriter(a.db, a.log), stream: status.NewStream(status.DefaultStreamLimits(), a.clock.Now),
		activity: &authz.Activity{Store: a.db, Now: a.clock.Now, Holder: rand.Text()},
		metrics:  telemetry.New(buildVersion().Version, buildVersion().Go),
	}
	a.db.OnEvents = func(ctx context.Context, events []authz.Event) {
		s.metrics.Happened(events)
		a.logEvents(ctx, events)
	}
	a.db.Observer = s.metrics
	var err error
	if s.mails, err = a.mails(); err != nil {
		return nil, err
	}
	throttle, closeThrottle, err := a.throttle(ctx)
	if err != nil {
		return nil, err
	}
	s.close = closeThrottle
	if err := errors.Join(s.mount(ctx, throttle), s.measure()); err != nil {
		closeThrottle()
		return nil, err
	}
	return s, nil
}

// measure says where the figures come from that are looked at.
func (s *server) measure() error {
	pools, err := s.db.Pools()
	if err != nil {
		return err
	}
	checks := map[string]func(context.Context) error{}
	for _, check := range s.readyChecks() {
		checks[check.Name] = check.Run
	}
	s.metrics.Watch(telemetry.Sources{
		Hashes: func() (int, int, int64) {
			load := s.hasher.Load()
			return load.Running, load.Waiting, load.Refused
		},
		Keys: s.keyFigures, Listeners: s.stream.Listeners, EventsDropped: s.events.Dropped, Pools: pools, Checks: checks,
	})
	return nil
}

// keyFigures returns what figures say of the keys.
func (s *server) keyFigures() []telemetry.Key {
	var figures []telemetry.Key
	now := s.clock.Now()
	for _, k := range s.rotator.Ring.Published() {
		figures = append(figures, telemetry.Key{
			Algorithm: string(k.Algorithm), State: string(k.State(now)), Age: now.Sub(k.ActivateAt), NextIn: k.ActivateAt.Sub(now),
		})
	}
	return figures
}

// observers tells several observers.
type observers []authz.Observer

// TokenAnswered implements authz.Observer.
func (o observers) TokenAnswered(grantType, outcome string, cause authz.Cause) {
	for _, observer := range o {
		observer.TokenAnswered(grantType, outcome, cause)
	}
}

// mount makes the handlers, and connects them with what they must hear of.
func (s *server) mount(ctx context.Context, throttle *authz.Throttle) error {
	s.outbound = outbound.New(s.config.OutboundNetworks())
	service, err := s.service(throttle)
	if err != nil {
		return err
	}
	s.logouts = &authz.Logouts{
		Issuer: s.config.Issuer, Store: s.db, Registry: s.registry, Signer: service.Signer, Poster: s.outbound, Now: s.clock.Now,
	}
	accounts := &authz.Accounts{Service: service, Policy: s.policy, Users: s.db, Confirmations: s.db, Registration: s.config.Registration.Enabled}
	if s.mails != nil {
		accounts.Mailer = s.mails
	}
	var metrics http.Handler
	if s.config.Metrics.Listen == "" {
		metrics = s.metrics.Handler()
	}
	var registrations *authz.ClientRegistrations
	if c := s.config.ClientRegistration; c.Mode != "off" {
		registrations = &authz.ClientRegistrations{Service: service, Clients: s.clients(), Open: c.Mode == "open", Resources: c.Resources}
	}
	s.web, err = web.New(web.Options{
		AdminApart: s.config.Admin.Listen != "", Metrics: metrics, Observer: s.metrics, Tracer: s.tracing.Provider(),
		ClientRegistrations: registrations, ClientDocuments: service.Documents != nil,
		Authorizations: &authz.Authorizations{Service: service, Store: s.db, Consents: s.db, Devices: s.db},
		Browsers: &authz.Browsers{
			Service: service, Store: s.db, Policy: authz.BrowserPolicy{IdleTTL: s.config.Browser.IdleTTL, AbsoluteTTL: s.config.Browser.AbsoluteTTL},
		},
		Issuer: s.config.Issuer, Service: service, Accounts: accounts, Registry: s.registry, Administration: s.administration(service, s.activity),
		ConsoleSessions: storage.ConsoleSessions{DB: s.db, Now: time.Now},
		Keys:            s.rotator.Ring, JWKSMaxAge: s.config.Keys.JWKSMaxAge,
		StatusLists: s.statuses, StatusStream: s.stream, StatusTTL: s.config.Status.TTL,
		PasswordGrant: s.config.PasswordGrant.Enabled, AssertionAlgorithms: keys.ForeignAlgorithms(), ProofAlgorithms: verify.Algorithms(), TrustedProxies: s.config.TrustedProxies,
		Ready: s.readyChecks(), Version: buildVersion(), Log: s.log, Now: s.clock.Now,
	})
	if err != nil {
		return err
	}
	if err := s.web.Documents.Rebuild(ctx); err != nil {
		return err
	}
	s.watcher.Registrations = func(ctx context.Context) error {
		s.registry.Invalidate()
		return s.web.Documents.Rebuild(ctx)
	}
	s.watcher.Keys = func(ctx context.Context) error {
		err := s.rotator.Load(ctx)
		s.statuses.KeysChanged() // also when it was another that loaded what has changed
		return err
	}
	return s.publishStatuses(ctx)
}

// service is what answers the token, revocation and introspection endpoints.
func (s *server) service(throttle *authz.Throttle) (*authz.Service, error) {
	refreshes, err := s.refreshTokens()
	if err != nil {
		return nil, err
	}
	published := documents{outbound.NewDocuments(s.outbound, s.clock.Now)}
	var described *authz.ClientDocuments
	if c := s.config.ClientRegistration; c.Documents {
		described = &authz.ClientDocuments{Source: published, Clients: s.clients(), Throttle: throttle, Resources: c.Resources}
	}
	return &authz.Service{
		Settings: s.settings, Now: s.clock.Now, Registry: s.registry, Logins: s.db, Codes: s.db, Devices: s.db, Families: s.db, Sessions: s.sessions, Denylist: s.db,
		Used: s.db, Proofs: &proofs{now: s.clock.Now}, ClientKeys: clientKeys{published}, Documents: described,
		Indexes: s.indexes, Events: s.events, Refreshes: refreshes, Passwords: s.hasher, Signer: s.metrics.Signer(s.rotator.Ring),
		Throttle: throttle, Observer: observers{s.activity, s.metrics},
	}, nil
}

// documents are what clients publish.
type documents struct{ *outbound.Documents }

// Fetch implements authz.DocumentSource.
func (d documents) Fetch(ctx context.Context, uri string, fresh bool) ([]byte, error) {
	body, err := d.Documents.Fetch(ctx, uri, fresh)
	if errors.Is(err, outbound.ErrUnreachable) {
		err = fmt.Errorf("%w: %w", authz.ErrUnavailable, err)
	}
	return body, err
}

// clientKeys checks what clients have signed.
type clientKeys struct{ documents }

// Verify implements authz.ClientKeys.
func (clientKeys) Verify(jwks []byte, token string) (string, []byte, error) {
	return keys.VerifyForeign(jwks, token)
}

// proofs checks DPoP proofs as a resource server does.
type proofs struct {
	used verify.Proofs
	now  func() time.Time
}

// proofLeeway is how far the clocks of clients may differ.
const proofLeeway = 30 * time.Second

// Prove implements authz.ProofVerifier.
func (p *proofs) Prove(text, method, uri, accessToken string) (string, error) {
	proof, err := verify.ParseProof(text)
	if err != nil {
		return "", err
	}
	now := p.now()
	if !proof.Fits(method, uri, now, proofLeeway) || (accessToken != "" && !proof.IsFor(accessToken)) || !p.used.Use(proof, now, proofLeeway) {
		return "", verify.ErrInvalidProof
	}
	return proof.KeyThumbprint, nil
}

// publishStatuses connects the status lists with what makes them change and
// with who wants to know.
func (s *server) publishStatuses(ctx context.Context) error {
	s.statuses.OnChange = s.stream.Announce
	s.statuses.OnError = func(err error) {
		s.metrics.PublishFailed()
		s.log.Error("status lists cannot be published; verifiers do not hear of revocations", "error", err)
	}
	s.statuses.OnPublished = s.metrics.Published
	s.db.OnStatusChange = s.statuses.Changed
	s.watcher.StatusLists, s.watcher.StatusDue = s.statuses.Load, s.statuses.ChangedElsewhere
	return s.statuses.Load(ctx)
}

// throttle counts attempts in Redis, if there is one, and else in memory. It
// is nil when nothing shall be throttled. The caller closes it.
func (a *app) throttle(ctx context.Context) (throttle *authz.Throttle, closeIt func(), err error) {
	c := a.config.Throttle
	if !c.Enabled {
		a.log.Warn("throttle.enabled is false: passwords can be guessed as fast as they are hashed")
		return nil, func() {}, nil
	}
	local := limits.NewLocal(a.clock.Now)
	throttle = &authz.Throttle{
		Policy:  authz.ThrottlePolicy{Pair: c.Pair, Account: c.Account, Address: c.Address, Client: c.Client},
		Limiter: local, Failures: local,
	}
	if a.config.RedisURL == "" {
		return throttle, local.Close, nil
	}
	shared, err := limits.NewRedis(a.config.RedisURL, a.config.Issuer, local, a.log, a.clock.Now)
	if err != nil {
		local.Close()
		return nil, nil, err
	}
	throttle.Limiter = shared
	shared.Remembers(ctx, "start") // tells at once when Redis does not answer
	return throttle, func() { local.Close(); _ = shared.Close() }, nil
}

// mails returns what sends mail: to the configured server or, in development
// alone, to the log. It is nil when there is no way.
func (a *app) mails() (*mail.Queue, error) {
	switch {
	case a.config.SMTP.URL != "":
		transport, err := mail.NewSMTP(a.config.SMTP.URL, a.config.Sender())
		if err != nil {
			return nil, err
		}
		return mail.NewQueue(transport, a.log), nil
	case a.config.Development():
		return mail.NewQueue(mail.Log{Log: a.log}, a.log), nil
	}
	a.log.Warn("smtp.url is not set: nobody can register, reset a password or change an address")
	return nil, nil
}

var (
	errDatabase = errors.New("the database does not answer")
	errNoKeys   = errors.New("signing keys cannot be loaded; the log says why")
	// errExpiredList: nobody could sign for as long as a list is valid.
	errExpiredList = errors.New("a status list has expired; the log says why it cannot be published")
)

func (a *app) readyChecks() []web.Check {
	return []web.Check{
		{Name: "database", Run: func(ctx context.Context) error {
			if a.db.Ping(ctx) != nil {
				return errDatabase
			}
			return nil
		}},
		{Name: "keys", Run: func(context.Context) error {
			if a.rotator.Ring.Ready() != nil || a.rotator.Ring.Problem() != nil {
				return errNoKeys
			}
			return nil
		}},
		{Name: "clock", Run: a.clock.Check},
		{Name: "status_lists", Run: func(context.Context) error {
			for _, list := range a.statuses.All() {
				if !a.clock.Now().Before(list.ExpiresAt) {
					return errExpiredList
				}
			}
			return nil
		}},
	}
}
