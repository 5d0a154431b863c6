package authz_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"chancery/authz"
	"chancery/authz/authztest"
)

func TestCreateClient(t *testing.T) {
	f := newFixture(t)
	client, secret, err := f.clients.Create(t.Context(), authz.Client{AuthMethod: authz.AuthAnySecret, Resources: []string{"https://api.example"}})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(client.ID, "cl_") || len(secret.Reveal()) < 43 || client.Status.List == "" || client.Version != 1 {
		t.Errorf("client = %+v with a secret of %d characters", client, len(secret.Reveal()))
	}
	if client.Secrets[0].Hash != authz.HashSecret(secret) {
		t.Error("the stored hash is not that of the secret")
	}
	public, secret, err := f.clients.Create(t.Context(), authz.Client{ID: "app", AuthMethod: authz.AuthNone})
	if err != nil || secret != "" || len(public.Secrets) != 0 || public.Status.List != "" {
		t.Errorf("public client = %+v, %v, want neither secret nor status entry", public, err)
	}
	_, _, err = f.clients.Create(t.Context(), confidential("app"))
	wantCode(t, "Create of a taken id", err, authz.Conflict)
	for name, edit := range map[string]func(*authz.Client){
		"unknown resource":     func(c *authz.Client) { c.Resources = append(c.Resources, "https://nowhere.example") },
		"undefined scope":      func(c *authz.Client) { c.Scope = authz.Scope{"fly"} },
		"id of a user":         func(c *authz.Client) { c.ID = "usr_x" },
		"impossible overrides": func(c *authz.Client) { d := time.Hour; c.Refresh.Leeway = &d },
	} {
		client := confidential("bad")
		edit(&client)
		_, _, err := f.clients.Create(t.Context(), client)
		wantCode(t, name, err, authz.InvalidInput)
	}
}

func TestRotateSecret(t *testing.T) {
	f := newFixture(t)
	_, first, err := f.clients.Create(t.Context(), confidential("robot"))
	if err != nil {
		t.Fatal(err)
	}
	client, second, err := f.clients.RotateSecret(t.Context(), "robot", time.Hour)
	if err != nil || len(client.Secrets) != 2 || client.Secrets[0].Hash != authz.HashSecret(second) ||
		client.Secrets[1].Hash != authz.HashSecret(first) || !client.Secrets[1].ExpiresAt.Equal(f.now.Add(time.Hour)) {
		t.Fatalf("after the first rotation secrets = %+v, %v", client.Secrets, err)
	}
	client, third, err := f.clients.RotateSecret(t.Context(), "robot", time.Hour)
	if err != nil || len(client.Secrets) != 2 || client.Secrets[0].Hash != authz.HashSecret(third) || client.Secrets[1].Hash != authz.HashSecret(second) {
		t.Errorf("after the second rotation secrets = %+v, %v, want the two newest", client.Secrets, err)
	}
	if client, _, err = f.clients.RotateSecret(t.Context(), "robot", 0); err != nil || len(client.Secrets) != 1 {
		t.Errorf("without overlap secrets = %+v, %v, want one", client.Secrets, err)
	}
	if _, _, err = f.clients.Create(t.Context(), authz.Client{ID: "app", AuthMethod: authz.AuthNone}); err != nil {
		t.Fatal(err)
	}
	_, _, err = f.clients.RotateSecret(t.Context(), "app", 0)
	wantCode(t, "RotateSecret of a public client", err, authz.InvalidInput)
	_, _, err = f.clients.RotateSecret(t.Context(), "nobody", 0)
	wantCode(t, "RotateSecret of an unknown client", err, authz.NotFound)
}

