package admin

import (
	"context"
	"net/http"
	"time"

	"chancery/authz"
	"chancery/web/segment"
)

// Resource is a resource server as admins see it.
type Resource struct {
	ID             string          `json:"id" doc:"Names it in paths: the URI in base64url." example:"aHR0cHM6Ly9hcGkuZXhhbXBsZQ"`
	URI            string          `json:"uri" doc:"The audience of its tokens." example:"https://api.example"`
	Name           string          `json:"name,omitempty" example:"Notes"`
	Algorithm      string          `json:"alg" enum:"RS256,EdDSA,ES256" example:"RS256"`
	AccessTokenTTL string          `json:"access_token_ttl,omitempty" doc:"How long its tokens are good; absent for the server's." example:"15m0s"`
	Scopes         []ResourceScope `json:"scopes"`
	Builtin        bool            `json:"builtin" doc:"It is one of the server's own, which stay as they are."`
	CreatedAt      time.Time       `json:"created_at,omitzero"`
	UpdatedAt      time.Time       `json:"updated_at,omitzero"`
}

// ResourceScope is a scope that a resource defines.
type ResourceScope struct {
	Name  string   `json:"name" maxLength:"200" example:"notes:read"`
	Roles []string `json:"roles,omitempty" maxItems:"32" doc:"A user needs one of these; without any every user may have the scope." example:"[\"editor\"]"`
}

