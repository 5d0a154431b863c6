package oidc

import (
	"net/url"

	"chancery/authz"
	"chancery/web/page"
	"chancery/web/respond"

	"github.com/gin-gonic/gin"
)

// logoutView is what the page of a logout shows.
type logoutView struct {
	Client, Username string
	// Query is the request, for the user's answer.
	Query string
}

// logout ends the login, or asks the user first.
func (e *endpoints) logout(c *gin.Context) error { return e.logoutOf(c, c.Request.URL.RawQuery) }

// repeated marks a form that our own page has sent.
const repeated = "repeated"

// postLogout does the same for a form. With one of another site no cookie comes:
// it is sent again by a page of ours, so that what it holds is in no address.
func (e *endpoints) postLogout(c *gin.Context) error {
	if c.ContentType() != "application/x-www-form-urlencoded" {
		return errQuery
	}
	if _, err := page.ReadForm(c); err != nil {
		return err
	}
	values := c.Request.PostForm
	if values.Has(repeated) {
		values.Del(repeated)
		return e.logoutOf(c, values.Encode())
	}
	for _, all := range values {
		if len(all) > 1 {
			return errQuery
		}
	}
	values.Set(repeated, "1")
	return e.show(c, respond.StatusShown, "form-post", "Sign out", authz.AuthorizationAnswer{RedirectURI: e.Base + logoutPath, Parameters: values})
}

// logoutOf answers a request to end the login.
func (e *endpoints) logoutOf(c *gin.Context, query string) error {
	login, err := e.browser(c)
	if err != nil {
		return err
	}
	request, err := e.readLogout(c, query, login)
	if err != nil {
		return err
	}
	if request.Ask {
		v := logoutView{Username: login.User.Username, Query: query}
		if request.Client.ID != "" {
			v.Client = request.Client.Title()
		}
		return e.show(c, respond.StatusShown, "logout", "Sign out?", v)
	}
	return e.finishLogout(c, request, !request.Stay)
}

func (e *endpoints) readLogout(c *gin.Context, query string, login authz.BrowserLogin) (authz.Logout, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return authz.Logout{}, errQuery
	}
	request, err := e.Browsers.ReadLogout(c.Request.Context(), values, login)
	if err == nil && request.RedirectURI != "" {
		page.Policy(c, redirectSource(request.RedirectURI))
	}
	return request, err
}

// confirmLogout ends the login because the user says so.
func (e *endpoints) confirmLogout(c *gin.Context) error {
	f, err := page.ReadForm(c)
	if err != nil {
		return err
	}
	login, err := e.browser(c)
	if err != nil {
		return err
	}
	request, err := e.readLogout(c, f.Text("query"), login)
	if err != nil {
		return err
	}
	return e.finishLogout(c, request, true)
}

// finishLogout ends the login, and sends the browser where the client wants it if
// it may be sent there.
func (e *endpoints) finishLogout(c *gin.Context, request authz.Logout, send bool) error {
	if err := e.endLogin(c); err != nil {
		return err
	}
	if request.RedirectURI != "" && send {
		page.SeeOther(c, request.RedirectURI)
		return nil
	}
	return e.show(c, respond.StatusShown, "signed-out", "Signed out", request.RedirectURI)
}
