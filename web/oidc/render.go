package oidc

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"log/slog"
	"net/http"

	"chancery/authz"
	"chancery/web/page"
	"chancery/web/respond"

	"github.com/gin-gonic/gin"
)

//go:embed templates/*.html
var templates embed.FS

// names of the pages; each is a template that fills the frame.
var pageNames = []string{"login", "consent", "form-post", "logout", "signed-out", "account", "device", "problem"}

// view is what every page gets.
type view struct {
	Title, Base string
	Data        any
}

// show answers with a page.
func (e *endpoints) show(c *gin.Context, status int, name, heading string, data any) error {
	var out bytes.Buffer
	if err := e.pages[name].ExecuteTemplate(&out, "frame", view{Title: heading, Base: e.Base, Data: data}); err != nil {
		return err
	}
	page.HTML(c, status, out.Bytes())
	return nil
}

// problemView is what the page of an error shows.
type problemView struct {
	Heading, Sentence string
	// Back is an answer that the user himself must decide to take to its Host; nil
	// for none.
	Back *authz.AuthorizationAnswer
	Host string
}

// refuse answers with an error: to the client where that may be told, and else
// to the user, whom nothing sends anywhere. To a stranger he goes only by himself,
// unless he has let him in before.
func (e *endpoints) refuse(c *gin.Context, err error) {
	v := problemView{}
	var refused *authz.AuthorizationError
	if errors.As(err, &refused) {
		respond.Note(c, slog.String("error", string(refused.Err.Code)))
		if e.trusted(c, refused) && e.send(c, refused.Answer) == nil {
			return
		}
		v.Back, v.Host = &refused.Answer, redirectHost(refused.Answer.RedirectURI)
		page.Policy(c, redirectSource(refused.Answer.RedirectURI))
	} else {
		page.Policy(c)
		var expected *authz.Error
		if errors.As(err, &expected) && expected.Err != nil {
			respond.Note(c, slog.String("reason", expected.Err.Error()))
		}
	}
	status, sentence := e.Respond.Describe(c, err)
	v.Heading, v.Sentence = headings[status], sentence
	if v.Sentence == "" {
		v.Sentence = "Something went wrong here. The log of the server says what, under the request id " + c.Writer.Header().Get("X-Request-Id") + "."
	}
	if v.Heading == "" {
		v.Heading = http.StatusText(status)
	}
	if v.Heading == "" {
		v.Heading = "Closed"
	}
	if err := e.show(c, status, "problem", v.Heading, v); err != nil {
		c.AbortWithStatus(http.StatusInternalServerError)
	}
}

// headings say what an error means for the user.
var headings = map[int]string{
	http.StatusBadRequest: "This cannot go on", http.StatusForbidden: "This cannot go on", http.StatusNotFound: "Not found", http.StatusTooManyRequests: "Too many attempts",
	http.StatusServiceUnavailable: "Try again in a moment", http.StatusInternalServerError: "Something went wrong",
}

// trusted reports whether the browser may be sent to a client without its user's
// doing.
func (e *endpoints) trusted(c *gin.Context, refused *authz.AuthorizationError) bool {
	if !refused.Stranger {
		return true
	}
	login, err := e.browser(c)
	if err != nil {
		return false
	}
	letIn, err := e.Authorizations.LetIn(c.Request.Context(), login, refused.ClientID)
	return err == nil && letIn
}

// functions are what templates call.
func functions() template.FuncMap {
	return template.FuncMap{
		"first": func(values []string) string { return values[0] },
		// link is for addresses that clients have registered, of which some have a
		// scheme of their own.
		"link": func(address string) template.URL { return template.URL(address) }, //nolint:gosec // their scheme is none that a browser runs
		"host": redirectHost,
	}
}
