package authztest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"chancery/authz"
)

func sampleBrowser(userID string, n int) authz.BrowserSession {
	return authz.BrowserSession{
		Hash: authz.HashSecret(authz.Secret(fmt.Sprint("browser ", n))), ID: fmt.Sprint("browser-", n), UserID: userID, AuthEpoch: 1, SessionEpoch: 2,
		AMR: []string{"pwd", "otp"}, AuthTime: T0.Add(time.Second), LoginFor: authz.HashSecret("request"), CreatedAt: T0, UsedAt: T0.Add(time.Minute),
		ExpiresAt: T0.Add(time.Hour), Device: authz.Device{Address: "192.0.2.1", UserAgent: "Browser/1.0 ä"},
	}
}

func browserStoredWhole(t *testing.T, store Store) {
	session := sampleBrowser(withUser(t, store, "alice"), 1)
	must(t, store.SaveBrowserSession(t.Context(), session, authz.Hash{}))
	got, err := store.BrowserSession(t.Context(), session.Hash)
	must(t, err)
	same(t, "browser session", session, got)

	must(t, store.UseBrowserSession(t.Context(), session.Hash, T0.Add(2*time.Minute)))
	again := session
	again.Hash, again.LoginFor, again.AuthTime = authz.HashSecret("other cookie"), authz.Hash{}, T0.Add(time.Minute)
	got, err = store.BrowserSession(t.Context(), session.Hash)
	if must(t, err); !got.UsedAt.Equal(T0.Add(2 * time.Minute)) {
		t.Errorf("used at %s, want two minutes later", got.UsedAt)
	}
	must(t, store.SaveBrowserSession(t.Context(), again, session.Hash))
	_, err = store.BrowserSession(t.Context(), session.Hash)
	want(t, "BrowserSession of the hash before", err, authz.ErrNotFound)
	got, err = store.BrowserSession(t.Context(), again.Hash)
	must(t, err)
	same(t, "browser session after another login", again, got)
	must(t, store.UseBrowserSession(t.Context(), session.Hash, T0)) // one that is gone is no error
}

func browserLogout(t *testing.T, store Store) {
	userID := withUser(t, store, "alice")
	for n := range 2 {
		must(t, store.SaveBrowserSession(t.Context(), sampleBrowser(userID, n), authz.Hash{}))
	}
	withCodeSession(t, store, userID, "browser-1", 1, "openid")
	withCodeSession(t, store, userID, "browser-1", 2, "openid", "offline_access")
	withCodeSession(t, store, userID, "browser-1", 3, "openid", "offline_access_not")
	withCodeSession(t, store, userID, "browser-0", 4, "openid")
	must(t, store.InsertFamily(t.Context(), SampleFamily(userID, 5), 1))

	ending := authz.Ending{BrowserID: "browser-1", Spare: "offline_access", Cause: authz.CauseLogout, Now: T0.Add(time.Second)}
	n, err := store.EndSessions(t.Context(), ending)
	if must(t, err); n != 2 {
		t.Errorf("%d sessions ended, want 2", n)
	}
	for sid, ended := range map[int]bool{1: true, 2: false, 3: true, 4: false, 5: false} {
		if got := !familyOf(t, store, sid).RevokedAt.IsZero(); got != ended {
			t.Errorf("session %d ended: %t, want %t", sid, got, ended)
		}
	}
	_, err = store.BrowserSession(t.Context(), sampleBrowser(userID, 1).Hash)
	want(t, "BrowserSession after the logout", err, authz.ErrNotFound)
	_, err = store.BrowserSession(t.Context(), sampleBrowser(userID, 0).Hash)
	want(t, "BrowserSession of another browser", err, nil)
	same(t, "sessions whose clients are told", []string{"sid-000001", "sid-000002", "sid-000003"}, told(t, store))
}

func browserEndsWithSession(t *testing.T, store Store) {
	userID := withUser(t, store, "alice")
	for n := range 3 {
		must(t, store.SaveBrowserSession(t.Context(), sampleBrowser(userID, n), authz.Hash{}))
		withCodeSession(t, store, userID, fmt.Sprint("browser-", n), n, "openid")
	}
	for n, browsers := range []bool{false, true} {
		_, err := store.EndSessions(t.Context(), authz.Ending{
			SessionID: SampleFamily(userID, n).SessionID, Browsers: browsers, Cause: authz.CauseAdmin, Now: T0.Add(time.Second),
		})
		must(t, err)
	}
	for n, left := range []error{nil, authz.ErrNotFound, nil} {
		_, err := store.BrowserSession(t.Context(), sampleBrowser(userID, n).Hash)
		want(t, fmt.Sprint("BrowserSession ", n), err, left)
	}
}

func browserDeleted(t *testing.T, store Store) {
	userID := withUser(t, store, "alice")
	must(t, store.SaveBrowserSession(t.Context(), sampleBrowser(userID, 1), authz.Hash{}))
	must(t, store.DeleteUser(t.Context(), change(userID, authz.CauseUserDeleted)))
	_, err := store.BrowserSession(t.Context(), sampleBrowser(userID, 1).Hash)
	want(t, "BrowserSession of a deleted user", err, authz.ErrNotFound)
}

// withBrowser stores a user who is logged in in browser-1.
func withBrowser(t testing.TB, store Store) (userID string) {
	t.Helper()
	userID = withUser(t, store, "alice")
	must(t, store.SaveBrowserSession(t.Context(), sampleBrowser(userID, 1), authz.Hash{}))
	return userID
}

// browserLoginsAtOnce: a form that is sent twice logs in twice.
func browserLoginsAtOnce(t *testing.T, store Store) {
	userID := withBrowser(t, store)
	before := sampleBrowser(userID, 1).Hash
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			session := sampleBrowser(userID, 1)
			session.Hash = authz.HashSecret(authz.Secret(fmt.Sprint("again ", n)))
			if err := store.SaveBrowserSession(t.Context(), session, before); err != nil {
				t.Errorf("SaveBrowserSession = %v", err)
			}
		})
	}
	group.Wait()
	alive := 0
	for n := range 8 {
		if _, err := store.BrowserSession(t.Context(), authz.HashSecret(authz.Secret(fmt.Sprint("again ", n)))); err == nil {
			alive++
		}
	}
	if _, err := store.BrowserSession(t.Context(), before); alive != 1 || !errors.Is(err, authz.ErrNotFound) {
		t.Errorf("%d logins are left, the one before: %v; want one", alive, err)
	}
}

func sessionsEndOfUserInClient(t *testing.T, store Store) {
	userID := withFamilies(t, store, "alice", 0, 2)
	withFamilies(t, store, "bob", 10, 1)
	must(t, store.InsertClient(t.Context(), SampleClient("app2"), AnyEvent()))
	other := SampleFamily(userID, 5)
	other.ClientID = "app2"
	must(t, store.InsertFamily(t.Context(), other, 1))
	n, err := store.EndSessions(t.Context(), authz.Ending{UserID: userID, ClientID: "app", Cause: authz.CauseLogout, Now: T0})
	must(t, err)
	for sid, ended := range map[int]bool{0: true, 1: true, 5: false, 10: false} {
		if got := !familyOf(t, store, sid).RevokedAt.IsZero(); got != ended {
			t.Errorf("session %d ended: %t, want %t", sid, got, ended)
		}
	}
	user, err := store.UserByID(t.Context(), userID)
	if must(t, err); n != 2 || user.ConsoleEpoch != SampleUser("alice").ConsoleEpoch {
		t.Errorf("%d ended, epoch %d: want 2, and the user stays logged in elsewhere", n, user.ConsoleEpoch)
	}
}
