package web

import (
	"net/http"
	"net/netip"

	"chancery/web/respond"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// tracing makes a span of each request, named by its route. It holds no query,
// header or body.
func tracing(tracer trace.TracerProvider) gin.HandlerFunc {
	return otelgin.Middleware("chancery", otelgin.WithTracerProvider(tracer), otelgin.WithPropagators(propagation.TraceContext{}),
		otelgin.WithMeterProvider(metricnoop.NewMeterProvider()))
}

// mountMetrics lets this machine and its private networks see the metrics.
// Others get the answer to what does not exist.
func mountMetrics(router gin.IRouter, metrics http.Handler) {
	router.GET("/metrics", func(c *gin.Context) {
		if !near(c) {
			respond.NoStore(c)
			c.Status(http.StatusNotFound)
			return
		}
		metrics.ServeHTTP(c.Writer, c.Request)
	})
}

// near reports whether the request comes from this machine or a private
// network. One that was forwarded by somebody who is not trusted to say for
// whom does not.
func near(c *gin.Context) bool {
	address, err := netip.ParseAddr(c.ClientIP())
	if err != nil {
		return false
	}
	for _, header := range []string{"X-Forwarded-For", "Forwarded", "X-Real-Ip"} {
		if c.GetHeader(header) != "" && c.ClientIP() == c.RemoteIP() {
			return false
		}
	}
	address = address.Unmap()
	return address.IsLoopback() || address.IsPrivate() || address.IsLinkLocalUnicast()
}
