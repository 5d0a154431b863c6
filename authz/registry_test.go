package authz_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"chancery/authz"
	"chancery/authz/authztest"
)

func TestRegistryReadsOnce(t *testing.T) {
	f := newFixture(t)
	if _, _, err := f.clients.Create(t.Context(), confidential("robot")); err != nil {
		t.Fatal(err)
	}
	f.registry.Invalidate()
	before := f.store.CallCount()
	for range 100 {
		if _, err := f.registry.Client(t.Context(), "robot"); err != nil {
			t.Fatal(err)
		}
		if _, err := f.registry.Client(t.Context(), "nobody"); !errors.Is(err, authz.ErrNotFound) {
			t.Fatalf("unknown client = %v, want ErrNotFound", err)
		}
		if _, err := f.registry.Client(t.Context(), "not a client id\x00"); !errors.Is(err, authz.ErrNotFound) {
			t.Fatalf("impossible client id = %v, want ErrNotFound", err)
		}
		if _, err := f.registry.Resource(t.Context(), "https://api.example"); err != nil {
			t.Fatal(err)
		}
	}
	if calls := f.store.CallCount() - before; calls != 4 {
		t.Errorf("400 questions made %d calls, want one per client, and one each for resources and origins", calls)
	}
}

func TestRegistryInvalidate(t *testing.T) {
	f := newFixture(t)
	if _, err := f.registry.Client(t.Context(), "robot"); !errors.Is(err, authz.ErrNotFound) {
		t.Fatal(err)
	}
	robot := confidential("robot")
	robot.CreatedAt = f.now
	if err := f.store.InsertClient(t.Context(), robot, authztest.AnyEvent()); err != nil { // as another node does
		t.Fatal(err)
	}
	if _, err := f.registry.Client(t.Context(), "robot"); !errors.Is(err, authz.ErrNotFound) {
		t.Errorf("before Invalidate = %v, want the remembered ErrNotFound", err)
	}
	f.registry.Invalidate()
	if _, err := f.registry.Client(t.Context(), "robot"); err != nil {
		t.Errorf("after Invalidate = %v, want the client", err)
	}
}

// blockedStore lets a test change registrations while its first load is under
// way.
type blockedStore struct {
	*authztest.Memory
	first            atomic.Bool
	loading, proceed chan struct{}
}

func (b *blockedStore) Client(ctx context.Context, id string) (authz.Client, error) {
	client, err := b.Memory.Client(ctx, id)
	if b.first.CompareAndSwap(false, true) {
		b.loading <- struct{}{}
		<-b.proceed
	}
	return client, errors.Join(err, ctx.Err())
}

func TestRegistryDropsWhatWasReadBeforeAnInvalidation(t *testing.T) {
	store := &blockedStore{Memory: authztest.NewMemory(), loading: make(chan struct{}), proceed: make(chan struct{})}
	registry := authz.NewRegistry(issuer, store, nil)
	var group sync.WaitGroup
	group.Go(func() { _, _ = registry.Client(t.Context(), "app") })
	<-store.loading // it has read that there is no such client
	if err := store.InsertClient(t.Context(), authztest.SampleClient("app"), authztest.AnyEvent()); err != nil {
		t.Fatal(err)
	}
	registry.Invalidate()
	store.proceed <- struct{}{}
	group.Wait()
	if _, err := registry.Client(t.Context(), "app"); err != nil {
		t.Errorf("Client = %v, want the one that was stored before the invalidation", err)
	}
}

// TestRegistryLoadOutlivesItsFirstRequest: others wait for the same load.
func TestRegistryLoadOutlivesItsFirstRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &blockedStore{Memory: authztest.NewMemory(), loading: make(chan struct{}), proceed: make(chan struct{})}
		if err := store.InsertClient(t.Context(), authztest.SampleClient("app"), authztest.AnyEvent()); err != nil {
			t.Fatal(err)
		}
		registry := authz.NewRegistry(issuer, store, nil)
		gone, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { _, _ = registry.Client(gone, "app") })
		<-store.loading
		group.Go(func() {
			if _, err := registry.Client(t.Context(), "app"); err != nil {
				t.Errorf("Client of a request that waits = %v, want the client", err)
			}
		})
		synctest.Wait() // the second request waits too
		cancel()
		store.proceed <- struct{}{}
		group.Wait()
	})
}

