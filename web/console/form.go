package console

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"chancery/authz"
	"chancery/web/respond"

	"github.com/gin-gonic/gin"
)

// form is what a browser has sent.
type form struct{ g *gin.Context }

var (
	errForm     = &authz.Error{Code: authz.InvalidRequest, Description: "The form holds characters that cannot be used."}
	errEncoding = &authz.Error{Code: authz.InvalidRequest, Description: "This is not a form of the console."}
)

// readForm reads a form in the encoding that browsers use for ours. A field that
// no database takes refuses it whole.
func readForm(g *gin.Context) (form, error) {
	if g.ContentType() != "application/x-www-form-urlencoded" {
		return form{}, errEncoding
	}
	err := g.Request.ParseForm()
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return form{}, respond.ErrTooLarge
	}
	if err != nil {
		return form{}, errForm
	}
	for _, values := range g.Request.PostForm {
		if slices.ContainsFunc(values, func(v string) bool { return !usable(v) }) {
			return form{}, errForm
		}
	}
	return form{g}, nil
}

// usable reports whether a database takes the text. Line breaks separate the
// entries of a list.
func usable(text string) bool {
	return authz.PlainText(strings.NewReplacer("\n", "", "\r", "").Replace(text))
}

// text returns a field without white space around it.
func (f form) text(name string) string { return strings.TrimSpace(f.g.PostForm(name)) }

// words returns the words of a field, which stand on lines or beside each
// other.
func (f form) words(name string) []string { return strings.Fields(f.g.PostForm(name)) }

// all returns every value of a field.
func (f form) all(name string) []string { return f.g.PostFormArray(name) }

// checked reports whether a box was checked.
func (f form) checked(name string) bool { return f.g.PostForm(name) != "" }

// duration returns a field as a duration; nil for an empty one.
func (f form) duration(name, label string) (*time.Duration, error) {
	return authz.ParseDuration(label, f.text(name))
}

// problemOf returns the sentence of an expected failure that a form shows beside
// what was filled in, and whether err is one.
func problemOf(err error) (string, bool) {
	var expected *authz.Error
	if !errors.As(err, &expected) {
		return "", false
	}
	switch expected.Code {
	case authz.InvalidInput, authz.Conflict, authz.Changed, authz.InvalidScope, authz.NotFound:
		return expected.Description, true
	}
	return "", false
}

// query returns a parameter of the URL that a database takes, or "".
func query(g *gin.Context, name string) string {
	value := strings.TrimSpace(g.Query(name))
	if len(value) > maxQuery || !usable(value) {
		return ""
	}
	return value
}

// maxQuery bounds a parameter.
const maxQuery = 600
