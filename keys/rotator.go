package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// ErrConflict is returned by a Store whose set has another version than the
// one expected: another node was faster.
var ErrConflict = errors.New("key set was changed by another node")

// ErrAlgorithm is returned for an algorithm that there are no keys of.
var ErrAlgorithm = errors.New("unsupported algorithm")

// ErrUnknownKey is returned for a kid that the set does not hold.
var ErrUnknownKey = errors.New("no such key")

// Store keeps the set of keys.
type Store interface {
	// LoadKeys returns the current set; an empty one with version 0 when no
	// key was ever stored.
	LoadKeys(ctx context.Context) (Set, error)
	// SaveKeys replaces the set of version expected by set, whose own version
	// is expected+1, and records the changes, in one transaction. It returns
	// ErrConflict, and changes nothing, when the stored version is not expected.
	SaveKeys(ctx context.Context, set Set, expected int64, changes []Change) error
}

// ChangeKind says what has happened to a key.
type ChangeKind string

// The kinds of change.
const (
	Created     ChangeKind = "created"
	Rotated     ChangeKind = "rotated" // somebody asked for it to take over
	Compromised ChangeKind = "compromised"
	Removed     ChangeKind = "removed"
)

// Change tells what of a set is different, for the record.
type Change struct {
	Kind      ChangeKind
	KeyID     string
	Algorithm Algorithm
	// ActivateAt is when a key that was created signs.
	ActivateAt time.Time
	// Before and After are the key's states; After is empty for one that is no
	// longer kept, Before for a new one.
	Before, After State
	// Actor is who did it, the zero value for the plan.
	Actor Actor
	At    time.Time
}

// Actor is who changes a set, and from where.
type Actor struct {
	ID, Address, UserAgent string
}

// Rotator carries out the plan: it makes, seals, stores and removes keys and
// loads them into the ring. Any number of nodes may run one; a change that
// another node has made already is not an error.
type Rotator struct {
	Store  Store
	Sealer *Sealer
	Ring   *Ring
	Now    func() time.Time
	// Policy returns the durations in force; it is asked at every tick, since
	// the longest token lifetime changes with the registrations.
	Policy func(context.Context) (Policy, error)

	// turn serialises changes and loads, so that an older set cannot replace a
	// newer one in the ring. It is a lock that a caller can give up on.
	turn     chan struct{}
	turnOnce sync.Once
}

// enter waits for the caller's turn and returns how to end it.
func (r *Rotator) enter(ctx context.Context) (leave func(), err error) {
	r.turnOnce.Do(func() { r.turn = make(chan struct{}, 1) })
	select {
	case r.turn <- struct{}{}:
		return func() { <-r.turn }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for another change of keys: %w", ctx.Err())
	}
}

// maxAttempts bounds how often a change is planned anew because another node
// was faster.
const maxAttempts = 10

// Tick brings the stored set up to date with the plan and loads it into the
// ring. It is called at the start and about once a minute.
func (r *Rotator) Tick(ctx context.Context) error {
	err := r.change(ctx, Actor{}, func(set *Set, policy Policy, now time.Time) error {
		for _, step := range Plan(*set, policy, now) {
			if err := r.carryOut(set, step, policy, now); err != nil {
				return err
			}
		}
		return r.reseal(set, now)
	})
	return err
}

// Load reads the stored set into the ring and changes nothing. It is called
// whenever another node has changed the set.
func (r *Rotator) Load(ctx context.Context) error {
	leave, err := r.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	loadedAt := r.Now()
	set, err := r.Store.LoadKeys(ctx)
	if err != nil {
		return fmt.Errorf("load keys: %w", err)
	}
	return r.Ring.load(set, r.Sealer, loadedAt)
}

