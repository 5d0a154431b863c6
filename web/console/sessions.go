package console

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"chancery/authz"
	"chancery/web/cursor"

	"github.com/gin-gonic/gin"
)

// Limits of lists.
const (
	listed = 50
	// matchedUsers is how many users a search for sessions looks at.
	matchedUsers = 10
)

// sessionRow is a session of a list.
type sessionRow struct {
	authz.Family
	State    authz.SessionState
	Username string
}

// sessionsView is what the list of sessions shows.
type sessionsView struct {
	Query, State string
	Rows         []sessionRow
	// Next is the link to the next page, Partial says that the search went
	// through many sessions and can go on.
	Next    string
	Partial bool
	// More says that the search fits more users or sessions than are shown.
	More bool
}

func (c *console) sessions(g *gin.Context, _ authz.Administrator) (answer, error) {
	v := sessionsView{Query: query(g, "q"), State: query(g, "state")}
	if !g.Request.URL.Query().Has("state") {
		v.State = string(authz.SessionLive)
	}
	if !slices.Contains(authz.SessionStates(), authz.SessionState(v.State)) {
		v.State = ""
	}
	place, err := placeOf(g)
	if err != nil {
		return answer{}, err
	}
	families, next, err := c.findSessions(g.Request.Context(), &v, place)
	if err != nil {
		return answer{}, err
	}
	if v.Rows, err = c.sessionRows(g.Request.Context(), families); err != nil {
		return answer{}, err
	}
	if next.AfterID != "" {
		v.Next = link("/console/sessions", "q", v.Query, "state", v.State, "all", allOf(v.State), "after", cursor.Text(next))
		v.Partial = len(families) < listed
	}
	a := show("sessions", "Sessions", v)
	if g.GetHeader("HX-Target") == "results" {
		a.part = "results"
	}
	return a, nil
}

// allOf keeps the choice of every state in a link.
func allOf(state string) string {
	if state == "" {
		return "1"
	}
	return ""
}

// findSessions looks for what somebody typed: an address, the id of a session,
// user or client, or the beginning of a username or an e-mail address.
func (c *console) findSessions(ctx context.Context, v *sessionsView, place authz.Page) ([]authz.Family, authz.Page, error) {
	q := authz.SessionQuery{State: authz.SessionState(v.State), Page: place}
	if v.Query == "" {
		return c.Sessions.Search(ctx, q)
	}
	if _, err := netip.ParseAddr(v.Query); err == nil {
		q.Address = v.Query
		return c.Sessions.Search(ctx, q)
	}
	if f, err := c.Sessions.Find(ctx, v.Query); err == nil {
		return []authz.Family{f}, authz.Page{}, nil
	} else if authz.CodeOf(err) == "" {
		return nil, authz.Page{}, err
	}
	if _, err := c.Clients.Find(ctx, v.Query); err == nil {
		q.ClientID = v.Query
		return c.Sessions.Search(ctx, q)
	} else if authz.CodeOf(err) == "" {
		return nil, authz.Page{}, err
	}
	users, err := c.matchUsers(ctx, v.Query)
	if err != nil {
		return nil, authz.Page{}, err
	}
	if len(users) == 1 {
		q.UserID = users[0].ID
		return c.Sessions.Search(ctx, q)
	}
	// Of several users the latest of each are shown.
	var found []authz.Family
	for _, user := range users {
		q.UserID, q.Page = user.ID, authz.Page{Limit: listed}
		some, _, err := c.Sessions.Search(ctx, q)
		if err != nil {
			return nil, authz.Page{}, err
		}
		found = append(found, some...)
	}
	slices.SortFunc(found, func(a, b authz.Family) int { return b.CreatedAt.Compare(a.CreatedAt) })
	v.More = len(found) > listed || len(users) >= matchedUsers
	return found[:min(len(found), listed)], authz.Page{}, nil
}

// matchUsers returns the users whose id, name or address is or begins with the
// text.
func (c *console) matchUsers(ctx context.Context, text string) ([]authz.User, error) {
	if user, err := c.Users.Find(ctx, text); err == nil {
		return []authz.User{user}, nil
	} else if authz.CodeOf(err) == "" {
		return nil, err
	}
	var users []authz.User
	for _, filter := range []authz.UserFilter{{Name: text}, {Email: text}} {
		filter.Page.Limit = matchedUsers
		found, err := c.Users.List(ctx, filter)
		if authz.CodeOf(err) == authz.InvalidInput {
			continue // no name begins so
		}
		if err != nil {
			return nil, err
		}
		for _, user := range found {
			if !slices.ContainsFunc(users, func(u authz.User) bool { return u.ID == user.ID }) {
				users = append(users, user)
			}
		}
	}
	return users, nil
}

// sessionRows returns the sessions with the names of their users.
func (c *console) sessionRows(ctx context.Context, families []authz.Family) ([]sessionRow, error) {
	names, err := c.Users.OfSessions(ctx, families)
	if err != nil {
		return nil, err
	}
	now := c.Now()
	rows := make([]sessionRow, len(families))
	for i, f := range families {
		rows[i] = sessionRow{Family: f, State: f.StateAt(now), Username: names[f.UserID]}
	}
	return rows, nil
}

