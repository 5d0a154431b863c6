// Package assets owns the files that the server publishes for apps in browsers:
// the client as an ES module. What a page does with it is left to the page.
package assets

import (
	"crypto/sha256"
	_ "embed" // for the module
	"encoding/base64"
	"net/http"

	"chancery/web/respond"

	"github.com/gin-gonic/gin"
)

// module is the browser client.
//
//go:embed chancery.js
var module []byte

// ModulePath is where the browser client is, below the issuer.
const ModulePath = "/assets/chancery.js"

// Mount adds the files to router. Pages of every origin may import them.
func Mount(router gin.IRouter) {
	sum := sha256.Sum256(module)
	etag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	serve := func(c *gin.Context) {
		c.Header("Access-Control-Allow-Origin", "*")
		c.Header("Cross-Origin-Resource-Policy", "cross-origin")
		c.Header("Cache-Control", "public, max-age=3600, must-revalidate")
		if !respond.NotModified(c, etag) {
			c.Data(http.StatusOK, "text/javascript; charset=utf-8", module)
		}
	}
	router.GET(ModulePath, serve)
	router.HEAD(ModulePath, serve)
}
