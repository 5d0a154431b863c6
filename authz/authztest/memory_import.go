package authztest

import (
	"context"
	"slices"

	"chancery/authz"
)

// TakenNames implements authz.ImportStore.
func (m *Memory) TakenNames(ctx context.Context, names, addresses []string) (takenNames, takenAddresses map[string]bool, err error) {
	defer m.mu.Unlock()
	takenNames, takenAddresses = map[string]bool{}, map[string]bool{}
	if err := m.begin(ctx, "TakenNames"); err != nil {
		return nil, nil, err
	}
	for _, user := range m.users {
		if slices.Contains(names, user.Name) {
			takenNames[user.Name] = true
		}
		if user.ClaimsAddress() && slices.Contains(addresses, user.EmailName) {
			takenAddresses[user.EmailName] = true
		}
	}
	return takenNames, takenAddresses, nil
}

// InsertUsers implements authz.ImportStore.
func (m *Memory) InsertUsers(ctx context.Context, users []authz.User, events []authz.Event) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "InsertUsers"); err != nil {
		return err
	}
	for _, user := range users {
		if m.userTaken(user) {
			return authz.ErrConflict
		}
	}
	for i, user := range users {
		m.users[user.ID] = user
		m.append(events[i])
	}
	return nil
}
