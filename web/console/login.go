package console

import (
	"errors"
	"strings"

	"chancery/authz"
	"chancery/web/caller"
	"chancery/web/page"

	"github.com/gin-gonic/gin"
)

// loginView is what the login shows.
type loginView struct {
	Username, Problem string
	// Next is where to go then.
	Next string
}

// nextPage returns where to go after the login, if it is a page of ours.
func (c *console) nextPage(asked string) string {
	const overview = "/console"
	if next, ours := page.Local(asked, c.Base+overview); ours {
		return overview + strings.TrimPrefix(next, c.Base+overview)
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
	login, err := c.Admins.Login(ctx, f.Text("username"), f.Secret("password"), caller.Device(g))
	if authz.CodeOf(err) != "" {
		view := loginView{Username: f.Text("username"), Next: f.Text("next")}
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
	return redirect(c.nextPage(f.Text("next"))), nil
}

func (c *console) logout(g *gin.Context, _ authz.Administrator) (answer, error) {
	if err := c.manager.Destroy(g.Request.Context()); err != nil {
		return answer{}, err
	}
	return redirect("/console/login"), nil
}