// NewResource returns the resource as admins see it.
func NewResource(r authz.Resource) Resource {
	v := Resource{
		ID: segment.OfURI(r.URI), URI: r.URI, Name: r.Name, Algorithm: r.Algorithm, Scopes: []ResourceScope{}, Builtin: r.CreatedAt.IsZero(),
		CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
	if r.AccessTokenTTL > 0 {
		v.AccessTokenTTL = r.AccessTokenTTL.String()
	}
	for _, s := range r.Scopes {
		v.Scopes = append(v.Scopes, ResourceScope(s))
	}
	return v
}

// ResourceChange is what may be said of a resource; what is absent stays as it
// is.
type ResourceChange struct {
	Name           *string          `json:"name,omitempty" maxLength:"200" example:"Notes"`
	Algorithm      *string          `json:"alg,omitempty" enum:"RS256,EdDSA,ES256" doc:"What signs its tokens. RS256 if absent." example:"EdDSA"`
	AccessTokenTTL *string          `json:"access_token_ttl,omitempty" maxLength:"40" doc:"From 1m to 24h; empty for the server's." example:"15m"`
	Scopes         *[]ResourceScope `json:"scopes,omitempty" maxItems:"200"`
}

// Apply makes the change to the resource. The error has code InvalidInput.
func (n ResourceChange) Apply(r *authz.Resource) error {
	set(&r.Name, n.Name)
	set(&r.Algorithm, n.Algorithm)
	if n.AccessTokenTTL != nil {
		ttl, err := authz.ParseDuration("access_token_ttl", *n.AccessTokenTTL)
		if err != nil {
			return err
		}
		r.AccessTokenTTL = 0
		set(&r.AccessTokenTTL, ttl)
	}
	if n.Scopes != nil {
		r.Scopes = nil
		for _, s := range *n.Scopes {
			r.Scopes = append(r.Scopes, authz.ResourceScope{Name: s.Name, Roles: sorted(s.Roles)})
		}
	}
	return nil
}

// ResourcePath names a resource.
type ResourcePath struct {
	ID string `path:"id" maxLength:"700" doc:"The id: the URI in base64url." example:"aHR0cHM6Ly9hcGkuZXhhbXBsZQ"`
}

var errNoResource = &authz.Error{Code: authz.NotFound, Description: "There is no such resource."}

func (p ResourcePath) uri() (string, error) {
	uri, ok := segment.URI(p.ID)
	if !ok || !authz.PlainText(uri) {
		return "", errNoResource
	}
	return uri, nil
}

// resourceOutput is one resource.
type resourceOutput struct {
	Versioned
	Location string `header:"Location"`
	Body     Resource
}

func newResourceOutput(r authz.Resource) *resourceOutput {
	return &resourceOutput{Versioned: Versioned{timeTag(r.UpdatedAt)}, Body: NewResource(r)}
}

func (e *Endpoints) mountResources() {
	const tagName = "Resources"
	type listOutput struct {
		Body struct {
			Items []Resource `json:"items"`
		}
	}
	register(e, operation{id: "listResources", method: http.MethodGet, path: "/resources", tag: tagName, summary: "List the resources, the server's own first"},
		func(ctx context.Context, _ authz.Administrator, _ *none) (*listOutput, error) {
			resources, err := e.Administration.Resources.List(ctx)
			if err != nil {
				return nil, err
			}
			out := &listOutput{}
			out.Body.Items = []Resource{}
			for _, r := range resources {
				out.Body.Items = append(out.Body.Items, NewResource(r))
			}
			return out, nil
		})
	register(e, operation{
		id: "createResource", method: http.MethodPost, path: "/resources", tag: tagName, status: http.StatusCreated, errors: []int{http.StatusConflict},
		summary: "Register a resource",
	}, e.createResource)
	type getInput struct{ ResourcePath }
	register(e, operation{id: "getResource", method: http.MethodGet, path: "/resources/{id}", tag: tagName, summary: "Show a resource", errors: []int{http.StatusNotFound}},
		func(ctx context.Context, _ authz.Administrator, in *getInput) (*resourceOutput, error) {
			r, err := e.resource(ctx, in.ResourcePath)
			if err != nil {
				return nil, err
			}
			return newResourceOutput(r), nil
		})
	changes := []int{http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed}
	register(e, operation{
		id: "updateResource", method: http.MethodPatch, path: "/resources/{id}", tag: tagName, errors: append(changes, http.StatusPreconditionRequired),
		summary: "Change a resource", description: "What is absent stays as it is. Tokens that are out keep what they have.",
	}, e.updateResource)
	type deleteInput struct {
		ResourcePath
		IfMatch
	}
	register(e, operation{
		id: "deleteResource", method: http.MethodDelete, path: "/resources/{id}", tag: tagName, status: http.StatusNoContent, errors: changes,
		summary: "Delete a resource", description: "Only one that no client names any more.",
	}, func(ctx context.Context, admin authz.Administrator, in *deleteInput) (*none, error) {
		r, err := e.resource(ctx, in.ResourcePath)
		if err != nil {
			return nil, err
		}
		if err := in.check(timeTag(r.UpdatedAt)); err != nil {
			return nil, err
		}
		resources := e.Administration.ResourcesBy(admin)
		if in.named() {
			resources = resources.If(r.UpdatedAt)
		}
		return nil, resources.Delete(ctx, r.URI)
	})
}

func (e *Endpoints) resource(ctx context.Context, path ResourcePath) (authz.Resource, error) {
	uri, err := path.uri()
	if err != nil {
		return authz.Resource{}, err
	}
	return e.Administration.Resources.Find(ctx, uri)
}

type createResourceInput struct {
	Body struct {
		URI string `json:"uri" maxLength:"512" doc:"An absolute URI without a fragment." example:"https://notes.example"`
		ResourceChange
	}
}

func (e *Endpoints) createResource(ctx context.Context, admin authz.Administrator, in *createResourceInput) (*resourceOutput, error) {
	r := authz.Resource{URI: in.Body.URI}
	if err := in.Body.Apply(&r); err != nil {
		return nil, err
	}
	created, err := e.Administration.ResourcesBy(admin).Create(ctx, r)
	if err != nil {
		return nil, err
	}
	out := newResourceOutput(created)
	out.Location = e.Issuer + "/admin/v1/resources/" + out.Body.ID
	return out, nil
}

type updateResourceInput struct {
	ResourcePath
	MustMatch
	Body ResourceChange
}

func (e *Endpoints) updateResource(ctx context.Context, admin authz.Administrator, in *updateResourceInput) (*resourceOutput, error) {
	uri, err := in.uri()
	if err != nil {
		return nil, err
	}
	r, err := e.Administration.ResourcesBy(admin).Update(ctx, uri, func(r *authz.Resource) error {
		if err := in.check(timeTag(r.UpdatedAt)); err != nil {
			return err
		}
		return in.Body.Apply(r)
	})
	if err != nil {
		return nil, err
	}
	return newResourceOutput(r), nil
}
