package keys

import (
	"time"
)

// Policy holds the durations that a plan derives its times from.
type Policy struct {
	// RotationPeriod is how long a key signs.
	RotationPeriod time.Duration
	// PublishAhead is how long a key is published before it signs.
	PublishAhead time.Duration
	// Margin is added to the longest token lifetime before a retired key
	// leaves the JWKS: the verifiers' leeway plus the JWKS max-age.
	Margin time.Duration
	// MaxTokenTTL is the greatest token lifetime in force now.
	MaxTokenTTL time.Duration
}

// Set is all keys with what is stored beside them. Version rises with every
// change and is what two nodes compare-and-swap on.
type Set struct {
	Version int64
	Keys    []Key
	// MasterFingerprint and MasterSince say which master key is the first of
	// the list, and since when.
	MasterFingerprint string
	MasterSince       time.Time
}

// Kind says what a Step does.
type Kind string

// The kinds of step that a plan consists of.
const (
	Create Kind = "create" // make a key for Algorithm that signs from At
	Raise  Kind = "raise"  // lengthen MaxTokenTTL of the key to TTL
	Remove Kind = "remove" // delete the key's row, its time is over
)

// Step is one change of a set.
type Step struct {
	Kind      Kind
	Algorithm Algorithm
	KeyID     string
	At        time.Time
	TTL       time.Duration
}

// Plan returns the changes that set needs at now. It is a pure function; an
// empty plan means that nothing is due. Steps are in the order in which they
// must be carried out.
func Plan(set Set, policy Policy, now time.Time) []Step {
	var steps []Step
	for _, k := range set.Keys {
		if due := removalDue(k, policy); !due.IsZero() && !now.Before(due) {
			steps = append(steps, Step{Kind: Remove, KeyID: k.ID})
		} else if k.Published(now) && k.MaxTokenTTL < policy.MaxTokenTTL {
			// Retired keys too: the longer lifetime may have come into force
			// just before they retired.
			steps = append(steps, Step{Kind: Raise, KeyID: k.ID, TTL: policy.MaxTokenTTL})
		}
	}
	for _, algorithm := range Algorithms() {
		if at, due := nextActivation(set, algorithm, policy, now); due {
			steps = append(steps, Step{Kind: Create, Algorithm: algorithm, At: at})
		}
	}
	return steps
}

// removalDue returns when the row of k may be deleted: with its removal from
// the JWKS, and for a compromised key after a rotation period, so that lists
// show it for a while.
func removalDue(k Key, policy Policy) time.Time {
	if !k.CompromisedAt.IsZero() {
		return k.CompromisedAt.Add(policy.RotationPeriod)
	}
	return k.RemoveAt
}

// nextActivation says whether algorithm needs a new key, and from when that
// key must sign. A key that follows another is published for PublishAhead
// first; the very first one signs at once, since nobody can have cached a set
// without it.
func nextActivation(set Set, algorithm Algorithm, policy Policy, now time.Time) (time.Time, bool) {
	active, found := set.active(algorithm, now)
	if !found {
		return now, true
	}
	if !active.RetireAt.IsZero() {
		return time.Time{}, false // the successor exists already
	}
	at := active.ActivateAt.Add(policy.RotationPeriod)
	if now.Before(at.Add(-policy.PublishAhead)) {
		return time.Time{}, false
	}
	if earliest := now.Add(policy.PublishAhead); at.Before(earliest) {
		at = earliest
	}
	return at, true
}

// active returns the key that signs with algorithm at now.
func (s Set) active(algorithm Algorithm, now time.Time) (Key, bool) {
	for _, k := range s.Keys {
		if k.Algorithm == algorithm && k.State(now) == Active {
			return k, true
		}
	}
	return Key{}, false
}

// pending returns the key that will sign with algorithm next.
func (s Set) pending(algorithm Algorithm, now time.Time) (Key, bool) {
	for _, k := range s.Keys {
		if k.Algorithm == algorithm && k.State(now) == Pending {
			return k, true
		}
	}
	return Key{}, false
}

// find returns the place of the key kid, or -1.
func (s Set) find(kid string) int {
	for i, k := range s.Keys {
		if k.ID == kid {
			return i
		}
	}
	return -1
}

// succeed sets when the present key of algorithm retires and leaves the JWKS,
// because another one takes over at at.
func (s Set) succeed(algorithm Algorithm, at, now time.Time, policy Policy) {
	for i := range s.Keys {
		k := &s.Keys[i]
		if k.Algorithm == algorithm && k.State(now) == Active {
			k.MaxTokenTTL = max(k.MaxTokenTTL, policy.MaxTokenTTL)
			k.RetireAt = at
			k.RemoveAt = at.Add(k.MaxTokenTTL + policy.Margin)
		}
	}
}

// raise lengthens the greatest lifetime that k signed, and with it the time
// for which it stays published.
func (s Set) raise(kid string, ttl time.Duration) {
	if i := s.find(kid); i >= 0 && s.Keys[i].MaxTokenTTL < ttl {
		k := &s.Keys[i]
		if !k.RemoveAt.IsZero() {
			k.RemoveAt = k.RemoveAt.Add(ttl - k.MaxTokenTTL)
		}
		k.MaxTokenTTL = ttl
	}
}
