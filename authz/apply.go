package authz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Declaration is what a file declares: these clients, resources and users
// shall be so. Nothing absent from it is deleted.
type Declaration struct {
	Resources []Resource
	Clients   []Client
	Users     []NewUser
}

// ApplyChanges is what a declaration comes to, carried out in one transaction.
type ApplyChanges struct {
	// Registrations is the version of the registrations that the changes were
	// planned on.
	Registrations   int64
	InsertResources []Resource
	UpdateResources []Resource
	InsertClients   []Client
	UpdateClients   []Client
	InsertUsers     []User
	UpdateUsers     []UserUpdate
	// Events are those of all changes but UpdateUsers.
	Events []Event
}

// UserUpdate sets what a declaration decides of a user that exists.
type UserUpdate struct {
	UserChange
	Roles []string
	// NewEmail says that the address changes, to these values of User.
	NewEmail        bool
	Email           string
	EmailName       string
	EmailVerifiedAt time.Time
}

// ApplyStore carries out a declaration.
type ApplyStore interface {
	// Registrations returns a number that rises with every change of clients
	// and resources.
	Registrations(ctx context.Context) (int64, error)
	// Apply carries out all changes or none. ErrConflict means that the
	// registrations have changed since they were read, or a name is taken.
	Apply(ctx context.Context, changes ApplyChanges) error
}

// Applier makes the database agree with a declaration.
type Applier struct {
	Store     ApplyStore
	Resources *Resources
	Clients   *Clients
	Users     *Users
}

// AppliedChange is one line of what Apply did or would do.
type AppliedChange struct {
	// Action is "create" or "update".
	Action string
	// Kind is "resource", "client" or "user".
	Kind string
	Name string
	// Secret is the new secret of a created confidential client for which the
	// declaration brought none.
	Secret Secret
}

// Apply plans the changes that the declaration needs and, unless dryRun, makes
// them in one transaction. Applying the same declaration again changes
// nothing: password and must-change are used only for a user that does not
// exist yet.
func (a *Applier) Apply(ctx context.Context, declared Declaration, dryRun bool) ([]AppliedChange, error) {
	if err := declared.checkTwice(); err != nil {
		return nil, err
	}
	version, err := a.Store.Registrations(ctx)
	if err != nil {
		return nil, fmt.Errorf("registrations: %w", err)
	}
	plan := &applyPlan{applier: a, changes: ApplyChanges{Registrations: version}}
	if err := plan.resources(ctx, declared.Resources); err != nil {
		return nil, err
	}
	if err := plan.clients(ctx, declared.Clients); err != nil {
		return nil, err
	}
	if err := plan.users(ctx, declared.Users); err != nil {
		return nil, err
	}
	if dryRun || len(plan.lines) == 0 {
		return plan.lines, nil
	}
	for i := range plan.changes.InsertClients {
		client := &plan.changes.InsertClients[i]
		if client.Status, err = a.Clients.status(ctx, *client); err != nil {
			return nil, err
		}
	}
	if err := a.Store.Apply(ctx, plan.changes); err != nil {
		return nil, fmt.Errorf("apply: %w", err)
	}
	return plan.lines, nil
}

// checkTwice refuses a declaration that says two things of one name.
func (d Declaration) checkTwice() error {
	seen := map[string]bool{}
	check := func(kind, name string) error {
		if seen[kind+name] {
			return invalidInput("%s %q is declared twice", kind, name)
		}
		seen[kind+name] = true
		return nil
	}
	var problems []error
	for _, resource := range d.Resources {
		problems = append(problems, check("resource", resource.URI))
	}
	for _, client := range d.Clients {
		problems = append(problems, check("client", client.ID))
	}
	for _, user := range d.Users {
		name, err := NormalizeName(user.Username)
		problems = append(problems, err, check("user", name))
	}
	return errors.Join(problems...)
}

type applyPlan struct {
	applier *Applier
	changes ApplyChanges
	lines   []AppliedChange
}

func (p *applyPlan) event(e Event) { p.changes.Events = append(p.changes.Events, e) }

func (p *applyPlan) line(action, kind, name string, secret Secret) {
	p.lines = append(p.lines, AppliedChange{Action: action, Kind: kind, Name: name, Secret: secret})
}

