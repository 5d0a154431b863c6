package console

import (
	"slices"
	"strconv"
	"strings"

	"chancery/authz"
	"chancery/web/page"
	"chancery/web/segment"

	"github.com/gin-gonic/gin"
)

// resourceRow is a resource with what names it in a path.
type resourceRow struct {
	authz.Resource
	ID      string
	Builtin bool
}

func newResourceRow(r authz.Resource) resourceRow {
	return resourceRow{Resource: r, ID: segment.OfURI(r.URI), Builtin: r.CreatedAt.IsZero()}
}

func (c *console) resources(g *gin.Context, _ authz.Administrator) (answer, error) {
	resources, err := c.Resources.List(g.Request.Context())
	if err != nil {
		return answer{}, err
	}
	rows := make([]resourceRow, len(resources))
	for i, r := range resources {
		rows[i] = newResourceRow(r)
	}
	return show("resources", "Resources", rows), nil
}

// resourceForm is the form of a resource, as it was filled in.
type resourceForm struct {
	resourceRow
	New bool
	// TTL and ScopeLines are as they were typed.
	TTL, ScopeLines, Problem string
	Algorithms               []string
	Events                   []authz.Event
	Names                    map[string]string
}

func newResourceForm(r authz.Resource, isNew bool) resourceForm {
	f := resourceForm{resourceRow: newResourceRow(r), New: isNew, Algorithms: authz.SigningAlgorithms()}
	if r.AccessTokenTTL > 0 {
		f.TTL = r.AccessTokenTTL.String()
	}
	var lines []string
	for _, s := range r.Scopes {
		lines = append(lines, strings.TrimSpace(s.Name+" "+strings.Join(s.Roles, " ")))
	}
	f.ScopeLines = strings.Join(lines, "\n")
	return f
}

func (c *console) newResource(*gin.Context, authz.Administrator) (answer, error) {
	return show("resource", "New resource", newResourceForm(authz.Resource{}, true)), nil
}

var errNoResource = &authz.Error{Code: authz.NotFound, Description: "There is no such resource."}

// resourceURI returns the resource that the path names.
func resourceURI(g *gin.Context) (string, error) {
	uri, ok := segment.URI(g.Param("id"))
	if !ok || !page.Usable(uri) {
		return "", errNoResource
	}
	return uri, nil
}

func (c *console) resource(g *gin.Context, _ authz.Administrator) (answer, error) {
	uri, err := resourceURI(g)
	if err != nil {
		return answer{}, err
	}
	r, err := c.Resources.Find(g.Request.Context(), uri)
	if err != nil {
		return answer{}, err
	}
	return c.resourcePage(g, newResourceForm(r, false))
}

func (c *console) resourcePage(g *gin.Context, f resourceForm) (answer, error) {
	ctx := g.Request.Context()
	events, _, err := c.Events.Search(ctx, authz.EventFilter{Target: f.URI, Page: authz.Page{Limit: 10}})
	if err != nil {
		return answer{}, err
	}
	f.Events = events
	if f.Names, err = c.eventNames(ctx, events); err != nil {
		return answer{}, err
	}
	if f.Problem != "" {
		return unfit("resource", f.URI, f), nil
	}
	return show("resource", f.URI, f), nil
}

// fillResource sets on r what the form holds. Each line of the scopes is a name
// and the roles that it needs.
func (f form) fillResource(r *authz.Resource) error {
	r.Name, r.Algorithm = f.Text("name"), f.Text("algorithm")
	ttl, err := f.duration("access_token_ttl", "lifetime")
	if err != nil {
		return err
	}
	if r.AccessTokenTTL = 0; ttl != nil {
		r.AccessTokenTTL = *ttl
	}
	r.Scopes = nil
	for line := range strings.Lines(f.Text("scopes")) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		roles := slices.Clone(words[1:])
		slices.Sort(roles)
		r.Scopes = append(r.Scopes, authz.ResourceScope{Name: words[0], Roles: slices.Compact(roles)})
	}
	return nil
}

// resourceAgain shows the form with what is wrong with it.
func (c *console) resourceAgain(g *gin.Context, f form, r authz.Resource, isNew bool, problem string) (answer, error) {
	filled := newResourceForm(r, isNew)
	filled.Problem, filled.TTL, filled.ScopeLines = problem, f.Text("access_token_ttl"), f.Text("scopes")
	if isNew {
		return unfit("resource", "New resource", filled), nil
	}
	return c.resourcePage(g, filled)
}

func (c *console) createResource(g *gin.Context, admin authz.Administrator) (answer, error) {
	f, err := readForm(g)
	if err != nil {
		return answer{}, err
	}
	r := authz.Resource{URI: f.Text("uri")}
	if err = f.fillResource(&r); err == nil {
		_, err = c.ResourcesBy(admin).Create(g.Request.Context(), r)
	}
	if problem, ok := problemOf(err); ok {
		return c.resourceAgain(g, f, r, true, problem)
	}
	if err != nil {
		return answer{}, err
	}
	return done("/console/resources", "Registered %s.", r.URI), nil
}

var errResourceChanged = &authz.Error{Code: authz.Changed, Description: "Somebody else has changed the resource meanwhile. Your changes are below; look at theirs before you send them again."}

func (c *console) updateResource(g *gin.Context, admin authz.Administrator) (answer, error) {
	uri, err := resourceURI(g)
	if err != nil {
		return answer{}, err
	}
	f, err := readForm(g)
	if err != nil {
		return answer{}, err
	}
	filled := authz.Resource{}
	_, err = c.ResourcesBy(admin).Update(g.Request.Context(), uri, func(r *authz.Resource) error {
		unread := f.fillResource(r)
		filled = *r
		if f.Text("version") != strconv.FormatInt(r.UpdatedAt.UnixMilli(), 10) {
			return errResourceChanged
		}
		return unread
	})
	if problem, ok := problemOf(err); ok && authz.CodeOf(err) != authz.NotFound {
		return c.resourceAgain(g, f, filled, false, problem)
	}
	if err != nil {
		return answer{}, err
	}
	return done("/console/resources", "Changed %s.", uri), nil
}

func (c *console) deleteResource(g *gin.Context, admin authz.Administrator) (answer, error) {
	uri, err := resourceURI(g)
	if err != nil {
		return answer{}, err
	}
	err = c.ResourcesBy(admin).Delete(g.Request.Context(), uri)
	if problem, ok := problemOf(err); ok && authz.CodeOf(err) != authz.NotFound {
		r, findErr := c.Resources.Find(g.Request.Context(), uri)
		if findErr != nil {
			return answer{}, findErr
		}
		f := newResourceForm(r, false)
		f.Problem = problem
		return c.resourcePage(g, f)
	}
	if err != nil {
		return answer{}, err
	}
	return done("/console/resources", "Deleted %s.", uri), nil
}
