package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"chancery/authz"
	"chancery/web/admin"

	"github.com/spf13/cobra"
)

func (c *command) clientsCommand() *cobra.Command {
	return group("clients", "Register and change clients",
		c.clientsCreate(), c.clientsList(), c.clientsShow(), c.clientsUpdate(), c.clientsRotateSecret(), c.clientsDelete())
}

// clientView is a client as the command line prints it.
type clientView struct{ admin.Client }

func viewClient(client authz.Client, secret authz.Secret) clientView {
	return clientView{admin.NewClient(client, secret)}
}

func (v clientView) draw(out *table) {
	out.row("client_id", v.ID)
	if v.Secret != "" {
		out.row("client_secret", v.Secret, "(shown once)")
	}
	out.row("name", dash(v.Name))
	out.row("type", v.Type, "("+v.AuthMethod+")")
	out.row("first party", yes(v.FirstParty))
	out.row("introspect", yes(v.Introspect))
	out.row("grants", list(v.GrantTypes))
	out.row("scope", dash(v.Scope))
	out.row("resources", list(v.Resources))
	if v.JWKS != nil {
		out.row("keys", fmt.Sprint(len(v.JWKS.Keys)))
	}
	out.row("redirect uris", list(v.RedirectURIs))
	if len(v.PostLogoutRedirectURIs) > 0 {
		out.row("after a logout", list(v.PostLogoutRedirectURIs))
	}
	out.row("origins", list(v.AllowedOrigins))
	out.row("refresh tokens in", v.Delivery)
	for _, setting := range [][2]string{{"keys at", v.JWKSURI}, {"told of ended sessions", v.BackchannelLogoutURI}, {"e-mail verification page", v.EmailVerificationURI}, {"password reset page", v.PasswordResetURI}, {"idle ttl", v.IdleTTL}, {"absolute ttl", v.AbsoluteTTL}, {"leeway", v.Leeway}, {"lost-response window", v.LostResponseWindow}} {
		if setting[1] != "" {
			out.row(setting[0], setting[1])
		}
	}
	if v.LostResponseBudget != nil {
		out.row("lost-response budget", fmt.Sprint(*v.LostResponseBudget))
	}
	for _, secret := range v.Secrets {
		out.row("secret of", timestamp(secret.CreatedAt), "expires "+timestamp(secret.ExpiresAt))
	}
	for _, setting := range []struct {
		name, value string
		shown       bool
	}{
		{"origin", v.Origin, v.Origin != ""},
		{"keys at", v.JWKSURI, v.JWKSURI != ""},
		{"told of ended sessions", v.BackchannelLogoutURI, v.BackchannelLogoutURI != ""},
		{"ID tokens", v.IDTokenAlgorithm, len(v.RedirectURIs) > 0},
		{"PKCE", "not required", v.PKCEOptional},
		{"DPoP", "required", v.DPoPBound},
	} {
		if setting.shown {
			out.row(setting.name, setting.value)
		}
	}
	out.row("disabled", timestamp(v.DisabledAt))
	out.row("created", timestamp(v.CreatedAt))
}

// clientFlags are the flags of clients create and update.
type clientFlags struct {
	id, name, kind, method             string
	firstParty, introspect, disabled   bool
	grants, scopes, resources, origins []string
	delivery, verifyPage, resetPage    string
	redirects, afterLogout             []string
	logoutURI, idTokenAlg              string
	jwksFile, jwksURI                  string
	pkceOptional, dpopBound            bool
	// jwks is what the file holds.
	jwks                               string
	idle, absolute, leeway, lostWindow time.Duration
	lostBudget                         int
}

