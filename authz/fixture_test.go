package authz_test

import (
	"testing"
	"time"

	"chancery/authz"
	"chancery/authz/authztest"
	"chancery/authz/password"
)

const issuer = "https://as.example"

var defaults = authz.RefreshPolicy{
	IdleTTL: 168 * time.Hour, AbsoluteTTL: 2160 * time.Hour, Leeway: 30 * time.Second, LostResponseWindow: 10 * time.Minute, LostResponseBudget: 3,
}

// fixture is the administering services over a store in memory, at a fixed
// time.
type fixture struct {
	store     *authztest.Memory
	now       time.Time
	registry  *authz.Registry
	indexes   *authz.Indexes
	sessions  *authz.Sessions
	clients   *authz.Clients
	resources *authz.Resources
	users     *authz.Users
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{store: authztest.NewMemory(), now: authztest.T0}
	clock := func() time.Time { return f.now }
	hasher, err := password.New(password.Params{MemoryKiB: 64, Iterations: 1, Parallelism: 1}, password.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	policy, err := password.NewPolicy(8, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.registry = authz.NewRegistry(issuer, f.store, nil)
	f.indexes = authz.NewIndexes(f.store, clock)
	f.sessions = &authz.Sessions{Store: f.store, Now: clock}
	f.clients = &authz.Clients{
		Settings: authz.Settings{Issuer: issuer, Refresh: defaults}, Store: f.store, Lookup: f.registry, Indexes: f.indexes, Sessions: f.sessions, Now: clock, Actor: "test",
	}
	f.resources = &authz.Resources{Issuer: issuer, Store: f.store, Lookup: f.registry, Now: clock}
	f.users = &authz.Users{Store: f.store, Reader: f.store, Bans: f.store, Passwords: hasher, Policy: policy, Now: clock, Actor: "test"}
	if _, err := f.resources.Create(t.Context(), authz.Resource{URI: "https://api.example", Scopes: []authz.ResourceScope{{Name: "read"}, {Name: "write"}}}); err != nil {
		t.Fatal(err)
	}
	return f
}

// confidential returns a client that may be created in the fixture.
func confidential(id string) authz.Client {
	return authz.Client{
		ID: id, AuthMethod: authz.AuthAnySecret, GrantTypes: []string{authz.GrantClientCredentials},
		Scope: authz.Scope{"read"}, Resources: []string{"https://api.example"},
	}
}

func wantCode(t *testing.T, what string, err error, code authz.Code) {
	t.Helper()
	if authz.CodeOf(err) != code {
		t.Errorf("%s = %v, want code %q", what, err, code)
	}
}
