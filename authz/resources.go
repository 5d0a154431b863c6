package authz

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// ResourceStore keeps the registered resources. Each change tells the other
// nodes.
type ResourceStore interface {
	// InsertResource stores a new resource; ErrConflict means that the URI is
	// taken.
	InsertResource(ctx context.Context, resource Resource) error
	// DeleteResource deletes the resource, or returns ErrNotFound.
	DeleteResource(ctx context.Context, uri string) error
	// ResourceClients returns the ids of at most limit clients that name the
	// resource.
	ResourceClients(ctx context.Context, uri string, limit int) ([]string, error)
}

// Resources administers the registered resources. Expected failures are
// *Error.
type Resources struct {
	Issuer string
	Store  ResourceStore
	Lookup *Registry
	Now    func() time.Time
}

// Create registers a resource. An empty algorithm stands for the default one.
// The error has code InvalidInput or Conflict.
func (r *Resources) Create(ctx context.Context, resource Resource) (Resource, error) {
	resource, err := r.prepare(resource)
	if err != nil {
		return Resource{}, err
	}
	if err := r.Store.InsertResource(ctx, resource); err != nil {
		return Resource{}, fmt.Errorf("create resource: %w", named(err, "resource", resource.URI))
	}
	return resource, nil
}

func (r *Resources) prepare(resource Resource) (Resource, error) {
	if resource.Algorithm == "" {
		resource.Algorithm = SigningAlgorithms()[0]
	}
	if err := resource.Validate(); err != nil {
		return Resource{}, err
	}
	isBuiltin := func(b Resource) bool { return b.URI == resource.URI }
	if slices.ContainsFunc(builtinResources(r.Issuer), isBuiltin) {
		return Resource{}, invalidInput("resource %q is the server's own", resource.URI)
	}
	resource.CreatedAt = kept(r.Now)
	resource.UpdatedAt = resource.CreatedAt
	return resource, nil
}

// List returns all resources, the server's own first.
func (r *Resources) List(ctx context.Context) ([]Resource, error) { return r.Lookup.Resources(ctx) }

// maxNamedClients bounds how many clients an error message names.
const maxNamedClients = 5

// Delete removes a resource that no client names any more. The error has code
// NotFound or Conflict.
func (r *Resources) Delete(ctx context.Context, uri string) error {
	users, err := r.Store.ResourceClients(ctx, uri, maxNamedClients)
	if err != nil {
		return fmt.Errorf("clients of resource: %w", err)
	}
	if len(users) > 0 {
		return fail(Conflict, fmt.Sprintf("resource %q is still named by clients %q", uri, users))
	}
	if err := r.Store.DeleteResource(ctx, uri); err != nil {
		return fmt.Errorf("delete resource: %w", named(err, "resource", uri))
	}
	return nil
}
