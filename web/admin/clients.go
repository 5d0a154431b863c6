package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"chancery/authz"
	"chancery/web/segment"
)

// Client is a client as admins see it. Names are those of RFC 7591 where it
// has one.
type Client struct {
	ID                     string       `json:"client_id" example:"shop"`
	Secret                 string       `json:"client_secret,omitempty" doc:"The secret. It is told once, when it is made." example:"chcs_3vHhC7JcJqk5v0m1o2T8qQ"`
	Name                   string       `json:"client_name,omitempty" example:"Shop"`
	Type                   string       `json:"type" enum:"public,confidential" example:"public"`
	AuthMethod             string       `json:"token_endpoint_auth_method" example:"none"`
	Origin                 string       `json:"origin,omitempty" enum:"dynamic,document" doc:"How it came to be without an admin: dynamic registered itself, document publishes at its id what it is." example:"dynamic"`
	FirstParty             bool         `json:"first_party" doc:"It is ours: it may use the password grant and the account API."`
	Introspect             bool         `json:"introspect" doc:"It may introspect access tokens for its resources."`
	GrantTypes             []string     `json:"grant_types" example:"[\"password\", \"refresh_token\"]"`
	Scope                  string       `json:"scope" example:"notes:read notes:write"`
	Resources              []string     `json:"resources" example:"[\"https://api.example\"]"`
	JWKS                   *KeySet      `json:"jwks,omitempty"`
	JWKSURI                string       `json:"jwks_uri,omitempty" example:"https://shop.example/jwks.json"`
	RedirectURIs           []string     `json:"redirect_uris" example:"[\"https://shop.example/callback\"]"`
	PostLogoutRedirectURIs []string     `json:"post_logout_redirect_uris" example:"[\"https://shop.example/\"]"`
	BackchannelLogoutURI   string       `json:"backchannel_logout_uri,omitempty" example:"https://shop.example/logged-out"`
	IDTokenAlgorithm       string       `json:"id_token_signed_response_alg" enum:"RS256,EdDSA,ES256" example:"RS256"`
	PKCEOptional           bool         `json:"pkce_optional" doc:"It may begin a login without a code challenge."`
	DPoPBound              bool         `json:"dpop_bound_access_tokens" doc:"It gets no tokens that are not bound to a key of it."`
	AllowedOrigins         []string     `json:"allowed_origins" example:"[\"https://shop.example\"]"`
	Delivery               string       `json:"refresh_token_delivery" enum:"body,cookie" example:"body"`
	EmailVerificationURI   string       `json:"email_verification_uri,omitempty" example:"https://shop.example/verify"`
	PasswordResetURI       string       `json:"password_reset_uri,omitempty" example:"https://shop.example/reset"`
	IdleTTL                string       `json:"idle_ttl,omitempty" example:"168h0m0s"`
	AbsoluteTTL            string       `json:"absolute_ttl,omitempty" example:"2160h0m0s"`
	Leeway                 string       `json:"leeway,omitempty" example:"30s"`
	LostResponseWindow     string       `json:"lost_response_window,omitempty" example:"10m0s"`
	LostResponseBudget     *int         `json:"lost_response_budget,omitempty" example:"3"`
	Secrets                []SecretTime `json:"secrets,omitempty" doc:"When the secrets were made that are good."`
	DisabledAt             time.Time    `json:"disabled_at,omitzero" doc:"Since when it is refused; absent while it is not."`
	CreatedAt              time.Time    `json:"created_at"`
	UpdatedAt              time.Time    `json:"updated_at"`
}

// KeySet are public keys (RFC 7517).
type KeySet struct {
	Keys []map[string]any `json:"keys" minItems:"1" maxItems:"20" nullable:"false" doc:"RFC 7517 keys, their public halves alone."`
}

// keySet returns the keys of a client that are stored as text.
func keySet(text string) *KeySet {
	var set KeySet
	if json.Unmarshal([]byte(text), &set) != nil {
		return nil
	}
	return &set
}

