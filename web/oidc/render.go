package oidc

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"

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
}

// refuse answers with an error: to the client where that may be told, and else
// to the user, whom nothing sends anywhere.
func (e *endpoints) refuse(c *gin.Context, err error) {
	var refused *authz.AuthorizationError
	if errors.As(err, &refused) {
		respond.Note(c, slog.String("error", string(refused.Err.Code)))
		if e.send(c, refused.Answer) == nil {
			return
		}
	}
	page.Policy(c)
	status, sentence := e.Respond.Describe(c, err)
	v := problemView{Heading: http.StatusText(status), Sentence: sentence}
	if v.Sentence == "" {
		v.Sentence = "Something went wrong here. The log of the server says what, under the request id " + c.Writer.Header().Get("X-Request-Id") + "."
	}
	if v.Heading == "" {
		v.Heading = "Closed"
	}
	if err := e.show(c, status, "problem", v.Heading, v); err != nil {
		c.AbortWithStatus(http.StatusInternalServerError)
	}
}

// functions are what templates call.
func functions() template.FuncMap {
	return template.FuncMap{"first": func(values url.Values, name string) string { return values.Get(name) }}
}
