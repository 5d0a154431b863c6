package admin

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"chancery/authz"
	"chancery/web/cursor"
	"chancery/web/respond"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"
)

// Event is a security event as admins see it.
type Event struct {
	ID        string       `json:"id" example:"01981f0e-1f5a-7c3e-9d51-3c1b7d2a4c11"`
	Time      time.Time    `json:"time"`
	Kind      string       `json:"kind" example:"user_banned"`
	UserID    string       `json:"user_id,omitempty" doc:"The user it is about." example:"usr_5b0c1fd1-6f2a-4f0e-9a51-0f1e64f5ce0e"`
	ClientID  string       `json:"client_id,omitempty" doc:"The client it is about; ~console for the console." example:"shop"`
	SessionID string       `json:"session_id,omitempty" example:"0a8f5ac2-6c1c-4b7c-8c5c-6f6ac6b3f0a1"`
	Actor     string       `json:"actor,omitempty" doc:"Who did it, when it was not the user or client itself: the id of a user or client, or cli." example:"usr_11111111-2222-4333-8444-555555555555"`
	Target    string       `json:"target,omitempty" doc:"The URI of a resource or the id of a key that it is about." example:"https://api.example"`
	Cause     string       `json:"cause,omitempty" example:"banned"`
	Address   string       `json:"address,omitempty" example:"192.0.2.1"`
	UserAgent string       `json:"user_agent,omitempty" example:"Mozilla/5.0"`
	Detail    string       `json:"detail,omitempty" example:"spam"`
	Changes   []Difference `json:"changes,omitempty" doc:"What is different now."`
}

// Difference is one changed field.
type Difference struct {
	Field  string `json:"field" example:"roles"`
	Before string `json:"before" example:""`
	After  string `json:"after" example:"editor"`
}

// NewEvent returns the event as admins see it.
func NewEvent(e authz.Event) Event {
	v := Event{
		ID: e.ID, Time: e.Time, Kind: string(e.Kind), UserID: e.UserID, ClientID: e.ClientID, SessionID: e.SessionID, Actor: e.Actor, Target: e.Target,
		Cause: string(e.Cause), Address: e.Device.Address, UserAgent: e.Device.UserAgent, Detail: e.Detail,
	}
	for _, d := range e.Changes {
		v.Changes = append(v.Changes, Difference(d))
	}
	return v
}

// EventQuery is which events are asked for.
type EventQuery struct {
	Kind      string    `query:"kind" maxLength:"40" doc:"Those of this kind." example:"user_banned"`
	UserID    string    `query:"user_id" maxLength:"64" doc:"Those about this user." example:"usr_5b0c1fd1-6f2a-4f0e-9a51-0f1e64f5ce0e"`
	ClientID  string    `query:"client_id" maxLength:"255" doc:"Those about this client." example:"shop"`
	SessionID string    `query:"session_id" maxLength:"64" doc:"The timeline of this session." example:"0a8f5ac2-6c1c-4b7c-8c5c-6f6ac6b3f0a1"`
	Actor     string    `query:"actor" maxLength:"128" doc:"Those that this user, client or cli has caused." example:"cli"`
	Target    string    `query:"target" maxLength:"512" doc:"Those about this resource or key." example:"https://api.example"`
	From      time.Time `query:"from" doc:"Not before." example:"2026-01-01T00:00:00Z"`
	Until     time.Time `query:"until" doc:"Before." example:"2099-01-01T00:00:00Z"`
}

var errKind = &authz.Error{Code: authz.InvalidInput, Description: "kind: there is no such kind of event"}

func (q EventQuery) filter() (authz.EventFilter, error) {
	kind := authz.EventKind(q.Kind)
	if kind != "" && !slices.Contains(authz.EventKinds(), kind) {
		return authz.EventFilter{}, errKind
	}
	return authz.EventFilter{
		Kind: kind, UserID: q.UserID, ClientID: q.ClientID, SessionID: q.SessionID, Actor: q.Actor, Target: q.Target,
		From: q.From.UTC(), Until: q.Until.UTC(),
	}, nil
}

type listEventsInput struct {
	PageQuery
	EventQuery
}

// exportPath is where events are exported.
const exportPath = "/events/export"

func (e *Endpoints) mountEvents() {
	const tagName = "Events"
	register(e, operation{
		id: "listEvents", method: http.MethodGet, path: "/events", tag: tagName, summary: "List or find security events, newest first",
		description: "Whatever an admin changes is one, with who did it and what is different. A page may hold fewer than the limit, or none, and name a next one.",
	}, func(ctx context.Context, _ authz.Administrator, in *listEventsInput) (*pageOutput[Event], error) {
		place, err := in.place()
		if err != nil {
			return nil, err
		}
		filter, err := in.filter()
		if err != nil {
			return nil, err
		}
		filter.Page = place
		events, next, err := e.Administration.Events.Search(ctx, filter)
		if err != nil {
			return nil, err
		}
		out := &pageOutput[Event]{page[Event]{Items: []Event{}, Next: cursor.Text(next)}}
		for _, event := range events {
			out.Body.Items = append(out.Body.Items, NewEvent(event))
		}
		return out, nil
	})
	export := operation{
		id: "exportEvents", method: http.MethodGet, path: exportPath, tag: tagName, summary: "Export security events as JSON lines, newest first",
		description: "All that fit, one JSON object on a line. An export that breaks off has no last line feed and ends the connection.",
	}
	e.describeExport(export)
	e.unbounded.GET(exportPath, e.Respond.ProblemHandler(func(c *gin.Context) error { return e.export(c, export) }))
}

