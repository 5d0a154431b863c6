package authz

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"chancery/authz/claims"
)

// StatusLists publishes the status lists and holds the newest version of each
// in memory. Many nodes may do so: a compare-and-swap lets one of them publish
// each version, and a version is the same on all. Nothing is published unless
// Run is running. It is safe for concurrent use.
type StatusLists struct {
	StatusSettings
	// OnChange, when set before the first call, is told of every version that
	// this node begins to serve, and must not block. The versions of one list
	// come in their order.
	OnChange func(SignedStatusList)
	// OnError, when set, is told why publishing failed; it is tried again.
	OnError func(error)
	// OnPublished, when set, is told how long what this node had committed
	// waited before every verifier could see it.
	OnPublished func(time.Duration)

	store  StatusListStore
	signer StatusSigner
	now    func() time.Time
	held   atomic.Pointer[map[string]SignedStatusList]
	// installing lets one at a time change what is held.
	installing sync.Mutex
	// unsigned are the lists that were open and not signed at the last load,
	// news is closed when there is something new to serve.
	unsigned atomic.Pointer[unsignedLists]
	loads    atomic.Int64
	news     atomic.Pointer[chan struct{}]
	catchUp  catchUp
	*publisher
}

// StatusSettings are the values of the configuration that status lists need.
type StatusSettings struct {
	// Issuer is the URL of the server, without a trailing slash.
	Issuer string
	// TTL is how long a verifier may use a list before it asks again, Exp how
	// long a signed list is valid.
	TTL, Exp time.Duration
}

// NewStatusLists returns what publishes the lists of store, as yet none.
func NewStatusLists(settings StatusSettings, store StatusListStore, signer StatusSigner, now func() time.Time) *StatusLists {
	s := &StatusLists{StatusSettings: settings, store: store, signer: signer, now: now, publisher: newPublisher(), catchUp: newCatchUp()}
	s.recheck.Store(true) // whatever is there at the start
	news := make(chan struct{})
	s.news.Store(&news)
	return s
}

// Find returns the newest version of the list with the id, which is at least
// version. The database is read only when this node holds no such version. The
// error is ErrNotFound when there is none there either, and wraps ErrUnavailable
// when a list was opened and nobody has signed it in time.
func (s *StatusLists) Find(ctx context.Context, id string, version int64) (SignedStatusList, error) {
	if list, ok := s.lists()[id]; ok && list.Version >= version {
		return list, nil
	}
	if err := s.catchUp.do(ctx, s.Load); err != nil {
		return SignedStatusList{}, fmt.Errorf("status lists: %w", err)
	}
	list, ok := s.lists()[id]
	if !ok {
		var err error
		if list, err = s.firstVersion(ctx, id); err != nil {
			return SignedStatusList{}, err
		}
	}
	if list.Version < version {
		return SignedStatusList{}, ErrNotFound
	}
	return list, nil
}

// firstVersion waits for a list that has just been opened and is about to be
// signed: the token that names it may be in use already.
func (s *StatusLists) firstVersion(ctx context.Context, id string) (SignedStatusList, error) {
	ctx, cancel := context.WithTimeout(ctx, firstVersionTimeout)
	defer cancel()
	for {
		news := *s.news.Load()
		if list, ok := s.lists()[id]; ok {
			return list, nil
		}
		if unsigned := s.unsigned.Load(); unsigned == nil || !unsigned.ids[id] {
			return SignedStatusList{}, ErrNotFound
		}
		s.ChangedElsewhere()
		select {
		case <-news:
		case <-ctx.Done():
			return SignedStatusList{}, fmt.Errorf("status list %s is not signed yet: %w", id, ErrUnavailable)
		}
	}
}

// firstVersionTimeout is how long a request waits for a list to be signed.
const firstVersionTimeout = 2 * time.Second

