package status

import (
	"slices"
	"sync"
	"time"

	"chancery/authz"
)

// Reach says how far a version of a status list has come, as this node sees it.
type Reach struct {
	// Version is when it was signed, in milliseconds since the epoch.
	Version int64
	// Listeners is how many listened on this node when it began to serve the
	// version, Told how many of them have been sent it, ToldAt when the last was.
	Listeners, Told int
	ToldAt          time.Time
	// Fetched is how many requests this node has answered with the version or a
	// newer one, FetchedAt when the first was.
	Fetched   int
	FetchedAt time.Time
	// ServedAt is when this node began to serve it.
	ServedAt time.Time
}

// reached is how many versions of one list are remembered, reachedLists of how
// many lists.
const (
	reached      = 64
	reachedLists = 64
)

// reach remembers how far the latest versions have come. The zero value is
// ready; it is safe for concurrent use.
type reach struct {
	mu sync.Mutex
	// turn counts the versions.
	turn     int64
	versions map[string][]reachedVersion
	order    []string
}

// reachedVersion is a version with its place among all.
type reachedVersion struct {
	Reach
	turn int64
}

// heard is what a listener has been sent: since which turn it listens, and the
// newest version of each list.
type heard struct {
	since    int64
	versions map[string]int64
}

// joined returns what a listener has heard that begins to listen.
func (r *reach) joined() heard {
	r.mu.Lock()
	defer r.mu.Unlock()
	return heard{since: r.turn, versions: map[string]int64{}}
}

// served notes that this node begins to serve a version.
func (r *reach) served(list authz.SignedStatusList, listeners int, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.versions == nil {
		r.versions = map[string][]reachedVersion{}
	}
	if _, known := r.versions[list.ID]; !known {
		if r.order = append(r.order, list.ID); len(r.order) > reachedLists {
			delete(r.versions, r.order[0])
			r.order = r.order[1:]
		}
	}
	r.turn++
	versions := append(r.versions[list.ID], reachedVersion{Reach{Version: list.Version, Listeners: listeners, ServedAt: now}, r.turn})
	r.versions[list.ID] = versions[max(0, len(versions)-reached):]
}

// update changes what is known of the version and of those before it, which it
// holds too.
func (r *reach) update(id string, version int64, change func(*reachedVersion)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.versions[id] {
		if v := &r.versions[id][i]; v.Version <= version {
			change(v)
		}
	}
}

// told notes that a listener has been sent a version: with it he knows of those
// before it, of which each listener counts once, and only if he listened then.
func (r *reach) told(h heard, list authz.SignedStatusList, now time.Time) {
	r.update(list.ID, list.Version, func(v *reachedVersion) {
		if v.turn > h.since && v.Version > h.versions[list.ID] {
			v.Told++
			v.ToldAt = now
		}
	})
	h.versions[list.ID] = max(h.versions[list.ID], list.Version)
}

func (r *reach) fetched(id string, version int64, now time.Time) {
	r.update(id, version, func(v *reachedVersion) {
		if v.Fetched++; v.Fetched == 1 {
			v.FetchedAt = now
		}
	})
}

// Reach returns how far the first version of a list has come that was signed at
// since or later, and whether there is one. Only the latest versions are
// remembered.
func (s *Stream) Reach(id string, since time.Time) (Reach, bool) {
	s.reach.mu.Lock()
	defer s.reach.mu.Unlock()
	versions := s.reach.versions[id]
	i := slices.IndexFunc(versions, func(v reachedVersion) bool { return v.Version >= since.UnixMilli() })
	if i < 0 || (i == 0 && len(versions) == reached) {
		return Reach{}, false
	}
	return versions[i].Reach, true
}
