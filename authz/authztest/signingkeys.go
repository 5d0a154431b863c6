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
}

// Keys implements authz.SigningKeys.
func (s *SigningKeys) Keys(ctx context.Context) ([]authz.SigningKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.keys), ctx.Err()
}

// Rotate implements authz.SigningKeys: the key is pending.
func (s *SigningKeys) Rotate(ctx context.Context, algorithm, actor string) (authz.SigningKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(authz.SigningAlgorithms(), algorithm) {
		return authz.SigningKey{}, &authz.Error{Code: authz.InvalidInput, Description: "unsupported algorithm"}
	}
	key := authz.SigningKey{
		ID: fmt.Sprintf("key-%d", len(s.keys)+1), Algorithm: algorithm, State: "pending", CreatedAt: T0, ActivateAt: T0.Add(24 * time.Hour),
	}
	s.keys, s.Actors = append(s.keys, key), append(s.Actors, actor)
	return key, ctx.Err()
}

// Compromise implements authz.SigningKeys: nothing takes the key's place.
func (s *SigningKeys) Compromise(ctx context.Context, id, actor string) (authz.SigningKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, key := range s.keys {
		if key.ID == id {
			s.keys[i].State, s.keys[i].CompromisedAt = "compromised", T0
			s.Actors = append(s.Actors, actor)
			return authz.SigningKey{}, ctx.Err()
		}
	}
	return authz.SigningKey{}, &authz.Error{Code: authz.NotFound, Description: "there is no such key"}
}
