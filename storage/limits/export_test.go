package limits

import "time"

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