// sessionView is what the page of a session shows.
type sessionView struct {
	sessionRow
	Client string
	Events []authz.Event
	Names  map[string]string
	Reach  reachView
}

func (c *console) session(g *gin.Context, _ authz.Administrator) (answer, error) {
	ctx := g.Request.Context()
	f, err := c.Sessions.Find(ctx, g.Param("sid"))
	if err != nil {
		return answer{}, err
	}
	rows, err := c.sessionRows(ctx, []authz.Family{f})
	if err != nil {
		return answer{}, err
	}
	events, _, err := c.Events.Search(ctx, authz.EventFilter{SessionID: f.SessionID, Page: authz.Page{Limit: listed}})
	if err != nil {
		return answer{}, err
	}
	v := sessionView{sessionRow: rows[0], Events: events}
	if v.Names, err = c.eventNames(ctx, events); err != nil {
		return answer{}, err
	}
	if client, err := c.Clients.Find(ctx, f.ClientID); err == nil {
		v.Client = client.Name
	}
	if v.Reach, err = c.reach(f); err != nil {
		return answer{}, err
	}
	return show("session", "Session", v), nil
}

// reachView tells how far the end of a session has come.
type reachView struct {
	Reach
	SessionID string
	EndedAt   time.Time
	// Asking says that there may soon be more to tell.
	Asking bool
}

// reachPatience is for how long after its end a page asks how far it has come.
const reachPatience = 30 * time.Second

func (c *console) reach(f authz.Family) (reachView, error) {
	v := reachView{SessionID: f.SessionID, EndedAt: f.RevokedAt}
	if f.RevokedAt.IsZero() || f.Status.List == "" {
		return v, nil
	}
	var err error
	if v.Reach, err = c.Reach(f.Status, f.RevokedAt); err != nil {
		return v, err
	}
	complete := v.Shown && v.Told >= v.Listeners
	v.Asking = !complete && c.Now().Sub(f.RevokedAt) < reachPatience
	return v, nil
}

// Published is how long the end took to stand in the status list.
func (v reachView) Published() string { return after(v.EndedAt, v.ServedAt) }

// Heard is how long it took until every listener had been told.
func (v reachView) Heard() string { return after(v.EndedAt, v.ToldAt) }

// FirstFetched is how long it took until the first verifier had the list.
func (v reachView) FirstFetched() string { return after(v.EndedAt, v.FetchedAt) }

func after(from, until time.Time) string {
	return max(until.Sub(from), 0).Round(time.Millisecond).String()
}

func (c *console) sessionReach(g *gin.Context, _ authz.Administrator) (answer, error) {
	f, err := c.Sessions.Find(g.Request.Context(), g.Param("sid"))
	if err != nil {
		return answer{}, err
	}
	v, err := c.reach(f)
	if err != nil {
		return answer{}, err
	}
	a := show("session", "", v)
	a.part = "reach"
	return a, nil
}

// confirmSessions asks whether several sessions shall end.
func (c *console) confirmSessions(g *gin.Context, _ authz.Administrator) (answer, error) {
	f, err := readForm(g)
	if err != nil {
		return answer{}, err
	}
	var families []authz.Family
	for _, id := range chosen(f) {
		family, err := c.Sessions.Find(g.Request.Context(), id)
		if authz.CodeOf(err) == authz.NotFound {
			continue
		}
		if err != nil {
			return answer{}, err
		}
		families = append(families, family)
	}
	if len(families) == 0 {
		return done("/console/sessions", "No session was chosen."), nil
	}
	rows, err := c.sessionRows(g.Request.Context(), families)
	if err != nil {
		return answer{}, err
	}
	return show("confirm-sessions", "End sessions", rows), nil
}

// chosen returns the sessions that a form names, each once.
func chosen(f form) []string {
	ids := slices.Clone(f.All("sid"))
	slices.Sort(ids)
	ids = slices.Compact(ids)
	return ids[:min(len(ids), listed)]
}

// revokeSessions ends the chosen sessions. After one the browser goes to its
// page, which tells how far that has come.
func (c *console) revokeSessions(g *gin.Context, admin authz.Administrator) (answer, error) {
	f, err := readForm(g)
	if err != nil {
		return answer{}, err
	}
	ids, ended := chosen(f), 0
	for _, id := range ids {
		n, err := c.EndSessions(g.Request.Context(), admin, authz.Ending{SessionID: id})
		if err != nil {
			return answer{}, err
		}
		ended += n
	}
	if len(ids) == 1 {
		if ended == 0 {
			return done("/console/sessions/"+ids[0], "It was over already."), nil
		}
		return done("/console/sessions/"+ids[0], "The session has ended."), nil
	}
	return done("/console/sessions", "Ended %s.", plural(ended, "session", "sessions")), nil
}
