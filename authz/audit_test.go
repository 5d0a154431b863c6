package authz_test

import (
	"context"
	"testing"
	"time"

	"chancery/authz"

	"github.com/google/go-cmp/cmp"
)

// audited is one change, and what its event must say.
type audited struct {
	name string
	do   func(ctx context.Context) error
	want authz.Event
}

// TestChangesAreEvents makes each change that an admin can make, and looks at
// the event that it leaves behind.
func TestChangesAreEvents(t *testing.T) {
	f := newFixture(t)
	f.users.Actor, f.clients.Actor = "nobody", "nobody"
	desk := authz.Device{Address: "192.0.2.7", UserAgent: "Desk"}
	users, clients := f.users.By("usr_admin", desk), f.clients.By("usr_admin", desk)
	resources := (&authz.Resources{Issuer: issuer, Store: f.store, Lookup: f.registry, Now: f.clients.Now}).By("usr_admin", desk)
	var user authz.User
	d := func(changes ...string) (all []authz.Difference) {
		for i := 0; i < len(changes); i += 3 {
			all = append(all, authz.Difference{Field: changes[i], Before: changes[i+1], After: changes[i+2]})
		}
		return all
	}
	robot := confidential("robot")
	robot.GrantTypes, robot.Resources, robot.Scope = nil, nil, nil
	for _, test := range []audited{
		{"create resource", func(ctx context.Context) error {
			_, err := resources.Create(ctx, authz.Resource{URI: "https://new.example", Scopes: []authz.ResourceScope{{Name: "read", Roles: []string{"reader"}}}})
			return err
		}, authz.Event{Kind: authz.EventResourceCreated, Target: "https://new.example", Changes: d("algorithm", "", "RS256", "scopes", "", "read(reader)")}},
		{"update resource", func(ctx context.Context) error {
			_, err := resources.Update(ctx, "https://new.example", func(r *authz.Resource) error {
				r.Name, r.AccessTokenTTL = "New", time.Hour
				return nil
			})
			return err
		}, authz.Event{Kind: authz.EventResourceChanged, Target: "https://new.example", Changes: d("name", "", "New", "access_token_ttl", "", "1h0m0s")}},
		{"delete resource", func(ctx context.Context) error {
			return resources.Delete(ctx, "https://new.example")
		}, authz.Event{Kind: authz.EventResourceDeleted, Target: "https://new.example"}},
		{"create client", func(ctx context.Context) error {
			_, _, err := clients.Create(ctx, robot)
			return err
		}, authz.Event{Kind: authz.EventClientCreated, ClientID: "robot", Changes: d(
			"token_endpoint_auth_method", "", "client_secret", "refresh_token_delivery", "", "body", "secrets", "", "of 2026-03-01T12:00:00Z")}},
		{"update client", func(ctx context.Context) error {
			_, err := clients.Update(ctx, "robot", func(c *authz.Client) error {
				c.Name = "Robot"
				return nil
			})
			return err
		}, authz.Event{Kind: authz.EventClientChanged, ClientID: "robot", Changes: d("client_name", "", "Robot")}},
		{"rotate secret", func(ctx context.Context) error {
			_, _, err := clients.RotateSecret(ctx, "robot", 0)
			return err
		}, authz.Event{Kind: authz.EventSecretRotated, ClientID: "robot"}},
		{"delete client", func(ctx context.Context) error {
			return clients.Delete(ctx, "robot")
		}, authz.Event{Kind: authz.EventClientDeleted, ClientID: "robot", Detail: "Robot"}},
		{"create user", func(ctx context.Context) (err error) {
			user, err = users.Create(ctx, authz.NewUser{Username: "Eve", Email: "eve@mail.example", Password: "a long password of eve", Roles: []string{"reader"}})
			return err
		}, authz.Event{Kind: authz.EventUserCreated, Changes: d("username", "", "Eve", "email", "", "eve@mail.example", "roles", "", "reader")}},
		{"set roles", func(ctx context.Context) error {
			_, err := users.SetRoles(ctx, user.ID, []string{"admin"})
			return err
		}, authz.Event{Kind: authz.EventRolesChanged, Changes: d("roles", "reader", "admin")}},
		{"ban", func(ctx context.Context) error {
			_, err := users.Ban(ctx, user.ID, authz.Forever, "spam")
			return err
		}, authz.Event{Kind: authz.EventUserBanned, Detail: "spam", Changes: d("banned_until", "", "forever", "ban_reason", "", "spam")}},
		{"unban", func(ctx context.Context) error {
			_, err := users.Unban(ctx, user.ID)
			return err
		}, authz.Event{Kind: authz.EventUserUnbanned, Changes: d("banned_until", "forever", "", "ban_reason", "spam", "")}},
		{"set password", func(ctx context.Context) error {
			_, err := users.SetPassword(ctx, user.ID, "another long password", true)
			return err
		}, authz.Event{Kind: authz.EventPasswordChanged, Changes: d("must_change", "false", "true")}},
		{"delete user", func(ctx context.Context) error {
			_, err := users.Delete(ctx, user.ID)
			return err
		}, authz.Event{Kind: authz.EventUserDeleted}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := test.do(t.Context()); err != nil {
				t.Fatal(err)
			}
			events, err := f.store.ListEvents(t.Context(), authz.EventFilter{Kind: test.want.Kind, Actor: "usr_admin", Page: authz.Page{Limit: 2}})
			if err != nil || len(events) != 1 {
				t.Fatalf("%d events of kind %s, %v, want one", len(events), test.want.Kind, err)
			}
			got := events[0]
			if got.Actor != "usr_admin" || got.Device != desk || got.Time.IsZero() || got.ID == "" {
				t.Errorf("event = %+v, want one of the actor", got)
			}
			if user.ID != "" && got.UserID != user.ID {
				t.Errorf("event of user %q, want %q", got.UserID, user.ID)
			}
			want := test.want
			want.ID, want.Time, want.Actor, want.UserID, want.Device = got.ID, got.Time, got.Actor, got.UserID, got.Device
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("event differs (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNoChangeIsNoEvent says again what is so already.
func TestNoChangeIsNoEvent(t *testing.T) {
	f := newFixture(t)
	if _, _, err := f.clients.Create(t.Context(), confidential("robot")); err != nil {
		t.Fatal(err)
	}
	before, err := f.clients.Update(t.Context(), "robot", func(*authz.Client) error { return nil })
	if err != nil || before.Version != 1 {
		t.Errorf("Update without a change = version %d, %v, want 1", before.Version, err)
	}
	events, err := f.store.ListEvents(t.Context(), authz.EventFilter{Kind: authz.EventClientChanged, Page: authz.Page{Limit: 2}})
	if err != nil || len(events) != 0 {
		t.Errorf("%d events, %v, want none", len(events), err)
	}
}

// TestChangeOfWhatWasChanged makes changes that are meant for a user as it
// was before.
func TestChangeOfWhatWasChanged(t *testing.T) {
	f := newFixture(t)
	user, err := f.users.Create(t.Context(), authz.NewUser{Username: "eve", Password: "a long password of eve"})
	if err != nil {
		t.Fatal(err)
	}
	changed, err := f.users.If(user.UpdatedAt).SetRoles(t.Context(), user.ID, []string{"reader"})
	if err != nil || !changed.UpdatedAt.After(user.UpdatedAt) {
		t.Fatalf("SetRoles of the user as read = %s, %v, want a later time", changed.UpdatedAt, err)
	}
	stored, err := f.users.Find(t.Context(), "eve")
	if err != nil || !stored.UpdatedAt.Equal(changed.UpdatedAt) {
		t.Errorf("stored change of %s, %v, want that of the answer, %s", stored.UpdatedAt, err, changed.UpdatedAt)
	}
	if _, err := f.users.If(user.UpdatedAt).Ban(t.Context(), user.ID, authz.Forever, ""); authz.CodeOf(err) != authz.Changed {
		t.Errorf("Ban of the user as it was = %v, want code %s", err, authz.Changed)
	}
}

// TestChangeOfAnotherVersion makes changes that are meant for a client as it
// was before.
func TestChangeOfAnotherVersion(t *testing.T) {
	f := newFixture(t)
	if _, _, err := f.clients.Create(t.Context(), confidential("robot")); err != nil {
		t.Fatal(err)
	}
	client, _, err := f.clients.If(1).RotateSecret(t.Context(), "robot", 0)
	if err != nil || client.Version != 2 {
		t.Fatalf("RotateSecret of version 1 = version %d, %v, want 2", client.Version, err)
	}
	_, _, err = f.clients.If(1).RotateSecret(t.Context(), "robot", 0)
	wantCode(t, "RotateSecret of the version before", err, authz.Changed)
	wantCode(t, "Delete of the version before", f.clients.If(1).Delete(t.Context(), "robot"), authz.Changed)
	_, err = f.clients.If(2).Update(t.Context(), "robot", func(c *authz.Client) error {
		c.Name = "Robot"
		_, err := f.clients.Update(t.Context(), "robot", func(c *authz.Client) error { c.Name = "Meanwhile"; return nil })
		return err
	})
	wantCode(t, "Update beside another", err, authz.Changed)
	if err := f.clients.If(3).Delete(t.Context(), "robot"); err != nil {
		t.Errorf("Delete of the version that it has = %v", err)
	}
}

// TestNamesAreText refuses names that no database and no terminal takes.
func TestNamesAreText(t *testing.T) {
	f := newFixture(t)
	for _, name := range []string{"a\x00b", "a\x1b[2J", "a\nb", "\xff"} {
		client := confidential("robot")
		client.Name = name
		_, _, err := f.clients.Create(t.Context(), client)
		wantCode(t, "Create of a client", err, authz.InvalidInput)
		_, err = f.resources.Create(t.Context(), authz.Resource{URI: "https://new.example", Name: name})
		wantCode(t, "Create of a resource", err, authz.InvalidInput)
	}
}
