package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"chancery/authz"

	"github.com/spf13/cobra"
)

func (c *command) resourcesCommand() *cobra.Command {
	return group("resources", "Register the APIs that tokens are for", c.resourcesCreate(), c.resourcesList(), c.resourcesDelete())
}

type scopeView struct {
	Name  string   `json:"name"`
	Roles []string `json:"roles,omitempty"`
}

// resourceView is a resource as the command line prints it.
type resourceView struct {
	URI            string      `json:"uri"`
	Name           string      `json:"name,omitempty"`
	Algorithm      string      `json:"algorithm"`
	AccessTokenTTL string      `json:"access_token_ttl,omitempty"`
	Scopes         []scopeView `json:"scopes"`
}

func viewResource(r authz.Resource) resourceView {
	v := resourceView{URI: r.URI, Name: r.Name, Algorithm: r.Algorithm, Scopes: []scopeView{}}
	if r.AccessTokenTTL != 0 {
		v.AccessTokenTTL = r.AccessTokenTTL.String()
	}
	for _, s := range r.Scopes {
		v.Scopes = append(v.Scopes, scopeView(s))
	}
	return v
}

// scopes prints each scope with the roles that it asks for.
func (v resourceView) scopes() string {
	var all []string
	for _, s := range v.Scopes {
		if len(s.Roles) > 0 {
			s.Name += "(" + strings.Join(s.Roles, ",") + ")"
		}
		all = append(all, s.Name)
	}
	return list(all)
}

func (c *command) resourcesCreate() *cobra.Command {
	var uri, name, algorithm string
	var ttl time.Duration
	var scopes, roles []string
	cmd := &cobra.Command{
		Use: "create", Short: "Register a resource", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			resource := authz.Resource{URI: uri, Name: name, Algorithm: algorithm, AccessTokenTTL: ttl}
			for _, scope := range scopes {
				resource.Scopes = append(resource.Scopes, authz.ResourceScope{Name: scope})
			}
			if err := addRoles(resource.Scopes, roles); err != nil {
				return err
			}
			return c.with(cmd.Context(), func(a *app) error {
				created, err := a.resources().Create(cmd.Context(), resource)
				if err != nil {
					return err
				}
				view := viewResource(created)
				return c.print(view, func(out *table) {
					out.row("uri", view.URI)
					out.row("name", dash(view.Name))
					out.row("algorithm", view.Algorithm)
					out.row("access token ttl", dash(view.AccessTokenTTL))
					out.row("scopes", view.scopes())
				})
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&uri, "uri", "", "audience of its tokens, an absolute URI")
	flags.StringVar(&name, "name", "", "name for people")
	flags.StringVar(&algorithm, "alg", "", "signature of its tokens: RS256 (default), EdDSA or ES256")
	flags.DurationVar(&ttl, "access-token-ttl", 0, "lifetime of its tokens (default: access_token_ttl)")
	flags.StringArrayVar(&scopes, "scope", nil, "`scope` that it defines; repeatable")
	flags.StringArrayVar(&roles, "scope-role", nil, "let only users with a role have a scope, as `scope=role`; repeatable")
	return cmd
}

// addRoles adds "scope=role" entries to the scopes that they name.
func addRoles(scopes []authz.ResourceScope, entries []string) error {
	for _, entry := range entries {
		at := strings.LastIndex(entry, "=")
		i := -1
		if at > 0 {
			i = slices.IndexFunc(scopes, func(s authz.ResourceScope) bool { return s.Name == entry[:at] })
		}
		if i < 0 {
			return usageError{fmt.Errorf("--scope-role %q: want scope=role with a scope that --scope names", entry)}
		}
		scopes[i].Roles = append(scopes[i].Roles, entry[at+1:])
	}
	return nil
}

func (c *command) resourcesList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the resources, the server's own first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(a *app) error {
				resources, err := a.resources().List(cmd.Context())
				if err != nil {
					return err
				}
				views := []resourceView{}
				for _, resource := range resources {
					views = append(views, viewResource(resource))
				}
				return c.print(views, func(out *table) {
					out.row("URI", "NAME", "ALGORITHM", "TTL", "SCOPES")
					for _, v := range views {
						out.row(v.URI, dash(v.Name), v.Algorithm, dash(v.AccessTokenTTL), v.scopes())
					}
				})
			})
		},
	}
}

func (c *command) resourcesDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete URI", Short: "Delete a resource that no client names", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(a *app) error {
				if err := a.resources().Delete(cmd.Context(), args[0]); err != nil {
					return err
				}
				return c.done("deleted", args[0])
			})
		},
	}
}