// SecretTime says how long a secret is good.
type SecretTime struct {
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// NewClient returns the client as admins see it, with the secret if it has just
// been made.
func NewClient(client authz.Client, secret authz.Secret) Client {
	v := Client{
		ID: client.ID, Secret: secret.Reveal(), Name: client.Name, Type: "confidential", Origin: client.Origin, AuthMethod: string(client.AuthMethod),
		FirstParty: client.FirstParty, Introspect: client.Introspect, GrantTypes: list(client.GrantTypes), Scope: client.Scope.String(),
		Resources: list(client.Resources), AllowedOrigins: list(client.AllowedOrigins),
		RedirectURIs: list(client.RedirectURIs), PostLogoutRedirectURIs: list(client.PostLogoutRedirectURIs),
		JWKS: keySet(client.JWKS), JWKSURI: client.JWKSURI,
		BackchannelLogoutURI: client.BackchannelLogoutURI, IDTokenAlgorithm: cmp.Or(client.IDTokenAlgorithm, authz.SigningAlgorithms()[0]), PKCEOptional: client.PKCEOptional, DPoPBound: client.DPoPBound,
		Delivery: client.Delivery(), EmailVerificationURI: client.EmailVerificationURI, PasswordResetURI: client.PasswordResetURI,
		IdleTTL: optional(client.Refresh.IdleTTL), AbsoluteTTL: optional(client.Refresh.AbsoluteTTL), Leeway: optional(client.Refresh.Leeway),
		LostResponseWindow: optional(client.Refresh.LostResponseWindow), LostResponseBudget: client.Refresh.LostResponseBudget,
		DisabledAt: client.DisabledAt, CreatedAt: client.CreatedAt, UpdatedAt: client.UpdatedAt,
	}
	if client.Public() {
		v.Type = "public"
	}
	for _, s := range client.Secrets {
		v.Secrets = append(v.Secrets, SecretTime{CreatedAt: s.CreatedAt, ExpiresAt: s.ExpiresAt})
	}
	return v
}

// list returns words as a list that is never null.
func list(words []string) []string { return append([]string{}, words...) }

func optional(d *time.Duration) string {
	if d == nil {
		return ""
	}
	return d.String()
}

// ClientChange is what may be said of a client; what is absent stays as it is.
type ClientChange struct {
	Name                   *string   `json:"client_name,omitempty" maxLength:"200" example:"Shop"`
	AuthMethod             *string   `json:"token_endpoint_auth_method,omitempty" enum:"none,client_secret,client_secret_basic,client_secret_post,private_key_jwt" doc:"none for a public client; private_key_jwt for one that signs with a key of jwks or jwks_uri; client_secret for a confidential one that may send its secret either way, which is the default." example:"none"`
	FirstParty             *bool     `json:"first_party,omitempty" example:"true"`
	Introspect             *bool     `json:"introspect,omitempty" example:"false"`
	GrantTypes             *[]string `json:"grant_types,omitempty" maxItems:"10" example:"[\"password\", \"refresh_token\"]"`
	Scope                  *string   `json:"scope,omitempty" maxLength:"4000" example:"notes:read"`
	Resources              *[]string `json:"resources,omitempty" maxItems:"100" example:"[\"https://api.example\"]"`
	JWKS                   *KeySet   `json:"jwks,omitempty" doc:"Public keys by which a client with private_key_jwt proves itself."`
	JWKSURI                *string   `json:"jwks_uri,omitempty" maxLength:"512" doc:"Where these keys are, in place of jwks."`
	RedirectURIs           *[]string `json:"redirect_uris,omitempty" maxItems:"50" doc:"Where the answers of its logins may go. The grant authorization_code needs one." example:"[\"https://shop.example/callback\"]"`
	PostLogoutRedirectURIs *[]string `json:"post_logout_redirect_uris,omitempty" maxItems:"50" example:"[\"https://shop.example/\"]"`
	BackchannelLogoutURI   *string   `json:"backchannel_logout_uri,omitempty" maxLength:"512" doc:"What is told of each session that ends." example:"https://shop.example/logged-out"`
	IDTokenAlgorithm       *string   `json:"id_token_signed_response_alg,omitempty" enum:"RS256,EdDSA,ES256" example:"RS256"`
	PKCEOptional           *bool     `json:"pkce_optional,omitempty" doc:"Let a confidential client begin a login without a code challenge." example:"false"`
	DPoPBound              *bool     `json:"dpop_bound_access_tokens,omitempty" doc:"Give it no tokens that are not bound to a key of it (RFC 9449)." example:"false"`
	AllowedOrigins         *[]string `json:"allowed_origins,omitempty" maxItems:"100" example:"[\"https://shop.example\"]"`
	Delivery               *string   `json:"refresh_token_delivery,omitempty" enum:"body,cookie" example:"body"`
	EmailVerificationURI   *string   `json:"email_verification_uri,omitempty" maxLength:"512" example:"https://shop.example/verify"`
	PasswordResetURI       *string   `json:"password_reset_uri,omitempty" maxLength:"512" example:"https://shop.example/reset"`
	IdleTTL                *string   `json:"idle_ttl,omitempty" maxLength:"40" doc:"A duration such as 168h; empty for the server's." example:"168h"`
	AbsoluteTTL            *string   `json:"absolute_ttl,omitempty" maxLength:"40" example:"2160h"`
	Leeway                 *string   `json:"leeway,omitempty" maxLength:"40" example:"30s"`
	LostResponseWindow     *string   `json:"lost_response_window,omitempty" maxLength:"40" example:"10m"`
	LostResponseBudget     *int      `json:"lost_response_budget,omitempty" minimum:"-1" maximum:"100" doc:"-1 for the server's." example:"3"`
}

// applyKeys sets the client's keys, or where they are, in place of the other.
func (n ClientChange) applyKeys(client *authz.Client) error {
	if n.JWKS != nil {
		text, err := json.Marshal(n.JWKS)
		if err != nil {
			return fmt.Errorf("encode jwks: %w", err)
		}
		client.JWKS, client.JWKSURI = string(text), ""
	}
	if n.JWKSURI != nil && *n.JWKSURI != client.JWKSURI {
		client.JWKS, client.JWKSURI = "", *n.JWKSURI
	}
	return nil
}

// Apply makes the change to the client. The error has code InvalidInput; what
// may not be, the rules say later.
func (n ClientChange) Apply(client *authz.Client) error {
	set(&client.Name, n.Name)
	if n.AuthMethod != nil {
		client.AuthMethod = authz.AuthMethod(*n.AuthMethod)
	}
	set(&client.FirstParty, n.FirstParty)
	set(&client.Introspect, n.Introspect)
	set(&client.GrantTypes, n.GrantTypes)
	set(&client.Resources, n.Resources)
	if err := n.applyKeys(client); err != nil {
		return err
	}
	set(&client.RedirectURIs, n.RedirectURIs)
	set(&client.PostLogoutRedirectURIs, n.PostLogoutRedirectURIs)
	set(&client.BackchannelLogoutURI, n.BackchannelLogoutURI)
	set(&client.IDTokenAlgorithm, n.IDTokenAlgorithm)
	set(&client.PKCEOptional, n.PKCEOptional)
	set(&client.DPoPBound, n.DPoPBound)
	set(&client.AllowedOrigins, n.AllowedOrigins)
	set(&client.EmailVerificationURI, n.EmailVerificationURI)
	set(&client.PasswordResetURI, n.PasswordResetURI)
	if n.Delivery != nil {
		client.CookieDelivery = *n.Delivery == authz.DeliveryCookie
	}
	if n.Scope != nil {
		scope, err := authz.ParseScope(*n.Scope)
		if err != nil {
			return &authz.Error{Code: authz.InvalidInput, Description: "scope: want scope tokens with a space between", Err: err}
		}
		client.Scope = scope
	}
	if n.LostResponseBudget != nil {
		if client.Refresh.LostResponseBudget = n.LostResponseBudget; *n.LostResponseBudget < 0 {
			client.Refresh.LostResponseBudget = nil
		}
	}
	for _, setting := range []struct {
		name  string
		value *string
		into  **time.Duration
	}{
		{"idle_ttl", n.IdleTTL, &client.Refresh.IdleTTL},
		{"absolute_ttl", n.AbsoluteTTL, &client.Refresh.AbsoluteTTL},
		{"leeway", n.Leeway, &client.Refresh.Leeway},
		{"lost_response_window", n.LostResponseWindow, &client.Refresh.LostResponseWindow},
	} {
		if setting.value == nil {
			continue
		}
		d, err := authz.ParseDuration(setting.name, *setting.value)
		if err != nil {
			return err
		}
		*setting.into = d
	}
	return nil
}

func set[T any](into *T, value *T) {
	if value != nil {
		*into = *value
	}
}

// ClientPath names a client.
type ClientPath struct {
	Segment string `path:"client_id" maxLength:"350" doc:"The id; for an id that is a URL, a tilde and the URL in base64url." example:"shop"`
}

func (p ClientPath) clientID() string { return segment.Client(p.Segment) }

// clientOutput is one client.
type clientOutput struct {
	Versioned
	Location string `header:"Location"`
	Body     Client
}

func newClientOutput(client authz.Client, secret authz.Secret) *clientOutput {
	return &clientOutput{Versioned: Versioned{tag(client.Version)}, Body: NewClient(client, secret)}
}

func (e *Endpoints) mountClients() {
	const tagName = "Clients"
	type listInput struct{ PageQuery }
	register(e, operation{id: "listClients", method: http.MethodGet, path: "/clients", tag: tagName, summary: "List the clients, newest first"},
		func(ctx context.Context, _ authz.Administrator, in *listInput) (*pageOutput[Client], error) {
			place, err := in.place()
			if err != nil {
				return nil, err
			}
			place.Limit++
			clients, err := e.Administration.Clients.List(ctx, place)
			if err != nil {
				return nil, err
			}
			return paged(clients, in.Limit, func(c authz.Client) Client { return NewClient(c, "") },
				func(c authz.Client) authz.Page { return authz.Page{After: c.CreatedAt, AfterID: c.ID} }), nil
		})
	register(e, operation{
		id: "createClient", method: http.MethodPost, path: "/clients", tag: tagName, status: http.StatusCreated, errors: []int{http.StatusConflict},
		summary: "Register a client", description: "A confidential client gets a secret, which is told once.",
	}, e.createClient)
	type getInput struct{ ClientPath }
	register(e, operation{id: "getClient", method: http.MethodGet, path: "/clients/{client_id}", tag: tagName, summary: "Show a client", errors: []int{http.StatusNotFound}},
		func(ctx context.Context, _ authz.Administrator, in *getInput) (*clientOutput, error) {
			client, err := e.Administration.Clients.Find(ctx, in.clientID())
			if err != nil {
				return nil, err
			}
			return newClientOutput(client, ""), nil
		})
	changes := []int{http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed}
	register(e, operation{
		id: "updateClient", method: http.MethodPatch, path: "/clients/{client_id}", tag: tagName, errors: append(changes, http.StatusPreconditionRequired),
		summary: "Change a client", description: "What is absent stays as it is. A client that is disabled is refused at once, and its sessions end.",
	}, e.updateClient)
	register(e, operation{
		id: "rotateClientSecret", method: http.MethodPost, path: "/clients/{client_id}/rotate-secret", tag: tagName, errors: changes,
		summary: "Give a client another secret", description: "The one before stays good for the overlap.",
	}, e.rotateSecret)
	register(e, operation{
		id: "deleteClient", method: http.MethodDelete, path: "/clients/{client_id}", tag: tagName, status: http.StatusNoContent, errors: changes,
		summary: "Delete a client", description: "Its sessions end first.",
	}, e.deleteClient)
	register(e, operation{
		id: "revokeClientSessions", method: http.MethodPost, path: "/clients/{client_id}/revoke-sessions", tag: tagName, errors: []int{http.StatusNotFound},
		summary: "End every session of a client",
	}, func(ctx context.Context, admin authz.Administrator, in *getInput) (*revokedOutput, error) {
		if _, err := e.Administration.Clients.Find(ctx, in.clientID()); err != nil {
			return nil, err
		}
		return e.revoke(ctx, admin, authz.Ending{ClientID: in.clientID()})
	})
}

// clients returns the clients for a change of one, with its precondition.
func (e *Endpoints) clients(ctx context.Context, admin authz.Administrator, id string, match IfMatch) (*authz.Clients, error) {
	clients := e.Administration.ClientsBy(admin)
	if !match.named() {
		return clients, nil
	}
	client, err := clients.Find(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := match.check(tag(client.Version)); err != nil {
		return nil, err
	}
	return clients.If(client.Version), nil
}

type createClientInput struct {
	Body struct {
		ID string `json:"client_id,omitempty" maxLength:"128" doc:"A random one if absent." example:"shop"`
		ClientChange
	}
}

func (e *Endpoints) createClient(ctx context.Context, admin authz.Administrator, in *createClientInput) (*clientOutput, error) {
	client := authz.Client{ID: in.Body.ID, AuthMethod: authz.AuthAnySecret}
	if err := in.Body.Apply(&client); err != nil {
		return nil, err
	}
	created, secret, err := e.Administration.ClientsBy(admin).Create(ctx, client)
	if err != nil {
		return nil, err
	}
	out := newClientOutput(created, secret)
	out.Location = e.Issuer + "/admin/v1/clients/" + segment.OfClient(created.ID)
	return out, nil
}

type updateClientInput struct {
	ClientPath
	MustMatch
	Body struct {
		ClientChange
		Disabled *bool `json:"disabled,omitempty" doc:"Refuse it, or let it in again." example:"false"`
	}
}

func (e *Endpoints) updateClient(ctx context.Context, admin authz.Administrator, in *updateClientInput) (*clientOutput, error) {
	ctx, cancel := authz.Unhurried(ctx)
	defer cancel()
	client, err := e.Administration.ClientsBy(admin).Update(ctx, in.clientID(), func(client *authz.Client) error {
		if err := in.check(tag(client.Version)); err != nil {
			return err
		}
		if in.Body.Disabled != nil {
			client.Disable(*in.Body.Disabled, e.Administration.Now())
		}
		return in.Body.Apply(client)
	})
	if err != nil {
		return nil, err
	}
	return newClientOutput(client, ""), nil
}

type rotateSecretInput struct {
	ClientPath
	IfMatch
	Body struct {
		Overlap string `json:"overlap,omitempty" maxLength:"40" default:"24h" doc:"How long the secret before stays good, at most 2160h." example:"24h"`
	}
}

func (e *Endpoints) rotateSecret(ctx context.Context, admin authz.Administrator, in *rotateSecretInput) (*clientOutput, error) {
	overlap, err := authz.ParseDuration("overlap", in.Body.Overlap)
	if err != nil {
		return nil, err
	}
	clients, err := e.clients(ctx, admin, in.clientID(), in.IfMatch)
	if err != nil {
		return nil, err
	}
	client, secret, err := clients.RotateSecret(ctx, in.clientID(), *overlap)
	if err != nil {
		return nil, err
	}
	return newClientOutput(client, secret), nil
}

type deleteClientInput struct {
	ClientPath
	IfMatch
}

func (e *Endpoints) deleteClient(ctx context.Context, admin authz.Administrator, in *deleteClientInput) (*none, error) {
	clients, err := e.clients(ctx, admin, in.clientID(), in.IfMatch)
	if err != nil {
		return nil, err
	}
	ctx, cancel := authz.Unhurried(ctx)
	defer cancel()
	return nil, clients.Delete(ctx, in.clientID())
}

// sorted returns the words in order, each once.
func sorted(words []string) []string {
	words = slices.Clone(words)
	slices.Sort(words)
	return slices.Compact(words)
}
