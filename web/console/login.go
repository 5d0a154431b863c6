package console

import (
	"errors"
	"net/url"
	"path"
	"strings"
	"unicode"

	"chancery/authz"
	"chancery/web/caller"

	"github.com/gin-gonic/gin"
)

// loginView is what the login shows.
type loginView struct {
	Username, Problem string
	// Next is where to go then.
	Next string
}

// nextPage returns where to go after the login, if it is a page of ours. A
// browser must not make another path of it: it resolves dots, encoded ones too,
// and takes a backslash for a slash.
func (c *console) nextPage(asked string) string {
	const overview = "/console"
	target, err := url.Parse(asked)
	if err != nil || strings.ContainsFunc(target.Path, unicode.IsControl) || strings.Contains(asked, "\\") || path.Clean(target.Path) != target.Path {
		return overview
	}
	if target.Path != c.Base+overview && !strings.HasPrefix(target.Path, c.Base+overview+"/") {
		return overview
	}
	if next, ours := strings.CutPrefix(asked, c.Base+overview); ours {
		return overview + next
	}
	return overview
}

func (c *console) loginPage(g *gin.Context) (answer, error) {
	switch _, err := c.admin(g); {
	case err == nil:
		return redirect(c.nextPage(query(g, "next"))), nil
	case !errors.Is(err, errSignIn):
		return answer{}, err
	}
	return show("login", "Sign in", loginView{Next: query(g, "next")}), nil
}

func (c *console) login(g *gin.Context) (answer, error) {
	f, err := readForm(g)
	if err != nil {
		return answer{}, err
	}
	ctx := g.Request.Context()
	login, err := c.Admins.Login(ctx, f.text("username"), authz.Secret(g.PostForm("password")), caller.Device(g))
	if authz.CodeOf(err) != "" {
		view := loginView{Username: f.text("username"), Next: f.text("next")}
		a := show("login", "Sign in", nil)
		a.status, view.Problem = c.Respond.Describe(g, err)
		a.data = view
		return a, nil
	}
	if err != nil {
		return answer{}, err
	}
	// Whoever has seen the token before the login must not have it after.
	if err := c.manager.RenewToken(ctx); err != nil {
		return answer{}, err
	}
	c.manager.Put(ctx, keyLogin, login)
	return redirect(c.nextPage(f.text("next"))), nil
}

func (c *console) logout(g *gin.Context, _ authz.Administrator) (answer, error) {
	if err := c.manager.Destroy(g.Request.Context()); err != nil {
		return answer{}, err
	}
	return redirect("/console/login"), nil
}
