package authztest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"chancery/authz"
)

// UserForLogin implements authz.LoginStore.
func (m *Memory) UserForLogin(ctx context.Context, name string, now time.Time) (authz.User, int, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "UserForLogin"); err != nil {
		return authz.User{}, 0, err
	}
	user, ok := m.userByLogin(name)
	if !ok {
		return authz.User{}, 0, authz.ErrNotFound
	}
	return user, m.liveSessions(user.ID, now), nil
}

func (m *Memory) liveSessions(userID string, now time.Time) int {
	sessions := 0
	for _, family := range m.families {
		if family.UserID == userID && family.State(now) == "" {
			sessions++
		}
	}
	return sessions
}

func (m *Memory) userByLogin(name string) (authz.User, bool) {
	if user, ok := m.userByName(name); ok {
		return user, true
	}
	for _, user := range m.users {
		if !user.EmailVerifiedAt.IsZero() && user.EmailName == name {
			return user, true
		}
	}
	return authz.User{}, false
}

// UserByLogin implements authz.AccountStore.
func (m *Memory) UserByLogin(ctx context.Context, name string) (authz.User, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "UserByLogin"); err != nil {
		return authz.User{}, err
	}
	user, ok := m.userByLogin(name)
	if !ok {
		return authz.User{}, authz.ErrNotFound
	}
	return user, nil
}

// UserByName implements authz.UserStore.
func (m *Memory) UserByName(ctx context.Context, name string) (authz.User, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "UserByName"); err != nil {
		return authz.User{}, err
	}
	user, ok := m.userByName(name)
	if !ok {
		return authz.User{}, authz.ErrNotFound
	}
	return user, nil
}

func (m *Memory) userByName(name string) (authz.User, bool) {
	for _, user := range m.users {
		if user.Name == name {
			return user, true
		}
	}
	return authz.User{}, false
}

// userTaken reports whether there is a user with the name or the verified
// address of a new one.
func (m *Memory) userTaken(user authz.User) bool {
	for _, other := range m.users {
		if other.Name == user.Name {
			return true
		}
	}
	return m.addressTaken(user)
}

// addressTaken reports whether another user claims the address that the user
// claims.
func (m *Memory) addressTaken(user authz.User) bool {
	for _, other := range m.users {
		if other.ID != user.ID && user.ClaimsAddress() && other.ClaimsAddress() && other.EmailName == user.EmailName {
			return true
		}
	}
	return false
}

// InsertFamily implements authz.LoginStore.
func (m *Memory) InsertFamily(ctx context.Context, family authz.Family, epoch int64) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "InsertFamily"); err != nil {
		return err
	}
	return m.insertFamily(family, epoch)
}

func (m *Memory) insertFamily(family authz.Family, epoch int64) error {
	user, ok := m.users[family.UserID]
	client, registered := m.clients[family.ClientID]
	if !ok || user.AuthEpoch != epoch || !user.Active(family.CreatedAt) || !registered || !client.DisabledAt.IsZero() {
		return authz.ErrNotFound
	}
	if _, taken := m.families[family.HandleHash]; taken {
		return authz.ErrConflict
	}
	family.Roles = user.Roles
	m.families[family.HandleHash] = family
	return nil
}

// Rehash implements authz.LoginStore.
func (m *Memory) Rehash(ctx context.Context, userID, before, after string) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "Rehash"); err != nil {
		return err
	}
	if user := m.users[userID]; user.PasswordHash == before {
		user.PasswordHash = after
		m.users[userID] = user
	}
	return nil
}

// InsertUser implements authz.UserStore.
func (m *Memory) InsertUser(ctx context.Context, user authz.User, event authz.Event) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "InsertUser"); err != nil {
		return err
	}
	if m.userTaken(user) {
		return authz.ErrConflict
	}
	m.users[user.ID] = user
	m.append(event)
	return nil
}

// UserByID implements authz.AccountStore.
func (m *Memory) UserByID(ctx context.Context, id string) (authz.User, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "UserByID"); err != nil {
		return authz.User{}, err
	}
	user, ok := m.users[id]
	if !ok {
		return authz.User{}, authz.ErrNotFound
	}
	return user, nil
}

// ListUsers implements authz.UserReader.
func (m *Memory) ListUsers(ctx context.Context, filter authz.UserFilter) ([]authz.User, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "ListUsers"); err != nil {
		return nil, err
	}
	all := slices.Collect(maps.Values(m.users))
	key := func(u authz.User) string { return u.Name }
	prefix := filter.Name
	switch {
	case filter.Name != "":
	case filter.Email != "":
		prefix, key = filter.Email, func(u authz.User) string { return u.EmailName + " " + u.ID }
	default:
		slices.SortFunc(all, func(a, b authz.User) int { return newestFirst(a.CreatedAt, b.CreatedAt, a.ID, b.ID) })
		return page(all, filter.Page, func(u authz.User) (time.Time, string) { return u.CreatedAt, u.ID }), nil
	}
	all = slices.DeleteFunc(all, func(u authz.User) bool { return !strings.HasPrefix(key(u), prefix) || key(u) <= filter.Page.AfterID })
	slices.SortFunc(all, func(a, b authz.User) int { return strings.Compare(key(a), key(b)) })
	return all[:min(len(all), filter.Page.Limit)], nil
}