// jsonLines is the media type of an export (https://jsonlines.org).
const jsonLines = "application/jsonl"

// describeExport adds the export to the document. The framework would hold a
// request to its time limit.
func (e *Endpoints) describeExport(o operation) {
	described := e.describeOperation(o)
	described.Errors = slices.DeleteFunc(described.Errors, func(status int) bool { return status == http.StatusUnprocessableEntity }) // it has no body
	registry := e.api.OpenAPI().Components.Schemas
	for _, p := range e.api.OpenAPI().Paths["/events"].Get.Parameters {
		if p.Name != "limit" && p.Name != "after" {
			described.Parameters = append(described.Parameters, p)
		}
	}
	described.Responses = map[string]*huma.Response{
		"200": {Description: "The events.", Content: map[string]*huma.MediaType{jsonLines: {Schema: registry.Schema(typeOf[Event](), true, "Event")}}},
	}
	for _, status := range described.Errors {
		described.Responses[strconv.Itoa(status)] = &huma.Response{Description: http.StatusText(status), Content: map[string]*huma.MediaType{
			problemType: {Schema: registry.Schema(typeOf[respond.Problem](), true, "Problem")},
		}}
	}
	e.api.OpenAPI().AddOperation(&described)
}

const problemType = "application/problem+json"

// Limits of an export: how many events are read at once, and how long one batch
// may take to be read and taken.
const (
	exportBatch = 500
	exportPause = 30 * time.Second
)

// export writes events until there are no more or the reader is gone.
func (e *Endpoints) export(c *gin.Context, o operation) error {
	if _, err := e.authenticate(c, o.scope()); err != nil {
		return err
	}
	filter, err := e.exportFilter(c.Request.URL.Query())
	if err != nil {
		return err
	}
	filter.Page.Limit = exportBatch
	control := http.NewResponseController(c.Writer)
	for first := true; ; first = false {
		events, next, err := e.exportBatch(c.Request.Context(), filter)
		if err != nil && first {
			return err
		}
		if err != nil {
			respond.Note(c, slog.String("detail", err.Error()))
			panic(http.ErrAbortHandler) // the reader must not take it for the whole
		}
		if first {
			c.Header("Content-Type", jsonLines)
			c.Header("Content-Disposition", `attachment; filename="events.jsonl"`)
			c.Status(http.StatusOK)
			c.Writer.WriteHeaderNow()
		}
		// Not every writer has deadlines; one without blocks no longer than its
		// connection lives.
		_ = control.SetWriteDeadline(time.Now().Add(exportPause)) //nolint:forbidigo // a deadline of the connection, not a time that any rule sees
		encoder := json.NewEncoder(c.Writer)
		encoder.SetEscapeHTML(false)
		for _, event := range events {
			if err := encoder.Encode(NewEvent(event)); err != nil {
				return nil //nolint:nilerr // the reader is gone
			}
		}
		if next.AfterID == "" {
			return nil
		}
		filter.Page.After, filter.Page.AfterID = next.After, next.AfterID
	}
}

func (e *Endpoints) exportBatch(ctx context.Context, filter authz.EventFilter) ([]authz.Event, authz.Page, error) {
	ctx, cancel := context.WithTimeout(ctx, exportPause)
	defer cancel()
	return e.Administration.Events.Search(ctx, filter)
}

// exportFilter reads the parameters of an export.
func (e *Endpoints) exportFilter(query url.Values) (authz.EventFilter, error) {
	known := e.api.OpenAPI().Paths[exportPath].Get.Parameters
	q := EventQuery{
		Kind: query.Get("kind"), UserID: query.Get("user_id"), ClientID: query.Get("client_id"), SessionID: query.Get("session_id"),
		Actor: query.Get("actor"), Target: query.Get("target"),
	}
	times := map[string]*time.Time{"from": &q.From, "until": &q.Until}
	for name, values := range query {
		i := slices.IndexFunc(known, func(p *huma.Param) bool { return p.Name == name })
		if i < 0 {
			return authz.EventFilter{}, errExport
		}
		if longest := known[i].Schema.MaxLength; longest != nil && utf8.RuneCountInString(values[0]) > *longest {
			return authz.EventFilter{}, errExport
		}
		if into, isTime := times[name]; isTime {
			at, err := time.Parse(time.RFC3339, values[0])
			if err != nil {
				return authz.EventFilter{}, errExport
			}
			*into = at
		}
	}
	return q.filter()
}

var errExport = &authz.Error{Code: authz.InvalidInput, Description: "want kind, user_id, client_id, session_id, actor, target, and from and until as RFC 3339"}
