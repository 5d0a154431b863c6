package limits

import (
	"log/slog"
	"time"
)

// NewLocalOf returns a Local of other bounds.
func NewLocalOf(now func() time.Time, maxBuckets, maxKnown int) *Local {
	return newLocal(now, maxBuckets, maxKnown)
}

// Size returns how much is kept, once what is too much is gone.
func (l *Local) Size() (buckets, known int) {
	l.buckets.CleanUp()
	l.known.CleanUp()
	return l.buckets.EstimatedSize(), l.known.EstimatedSize()
}

// NewPatientRedis returns a Redis that waits a minute for each answer: on a
// slow machine nothing is left to the local limiter.
func NewPatientRedis(address, issuer string, local *Local, log *slog.Logger, now func() time.Time) (*Redis, error) {
	return newRedis(address, issuer, local, log, now, time.Minute)
}
