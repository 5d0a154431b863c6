package respond

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
)

// NoStore forbids every cache to keep the answer (RFC 6749 section 5.1).
func NoStore(c *gin.Context) {
	c.Header("Cache-Control", "no-store")
	c.Header("Pragma", "no-cache")
}

// NotModified names the entity tag of what is about to be answered. If the
// client has it already it answers with 304 and returns true. A proxy that
// compresses may have weakened the client's tag (RFC 9110 section 13.1.2).
func NotModified(c *gin.Context, etag string) bool {
	c.Header("ETag", etag)
	for tag := range strings.SplitSeq(c.GetHeader("If-None-Match"), ",") {
		if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == etag || tag == "*" {
			c.Status(http.StatusNotModified)
			c.Writer.WriteHeaderNow()
			return true
		}
	}
	return false
}