// All returns the lists that this node serves, by id.
func (s *StatusLists) All() []SignedStatusList {
	lists := s.lists()
	all := make([]SignedStatusList, 0, len(lists))
	for _, id := range slices.Sorted(maps.Keys(lists)) {
		all = append(all, lists[id])
	}
	return all
}

func (s *StatusLists) lists() map[string]SignedStatusList {
	if held := s.held.Load(); held != nil {
		return *held
	}
	return nil
}

// loadBatch is how many lists are read in one statement.
const loadBatch = 50

// Load reads what was published since the last time, by whichever node.
func (s *StatusLists) Load(ctx context.Context) error {
	turn, held := s.loads.Add(1), maps.Clone(s.lists())
	versions, err := s.store.StatusListVersions(ctx)
	if err != nil {
		return fmt.Errorf("versions of status lists: %w", err)
	}
	var stale []string
	unsigned := map[string]bool{}
	for id, version := range versions {
		if version == 0 {
			unsigned[id] = true
		}
		if held[id].Version < version {
			stale = append(stale, id)
		}
	}
	s.noteUnsigned(&unsignedLists{turn: turn, ids: unsigned})
	for batch := range slices.Chunk(stale, loadBatch) {
		lists, err := s.store.SignedStatusLists(ctx, batch)
		if err != nil {
			return fmt.Errorf("read status lists: %w", err)
		}
		s.install(lists...)
	}
	maps.DeleteFunc(held, func(id string, _ SignedStatusList) bool { _, there := versions[id]; return there })
	s.drop(held)
	return nil
}

// unsignedLists are the lists that a load found open and not signed.
type unsignedLists struct {
	// turn orders the loads.
	turn int64
	ids  map[string]bool
}

// noteUnsigned keeps what the newest load has found.
func (s *StatusLists) noteUnsigned(found *unsignedLists) {
	for {
		known := s.unsigned.Load()
		if known != nil && known.turn > found.turn || s.unsigned.CompareAndSwap(known, found) {
			return
		}
	}
}

// install begins to serve newer versions.
func (s *StatusLists) install(lists ...SignedStatusList) {
	s.installing.Lock()
	defer s.installing.Unlock()
	next := map[string]SignedStatusList{}
	maps.Copy(next, s.lists())
	lists = slices.DeleteFunc(lists, func(list SignedStatusList) bool { return list.Version <= next[list.ID].Version })
	if len(lists) == 0 {
		return
	}
	for _, list := range lists {
		next[list.ID] = list
	}
	s.held.Store(&next)
	news := make(chan struct{})
	close(*s.news.Swap(&news))
	for _, list := range lists {
		if s.OnChange != nil {
			s.OnChange(list)
		}
	}
}

// drop forgets lists that have retired.
func (s *StatusLists) drop(retired map[string]SignedStatusList) {
	if len(retired) == 0 {
		return
	}
	s.installing.Lock()
	defer s.installing.Unlock()
	next := maps.Clone(s.lists())
	maps.DeleteFunc(next, func(id string, _ SignedStatusList) bool { _, gone := retired[id]; return gone })
	s.held.Store(&next)
}

// outdated returns the lists that this node serves although they were signed
// when other keys were published. The key of one may have been found
// compromised; and verifiers learn by the next version that any key was.
func (s *StatusLists) outdated() map[string]bool {
	tag, ids := claims.KeysTag(s.signer.KeyIDs()), map[string]bool{}
	for id, list := range s.lists() {
		if keysOf(list.Token) != tag {
			ids[id] = true
		}
	}
	return ids
}

// keysOf returns which keys were published when a list was signed.
func keysOf(token string) string {
	return contentOf(token).Keys
}

// contentOf returns what a list says that this server has signed; nothing for
// what is none.
func contentOf(token string) claims.StatusListToken {
	var signed claims.StatusListToken
	if parts := strings.Split(token, "."); len(parts) == 3 {
		if payload, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil && json.Unmarshal(payload, &signed) == nil {
			return signed
		}
	}
	return claims.StatusListToken{}
}
