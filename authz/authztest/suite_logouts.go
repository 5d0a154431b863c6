package authztest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"chancery/authz"
)

// told claims all deliveries and returns their sessions.
func told(t testing.TB, store Store) []string {
	t.Helper()
	claimed, err := store.ClaimLogouts(t.Context(), T0.Add(time.Hour), T0.Add(2*time.Hour), 100, 100)
	must(t, err)
	ids := []string{}
	for _, d := range claimed {
		ids = append(ids, d.SessionID)
	}
	slices.Sort(ids)
	return ids
}

// withLogouts stores n deliveries, due when their sessions end.
func withLogouts(t testing.TB, store Store, n int) {
	t.Helper()
	userID := withBrowser(t, store)
	for i := range n {
		withCodeSession(t, store, userID, "browser-1", i, "openid")
	}
	_, err := store.EndSessions(t.Context(), authz.Ending{UserID: userID, Cause: authz.CauseAdmin, Now: T0})
	must(t, err)
}

func logoutsClaimed(t *testing.T, store Store) {
	withLogouts(t, store, 3)
	early, err := store.ClaimLogouts(t.Context(), T0.Add(-time.Second), T0, 10, 10)
	if must(t, err); len(early) != 0 {
		t.Errorf("%d deliveries before their time, want none", len(early))
	}
	claimed, err := store.ClaimLogouts(t.Context(), T0, T0.Add(time.Minute), 2, 10)
	if must(t, err); len(claimed) != 2 {
		t.Fatalf("%d deliveries claimed, want 2", len(claimed))
	}
	d := claimed[0]
	if d.ID == "" || d.ClientID != "app" || d.UserID != "usr_alice" || d.SessionID == "" || d.Attempts != 1 || !d.CreatedAt.Equal(T0) {
		t.Errorf("delivery = %+v", d)
	}
	must(t, store.RetryLogout(t.Context(), claimed[0].ID, T0.Add(time.Second)))
	must(t, store.FinishLogout(t.Context(), claimed[1].ID, AnyEvent()))
	must(t, store.FinishLogout(t.Context(), claimed[1].ID, AnyEvent()))
	must(t, store.RetryLogout(t.Context(), claimed[1].ID, T0))
	again, err := store.ClaimLogouts(t.Context(), T0.Add(time.Second), T0.Add(time.Minute), 10, 10)
	if must(t, err); len(again) != 2 {
		t.Fatalf("%d deliveries claimed later, want the one of the retry and the third", len(again))
	}
	for _, d := range again {
		if d.ID == claimed[1].ID || (d.ID == claimed[0].ID && d.Attempts != 2) {
			t.Errorf("claimed %+v", d)
		}
	}
}

// logoutsFair: a client with many deliveries does not hold another one up.
func logoutsFair(t *testing.T, store Store) {
	withLogouts(t, store, 10)
	other := SampleClient("other")
	must(t, store.InsertClient(t.Context(), other, AnyEvent()))
	userID := SampleUser("alice").ID
	must(t, store.SaveBrowserSession(t.Context(), sampleBrowser(userID, 2), authz.Hash{}))
	code, family := sampleCode(userID, 50), SampleFamily(userID, 50)
	code.BrowserID, code.ClientID, family.ClientID = "browser-2", "other", "other"
	must(t, store.InsertCode(t.Context(), code, authz.Hash{}))
	must(t, store.RedeemCode(t.Context(), code.Hash, family, code.Grant))
	_, err := store.EndSessions(t.Context(), authz.Ending{SessionID: family.SessionID, Cause: authz.CauseAdmin, Now: T0.Add(time.Second)})
	must(t, err)
	claimed, err := store.ClaimLogouts(t.Context(), T0.Add(time.Minute), T0.Add(time.Hour), 3, 2)
	must(t, err)
	clients := map[string]int{}
	for _, d := range claimed {
		clients[d.ClientID]++
	}
	if clients["app"] != 2 || clients["other"] != 1 {
		t.Errorf("claimed %v, want two of app and the one of other", clients)
	}
}

func logoutsConcurrent(t *testing.T, store Store) {
	const n = 20
	withLogouts(t, store, n)
	var mu sync.Mutex
	seen := map[string]int{}
	claim := func() {
		for claimed := []authz.LogoutDelivery{{}}; len(claimed) > 0; {
			var err error
			if claimed, err = store.ClaimLogouts(t.Context(), T0, T0.Add(time.Hour), 3, 3); err != nil {
				t.Error(err)
			}
			mu.Lock()
			for _, d := range claimed {
				seen[d.ID]++
			}
			mu.Unlock()
		}
	}
	var group sync.WaitGroup
	for range 5 {
		group.Go(claim)
	}
	group.Wait()
	claim() // what was passed over while others had it locked
	for id, times := range seen {
		if times != 1 {
			t.Errorf("delivery %s was claimed %d times, want once", id, times)
		}
	}
	if len(seen) != n {
		t.Errorf("%d deliveries were claimed, want %d", len(seen), n)
	}
}

func logoutsWanted(t *testing.T, store Store) {
	userID := withBrowser(t, store)
	withCodeSession(t, store, userID, "browser-1", 1, "openid")
	must(t, store.InsertFamily(t.Context(), SampleFamily(userID, 2), 1)) // did not begin in a browser
	silent := SampleClient("silent")
	silent.BackchannelLogoutURI = ""
	must(t, store.InsertClient(t.Context(), silent, AnyEvent()))
	code, family := sampleCode(userID, 3), SampleFamily(userID, 3)
	code.ClientID, family.ClientID = "silent", "silent"
	must(t, store.InsertCode(t.Context(), code, authz.Hash{}))
	must(t, store.RedeemCode(t.Context(), code.Hash, family, code.Grant))
	_, err := store.EndSessions(t.Context(), authz.Ending{UserID: userID, Cause: authz.CauseAdmin, Now: T0})
	must(t, err)
	same(t, "sessions whose clients are told", []string{"sid-000001"}, told(t, store))
}
