package page

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"chancery/authz"
	"chancery/web/respond"

	"github.com/gin-gonic/gin"
)

// MaxForm bounds a form in bytes.
const MaxForm = 64 << 10

// Form is what a browser has sent.
type Form struct{ g *gin.Context }

var (
	errForm     = &authz.Error{Code: authz.InvalidRequest, Description: "The form holds characters that cannot be used."}
	errEncoding = &authz.Error{Code: authz.InvalidRequest, Description: "This is not a form of these pages."}
)

// ReadForm reads a form in the encoding that browsers use for ours. A field that
// no database takes refuses it whole.
func ReadForm(g *gin.Context) (Form, error) {
	if g.ContentType() != "application/x-www-form-urlencoded" {
		return Form{}, errEncoding
	}
	g.Request.Body = http.MaxBytesReader(g.Writer, g.Request.Body, MaxForm)
	err := g.Request.ParseForm()
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return Form{}, respond.ErrTooLarge
	}
	if err != nil {
		return Form{}, errForm
	}
	for _, values := range g.Request.PostForm {
		if slices.ContainsFunc(values, func(v string) bool { return !Usable(v) }) {
			return Form{}, errForm
		}
	}
	return Form{g}, nil
}

// Usable reports whether a database takes the text. Line breaks separate the
// entries of a list.
func Usable(text string) bool {
	return authz.PlainText(strings.NewReplacer("\n", "", "\r", "").Replace(text))
}

// Text returns a field without white space around it.
func (f Form) Text(name string) string { return strings.TrimSpace(f.g.PostForm(name)) }

// Secret returns a field as it was typed.
func (f Form) Secret(name string) authz.Secret { return authz.Secret(f.g.PostForm(name)) }

// Words returns the words of a field, which stand on lines or beside each
// other.
func (f Form) Words(name string) []string { return strings.Fields(f.g.PostForm(name)) }

// All returns every value of a field.
func (f Form) All(name string) []string { return f.g.PostFormArray(name) }

// Checked reports whether a box was checked.
func (f Form) Checked(name string) bool { return f.g.PostForm(name) != "" }
