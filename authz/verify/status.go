package verify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"chancery/authz/statuslist"
)

const (
	// maxListToken bounds a signed list: 16 MiB of noise would not compress.
	maxListToken = 32 << 20
	// maxLists bounds how many lists are held; the one unused longest goes.
	maxLists = 4096
	// Bounds of how long a list is used before the issuer is asked again.
	minListAge     = time.Second
	defaultListAge = 30 * time.Second
	maxListAge     = time.Hour
	// maxListLife bounds how long a list is believed, whatever its "exp".
	maxListLife = 24 * time.Hour
	// listRetry is the pause after a fetch that failed, doubled each time up to
	// maxListRetry.
	listRetry    = time.Second
	maxListRetry = 30 * time.Second
	// A list that no token has named for so long is not kept up to date, and
	// then forgotten.
	listIdle   = 10 * time.Minute
	listForget = time.Hour
)

// heldList is a list with what is known of its being up to date.
type heldList struct {
	uri     string
	current atomic.Pointer[listState]
	flight  flight
	// due is when the issuer is to be asked again, used when a token last named
	// the list, failed when a fetch last did; in nanoseconds since the epoch.
	// failures is how many there were since the last success.
	due, used, failed, failures atomic.Int64
	// storing lets one fetch at a time take the place of what is held.
	storing sync.Mutex
	// wanted is the version that the stream has told of, chasing is set while
	// somebody tries to get it.
	wanted  atomic.Int64
	chasing atomic.Bool
	// forgotten is set when the store holds it no more.
	forgotten atomic.Bool
}

// listStore holds status lists. It is safe for concurrent use.
type listStore struct {
	// prefix is what the URI of every list of the issuer begins with.
	prefix  string
	issuer  string
	fetcher fetcher
	keys    *keyStore
	leeway  time.Duration
	open    bool
	now     func() time.Time
	log     *slog.Logger

	mu    sync.RWMutex
	lists map[string]*heldList
}

