package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"chancery/authz"

	"github.com/spf13/cobra"
)

// What the first start creates.
const (
	firstAdmin    = "admin"
	firstApp      = "first-party-app"
	firstAPI      = "example-api"
	firstResource = "https://api.example"
	firstRead     = "orders:read"
	firstWrite    = "orders:write"
)

// firstCredentialsFile is where the credentials go without a terminal.
const firstCredentialsFile = "first-credentials" //nolint:gosec // the name of a file

func (c *command) bootstrapCommand() *cobra.Command {
	return &cobra.Command{
		Use: "bootstrap", Short: "Create a first admin, app and resource in an empty database", Args: cobra.NoArgs,
		Long: "Create an admin user, a first-party app, a resource and its resource server in an empty database, " +
			"and print their credentials once. With SQLite the first start does this by itself.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(a *app) error {
				empty, err := a.empty(cmd.Context())
				if err != nil {
					return err
				}
				if !empty {
					return errors.New("the database has users or clients already")
				}
				first := newFirstCredentials()
				if err := a.bootstrap(cmd.Context(), first); err != nil {
					return err
				}
				return c.print(first, func(out *table) { out.text(first.guide(a.config.Issuer)) })
			})
		},
	}
}

// firstCredentials is what bootstrap created.
type firstCredentials struct {
	Username        string `json:"username"`
	Password        string `json:"password"`
	ClientID        string `json:"client_id"`
	Resource        string `json:"resource"`
	APIClientID     string `json:"api_client_id"`
	APIClientSecret string `json:"api_client_secret"`
}

// empty reports whether there is neither a user nor a client.
func (a *app) empty(ctx context.Context) (bool, error) {
	users, err := a.users().List(ctx, authz.UserFilter{Page: authz.Page{Limit: 1}})
	if err != nil || len(users) > 0 {
		return false, err
	}
	clients, err := a.clients().List(ctx, authz.Page{Limit: 1})
	return len(clients) == 0, err
}

// newFirstCredentials makes up the credentials that bootstrap stores.
func newFirstCredentials() firstCredentials {
	return firstCredentials{
		Username: firstAdmin, Password: rand.Text(), ClientID: firstApp, Resource: firstResource,
		APIClientID: firstAPI, APIClientSecret: authz.NewClientSecret().Reveal(),
	}
}

// bootstrap creates the first rows in one transaction, so that of several
// processes on an empty database one does and the others fail whole.
func (a *app) bootstrap(ctx context.Context, first firstCredentials) error {
	apiSecret := authz.ClientSecret{Hash: authz.HashSecret(authz.Secret(first.APIClientSecret)), CreatedAt: a.clock.Now().Truncate(time.Millisecond)}
	declaration := authz.Declaration{
		Resources: []authz.Resource{{
			URI: firstResource, Name: "Example API", Scopes: []authz.ResourceScope{{Name: firstRead}, {Name: firstWrite}},
		}},
		Clients: []authz.Client{
			{
				ID: firstApp, Name: "First-party app", AuthMethod: authz.AuthNone, FirstParty: true,
				GrantTypes: []string{authz.GrantPassword, authz.GrantRefreshToken},
				Scope:      authz.Scope{firstRead, firstWrite, authz.ScopeAdminRead, authz.ScopeAdminWrite},
				Resources:  []string{firstResource, authz.AdminResource(a.config.Issuer)},
			},
			{
				ID: firstAPI, Name: "Example API", AuthMethod: authz.AuthAnySecret, Secrets: []authz.ClientSecret{apiSecret},
				Introspect: true, Resources: []string{firstResource},
			},
		},
		Users: []authz.NewUser{{Username: firstAdmin, Password: authz.Secret(first.Password), Roles: []string{authz.RoleAdmin}}},
	}
	if _, err := a.applier().Apply(ctx, declaration, false); err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	return nil
}

// firstStart bootstraps an empty SQLite database. The credentials are printed
// once on a terminal; otherwise they go to a file that only its owner reads,
// written before the rows, so that they cannot be lost in between.
func (c *command) firstStart(ctx context.Context, a *app) error {
	empty, err := a.empty(ctx)
	if err != nil || !empty {
		return err
	}
	if !a.config.Embedded() {
		_, err = fmt.Fprintln(c.stdout, "The database is empty: chancery bootstrap creates a first admin, app and API, chancery apply what a file declares")
		return err
	}
	first := newFirstCredentials()
	path := filepath.Join(a.config.DataDir, firstCredentialsFile)
	draft := path + "." + rand.Text()
	if err := writeDurably(draft, first.guide(a.config.Issuer)); err != nil {
		return fmt.Errorf("first credentials: %w", err)
	}
	err = a.bootstrap(ctx, first)
	if err != nil || c.terminal {
		err = errors.Join(err, os.Remove(draft))
	} else {
		err = os.Rename(draft, path)
	}
	switch {
	case errors.Is(err, authz.ErrConflict):
		return nil // another process was faster
	case err != nil:
		return err
	case c.terminal:
		_, err = fmt.Fprintln(c.stdout, first.guide(a.config.Issuer))
	default:
		_, err = fmt.Fprintf(c.stdout, "First start: the admin's credentials and lines to paste are in %s\n", path)
	}
	return err
}

// guide returns the credentials and a shell session that logs in, refreshes,
// verifies and revokes.
func (f firstCredentials) guide(issuer string) string {
	lines := []string{
		"First start: this is shown once.",
		"",
		"  admin user       " + f.Username,
		"  password         " + f.Password,
		"  app (client id)  " + f.ClientID,
		"  admin console    " + issuer + "/console",
		"  API (resource)   " + f.Resource,
		"  API's client     " + f.APIClientID + "  " + f.APIClientSecret,
		"",
		"Paste this to log in, refresh, verify and revoke:",
		"",
		"  ISSUER=" + issuer,
		`  field() { printf '%s' "$answer" | sed -E "s/.*\"$1\":\"([^\"]*)\".*/\1/"; }`,
		"",
		"  # log in",
		"  answer=$(curl -s $ISSUER/oauth/token -d grant_type=password -d client_id=" + f.ClientID + " -d username=" + f.Username + " -d password=" + f.Password + "); echo \"$answer\"",
		"  # refresh: the old refresh token is used up",
		"  answer=$(curl -s $ISSUER/oauth/token -d grant_type=refresh_token -d client_id=" + f.ClientID + " -d refresh_token=$(field refresh_token)); echo \"$answer\"",
		"  # verify, as the API",
		"  curl -s $ISSUER/oauth/introspect -u " + f.APIClientID + ":" + f.APIClientSecret + " -d token=$(field access_token); echo",
		"  # revoke the session, and verify again",
		"  curl -s $ISSUER/oauth/revoke -d client_id=" + f.ClientID + " -d token=$(field refresh_token)",
		"  curl -s $ISSUER/oauth/introspect -u " + f.APIClientID + ":" + f.APIClientSecret + " -d token=$(field access_token); echo",
		"",
	}
	return strings.Join(lines, "\n")
}
