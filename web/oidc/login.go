package oidc

import (
	"chancery/authz"
	"chancery/web/caller"
	"chancery/web/page"
	"chancery/web/respond"

	"github.com/gin-gonic/gin"
)

// loginView is what the login shows.
type loginView struct {
	// For is what the login is for, "" for the user's own pages; Client is the
	// client that it is.
	For      string
	Client   authz.Client
	Username string
	Problem  string
	ReturnTo string
}

// showLogin asks the user to log in for an authorization request.
func (e *endpoints) showLogin(c *gin.Context, z authz.Authorization) error {
	v := loginView{For: z.Request.Client.Title(), Client: z.Request.Client, Username: z.Request.LoginHint, ReturnTo: c.Request.URL.RequestURI()}
	if v.Username == "" && z.Login.Known() {
		v.Username = z.Login.User.Username
	}
	return e.show(c, respond.StatusShown, "login", "Sign in", v)
}

// login logs the user in and goes on with what he was on his way to.
func (e *endpoints) login(c *gin.Context) error {
	f, err := page.ReadForm(c)
	if err != nil {
		return err
	}
	before, err := e.browser(c)
	if err != nil {
		return err
	}
	v := loginView{Username: f.Text("username"), ReturnTo: e.Base + accountPath}
	attempt := authz.BrowserAttempt{
		ClientID: authz.AccountClientID, Before: before, Device: caller.Device(c),
		Proof: authz.LoginProof{Username: v.Username, Password: f.Secret("password")},
	}
	if target, query, ok := e.returnTo(f); ok {
		request, err := e.read(c, query)
		if err != nil {
			return err
		}
		v.For, v.Client, v.ReturnTo = request.Client.Title(), request.Client, target
		attempt.ClientID, attempt.For = request.Client.ID, request.ID
	} else if target, ok := page.Local(f.Text("return_to"), e.Base+accountPath, e.Base+devicePath); ok {
		v.ReturnTo = target
	}
	token, err := e.Browsers.Login(c.Request.Context(), attempt)
	if authz.CodeOf(err) != "" {
		status, problem := e.Respond.Describe(c, err)
		v.Problem = problem
		return e.show(c, status, "login", "Sign in", v)
	}
	if err != nil {
		return err
	}
	e.cookie.set(c, token)
	page.SeeOther(c, v.ReturnTo)
	return nil
}

// switchUser logs the browser out, so that somebody else can go on with the same
// request.
func (e *endpoints) switchUser(c *gin.Context) error {
	f, err := page.ReadForm(c)
	if err != nil {
		return err
	}
	target, _, ok := e.returnTo(f)
	if !ok {
		return errQuery
	}
	if err := e.endLogin(c); err != nil {
		return err
	}
	page.SeeOther(c, target)
	return nil
}

// endLogin ends the login of the browser.
func (e *endpoints) endLogin(c *gin.Context) error {
	login, err := e.browser(c)
	if err != nil {
		return err
	}
	if err := e.Browsers.Logout(c.Request.Context(), login, caller.Device(c)); err != nil {
		return err
	}
	e.cookie.clear(c)
	return nil
}
