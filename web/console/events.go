package console

import (
	"slices"
	"strings"
	"time"

	"chancery/authz"
	"chancery/web/cursor"

	"github.com/gin-gonic/gin"
)

// eventsView is what the list of events shows.
type eventsView struct {
	Kinds []authz.EventKind
	// What was asked for, as it was typed.
	Kind, Who, Client, From, Until string
	Rows                           []authz.Event
	Names                          map[string]string
	Next                           string
	Problem                        string
}

// dayFormat is that of a field for a day.
const dayFormat = "2006-01-02"

func (c *console) events(g *gin.Context, _ authz.Administrator) (answer, error) {
	ctx := g.Request.Context()
	v := eventsView{
		Kinds: authz.EventKinds(), Kind: query(g, "kind"), Who: query(g, "who"), Client: query(g, "client"), From: query(g, "from"), Until: query(g, "until"),
	}
	place, err := placeOf(g)
	if err != nil {
		return answer{}, err
	}
	filter := authz.EventFilter{ClientID: v.Client, Page: place}
	if slices.Contains(v.Kinds, authz.EventKind(v.Kind)) {
		filter.Kind = authz.EventKind(v.Kind)
	}
	v.bound(&filter)
	if err := c.whose(g, &v, &filter); err != nil {
		return answer{}, err
	}
	if v.Problem == "" {
		var next authz.Page
		if v.Rows, next, err = c.Events.Search(ctx, filter); err != nil {
			return answer{}, err
		}
		if next.AfterID != "" {
			v.Next = link("/console/events", "kind", v.Kind, "who", v.Who, "client", v.Client, "from", v.From, "until", v.Until, "after", cursor.Text(next))
		}
	}
	if v.Names, err = c.eventNames(ctx, v.Rows); err != nil {
		return answer{}, err
	}
	return show("events", "Events", v), nil
}

// bound reads the days. The last one is included.
func (v *eventsView) bound(filter *authz.EventFilter) {
	for _, day := range []struct {
		text string
		into *time.Time
		add  int
	}{{v.From, &filter.From, 0}, {v.Until, &filter.Until, 1}} {
		if day.text == "" {
			continue
		}
		at, err := time.Parse(dayFormat, day.text)
		if err != nil {
			v.Problem = "A day is written as 2026-11-30."
			continue
		}
		*day.into = at.AddDate(0, 0, day.add)
	}
}

// whose finds out whom somebody means: a user, or the id of a session.
func (c *console) whose(g *gin.Context, v *eventsView, filter *authz.EventFilter) error {
	switch v.Who {
	case "":
		return nil
	case "cli":
		filter.Actor = v.Who
		return nil
	}
	user, err := c.Users.Find(g.Request.Context(), v.Who)
	switch code := authz.CodeOf(err); {
	case err == nil:
		filter.UserID = user.ID
	case strings.HasPrefix(v.Who, "usr_"):
		filter.UserID = v.Who // one that has been deleted
	case code == "":
		return err
	default:
		f, err := c.Sessions.Find(g.Request.Context(), v.Who)
		if err == nil {
			filter.SessionID = f.SessionID
			return nil
		}
		if authz.CodeOf(err) == "" {
			return err
		}
		v.Problem = "There is no user or session " + v.Who + "."
	}
	return nil
}
