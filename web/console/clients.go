package console

import (
	"slices"
	"strconv"
	"time"

	"chancery/authz"
	"chancery/web/cursor"
	"chancery/web/segment"

	"github.com/gin-gonic/gin"
)

// clientsView is what the list of clients shows.
type clientsView struct {
	Rows []authz.Client
	Next string
}

func (c *console) clients(g *gin.Context, _ authz.Administrator) (answer, error) {
	place, err := placeOf(g)
	if err != nil {
		return answer{}, err
	}
	place.Limit++
	clients, err := c.Clients.List(g.Request.Context(), place)
	if err != nil {
		return answer{}, err
	}
	rows, more := cut(clients)
	v := clientsView{Rows: rows}
	if more {
		last := rows[len(rows)-1]
		v.Next = link("/console/clients", "after", cursor.Text(authz.Page{After: last.CreatedAt, AfterID: last.ID}))
	}
	return show("clients", "Clients", v), nil
}

// clientID returns the id of the client that the path names.
func clientID(g *gin.Context) string { return segment.Client(g.Param("id")) }

// clientPath returns the page of a client.
func clientPath(id string) string { return "/console/clients/" + segment.OfClient(id) }

// clientView is what the page of a client shows.
type clientView struct {
	authz.Client
	Events  []authz.Event
	Names   map[string]string
	Problem string
}

func (c *console) client(g *gin.Context, _ authz.Administrator) (answer, error) {
	return c.clientPage(g, "")
}

func (c *console) clientPage(g *gin.Context, problem string) (answer, error) {
	ctx := g.Request.Context()
	client, err := c.Clients.Find(ctx, clientID(g))
	if err != nil {
		return answer{}, err
	}
	v := clientView{Client: client, Problem: problem}
	if v.Events, _, err = c.Events.Search(ctx, authz.EventFilter{ClientID: client.ID, Page: authz.Page{Limit: 10}}); err != nil {
		return answer{}, err
	}
	if v.Names, err = c.eventNames(ctx, v.Events); err != nil {
		return answer{}, err
	}
	if problem != "" {
		return unfit("client", client.Title(), v), nil
	}
	return show("client", client.Title(), v), nil
}

// clientForm is the form of a client, as it was filled in.
type clientForm struct {
	authz.Client
	New       bool
	Problem   string
	Grants    []grantBox
	Resources []resourceBox
	// Raw are fields as they were typed, which may be no durations.
	Raw map[string]string
}

// grantBox is a grant type to choose.
type grantBox struct {
	Name, Meaning string
	Checked       bool
}

// resourceBox is a resource to choose.
type resourceBox struct {
	authz.Resource
	Checked bool
}

// durations are the settings of a client that hold one, by the name of their
// field.
func durations(client *authz.Client) map[string]**time.Duration {
	return map[string]**time.Duration{
		"idle_ttl": &client.Refresh.IdleTTL, "absolute_ttl": &client.Refresh.AbsoluteTTL, "leeway": &client.Refresh.Leeway,
		"lost_response_window": &client.Refresh.LostResponseWindow,
	}
}

// clientForm makes the form of a client.
func (c *console) clientForm(g *gin.Context, client authz.Client, isNew bool) (clientForm, error) {
	f := clientForm{Client: client, New: isNew, Raw: map[string]string{"lost_response_budget": ""}}
	for name, d := range durations(&client) {
		f.Raw[name] = durationText(*d)
	}
	if client.Refresh.LostResponseBudget != nil {
		f.Raw["lost_response_budget"] = strconv.Itoa(*client.Refresh.LostResponseBudget)
	}
	for _, grant := range []grantBox{
		{Name: authz.GrantAuthorizationCode, Meaning: "users log in on our page, in their browser"},
		{Name: authz.GrantPassword, Meaning: "users log in with name and password; only for apps of your own"},
		{Name: authz.GrantRefreshToken, Meaning: "users stay logged in"},
		{Name: authz.GrantDeviceCode, Meaning: "users allow a device without a browser, from another one"},
		{Name: authz.GrantTokenExchange, Meaning: "a resource server calls another one on behalf of a user"},
		{Name: authz.GrantClientCredentials, Meaning: "it gets tokens for itself; only with a secret"},
	} {
		grant.Checked = slices.Contains(client.GrantTypes, grant.Name)
		f.Grants = append(f.Grants, grant)
	}
	resources, err := c.Resources.List(g.Request.Context())
	if err != nil {
		return f, err
	}
	for _, r := range resources {
		f.Resources = append(f.Resources, resourceBox{Resource: r, Checked: slices.Contains(client.Resources, r.URI)})
	}
	return f, nil
}

