package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"chancery/authz"
	"chancery/cmd/chancery/internal/demo"
	"chancery/configs"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// What the demo's database holds.
const (
	demoUser  = "ada"
	demoApp   = "orders-app"
	demoRead  = "orders:read"
	demoWrite = "orders:write"
	// demoTokenTTL is short, so that a refresh can be watched.
	demoTokenTTL = time.Minute
)

func (c *command) demoCommand() *cobra.Command {
	return &cobra.Command{
		Use: "demo", Short: "Show what the server does, in a browser: two devices, an API and a revocation", Args: cobra.NoArgs,
		Long: "Run a server in a temporary directory, an orders API that verifies tokens offline, and a page that plays two devices and an admin. " +
			"Both listen on free ports of the loopback interface, take no configuration, and leave nothing behind.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.configFile != "" || len(c.set) > 0 {
				return usageError{errors.New("demo takes no configuration")}
			}
			return c.demo(cmd.Context())
		},
	}
}

// demo runs the demonstration until ctx ends.
func (c *command) demo(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "chancery-demo-")
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	issuer, issuerURL, err := listenLoopback(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = issuer.Close() }()
	page, pageURL, err := listenLoopback(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = page.Close() }()

	config := configs.Default()
	config.DataDir, config.Listen, config.Issuer, config.Log.Level = dir, issuer.Addr().String(), issuerURL, "warn"
	a, err := c.openWith(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.db.Close()) }()
	password := strings.ToLower(rand.Text())
	if err := a.prepareDemo(ctx, pageURL, password); err != nil {
		return err
	}
	shown, err := demo.New(demo.Options{
		Issuer: issuerURL, ClientID: demoApp, Origin: pageURL, Username: demoUser, Password: password, Read: demoRead, Write: demoWrite,
		Sessions: a.demoSessions, Revoke: a.demoRevoke, Log: a.log,
	})
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(c.stdout, "The demo is at %s/\n\n  sign in as   %s\n  password     %s  (the page has filled it in)\n  the server   %s\n\nCtrl-C ends it and deletes everything.\n\n",
		pageURL, demoUser, password, issuerURL)

	loops, ctx := errgroup.WithContext(ctx)
	loops.Go(func() error { return c.serve(ctx, a, issuer) })
	loops.Go(func() error { return shown.Run(ctx) })
	loops.Go(func() error { return servePage(ctx, page, shown) })
	return loops.Wait()
}

// listenLoopback listens on a free port and returns the URL that goes with it.
func listenLoopback(ctx context.Context) (net.Listener, string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", fmt.Errorf("demo: %w", err)
	}
	// Not by the name "localhost": somebody else may listen on its other address.
	return listener, "http://" + listener.Addr().String(), nil
}

// servePage serves the page and the API until ctx ends.
func servePage(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("demo: %w", err)
	case <-ctx.Done():
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := server.Shutdown(bounded)
	<-served
	return err
}

// prepareDemo fills the empty database.
func (a *app) prepareDemo(ctx context.Context, origin, password string) error {
	if err := a.prepare(ctx); err != nil {
		return err
	}
	_, err := a.applier().Apply(ctx, authz.Declaration{
		Resources: []authz.Resource{{
			URI: origin, Name: "Orders", Algorithm: "EdDSA", AccessTokenTTL: demoTokenTTL,
			Scopes: []authz.ResourceScope{{Name: demoRead}, {Name: demoWrite}},
		}},
		Clients: []authz.Client{{
			ID: demoApp, Name: "Orders app", AuthMethod: authz.AuthNone, FirstParty: true, GrantTypes: []string{authz.GrantPassword, authz.GrantRefreshToken},
			Scope: authz.Scope{demoRead, demoWrite}, Resources: []string{origin}, AllowedOrigins: []string{origin},
		}},
		Users: []authz.NewUser{{Username: demoUser, Password: authz.Secret(password)}},
	}, false)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	a.registry.Invalidate()
	return nil
}

// demoSessions returns the sessions that live.
func (a *app) demoSessions(ctx context.Context) ([]demo.Session, error) {
	families, err := a.sessions.List(ctx, authz.SessionFilter{Live: true, Page: authz.Page{Limit: 20}})
	sessions := make([]demo.Session, len(families))
	for i, f := range families {
		sessions[i] = demo.Session{ID: f.SessionID, CreatedAt: f.CreatedAt, RefreshedAt: f.RotatedAt, Refreshes: f.Generation}
	}
	return sessions, err
}

// demoRevoke ends a session as an admin does.
func (a *app) demoRevoke(ctx context.Context, sessionID string) error {
	_, err := a.sessions.End(ctx, authz.Ending{SessionID: sessionID, Cause: authz.CauseAdmin, Actor: "demo"})
	return err
}
