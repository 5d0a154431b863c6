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
	"chancery/cmd/chancery/internal/site"
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
	demoSite  = "print-shop"
	// demoSiteName is that of another company's site.
	demoSiteName = "Print shop"
	// demoTokenTTL is short, so that a refresh can be watched.
	demoTokenTTL = time.Minute
)

func (c *command) demoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "demo", Short: "Show what the server does, in a browser: two devices, an API, a site and a revocation", Args: cobra.NoArgs,
		Long: "Run a server in a temporary directory, an orders API that verifies tokens offline, a page that plays two devices and an admin, " +
			"and another company's site that logs the user in with the code flow. " +
			"All listen on free ports of the loopback interface, take no configuration, and leave nothing behind.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.withoutConfig("demo"); err != nil {
				return err
			}
			return c.demo(cmd.Context())
		},
	}
	cmd.AddCommand(c.demoSiteCommand())
	return cmd
}

// demoParts is where the demo's parts are, and what lets them in.
type demoParts struct {
	issuer, page, site string
	password           authz.Secret
	siteSecret         authz.Secret
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

	shopAt, siteURL, err := listenLoopback(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = shopAt.Close() }()
	parts := demoParts{
		issuer: issuerURL, page: pageURL, site: siteURL, password: authz.Secret(strings.ToLower(rand.Text())), siteSecret: authz.NewClientSecret(),
	}

	config := configs.Default()
	config.DataDir, config.Listen, config.Issuer, config.Log.Level = dir, issuer.Addr().String(), issuerURL, "warn"
	a, err := c.openWith(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.db.Close()) }()
	if err := a.prepareDemo(ctx, parts); err != nil {
		return err
	}
	shown, shop, err := a.demoServers(parts)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(c.stdout, "The demo is at %s/\n\n  sign in as   %s\n  password     %s  (the page has filled it in)\n  the server   %s\n  the site     %s\n\nCtrl-C ends it and deletes everything.\n\n",
		pageURL, demoUser, parts.password.Reveal(), issuerURL, siteURL)

	loops, ctx := errgroup.WithContext(ctx)
	loops.Go(func() error { return c.serve(ctx, a, issuer) })
	loops.Go(func() error { return shown.Run(ctx) })
	loops.Go(func() error { return servePage(ctx, page, shown) })
	loops.Go(func() error { return servePage(ctx, shopAt, shop) })
	return loops.Wait()
}

// demoServers returns what serves the page and the site.
func (a *app) demoServers(parts demoParts) (*demo.Server, *site.Site, error) {
	shown, err := demo.New(demo.Options{
		Issuer: parts.issuer, ClientID: demoApp, Origin: parts.page, Username: demoUser, Password: parts.password.Reveal(), Read: demoRead, Write: demoWrite,
		Site: parts.site, Sessions: a.demoSessions, Revoke: a.demoRevoke, Log: a.log,
	})
	if err != nil {
		return nil, nil, err
	}
	shop, err := site.New(site.Options{
		Name: demoSiteName, Base: parts.site, Issuer: parts.issuer, ClientID: demoSite, Secret: parts.siteSecret.Reveal(),
		Scopes: []string{authz.ScopeOpenID, authz.ScopeProfile, demoRead}, Resource: parts.page, API: parts.page + "/api/orders", Log: a.log,
	})
	return shown, shop, err
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
func (a *app) prepareDemo(ctx context.Context, parts demoParts) error {
	if err := a.prepare(ctx); err != nil {
		return err
	}
	_, err := a.applier().Apply(ctx, authz.Declaration{
		Resources: []authz.Resource{{
			URI: parts.page, Name: "Orders", Algorithm: "EdDSA", AccessTokenTTL: demoTokenTTL,
			Scopes: []authz.ResourceScope{{Name: demoRead}, {Name: demoWrite}},
		}},
		Clients: []authz.Client{
			{
				ID: demoApp, Name: "Orders app", AuthMethod: authz.AuthNone, FirstParty: true, GrantTypes: []string{authz.GrantPassword, authz.GrantRefreshToken},
				Scope: authz.Scope{demoRead, demoWrite}, Resources: []string{parts.page}, AllowedOrigins: []string{parts.page},
			},
			{
				ID: demoSite, Name: demoSiteName, AuthMethod: authz.AuthAnySecret, GrantTypes: []string{authz.GrantAuthorizationCode, authz.GrantRefreshToken},
				Secrets: []authz.ClientSecret{{Hash: authz.HashSecret(parts.siteSecret), CreatedAt: a.clock.Now().Truncate(time.Millisecond)}},
				Scope:   authz.Scope{authz.ScopeOpenID, authz.ScopeProfile, demoRead}, Resources: []string{parts.page},
				RedirectURIs: []string{parts.site + "/callback"}, PostLogoutRedirectURIs: []string{parts.site + "/"}, BackchannelLogoutURI: parts.site + "/logged-out",
			},
		},
		Users: []authz.NewUser{{Username: demoUser, Password: parts.password}},
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
		client := ""
		if f.ClientID == demoSite {
			client = demoSiteName
		}
		sessions[i] = demo.Session{Client: client, ID: f.SessionID, CreatedAt: f.CreatedAt, RefreshedAt: f.RotatedAt, Refreshes: f.Generation}
	}
	return sessions, err
}

// demoRevoke ends a session as an admin does.
func (a *app) demoRevoke(ctx context.Context, sessionID string) error {
	_, err := a.sessions.End(ctx, authz.Ending{SessionID: sessionID, Cause: authz.CauseAdmin, Actor: "demo"})
	return err
}
