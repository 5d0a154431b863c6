package authztest

import (
	"context"
	"time"

	"chancery/authz"
)

// Deny implements authz.DenyStore.
func (m *Memory) Deny(ctx context.Context, tokenID string, expires time.Time) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "Deny"); err != nil {
		return err
	}
	m.denied[tokenID] = expires
	return nil
}

// Denied implements authz.DenyStore.
func (m *Memory) Denied(ctx context.Context, tokenID string) (bool, error) {
	defer m.mu.Unlock()
	err := m.begin(ctx, "Denied")
	_, denied := m.denied[tokenID]
	return denied, err
}

// UseID implements authz.UsedStore.
func (m *Memory) UseID(ctx context.Context, hash authz.Hash, expires time.Time) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "UseID"); err != nil {
		return err
	}
	if _, used := m.used[hash]; used {
		return authz.ErrConflict
	}
	m.used[hash] = expires
	return nil
}
