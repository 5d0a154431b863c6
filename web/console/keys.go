package console

import (
	"cmp"
	"slices"
	"time"

	"chancery/authz"

	"github.com/gin-gonic/gin"
)

// keysView is what the page of the signing keys shows.
type keysView struct {
	Algorithms []algorithmView
	// Marks stand along the timeline.
	Marks  []mark
	Events []authz.Event
	Names  map[string]string
}

// algorithmView is the keys of one algorithm, the newest first.
type algorithmView struct {
	Name string
	Keys []keyRow
	// Pending says that a key is waiting to sign already.
	Pending bool
}

// keyRow is a key with its place on the timeline. Places are whole percents of
// the width: of the time that it waits, signs, and is only published.
type keyRow struct {
	authz.SigningKey
	Bars []bar
}

// bar is a part of a key's life on the timeline.
type bar struct {
	State      string
	Start, End int
}

// mark is a moment on the timeline.
type mark struct {
	Label string
	At    int
}

func (c *console) keys(g *gin.Context, _ authz.Administrator) (answer, error) {
	ctx := g.Request.Context()
	keys, err := c.Keys.Keys(ctx)
	if err != nil {
		return answer{}, err
	}
	v := keysView{}
	span := spanOf(keys, c.Now())
	for _, name := range authz.SigningAlgorithms() {
		a := algorithmView{Name: name}
		for _, k := range keys {
			if k.Algorithm == name {
				a.Keys = append(a.Keys, keyRow{SigningKey: k, Bars: span.bars(k)})
				a.Pending = a.Pending || k.State == "pending"
			}
		}
		slices.SortStableFunc(a.Keys, func(x, y keyRow) int { return y.ActivateAt.Compare(x.ActivateAt) })
		v.Algorithms = append(v.Algorithms, a)
	}
	v.Marks = span.marks()
	for _, kind := range []authz.EventKind{authz.EventKeyCompromised, authz.EventKeyRotated, authz.EventKeyCreated} {
		events, _, err := c.Events.Search(ctx, authz.EventFilter{Kind: kind, Page: authz.Page{Limit: 8}})
		if err != nil {
			return answer{}, err
		}
		v.Events = append(v.Events, events...)
	}
	slices.SortFunc(v.Events, func(a, b authz.Event) int { return b.Time.Compare(a.Time) })
	if v.Names, err = c.eventNames(ctx, v.Events); err != nil {
		return answer{}, err
	}
	return show("keys", "Keys", v), nil
}

// timespan is the time that the timeline shows.
type timespan struct{ from, until, now time.Time }

// around is how much of the past and the future the timeline shows at least.
const around = 10 * 24 * time.Hour

// spanOf returns the time in which the keys live, and now.
func spanOf(keys []authz.SigningKey, now time.Time) timespan {
	s := timespan{now.Add(-around), now.Add(around), now}
	for _, k := range keys {
		for _, t := range []time.Time{k.CreatedAt, k.ActivateAt, k.RetireAt, k.RemoveAt} {
			if t.IsZero() {
				continue
			}
			if t.Before(s.from) {
				s.from = t
			}
			if t.After(s.until) {
				s.until = t
			}
		}
	}
	return s
}

// place returns where a time stands, in whole percents of the width.
func (s timespan) place(t time.Time) int {
	if t.IsZero() {
		return whole
	}
	return int(min(max(t.Sub(s.from)*whole/s.until.Sub(s.from), 0), whole))
}

const whole = 100

// bars returns the parts of a key's life.
func (s timespan) bars(k authz.SigningKey) []bar {
	var bars []bar
	add := func(state string, from, until time.Time) {
		b := bar{State: state, Start: s.place(from), End: s.place(until)}
		if b.End > b.Start || (b.End == b.Start && b.Start < whole) {
			b.End = max(b.End, b.Start+1)
			bars = append(bars, b)
		}
	}
	add("pending", k.CreatedAt, cmp.Or(k.CompromisedAt, k.ActivateAt))
	end := cmp.Or(k.CompromisedAt, k.RetireAt)
	if k.CompromisedAt.IsZero() || k.CompromisedAt.After(k.ActivateAt) {
		add("active", k.ActivateAt, end)
	}
	if !k.RetireAt.IsZero() && k.CompromisedAt.IsZero() {
		add("retired", k.RetireAt, k.RemoveAt)
	}
	if !k.CompromisedAt.IsZero() {
		bars = append(bars, bar{State: "compromised", Start: max(s.place(k.CompromisedAt)-1, 0), End: s.place(k.CompromisedAt) + 1})
	}
	return bars
}

func (s timespan) marks() []mark {
	const format = "2 Jan"
	return []mark{{s.from.UTC().Format(format), 0}, {"now", s.place(s.now)}, {s.until.UTC().Format(format), whole}}
}

func (c *console) rotateKey(g *gin.Context, admin authz.Administrator) (answer, error) {
	f, err := readForm(g)
	if err != nil {
		return answer{}, err
	}
	k, err := c.Keys.Rotate(g.Request.Context(), f.Text("algorithm"), admin)
	if err != nil {
		return answer{}, err
	}
	return done("/console/keys", "Another %s key is published. It signs from %s.", k.Algorithm, k.ActivateAt.UTC().Format("2 January 2006 15:04 MST")), nil
}

// compromiseView asks whether a key shall be taken out of use.
type compromiseView struct {
	authz.SigningKey
	// Resources are those whose tokens the algorithm signs.
	Resources []string
}

// signingKey returns the key that the path names.
func (c *console) signingKey(g *gin.Context) (authz.SigningKey, error) {
	keys, err := c.Keys.Keys(g.Request.Context())
	if err != nil {
		return authz.SigningKey{}, err
	}
	i := slices.IndexFunc(keys, func(k authz.SigningKey) bool { return k.ID == g.Param("kid") })
	if i < 0 {
		return authz.SigningKey{}, &authz.Error{Code: authz.NotFound, Description: "There is no such key."}
	}
	return keys[i], nil
}

func (c *console) confirmCompromise(g *gin.Context, _ authz.Administrator) (answer, error) {
	k, err := c.signingKey(g)
	if err != nil {
		return answer{}, err
	}
	v := compromiseView{SigningKey: k}
	resources, err := c.Resources.List(g.Request.Context())
	if err != nil {
		return answer{}, err
	}
	for _, r := range resources {
		if r.Algorithm == k.Algorithm {
			v.Resources = append(v.Resources, r.URI)
		}
	}
	return show("compromise", "Compromised key", v), nil
}

func (c *console) compromiseKey(g *gin.Context, admin authz.Administrator) (answer, error) {
	k, err := c.signingKey(g)
	if err != nil {
		return answer{}, err
	}
	next, err := c.Keys.Compromise(g.Request.Context(), k.ID, admin)
	if err != nil {
		return answer{}, err
	}
	if next.ID == "" {
		return done("/console/keys", "The key is out of use."), nil
	}
	return done("/console/keys", "The key is out of use. %s takes its place.", next.ID), nil
}
