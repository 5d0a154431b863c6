package authztest

import (
	"context"
	"slices"

	"chancery/authz"
)

// InsertConfirmation implements authz.ConfirmationStore.
func (m *Memory) InsertConfirmation(ctx context.Context, c authz.Confirmation) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "InsertConfirmation"); err != nil {
		return err
	}
	m.confirmations[c.Hash] = c
	return nil
}

// TryConfirmation implements authz.ConfirmationStore.
func (m *Memory) TryConfirmation(ctx context.Context, try authz.ConfirmationTry) (authz.Confirmation, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "TryConfirmation"); err != nil {
		return authz.Confirmation{}, err
	}
	c, ok := m.confirmations[try.Hash]
	if !ok || c.ClientID != try.ClientID || !slices.Contains(try.Purposes, c.Purpose) || !try.Now.Before(c.ExpiresAt) || c.Attempts >= try.MaxAttempts {
		return authz.Confirmation{}, authz.ErrNotFound
	}
	c.Attempts++
	m.confirmations[try.Hash] = c
	return c, nil
}

// RegisterUser implements authz.ConfirmationStore.
func (m *Memory) RegisterUser(ctx context.Context, hash authz.Hash, user authz.User, event authz.Event) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "RegisterUser"); err != nil {
		return err
	}
	if _, ok := m.confirmations[hash]; !ok {
		return authz.ErrNotFound
	}
	if m.userTaken(user) {
		return authz.ErrConflict
	}
	delete(m.confirmations, hash)
	m.users[user.ID] = user
	m.append(event)
	return nil
}

// ChangeEmail implements authz.ConfirmationStore.
func (m *Memory) ChangeEmail(ctx context.Context, hash authz.Hash, change authz.EmailChange) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "ChangeEmail"); err != nil {
		return err
	}
	user, err := m.confirmed(hash, change.UserChange)
	if err != nil {
		return err
	}
	user.Email, user.EmailName, user.EmailVerifiedAt, user.UpdatedAt = change.Email, change.EmailName, change.Now, change.Now
	user.Username, user.Name = change.Username, change.Name
	if other, ok := m.userByName(user.Name); m.addressTaken(user) || (ok && other.ID != user.ID) {
		return authz.ErrConflict
	}
	user.AuthEpoch++
	delete(m.confirmations, hash)
	m.users[user.ID] = user
	m.append(change.Event)
	return nil
}

// ResetPassword implements authz.ConfirmationStore.
func (m *Memory) ResetPassword(ctx context.Context, hash authz.Hash, change authz.PasswordChange) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "ResetPassword"); err != nil {
		return err
	}
	user, err := m.confirmed(hash, change.UserChange)
	if err != nil {
		return err
	}
	delete(m.confirmations, hash)
	m.setPassword(user, change)
	m.append(change.Event)
	return nil
}

// confirmed returns the user of a change that a confirmation lets happen.
func (m *Memory) confirmed(hash authz.Hash, change authz.UserChange) (authz.User, error) {
	_, ok := m.confirmations[hash]
	user, found := m.users[change.UserID]
	if !ok || !found || (change.Epoch != 0 && user.AuthEpoch != change.Epoch) {
		return authz.User{}, authz.ErrNotFound
	}
	return user, nil
}
