package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"chancery/authz"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

func (c *command) applyCommand() *cobra.Command {
	var path string
	var dryRun bool
	cmd := &cobra.Command{
		Use: "apply -f FILE", Short: "Make clients, resources and users agree with a file", Args: cobra.NoArgs,
		Long: "Create and update the clients, resources and users that a YAML file declares, in one transaction. " +
			"Nothing absent from the file is deleted, and applying it again changes nothing.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if path == "" {
				return usageError{errors.New("apply: name a file with -f")}
			}
			return c.with(cmd.Context(), func(a *app) error {
				declaration, err := readDeclaration(path, a.clock.Now())
				if err != nil {
					return err
				}
				changes, err := a.applier().Apply(cmd.Context(), declaration, dryRun)
				if err != nil {
					return err
				}
				return c.printChanges(changes, dryRun)
			})
		},
	}
	cmd.Flags().StringVarP(&path, "file", "f", "", "YAML `file` with the declaration")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would change, and change nothing")
	return cmd
}

// changeView is one change as it is printed.
type changeView struct {
	Action string `json:"action"`
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Secret string `json:"client_secret,omitempty"`
}

func (c *command) printChanges(changes []authz.AppliedChange, dryRun bool) error {
	views := []changeView{}
	for _, change := range changes {
		view := changeView{Action: change.Action, Kind: change.Kind, Name: change.Name}
		if !dryRun {
			view.Secret = change.Secret.Reveal()
		}
		views = append(views, view)
	}
	return c.print(views, func(out *table) {
		if len(views) == 0 {
			out.text("nothing to change")
		}
		for _, v := range views {
			if dryRun {
				v.Action = "would " + v.Action
			}
			out.row(v.Action, v.Kind, v.Name, v.Secret)
		}
	})
}

// The declaration file.
type (
	declarationFile struct {
		Resources []resourceDeclaration `yaml:"resources"`
		Clients   []clientDeclaration   `yaml:"clients"`
		Users     []userDeclaration     `yaml:"users"`
	}
	resourceDeclaration struct {
		URI            string             `yaml:"uri"`
		Name           string             `yaml:"name"`
		Algorithm      string             `yaml:"algorithm"`
		AccessTokenTTL time.Duration      `yaml:"access_token_ttl"`
		Scopes         []scopeDeclaration `yaml:"scopes"`
	}
	scopeDeclaration struct {
		Name  string   `yaml:"name"`
		Roles []string `yaml:"roles"`
	}
	clientDeclaration struct {
		ID                     string         `yaml:"id"`
		Name                   string         `yaml:"name"`
		Type                   string         `yaml:"type"`
		AuthMethod             string         `yaml:"token_endpoint_auth_method"`
		SecretFile             string         `yaml:"secret_file"`
		SecretSHA256           string         `yaml:"secret_sha256"`
		FirstParty             bool           `yaml:"first_party"`
		Introspect             bool           `yaml:"introspect"`
		GrantTypes             []string       `yaml:"grant_types"`
		Scopes                 []string       `yaml:"scopes"`
		Resources              []string       `yaml:"resources"`
		RedirectURIs           []string       `yaml:"redirect_uris"`
		JWKS                   map[string]any `yaml:"jwks"`
		JWKSURI                string         `yaml:"jwks_uri"`
		PostLogoutRedirectURIs []string       `yaml:"post_logout_redirect_uris"`
		BackchannelLogoutURI   string         `yaml:"backchannel_logout_uri"`
		IDTokenAlgorithm       string         `yaml:"id_token_signed_response_alg"`
		PKCEOptional           bool           `yaml:"pkce_optional"`
		DPoPBound              bool           `yaml:"dpop_bound_access_tokens"`
		AllowedOrigins         []string       `yaml:"allowed_origins"`
		Delivery               string         `yaml:"refresh_token_delivery"`
		EmailVerificationURI   string         `yaml:"email_verification_uri"`
		PasswordResetURI       string         `yaml:"password_reset_uri"`
		IdleTTL                *time.Duration `yaml:"idle_ttl"`
		AbsoluteTTL            *time.Duration `yaml:"absolute_ttl"`
		Leeway                 *time.Duration `yaml:"leeway"`
		LostResponseWindow     *time.Duration `yaml:"lost_response_window"`
		LostResponseBudget     *int           `yaml:"lost_response_budget"`
	}
	userDeclaration struct {
		Username     string   `yaml:"username"`
		Email        string   `yaml:"email"`
		Roles        []string `yaml:"roles"`
		MustChange   bool     `yaml:"must_change"`
		PasswordFile string   `yaml:"password_file"`
	}
)

// goType is what the parser says of the program rather than of the file.
var goType = regexp.MustCompile(` (in|into) (type )?main\.[A-Za-z]+`)

