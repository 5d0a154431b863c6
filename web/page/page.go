// Package page owns what all pages for people have in common: how they are
// parsed, what a browser may do with them, how their forms are read, and that no
// other site sends them. It leaves to the pages what they say.
package page

import (
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode"

	"chancery/web/respond"

	"github.com/gin-gonic/gin"
)

// Parse returns the named pages: each of the files templates/NAME.html within
// the shared ones. The error tells of a template.
func Parse(files fs.FS, functions template.FuncMap, shared, names []string) (map[string]*template.Template, error) {
	frame, err := template.New(shared[0]).Funcs(functions).ParseFS(files, shared...)
	if err != nil {
		return nil, err
	}
	pages := map[string]*template.Template{}
	for _, name := range names {
		copied, err := frame.Clone()
		if err != nil {
			return nil, err
		}
		if pages[name], err = copied.ParseFS(files, "templates/"+name+".html"); err != nil {
			return nil, fmt.Errorf("page %s: %w", name, err)
		}
	}
	return pages, nil
}

// Policy lets a page load nothing but our own files, run no inline script, stand
// in no frame, and send its forms to us or, through a redirect of ours, to the
// given sources.
func Policy(g *gin.Context, formAction ...string) {
	g.Header("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "+
		"form-action "+strings.Join(append([]string{"'self'"}, formAction...), " ")+"; base-uri 'none'; frame-ancestors 'none'")
	respond.NoStore(g)
}

// Local returns where to go next, and whether it is one of the paths of ours or
// below. A browser must not make another path of it: it resolves dots, encoded
// ones too, and takes a backslash for a slash.
func Local(asked string, paths ...string) (string, bool) {
	target, err := url.Parse(asked)
	if err != nil || strings.ContainsFunc(target.Path, unicode.IsControl) || strings.Contains(asked, "\\") || path.Clean(target.Path) != target.Path {
		return "", false
	}
	return asked, slices.ContainsFunc(paths, func(ours string) bool {
		rest, below := strings.CutPrefix(asked, ours)
		return below && (rest == "" || strings.ContainsRune("/?", rune(rest[0]))) && strings.HasPrefix(target.Path, ours)
	})
}

// HTML answers with a page.
func HTML(g *gin.Context, status int, content []byte) {
	g.Data(status, "text/html; charset=utf-8", content)
	g.Abort()
}

// SeeOther sends the browser elsewhere, where it asks with GET whatever it asked
// with here.
func SeeOther(g *gin.Context, location string) {
	g.Header("Location", location)
	g.Status(http.StatusSeeOther)
	g.Writer.WriteHeaderNow()
	g.Abort()
}
