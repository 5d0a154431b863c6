package admin

import (
	"context"
	"net/http"
	"slices"
	"time"

	"chancery/authz"
)

// Overview is the figures that admins see first.
type Overview struct {
	ActiveSessions int64 `json:"active_sessions" doc:"Sessions that live now." example:"1204"`
	// Totals and Series are by kind of activity.
	Totals      map[string]int64   `json:"totals" doc:"What happened within the range: logins, refreshes, failures and reuse." example:"{\"logins\": 310, \"refreshes\": 20144, \"failures\": 12, \"reuse\": 1}"`
	StepSeconds int64              `json:"step_seconds" doc:"How long each step of the series is." example:"900"`
	Times       []time.Time        `json:"times" doc:"When each step begins."`
	Series      map[string][]int64 `json:"series" doc:"The amounts of each step, by kind; of active_sessions the greatest number."`
}

func newOverview(o authz.Overview) Overview {
	view := Overview{ActiveSessions: o.Sessions, StepSeconds: int64(o.Step / time.Second), Times: o.Times, Totals: map[string]int64{}, Series: map[string][]int64{}}
	for _, kind := range authz.ActivityKinds() {
		view.Series[string(kind)] = o.Series[kind]
		if kind != authz.ActiveSessions {
			view.Totals[string(kind)] = o.Totals[kind]
		}
	}
	return view
}

func (e *Endpoints) mountOverview() {
	type input struct {
		Range string `query:"range" enum:"hour,day,week,month" default:"day" doc:"How far back to look."`
	}
	type output struct{ Body Overview }
	register(e, operation{
		id: "overview", method: http.MethodGet, path: "/overview", tag: "Overview", summary: "Figures over time",
		description: "How many sessions there are, and how many logins, refreshes, refusals and reuses there were, on all nodes together.",
	}, func(ctx context.Context, _ authz.Administrator, in *input) (*output, error) {
		i := slices.IndexFunc(authz.Ranges(), func(r authz.Range) bool { return r.Name == in.Range }) // which the framework has checked
		o, err := e.Administration.Activity.Overview(ctx, authz.Ranges()[i].Length)
		if err != nil {
			return nil, err
		}
		return &output{newOverview(o)}, nil
	})
}