func (c *console) newClient(g *gin.Context, _ authz.Administrator) (answer, error) {
	client := authz.Client{AuthMethod: authz.AuthNone, FirstParty: true, GrantTypes: []string{authz.GrantPassword, authz.GrantRefreshToken}}
	f, err := c.clientForm(g, client, true)
	return show("client-form", "New client", f), err
}

func (c *console) editClient(g *gin.Context, _ authz.Administrator) (answer, error) {
	client, err := c.Clients.Find(g.Request.Context(), clientID(g))
	if err != nil {
		return answer{}, err
	}
	f, err := c.clientForm(g, client, false)
	return show("client-form", "Change "+client.Title(), f), err
}

// fill sets on client what the form holds. The error has code InvalidInput.
func (f form) fill(client *authz.Client) error {
	client.Name, client.FirstParty, client.Introspect = f.Text("client_name"), f.Checked("first_party"), f.Checked("introspect")
	client.GrantTypes, client.Resources = f.All("grant_types"), f.All("resources")
	client.Scope, client.AllowedOrigins = authz.Scope(f.Words("scope")), f.Words("allowed_origins")
	client.CookieDelivery = f.Checked("cookie_delivery")
	client.RedirectURIs, client.PostLogoutRedirectURIs = f.Words("redirect_uris"), f.Words("post_logout_redirect_uris")
	client.BackchannelLogoutURI, client.PKCEOptional = f.Text("backchannel_logout_uri"), f.Checked("pkce_optional")
	client.IDTokenAlgorithm = f.Text("id_token_signed_response_alg")
	client.DPoPBound = f.Checked("dpop_bound_access_tokens")
	client.JWKS, client.JWKSURI = f.Text("jwks"), f.Text("jwks_uri")
	client.EmailVerificationURI, client.PasswordResetURI = f.Text("email_verification_uri"), f.Text("password_reset_uri")
	if method := f.Text("token_endpoint_auth_method"); method != "" {
		client.AuthMethod = authz.AuthMethod(method)
	}
	for name, into := range durations(client) {
		d, err := f.duration(name, name)
		if err != nil {
			return err
		}
		*into = d
	}
	client.Refresh.LostResponseBudget = nil
	if text := f.Text("lost_response_budget"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			return &authz.Error{Code: authz.InvalidInput, Description: "lost_response_budget: want a number"}
		}
		client.Refresh.LostResponseBudget = &n
	}
	return nil
}

// again shows the form of a client with what is wrong with it.
func (c *console) again(g *gin.Context, f form, client authz.Client, isNew bool, problem string) (answer, error) {
	filled, err := c.clientForm(g, client, isNew)
	if err != nil {
		return answer{}, err
	}
	filled.Problem = problem
	for name := range filled.Raw {
		filled.Raw[name] = f.Text(name)
	}
	heading := "New client"
	if !isNew {
		heading = "Change " + client.ID
	}
	return unfit("client-form", heading, filled), nil
}

// secretView shows a secret, once.
type secretView struct {
	authz.Client
	Secret string
	Issuer string
}

// MachineGrant reports whether the secret gets a token by itself, in a header.
func (v secretView) MachineGrant() bool {
	return slices.Contains(v.GrantTypes, authz.GrantClientCredentials) && v.AuthMethod != authz.AuthPost
}

func (c *console) createClient(g *gin.Context, admin authz.Administrator) (answer, error) {
	f, err := readForm(g)
	if err != nil {
		return answer{}, err
	}
	client := authz.Client{ID: f.Text("client_id")}
	created, secret := authz.Client{}, authz.Secret("")
	if err = f.fill(&client); err == nil {
		created, secret, err = c.ClientsBy(admin).Create(g.Request.Context(), client)
	}
	if problem, ok := problemOf(err); ok {
		return c.again(g, f, client, true, problem)
	}
	if err != nil {
		return answer{}, err
	}
	if secret == "" {
		return done(clientPath(created.ID), "Registered %s.", created.ID), nil
	}
	return show("secret", "The secret of "+created.ID, secretView{created, secret.Reveal(), c.Issuer}), nil
}

