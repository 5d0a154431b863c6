package authztest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chancery/authz"
)

func purge(t *testing.T, store Store) {
	userID := withUser(t, store, "alice")
	for n := range 5 {
		family := SampleFamily(userID, n)
		family.AbsoluteExpiresAt = T0.Add(time.Duration(n) * time.Hour)
		must(t, store.InsertFamily(t.Context(), family, 1))
		must(t, store.Deny(t.Context(), fmt.Sprint("jti", n), T0.Add(time.Duration(n)*time.Hour)))
		confirmation := sampleConfirmation(n, authz.ConfirmReset, userID)
		confirmation.ExpiresAt = T0.Add(time.Duration(n) * time.Hour)
		must(t, store.InsertConfirmation(t.Context(), confirmation))
		browser, code := sampleBrowser(userID, n), sampleCode(userID, n)
		browser.ExpiresAt, code.ExpiresAt = T0.Add(time.Duration(n)*time.Hour), T0.Add(time.Duration(n)*time.Hour)
		must(t, store.SaveBrowserSession(t.Context(), browser, authz.Hash{}))
		must(t, store.InsertCode(t.Context(), code, authz.Hash{}))
		must(t, store.InsertPushedRequest(t.Context(), authz.PushedRequest{Hash: code.Hash, ClientID: "app", ExpiresAt: code.ExpiresAt}))
		must(t, store.AppendEvents(t.Context(), []authz.Event{sampleEvent(fmt.Sprint("id", n), T0.Add(time.Duration(n)*time.Hour))}))
	}
	cut := T0.Add(2 * time.Hour)
	limits := authz.PurgeLimits{FamiliesBefore: cut, DeniedBefore: cut, EventsBefore: cut, ConfirmationsBefore: cut, BrowsersBefore: cut, CodesBefore: cut, PushedBefore: cut, Limit: 10}
	n, err := store.Purge(t.Context(), limits)
	must(t, err)
	if n != 15 { // two of each kind, and the event of the user's creation
		t.Errorf("Purge deleted %d rows, want 15", n)
	}
	families, err := store.ListSessions(t.Context(), authz.SessionFilter{Page: authz.Page{Limit: 10}})
	must(t, err)
	if left := countEvents(t, store, authz.EventFilter{UserID: "usr_u"}); len(families) != 3 || left != 3 {
		t.Errorf("%d families and %d events are left, want 3 and 3", len(families), left)
	}
	if denied, err := store.Denied(t.Context(), "jti2"); err != nil || !denied {
		t.Errorf("a token that is not expired was purged: %v", err)
	}
	limits.FamiliesBefore, limits.Limit = T0.Add(100*time.Hour), 2
	if n, err = store.Purge(t.Context(), limits); err != nil || n != 2 {
		t.Errorf("Purge with limit 2 = %d, %v, want 2 rows", n, err)
	}
}

// purgeStrangers: a client that registered itself goes if nobody uses it, and no
// other goes.
func purgeStrangers(t *testing.T, store Store) {
	userID := withUser(t, store, "alice")
	for id, edit := range map[string]func(*authz.Client){
		"unused": func(*authz.Client) {}, "document": func(c *authz.Client) { c.Origin = authz.OriginDocument },
		"own": func(c *authz.Client) { c.Origin = "" }, "disabled": func(c *authz.Client) { c.DisabledAt = T0 },
		"allowed": func(*authz.Client) {}, "in use": func(*authz.Client) {}, "young": func(c *authz.Client) { c.UpdatedAt = T0.Add(time.Hour) },
	} {
		client := SampleClient(id)
		client.Origin = authz.OriginDynamic
		edit(&client)
		must(t, store.InsertClient(t.Context(), client, AnyEvent()))
	}
	must(t, store.SaveConsent(t.Context(), sampleConsent(userID, "allowed"), time.Time{}, AnyEvent()))
	family := SampleFamily(userID, 1)
	family.ClientID = "in use"
	must(t, store.InsertFamily(t.Context(), family, 1))
	n, err := store.Purge(t.Context(), authz.PurgeLimits{StrangersBefore: T0.Add(time.Minute), Limit: 10})
	if must(t, err); n != 2 {
		t.Errorf("Purge deleted %d rows, want two clients", n)
	}
	left, err := store.ListClients(t.Context(), authz.Page{Limit: 100})
	must(t, err)
	for _, client := range left {
		if client.ID == "unused" || client.ID == "document" {
			t.Errorf("%s is left", client.ID)
		}
	}
}

func lease(t *testing.T, store Store) {
	var holders atomic.Int32
	var group sync.WaitGroup
	for i := range 10 {
		group.Go(func() {
			mine, err := store.AcquireLease(t.Context(), "work", fmt.Sprint("node", i), T0, T0.Add(time.Minute))
			if err != nil {
				t.Error(err)
			}
			if mine {
				holders.Add(1)
			}
		})
	}
	group.Wait()
	if holders.Load() != 1 {
		t.Errorf("%d nodes hold the lease, want 1", holders.Load())
	}
	for _, test := range []struct {
		name, holder string
		at           time.Time
		want         bool
	}{
		{"before it expires", "late", T0.Add(59 * time.Second), false},
		{"when it expires", "late", T0.Add(time.Minute), true},
		{"renewed by its holder", "late", T0.Add(2 * time.Minute), true},
		{"held by another", "later", T0.Add(3 * time.Minute), false},
	} {
		mine, err := store.AcquireLease(t.Context(), "work", test.holder, test.at, T0.Add(time.Hour))
		must(t, err)
		if mine != test.want {
			t.Errorf("%s: AcquireLease = %v, want %v", test.name, mine, test.want)
		}
	}
}
