package oidc

import (
	"cmp"
	"errors"
	"net/url"
	"strings"

	"chancery/authz"
	"chancery/web/caller"
	"chancery/web/page"
	"chancery/web/respond"

	"github.com/gin-gonic/gin"
)

var errQuery = &authz.Error{Code: authz.InvalidRequest, Description: "The parameters cannot be read."}

// authorize answers an authorization request with a page, or with where it leads.
func (e *endpoints) authorize(c *gin.Context) error {
	z, err := e.check(c, c.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	switch z.Step {
	case authz.AuthorizationLogin:
		return e.showLogin(c, z)
	case authz.AuthorizationConsent:
		return e.showConsent(c, z)
	case authz.AuthorizationReady:
	}
	answer, err := e.Authorizations.Issue(c.Request.Context(), z)
	if err != nil {
		return err
	}
	return e.send(c, answer)
}

// check reads an authorization request and says what it needs.
func (e *endpoints) check(c *gin.Context, query string) (authz.Authorization, error) {
	request, err := e.read(c, query)
	if err != nil {
		return authz.Authorization{}, err
	}
	login, err := e.browser(c)
	if err != nil {
		return authz.Authorization{}, err
	}
	return e.Authorizations.Check(c.Request.Context(), request, login)
}

func (e *endpoints) read(c *gin.Context, query string) (authz.AuthorizationRequest, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return authz.AuthorizationRequest{}, errQuery
	}
	respond.NoteClient(c, values.Get("client_id"))
	request, err := e.Authorizations.Read(c.Request.Context(), values, c.ClientIP())
	if err == nil {
		page.Policy(c, redirectSource(request.RedirectURI))
	}
	return request, err
}

// redirectSource names where a redirect URI leads to, for a policy: browsers
// check the redirects that a form leads to as well.
func redirectSource(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	if (u.Scheme == "https" || u.Scheme == "http") && !strings.Contains(u.Host, "[") {
		return u.Scheme + "://" + u.Host
	}
	return u.Scheme + ":" // policies know no addresses of IPv6
}

// repeat sends a request that came as a form through the browser again as GET:
// with a form of another site no cookie comes.
func (e *endpoints) repeat(c *gin.Context) error {
	if c.ContentType() != "application/x-www-form-urlencoded" {
		return errQuery
	}
	if _, err := page.ReadForm(c); err != nil {
		return err
	}
	page.SeeOther(c, c.Request.URL.Path+"?"+c.Request.PostForm.Encode())
	return nil
}

// send brings an answer to the client.
func (e *endpoints) send(c *gin.Context, answer authz.AuthorizationAnswer) error {
	if !answer.FormPost {
		page.SeeOther(c, answer.URL())
		return nil
	}
	page.Policy(c, redirectSource(answer.RedirectURI))
	return e.show(c, respond.StatusShown, "form-post", "Continue", answer)
}

// consentView is what the page asks the user.
type consentView struct {
	authz.Authorization
	ReturnTo string
	// Rights are what the client wants, in words.
	Rights []right
	// Host is where the answer goes.
	Host string
}

// right is one thing that a client wants.
type right struct{ Name, Meaning string }

// showConsent asks the user whether he allows it.
func (e *endpoints) showConsent(c *gin.Context, z authz.Authorization) error {
	rights, err := e.rights(c, z.Scope, z.Resources)
	if err != nil {
		return err
	}
	v := consentView{Authorization: z, ReturnTo: c.Request.URL.RequestURI(), Rights: rights, Host: redirectHost(z.Request.RedirectURI)}
	return e.show(c, respond.StatusShown, "consent", "Allow "+z.Request.Client.Title()+"?", v)
}

// rights says what a client wants.
func (e *endpoints) rights(c *gin.Context, scope authz.Scope, resources []string) ([]right, error) {
	meanings := map[string]string{
		authz.ScopeOpenID: "know who you are", authz.ScopeProfile: "see your username", authz.ScopeEmail: "see your e-mail address",
		authz.ScopeOfflineAccess: "stay connected after you have signed out here",
	}
	where := map[string]string{}
	for _, uri := range resources {
		resource, err := e.Resources.Resource(c.Request.Context(), uri)
		if errors.Is(err, authz.ErrNotFound) {
			continue // it was deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		for _, defined := range resource.Scopes {
			where[defined.Name] = "use " + cmp.Or(resource.Name, resource.URI)
		}
	}
	rights := make([]right, 0, len(scope))
	for _, token := range scope {
		meaning := meanings[token]
		if meaning == "" {
			meaning = where[token]
		}
		rights = append(rights, right{Name: token, Meaning: meaning})
	}
	return rights, nil
}

// redirectHost says to people where a redirect URI leads.
func redirectHost(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" {
		return "an app on this device"
	}
	return u.Host
}

// consenting reads the user's answer to a page that has shown him what is asked.
func consenting(c *gin.Context, f page.Form) authz.Consenting {
	return authz.Consenting{Allowed: f.Text("decision") == "allow", Shown: f.Text("shown"), Device: caller.Device(c)}
}

// consent takes the user's answer.
func (e *endpoints) consent(c *gin.Context) error {
	f, err := page.ReadForm(c)
	if err != nil {
		return err
	}
	returnTo, query, ok := e.returnTo(f)
	if !ok {
		return errQuery
	}
	request, err := e.read(c, query)
	if err != nil {
		return err
	}
	login, err := e.browser(c)
	if err != nil {
		return err
	}
	answer, err := e.Authorizations.Allow(c.Request.Context(), request, login, consenting(c, f))
	if code := authz.CodeOf(err); code == authz.LoginRequired || code == authz.ConsentRequired {
		page.SeeOther(c, returnTo)
		return nil
	}
	if err != nil {
		return err
	}
	return e.send(c, answer)
}

// returnTo returns the authorization request that a form belongs to, and its
// parameters.
func (e *endpoints) returnTo(f page.Form) (target, query string, ok bool) {
	target, ok = page.Local(f.Text("return_to"), e.Base+authorizePath)
	_, query, _ = strings.Cut(target, "?")
	return target, query, ok
}