func (p *applyPlan) resources(ctx context.Context, declared []Resource) error {
	for _, resource := range declared {
		resource, err := p.applier.Resources.prepare(resource)
		if err != nil {
			return err
		}
		existing, err := p.applier.Resources.Lookup.Resource(ctx, resource.URI)
		switch {
		case errors.Is(err, ErrNotFound):
			p.changes.InsertResources = append(p.changes.InsertResources, resource)
			p.event(p.applier.Resources.event(EventResourceCreated, Resource{}, resource))
			p.line("create", "resource", resource.URI, "")
		case err != nil:
			return err
		case !existing.same(resource):
			resource.CreatedAt = existing.CreatedAt
			p.changes.UpdateResources = append(p.changes.UpdateResources, resource)
			p.event(p.applier.Resources.event(EventResourceChanged, existing, resource))
			p.line("update", "resource", resource.URI, "")
		}
	}
	return nil
}

// same reports whether two registrations of a resource agree.
func (r Resource) same(o Resource) bool {
	return r.Name == o.Name && r.Algorithm == o.Algorithm && r.AccessTokenTTL == o.AccessTokenTTL &&
		slices.EqualFunc(r.Scopes, o.Scopes, func(a, b ResourceScope) bool { return a.Name == b.Name && slices.Equal(a.Roles, b.Roles) })
}

// clients plans the declared clients against the resources as they will be.
func (p *applyPlan) clients(ctx context.Context, declared []Client) error {
	clients := *p.applier.Clients
	clients.Lookup = p.applier.Resources.Lookup.with(append(slices.Clone(p.changes.InsertResources), p.changes.UpdateResources...))
	for _, client := range declared {
		existing, err := p.applier.Clients.Store.Client(ctx, client.ID)
		if errors.Is(err, ErrNotFound) {
			created, secret, err := clients.prepare(ctx, client)
			if err != nil {
				return err
			}
			p.changes.InsertClients = append(p.changes.InsertClients, created)
			p.event(clients.event(EventClientCreated, Client{}, created))
			p.line("create", "client", created.ID, secret)
			continue
		}
		if err != nil {
			return fmt.Errorf("client: %w", err)
		}
		client = client.declaredOver(existing, clients.now())
		if client.same(existing) {
			continue
		}
		if err := clients.validate(ctx, client); err != nil {
			return err
		}
		if client.Public() != existing.Public() {
			return invalidInput("client %q cannot change between public and confidential", client.ID)
		}
		client.UpdatedAt = clients.now()
		p.changes.UpdateClients = append(p.changes.UpdateClients, client)
		p.event(clients.event(EventClientChanged, existing, client))
		p.line("update", "client", client.ID, "")
	}
	return nil
}

// declaredOverlap is how long a secret stays good that a declaration replaces.
const declaredOverlap = 24 * time.Hour

// declaredOver returns c with what a declaration does not decide taken from
// the existing client. A declared secret replaces the newest one, which stays
// good for declaredOverlap.
func (c Client) declaredOver(existing Client, now time.Time) Client {
	c.TokensNotBefore = existing.TokensNotBefore
	c.Status, c.DisabledAt, c.CreatedAt, c.UpdatedAt, c.Version = existing.Status, existing.DisabledAt, existing.CreatedAt, existing.UpdatedAt, existing.Version
	declared := c.Secrets
	c.Secrets = existing.Secrets
	if len(declared) > 0 && (len(existing.Secrets) == 0 || existing.Secrets[0].Hash != declared[0].Hash) {
		c.replaceSecret(declared[0].Hash, declaredOverlap, now)
	}
	return c
}

