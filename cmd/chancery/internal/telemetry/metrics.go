// Package telemetry owns the figures and traces of the program: the names of
// the metrics, their labels, and where traces go. It leaves to others when
// something happens; they report through small interfaces.
package telemetry

import (
	"net/http"
	"strconv"
	"time"

	"chancery/authz"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics counts what happens, for Prometheus. Every label has few values. It
// is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry

	requests        *prometheus.CounterVec
	requestSeconds  *prometheus.HistogramVec
	tokens          *prometheus.CounterVec
	events          *prometheus.CounterVec
	signing         *prometheus.HistogramVec
	publishing      prometheus.Histogram
	publishFailures prometheus.Counter
	statements      *prometheus.HistogramVec
	retries         *prometheus.CounterVec
}

const namespace = "chancery"

// Buckets in seconds: of requests and statements, of signatures, and of the
// time until a revocation is published.
var (
	requestBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	signingBuckets = []float64{.00001, .000025, .00005, .0001, .00025, .0005, .001, .0025, .005, .01, .05}
	publishBuckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
)

// New returns metrics of a program of that version, with those of the Go
// runtime and the process.
func New(version, goVersion string) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
	}
	m := &Metrics{
		registry:       prometheus.NewRegistry(),
		requests:       counter("http_requests_total", "Requests by route, method and status.", "route", "method", "status"),
		requestSeconds: histogram("http_request_duration_seconds", "How long requests took, by route and method.", requestBuckets, "route", "method"),
		tokens:         counter("token_requests_total", "Answers of the token endpoint and console logins, by grant type, outcome and, of refreshes, the cause.", "grant_type", "outcome", "cause"),
		events:         counter("security_events_total", "Security events that this node has stored, by kind and cause.", "kind", "cause"),
		signing:        histogram("signing_duration_seconds", "How long signing an access token took, by algorithm.", signingBuckets, "algorithm"),
		statements:     histogram("sql_duration_seconds", "How long queries, statements and transactions took, with all tries.", requestBuckets, "kind", "outcome"),
		retries:        counter("sql_retries_total", "How often one was tried again because the database had given it back.", "kind"),
		publishing: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "status_list_publish_lag_seconds", Help: "How long revocations of this node waited until every verifier could see them.", Buckets: publishBuckets,
		}),
		publishFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "status_list_publish_failures_total", Help: "How often status lists could not be published.",
		}),
	}
	for _, kind := range []string{"query", "statement", "transaction"} {
		m.retries.WithLabelValues(kind) // there from the start, so that a first one is a rise
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: "build_info", Help: "Which build is running; always 1."}, []string{"version", "go_version"})
	build.WithLabelValues(version, goVersion).Set(1)
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), build,
		m.requests, m.requestSeconds, m.tokens, m.events, m.signing, m.publishing, m.publishFailures, m.statements, m.retries,
	)
	return m
}

// Site answers scrapes of /metrics and nothing else, for a listener of its own.
func (m *Metrics) Site() http.Handler {
	site := http.NewServeMux()
	site.Handle("GET /metrics", m.Handler())
	return site
}

// Handler answers scrapes, whatever the path is.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: scrapeTimeout})
}

// scrapeTimeout bounds one scrape.
const scrapeTimeout = 10 * time.Second

// RequestAnswered counts a request; route is the pattern that it fits, "" for
// none.
func (m *Metrics) RequestAnswered(route, method string, status int, took time.Duration) {
	if route == "" {
		route = "none"
	}
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
	default:
		method = "other"
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	m.requestSeconds.WithLabelValues(route, method).Observe(took.Seconds())
}

// TokenAnswered implements authz.Observer.
func (m *Metrics) TokenAnswered(grantType, outcome string, cause authz.Cause) {
	m.tokens.WithLabelValues(grantType, outcome, string(cause)).Inc()
}

// Happened counts security events that were stored.
func (m *Metrics) Happened(events []authz.Event) {
	for _, event := range events {
		m.events.WithLabelValues(string(event.Kind), string(event.Cause)).Inc()
	}
}

// Asked implements storage.Observer.
func (m *Metrics) Asked(kind string, took time.Duration, tries int, outcome string) {
	m.statements.WithLabelValues(kind, outcome).Observe(took.Seconds())
	if tries > 1 {
		m.retries.WithLabelValues(kind).Add(float64(tries - 1))
	}
}

// Published counts revocations that have become visible.
func (m *Metrics) Published(lag time.Duration) { m.publishing.Observe(lag.Seconds()) }

// PublishFailed counts a failure to publish.
func (m *Metrics) PublishFailed() { m.publishFailures.Inc() }

// Signer returns a signer that measures what signing costs.
func (m *Metrics) Signer(signer authz.Signer) authz.Signer { return timedSigner{signer, m} }

type timedSigner struct {
	authz.Signer
	metrics *Metrics
}

// Sign signs with the signer behind it.
func (s timedSigner) Sign(algorithm, typ string, payload []byte) (string, error) {
	begun := time.Now()
	token, err := s.Signer.Sign(algorithm, typ, payload)
	s.metrics.signing.WithLabelValues(algorithm).Observe(time.Since(begun).Seconds())
	return token, err
}
