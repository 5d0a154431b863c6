package console

import (
	"strconv"
	"time"

	"chancery/authz"
	"chancery/web/cursor"

	"github.com/gin-gonic/gin"
)

// usersView is what the list of users shows.
type usersView struct {
	Query string
	Rows  []authz.User
	Next  string
	Now   time.Time
	// More says that the search fits more users than are shown.
	More bool
}

func (c *console) users(g *gin.Context, _ authz.Administrator) (answer, error) {
	v := usersView{Query: query(g, "q"), Now: c.Now()}
	place, err := placeOf(g)
	if err != nil {
		return answer{}, err
	}
	if v.Query != "" {
		v.Rows, err = c.matchUsers(g.Request.Context(), v.Query)
		v.More = len(v.Rows) >= matchedUsers
	} else {
		place.Limit++
		v.Rows, err = c.Users.List(g.Request.Context(), authz.UserFilter{Page: place})
	}
	if err != nil {
		return answer{}, err
	}
	rows, more := cut(v.Rows)
	if v.Rows = rows; more {
		last := rows[len(rows)-1]
		v.Next = link("/console/users", "after", cursor.Text(authz.Page{After: last.CreatedAt, AfterID: last.ID}))
	}
	a := show("users", "Users", v)
	if g.GetHeader("HX-Target") == "results" {
		a.part = "results"
	}
	return a, nil
}

// userForm is a form to create a user, as it was filled in.
type userForm struct {
	Username, Email, Roles, Problem string
	Verified, Keep                  bool
}

func (c *console) newUser(*gin.Context, authz.Administrator) (answer, error) {
	return show("user-new", "New user", userForm{}), nil
}

func (c *console) createUser(g *gin.Context, admin authz.Administrator) (answer, error) {
	f, err := readForm(g)
	if err != nil {
		return answer{}, err
	}
	user, err := c.UsersBy(admin).Create(g.Request.Context(), authz.NewUser{
		Username: f.Text("username"), Email: f.Text("email"), EmailVerified: f.Checked("email_verified"), Password: f.Secret("password"),
		Roles: f.Words("roles"), MustChange: !f.Checked("keep"),
	})
	if problem, ok := problemOf(err); ok {
		filled := userForm{
			Username: f.Text("username"), Email: f.Text("email"), Roles: g.PostForm("roles"), Problem: problem,
			Verified: f.Checked("email_verified"), Keep: f.Checked("keep"),
		}
		return unfit("user-new", "New user", filled), nil
	}
	if err != nil {
		return answer{}, err
	}
	return done("/console/users/"+user.ID, "Created %s.", user.Username), nil
}

// userView is what the page of a user shows.
type userView struct {
	authz.User
	Now      time.Time
	Banned   bool
	Self     bool
	Sessions []sessionRow
	Events   []authz.Event
	Names    map[string]string
	Problem  string
}

func (c *console) user(g *gin.Context, admin authz.Administrator) (answer, error) {
	return c.userPage(g, admin, "")
}

// userPage shows a user, with what is wrong with a change of his.
func (c *console) userPage(g *gin.Context, admin authz.Administrator, problem string) (answer, error) {
	ctx := g.Request.Context()
	user, err := c.Users.Find(ctx, g.Param("id"))
	if err != nil {
		return answer{}, err
	}
	v := userView{User: user, Now: c.Now(), Banned: c.Now().Before(user.BannedUntil), Self: user.ID == admin.UserID, Problem: problem}
	families, _, err := c.Sessions.Search(ctx, authz.SessionQuery{UserID: user.ID, State: authz.SessionLive, Page: authz.Page{Limit: listed}})
	if err != nil {
		return answer{}, err
	}
	if v.Sessions, err = c.sessionRows(ctx, families); err != nil {
		return answer{}, err
	}
	if v.Events, _, err = c.Events.Search(ctx, authz.EventFilter{UserID: user.ID, Page: authz.Page{Limit: 15}}); err != nil {
		return answer{}, err
	}
	if v.Names, err = c.eventNames(ctx, v.Events); err != nil {
		return answer{}, err
	}
	if problem != "" {
		return unfit("user", user.Username, v), nil
	}
	return show("user", user.Username, v), nil
}

