package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"

	"chancery/authz"
	"chancery/cmd/chancery/internal/site"
	"chancery/configs"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// demoSiteCommand runs the sample client against any authorization server.
func (c *command) demoSiteCommand() *cobra.Command {
	o := site.Options{Name: "Sample site"}
	var listen string
	var stdin bool
	cmd := &cobra.Command{
		Use: "site", Short: "Run a sample site that logs its users in with the code flow", Args: cobra.NoArgs,
		Long: "Run a web site that logs its users in with the authorization code flow, as a confidential client with PKCE. " +
			"Register the client with the redirect URI http://LISTEN/callback, the post-logout redirect URI http://LISTEN/ and the back-channel logout URI http://LISTEN/logged-out.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.withoutConfig("demo site"); err != nil {
				return err
			}
			secret, err := c.readSecret(stdin, "client secret", "client-secret-stdin")
			if err != nil {
				return err
			}
			if secret == "" {
				return usageError{errors.New("there is no client secret on standard input")}
			}
			if !slices.Contains(o.Scopes, authz.ScopeOpenID) {
				return usageError{errors.New("--scope: want openid among them, which says who has logged in")}
			}
			o.Secret = secret.Reveal()
			return c.demoSite(cmd.Context(), listen, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&listen, "listen", "localhost:8090", "listen on this `host:port`, of the loopback interface")
	flags.StringVar(&o.Issuer, "issuer", "http://localhost:8080", "log in at this `URL`")
	flags.StringVar(&o.ClientID, "client-id", "", "be this client")
	flags.BoolVar(&stdin, "client-secret-stdin", false, "read the client's secret from standard input")
	flags.StringArrayVar(&o.Scopes, "scope", []string{authz.ScopeOpenID, authz.ScopeProfile}, "ask for this scope; repeatable, openid among them")
	flags.StringVar(&o.Resource, "resource", "", "ask for access tokens for this API, by its `URI`")
	flags.StringVar(&o.API, "api", "", "show what this `URL` answers to the access token")
	cobra.CheckErr(cmd.MarkFlagRequired("client-id"))
	return cmd
}

// demoSite runs the site until ctx ends.
func (c *command) demoSite(ctx context.Context, listen string, o site.Options) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil || (host != "localhost" && !net.ParseIP(host).IsLoopback()) {
		return usageError{fmt.Errorf("--listen %q: want a port of the loopback interface, such as localhost:8090", listen)}
	}
	if issuer, err := url.Parse(o.Issuer); err != nil || issuer.Host == "" {
		return usageError{fmt.Errorf("--issuer %q: want a URL", o.Issuer)}
	}
	o.Base, o.Log = "http://"+listen, c.logger(configs.Config{Log: configs.Log{Level: "warn"}})
	shown, err := site.New(o)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("demo site: %w", err)
	}
	_, _ = fmt.Fprintf(c.stdout, "The site is at %s/\n\nCtrl-C ends it.\n\n", o.Base)
	loops, ctx := errgroup.WithContext(ctx)
	loops.Go(func() error { return servePage(ctx, listener, shown) })
	return loops.Wait()
}

// withoutConfig refuses the global flags for a command that reads no
// configuration.
func (c *command) withoutConfig(name string) error {
	if c.configFile != "" || len(c.set) > 0 {
		return usageError{errors.New(name + " takes no configuration")}
	}
	return nil
}