// Rotate starts the change to a new key of algorithm and returns it: the key
// that is published already, or a new one that signs after the publish-ahead
// time. The actor is recorded with a change.
func (r *Rotator) Rotate(ctx context.Context, algorithm Algorithm, actor Actor) (Key, error) {
	if !algorithm.Valid() {
		return Key{}, fmt.Errorf("%w %q", ErrAlgorithm, algorithm)
	}
	var next Key
	err := r.change(ctx, actor, func(set *Set, policy Policy, now time.Time) error {
		var found bool
		if next, found = set.pending(algorithm, now); found {
			return nil
		}
		at := now
		if _, signing := set.active(algorithm, now); signing {
			at = now.Add(policy.PublishAhead)
		}
		var err error
		next, err = r.create(set, algorithm, at, policy, now)
		return err
	})
	return next, err
}

// Compromise takes the key kid out of the JWKS, destroys its private half and,
// when it was signing, lets another key sign from now on, which it returns.
// Tokens of the compromised key are refused as soon as verifiers have fetched
// the JWKS again. The error is ErrUnknownKey for a kid that the set lacks.
func (r *Rotator) Compromise(ctx context.Context, kid string, actor Actor) (replacement Key, err error) {
	err = r.change(ctx, actor, func(set *Set, policy Policy, now time.Time) error {
		i := set.find(kid)
		if i < 0 {
			return fmt.Errorf("%w: %q", ErrUnknownKey, kid)
		}
		if !set.Keys[i].CompromisedAt.IsZero() {
			return nil
		}
		state := set.Keys[i].State(now)
		set.Keys[i].CompromisedAt = now
		set.Keys[i].Sealed = ""
		var replaceErr error
		switch state {
		case Active:
			replacement, replaceErr = r.replace(set, set.Keys[i].Algorithm, policy, now)
		case Pending:
			replacement, replaceErr = r.create(set, set.Keys[i].Algorithm, now.Add(policy.PublishAhead), policy, now)
		}
		return replaceErr
	})
	return replacement, err
}

// CompromiseAll takes every key out of the JWKS and lets new ones sign from now
// on. It opens no private half, and is the way out when the master key is lost.
func (r *Rotator) CompromiseAll(ctx context.Context, actor Actor) error {
	return r.change(ctx, actor, func(set *Set, policy Policy, now time.Time) error {
		for i := range set.Keys {
			if k := &set.Keys[i]; k.CompromisedAt.IsZero() {
				k.CompromisedAt, k.Sealed = now, ""
			}
		}
		for _, algorithm := range Algorithms() {
			if _, err := r.create(set, algorithm, now, policy, now); err != nil {
				return err
			}
		}
		return nil
	})
}

// replace lets the pending key of algorithm sign at once, or a new one.
func (r *Rotator) replace(set *Set, algorithm Algorithm, policy Policy, now time.Time) (Key, error) {
	if next, found := set.pending(algorithm, now); found {
		i := set.find(next.ID)
		set.Keys[i].ActivateAt = now
		return set.Keys[i], nil
	}
	return r.create(set, algorithm, now, policy, now)
}

// Keys returns the stored set.
func (r *Rotator) Keys(ctx context.Context) (Set, error) { return r.Store.LoadKeys(ctx) }

// change loads the set, lets edit change it, stores the result when it
// differs, and loads it into the ring. Keys are generated and sealed by edit,
// outside of any transaction.
func (r *Rotator) change(ctx context.Context, actor Actor, edit func(*Set, Policy, time.Time) error) error {
	leave, err := r.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	policy, err := r.Policy(ctx)
	if err != nil {
		return fmt.Errorf("key policy: %w", err)
	}
	for range maxAttempts {
		loadedAt := r.Now()
		stored, err := r.Store.LoadKeys(ctx)
		if err != nil {
			return fmt.Errorf("load keys: %w", err)
		}
		set := stored
		set.Keys = slices.Clone(stored.Keys)
		now := r.Now().UTC().Truncate(time.Millisecond)
		if err := edit(&set, policy, now); err != nil {
			return err
		}
		if !equal(set, stored) {
			set.Version = stored.Version + 1
			err := r.Store.SaveKeys(ctx, set, stored.Version, changes(stored, set, actor, now))
			if errors.Is(err, ErrConflict) {
				continue
			}
			if err != nil {
				return fmt.Errorf("save keys: %w", err)
			}
		}
		return r.Ring.load(set, r.Sealer, loadedAt)
	}
	return fmt.Errorf("after %d attempts: %w", maxAttempts, ErrConflict)
}

