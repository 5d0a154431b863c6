package web

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"time"

	"chancery/web/respond"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
)

// RequestTimeout is how long one request may take in all.
const RequestTimeout = 10 * time.Second

const requestIDHeader = "X-Request-Id"

var requestIDForm = regexp.MustCompile(`^[A-Za-z0-9._-]{8,64}$`)

// accessLog gives every request an id, writes one line when it is done, and
// tells the observer. The line holds the path without the query string, and what handlers noted.
func accessLog(log *slog.Logger, observer Observer) gin.HandlerFunc {
	return func(c *gin.Context) {
		begun := time.Now() //nolint:forbidigo // a duration for the log, not a time that any rule sees
		id := c.GetHeader(requestIDHeader)
		if !requestIDForm.MatchString(id) {
			id = uuid.NewString()
		}
		c.Header(requestIDHeader, id)
		// Also of an answer that breaks off.
		defer func() {
			took := time.Since(begun)
			if observer != nil {
				observer.RequestAnswered(c.FullPath(), c.Request.Method, c.Writer.Status(), took)
			}
			attrs := []slog.Attr{
				slog.String("method", c.Request.Method), slog.String("path", loggedPath(c)), slog.Int("status", c.Writer.Status()),
				slog.Float64("ms", float64(took.Microseconds())/1000), slog.Int("bytes", max(c.Writer.Size(), 0)),
				slog.String("address", c.ClientIP()), slog.String("request_id", id),
			}
			level := slog.LevelInfo
			if c.Writer.Status() >= http.StatusInternalServerError && c.Writer.Status() != http.StatusNotImplemented {
				level = slog.LevelError
			}
			log.LogAttrs(c.Request.Context(), level, "request", append(attrs, respond.Notes(c)...)...)
		}()
		c.Next()
	}
}

// maxLoggedPath bounds what a stranger can write into the log.
const maxLoggedPath = 100

// loggedPath returns the path of the endpoint, or the beginning of one that
// leads nowhere.
func loggedPath(c *gin.Context) string {
	if route := c.FullPath(); route != "" {
		return route
	}
	return c.Request.URL.Path[:min(len(c.Request.URL.Path), maxLoggedPath)]
}

// recovery turns a panic into a bare 500. The stack goes to the log; headers
// and body, which may hold secrets, do not.
func recovery(responder respond.Responder) gin.HandlerFunc {
	return func(c *gin.Context) {
		defer func() {
			if value := recover(); value == http.ErrAbortHandler { //nolint:errorlint // a panic's value, compared as net/http does
				panic(value)
			} else if value != nil {
				respond.Note(c, slog.String("stack", string(debug.Stack())))
				if c.Writer.Written() {
					return
				}
				responder.Error(c, fmt.Errorf("panic of type %T", value))
			}
		}()
		c.Next()
	}
}

// secureHeaders sets the headers that every answer carries.
func secureHeaders(https bool) gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Header("X-Content-Type-Options", "nosniff")
		c.Header("X-Frame-Options", "DENY")
		c.Header("Referrer-Policy", "no-referrer")
		c.Header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		if https {
			c.Header("Strict-Transport-Security", "max-age=31536000")
		}
		c.Next()
	}
}

// deadline bounds how long a request may wait for anything.
func deadline(c *gin.Context) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), RequestTimeout)
	defer cancel()
	c.Request = c.Request.WithContext(ctx)
	c.Next()
}