// readDeclaration reads and translates a declaration file. Paths in it are
// relative to its own folder; an unknown key is an error.
func readDeclaration(path string, now time.Time) (authz.Declaration, error) {
	var d authz.Declaration
	content, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return d, err
	}
	var file declarationFile
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return d, fmt.Errorf("%s: %s", path, goType.ReplaceAllString(err.Error(), ""))
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return d, fmt.Errorf("%s: want one YAML document", path)
	}
	folder := filepath.Dir(path)
	for _, r := range file.Resources {
		resource := authz.Resource{URI: r.URI, Name: r.Name, Algorithm: r.Algorithm, AccessTokenTTL: r.AccessTokenTTL}
		for _, s := range r.Scopes {
			resource.Scopes = append(resource.Scopes, authz.ResourceScope(s))
		}
		d.Resources = append(d.Resources, resource)
	}
	for _, declared := range file.Clients {
		client, err := declared.client(folder, now)
		if err != nil {
			return d, fmt.Errorf("%s: client %q: %w", path, declared.ID, err)
		}
		d.Clients = append(d.Clients, client)
	}
	for _, u := range file.Users {
		user := authz.NewUser{Username: u.Username, Email: u.Email, Roles: u.Roles, MustChange: u.MustChange}
		if u.PasswordFile != "" {
			if user.Password, err = readSecret(folder, u.PasswordFile); err != nil {
				return d, fmt.Errorf("%s: user %q: %w", path, u.Username, err)
			}
		}
		d.Users = append(d.Users, user)
	}
	return d, nil
}

func (d clientDeclaration) client(folder string, now time.Time) (authz.Client, error) {
	client := authz.Client{
		ID: d.ID, Name: d.Name, AuthMethod: authz.AuthMethod(d.AuthMethod), FirstParty: d.FirstParty, Introspect: d.Introspect,
		GrantTypes: d.GrantTypes, Scope: d.Scopes, Resources: d.Resources, AllowedOrigins: d.AllowedOrigins,
		RedirectURIs: d.RedirectURIs, PostLogoutRedirectURIs: d.PostLogoutRedirectURIs, BackchannelLogoutURI: d.BackchannelLogoutURI,
		IDTokenAlgorithm: d.IDTokenAlgorithm, PKCEOptional: d.PKCEOptional, DPoPBound: d.DPoPBound,
		CookieDelivery: d.Delivery == authz.DeliveryCookie, EmailVerificationURI: d.EmailVerificationURI, PasswordResetURI: d.PasswordResetURI,
		Refresh: authz.RefreshOverrides{
			IdleTTL: d.IdleTTL, AbsoluteTTL: d.AbsoluteTTL, Leeway: d.Leeway,
			LostResponseWindow: d.LostResponseWindow, LostResponseBudget: d.LostResponseBudget,
		},
	}
	client.JWKSURI = d.JWKSURI
	if d.JWKS != nil {
		set, err := json.Marshal(d.JWKS)
		if err != nil {
			return client, fmt.Errorf("jwks: %w", err)
		}
		client.JWKS = string(set)
	}
	switch {
	case d.ID == "":
		return client, errors.New("id is missing")
	case d.Delivery != "" && d.Delivery != authz.DeliveryBody && d.Delivery != authz.DeliveryCookie:
		return client, errDelivery
	case d.Type == "public" && d.AuthMethod == "" && d.SecretFile == "" && d.SecretSHA256 == "":
		client.AuthMethod = authz.AuthNone
	case d.Type == "confidential" && d.AuthMethod == "":
		client.AuthMethod = authz.AuthAnySecret
	case d.Type != "confidential":
		return client, errors.New("type: want confidential, or public without secret and authentication method")
	}
	hash, err := d.secretHash(folder)
	if hash != nil {
		client.Secrets = []authz.ClientSecret{{Hash: *hash, CreatedAt: now.Truncate(time.Millisecond)}}
	}
	return client, err
}

var errDelivery = errors.New("refresh_token_delivery: want body or cookie")

// minSecretLength keeps out secrets that could be guessed: their hash is fast.
const minSecretLength = 32

func (d clientDeclaration) secretHash(folder string) (*authz.Hash, error) {
	var hash authz.Hash
	switch {
	case d.SecretFile != "" && d.SecretSHA256 != "":
		return nil, errors.New("want secret_file or secret_sha256, not both")
	case d.SecretFile != "":
		secret, err := readSecret(folder, d.SecretFile)
		if err == nil && len(secret) < minSecretLength {
			err = fmt.Errorf("secret_file: want a random secret of at least %d characters", minSecretLength)
		}
		hash = authz.HashSecret(secret)
		return &hash, err
	case d.SecretSHA256 != "":
		decoded, err := hex.DecodeString(d.SecretSHA256)
		if err != nil || len(decoded) != len(hash) {
			return nil, errors.New("secret_sha256: want 64 hexadecimal digits")
		}
		copy(hash[:], decoded)
		return &hash, nil
	}
	return nil, nil
}

func readSecret(folder, path string) (authz.Secret, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(folder, path)
	}
	content, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	return authz.Secret(strings.TrimSpace(string(content))), err
}
