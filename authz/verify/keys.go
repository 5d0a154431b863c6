package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

const (
	maxDocument = 1 << 20
	// Bounds of how long keys and metadata are kept, whatever the issuer says.
	minKeyAge     = time.Minute
	defaultKeyAge = 10 * time.Minute
	maxKeyAge     = 24 * time.Hour
	// retryPause is the pause after a fetch that failed.
	retryPause = 10 * time.Second
	// firstRetry is that while there are no keys that could be used.
	firstRetry = time.Second
	// listKeyPause is the least time between two fetches because a list names
	// keys that are not here.
	listKeyPause = 2 * time.Second
)

// keySet is what the issuer published at one time. It is never changed.
type keySet struct {
	byID map[string]*key
	// tag names the set as status lists do.
	tag string
	// fetched is when the set was had, fresh until when it need not be fetched.
	fetched, fresh time.Time
}

// budget allows something once in a while.
type budget struct {
	pause time.Duration
	// spent is when it was last allowed, in nanoseconds since the epoch.
	spent atomic.Int64
}

// spend reports whether it is allowed now.
func (b *budget) spend(now time.Time) bool {
	last := b.spent.Load()
	return !within(b.pause, last, now.UnixNano()) && b.spent.CompareAndSwap(last, now.UnixNano())
}

// refund allows it again soon, because nothing came of it.
func (b *budget) refund(now time.Time) {
	b.spent.Store(now.Add(min(retryPause, b.pause) - b.pause).UnixNano())
}

// keyStore holds the issuer's keys. It is safe for concurrent use.
type keyStore struct {
	issuer   string
	origin   *url.URL
	fetcher  fetcher
	maxStale time.Duration
	now      func() time.Time
	log      *slog.Logger

	current atomic.Pointer[keySet]
	flight  flight
	// failed is when a fetch last failed, in nanoseconds since the epoch; 0 when
	// the last one did not.
	failed atomic.Int64
	// forTokens and forLists bound the fetches for the sake of keys that a token
	// or a list names and that are not here. Lists, which come from the issuer
	// itself, have a budget of their own that strangers with their tokens cannot
	// use up.
	forTokens, forLists budget
	// told is what a list has last told of the keys.
	told atomic.Pointer[news]
	// place is where the JWK set is, by the metadata.
	place atomic.Pointer[keyPlace]
}

// keyPlace is an address that is good until fresh.
type keyPlace struct {
	uri   string
	fresh time.Time
}

