// Package authztest owns the conformance suite that every store of Chancery
// passes, and a store in memory that passes it too, for tests of the layers
// above. It leaves the rules themselves to the tests of package authz.
package authztest

import (
	"context"
	"sync"
	"time"

	"chancery/authz"
)

// Store is everything that package authz asks of a database.
type Store interface {
	authz.RegistrationStore
	authz.ClientStore
	authz.ResourceStore
	authz.LoginStore
	authz.UserStore
	authz.UserReader
	authz.BanStore
	authz.ImportStore
	authz.AccountStore
	authz.ConfirmationStore
	authz.FamilyStore
	authz.SessionStore
	authz.DenyStore
	authz.IndexStore
	authz.StatusListStore
	authz.EventStore
	authz.ApplyStore
	authz.PurgeStore
	authz.ActivityStore
	authz.AdminStore
	authz.BrowserSessionStore
	authz.CodeStore
	authz.AuthorizationStore
	authz.ConsentStore
	authz.LogoutStore
	authz.UsedStore
	authz.DeviceStore
}

// Memory is a Store that forgets everything with the process. It is safe for
// concurrent use: one lock makes every method a transaction.
type Memory struct {
	mu            sync.Mutex
	registrations int64
	clients       map[string]authz.Client
	resources     map[string]authz.Resource
	users         map[string]authz.User
	families      map[authz.Hash]authz.Family
	denied        map[string]time.Time
	used          map[authz.Hash]time.Time
	confirmations map[authz.Hash]authz.Confirmation
	lists         []*statusList
	ended         map[authz.StatusRef]bool
	events        []authz.Event
	once          map[string]bool
	leases        map[string]workLease
	activity      map[activityKey]int64
	browserState
	// Down, when set, is returned by every method: the database cannot answer.
	Down error
	// Calls counts the calls of every method by its name.
	Calls map[string]int
}

type workLease struct {
	holder string
	until  time.Time
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{
		clients: map[string]authz.Client{}, resources: map[string]authz.Resource{}, users: map[string]authz.User{},
		families: map[authz.Hash]authz.Family{}, denied: map[string]time.Time{}, used: map[authz.Hash]time.Time{}, confirmations: map[authz.Hash]authz.Confirmation{}, once: map[string]bool{},
		ended:  map[authz.StatusRef]bool{},
		leases: map[string]workLease{}, activity: map[activityKey]int64{}, Calls: map[string]int{}, browserState: newBrowserState(),
	}
}

// begin takes the lock, counts the call, and reports whether the store can
// answer. The caller unlocks.
func (m *Memory) begin(ctx context.Context, method string) error {
	m.mu.Lock()
	m.Calls[method]++
	if m.Down != nil {
		return m.Down
	}
	return ctx.Err()
}

// CallCount returns how many calls there were in all.
func (m *Memory) CallCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, count := range m.Calls {
		n += count
	}
	return n
}

// SetDown makes every later call fail with err; nil brings the store back.
func (m *Memory) SetDown(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Down = err
}

// Record stores the event at once, as an authz.EventSink.
func (m *Memory) Record(event authz.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.append(event)
}

func (m *Memory) append(event authz.Event) {
	if event.Once != "" && m.once[event.Once] {
		return
	}
	if event.Once != "" {
		m.once[event.Once] = true
	}
	m.events = append(m.events, event)
}

// page cuts a list that is sorted from new to old.
func page[T any](all []T, p authz.Page, key func(T) (time.Time, string)) []T {
	var cut []T
	for _, row := range all {
		at, id := key(row)
		after := p.AfterID == "" || at.Before(p.After) || (at.Equal(p.After) && id < p.AfterID)
		if after && len(cut) < p.Limit {
			cut = append(cut, row)
		}
	}
	return cut
}

// newestFirst orders two rows for a list.
func newestFirst(aTime, bTime time.Time, aID, bID string) int {
	if c := bTime.Compare(aTime); c != 0 {
		return c
	}
	if aID > bID {
		return -1
	}
	return 1
}
