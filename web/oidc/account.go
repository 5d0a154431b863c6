package oidc

import (
	"chancery/authz"
	"chancery/web/caller"
	"chancery/web/page"
	"chancery/web/respond"

	"github.com/gin-gonic/gin"
)

// accountView is what a user sees of the apps that are connected with him.
type accountView struct {
	authz.BrowserLogin
	Apps []appView
}

// appView is an app with what it may do, in words.
type appView struct {
	authz.App
	Rights []right
}

// account shows the user's connected apps.
func (e *endpoints) account(c *gin.Context) error {
	login, err := e.browser(c)
	if err != nil {
		return err
	}
	if !login.Known() {
		return e.show(c, respond.StatusShown, "login", "Sign in", loginView{ReturnTo: e.Base + accountPath})
	}
	apps, err := e.Authorizations.Apps(c.Request.Context(), login)
	if err != nil {
		return err
	}
	v := accountView{BrowserLogin: login, Apps: make([]appView, len(apps))}
	for i, app := range apps {
		v.Apps[i].App = app
		if v.Apps[i].Rights, err = e.rights(c, app.Consent.Scope, app.Consent.Resources); err != nil {
			return err
		}
	}
	return e.show(c, respond.StatusShown, "account", "Connected apps", v)
}

// disconnect takes back what the user has allowed an app.
func (e *endpoints) disconnect(c *gin.Context) error {
	f, err := page.ReadForm(c)
	if err != nil {
		return err
	}
	login, err := e.browser(c)
	if err != nil {
		return err
	}
	if login.Known() {
		if err := e.Authorizations.Disconnect(c.Request.Context(), login, f.Text("client_id"), caller.Device(c)); err != nil {
			return err
		}
	}
	page.SeeOther(c, e.Base+accountPath)
	return nil
}

// signOut ends the login of the browser.
func (e *endpoints) signOut(c *gin.Context) error {
	if err := e.endLogin(c); err != nil {
		return err
	}
	return e.show(c, respond.StatusShown, "signed-out", "Signed out", "")
}
