// Package assets owns the files that the server publishes: the client for apps
// in browsers as an ES module, and what the pages are styled and moved by. What a page does with them is left to the page.
package assets

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"net/http"

	"chancery/web/respond"

	"github.com/gin-gonic/gin"
)

//go:embed files/*.js files/*.css
var files embed.FS

// ModulePath is where the browser client is, below the issuer.
const ModulePath = "/assets/chancery.js"

// asset is one file and how it is served.
type asset struct {
	name, mediaType string
	// public files may be used by pages of every origin.
	public bool
}

const (
	javascript = "text/javascript; charset=utf-8"
	stylesheet = "text/css; charset=utf-8"
)

var assets = []asset{
	{"chancery.js", javascript, true},
	{"console.js", javascript, false},
	{"console.css", stylesheet, false},
	{"submit.js", javascript, false},
	{"htmx.min.js", javascript, false},
	{"pico.min.css", stylesheet, false},
	{"uPlot.iife.min.js", javascript, false},
	{"uPlot.min.css", stylesheet, false},
}

// Mount adds the files to router.
func Mount(router gin.IRouter) error {
	for _, a := range assets {
		content, err := files.ReadFile("files/" + a.name)
		if err != nil {
			return fmt.Errorf("asset %s: %w", a.name, err)
		}
		serve := a.serve(content)
		router.GET("/assets/"+a.name, serve)
		router.HEAD("/assets/"+a.name, serve)
	}
	return nil
}

func (a asset) serve(content []byte) gin.HandlerFunc {
	sum := sha256.Sum256(content)
	etag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	return func(c *gin.Context) {
		if a.public {
			c.Header("Access-Control-Allow-Origin", "*")
			c.Header("Cross-Origin-Resource-Policy", "cross-origin")
			c.Header("Cache-Control", "public, max-age=3600, must-revalidate")
		} else {
			c.Header("Cross-Origin-Resource-Policy", "same-origin")
			c.Header("Cache-Control", "no-cache") // a page and its style change together
		}
		if !respond.NotModified(c, etag) {
			c.Data(http.StatusOK, a.mediaType, content)
		}
	}
}
