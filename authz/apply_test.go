package authz_test

import (
	"fmt"
	"testing"
	"time"

	"chancery/authz"
	"chancery/authz/authztest"

	"github.com/google/go-cmp/cmp"
)

func (f *fixture) applier() *authz.Applier {
	return &authz.Applier{Store: f.store, Resources: f.resources, Clients: f.clients, Users: f.users}
}

func declaration() authz.Declaration {
	client := confidential("declared")
	client.Resources = append(client.Resources, "https://new.example")
	client.Scope = authz.Scope{"read", "fly"}
	return authz.Declaration{
		Resources: []authz.Resource{{URI: "https://new.example", Scopes: []authz.ResourceScope{{Name: "fly"}}}},
		Clients:   []authz.Client{client},
		Users:     []authz.NewUser{{Username: "bob", Password: "correct horse battery", Roles: []string{"b", "a"}}},
	}
}

// apply applies d and returns what changed, as "action kind name".
func (f *fixture) apply(t *testing.T, d authz.Declaration, dryRun bool) []string {
	t.Helper()
	f.registry.Invalidate()
	changes, err := f.applier().Apply(t.Context(), d, dryRun)
	if err != nil {
		t.Fatal(err)
	}
	f.registry.Invalidate()
	var lines []string
	for _, change := range changes {
		lines = append(lines, fmt.Sprint(change.Action, " ", change.Kind, " ", change.Name))
	}
	return lines
}

func TestApplyIsIdempotent(t *testing.T) {
	f := newFixture(t)
	created := []string{"create resource https://new.example", "create client declared", "create user bob"}
	d := declaration()
	for i, step := range []struct {
		dryRun bool
		want   []string
	}{{true, created}, {true, created}, {false, created}, {false, nil}, {true, nil}} {
		if diff := cmp.Diff(step.want, f.apply(t, d, step.dryRun)); diff != "" {
			t.Errorf("step %d (-want +got):\n%s", i, diff)
		}
	}
	client, err := f.clients.Find(t.Context(), "declared")
	if err != nil || len(client.Secrets) != 1 || client.Status.List == "" {
		t.Errorf("declared client = %+v, %v, want one secret and a status entry", client, err)
	}
}

func TestApplyUpdates(t *testing.T) {
	f := newFixture(t)
	f.apply(t, declaration(), false)
	before, err := f.clients.Find(t.Context(), "declared")
	if err != nil {
		t.Fatal(err)
	}
	d := declaration()
	d.Resources[0].AccessTokenTTL = time.Hour
	d.Clients[0].Name = "renamed"
	d.Users[0].Roles, d.Users[0].Password, d.Users[0].Email = []string{"c"}, "", "bob@mail.example"
	want := []string{"update resource https://new.example", "update client declared", "update user bob"}
	if diff := cmp.Diff(want, f.apply(t, d, false)); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	after, err := f.clients.Find(t.Context(), "declared")
	if err != nil || after.Name != "renamed" || after.Secrets[0] != before.Secrets[0] || after.Status != before.Status || after.Version != before.Version+1 {
		t.Errorf("client went from %+v to %+v, %v: want another name and the same secret", before, after, err)
	}
	user, err := f.users.Find(t.Context(), "bob")
	if err != nil || !cmp.Equal(user.Roles, []string{"c"}) || user.Email != "bob@mail.example" {
		t.Errorf("user = %+v, %v, want role c and the declared address", user, err)
	}
}

func TestApplyReplacesADeclaredSecret(t *testing.T) {
	f := newFixture(t)
	d := declaration()
	f.apply(t, d, false)
	d.Clients[0].Secrets = []authz.ClientSecret{{Hash: authz.HashSecret("another"), CreatedAt: authztest.T0}}
	f.apply(t, d, false)
	client, err := f.clients.Find(t.Context(), "declared")
	if err != nil || len(client.Secrets) != 2 || client.Secrets[0].Hash != authz.HashSecret("another") || !client.Secrets[1].ExpiresAt.Equal(f.now.Add(24*time.Hour)) {
		t.Errorf("secrets = %+v, %v, want the declared one, and the one before for a day", client.Secrets, err)
	}
	if changes := f.apply(t, d, false); changes != nil {
		t.Errorf("applying it again changed %v", changes)
	}
}

func TestApplyRefuses(t *testing.T) {
	for name, edit := range map[string]func(*authz.Declaration){
		"a client of an unknown resource": func(d *authz.Declaration) { d.Clients[0].Resources = []string{"https://nowhere.example"} },
		"a new user without a password":   func(d *authz.Declaration) { d.Users[0].Password = "" },
		"a malformed role":                func(d *authz.Declaration) { d.Users[0].Roles = []string{"No Role"} },
		"a malformed resource":            func(d *authz.Declaration) { d.Resources[0].URI = "no uri" },
	} {
		f := newFixture(t)
		d := declaration()
		edit(&d)
		_, err := f.applier().Apply(t.Context(), d, false)
		wantCode(t, name, err, authz.InvalidInput)
		if f.store.Calls["Apply"] != 0 {
			t.Errorf("%s: the store was asked to apply", name)
		}
	}
}

func TestPurger(t *testing.T) {
	f := newFixture(t)
	user, err := f.users.Create(t.Context(), authz.NewUser{Username: "alice", Password: "correct horse battery"})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.store.InsertClient(t.Context(), authztest.SampleClient("app"), authztest.AnyEvent()); err != nil {
		t.Fatal(err)
	}
	for i := range 1201 {
		family := authztest.SampleFamily(user.ID, i)
		if i == 0 {
			family.AbsoluteExpiresAt = f.now.Add(48 * time.Hour)
		}
		if err := f.store.InsertFamily(t.Context(), family, 1); err != nil {
			t.Fatal(err)
		}
	}
	clock := func() time.Time { return f.now }
	mine := &authz.Purger{Store: f.store, Now: clock, Holder: "mine", EventRetention: 1000 * time.Hour}
	other := &authz.Purger{Store: f.store, Now: clock, Holder: "other", EventRetention: 1000 * time.Hour}
	f.now = f.now.Add(48 * time.Hour) // the families' absolute expiry was a day ago: their last tokens may live
	if n, err := mine.Tick(t.Context()); err != nil || n != 0 {
		t.Errorf("Tick a day after the expiry = %d, %v, want 0", n, err)
	}
	f.now = f.now.Add(2 * time.Minute)
	if n, err := other.Tick(t.Context()); err != nil || n != 0 {
		t.Errorf("Tick of a node without the lease = %d, %v, want 0", n, err)
	}
	if n, err := mine.Tick(t.Context()); err != nil || n != 1200 {
		t.Errorf("Tick = %d, %v, want 1200 families gone", n, err)
	}
	f.now = f.now.Add(time.Hour)
	if _, err := other.Tick(t.Context()); err != nil || f.store.Calls["Purge"] != 5 {
		t.Errorf("%d purges, %v, want 1 + 3 + 1: the lease runs out", f.store.Calls["Purge"], err)
	}
}
