package console

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"

	"chancery/authz"

	"github.com/gin-gonic/gin"
)

// overviewView is what the overview shows.
type overviewView struct {
	Sessions int64
	Totals   map[string]int64
	Range    string
	Ranges   []rangeLink
	// Charts are the series as JSON, for the script that draws them.
	Charts []chart
	Events []authz.Event
	Names  map[string]string
}

type rangeLink struct {
	Name, Label string
	Chosen      bool
}

// chart is one chart: a title, its data, and what it says in words.
type chart struct {
	Title, Data, Words string
}

// series is one line of a chart, for the script.
type series struct {
	Label string  `json:"label"`
	Color string  `json:"color"`
	Data  []int64 `json:"data"`
}

func (c *console) overview(g *gin.Context, _ authz.Administrator) (answer, error) {
	chosen := authz.Ranges()[1]
	var links []rangeLink
	for _, r := range authz.Ranges() {
		if r.Name == g.Query("range") {
			chosen = r
		}
	}
	for _, r := range authz.Ranges() {
		links = append(links, rangeLink{r.Name, r.Label, r.Name == chosen.Name})
	}
	ctx := g.Request.Context()
	o, err := c.Activity.Overview(ctx, chosen.Length)
	if err != nil {
		return answer{}, err
	}
	events, _, err := c.Events.Search(ctx, authz.EventFilter{Page: authz.Page{Limit: 8}})
	if err != nil {
		return answer{}, err
	}
	names, err := c.eventNames(ctx, events)
	if err != nil {
		return answer{}, err
	}
	return show("overview", "Overview", overviewView{
		Sessions: o.Sessions, Totals: totals(o), Range: chosen.Name, Ranges: links, Charts: charts(o), Events: events, Names: names,
	}), nil
}

// totals returns what happened by the name of its kind, which templates know.
func totals(o authz.Overview) map[string]int64 {
	named := map[string]int64{}
	for _, kind := range authz.ActivityKinds() {
		named[string(kind)] = o.Totals[kind]
	}
	return named
}

func charts(o authz.Overview) []chart {
	line := func(label, color string, kind authz.ActivityKind) series { return series{label, color, o.Series[kind]} }
	return []chart{
		newChart("Active sessions", o, line("Sessions", "blue", authz.ActiveSessions)),
		newChart("Logins and refreshes", o, line("Logins", "green", authz.ActivityLogins), line("Refreshes", "blue", authz.ActivityRefreshes)),
		newChart("Refusals", o, line("Refused", "amber", authz.ActivityFailures), line("Reuse", "red", authz.ActivityReuse)),
	}
}

func newChart(title string, o authz.Overview, lines ...series) chart {
	times := make([]int64, len(o.Times))
	for i, t := range o.Times {
		times[i] = t.Unix()
	}
	data, _ := json.Marshal(struct { // numbers and texts alone: it cannot fail
		Times []int64  `json:"times"`
		Lines []series `json:"lines"`
	}{times, lines})
	words := title + ":"
	for _, l := range lines {
		greatest, now := int64(0), int64(0)
		for _, n := range l.Data {
			greatest, now = max(greatest, n), n
		}
		words += fmt.Sprintf(" %s at most %d in a step, now %d.", l.Label, greatest, now)
	}
	return chart{Title: title, Data: string(data), Words: words}
}

// link returns a path with parameters, of which empty ones are left out.
func link(path string, pairs ...string) string {
	values := url.Values{}
	for pair := range slices.Chunk(pairs, 2) {
		if pair[1] != "" {
			values.Set(pair[0], pair[1])
		}
	}
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}
