package authz

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// ClientStore keeps the registered clients. Each change is one transaction,
// which stores the change's event and tells the other nodes.
type ClientStore interface {
	// Client returns the client with the id, or ErrNotFound.
	Client(ctx context.Context, id string) (Client, error)
	// InsertClient stores a new client; ErrConflict means that the id is taken.
	InsertClient(ctx context.Context, client Client, event Event) error
	// UpdateClient stores the client if its version is still client.Version,
	// and raises it; ErrConflict means that it is not. ended, unless it is
	// zero, is a status-list entry that ends in the same transaction.
	UpdateClient(ctx context.Context, client Client, ended StatusRef, event Event) error
	// DeleteClient deletes the client, or returns ErrNotFound.
	DeleteClient(ctx context.Context, id string, event Event) error
	// ListClients returns clients from the newest to the oldest.
	ListClients(ctx context.Context, page Page) ([]Client, error)
}

// Clients administers the registered clients. Expected failures are *Error.
type Clients struct {
	Settings
	Store ClientStore
	// Lookup says which resources exist.
	Lookup   *Registry
	Indexes  *Indexes
	Sessions *Sessions
	Now      func() time.Time
	// Actor and Device are stored with every event: who, and from where.
	Actor  string
	Device Device
	// Unchanged, unless zero, is the version that a client must have for a change
	// to be made; otherwise its error has code Changed.
	Unchanged int64
}

// By returns a copy of c for the changes of an actor.
func (c Clients) By(actor string, device Device) *Clients {
	c.Actor, c.Device = actor, device
	return &c
}

// If returns a copy of c whose changes are made only to that version of the
// client.
func (c Clients) If(version int64) *Clients {
	c.Unchanged = version
	return &c
}

// Create registers client and, if it proves itself by one, returns its secret,
// which is stored as a hash alone and never shown again. An empty ID gets a random
// one. The error has code InvalidInput or Conflict.
func (c *Clients) Create(ctx context.Context, client Client) (Client, Secret, error) {
	client, secret, err := c.prepare(ctx, client)
	if err != nil {
		return Client{}, "", err
	}
	if client.Status, err = c.status(ctx, client); err != nil {
		return Client{}, "", err
	}
	err = c.Store.InsertClient(ctx, client, c.event(EventClientCreated, Client{}, client))
	if err != nil {
		return Client{}, "", fmt.Errorf("create client: %w", named(err, "client", client.ID))
	}
	c.Lookup.Invalidate()
	return client, secret, nil
}

// event returns what is stored beside a change of before to after.
func (c *Clients) event(kind EventKind, before, after Client) Event {
	event := NewEvent(kind, c.now())
	event.ClientID, event.Actor, event.Device, event.Changes = after.ID, c.Actor, c.Device, after.differences(before)
	return event
}

// NewClientSecret returns a random client secret, for a client that is created
// with its hash.
func NewClientSecret() Secret { return newSecret(clientSecretTag) }

// prepare completes and validates a new client. A client that brings the hash
// of a secret keeps it and gets no other.
func (c *Clients) prepare(ctx context.Context, client Client) (Client, Secret, error) {
	if client.ID == "" {
		client.ID = "cl_" + strings.ToLower(rand.Text())
	}
	if err := c.validate(ctx, client); err != nil {
		return Client{}, "", err
	}
	client.CreatedAt = c.now()
	client.UpdatedAt, client.TokensNotBefore, client.Version = client.CreatedAt, client.CreatedAt, 1
	var secret Secret
	if client.HasSecret() && len(client.Secrets) == 0 {
		secret = NewClientSecret()
		client.Secrets = []ClientSecret{{Hash: HashSecret(secret), CreatedAt: client.CreatedAt}}
	}
	return client, secret, nil
}

// status returns a fresh status-list entry for the tokens that the client gets
// for itself; a client that gets none has none.
func (c *Clients) status(ctx context.Context, client Client) (StatusRef, error) {
	if client.Public() || client.Origin == OriginDocument {
		return StatusRef{}, nil
	}
	return c.Indexes.Client(ctx)
}