// find returns the key with the id. The error is an InvalidTokenError when the
// issuer has no such key, and wraps ErrUnavailable when its keys cannot be had.
// An id that is not among the keys has them fetched again, if the budget allows.
func (s *keyStore) find(ctx context.Context, id string, unknown *budget) (*key, error) {
	if err := s.refresh(ctx); err != nil {
		return nil, err
	}
	if k := s.current.Load().byID[id]; k != nil {
		return k, nil
	}
	// A key that is new, or made up. One fetch in a while tells; whoever comes
	// while it is under way waits for it too.
	if s.flight.busy() || unknown.spend(s.now()) {
		if err := s.flight.do(ctx, s.fetchAnew); err != nil {
			unknown.refund(s.now())
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	if k := s.current.Load().byID[id]; k != nil {
		return k, nil
	}
	if s.failed.Load() != 0 { // it may be a key that the issuer could not tell of
		return nil, fmt.Errorf("%w: the issuer's keys could not be fetched", ErrUnavailable)
	}
	return nil, refuse(UnknownKey)
}

// agree has the keys fetched again if a status list says that others are
// published by now.
func (s *keyStore) agree(ctx context.Context, tag string) {
	if tag == "" || tag == s.current.Load().tag {
		return
	}
	s.told.Store(&news{tag: tag, at: s.now()})
	s.follow(ctx)
}

// news is that other keys are published.
type news struct {
	tag string
	at  time.Time
}

// newsLife is how long to look for the keys that a list told of. The node that
// was asked for them may not have heard of them yet.
const newsLife = time.Minute

// follow looks for the keys that a list told of until it finds them.
func (s *keyStore) follow(ctx context.Context) {
	told, set := s.told.Load(), s.current.Load()
	if told == nil || set == nil || told.tag == set.tag || s.now().Sub(told.at) > newsLife || !s.forLists.spend(s.now()) {
		return
	}
	_ = s.flight.do(ctx, s.fetchAnew) // the log has it
}

// refresh makes sure that there are keys. Those that are no longer fresh are
// fetched again, by one caller, and used for maxStale when they cannot be.
func (s *keyStore) refresh(ctx context.Context) error {
	set, now := s.current.Load(), s.now()
	if set != nil && now.Before(set.fresh) {
		return nil
	}
	usable := set != nil && now.Before(set.fetched.Add(s.maxStale))
	pause := retryPause
	if !usable {
		pause = firstRetry
	}
	recent, busy := within(pause, s.failed.Load(), now.UnixNano()), s.flight.busy()
	if usable && (recent || busy) {
		return nil
	}
	if recent && !busy {
		if s.current.Load() != set { // another caller has just fetched them
			return nil
		}
		return fmt.Errorf("%w: the issuer's keys could not be fetched", ErrUnavailable)
	}
	if err := s.flight.do(ctx, s.fetch); err != nil && !usable {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// fetch reads the metadata, if need be, and the keys.
func (s *keyStore) fetch(ctx context.Context) error { return s.note(ctx, s.fetchKeys(ctx, "")) }

// fetchAnew is fetch when it is known that the keys have changed, or seems so.
func (s *keyStore) fetchAnew(ctx context.Context) error { return s.note(ctx, s.fetchKeys(ctx, anew)) }

// note remembers how a fetch has ended, and returns err.
func (s *keyStore) note(ctx context.Context, err error) error {
	switch {
	case err == nil:
		s.failed.Store(0)
	case !errors.Is(err, context.Canceled): // nobody waited any more
		s.failed.Store(s.now().UnixNano())
		s.place.Store(nil) // it may have moved
		s.log.WarnContext(ctx, "the issuer's keys cannot be fetched", "error", err)
	}
	return err
}

func (s *keyStore) fetchKeys(ctx context.Context, etag string) error {
	uri, err := s.discover(ctx)
	if err != nil {
		return err
	}
	d, err := s.fetcher.get(ctx, uri, "application/jwk-set+json, application/json", etag, maxDocument)
	if err != nil {
		return err
	}
	next, err := parseKeys(d.body)
	if err != nil {
		return err
	}
	next.fetched = s.now()
	next.fresh = next.fetched.Add(keep(d))
	if before := s.current.Load(); before != nil {
		// A key that was there stays the same object: what it has verified is
		// remembered by it.
		for id, k := range next.byID {
			if old := before.byID[id]; k.same(old) {
				next.byID[id] = old
			}
		}
	}
	s.current.Store(next)
	return nil
}

// keep returns how long a document may be kept.
func keep(d document) time.Duration {
	age := d.maxAge
	if age == 0 {
		age = defaultKeyAge
	}
	return min(max(age-d.age, minKeyAge), maxKeyAge)
}

// discover returns where the keys are, by the issuer's metadata (RFC 8414).
func (s *keyStore) discover(ctx context.Context) (string, error) {
	if known := s.place.Load(); known != nil && s.now().Before(known.fresh) {
		return known.uri, nil
	}
	// Section 3: inserted between host and path.
	place := *s.origin
	place.Path = "/.well-known/oauth-authorization-server" + strings.TrimSuffix(s.origin.Path, "/")
	d, err := s.fetcher.get(ctx, place.String(), "application/json", "", maxDocument)
	if err != nil {
		return "", err
	}
	var metadata struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(d.body, &metadata); err != nil {
		return "", fmt.Errorf("metadata: %w", err)
	}
	if metadata.Issuer != s.issuer { // section 3.3
		return "", errors.New("metadata: is of another issuer")
	}
	if !secure(metadata.JWKSURI, s.origin) {
		return "", errors.New("metadata: jwks_uri is missing or not https")
	}
	s.place.Store(&keyPlace{uri: metadata.JWKSURI, fresh: s.now().Add(keep(d))})
	return metadata.JWKSURI, nil
}