// changeUser carries out one change of a user and shows the user again.
func (c *console) changeUser(g *gin.Context, admin authz.Administrator, word string, change func(users *authz.Users, f form, id string) error) (answer, error) {
	f, err := readForm(g)
	if err != nil {
		return answer{}, err
	}
	id := g.Param("id")
	err = change(c.UsersBy(admin), f, id)
	if problem, ok := problemOf(err); ok && authz.CodeOf(err) != authz.NotFound {
		return c.userPage(g, admin, problem)
	}
	if err != nil {
		return answer{}, err
	}
	return done("/console/users/"+id, "%s", word), nil
}

func (c *console) setRoles(g *gin.Context, admin authz.Administrator) (answer, error) {
	return c.changeUser(g, admin, "The roles are changed.", func(users *authz.Users, f form, id string) error {
		if version, err := strconv.ParseInt(f.Text("version"), 10, 64); err == nil {
			users = users.If(time.UnixMilli(version))
		}
		_, err := users.SetRoles(g.Request.Context(), id, f.Words("roles"))
		return err
	})
}

var errBanLength = &authz.Error{Code: authz.InvalidInput, Description: "How long? Choose a duration, or without end."}

func (c *console) banUser(g *gin.Context, admin authz.Administrator) (answer, error) {
	return c.changeUser(g, admin, "The user is banned, and every session has ended.", func(users *authz.Users, f form, id string) error {
		until := authz.Forever
		if f.Text("length") != "forever" {
			length, err := f.duration("length", "ban")
			if err != nil {
				return err
			}
			if length == nil {
				return errBanLength
			}
			until = c.Now().Add(*length)
		}
		_, err := users.Ban(g.Request.Context(), id, until, f.Text("reason"))
		return err
	})
}

func (c *console) unbanUser(g *gin.Context, admin authz.Administrator) (answer, error) {
	return c.changeUser(g, admin, "The ban is lifted.", func(users *authz.Users, _ form, id string) error {
		_, err := users.Unban(g.Request.Context(), id)
		return err
	})
}

func (c *console) setPassword(g *gin.Context, admin authz.Administrator) (answer, error) {
	return c.changeUser(g, admin, "The password is set, and every session has ended.", func(users *authz.Users, f form, id string) error {
		_, err := users.SetPassword(g.Request.Context(), id, f.Secret("password"), !f.Checked("keep"))
		return err
	})
}

func (c *console) revokeUser(g *gin.Context, admin authz.Administrator) (answer, error) {
	user, err := c.Users.Find(g.Request.Context(), g.Param("id"))
	if err != nil {
		return answer{}, err
	}
	n, err := c.EndSessions(g.Request.Context(), admin, authz.Ending{UserID: user.ID})
	if err != nil {
		return answer{}, err
	}
	return done("/console/users/"+user.ID, "Ended %s.", plural(n, "session", "sessions")), nil
}

var errConfirmName = &authz.Error{Code: authz.InvalidInput, Description: "Type the username to confirm. Nothing was deleted."}

func (c *console) deleteUser(g *gin.Context, admin authz.Administrator) (answer, error) {
	user, err := c.Users.Find(g.Request.Context(), g.Param("id"))
	if err != nil {
		return answer{}, err
	}
	a, err := c.changeUser(g, admin, "", func(users *authz.Users, f form, id string) error {
		if f.Text("confirm") != user.Username {
			return errConfirmName
		}
		_, err := users.Delete(g.Request.Context(), id)
		return err
	})
	if err == nil && a.redirect != "" {
		return done("/console/users", "Deleted %s.", user.Username), nil
	}
	return a, err
}
