package console

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"chancery/authz"
	"chancery/web/page"
	"chancery/web/respond"
	"chancery/web/segment"

	"github.com/gin-gonic/gin"
)

//go:embed templates/*.html
var templates embed.FS

// names of the pages; each is a template that fills the frame.
var pageNames = []string{
	"login", "overview", "sessions", "session", "confirm-sessions", "users", "user", "user-new", "clients", "client", "client-form", "secret",
	"resources", "resource", "keys", "compromise", "events", "problem",
}

// answer is what a handler answers with: a page, or the way to another.
type answer struct {
	status      int
	page, title string
	data        any
	// part is the name of a template to answer with in place of a page.
	part     string
	redirect string
	// flash is shown on the page that the browser is sent to.
	flash string
}

func show(page, title string, data any) answer {
	return answer{status: respond.StatusShown, page: page, title: title, data: data}
}

// unfit shows a form again, with what is wrong with it.
func unfit(page, title string, data any) answer {
	return answer{status: respond.StatusUnfit, page: page, title: title, data: data}
}

// redirect sends the browser to another page of the console.
func redirect(path string) answer { return answer{redirect: path} }

// done is redirect with a word of what was done.
func done(path, format string, args ...any) answer {
	return answer{redirect: path, flash: fmt.Sprintf(format, args...)}
}

// view is what every page gets.
type view struct {
	Title, Base, Path, Flash, Version string
	Admin                             authz.Administrator
	Data                              any
}

// write answers.
func (c *console) write(g *gin.Context, a answer, admin authz.Administrator) {
	ctx := g.Request.Context()
	if a.redirect != "" {
		if a.flash != "" {
			c.manager.Put(ctx, keyFlash, a.flash)
		}
		g.Header("Location", c.Base+a.redirect)
		c.finish(g, http.StatusSeeOther, nil)
		return
	}
	v := view{Title: a.title, Base: c.Base, Path: g.Request.URL.Path, Version: c.Version, Admin: admin, Data: a.data}
	if a.part == "" && !polled(g) {
		v.Flash = c.manager.PopString(ctx, keyFlash)
	}
	name := "frame"
	if a.part != "" {
		name = a.part
	}
	var out bytes.Buffer
	if err := c.pages[a.page].ExecuteTemplate(&out, name, v); err != nil {
		respond.Note(g, slog.String("detail", err.Error()))
		c.finish(g, http.StatusInternalServerError, []byte("The page cannot be shown."))
		return
	}
	c.finish(g, a.status, out.Bytes())
}

// problemView is what the page of an error shows.
type problemView struct {
	Status            int
	Heading, Sentence string
}

// refuse answers somebody who is not signed in with an error.
func (c *console) refuse(g *gin.Context, err error) { c.refuseTo(g, authz.Administrator{}, err) }

// refuseTo answers an admin with an error.
func (c *console) refuseTo(g *gin.Context, admin authz.Administrator, err error) {
	status, sentence := c.Respond.Describe(g, err)
	p := problemView{Status: status, Heading: http.StatusText(status), Sentence: sentence}
	if p.Sentence == "" {
		p.Sentence = "Something went wrong here. The log of the server says what, under the request id " + g.Writer.Header().Get("X-Request-Id") + "."
	}
	if p.Heading == "" {
		p.Heading = "Closed"
	}
	var out bytes.Buffer
	v := view{Title: p.Heading, Base: c.Base, Path: g.Request.URL.Path, Version: c.Version, Admin: admin, Data: p}
	if err := c.pages["problem"].ExecuteTemplate(&out, "frame", v); err != nil {
		out.Reset()
	}
	// The session may be what failed: it is left alone.
	page.HTML(g, status, out.Bytes())
}