// validate checks the client by itself and against the resources there are.
func (c *Clients) validate(ctx context.Context, client Client) error {
	if err := client.Validate(); err != nil {
		return err
	}
	problems := client.Refresh.Over(c.Refresh).Problems()
	for _, name := range slices.Sorted(maps.Keys(problems)) {
		return invalidInput("%s %s", name, problems[name])
	}
	var defined Scope
	for _, uri := range client.resources(c.Issuer) {
		resource, err := c.Lookup.Resource(ctx, uri)
		if errors.Is(err, ErrNotFound) {
			return invalidInput("resource %q is not registered", uri)
		}
		if err != nil {
			return err
		}
		defined = append(defined, resource.scope()...)
	}
	for _, token := range client.Scope {
		if !defined.Has(token) {
			return invalidInput("scope %q is defined by none of the client's resources", token)
		}
	}
	return nil
}

// Find returns the client with the id. The error has code NotFound.
func (c *Clients) Find(ctx context.Context, id string) (Client, error) {
	var client Client
	err := ErrNotFound
	if validClientID(id) {
		client, err = c.Store.Client(ctx, id)
	}
	if err != nil {
		return Client{}, fmt.Errorf("find client: %w", named(err, "client", id))
	}
	return client, nil
}

// List returns clients from the newest to the oldest.
func (c *Clients) List(ctx context.Context, page Page) ([]Client, error) {
	clients, err := c.Store.ListClients(ctx, page)
	if err != nil {
		return nil, fmt.Errorf("list clients: %w", err)
	}
	return clients, nil
}

// Update lets edit change the client and stores the result; an error of edit is
// returned and changes nothing. A client that becomes disabled loses its
// sessions, in batches, after the flag is stored, and its status-list entry
// together with it; one that is enabled again gets another entry.
func (c *Clients) Update(ctx context.Context, id string, edit func(*Client) error) (Client, error) {
	return c.update(ctx, id, EventClientChanged, edit)
}

func (c *Clients) update(ctx context.Context, id string, kind EventKind, edit func(*Client) error) (Client, error) {
	before, err := c.Find(ctx, id)
	if err != nil {
		return Client{}, err
	}
	if c.Unchanged != 0 && before.Version != c.Unchanged {
		return Client{}, ErrChanged
	}
	after := before.clone()
	if err := edit(&after); err != nil {
		return Client{}, err
	}
	after.ID, after.Version, after.UpdatedAt = before.ID, before.Version, c.now()
	if err := c.checkUpdate(ctx, before, after); err != nil {
		return Client{}, err
	}
	if err := c.store(ctx, kind, before, &after); err != nil {
		return Client{}, err
	}
	if !after.DisabledAt.IsZero() {
		err = c.endSessions(ctx, id, CauseClientDisabled) // again, if it was interrupted the last time
	}
	return after, err
}

// checkUpdate says whether before may become after.
func (c *Clients) checkUpdate(ctx context.Context, before, after Client) error {
	// A client that is only disabled, or given another secret, need not be
	// valid by today's rules: that must work in any case.
	unchanged := after
	unchanged.Secrets = before.Secrets
	if !unchanged.same(before) {
		if err := c.validate(ctx, after); err != nil {
			return err
		}
	}
	if after.Origin == OriginDocument {
		return nil
	}
	if after.Public() != before.Public() {
		return invalidInput("a client cannot change between public and confidential")
	}
	if after.HasSecret() != before.HasSecret() {
		return invalidInput("a client cannot change between a secret and keys")
	}
	return nil
}

// store writes what before has become, and raises its version. A change that
// changes nothing is none.
func (c *Clients) store(ctx context.Context, kind EventKind, before Client, after *Client) (err error) {
	if after.same(before) && after.DisabledAt.Equal(before.DisabledAt) {
		*after = before
		return nil
	}
	event := c.event(kind, before, *after)
	var ended StatusRef
	if !before.DisabledAt.IsZero() || !after.DisabledAt.IsZero() {
		ended = before.Status
	}
	if !before.DisabledAt.IsZero() && after.DisabledAt.IsZero() {
		// Nothing of before may come alive again.
		if err := c.endSessions(ctx, after.ID, CauseClientDisabled); err != nil {
			return err
		}
		after.TokensNotBefore = c.now()
		if after.Status, err = c.status(ctx, *after); err != nil {
			return err
		}
	}
	err = c.Store.UpdateClient(ctx, *after, ended, event)
	if errors.Is(err, ErrConflict) && c.Unchanged != 0 {
		return ErrChanged
	}
	if errors.Is(err, ErrConflict) {
		return &Error{Code: Conflict, Description: fmt.Sprintf("client %q was changed meanwhile", after.ID), Err: err}
	}
	if err != nil {
		return fmt.Errorf("update client: %w", named(err, "client", after.ID))
	}
	c.Lookup.Invalidate()
	after.Version++
	return nil
}

