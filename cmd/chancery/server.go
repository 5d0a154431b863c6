package main

import (
	"context"
	"crypto/rand"
	"errors"

	"chancery/authz"
	"chancery/cmd/chancery/internal/mail"
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
	web   *web.Server
	close func()
}

// newServer wires the services behind the endpoints. The caller closes it.
func (a *app) newServer(ctx context.Context) (*server, error) {
	s := &server{
		app: a, events: storage.NewEventWriter(a.db, a.log), stream: status.NewStream(status.DefaultStreamLimits()),
		activity: &authz.Activity{Store: a.db, Now: a.clock.Now, Holder: rand.Text()},
	}
	a.db.OnEvents = a.logEvents
	var err error
	if s.mails, err = a.mails(); err != nil {
		return nil, err
	}
	throttle, closeThrottle, err := a.throttle(ctx)
	if err != nil {
		return nil, err
	}
	s.close = closeThrottle
	if err := s.mount(ctx, throttle); err != nil {
		closeThrottle()
		return nil, err
	}
	return s, nil
}

// mount makes the handlers, and connects them with what they must hear of.
func (s *server) mount(ctx context.Context, throttle *authz.Throttle) error {
	service, err := s.service(throttle)
	if err != nil {
		return err
	}
	accounts := &authz.Accounts{Service: service, Policy: s.policy, Users: s.db, Confirmations: s.db, Registration: s.config.Registration.Enabled}
	if s.mails != nil {
		accounts.Mailer = s.mails
	}
	s.web, err = web.New(web.Options{
		Issuer: s.config.Issuer, Service: service, Accounts: accounts, Registry: s.registry, Administration: s.administration(service, s.activity),
		Keys: s.rotator.Ring, JWKSMaxAge: s.config.Keys.JWKSMaxAge,
		StatusLists: s.statuses, StatusStream: s.stream, StatusTTL: s.config.Status.TTL,
		PasswordGrant: s.config.PasswordGrant.Enabled, TrustedProxies: s.config.TrustedProxies,
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
	return &authz.Service{
		Settings: s.settings, Now: s.clock.Now, Registry: s.registry, Logins: s.db, Families: s.db, Sessions: s.sessions, Denylist: s.db,
		Indexes: s.indexes, Events: s.events, Refreshes: refreshes, Passwords: s.hasher, Signer: s.rotator.Ring,
		Throttle: throttle, Observer: s.activity,
	}, nil
}

// publishStatuses connects the status lists with what makes them change and
// with who wants to know.
func (s *server) publishStatuses(ctx context.Context) error {
	s.statuses.OnChange = s.stream.Announce
	s.statuses.OnError = func(err error) {
		s.log.Error("status lists cannot be published; verifiers do not hear of revocations", "error", err)
	}
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
	}
}
