package authz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ResourceStore keeps the registered resources. Each change is one
// transaction, which stores the change's event and tells the other nodes.
type ResourceStore interface {
	// InsertResource stores a new resource; ErrConflict means that the URI is
	// taken.
	InsertResource(ctx context.Context, resource Resource, event Event) error
	// UpdateResource stores the resource if it was last changed at before;
	// ErrConflict means that it was not.
	UpdateResource(ctx context.Context, resource Resource, before time.Time, event Event) error
	// DeleteResource deletes the resource if it was last changed at before, or
	// at any time if that is zero; ErrNotFound means that there is none such.
	DeleteResource(ctx context.Context, uri string, before time.Time, event Event) error
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
	// Actor and Device are stored with every event: who, and from where.
	Actor  string
	Device Device
	// Unchanged, unless zero, is when what is deleted must have been changed last.
	Unchanged time.Time
}

// By returns a copy of r for the changes of an actor.
func (r Resources) By(actor string, device Device) *Resources {
	r.Actor, r.Device = actor, device
	return &r
}

// If returns a copy of r that deletes only what was last changed at that time;
// otherwise the error has code Changed.
func (r Resources) If(unchanged time.Time) *Resources {
	r.Unchanged = unchanged
	return &r
}

// event returns what is stored beside a change of before to after.
func (r *Resources) event(kind EventKind, before, after Resource) Event {
	event := NewEvent(kind, kept(r.Now))
	event.Target, event.Actor, event.Device, event.Changes = after.URI, r.Actor, r.Device, after.differences(before)
	return event
}

// Create registers a resource. An empty algorithm stands for the default one.
// The error has code InvalidInput or Conflict.
func (r *Resources) Create(ctx context.Context, resource Resource) (Resource, error) {
	resource, err := r.prepare(resource)
	if err != nil {
		return Resource{}, err
	}
	err = r.Store.InsertResource(ctx, resource, r.event(EventResourceCreated, Resource{}, resource))
	if err != nil {
		return Resource{}, fmt.Errorf("create resource: %w", named(err, "resource", resource.URI))
	}
	r.Lookup.Invalidate()
	return resource, nil
}

// Find returns a resource, the server's own too. The error has code NotFound.
func (r *Resources) Find(ctx context.Context, uri string) (Resource, error) {
	resource, err := r.Lookup.Resource(ctx, uri)
	if err != nil {
		return Resource{}, fmt.Errorf("find resource: %w", named(err, "resource", uri))
	}
	return resource, nil
}

// Update lets edit change the resource and stores the result; an error of edit
// is returned and changes nothing. Its URI stays, as do the server's own
// resources. The error has code InvalidInput, NotFound or Conflict.
func (r *Resources) Update(ctx context.Context, uri string, edit func(*Resource) error) (Resource, error) {
	r.Lookup.Invalidate() // what another node changed a moment ago is changed here
	before, err := r.Find(ctx, uri)
	if err != nil {
		return Resource{}, err
	}
	after := before
	after.Scopes = slices.Clone(before.Scopes)
	if err := edit(&after); err != nil {
		return Resource{}, err
	}
	after.URI = uri
	if after, err = r.prepare(after); err != nil {
		return Resource{}, err
	}
	after.CreatedAt = before.CreatedAt
	if !after.UpdatedAt.After(before.UpdatedAt) {
		after.UpdatedAt = before.UpdatedAt.Add(time.Millisecond) // which tells two changes apart
	}
	event := r.event(EventResourceChanged, before, after)
	if len(event.Changes) == 0 {
		return before, nil
	}
	err = r.Store.UpdateResource(ctx, after, before.UpdatedAt, event)
	r.Lookup.Invalidate()
	if errors.Is(err, ErrConflict) {
		return Resource{}, &Error{Code: Conflict, Description: fmt.Sprintf("resource %q was changed meanwhile", uri), Err: err}
	}
	if err != nil {
		return Resource{}, fmt.Errorf("update resource: %w", named(err, "resource", uri))
	}
	return after, nil
}

func (r *Resources) prepare(resource Resource) (Resource, error) {
	if resource.Algorithm == "" {
		resource.Algorithm = SigningAlgorithms()[0]
	}
	if err := resource.Validate(); err != nil {
		return Resource{}, err
	}
	if r.builtin(resource.URI) {
		return Resource{}, errBuiltin(resource.URI)
	}
	resource.CreatedAt = kept(r.Now)
	resource.UpdatedAt = resource.CreatedAt
	return resource, nil
}

// builtin reports whether the resource is one of the server's own.
func (r *Resources) builtin(uri string) bool {
	return slices.ContainsFunc(builtinResources(r.Issuer), func(b Resource) bool { return b.URI == uri })
}

func errBuiltin(uri string) error { return invalidInput("resource %q is the server's own", uri) }

// List returns all resources, the server's own first.
func (r *Resources) List(ctx context.Context) ([]Resource, error) { return r.Lookup.Resources(ctx) }

// maxNamedClients bounds how many clients an error message names.
const maxNamedClients = 5

// Delete removes a resource that no client names any more. The error has code
// NotFound or Conflict.
func (r *Resources) Delete(ctx context.Context, uri string) error {
	if r.builtin(uri) {
		return errBuiltin(uri)
	}
	users, err := r.Store.ResourceClients(ctx, uri, maxNamedClients)
	if err != nil {
		return fmt.Errorf("clients of resource: %w", err)
	}
	if len(users) > 0 {
		return fail(Conflict, fmt.Sprintf("resource %q is still named by clients %q", uri, users))
	}
	event := NewEvent(EventResourceDeleted, kept(r.Now))
	event.Target, event.Actor, event.Device = uri, r.Actor, r.Device
	err = r.Store.DeleteResource(ctx, uri, r.Unchanged, event)
	if errors.Is(err, ErrNotFound) && !r.Unchanged.IsZero() {
		return ErrChanged
	}
	if err != nil {
		return fmt.Errorf("delete resource: %w", named(err, "resource", uri))
	}
	r.Lookup.Invalidate()
	return nil
}
