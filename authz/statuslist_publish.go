package authz

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"chancery/authz/claims"
	"chancery/authz/statuslist"
)

const (
	// publishPause is the least time between two versions of one list.
	publishPause = 250 * time.Millisecond
	// publishBatch is how many lists are read to be signed at once, and
	// publishEntries how many entries one version of a list adds at most.
	publishBatch   = 32
	publishEntries = 5000
	// publishInterval is how often the database is asked although nobody has
	// said that anything is due; with a short Exp more often.
	publishInterval = 30 * time.Second
	publishTimeout  = 10 * time.Second
	// publishRetry is the pause after a failure.
	publishRetry = time.Second
)

// publisher is what wakes Run.
type publisher struct {
	// here holds a place while this node has made a change, there while
	// another has, or may have.
	here, there chan struct{}
	// recheck is set while the keys have changed since lists were looked at.
	recheck atomic.Bool
	// due is since when something of this node's waits to be published, in
	// milliseconds since the epoch, or 0.
	due atomic.Int64
}

func newPublisher() *publisher {
	return &publisher{here: make(chan struct{}, 1), there: make(chan struct{}, 1)}
}

// Changed tells that this node has committed what must be published.
func (s *StatusLists) Changed() {
	s.due.CompareAndSwap(0, s.now().UnixMilli())
	wake(s.here)
}

// ChangedElsewhere tells that there is something to publish which another
// node, or the command line, has committed.
func (p *publisher) ChangedElsewhere() { wake(p.there) }

// KeysChanged tells that lists may have to be signed with another key.
func (p *publisher) KeysChanged() {
	p.recheck.Store(true)
	wake(p.there)
}

func wake(who chan<- struct{}) {
	select {
	case who <- struct{}{}:
	default:
	}
}

// wait returns when there is something to do, after at most d; false when ctx
// has ended.
func (p *publisher) wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.here:
		return true
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	case <-p.there:
	}
	// The node that made the change is about to publish it. One of the others
	// does when it cannot: the first whose time is over.
	timer.Reset(20*time.Millisecond + time.Duration(randomBytes(1)[0])*time.Millisecond/2)
	select {
	case <-p.here:
	case <-timer.C:
	case <-ctx.Done():
		return false
	}
	return true
}

// Run publishes whatever is due until ctx ends: changes at once, but versions
// of one list not closer than publishPause; and unchanged lists long before
// they expire.
func (s *StatusLists) Run(ctx context.Context) error {
	for {
		pause, err := s.Publish(ctx)
		if err != nil && ctx.Err() == nil {
			pause = publishRetry
			if s.OnError != nil {
				s.OnError(err)
			}
		}
		if !s.wait(ctx, pause) {
			return nil
		}
	}
}

// Publish publishes what is due now and returns when to look again. Run calls
// it.
func (s *StatusLists) Publish(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	resign, checked := map[string]bool{}, s.recheck.Swap(false)
	if checked {
		resign = s.outdated()
	}
	due := s.due.Swap(0)
	pause, waiting, err := s.publishAll(ctx, resign)
	s.published(due, waiting || err != nil)
	if checked && len(s.outdated()) > 0 {
		s.recheck.Store(true) // some had to wait
		pause = min(pause, publishPause)
	}
	return pause, err
}

// published reports how long what was due had to wait, unless it still has to.
func (s *StatusLists) published(due int64, waiting bool) {
	switch {
	case due == 0:
	case waiting:
		for {
			newer := s.due.Load() // of what was committed meanwhile
			if newer != 0 && newer <= due || s.due.CompareAndSwap(newer, due) {
				return
			}
		}
	case s.OnPublished != nil:
		s.OnPublished(s.now().Sub(time.UnixMilli(due)))
	}
}

// publishAll goes once through the lists that are due. Those in resign are, in
// any case.
func (s *StatusLists) publishAll(ctx context.Context, resign map[string]bool) (pause time.Duration, waiting bool, failed error) {
	// By the time that it expires, since a version may be of the future.
	soon := s.now().Add(s.Exp / 2)
	query := StatusQuery{ExpiresBefore: soon, Lists: publishBatch, Entries: publishEntries}
	if len(resign) > 0 {
		query.ExpiresBefore = Forever
	}
	pause = min(publishInterval, s.Exp/8)
	for {
		due, err := s.store.DueStatusLists(ctx, query)
		if err != nil {
			return 0, waiting, errors.Join(failed, fmt.Errorf("status lists that are due: %w", err))
		}
		for _, list := range due {
			query.AfterVersion, query.AfterID = list.Version, list.ID
			if !list.ExpiresAt.Before(soon) && len(list.Ended) == 0 && !resign[list.ID] {
				continue
			}
			// A version of the future, from before the clock went back, is no
			// reason to wait.
			if rest := time.UnixMilli(list.Version).Add(publishPause).Sub(s.now()); rest > 0 && rest <= publishPause {
				pause, waiting = min(pause, rest), true
				continue
			}
			if err := s.publish(ctx, list); err != nil {
				failed = errors.Join(failed, err)
				continue
			}
			delete(resign, list.ID)
			pause = min(pause, publishPause) // more of it may have ended meanwhile
		}
		if len(due) < publishBatch {
			return pause, waiting, failed
		}
	}
}

// publish makes, signs and stores the next version of a list. That another
// node was faster is no error.
func (s *StatusLists) publish(ctx context.Context, due DueStatusList) error {
	next, err := s.sign(due)
	if err != nil {
		return fmt.Errorf("sign status list %s: %w", due.ID, err)
	}
	err = s.store.PublishStatusList(ctx, next)
	if errors.Is(err, ErrConflict) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("publish status list %s: %w", due.ID, err)
	}
	s.install(next.SignedStatusList)
	return nil
}

// sign makes the version of a list that follows the one that is due.
func (s *StatusLists) sign(due DueStatusList) (StatusPublication, error) {
	list := statuslist.New(due.Capacity)
	if due.Bits != nil {
		var err error
		if list, err = statuslist.Decompress(due.Bits, 1); err != nil {
			return StatusPublication{}, err
		}
	}
	for _, index := range due.Ended {
		if _, err := list.Revoke(index); err != nil {
			return StatusPublication{}, fmt.Errorf("entry %d: %w", index, err)
		}
	}
	bits, err := list.Compress()
	if err != nil {
		return StatusPublication{}, err
	}
	now := s.now().UTC()
	issued := now.Truncate(time.Second)
	next := SignedStatusList{ID: due.ID, Version: max(due.Version+1, now.UnixMilli()), ExpiresAt: issued.Add(s.Exp)}
	payload, err := json.Marshal(claims.StatusListToken{
		Issuer: s.Issuer, Subject: next.URI(s.Issuer), IssuedAt: issued.Unix(), ExpiresAt: next.ExpiresAt.Unix(),
		TTL: int64(s.TTL / time.Second), Version: next.Version, Keys: claims.KeysTag(s.signer.KeyIDs()),
		StatusList: claims.StatusList{Bits: list.Bits(), List: base64.RawURLEncoding.EncodeToString(bits)},
	})
	if err != nil {
		return StatusPublication{}, err
	}
	if next.Token, err = s.signer.Sign(SigningAlgorithms()[0], claims.TypeStatusList, payload); err != nil {
		return StatusPublication{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return StatusPublication{SignedStatusList: next, Before: due.Version, Bits: bits, Ended: due.Ended}, nil
}
