package authztest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"chancery/authz"
)

func clientStoredWhole(t *testing.T, store Store) {
	full := SampleClient("app")
	full.DisabledAt = T0.Add(time.Minute)
	bare := authz.Client{ID: "bare", AuthMethod: authz.AuthNone, CreatedAt: T0.Add(-time.Second), UpdatedAt: T0, Version: 1}
	for _, client := range []authz.Client{full, bare} {
		must(t, store.InsertClient(t.Context(), client, AnyEvent()))
		got, err := store.Client(t.Context(), client.ID)
		must(t, err)
		same(t, "client "+client.ID, client, got)
	}
	listed, err := store.ListClients(t.Context(), authz.Page{Limit: 10})
	must(t, err)
	same(t, "list", []authz.Client{full, bare}, listed)
}

func clientUnknownAndTaken(t *testing.T, store Store) {
	_, err := store.Client(t.Context(), "app")
	want(t, "Client of an empty store", err, authz.ErrNotFound)
	must(t, store.InsertClient(t.Context(), SampleClient("app"), AnyEvent()))
	want(t, "InsertClient of a taken id", store.InsertClient(t.Context(), SampleClient("app"), AnyEvent()), authz.ErrConflict)
	_, err = store.Client(t.Context(), "APP")
	want(t, "Client in another case", err, authz.ErrNotFound)
	want(t, "DeleteClient of an unknown id", store.DeleteClient(t.Context(), "none", AnyEvent()), authz.ErrNotFound)
}

func clientUpdate(t *testing.T, store Store) {
	must(t, store.InsertClient(t.Context(), SampleClient("app"), AnyEvent()))
	before, err := store.Registrations(t.Context())
	must(t, err)
	changed := SampleClient("app")
	changed.Name, changed.FirstParty, changed.Scope, changed.Resources = "", false, nil, []string{"https://new.example"}
	changed.Refresh, changed.AllowedOrigins, changed.Secrets = authz.RefreshOverrides{}, nil, nil
	changed.UpdatedAt = T0.Add(time.Hour)
	must(t, store.UpdateClient(t.Context(), changed, authz.StatusRef{}, AnyEvent()))
	want(t, "UpdateClient with an old version", store.UpdateClient(t.Context(), changed, authz.StatusRef{}, AnyEvent()), authz.ErrConflict)
	got, err := store.Client(t.Context(), "app")
	must(t, err)
	changed.Version = 2
	same(t, "client", changed, got)
	after, err := store.Registrations(t.Context())
	must(t, err)
	if after <= before {
		t.Errorf("registrations version went from %d to %d, want it to rise", before, after)
	}
}

