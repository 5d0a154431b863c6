package console

import (
	"errors"
	"strings"
	"time"

	"chancery/authz"
	"chancery/web/page"

	"github.com/gin-gonic/gin"
)

// form is what a browser has sent.
type form struct{ page.Form }

func readForm(g *gin.Context) (form, error) {
	f, err := page.ReadForm(g)
	return form{f}, err
}

// duration returns a field as a duration; nil for an empty one.
func (f form) duration(name, label string) (*time.Duration, error) {
	return authz.ParseDuration(label, f.Text(name))
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
	if len(value) > maxQuery || !page.Usable(value) {
		return ""
	}
	return value
}

// maxQuery bounds a parameter.
const maxQuery = 600