func TestRegistryReadsThroughWhileDeaf(t *testing.T) {
	store := authztest.NewMemory()
	registry := authz.NewRegistry(issuer, store, func() bool { return false })
	for range 3 {
		if _, err := registry.Client(t.Context(), "app"); !errors.Is(err, authz.ErrNotFound) {
			t.Fatal(err)
		}
		if _, err := registry.Resources(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if store.Calls["Client"] != 3 || store.Calls["Resources"] != 3 {
		t.Errorf("calls = %v, want every question to reach the store", store.Calls)
	}
}

func TestRegistryPassesFailuresOnAndForgetsThem(t *testing.T) {
	f := newFixture(t)
	f.registry.Invalidate()
	f.store.SetDown(authz.ErrUnavailable)
	if _, err := f.registry.Client(t.Context(), "app"); !errors.Is(err, authz.ErrUnavailable) {
		t.Errorf("Client while down = %v, want ErrUnavailable", err)
	}
	if _, err := f.registry.Resource(t.Context(), "https://api.example"); !errors.Is(err, authz.ErrUnavailable) {
		t.Errorf("Resource while down = %v, want ErrUnavailable", err)
	}
	f.store.SetDown(nil)
	if _, err := f.registry.Resource(t.Context(), "https://api.example"); err != nil {
		t.Errorf("Resource after the outage = %v", err)
	}
}

func TestRegistryIsBounded(t *testing.T) {
	store := authztest.NewMemory()
	registry := authz.NewRegistry(issuer, store, nil)
	for i := range 30_000 {
		_, _ = registry.Client(t.Context(), fmt.Sprint("stranger-", i))
	}
	before := store.Calls["Client"]
	for i := range 30_000 {
		_, _ = registry.Client(t.Context(), fmt.Sprint("stranger-", i))
	}
	if again := store.Calls["Client"] - before; again < 15_000 {
		t.Errorf("%d of 30,000 made-up clients had been forgotten, want most: memory is bounded", again)
	}
}

func TestIndexesLeaseInBulk(t *testing.T) {
	f := newFixture(t)
	seen := map[authz.StatusRef]bool{}
	var mu sync.Mutex
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			for range 60 {
				ref, err := f.indexes.Session(t.Context())
				mu.Lock()
				if err != nil || seen[ref] || ref.List == "" {
					t.Errorf("Session = %+v, %v, want an entry never given before", ref, err)
				}
				seen[ref] = true
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if calls := f.store.Calls["LeaseIndexes"]; calls != 3 {
		t.Errorf("600 entries took %d leases, want 3 of 256", calls)
	}
	one, err := f.indexes.Client(t.Context())
	if err != nil || one.List == "" {
		t.Errorf("Client = %+v, %v", one, err)
	}
	for ref := range seen {
		if ref.List == one.List {
			t.Fatal("a client's entry stands in a list of sessions")
		}
	}
}

func TestIndexesGiveUpWithTheRequest(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.indexes.Session(ctx); err == nil {
		// The turn may have been taken all the same, but not the lease.
		t.Error("Session of an ended request = nil, want an error")
	}
	if _, err := f.indexes.Session(t.Context()); err != nil {
		t.Errorf("Session afterwards = %v", err)
	}
}

// TestRegistryRemembersAfterManyChanges lets it be invalidated again and again:
// what is in force now must be remembered, however often that of before was
// asked for.
func TestRegistryRemembersAfterManyChanges(t *testing.T) {
	f := newFixture(t)
	all := func() {
		if _, err := f.registry.Resources(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for range 50 { // what was asked for often must not stay in its place
		all()
	}
	for range 100 {
		f.registry.Invalidate()
		all()
		before := f.store.CallCount()
		for range 3 {
			all()
			runtime.Gosched()
		}
		if after := f.store.CallCount(); after != before {
			t.Fatalf("the store was asked %d times for what had just been read", after-before)
		}
	}
}