func (f *clientFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.name, "name", "", "name for people")
	flags.StringVar(&f.method, "auth-method", "", "client_secret_basic, client_secret_post (default: either) or private_key_jwt")
	flags.StringVar(&f.jwksFile, "jwks-file", "", "`file` with the public keys (RFC 7517) of a client with private_key_jwt")
	flags.StringVar(&f.jwksURI, "jwks-uri", "", "`URI` where these keys are")
	flags.BoolVar(&f.firstParty, "first-party", false, "ours: may use the password grant and the account API")
	flags.BoolVar(&f.introspect, "introspect", false, "may introspect tokens for its resources")
	flags.StringArrayVar(&f.grants, "grant", nil, "allowed `grant`: "+strings.Join(authz.GrantTypes(), ", ")+"; repeatable")
	flags.StringArrayVar(&f.redirects, "redirect-uri", nil, "`URI` that answers of a login with a browser may go to; repeatable")
	flags.StringArrayVar(&f.afterLogout, "post-logout-redirect-uri", nil, "`URI` that a browser may go to after a logout; repeatable")
	flags.StringVar(&f.logoutURI, "backchannel-logout-uri", "", "`URI` that is told of each session that ends")
	flags.StringVar(&f.idTokenAlg, "id-token-alg", "RS256", "what signs its ID tokens: RS256, EdDSA or ES256")
	flags.BoolVar(&f.dpopBound, "dpop-bound", false, "gets no tokens but those that are bound to a key of it")
	flags.BoolVar(&f.pkceOptional, "pkce-optional", false, "may begin a login without a code challenge; confidential clients only")
	flags.StringArrayVar(&f.scopes, "scope", nil, "allowed `scope`; repeatable")
	flags.StringArrayVar(&f.resources, "resource", nil, "`URI` of a resource it may ask for (with --introspect: whose tokens it may introspect), the default first; repeatable")
	flags.StringArrayVar(&f.origins, "allowed-origin", nil, "web `origin` whose scripts may call the token endpoint; repeatable")
	flags.StringVar(&f.delivery, "refresh-token-delivery", authz.DeliveryBody, "body, or cookie for apps in browsers")
	flags.StringVar(&f.verifyPage, "email-verification-uri", "", "`page` of the app that links in mails to verify an address lead to")
	flags.StringVar(&f.resetPage, "password-reset-uri", "", "`page` of the app that links in mails to reset a password lead to")
	flags.DurationVar(&f.idle, "idle-ttl", 0, "end its sessions when not refreshed for so long")
	flags.DurationVar(&f.absolute, "absolute-ttl", 0, "end its sessions so long after login")
	flags.DurationVar(&f.leeway, "leeway", 0, "repeat the answer to the same refresh token for so long")
	flags.DurationVar(&f.lostWindow, "lost-response-window", 0, "repeat a lost answer for so long")
	flags.IntVar(&f.lostBudget, "lost-response-budget", 0, "repeat lost answers of so many generations a day")
}

// apply sets on client what was given on the command line.
func (f *clientFlags) apply(cmd *cobra.Command, client *authz.Client) {
	given := cmd.Flags().Changed
	assign(given("name"), &client.Name, f.name)
	assign(given("auth-method"), &client.AuthMethod, authz.AuthMethod(f.method))
	assign(given("first-party"), &client.FirstParty, f.firstParty)
	assign(given("introspect"), &client.Introspect, f.introspect)
	assign(given("grant"), &client.GrantTypes, filled(f.grants))
	assign(given("scope"), &client.Scope, authz.Scope(filled(f.scopes)))
	assign(given("resource"), &client.Resources, filled(f.resources))
	assign(given("jwks-file"), &client.JWKS, f.jwks)
	assign(given("jwks-uri"), &client.JWKSURI, f.jwksURI)
	assign(given("redirect-uri"), &client.RedirectURIs, filled(f.redirects))
	assign(given("post-logout-redirect-uri"), &client.PostLogoutRedirectURIs, filled(f.afterLogout))
	assign(given("backchannel-logout-uri"), &client.BackchannelLogoutURI, f.logoutURI)
	assign(given("id-token-alg"), &client.IDTokenAlgorithm, f.idTokenAlg)
	assign(given("dpop-bound"), &client.DPoPBound, f.dpopBound)
	assign(given("pkce-optional"), &client.PKCEOptional, f.pkceOptional)
	assign(given("allowed-origin"), &client.AllowedOrigins, filled(f.origins))
	assign(given("refresh-token-delivery"), &client.CookieDelivery, f.delivery == authz.DeliveryCookie)
	assign(given("email-verification-uri"), &client.EmailVerificationURI, f.verifyPage)
	assign(given("password-reset-uri"), &client.PasswordResetURI, f.resetPage)
	assign(given("idle-ttl"), &client.Refresh.IdleTTL, &f.idle)
	assign(given("absolute-ttl"), &client.Refresh.AbsoluteTTL, &f.absolute)
	assign(given("leeway"), &client.Refresh.Leeway, &f.leeway)
	assign(given("lost-response-window"), &client.Refresh.LostResponseWindow, &f.lostWindow)
	assign(given("lost-response-budget"), &client.Refresh.LostResponseBudget, &f.lostBudget)
}