// functions are what templates call.
func functions() template.FuncMap {
	return template.FuncMap{
		"iso":      func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"clock":    func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" },
		"never":    func(t time.Time) bool { return t.IsZero() },
		"forever":  func(t time.Time) bool { return t.Equal(authz.Forever) },
		"words":    func(words []string) string { return strings.Join(words, " ") },
		"lines":    func(words []string) string { return strings.Join(words, "\n") },
		"kind":     func(kind authz.EventKind) string { return strings.ReplaceAll(string(kind), "_", " ") },
		"why":      why,
		"duration": durationText,
		"agent":    agent,
		"segment":  segment.OfClient,
		"under":    strings.HasPrefix,
		"many":     plural,
		"kind2":    func(cause authz.Cause) string { return strings.ReplaceAll(string(cause), "_", " ") },
		"width":    func(start, end int) int { return end - start },
		"tab":      newTab,
		"rows":     func(base string, rows []sessionRow, choose bool) rowsPart { return rowsPart{base, rows, choose} },
		"events": func(base string, rows []authz.Event, names map[string]string) eventsPart {
			return eventsPart{base, rows, names}
		},
		"next":  func(base, next string, partial bool) nextPart { return nextPart{base, next, partial} },
		"reach": func(base string, v reachView) view { return view{Base: base, Data: v} },
	}
}

// What the shared parts of pages are given.
type (
	rowsPart struct {
		Base   string
		Rows   []sessionRow
		Choose bool
	}
	eventsPart struct {
		Base  string
		Rows  []authz.Event
		Names map[string]string
	}
	nextPart struct {
		Base, Next string
		Partial    bool
	}
	tabPart struct {
		Href, Label string
		Here        bool
	}
)

// newTab returns the link to a page of the console from the page of v.
func newTab(v view, path, label string) tabPart {
	href := v.Base + "/console" + path
	here := v.Path == href || (path != "" && strings.HasPrefix(v.Path, href+"/"))
	return tabPart{Href: href, Label: label, Here: here}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func durationText(d *time.Duration) string {
	if d == nil {
		return ""
	}
	return d.String()
}

// why says in a sentence what a cause means.
func why(cause authz.Cause) string {
	sentences := map[authz.Cause]string{
		authz.CauseReuse:           "an old refresh token came back after its time, so that either it or its successor is in the wrong hands",
		authz.CauseCodeReplayed:    "the authorization code that it began with came again, so that somebody else may have seen it",
		authz.CauseRevoked:         "it had been ended before",
		authz.CauseExpiredIdle:     "it was not used for its idle lifetime",
		authz.CauseExpiredAbsolute: "it reached its greatest age",
		authz.CauseNotEntitled:     "user or client have lost every scope that it had",
		authz.CauseLogout:          "the user logged out",
		authz.CauseAdmin:           "an admin ended it",
		authz.CauseBanned:          "the user was banned",
		authz.CausePasswordChanged: "the password was changed",
		authz.CauseUserDeleted:     "the user was deleted",
		authz.CauseSessionLimit:    "the user began more sessions than one may have",
		authz.CauseClientDisabled:  "the client was disabled",
		authz.CauseClientDeleted:   "the client was deleted",
		authz.CauseConcurrent:      "the same refresh token came twice within the leeway; the answer was repeated",
		authz.CauseLostResponse:    "the client had lost an answer, which was repeated",
		authz.CauseRestored:        "the database had lost what the client holds, and was brought forward",
	}
	if sentence, ok := sentences[cause]; ok {
		return sentence
	}
	return string(cause)
}

// agent says in a few words what a device calls itself.
func agent(userAgent string) string {
	if userAgent == "" {
		return "unknown device"
	}
	browser := first(userAgent, [][2]string{
		{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}, {"curl/", "curl"}, {"Go-http-client", "Go program"},
	})
	system := first(userAgent, [][2]string{
		{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Windows", "Windows"}, {"Mac OS X", "Mac"}, {"Linux", "Linux"},
	})
	switch {
	case browser != "" && system != "":
		return browser + " on " + system
	case browser+system != "":
		return browser + system
	}
	name, _, _ := strings.Cut(userAgent, " ")
	return name
}

func first(text string, marks [][2]string) string {
	for _, mark := range marks {
		if strings.Contains(text, mark[0]) {
			return mark[1]
		}
	}
	return ""
}
