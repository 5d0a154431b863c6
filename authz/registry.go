package authz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"
)

// RegistrationStore is where the registry reads clients and resources from.
type RegistrationStore interface {
	// Client returns the client with the id, or ErrNotFound.
	Client(ctx context.Context, id string) (Client, error)
	// Resources returns all registered resources by URI.
	Resources(ctx context.Context) ([]Resource, error)
	// AllowedOrigins returns the union of all clients' web origins.
	AllowedOrigins(ctx context.Context) ([]string, error)
}

// Registry answers from memory which clients and resources there are. What it
// holds is dropped by Invalidate, and not used at all while Fresh says that
// changes could go unheard. Its memory is bounded; it is safe for concurrent
// use.
type Registry struct {
	issuer string
	store  RegistrationStore
	fresh  func() bool
	// epoch is part of every cache key, so that a value read before an
	// invalidation cannot be found after it.
	epoch   atomic.Uint64
	clients *otter.Cache[clientKey, *Client]
	// shared is what was loaded last, flight the load under way.
	shared atomic.Pointer[registrations]
	flight singleflight.Group
}

type clientKey struct {
	epoch uint64
	id    string
}

// registrations is what the registry keeps as a whole.
type registrations struct {
	epoch     uint64
	resources []Resource
	byURI     map[string]Resource
	origins   []string
}

const maxCachedClients = 10_000

// NewRegistry returns a registry that reads from store. fresh reports whether
// changes of other nodes are being heard; nil stands for always.
func NewRegistry(issuer string, store RegistrationStore, fresh func() bool) *Registry {
	if fresh == nil {
		fresh = func() bool { return true }
	}
	return &Registry{
		issuer: issuer, store: store, fresh: fresh,
		clients: otter.Must(&otter.Options[clientKey, *Client]{MaximumSize: maxCachedClients}),
	}
}

// Invalidate drops everything, because a registration has changed.
func (r *Registry) Invalidate() { r.epoch.Add(1) }

// Client returns the client with the id. The error is ErrNotFound, or what
// the store answered.
func (r *Registry) Client(ctx context.Context, id string) (Client, error) {
	if !validClientID(id) {
		return Client{}, ErrNotFound
	}
	load := otter.LoaderFunc[clientKey, *Client](func(ctx context.Context, key clientKey) (*Client, error) {
		client, err := r.store.Client(ctx, key.id)
		if errors.Is(err, ErrNotFound) {
			return nil, nil // an unknown id is remembered as nil
		}
		return &client, err
	})
	key := clientKey{epoch: r.epoch.Load(), id: id}
	get := r.clients.Get
	if !r.fresh() {
		get = func(ctx context.Context, key clientKey, _ otter.Loader[clientKey, *Client]) (*Client, error) {
			return load(ctx, key)
		}
	}
	client, err := get(ctx, key, load)
	if err != nil {
		return Client{}, fmt.Errorf("client: %w", err)
	}
	if client == nil {
		return Client{}, ErrNotFound
	}
	return *client, nil
}

// Resource returns the resource with the URI, built in or registered. The
// error is ErrNotFound, or what the store answered.
func (r *Registry) Resource(ctx context.Context, uri string) (Resource, error) {
	all, err := r.all(ctx)
	if err != nil {
		return Resource{}, err
	}
	resource, ok := all.byURI[uri]
	if !ok {
		return Resource{}, ErrNotFound
	}
	return resource, nil
}

// Resources returns all resources, the built-in ones first.
func (r *Registry) Resources(ctx context.Context) ([]Resource, error) {
	all, err := r.all(ctx)
	if err != nil {
		return nil, err
	}
	return all.resources, nil
}

// Registered returns the registered resources, without the built-in ones.
func (r *Registry) Registered(ctx context.Context) ([]Resource, error) {
	all, err := r.all(ctx)
	if err != nil {
		return nil, err
	}
	return all.resources[len(builtinResources(r.issuer)):], nil
}

// OriginAllowed reports whether any client allows the web origin; a request
// itself is then checked against its own client.
func (r *Registry) OriginAllowed(ctx context.Context, origin string) (bool, error) {
	all, err := r.all(ctx)
	if err != nil {
		return false, err
	}
	return slices.Contains(all.origins, origin), nil
}

func (r *Registry) all(ctx context.Context) (*registrations, error) {
	if !r.fresh() {
		return r.load(ctx)
	}
	epoch := r.epoch.Load()
	if all := r.shared.Load(); all != nil && all.epoch == epoch {
		return all, nil
	}
	loaded, err, others := r.flight.Do(strconv.FormatUint(epoch, 10), func() (any, error) {
		all, err := r.load(ctx)
		if err == nil {
			all.epoch = epoch
			r.shared.Store(all)
		}
		return all, err
	})
	if err != nil && others && ctx.Err() == nil {
		return r.load(ctx) // it may be another's request that was given up
	}
	if err != nil {
		return nil, err
	}
	return loaded.(*registrations), nil //nolint:forcetypeassert // it is what the function above returns
}

func (r *Registry) load(ctx context.Context) (*registrations, error) {
	registered, err := r.store.Resources(ctx)
	if err != nil {
		return nil, fmt.Errorf("resources: %w", err)
	}
	origins, err := r.store.AllowedOrigins(ctx)
	if err != nil {
		return nil, fmt.Errorf("allowed origins: %w", err)
	}
	all := &registrations{resources: append(builtinResources(r.issuer), registered...), byURI: map[string]Resource{}, origins: origins}
	for _, resource := range all.resources {
		all.byURI[resource.URI] = resource
	}
	return all, nil
}

// LongestTokenTTL returns the greatest lifetime that any access token can have
// now, where other is that of resources which set none.
func (r *Registry) LongestTokenTTL(ctx context.Context, other time.Duration) (time.Duration, error) {
	all, err := r.all(ctx)
	if err != nil {
		return 0, err
	}
	longest := other
	for _, resource := range all.resources {
		longest = max(longest, resource.AccessTokenTTL)
	}
	return longest, nil
}
