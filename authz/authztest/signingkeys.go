package authztest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"chancery/authz"
)

// SigningKeys is an authz.SigningKeys that signs nothing. The zero value has no
// keys; it is safe for concurrent use.
type SigningKeys struct {
	mu   sync.Mutex
	keys []authz.SigningKey
	// Actors are those who changed something, oldest first.
	Actors []string
	// Events, unless nil, is told of each change, as the real store would be.
	Events authz.EventSink
}

// changed notes a change of the key.
func (s *SigningKeys) changed(kind authz.EventKind, id, before, after string, by authz.Administrator) {
	s.Actors = append(s.Actors, by.Actor)
	if s.Events != nil {
		event := authz.NewEvent(kind, T0)
		event.Target, event.Actor, event.Device = id, by.Actor, by.Device
		event.Changes = []authz.Difference{{Field: "state", Before: before, After: after}}
		s.Events.Record(event)
	}
}

// Keys implements authz.SigningKeys.
func (s *SigningKeys) Keys(ctx context.Context) ([]authz.SigningKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.keys), ctx.Err()
}

// Rotate implements authz.SigningKeys: the key is pending.
func (s *SigningKeys) Rotate(ctx context.Context, algorithm string, by authz.Administrator) (authz.SigningKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(authz.SigningAlgorithms(), algorithm) {
		return authz.SigningKey{}, &authz.Error{Code: authz.InvalidInput, Description: "unsupported algorithm"}
	}
	key := authz.SigningKey{
		ID: fmt.Sprintf("key-%d", len(s.keys)+1), Algorithm: algorithm, State: "pending", CreatedAt: T0, ActivateAt: T0.Add(24 * time.Hour),
	}
	s.keys = append(s.keys, key)
	s.changed(authz.EventKeyRotated, key.ID, "", key.State, by)
	return key, ctx.Err()
}

// Compromise implements authz.SigningKeys: nothing takes the key's place.
func (s *SigningKeys) Compromise(ctx context.Context, id string, by authz.Administrator) (authz.SigningKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, key := range s.keys {
		if key.ID == id {
			s.keys[i].State, s.keys[i].CompromisedAt = "compromised", T0
			s.changed(authz.EventKeyCompromised, id, key.State, "compromised", by)
			return authz.SigningKey{}, ctx.Err()
		}
	}
	return authz.SigningKey{}, &authz.Error{Code: authz.NotFound, Description: "there is no such key"}
}