// listID is what follows the prefix. No other address is ever asked.
var listID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// hold returns the list at a URI that a token of the issuer names.
func (s *listStore) hold(uri string) (*heldList, error) {
	s.mu.RLock()
	h := s.lists[uri]
	s.mu.RUnlock()
	if h != nil {
		return h, nil
	}
	id, ours := strings.CutPrefix(uri, s.prefix)
	if !ours || !listID.MatchString(id) {
		return nil, refuse(BadStatus)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if h = s.lists[uri]; h == nil {
		if len(s.lists) >= maxLists {
			s.forget(s.oldest())
		}
		h = &heldList{uri: uri}
		h.used.Store(s.now().UnixNano())
		s.lists[uri] = h
	}
	return h, nil
}

// oldest returns the list that was not used for the longest time.
func (s *listStore) oldest() *heldList {
	var oldest *heldList
	for _, h := range s.lists {
		if oldest == nil || h.used.Load() < oldest.used.Load() {
			oldest = h
		}
	}
	return oldest
}

func (s *listStore) forget(h *heldList) {
	delete(s.lists, h.uri)
	h.forgotten.Store(true)
}

// check looks a token's entry up. The error is an InvalidTokenError for an
// entry that has ended or that the list does not have, and wraps ErrUnavailable
// when there is no list that is still valid; unless the policy is to accept
// tokens then.
func (s *listStore) check(ctx context.Context, h *heldList, index uint32) error {
	if h.forgotten.Load() {
		var err error
		if h, err = s.hold(h.uri); err != nil {
			return err
		}
	}
	now := s.now()
	h.used.Store(now.UnixNano())
	var unavailable error
	if h.isDue(now) {
		unavailable = s.refresh(ctx, h, now)
	}
	state := h.current.Load()
	if state != nil {
		status, err := state.Status(index)
		switch {
		case err != nil:
			return refuse(BadStatus)
		case status != statuslist.Valid:
			return refuse(Revoked) // for good, however old the list is
		}
	}
	if s.open || (state != nil && s.now().Before(state.expires)) {
		return nil
	}
	if unavailable == nil {
		unavailable = fmt.Errorf("%w: the status list has expired", ErrUnavailable)
	}
	return unavailable
}

// refresh asks the issuer for a list that is due. While the one that is held is
// valid, a failure is none, and others do not wait for the one who asks: unless
// the list is long due, and the issuer has not failed before.
func (s *listStore) refresh(ctx context.Context, h *heldList, now time.Time) error {
	state := h.current.Load()
	usable := state != nil && now.Before(state.expires)
	resting, busy := within(h.pause(), h.failed.Load(), now.UnixNano()), h.flight.busy()
	if usable && resting {
		return nil
	}
	if usable && busy && (h.failures.Load() > 0 || now.UnixNano() < h.due.Load()+int64(state.ttl)) {
		return nil
	}
	if resting && !busy {
		if h.current.Load() != state { // another caller has just fetched it
			return nil
		}
		return fmt.Errorf("%w: the status list could not be fetched", ErrUnavailable)
	}
	err := h.flight.do(ctx, func(ctx context.Context) error { return s.fetch(ctx, h, 0) })
	if err != nil && !usable {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// fetch gets the newest version of a list or, if version is not 0, that one.
func (s *listStore) fetch(ctx context.Context, h *heldList, version int64) error {
	err := s.fetchList(ctx, h, version)
	switch {
	case err == nil:
		h.failures.Store(0)
	case version == 0 && !errors.Is(err, context.Canceled): // nobody waited any more
		h.failures.Add(1)
		h.failed.Store(s.now().UnixNano())
		s.log.WarnContext(ctx, "a status list cannot be fetched", "uri", h.uri, "error", err)
	}
	return err
}

func (s *listStore) fetchList(ctx context.Context, h *heldList, version int64) error {
	before := h.current.Load()
	address, etag := h.uri, ""
	if version != 0 {
		address += "?v=" + strconv.FormatInt(version, 10)
	} else if before != nil && s.now().Before(before.expires) {
		etag = before.etag
	}
	d, err := s.fetcher.get(ctx, address, "application/statuslist+jwt", etag, maxListToken)
	if err != nil {
		return err
	}
	now := s.now()
	if d.notModified {
		h.renew(before, now, d.age)
		return nil
	}
	next, err := s.read(ctx, h.uri, string(d.body), now)
	if err != nil {
		return errors.New("status list: " + err.Error()) // it is not the caller's token that is invalid
	}
	next.etag = d.etag
	if err := h.store(next, now, d.age); err != nil {
		return err
	}
	s.keys.agree(ctx, next.keys)
	return nil
}

// store puts a newer version in the place of the one that is held.
func (h *heldList) store(next *listState, now time.Time, age time.Duration) error {
	h.storing.Lock()
	defer h.storing.Unlock()
	if held := h.current.Load(); held != nil && now.Before(held.expires) && next.olderThan(held) {
		return errors.New("status list: older than the one that is held")
	}
	h.current.Store(next)
	h.renew(next, now, age)
	return nil
}

// isDue reports whether the issuer is to be asked again. That it is due later
// than its ttl says means that the clock was set back.
func (h *heldList) isDue(now time.Time) bool {
	left, state := h.due.Load()-now.UnixNano(), h.current.Load()
	return left <= 0 || state == nil || left > int64(state.ttl)
}

// pause returns how long not to ask again after a failure.
func (h *heldList) pause() time.Duration {
	failures := h.failures.Load()
	if failures == 0 {
		return 0
	}
	return min(listRetry<<min(failures-1, 10), maxListRetry)
}

// renew says when a list that is up to date is due again: after its ttl, less a
// tenth at random, so that verifiers do not come in step, and less the age that
// it had in some cache.
func (h *heldList) renew(state *listState, now time.Time, age time.Duration) {
	due := now.Add(max(state.ttl-jitter(state.ttl/10)-age, minListAge))
	if due.After(state.expires) {
		due = state.expires
	}
	h.due.Store(due.UnixNano())
}

// refreshDue asks for every list that is due and in use, several at a time, and
// forgets those that nobody uses any more.
func (s *listStore) refreshDue(ctx context.Context) {
	now := s.now()
	var due []*heldList
	s.mu.Lock()
	for _, h := range s.lists {
		idle := now.Sub(time.Unix(0, h.used.Load()))
		if idle > listForget {
			s.forget(h)
		} else if idle <= listIdle && h.isDue(now) {
			due = append(due, h)
		}
	}
	s.mu.Unlock()
	var group sync.WaitGroup
	places := make(chan struct{}, refreshAtOnce)
	for _, h := range due {
		places <- struct{}{}
		group.Go(func() {
			_ = s.refresh(ctx, h, now) // the log has it
			<-places
		})
	}
	group.Wait()
}

// refreshAtOnce is how many lists are asked for at once.
const refreshAtOnce = 8