// check reports what is no word of a flag, and reads the file of another.
func (f *clientFlags) check() error {
	if f.jwksFile != "" {
		content, err := os.ReadFile(f.jwksFile)
		if err != nil {
			return fmt.Errorf("--jwks-file: %w", err)
		}
		f.jwks = strings.TrimSpace(string(content))
	}
	if f.delivery != authz.DeliveryBody && f.delivery != authz.DeliveryCookie {
		return usageError{fmt.Errorf("--refresh-token-delivery %q: want body or cookie", f.delivery)}
	}
	return nil
}

// filled leaves out empty words: --resource ” clears the list.
func filled(words []string) []string {
	return slices.DeleteFunc(words, func(word string) bool { return word == "" })
}

func assign[T any](given bool, target *T, value T) {
	if given {
		*target = value
	}
}

func (c *command) clientsCreate() *cobra.Command {
	var f clientFlags
	cmd := &cobra.Command{
		Use: "create", Short: "Register a client; a confidential one gets a secret, shown once", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client := authz.Client{ID: f.id}
			switch f.kind {
			case "public":
				client.AuthMethod = authz.AuthNone
			case "confidential":
				client.AuthMethod = authz.AuthAnySecret
			default:
				return usageError{fmt.Errorf("--type %q: want public or confidential", f.kind)}
			}
			if err := f.check(); err != nil {
				return err
			}
			f.apply(cmd, &client)
			if client.Public() != (f.kind == "public") {
				return usageError{fmt.Errorf("--auth-method %q: does not fit --type %s", f.method, f.kind)}
			}
			return c.with(cmd.Context(), func(a *app) error {
				created, secret, err := a.clients().Create(cmd.Context(), client)
				if err != nil {
					return err
				}
				view := viewClient(created, secret)
				return c.print(view, view.draw)
			})
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&f.id, "id", "", "client id (default: a random one)")
	cmd.Flags().StringVar(&f.kind, "type", "", "public or confidential")
	return cmd
}

// maxListed bounds what list commands print.
const maxListed = 10_000

func (c *command) clientsList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the clients, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(a *app) error {
				clients, err := a.clients().List(cmd.Context(), authz.Page{Limit: maxListed})
				if err != nil {
					return err
				}
				views := []clientView{}
				for _, client := range clients {
					views = append(views, viewClient(client, ""))
				}
				return c.print(views, func(out *table) {
					out.row("CLIENT ID", "NAME", "TYPE", "FIRST PARTY", "GRANTS", "DISABLED")
					for _, v := range views {
						out.row(v.ID, dash(v.Name), v.Type, yes(v.FirstParty), list(v.GrantTypes), timestamp(v.DisabledAt))
					}
				})
			})
		},
	}
}

func (c *command) clientsShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a client", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(a *app) error {
				client, err := a.clients().Find(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				view := viewClient(client, "")
				return c.print(view, view.draw)
			})
		},
	}
}

func (c *command) clientsUpdate() *cobra.Command {
	var f clientFlags
	cmd := &cobra.Command{
		Use: "update ID", Short: "Change what is given of a client; disabling ends its sessions", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return c.with(cmd.Context(), func(a *app) error {
				client, err := a.clients().Update(cmd.Context(), args[0], func(client *authz.Client) error {
					f.apply(cmd, client)
					if cmd.Flags().Changed("disabled") {
						client.Disable(f.disabled, a.clock.Now())
					}
					return nil
				})
				if err != nil {
					return err
				}
				view := viewClient(client, "")
				return c.print(view, view.draw)
			})
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&f.disabled, "disabled", false, "refuse the client (--disabled=false lets it in again)")
	return cmd
}

func (c *command) clientsRotateSecret() *cobra.Command {
	var overlap time.Duration
	cmd := &cobra.Command{
		Use: "rotate-secret ID", Short: "Give a client a new secret, shown once", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(a *app) error {
				client, secret, err := a.clients().RotateSecret(cmd.Context(), args[0], overlap)
				if err != nil {
					return err
				}
				view := viewClient(client, secret)
				return c.print(view, view.draw)
			})
		},
	}
	cmd.Flags().DurationVar(&overlap, "overlap", 24*time.Hour, "how long the old secret stays good")
	return cmd
}

func (c *command) clientsDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete ID", Short: "End a client's sessions and delete it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(a *app) error {
				if err := a.clients().Delete(cmd.Context(), args[0]); err != nil {
					return err
				}
				return c.done("deleted", args[0])
			})
		},
	}
}

// done prints that something has happened to a named thing.
func (c *command) done(what, name string) error {
	return c.print(map[string]string{what: name}, func(out *table) { out.text(what + " " + name) })
}
