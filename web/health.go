package web

import (
	"context"
	"net/http"
	"time"

	"chancery/web/respond"

	"github.com/gin-gonic/gin"
)

// Check is one thing that must be right before a node takes requests.
type Check struct {
	Name string
	// Run returns what is wrong, in words fit for strangers.
	Run func(ctx context.Context) error
}

// Version tells which build is running.
type Version struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	Commit  string `json:"commit,omitempty"`
}

// readyTimeout bounds the checks of one probe.
const readyTimeout = 2 * time.Second

// mountHealth adds the endpoints for orchestrators and operators.
func mountHealth(router gin.IRouter, checks []Check, version Version) {
	for path, handle := range map[string]gin.HandlerFunc{
		"/healthz": func(c *gin.Context) {
			respond.NoStore(c)
			respond.JSON(c, http.StatusOK, map[string]string{"status": "ok"})
		},
		"/readyz":  func(c *gin.Context) { ready(c, checks) },
		"/version": func(c *gin.Context) { respond.JSON(c, http.StatusOK, version) },
	} {
		router.GET(path, handle)
		router.HEAD(path, handle)
	}
}

// readiness is the answer of /readyz.
type readiness struct {
	Status string            `json:"status"`
	Checks map[string]string `json:"checks"`
}

// ready runs all checks and names those that fail.
func ready(c *gin.Context, checks []Check) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), readyTimeout)
	defer cancel()
	answer, status := readiness{Status: "ready", Checks: map[string]string{}}, http.StatusOK
	for _, check := range checks {
		answer.Checks[check.Name] = "ok"
		if err := check.Run(ctx); err != nil {
			answer.Checks[check.Name] = err.Error()
			answer.Status, status = "not ready", http.StatusServiceUnavailable
		}
	}
	respond.NoStore(c)
	respond.JSON(c, status, answer)
}
