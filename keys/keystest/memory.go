// Package keystest owns the conformance suite that every store of signing
// keys passes, and a store in memory for tests. It leaves the rotation itself
// to the tests of package keys.
package keystest

import (
	"context"
	"slices"
	"sync"

	"chancery/keys"
)

// Memory is a keys.Store that forgets everything with the process. The zero
// value is empty and ready; it is safe for concurrent use.
type Memory struct {
	mu  sync.Mutex
	set keys.Set
	// changes are those that were recorded.
	changes []keys.Change
}

// Changes returns the recorded changes, oldest first.
func (m *Memory) Changes() []keys.Change {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.changes)
}

// LoadKeys returns a copy of the stored set.
func (m *Memory) LoadKeys(ctx context.Context) (keys.Set, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	set := m.set
	set.Keys = slices.Clone(m.set.Keys)
	return set, ctx.Err()
}

// SaveKeys stores a copy of set when the stored version is expected.
func (m *Memory) SaveKeys(ctx context.Context, set keys.Set, expected int64, changes []keys.Change) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.set.Version != expected {
		return keys.ErrConflict
	}
	set.Keys = slices.Clone(set.Keys)
	m.set = set
	m.changes = append(m.changes, changes...)
	return nil
}