func clientConcurrentUpdates(t *testing.T, store Store) {
	must(t, store.InsertClient(t.Context(), SampleClient("app"), AnyEvent()))
	const writers = 8
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for {
				client, err := store.Client(t.Context(), "app")
				if err != nil {
					t.Error(err)
					return
				}
				client.Name += "x"
				if err = store.UpdateClient(t.Context(), client, authz.StatusRef{}, AnyEvent()); err == nil {
					return
				}
				if !errors.Is(err, authz.ErrConflict) {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	got, err := store.Client(t.Context(), "app")
	must(t, err)
	if wantName := SampleClient("app").Name + "xxxxxxxx"; got.Name != wantName || got.Version != 1+writers {
		t.Errorf("after %d updates name = %q, version = %d", writers, got.Name, got.Version)
	}
}

func clientDelete(t *testing.T, store Store) {
	one, two := SampleClient("one"), SampleClient("two")
	two.AllowedOrigins = []string{"https://app.example", "https://second.example"}
	must(t, store.InsertClient(t.Context(), one, AnyEvent()))
	must(t, store.InsertClient(t.Context(), two, AnyEvent()))
	origins, err := store.AllowedOrigins(t.Context())
	must(t, err)
	same(t, "origins", []string{"http://localhost:3000", "https://app.example", "https://second.example"}, origins)
	must(t, store.DeleteClient(t.Context(), "one", AnyEvent()))
	_, err = store.Client(t.Context(), "one")
	want(t, "Client after deletion", err, authz.ErrNotFound)
	origins, err = store.AllowedOrigins(t.Context())
	must(t, err)
	same(t, "origins", []string{"https://app.example", "https://second.example"}, origins)
}

func clientPages(t *testing.T, store Store) {
	var all []string
	for i := range 7 {
		client := SampleClient(fmt.Sprintf("c%d", i))
		client.CreatedAt = T0.Add(time.Duration(i/2) * time.Second) // pairs share a time
		must(t, store.InsertClient(t.Context(), client, AnyEvent()))
		all = append(all, client.ID)
	}
	slices.Reverse(all)
	var got []string
	page := authz.Page{Limit: 3}
	for {
		clients, err := store.ListClients(t.Context(), page)
		must(t, err)
		if len(clients) == 0 {
			break
		}
		for _, client := range clients {
			got = append(got, client.ID)
			page.After, page.AfterID = client.CreatedAt, client.ID
		}
	}
	same(t, "pages", all, got)
}

func resourceStoredWhole(t *testing.T, store Store) {
	full, bare := SampleResource("https://a.example"), authz.Resource{URI: "https://b.example", Algorithm: "RS256", CreatedAt: T0, UpdatedAt: T0}
	must(t, store.InsertResource(t.Context(), bare, AnyEvent()))
	must(t, store.InsertResource(t.Context(), full, AnyEvent()))
	want(t, "InsertResource of a taken URI", store.InsertResource(t.Context(), full, AnyEvent()), authz.ErrConflict)
	got, err := store.Resources(t.Context())
	must(t, err)
	same(t, "resources", []authz.Resource{full, bare}, got)
	must(t, store.DeleteResource(t.Context(), full.URI, time.Time{}, AnyEvent()))
	want(t, "DeleteResource of an unknown URI", store.DeleteResource(t.Context(), full.URI, time.Time{}, AnyEvent()), authz.ErrNotFound)
}

func resourceUpdate(t *testing.T, store Store) {
	before := SampleResource("https://a.example")
	must(t, store.InsertResource(t.Context(), before, AnyEvent()))
	version, err := store.Registrations(t.Context())
	must(t, err)
	changed := before
	changed.Name, changed.Scopes, changed.Algorithm, changed.AccessTokenTTL = "", nil, "ES256", 0
	changed.UpdatedAt, changed.CreatedAt = T0.Add(time.Hour), T0.Add(time.Hour)
	event := AnyEvent()
	event.Kind = authz.EventResourceChanged
	must(t, store.UpdateResource(t.Context(), changed, before.UpdatedAt, event))
	want(t, "UpdateResource of what was changed meanwhile", store.UpdateResource(t.Context(), before, before.UpdatedAt, AnyEvent()), authz.ErrConflict)
	want(t, "DeleteResource of what was changed meanwhile", store.DeleteResource(t.Context(), before.URI, before.UpdatedAt, AnyEvent()), authz.ErrNotFound)
	unknown := SampleResource("https://none.example")
	want(t, "UpdateResource of an unknown URI", store.UpdateResource(t.Context(), unknown, unknown.UpdatedAt, AnyEvent()), authz.ErrConflict)
	got, err := store.Resources(t.Context())
	must(t, err)
	changed.CreatedAt = before.CreatedAt
	same(t, "resources", []authz.Resource{changed}, got)
	if after, err := store.Registrations(t.Context()); err != nil || after <= version {
		t.Errorf("registrations version went from %d to %d (%v), want it to rise", version, after, err)
	}
	if n := countEvents(t, store, authz.EventFilter{Kind: authz.EventResourceChanged}); n != 1 {
		t.Errorf("there are %d events of the change, want 1", n)
	}
}

// registrationEvents makes every change once well and once badly: the event of
// the first is stored, that of the second is not.
func registrationEvents(t *testing.T, store Store) {
	n := 0
	check := func(what string, do func(event authz.Event) error, conflict error) {
		t.Helper()
		event := AnyEvent()
		event.Target = what
		event.Changes = []authz.Difference{{Field: "name", Before: "Ä", After: "\"b\""}, {Field: "scope", After: "read"}}
		must(t, do(event))
		n++
		got, err := store.ListEvents(t.Context(), authz.EventFilter{Target: what, Page: authz.Page{Limit: 2}})
		must(t, err)
		same(t, "event of "+what, []authz.Event{event}, got)
		want(t, what+" again", do(AnyEvent()), conflict)
		if all := countEvents(t, store, authz.EventFilter{}); all != n {
			t.Errorf("there are %d events after a refused %s, want %d", all, what, n)
		}
	}
	ctx := t.Context()
	client, resource := SampleClient("app"), SampleResource("https://a.example")
	check("InsertClient", func(e authz.Event) error { return store.InsertClient(ctx, client, e) }, authz.ErrConflict)
	check("UpdateClient", func(e authz.Event) error { return store.UpdateClient(ctx, client, authz.StatusRef{}, e) }, authz.ErrConflict)
	check("DeleteClient", func(e authz.Event) error { return store.DeleteClient(ctx, client.ID, e) }, authz.ErrNotFound)
	check("InsertResource", func(e authz.Event) error { return store.InsertResource(ctx, resource, e) }, authz.ErrConflict)
	changed := resource
	changed.UpdatedAt = T0.Add(time.Minute)
	check("UpdateResource", func(e authz.Event) error { return store.UpdateResource(ctx, changed, resource.UpdatedAt, e) }, authz.ErrConflict)
	check("DeleteResource", func(e authz.Event) error { return store.DeleteResource(ctx, resource.URI, changed.UpdatedAt, e) }, authz.ErrNotFound)
}

func resourceClients(t *testing.T, store Store) {
	for _, id := range []string{"b", "a", "c"} {
		client := SampleClient(id)
		if id == "c" {
			client.Resources = []string{"https://other.example"}
		}
		must(t, store.InsertClient(t.Context(), client, AnyEvent()))
	}
	ids, err := store.ResourceClients(t.Context(), "https://api.example", 10)
	must(t, err)
	same(t, "clients of the resource", []string{"a", "b"}, ids)
	ids, err = store.ResourceClients(t.Context(), "https://other.example", 2)
	must(t, err)
	same(t, "limited", []string{"a", "b"}, ids)
}

func applyAllOrNothing(t *testing.T, store Store) {
	userID := withFamilies(t, store, "old", 0, 1)
	must(t, store.InsertClient(t.Context(), SampleClient("existing"), AnyEvent()))
	must(t, store.InsertResource(t.Context(), SampleResource("https://existing.example"), AnyEvent()))
	version, err := store.Registrations(t.Context())
	must(t, err)
	existing := SampleClient("existing")
	existing.Name = "renamed"
	existingResource := SampleResource("https://existing.example")
	existingResource.Name = "renamed"
	changes := authz.ApplyChanges{
		Registrations:   version,
		InsertResources: []authz.Resource{SampleResource("https://new.example")}, UpdateResources: []authz.Resource{existingResource},
		InsertClients: []authz.Client{SampleClient("new")}, UpdateClients: []authz.Client{existing},
		InsertUsers: []authz.User{SampleUser("fresh")}, Events: []authz.Event{sampleEvent("fresh", T0)},
		UpdateUsers: []authz.UserUpdate{{UserChange: change("usr_nobody", ""), Roles: []string{"chief"}, NewEmail: true, Email: "new@mail.example"}},
	}
	want(t, "Apply with an unknown user", store.Apply(t.Context(), changes), authz.ErrNotFound)
	if _, err := store.Client(t.Context(), "new"); !errors.Is(err, authz.ErrNotFound) {
		t.Errorf("a failed Apply left a client: %v", err)
	}
	changes.UpdateUsers[0].UserChange = change(userID, "")
	must(t, store.Apply(t.Context(), changes))
	for id, name := range map[string]string{"new": "Client new", "existing": "renamed"} {
		client, err := store.Client(t.Context(), id)
		must(t, err)
		if client.Name != name {
			t.Errorf("client %s has name %q, want %q", id, client.Name, name)
		}
	}
	resources, err := store.Resources(t.Context())
	must(t, err)
	same(t, "resources", []authz.Resource{existingResource, SampleResource("https://new.example")}, resources)
	if _, err := store.UserByName(t.Context(), "fresh"); err != nil {
		t.Error(err)
	}
	same(t, "roles of the live family", []string{"chief"}, familyOf(t, store, 0).Roles)
	user, err := store.UserByName(t.Context(), "old")
	must(t, err)
	if user.Email != "new@mail.example" || user.AuthEpoch != 2 {
		t.Errorf("email = %q in epoch %d, want the declared one in the next", user.Email, user.AuthEpoch)
	}
}

func applyConflict(t *testing.T, store Store) {
	version, err := store.Registrations(t.Context())
	must(t, err)
	must(t, store.InsertClient(t.Context(), SampleClient("meanwhile"), AnyEvent()))
	changes := authz.ApplyChanges{Registrations: version, InsertClients: []authz.Client{SampleClient("late")}}
	want(t, "Apply planned on an old version", store.Apply(t.Context(), changes), authz.ErrConflict)
	_, err = store.Client(t.Context(), "late")
	want(t, "Client of the refused Apply", err, authz.ErrNotFound)
}