// UserNames implements authz.UserReader.
func (m *Memory) UserNames(ctx context.Context, ids []string) (map[string]string, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "UserNames"); err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, id := range ids {
		if user, ok := m.users[id]; ok {
			names[id] = user.Username
		}
	}
	return names, nil
}

// SetRoles implements authz.UserStore.
func (m *Memory) SetRoles(ctx context.Context, change authz.UserChange, roles []string) error {
	return m.changeUser(ctx, "SetRoles", change, func(*authz.User) { m.setRoles(change, roles) })
}

func (m *Memory) setRoles(change authz.UserChange, roles []string) {
	user := m.users[change.UserID]
	user.Roles = roles
	m.users[user.ID] = user
	for hash, family := range m.families {
		if family.UserID == user.ID && family.RevokedAt.IsZero() {
			family.Roles = roles
			m.families[hash] = family
		}
	}
}

// SetPassword implements authz.UserStore.
func (m *Memory) SetPassword(ctx context.Context, change authz.PasswordChange) error {
	return m.changeUser(ctx, "SetPassword", change.UserChange, func(user *authz.User) { m.setPassword(*user, change) })
}

func (m *Memory) setPassword(user authz.User, change authz.PasswordChange) {
	user.PasswordHash, user.MustChange = change.Hash, change.MustChange
	user.AuthEpoch++
	m.users[user.ID] = user
	m.endSessions(change.Ending)
}

// DeleteUser implements authz.UserStore.
func (m *Memory) DeleteUser(ctx context.Context, change authz.UserChange) error {
	return m.changeUser(ctx, "DeleteUser", change, func(user *authz.User) {
		m.endSessions(change.Ending)
		for hash, family := range m.families {
			if family.UserID == user.ID {
				family.Device = authz.Device{}
				m.families[hash] = family
			}
		}
		delete(m.users, user.ID)
		maps.DeleteFunc(m.consents, func(key [2]string, _ authz.Consent) bool { return key[0] == user.ID })
		maps.DeleteFunc(m.browsers, func(_ authz.Hash, s authz.BrowserSession) bool { return s.UserID == user.ID })
		for i, event := range m.events {
			if (event.UserID == user.ID && event.Actor == "") || event.Actor == user.ID {
				m.events[i].Device = authz.Device{}
			}
			if event.UserID == user.ID {
				m.events[i].Changes = slices.DeleteFunc(slices.Clone(event.Changes), func(d authz.Difference) bool {
					return slices.Contains([]string{"username", "email", "email_verified", "ban_reason"}, d.Field)
				})
			}
		}
		maps.DeleteFunc(m.devices, func(_ authz.Hash, d authz.DeviceGrant) bool { return d.UserID == user.ID })
		for hash, c := range m.confirmations {
			if c.UserID == user.ID {
				delete(m.confirmations, hash)
			}
		}
	})
}

// BanUser implements authz.BanStore.
func (m *Memory) BanUser(ctx context.Context, ban authz.Ban) error {
	return m.changeUser(ctx, "BanUser", ban.UserChange, func(user *authz.User) {
		user.BannedUntil, user.BanReason = ban.Until, ban.Reason
		user.AuthEpoch++
		m.users[user.ID] = *user
		m.endSessions(ban.Ending)
	})
}

// UnbanUser implements authz.BanStore.
func (m *Memory) UnbanUser(ctx context.Context, change authz.UserChange) error {
	return m.changeUser(ctx, "UnbanUser", change, func(user *authz.User) {
		user.BannedUntil, user.BanReason = time.Time{}, ""
		m.users[user.ID] = *user
	})
}

// stamp sets the time of the change.
func (m *Memory) stamp(user *authz.User, change authz.UserChange) {
	if change.Now.After(user.UpdatedAt) {
		user.UpdatedAt = change.Now
	} else {
		user.UpdatedAt = user.UpdatedAt.Add(time.Millisecond)
	}
	m.users[user.ID] = *user
}

func (m *Memory) changeUser(ctx context.Context, method string, change authz.UserChange, do func(*authz.User)) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, method); err != nil {
		return err
	}
	user, ok := m.users[change.UserID]
	if !ok || (change.Epoch != 0 && user.AuthEpoch != change.Epoch) || (!change.Unchanged.IsZero() && !user.UpdatedAt.Equal(change.Unchanged)) {
		return authz.ErrNotFound
	}
	m.stamp(&user, change)
	do(&user)
	m.append(change.Event)
	return nil
}
