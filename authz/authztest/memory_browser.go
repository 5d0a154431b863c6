package authztest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"chancery/authz"
)

// browserState is what a Memory knows of logging in with browsers.
type browserState struct {
	browsers map[authz.Hash]authz.BrowserSession
	// begun is the browser session that a session of a client began in.
	begun    map[string]string
	codes    map[authz.Hash]authz.AuthorizationCode
	pushed   map[authz.Hash]authz.PushedRequest
	consents map[[2]string]authz.Consent
	logouts  map[string]dueLogout
	devices  map[authz.Hash]authz.DeviceGrant
}

type dueLogout struct {
	authz.LogoutDelivery
	due time.Time
}

func newBrowserState() browserState {
	return browserState{
		browsers: map[authz.Hash]authz.BrowserSession{}, begun: map[string]string{}, codes: map[authz.Hash]authz.AuthorizationCode{},
		pushed: map[authz.Hash]authz.PushedRequest{}, consents: map[[2]string]authz.Consent{}, logouts: map[string]dueLogout{}, devices: map[authz.Hash]authz.DeviceGrant{},
	}
}

// BrowserSession implements authz.BrowserSessionStore.
func (m *Memory) BrowserSession(ctx context.Context, hash authz.Hash) (authz.BrowserSession, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "BrowserSession"); err != nil {
		return authz.BrowserSession{}, err
	}
	return found(m.browsers, hash)
}

func found[K comparable, V any](rows map[K]V, key K) (V, error) {
	row, ok := rows[key]
	if !ok {
		return row, authz.ErrNotFound
	}
	return row, nil
}

// SaveBrowserSession implements authz.BrowserSessionStore.
func (m *Memory) SaveBrowserSession(ctx context.Context, session authz.BrowserSession, before authz.Hash) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "SaveBrowserSession"); err != nil {
		return err
	}
	delete(m.browsers, before)
	m.endBrowser(session.ID)
	m.browsers[session.Hash] = session
	return nil
}

// UseBrowserSession implements authz.BrowserSessionStore.
func (m *Memory) UseBrowserSession(ctx context.Context, hash authz.Hash, used time.Time) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "UseBrowserSession"); err != nil {
		return err
	}
	if session, ok := m.browsers[hash]; ok {
		session.UsedAt = used
		m.browsers[hash] = session
	}
	return nil
}

// BrowserOf implements authz.BrowserSessionStore.
func (m *Memory) BrowserOf(ctx context.Context, sessionID string) (string, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "BrowserOf"); err != nil {
		return "", err
	}
	return found(m.begun, sessionID)
}

func (m *Memory) endBrowser(id string) {
	for hash, session := range m.browsers {
		if session.ID == id {
			delete(m.browsers, hash)
		}
	}
}

// afterEnding does what goes along with the end of sessions.
func (m *Memory) afterEnding(ending authz.Ending, ended []authz.Family) {
	told := slices.Clone(ended)
	for _, family := range m.families {
		if ending.BrowserID != "" && m.begun[family.SessionID] == ending.BrowserID && family.RevokedAt.IsZero() {
			told = append(told, family)
		}
	}
	for _, family := range told {
		if _, begun := m.begun[family.SessionID]; begun && m.clients[family.ClientID].BackchannelLogoutURI != "" {
			d := authz.NewLogoutDelivery(family.ClientID, family.UserID, family.SessionID, ending.Now)
			m.logouts[d.ID] = dueLogout{d, d.CreatedAt}
		}
	}
	if ending.BrowserID != "" {
		m.endBrowser(ending.BrowserID)
	}
	for _, family := range ended {
		if ending.Browsers {
			m.endBrowser(m.begun[family.SessionID])
		}
	}
}

// takeBackGrants deletes what nothing has come of yet.
func (m *Memory) takeBackGrants(ending authz.Ending) {
	if !ending.All && !ending.OfUser() {
		return
	}
	maps.DeleteFunc(m.codes, func(_ authz.Hash, code authz.AuthorizationCode) bool {
		return code.SessionID == "" && (ending.All || code.UserID == ending.UserID)
	})
	maps.DeleteFunc(m.devices, func(_ authz.Hash, device authz.DeviceGrant) bool {
		return device.UserID != "" && (ending.All || device.UserID == ending.UserID)
	})
	if ending.All {
		clear(m.browsers)
	}
}

// Code implements authz.CodeStore.
func (m *Memory) Code(ctx context.Context, hash authz.Hash) (authz.AuthorizationCode, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "Code"); err != nil {
		return authz.AuthorizationCode{}, err
	}
	return found(m.codes, hash)
}

// UserWithSessions implements authz.CodeStore.
func (m *Memory) UserWithSessions(ctx context.Context, id string, now time.Time) (authz.User, int, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "UserWithSessions"); err != nil {
		return authz.User{}, 0, err
	}
	user, err := found(m.users, id)
	return user, m.liveSessions(id, now), err
}

// RedeemCode implements authz.CodeStore.
func (m *Memory) RedeemCode(ctx context.Context, hash authz.Hash, family authz.Family, grant authz.Grant) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "RedeemCode"); err != nil {
		return err
	}
	code, ok := m.codes[hash]
	if !ok || code.SessionID != "" {
		return authz.ErrConflict
	}
	if err := m.beginGrant(family, grant); err != nil {
		return err
	}
	code.SessionID = family.SessionID
	m.codes[hash], m.begun[family.SessionID] = code, grant.BrowserID
	return nil
}