// withSessions gives the client "robot" 1,200 sessions of a new user.
func withSessions(t *testing.T, f *fixture) {
	t.Helper()
	user, err := f.users.Create(t.Context(), authz.NewUser{Username: "alice", Password: "correct horse battery"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1200 {
		family := authztest.SampleFamily(user.ID, i)
		family.ClientID = "robot"
		if err := f.store.InsertFamily(t.Context(), family, user.AuthEpoch); err != nil {
			t.Fatal(err)
		}
	}
}

func live(t *testing.T, f *fixture) int {
	t.Helper()
	sessions, err := f.sessions.List(t.Context(), authz.SessionFilter{Live: true, Page: authz.Page{Limit: 10_000}})
	if err != nil {
		t.Fatal(err)
	}
	return len(sessions)
}

func TestDisableEndsSessionsInBatches(t *testing.T) {
	f := newFixture(t)
	before, _, err := f.clients.Create(t.Context(), confidential("robot"))
	if err != nil {
		t.Fatal(err)
	}
	withSessions(t, f)
	disabled, err := f.clients.Update(t.Context(), "robot", func(c *authz.Client) error {
		c.DisabledAt = f.now
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if left := live(t, f); left != 0 || f.store.Calls["EndSessions"] != 4 {
		t.Errorf("%d sessions live after %d batches, want 0 after 3 and an empty one", left, f.store.Calls["EndSessions"])
	}
	enabled, err := f.clients.Update(t.Context(), "robot", func(c *authz.Client) error {
		c.DisabledAt = time.Time{}
		return nil
	})
	if err != nil || enabled.Status == before.Status || disabled.Status != before.Status {
		t.Errorf("status entries: created %+v, disabled %+v, enabled %+v, %v: want a new one when enabled", before.Status, disabled.Status, enabled.Status, err)
	}
}

// failingSessions is a store that fails to end sessions once.
type failingSessions struct {
	authz.SessionStore
	failed bool
}

func (s *failingSessions) EndSessions(ctx context.Context, ending authz.Ending) (int, error) {
	if !s.failed {
		s.failed = true
		return 0, authz.ErrUnavailable
	}
	return s.SessionStore.EndSessions(ctx, ending)
}

func TestDisableCanBeResumed(t *testing.T) {
	f := newFixture(t)
	if _, _, err := f.clients.Create(t.Context(), confidential("robot")); err != nil {
		t.Fatal(err)
	}
	withSessions(t, f)
	f.sessions.Store = &failingSessions{SessionStore: f.store}
	disable := func(c *authz.Client) error {
		c.DisabledAt = f.now
		return nil
	}
	if _, err := f.clients.Update(t.Context(), "robot", disable); !errors.Is(err, authz.ErrUnavailable) {
		t.Errorf("Update whose sessions cannot be ended = %v, want ErrUnavailable", err)
	}
	if _, err := f.clients.Update(t.Context(), "robot", disable); err != nil || live(t, f) != 0 {
		t.Errorf("Update again = %v and %d sessions live, want nil and 0", err, live(t, f))
	}
}

func TestDeleteClientEndsSessionsFirst(t *testing.T) {
	f := newFixture(t)
	if _, _, err := f.clients.Create(t.Context(), confidential("robot")); err != nil {
		t.Fatal(err)
	}
	withSessions(t, f)
	if err := f.clients.Delete(t.Context(), "robot"); err != nil {
		t.Fatal(err)
	}
	_, err := f.clients.Find(t.Context(), "robot")
	wantCode(t, "Find after deletion", err, authz.NotFound)
	if left := live(t, f); left != 0 {
		t.Errorf("%d sessions of a deleted client live", left)
	}
	wantCode(t, "Delete of an unknown client", f.clients.Delete(t.Context(), "robot"), authz.NotFound)
}

func TestUpdateKeepsTheKindOfClient(t *testing.T) {
	f := newFixture(t)
	if _, _, err := f.clients.Create(t.Context(), confidential("robot")); err != nil {
		t.Fatal(err)
	}
	_, err := f.clients.Update(t.Context(), "robot", func(c *authz.Client) error {
		c.AuthMethod, c.GrantTypes = authz.AuthNone, nil
		return nil
	})
	wantCode(t, "Update to a public client", err, authz.InvalidInput)
}

func TestDeleteResource(t *testing.T) {
	f := newFixture(t)
	if _, _, err := f.clients.Create(t.Context(), confidential("robot")); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "Delete of a resource in use", f.resources.Delete(t.Context(), "https://api.example"), authz.Conflict)
	if err := f.clients.Delete(t.Context(), "robot"); err != nil {
		t.Fatal(err)
	}
	if err := f.resources.Delete(t.Context(), "https://api.example"); err != nil {
		t.Error(err)
	}
	wantCode(t, "Delete of an unknown resource", f.resources.Delete(t.Context(), "https://api.example"), authz.NotFound)
	_, err := f.resources.Create(t.Context(), authz.Resource{URI: issuer + "/admin"})
	wantCode(t, "Create of the server's own resource", err, authz.InvalidInput)
}

func TestLongestIdleTTL(t *testing.T) {
	f := newFixture(t)
	longest := 400 * time.Hour
	client := confidential("robot")
	client.Refresh.IdleTTL = &longest
	if _, _, err := f.clients.Create(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	if got, err := f.clients.LongestIdleTTL(t.Context()); err != nil || got != longest {
		t.Errorf("LongestIdleTTL = %s, %v, want %s", got, err, longest)
	}
}

// An id that no client can have is looked for in no database: Postgres takes
// neither NUL nor bytes that are no UTF-8, and would fail.
func TestFindClientByImpossibleID(t *testing.T) {
	f := newFixture(t)
	before := f.store.CallCount()
	for _, id := range []string{"", "a\x00b", "\xff", "~console", "a b", strings.Repeat("a", 129)} {
		_, err := f.clients.Find(t.Context(), id)
		wantCode(t, "Find", err, authz.NotFound)
	}
	if n := f.store.CallCount() - before; n != 0 {
		t.Errorf("the store was asked %d times, want never", n)
	}
}