func (c *Clients) endSessions(ctx context.Context, id string, cause Cause) error {
	_, err := c.Sessions.End(ctx, Ending{ClientID: id, Cause: cause, Actor: c.Actor, Device: c.Device})
	return err
}

// clone returns a copy that shares no slice with c.
func (c Client) clone() Client {
	c.Secrets, c.GrantTypes, c.Scope = slices.Clone(c.Secrets), slices.Clone(c.GrantTypes), slices.Clone(c.Scope)
	c.Resources, c.AllowedOrigins = slices.Clone(c.Resources), slices.Clone(c.AllowedOrigins)
	c.RedirectURIs, c.PostLogoutRedirectURIs = slices.Clone(c.RedirectURIs), slices.Clone(c.PostLogoutRedirectURIs)
	return c
}

// maxOverlap bounds how long a replaced secret stays good.
const maxOverlap = 90 * 24 * time.Hour

// RotateSecret gives the client a new secret, which it returns. The newest of
// the old ones stays good for overlap.
func (c *Clients) RotateSecret(ctx context.Context, id string, overlap time.Duration) (Client, Secret, error) {
	if overlap < 0 || overlap > maxOverlap {
		return Client{}, "", invalidInput("overlap %s: want 0 to %s", overlap, maxOverlap)
	}
	secret := NewClientSecret()
	client, err := c.update(ctx, id, EventSecretRotated, func(client *Client) error {
		if !client.HasSecret() {
			return invalidInput("client %q has no secret", id)
		}
		client.replaceSecret(HashSecret(secret), overlap, c.now())
		return nil
	})
	if err != nil {
		return Client{}, "", err
	}
	return client, secret, nil
}

// replaceSecret makes hash that of the newest secret; the one before stays good
// for overlap, any other goes.
func (c *Client) replaceSecret(hash Hash, overlap time.Duration, now time.Time) {
	secrets := []ClientSecret{{Hash: hash, CreatedAt: now}}
	if len(c.Secrets) > 0 && overlap > 0 {
		old := c.Secrets[0]
		if end := now.Add(overlap); old.ExpiresAt.IsZero() || end.Before(old.ExpiresAt) {
			old.ExpiresAt = end
		}
		secrets = append(secrets, old)
	}
	c.Secrets = secrets
}

// Delete ends the client's sessions and deletes it. Sessions end first, so
// that a failure in between leaves nothing alive without its client.
func (c *Clients) Delete(ctx context.Context, id string) error {
	client, err := c.Update(ctx, id, func(client *Client) error {
		client.DisabledAt = c.now()
		return nil
	})
	if err != nil {
		return err
	}
	event := c.event(EventClientDeleted, client, Client{ID: id})
	event.Changes = nil // its name is enough
	event.Detail = validText(client.Name)
	if err := c.Store.DeleteClient(ctx, id, event); err != nil {
		return fmt.Errorf("delete client: %w", named(err, "client", id))
	}
	c.Lookup.Invalidate()
	// A login may have been under way while the client was still there.
	return c.endSessions(ctx, id, CauseClientDeleted)
}

func (c *Clients) now() time.Time { return kept(c.Now) }

// LongestIdleTTL returns the longest time for which any client's session may
// go unused: so long a refresh token can stay good after it was issued.
func (c *Clients) LongestIdleTTL(ctx context.Context) (time.Duration, error) {
	longest := c.Refresh.IdleTTL
	page := Page{Limit: 500}
	for {
		clients, err := c.List(ctx, page)
		if err != nil || len(clients) == 0 {
			return longest, err
		}
		for _, client := range clients {
			longest = max(longest, client.Refresh.Over(c.Refresh).IdleTTL)
			page.After, page.AfterID = client.CreatedAt, client.ID
		}
	}
}