// beginGrant stores a family that began in a browser, if that is still logged in.
func (m *Memory) beginGrant(family authz.Family, grant authz.Grant) error {
	alive := func(session authz.BrowserSession) bool { return session.ID == grant.BrowserID }
	if grant.BrowserID != "" && !grant.Scope.Has(authz.ScopeOfflineAccess) && !slices.ContainsFunc(slices.Collect(maps.Values(m.browsers)), alive) {
		return authz.ErrNotFound
	}
	return m.insertFamily(family, grant.AuthEpoch)
}

// InsertCode implements authz.AuthorizationStore.
func (m *Memory) InsertCode(ctx context.Context, code authz.AuthorizationCode, pushed authz.Hash) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "InsertCode"); err != nil {
		return err
	}
	if _, ok := m.pushed[pushed]; !ok && pushed != (authz.Hash{}) {
		return authz.ErrConflict
	}
	m.codes[code.Hash] = code
	m.closeRequest(code.BrowserID, pushed)
	return nil
}

func (m *Memory) closeRequest(browserID string, pushed authz.Hash) {
	delete(m.pushed, pushed)
	for hash, session := range m.browsers {
		if session.ID == browserID {
			session.LoginFor = authz.Hash{}
			m.browsers[hash] = session
		}
	}
}

// CloseRequest implements authz.AuthorizationStore.
func (m *Memory) CloseRequest(ctx context.Context, browserID string, pushed authz.Hash) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "CloseRequest"); err != nil {
		return err
	}
	if _, ok := m.pushed[pushed]; !ok && pushed != (authz.Hash{}) {
		return authz.ErrConflict
	}
	m.closeRequest(browserID, pushed)
	return nil
}

// InsertPushedRequest implements authz.AuthorizationStore.
func (m *Memory) InsertPushedRequest(ctx context.Context, request authz.PushedRequest) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "InsertPushedRequest"); err != nil {
		return err
	}
	m.pushed[request.Hash] = request
	return nil
}

// PushedRequest implements authz.AuthorizationStore.
func (m *Memory) PushedRequest(ctx context.Context, hash authz.Hash) (authz.PushedRequest, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "PushedRequest"); err != nil {
		return authz.PushedRequest{}, err
	}
	return found(m.pushed, hash)
}

// Consent implements authz.ConsentStore.
func (m *Memory) Consent(ctx context.Context, userID, clientID string) (authz.Consent, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "Consent"); err != nil {
		return authz.Consent{}, err
	}
	return found(m.consents, [2]string{userID, clientID})
}

// SaveConsent implements authz.ConsentStore.
func (m *Memory) SaveConsent(ctx context.Context, consent authz.Consent, before time.Time, event authz.Event) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "SaveConsent"); err != nil {
		return err
	}
	_, user := m.users[consent.UserID]
	_, client := m.clients[consent.ClientID]
	if !user || !client {
		return authz.ErrNotFound
	}
	key := [2]string{consent.UserID, consent.ClientID}
	stored, ok := m.consents[key]
	if !stored.UpdatedAt.Equal(before) {
		return authz.ErrConflict
	}
	if ok {
		consent.CreatedAt = stored.CreatedAt
	}
	m.consents[key] = consent
	m.append(event)
	return nil
}

// DeleteConsent implements authz.ConsentStore.
func (m *Memory) DeleteConsent(ctx context.Context, userID, clientID string, event authz.Event) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "DeleteConsent"); err != nil {
		return err
	}
	maps.DeleteFunc(m.codes, func(_ authz.Hash, code authz.AuthorizationCode) bool {
		return code.UserID == userID && code.ClientID == clientID && code.SessionID == ""
	})
	maps.DeleteFunc(m.devices, func(_ authz.Hash, device authz.DeviceGrant) bool {
		return device.UserID == userID && device.ClientID == clientID
	})
	key := [2]string{userID, clientID}
	if _, ok := m.consents[key]; ok {
		delete(m.consents, key)
		m.append(event)
	}
	return nil
}

// ListConsents implements authz.ConsentStore.
func (m *Memory) ListConsents(ctx context.Context, userID string, limit int) ([]authz.Consent, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "ListConsents"); err != nil {
		return nil, err
	}
	all := []authz.Consent{}
	for _, consent := range m.consents {
		if consent.UserID == userID {
			all = append(all, consent)
		}
	}
	slices.SortFunc(all, func(a, b authz.Consent) int { return strings.Compare(a.ClientID, b.ClientID) })
	return all[:min(limit, len(all))], nil
}

// ClaimLogouts implements authz.LogoutStore.
func (m *Memory) ClaimLogouts(ctx context.Context, now, until time.Time, limit, perClient int) ([]authz.LogoutDelivery, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "ClaimLogouts"); err != nil {
		return nil, err
	}
	claimed := []authz.LogoutDelivery{}
	for id, d := range m.logouts {
		ofClient := func(other authz.LogoutDelivery) bool { return other.ClientID == d.ClientID }
		if d.due.After(now) || len(claimed) == limit || len(slices.DeleteFunc(slices.Clone(claimed), func(o authz.LogoutDelivery) bool { return !ofClient(o) })) == perClient {
			continue
		}
		d.Attempts++
		d.due = until
		m.logouts[id] = d
		claimed = append(claimed, d.LogoutDelivery)
	}
	return claimed, nil
}

// RetryLogout implements authz.LogoutStore.
func (m *Memory) RetryLogout(ctx context.Context, id string, due time.Time) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "RetryLogout"); err != nil {
		return err
	}
	if d, ok := m.logouts[id]; ok {
		d.due = due
		m.logouts[id] = d
	}
	return nil
}

// FinishLogout implements authz.LogoutStore.
func (m *Memory) FinishLogout(ctx context.Context, id string, event authz.Event) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "FinishLogout"); err != nil {
		return err
	}
	delete(m.logouts, id)
	m.append(event)
	return nil
}
