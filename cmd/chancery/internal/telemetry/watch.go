package telemetry

import (
	"context"
	"database/sql"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Key is a signing key as figures know it.
type Key struct {
	Algorithm string
	// State is pending, active or retired.
	State string
	// Age is how long it has been signing, of an active one; NextIn is how long
	// until a pending one signs.
	Age, NextIn time.Duration
}

// Sources are where figures come from that are looked at when they are asked
// for. All must be set.
type Sources struct {
	Hashes    func() (running, waiting int, refused int64)
	Keys      func() []Key
	Listeners func() int
	// EventsDropped counts since the start.
	EventsDropped func() int64
	// Pools are the pools of connections by what they are for.
	Pools map[string]*sql.DB
	// Checks are those of /readyz.
	Checks map[string]func(context.Context) error
}

// Watch adds what is looked at when somebody asks.
func (m *Metrics) Watch(s Sources) {
	for name, pool := range s.Pools {
		m.registry.MustRegister(collectors.NewDBStatsCollector(pool, name))
	}
	gauge := func(name, help string, value func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, value))
	}
	counter := func(name, help string, value func() float64) {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, value))
	}
	gauge("password_hashes_running", "Passwords that are being hashed.", func() float64 { running, _, _ := s.Hashes(); return float64(running) })
	gauge("password_hashes_waiting", "Requests that wait for a place to hash in.", func() float64 { _, waiting, _ := s.Hashes(); return float64(waiting) })
	counter("password_hashes_refused_total", "Requests that found no place to hash in.", func() float64 { _, _, refused := s.Hashes(); return float64(refused) })
	gauge("status_stream_listeners", "Verifiers that listen to the status stream on this node.", func() float64 { return float64(s.Listeners()) })
	counter("security_events_dropped_total", "Security events that were lost.", func() float64 { return float64(s.EventsDropped()) })
	m.registry.MustRegister(keyCollector(s.Keys), checkCollector(s.Checks))
}

// keyCollector collects the figures of the signing keys.
type keyCollector func() []Key

var (
	keysDesc = prometheus.NewDesc("chancery_signing_keys", "Signing keys in the JWKS, by algorithm and state.", []string{"algorithm", "state"}, nil)
	ageDesc  = prometheus.NewDesc("chancery_signing_key_age_seconds", "How long the active key has been signing.", []string{"algorithm"}, nil)
	nextDesc = prometheus.NewDesc("chancery_signing_key_next_seconds", "How long until the pending key signs.", []string{"algorithm"}, nil)
)

// Describe implements prometheus.Collector.
func (keyCollector) Describe(to chan<- *prometheus.Desc) {
	to <- keysDesc
	to <- ageDesc
	to <- nextDesc
}

// Collect implements prometheus.Collector.
func (c keyCollector) Collect(to chan<- prometheus.Metric) {
	count, age, next := map[[2]string]float64{}, map[string]float64{}, map[string]float64{}
	for _, k := range c() {
		count[[2]string{k.Algorithm, k.State}]++
		switch k.State {
		case "active":
			age[k.Algorithm] = k.Age.Seconds()
		case "pending":
			next[k.Algorithm] = k.NextIn.Seconds()
		}
	}
	for labels, n := range count {
		to <- prometheus.MustNewConstMetric(keysDesc, prometheus.GaugeValue, n, labels[0], labels[1])
	}
	for algorithm, seconds := range age {
		to <- prometheus.MustNewConstMetric(ageDesc, prometheus.GaugeValue, seconds, algorithm)
	}
	for algorithm, seconds := range next {
		to <- prometheus.MustNewConstMetric(nextDesc, prometheus.GaugeValue, seconds, algorithm)
	}
}

// checkCollector runs the checks of /readyz.
type checkCollector map[string]func(context.Context) error

var checkDesc = prometheus.NewDesc("chancery_ready", "Whether a part is ready, as /readyz says: 1 or 0.", []string{"check"}, nil)

// checkTimeout bounds one check.
const checkTimeout = 2 * time.Second

// Describe implements prometheus.Collector.
func (checkCollector) Describe(to chan<- *prometheus.Desc) { to <- checkDesc }

// Collect implements prometheus.Collector.
func (c checkCollector) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	for name, check := range c {
		ready := 1.0
		if check(ctx) != nil {
			ready = 0
		}
		to <- prometheus.MustNewConstMetric(checkDesc, prometheus.GaugeValue, ready, name)
	}
}