func (r *Rotator) carryOut(set *Set, step Step, policy Policy, now time.Time) error {
	switch step.Kind {
	case Create:
		_, err := r.create(set, step.Algorithm, step.At, policy, now)
		return err
	case Raise:
		set.raise(step.KeyID, step.TTL)
	case Remove:
		set.Keys = slices.DeleteFunc(set.Keys, func(k Key) bool { return k.ID == step.KeyID })
	}
	return nil
}

func (r *Rotator) create(set *Set, algorithm Algorithm, at time.Time, policy Policy, now time.Time) (Key, error) {
	made, err := generate(algorithm)
	if err != nil {
		return Key{}, err
	}
	sealed, err := r.Sealer.seal(made.private)
	if err != nil {
		return Key{}, err
	}
	set.succeed(algorithm, at, now, policy)
	k := Key{
		ID: made.id, Algorithm: algorithm, Public: made.public, Sealed: sealed,
		CreatedAt: now, ActivateAt: at, MaxTokenTTL: policy.MaxTokenTTL,
	}
	set.Keys = append(set.Keys, k)
	return k, nil
}

// reseal moves every private key under the first master key and notes since
// when that one is first.
func (r *Rotator) reseal(set *Set, now time.Time) error {
	if set.MasterFingerprint != r.Sealer.fingerprint {
		set.MasterFingerprint, set.MasterSince = r.Sealer.fingerprint, now
	}
	for i := range set.Keys {
		k := &set.Keys[i]
		if k.Sealed == "" {
			continue
		}
		private, first, err := r.Sealer.open(k.ID, k.Sealed)
		if err != nil {
			return err
		}
		if first {
			continue
		}
		if k.Sealed, err = r.Sealer.seal(private); err != nil {
			return err
		}
	}
	return nil
}

// changes returns what is different in after, but for times that the plan moves.
func changes(before, after Set, actor Actor, now time.Time) []Change {
	var all []Change
	note := func(kind ChangeKind, k Key) {
		c := Change{Kind: kind, KeyID: k.ID, Algorithm: k.Algorithm, ActivateAt: k.ActivateAt, Actor: actor, At: now}
		if i := before.find(k.ID); i >= 0 {
			c.Before = before.Keys[i].State(now)
		}
		if i := after.find(k.ID); i >= 0 {
			c.After = after.Keys[i].State(now)
		}
		all = append(all, c)
	}
	for _, k := range after.Keys {
		i := before.find(k.ID)
		switch {
		case i < 0 && actor.ID == "":
			note(Created, k)
		case i < 0:
			note(Rotated, k)
		case before.Keys[i].CompromisedAt.IsZero() && !k.CompromisedAt.IsZero():
			note(Compromised, k)
		case !before.Keys[i].ActivateAt.Equal(k.ActivateAt):
			note(Rotated, k)
		}
	}
	for _, k := range before.Keys {
		if after.find(k.ID) < 0 {
			note(Removed, k)
		}
	}
	return all
}

func equal(a, b Set) bool {
	return a.MasterFingerprint == b.MasterFingerprint && slices.EqualFunc(a.Keys, b.Keys, func(x, y Key) bool {
		return x.ID == y.ID && x.Sealed == y.Sealed && x.ActivateAt.Equal(y.ActivateAt) && x.RetireAt.Equal(y.RetireAt) &&
			x.RemoveAt.Equal(y.RemoveAt) && x.MaxTokenTTL == y.MaxTokenTTL && x.CompromisedAt.Equal(y.CompromisedAt)
	})
}