func (c *console) updateClient(g *gin.Context, admin authz.Administrator) (answer, error) {
	f, err := readForm(g)
	if err != nil {
		return answer{}, err
	}
	id, filled := clientID(g), authz.Client{}
	_, err = c.ClientsBy(admin).Update(g.Request.Context(), id, func(client *authz.Client) error {
		if version := f.Text("version"); version != strconv.FormatInt(client.Version, 10) {
			return &authz.Error{Code: authz.Changed, Description: "Somebody else has changed the client meanwhile. Your changes are below; look at theirs before you send them again."}
		}
		err := f.fill(client)
		filled = *client
		return err
	})
	if problem, ok := problemOf(err); ok && authz.CodeOf(err) != authz.NotFound {
		current, findErr := c.Clients.Find(g.Request.Context(), id)
		if findErr != nil {
			return answer{}, findErr
		}
		if filled.ID == "" {
			filled = current
			_ = f.fill(&filled) // what cannot be read is shown as it was typed
		}
		filled.Version = current.Version
		return c.again(g, f, filled, false, problem)
	}
	if err != nil {
		return answer{}, err
	}
	return done(clientPath(id), "The client is changed."), nil
}

func (c *console) rotateSecret(g *gin.Context, admin authz.Administrator) (answer, error) {
	f, err := readForm(g)
	if err != nil {
		return answer{}, err
	}
	overlap, err := f.duration("overlap", "overlap")
	if err == nil && overlap == nil {
		overlap = new(time.Duration)
	}
	client, secret := authz.Client{}, authz.Secret("")
	if err == nil {
		client, secret, err = c.ClientsBy(admin).RotateSecret(g.Request.Context(), clientID(g), *overlap)
	}
	if problem, ok := problemOf(err); ok && authz.CodeOf(err) != authz.NotFound {
		return c.clientPage(g, problem)
	}
	if err != nil {
		return answer{}, err
	}
	return show("secret", "The secret of "+client.ID, secretView{client, secret.Reveal(), c.Issuer}), nil
}

func (c *console) disableClient(disabled bool) func(*gin.Context, authz.Administrator) (answer, error) {
	word := "The client is let in again."
	if disabled {
		word = "The client is disabled, and its sessions have ended."
	}
	return func(g *gin.Context, admin authz.Administrator) (answer, error) {
		ctx, cancel := authz.Unhurried(g.Request.Context())
		defer cancel()
		client, err := c.ClientsBy(admin).Update(ctx, clientID(g), func(client *authz.Client) error {
			client.Disable(disabled, c.Now())
			return nil
		})
		if err != nil {
			return answer{}, err
		}
		return done(clientPath(client.ID), "%s", word), nil
	}
}

func (c *console) revokeClient(g *gin.Context, admin authz.Administrator) (answer, error) {
	client, err := c.Clients.Find(g.Request.Context(), clientID(g))
	if err != nil {
		return answer{}, err
	}
	n, err := c.EndSessions(g.Request.Context(), admin, authz.Ending{ClientID: client.ID})
	if err != nil {
		return answer{}, err
	}
	return done(clientPath(client.ID), "Ended %s.", plural(n, "session", "sessions")), nil
}

func (c *console) deleteClient(g *gin.Context, admin authz.Administrator) (answer, error) {
	f, err := readForm(g)
	if err != nil {
		return answer{}, err
	}
	id := clientID(g)
	if f.Text("confirm") != id {
		return c.clientPage(g, "Type the client id to confirm. Nothing was deleted.")
	}
	ctx, cancel := authz.Unhurried(g.Request.Context())
	defer cancel()
	if err := c.ClientsBy(admin).Delete(ctx, id); err != nil {
		return answer{}, err
	}
	return done("/console/clients", "Deleted %s.", id), nil
}