// same reports whether two registrations of a client agree.
func (c Client) same(o Client) bool {
	sameSecrets := slices.EqualFunc(c.Secrets, o.Secrets, func(a, b ClientSecret) bool { return a.Hash == b.Hash })
	return sameSecrets && c.Name == o.Name && c.AuthMethod == o.AuthMethod && c.FirstParty == o.FirstParty && c.Introspect == o.Introspect &&
		c.CookieDelivery == o.CookieDelivery && c.EmailVerificationURI == o.EmailVerificationURI && c.PasswordResetURI == o.PasswordResetURI &&
		slices.Equal(c.GrantTypes, o.GrantTypes) && slices.Equal(c.Scope, o.Scope) && slices.Equal(c.Resources, o.Resources) &&
		slices.Equal(c.AllowedOrigins, o.AllowedOrigins) && c.Refresh.same(o.Refresh) &&
		slices.Equal(c.RedirectURIs, o.RedirectURIs) && slices.Equal(c.PostLogoutRedirectURIs, o.PostLogoutRedirectURIs) &&
		c.BackchannelLogoutURI == o.BackchannelLogoutURI && c.IDTokenAlgorithm == o.IDTokenAlgorithm && c.PKCEOptional == o.PKCEOptional &&
		c.JWKS == o.JWKS && c.JWKSURI == o.JWKSURI && c.DPoPBound == o.DPoPBound
}

func (o RefreshOverrides) same(p RefreshOverrides) bool {
	return equalPointers(o.IdleTTL, p.IdleTTL) && equalPointers(o.AbsoluteTTL, p.AbsoluteTTL) && equalPointers(o.Leeway, p.Leeway) &&
		equalPointers(o.LostResponseWindow, p.LostResponseWindow) && equalPointers(o.LostResponseBudget, p.LostResponseBudget)
}

func equalPointers[T comparable](a, b *T) bool {
	return (a == nil) == (b == nil) && (a == nil || *a == *b)
}

func (p *applyPlan) users(ctx context.Context, declared []NewUser) error {
	users := p.applier.Users
	for _, n := range declared {
		existing, err := users.Find(ctx, n.Username)
		if CodeOf(err) == NotFound {
			if n.Password == "" {
				return invalidInput("user %q does not exist yet and needs a password_file", n.Username)
			}
			user, err := users.prepare(ctx, n)
			if err != nil {
				return err
			}
			p.changes.InsertUsers = append(p.changes.InsertUsers, user)
			event := users.change(EventUserCreated, user.ID).Event
			event.Changes = user.differences(User{})
			p.event(event)
			p.line("create", "user", n.Username, "")
			continue
		}
		if err != nil {
			return err
		}
		roles, err := validateRoles(n.Roles)
		if err != nil {
			return err
		}
		after := existing
		if n.Email != "" && n.Email != existing.Email {
			if err := after.setNames(existing.Username, n.Email); err != nil {
				return fmt.Errorf("user %q: %w", n.Username, err)
			}
		}
		if existing.SelfRegistered && len(roles) > 0 && !slices.Equal(roles, existing.Roles) {
			// The name may have had another owner when the file was written.
			return invalidInput("user %q has registered by itself: give it roles with \"users set-roles\"", n.Username)
		}
		newEmail := after.Email != existing.Email
		if !slices.Equal(roles, existing.Roles) || newEmail {
			if after.EmailName == existing.EmailName {
				after.EmailVerifiedAt = existing.EmailVerifiedAt
			}
			update := UserUpdate{
				UserChange: users.change(EventUserChanged, existing.ID), Roles: roles, NewEmail: newEmail,
				Email: after.Email, EmailName: after.EmailName, EmailVerifiedAt: after.EmailVerifiedAt,
			}
			after.Roles = roles
			update.Event.Changes = after.differences(existing)
			p.changes.UpdateUsers = append(p.changes.UpdateUsers, update)
			p.line("update", "user", n.Username, "")
		}
	}
	return nil
}

// with returns a registry that knows resources besides what r reads, and
// caches nothing.
func (r *Registry) with(resources []Resource) *Registry {
	return NewRegistry(r.issuer, overlayStore{RegistrationStore: r.store, resources: resources}, func() bool { return false })
}

// overlayStore lays resources that are about to be stored over a store.
type overlayStore struct {
	RegistrationStore
	resources []Resource
}

// Resources returns the stored resources and those laid over them.
func (o overlayStore) Resources(ctx context.Context) ([]Resource, error) {
	stored, err := o.RegistrationStore.Resources(ctx)
	if err != nil {
		return nil, err
	}
	return append(stored, o.resources...), nil
}
