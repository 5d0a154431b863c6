package authztest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"chancery/authz"
)

// Client implements authz.ClientStore.
func (m *Memory) Client(ctx context.Context, id string) (authz.Client, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "Client"); err != nil {
		return authz.Client{}, err
	}
	client, ok := m.clients[id]
	if !ok {
		return authz.Client{}, authz.ErrNotFound
	}
	return client, nil
}

// Resources implements authz.RegistrationStore.
func (m *Memory) Resources(ctx context.Context) ([]authz.Resource, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "Resources"); err != nil {
		return nil, err
	}
	return slices.SortedFunc(maps.Values(m.resources), func(a, b authz.Resource) int { return strings.Compare(a.URI, b.URI) }), nil
}

// AllowedOrigins implements authz.RegistrationStore.
func (m *Memory) AllowedOrigins(ctx context.Context) ([]string, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "AllowedOrigins"); err != nil {
		return nil, err
	}
	var all []string
	for _, client := range m.clients {
		all = append(all, client.AllowedOrigins...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// InsertClient implements authz.ClientStore.
func (m *Memory) InsertClient(ctx context.Context, client authz.Client, event authz.Event) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "InsertClient"); err != nil {
		return err
	}
	if _, taken := m.clients[client.ID]; taken {
		return authz.ErrConflict
	}
	m.clients[client.ID] = client
	m.registered(event)
	return nil
}

// registered notes a change of the registrations.
func (m *Memory) registered(event authz.Event) {
	m.append(event)
	m.registrations++
}

// UpdateClient implements authz.ClientStore.
func (m *Memory) UpdateClient(ctx context.Context, client authz.Client, ended authz.StatusRef, event authz.Event) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "UpdateClient"); err != nil {
		return err
	}
	if m.clients[client.ID].Version != client.Version {
		return authz.ErrConflict
	}
	client.Version++
	m.clients[client.ID] = client
	m.endStatus(ended)
	m.registered(event)
	return nil
}

// DeleteClient implements authz.ClientStore.
func (m *Memory) DeleteClient(ctx context.Context, id string, event authz.Event) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "DeleteClient"); err != nil {
		return err
	}
	if _, ok := m.clients[id]; !ok {
		return authz.ErrNotFound
	}
	delete(m.clients, id)
	maps.DeleteFunc(m.consents, func(key [2]string, _ authz.Consent) bool { return key[1] == id })
	m.registered(event)
	return nil
}

// ListClients implements authz.ClientStore.
func (m *Memory) ListClients(ctx context.Context, p authz.Page) ([]authz.Client, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "ListClients"); err != nil {
		return nil, err
	}
	all := slices.SortedFunc(maps.Values(m.clients), func(a, b authz.Client) int { return newestFirst(a.CreatedAt, b.CreatedAt, a.ID, b.ID) })
	return page(all, p, func(c authz.Client) (time.Time, string) { return c.CreatedAt, c.ID }), nil
}

// InsertResource implements authz.ResourceStore.
func (m *Memory) InsertResource(ctx context.Context, resource authz.Resource, event authz.Event) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "InsertResource"); err != nil {
		return err
	}
	if _, taken := m.resources[resource.URI]; taken {
		return authz.ErrConflict
	}
	m.resources[resource.URI] = resource
	m.registered(event)
	return nil
}

// UpdateResource implements authz.ResourceStore.
func (m *Memory) UpdateResource(ctx context.Context, resource authz.Resource, before time.Time, event authz.Event) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "UpdateResource"); err != nil {
		return err
	}
	stored, ok := m.resources[resource.URI]
	if !ok || !stored.UpdatedAt.Equal(before) {
		return authz.ErrConflict
	}
	resource.CreatedAt = stored.CreatedAt
	m.resources[resource.URI] = resource
	m.registered(event)
	return nil
}

// DeleteResource implements authz.ResourceStore.
func (m *Memory) DeleteResource(ctx context.Context, uri string, before time.Time, event authz.Event) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "DeleteResource"); err != nil {
		return err
	}
	if stored, ok := m.resources[uri]; !ok || (!before.IsZero() && !stored.UpdatedAt.Equal(before)) {
		return authz.ErrNotFound
	}
	delete(m.resources, uri)
	m.registered(event)
	return nil
}

// ResourceClients implements authz.ResourceStore.
func (m *Memory) ResourceClients(ctx context.Context, uri string, limit int) ([]string, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "ResourceClients"); err != nil {
		return nil, err
	}
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(m.clients)) {
		if slices.Contains(m.clients[id].Resources, uri) && len(ids) < limit {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// Registrations implements authz.ApplyStore.
func (m *Memory) Registrations(ctx context.Context) (int64, error) {
	defer m.mu.Unlock()
	err := m.begin(ctx, "Registrations")
	return m.registrations, err
}

// Apply implements authz.ApplyStore.
func (m *Memory) Apply(ctx context.Context, changes authz.ApplyChanges) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "Apply"); err != nil {
		return err
	}
	if err := m.checkApply(changes); err != nil {
		return err
	}
	for _, resource := range slices.Concat(changes.InsertResources, changes.UpdateResources) {
		m.resources[resource.URI] = resource
	}
	for _, client := range changes.InsertClients {
		m.clients[client.ID] = client
	}
	for _, client := range changes.UpdateClients {
		client.Version++
		m.clients[client.ID] = client
	}
	for _, user := range changes.InsertUsers {
		m.users[user.ID] = user
	}
	for _, event := range changes.Events {
		m.append(event)
	}
	for _, update := range changes.UpdateUsers {
		user := m.users[update.UserID]
		m.stamp(&user, update.UserChange)
		m.setRoles(update.UserChange, update.Roles)
		user = m.users[update.UserID]
		if update.NewEmail {
			user.Email, user.EmailName, user.EmailVerifiedAt = update.Email, update.EmailName, update.EmailVerifiedAt
			user.AuthEpoch++
		}
		m.users[user.ID] = user
		m.append(update.Event)
	}
	m.registrations++
	return nil
}

// checkApply finds out whether every change can be made, before any is.
func (m *Memory) checkApply(changes authz.ApplyChanges) error {
	conflict := m.registrations != changes.Registrations
	for _, resource := range changes.InsertResources {
		_, taken := m.resources[resource.URI]
		conflict = conflict || taken
	}
	for _, client := range changes.InsertClients {
		_, taken := m.clients[client.ID]
		conflict = conflict || taken
	}
	for _, client := range changes.UpdateClients {
		conflict = conflict || m.clients[client.ID].Version != client.Version
	}
	for _, user := range changes.InsertUsers {
		conflict = conflict || m.userTaken(user)
	}
	if conflict {
		return authz.ErrConflict
	}
	for _, change := range changes.UpdateUsers {
		if _, ok := m.users[change.UserID]; !ok {
			return authz.ErrNotFound
		}
	}
	return nil
}
