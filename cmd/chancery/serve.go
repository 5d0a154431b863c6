package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"chancery/authz"
	"chancery/cmd/chancery/internal/mail"
	"chancery/storage"
	"chancery/storage/limits"
	"chancery/web"
	"chancery/web/status"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// Limits of the HTTP server.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
	shutdownTimeout   = 15 * time.Second
)

// Intervals of the loops.
const (
	keyInterval   = time.Minute
	clockInterval = time.Minute
	purgeInterval = 5 * time.Minute
)

func (c *command) serveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "serve", Short: "Run the server", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(a *app) error {
				if err := a.prepare(cmd.Context()); err != nil {
					return err
				}
				if err := c.firstStart(cmd.Context(), a); err != nil {
					return err
				}
				return c.serve(cmd.Context(), a, nil)
			})
		},
	}
}

// serve runs the prepared server until ctx ends: it stops accepting, lets
// requests end, and then stops the loops. Without a listener it makes the one
// that is configured, and says where it is.
func (c *command) serve(ctx context.Context, a *app, listener net.Listener) error {
	a.db.OnEvents = a.logEvents
	events := storage.NewEventWriter(a.db, a.log)
	throttle, closeThrottle, err := a.throttle(ctx)
	if err != nil {
		return err
	}
	defer closeThrottle()
	mails, err := a.mails()
	if err != nil {
		return err
	}
	stream := status.NewStream(status.DefaultStreamLimits())
	handler, err := a.handler(ctx, events, throttle, mails, stream)
	if err != nil {
		return err
	}
	if listener == nil {
		if listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", a.config.Listen); err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		_, _ = fmt.Fprintf(c.stdout, "Chancery listens on %s as %s\n", listener.Addr(), a.config.Issuer)
	}

	// The loops outlive the requests, which may still need them.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	loops, background := errgroup.WithContext(background)
	loops.Go(func() error { return events.Run(background) })
	loops.Go(func() error { return a.watcher.Run(background) })
	loops.Go(func() error { return a.statuses.Run(background) })
	if mails != nil {
		loops.Go(func() error { return mails.Run(background) })
	}
	loops.Go(func() error { return a.every(background, keyInterval, "key rotation", a.rotator.Tick) })
	loops.Go(func() error { return a.every(background, clockInterval, "clock sync", a.clock.Sync) })
	loops.Go(func() error { return a.every(background, purgeInterval, "purge", a.purge) })

	err = a.serveHTTP(ctx, listener, handler, stream)
	stop()
	return errors.Join(err, loops.Wait())
}

// prepare makes what a server needs before its first request.
func (a *app) prepare(ctx context.Context) error {
	if err := a.rotator.Tick(ctx); err != nil {
		return fmt.Errorf("signing keys: %w", err)
	}
	durable, err := a.db.Durable(ctx)
	if err != nil {
		return err
	}
	if !durable {
		a.log.Warn("synchronous_commit is off: a crash of Postgres can lose revocations and rotations that were acknowledged")
	}
	return nil
}

// handler wires the services behind the endpoints.
func (a *app) handler(ctx context.Context, events authz.EventSink, throttle *authz.Throttle, mails *mail.Queue, stream *status.Stream) (http.Handler, error) {
	refreshes, err := a.refreshTokens()
	if err != nil {
		return nil, err
	}
	service := &authz.Service{
		Settings: a.settings, Now: a.clock.Now, Registry: a.registry, Logins: a.db, Families: a.db, Sessions: a.sessions, Denylist: a.db,
		Indexes: a.indexes, Events: events, Refreshes: refreshes, Passwords: a.hasher, Signer: a.rotator.Ring,
		Throttle: throttle,
	}
	accounts := &authz.Accounts{Service: service, Policy: a.policy, Users: a.db, Confirmations: a.db, Registration: a.config.Registration.Enabled}
	if mails != nil {
		accounts.Mailer = mails
	}
	server, err := web.New(web.Options{
		Issuer: a.config.Issuer, Service: service, Accounts: accounts, Registry: a.registry, Keys: a.rotator.Ring, JWKSMaxAge: a.config.Keys.JWKSMaxAge,
		StatusLists: a.statuses, StatusStream: stream, StatusTTL: a.config.Status.TTL,
		PasswordGrant: a.config.PasswordGrant.Enabled, TrustedProxies: a.config.TrustedProxies,
		Ready: a.readyChecks(), Version: buildVersion(), Log: a.log, Now: a.clock.Now,
	})
	if err != nil {
		return nil, err
	}
	if err := server.Documents.Rebuild(ctx); err != nil {
		return nil, err
	}
	a.watcher.Registrations = func(ctx context.Context) error {
		a.registry.Invalidate()
		return server.Documents.Rebuild(ctx)
	}
	a.watcher.Keys = func(ctx context.Context) error {
		err := a.rotator.Load(ctx)
		a.statuses.KeysChanged() // also when it was another that loaded what has changed
		return err
	}
	return server, a.publishStatuses(ctx, stream)
}

// publishStatuses connects the status lists with what makes them change and
// with who wants to know.
func (a *app) publishStatuses(ctx context.Context, stream *status.Stream) error {
	a.statuses.OnChange = stream.Announce
	a.statuses.OnError = func(err error) {
		a.log.Error("status lists cannot be published; verifiers do not hear of revocations", "error", err)
	}
	a.db.OnStatusChange = a.statuses.Changed
	a.watcher.StatusLists, a.watcher.StatusDue = a.statuses.Load, a.statuses.ChangedElsewhere
	return a.statuses.Load(ctx)
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

// serveHTTP serves until ctx ends and every request that had begun is done.
func (a *app) serveHTTP(ctx context.Context, listener net.Listener, handler http.Handler, stream *status.Stream) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() {
		if a.config.TLS.CertFile != "" {
			served <- server.ServeTLS(listener, a.config.TLS.CertFile, a.config.TLS.KeyFile)
		} else {
			served <- server.Serve(listener)
		}
	}()
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	a.log.Info("shutting down")
	stream.Close()
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := server.Shutdown(bounded)
	if served := <-served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// purge deletes what is over, if this node holds the lease.
func (a *app) purge(ctx context.Context) error {
	n, err := a.purger.Tick(ctx)
	if n > 0 {
		a.log.Info("expired rows deleted", "rows", n)
	}
	return err
}
