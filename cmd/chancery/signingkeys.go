package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chancery/authz"
	"chancery/keys"
)

// signingKeys shows the signing keys to admins. It satisfies
// authz.SigningKeys.
type signingKeys struct {
	rotator *keys.Rotator
	now     func() time.Time
}

// Keys returns all keys, the oldest first.
func (s signingKeys) Keys(ctx context.Context) ([]authz.SigningKey, error) {
	set, err := s.rotator.Keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("signing keys: %w", err)
	}
	shown := make([]authz.SigningKey, len(set.Keys))
	for i, k := range set.Keys {
		shown[i] = s.show(k)
	}
	return shown, nil
}

// Rotate starts the change to another key.
func (s signingKeys) Rotate(ctx context.Context, algorithm string, by authz.Administrator) (authz.SigningKey, error) {
	k, err := s.rotator.Rotate(ctx, keys.Algorithm(algorithm), actorOf(by))
	if errors.Is(err, keys.ErrAlgorithm) {
		return authz.SigningKey{}, &authz.Error{Code: authz.InvalidInput, Description: err.Error(), Err: err}
	}
	if err != nil {
		return authz.SigningKey{}, fmt.Errorf("rotate key: %w", err)
	}
	return s.show(k), nil
}

// Compromise takes a key out of use.
func (s signingKeys) Compromise(ctx context.Context, id string, by authz.Administrator) (authz.SigningKey, error) {
	k, err := s.rotator.Compromise(ctx, id, actorOf(by))
	if errors.Is(err, keys.ErrUnknownKey) {
		return authz.SigningKey{}, &authz.Error{Code: authz.NotFound, Description: fmt.Sprintf("there is no key %q", id), Err: err}
	}
	if err != nil {
		return authz.SigningKey{}, fmt.Errorf("compromise key: %w", err)
	}
	if k.ID == "" {
		return authz.SigningKey{}, nil
	}
	return s.show(k), nil
}

func actorOf(by authz.Administrator) keys.Actor {
	return keys.Actor{ID: by.Actor, Address: by.Device.Address, UserAgent: by.Device.UserAgent}
}

func (s signingKeys) show(k keys.Key) authz.SigningKey {
	state := string(k.State(s.now()))
	if !k.CompromisedAt.IsZero() {
		state = "compromised"
		k.RetireAt, k.RemoveAt = k.CompromisedAt, k.CompromisedAt
	}
	return authz.SigningKey{
		ID: k.ID, Algorithm: string(k.Algorithm), State: state, CreatedAt: k.CreatedAt, ActivateAt: k.ActivateAt,
		RetireAt: k.RetireAt, RemoveAt: k.RemoveAt, CompromisedAt: k.CompromisedAt,
	}
}
