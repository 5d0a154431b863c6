package verify

import (
	"crypto/sha256"
	"sync"
)

// verdict is a token that was verified, with what must still be so when it
// comes again.
type verdict struct {
	token *Token
	// key is the very key that verified it.
	key *key
	// list is nil for a token without a status.
	list *heldList
}

// verdicts remembers verified tokens by their SHA-256, at most a fixed number.
// It is safe for concurrent use.
type verdicts struct{ shards [shardCount]shard }

const shardCount = 16

// shard holds two generations: when the young one is full it becomes the old
// one, and what was old is forgotten unless it was asked for meanwhile. That is
// nearly "least recently used", without a list to keep in order.
type shard struct {
	mu         sync.Mutex
	limit      int
	young, old map[[sha256.Size]byte]verdict
}

func newVerdicts(size int) *verdicts {
	v := &verdicts{}
	for i := range v.shards {
		v.shards[i].limit = max(size/shardCount/2, 1)
	}
	return v
}

func (v *verdicts) shard(hash [sha256.Size]byte) *shard { return &v.shards[hash[0]%shardCount] }

func (v *verdicts) find(hash [sha256.Size]byte) (verdict, bool) {
	s := v.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if found, ok := s.young[hash]; ok {
		return found, true
	}
	found, ok := s.old[hash]
	if ok {
		s.put(hash, found)
	}
	return found, ok
}

func (v *verdicts) remember(hash [sha256.Size]byte, found verdict) {
	s := v.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(hash, found)
}

func (v *verdicts) drop(hash [sha256.Size]byte) {
	s := v.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.young, hash)
	delete(s.old, hash)
}

// put stores under the lock.
func (s *shard) put(hash [sha256.Size]byte, found verdict) {
	if s.young == nil || len(s.young) >= s.limit {
		s.young, s.old = make(map[[sha256.Size]byte]verdict, s.limit), s.young
	}
	s.young[hash] = found
}
