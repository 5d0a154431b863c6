package oidc

import (
	"net/url"

	"chancery/authz"
	"chancery/web/page"
	"chancery/web/respond"

	"github.com/gin-gonic/gin"
)

// deviceView is what the page for the codes of devices shows: a field for one,
// what the device asks for, or that it was answered.
type deviceView struct {
	UserCode, Problem string
	// Client is what the device runs, the zero value while there is no code; Shown
	// stands for what the user is shown.
	Client   authz.Client
	Shown    string
	Username string
	Rights   []right
	Device   authz.Device
	// Answer is "allowed" or "refused" once the user has answered.
	Answer string
}

// device asks the user for a code, or whether the device may have what it wants.
// He is always asked: somebody else may have sent him here (RFC 8628 section
// 5.4).
func (e *endpoints) device(c *gin.Context) error {
	login, err := e.browser(c)
	if err != nil {
		return err
	}
	v := deviceView{UserCode: c.Query("user_code"), Username: login.User.Username}
	if !login.Known() {
		return e.show(c, respond.StatusShown, "login", "Sign in", loginView{For: "a device", ReturnTo: c.Request.URL.RequestURI()})
	}
	if v.UserCode == "" {
		return e.show(c, respond.StatusShown, "device", "Connect a device", v)
	}
	found, z, err := e.Devices.FindDevice(c.Request.Context(), login, v.UserCode, c.ClientIP())
	if authz.CodeOf(err) != "" {
		status := 0
		status, v.Problem = e.Respond.Describe(c, err)
		return e.show(c, status, "device", "Connect a device", v)
	}
	if err != nil {
		return err
	}
	if v.Rights, err = e.rights(c, z.Scope, z.Resources); err != nil {
		return err
	}
	v.UserCode = authz.UserCode(v.UserCode)
	v.Client, v.Shown, v.Device = z.Request.Client, z.Shown(), found.Device
	return e.show(c, respond.StatusShown, "device", "Connect a device", v)
}

// decideDevice takes the user's answer.
func (e *endpoints) decideDevice(c *gin.Context) error {
	f, err := page.ReadForm(c)
	if err != nil {
		return err
	}
	login, err := e.browser(c)
	if err != nil {
		return err
	}
	v := deviceView{UserCode: f.Text("user_code"), Username: login.User.Username, Answer: "refused"}
	if !login.Known() {
		page.SeeOther(c, e.Base+devicePath)
		return nil
	}
	answer := consenting(c, f)
	err = e.Devices.DecideDevice(c.Request.Context(), login, v.UserCode, answer)
	if authz.CodeOf(err) == authz.ConsentRequired {
		page.SeeOther(c, e.Base+devicePath+"?"+url.Values{"user_code": {v.UserCode}}.Encode())
		return nil
	}
	if authz.CodeOf(err) != "" {
		status := 0
		status, v.Problem = e.Respond.Describe(c, err)
		v.Answer = ""
		return e.show(c, status, "device", "Connect a device", v)
	}
	if err != nil {
		return err
	}
	if answer.Allowed {
		v.Answer = "allowed"
	}
	return e.show(c, respond.StatusShown, "device", "Connect a device", v)
}
