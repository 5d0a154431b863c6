package authztest

import (
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chancery/authz"
)

func sampleCode(userID string, n int) authz.AuthorizationCode {
	return authz.AuthorizationCode{
		Hash: authz.HashSecret(authz.Secret(fmt.Sprint("code ", n))),
		Grant: authz.Grant{
			ClientID: "app", UserID: userID, AuthEpoch: 1, BrowserID: "browser-1", Scope: authz.Scope{"openid", "read"},
			Resources: []string{"https://api.example"}, AMR: []string{"pwd"}, AuthTime: T0, KeyThumbprint: "key",
		},
		RedirectURI: "https://app.example/callback?x=1", Challenge: "challenge", Nonce: "nonce ä", CreatedAt: T0, ExpiresAt: T0.Add(time.Minute),
	}
}

// withCodeSession stores session n of the user as one that began in a browser.
func withCodeSession(t testing.TB, store Store, userID, browserID string, n int, scope ...string) {
	t.Helper()
	code, family := sampleCode(userID, n), SampleFamily(userID, n)
	code.BrowserID, code.Scope, family.Scope = browserID, scope, scope
	must(t, store.InsertCode(t.Context(), code, authz.Hash{}))
	must(t, store.RedeemCode(t.Context(), code.Hash, family, code.Grant))
}

func codeStoredWhole(t *testing.T, store Store) {
	userID := withBrowser(t, store)
	browser, code := sampleBrowser(userID, 1), sampleCode(userID, 1)
	must(t, store.InsertCode(t.Context(), code, authz.Hash{}))
	got, err := store.Code(t.Context(), code.Hash)
	must(t, err)
	same(t, "code", code, got)
	_, err = store.Code(t.Context(), authz.HashSecret("unknown"))
	want(t, "Code of an unknown hash", err, authz.ErrNotFound)
	answered, err := store.BrowserSession(t.Context(), browser.Hash)
	if must(t, err); answered.LoginFor != (authz.Hash{}) {
		t.Error("the browser session still says what its login was for, though that is answered")
	}
	user, sessions, err := store.UserWithSessions(t.Context(), userID, T0)
	must(t, err)
	same(t, "user", SampleUser("alice"), user)
	_, _, err = store.UserWithSessions(t.Context(), "usr_none", T0)
	want(t, "UserWithSessions of an unknown id", err, authz.ErrNotFound)
	must(t, store.RedeemCode(t.Context(), code.Hash, SampleFamily(userID, 1), code.Grant))
	_, after, err := store.UserWithSessions(t.Context(), userID, T0)
	if must(t, err); sessions != 0 || after != 1 {
		t.Errorf("%d and %d live sessions, want 0 and 1", sessions, after)
	}
}

// codeDiesWithBrowser: a code is not exchanged after the browser was logged out
// that it came through, unless it is for longer.
func codeDiesWithBrowser(t *testing.T, store Store) {
	userID := withBrowser(t, store)
	short, long := sampleCode(userID, 1), sampleCode(userID, 2)
	long.Scope = append(long.Scope, authz.ScopeOfflineAccess)
	must(t, store.InsertCode(t.Context(), short, authz.Hash{}))
	must(t, store.InsertCode(t.Context(), long, authz.Hash{}))
	_, err := store.EndSessions(t.Context(), authz.Ending{BrowserID: "browser-1", Spare: authz.ScopeOfflineAccess, Cause: authz.CauseLogout, Now: T0})
	must(t, err)
	want(t, "RedeemCode after the logout", store.RedeemCode(t.Context(), short.Hash, SampleFamily(userID, 1), short.Grant), authz.ErrNotFound)
	must(t, store.RedeemCode(t.Context(), long.Hash, SampleFamily(userID, 2), long.Grant))
	browserID, err := store.BrowserOf(t.Context(), SampleFamily(userID, 2).SessionID)
	if must(t, err); browserID != "browser-1" {
		t.Errorf("the session began in %q", browserID)
	}
	_, err = store.BrowserOf(t.Context(), "sid-none")
	want(t, "BrowserOf of an unknown session", err, authz.ErrNotFound)
}

// grantsDieWithAllSessions: whatever ends all sessions of a user, or of everybody,
// ends what he has allowed and no client has fetched.
func grantsDieWithAllSessions(t *testing.T, store Store) {
	alice, bob := withBrowser(t, store), withUser(t, store, "bob")
	other := sampleBrowser(bob, 2)
	must(t, store.SaveBrowserSession(t.Context(), other, authz.Hash{}))
	for i, ending := range []authz.Ending{{UserID: alice, Cause: authz.CauseLogout, Now: T0.Add(time.Second)}, {All: true, Cause: authz.CauseAdmin, Now: T0.Add(time.Second)}} {
		mine, his := sampleCode(alice, 10+i), sampleCode(bob, 20+i)
		mine.Scope, his.Scope = append(mine.Scope, authz.ScopeOfflineAccess), append(his.Scope, authz.ScopeOfflineAccess)
		must(t, store.InsertCode(t.Context(), mine, authz.Hash{}))
		must(t, store.InsertCode(t.Context(), his, authz.Hash{}))
		device := sampleDevice(i)
		must(t, store.InsertDevice(t.Context(), device))
		must(t, store.DecideDevice(t.Context(), approved(device, alice)))
		pending := sampleDevice(10 + i)
		must(t, store.InsertDevice(t.Context(), pending))
		_, err := store.EndSessions(t.Context(), ending)
		must(t, err)
		want(t, "RedeemCode", store.RedeemCode(t.Context(), mine.Hash, SampleFamily(alice, 10+i), mine.Grant), authz.ErrConflict)
		want(t, "RedeemDevice", store.RedeemDevice(t.Context(), device.Hash, SampleFamily(alice, 30+i), approved(device, alice).Grant), authz.ErrConflict)
		_, err = store.Device(t.Context(), pending.Hash)
		want(t, "Device that waits for its user", err, nil)
		of := map[bool]error{true: authz.ErrConflict, false: nil}[ending.All]
		want(t, "RedeemCode of another user", store.RedeemCode(t.Context(), his.Hash, SampleFamily(bob, 20+i), his.Grant), of)
	}
	_, err := store.BrowserSession(t.Context(), other.Hash)
	want(t, "BrowserSession after the end of all", err, authz.ErrNotFound)
}

// endRacesWithCode: as logoutRacesWithCode, for the end of all of a user's
// sessions.
func endRacesWithCode(t *testing.T, store Store) {
	userID := withBrowser(t, store)
	for n := range 10 {
		code := sampleCode(userID, n)
		code.Scope = append(code.Scope, authz.ScopeOfflineAccess)
		must(t, store.InsertCode(t.Context(), code, authz.Hash{}))
		var group sync.WaitGroup
		group.Go(func() {
			if err := store.RedeemCode(t.Context(), code.Hash, SampleFamily(userID, n), code.Grant); err != nil && !errors.Is(err, authz.ErrConflict) {
				t.Errorf("RedeemCode = %v", err)
			}
		})
		group.Go(func() {
			if _, err := store.EndSessions(t.Context(), authz.Ending{UserID: userID, Cause: authz.CauseLogout, Now: T0}); err != nil {
				t.Errorf("EndSessions = %v", err)
			}
		})
		group.Wait()
	}
	live, err := store.ListSessions(t.Context(), authz.SessionFilter{UserID: userID, Live: true, Now: T0, Page: authz.Page{Limit: 100}})
	if must(t, err); len(live) != 0 {
		t.Errorf("%d sessions outlive the end of all", len(live))
	}
}

// logoutRacesWithCode: whichever comes first, nothing lives after both.
func logoutRacesWithCode(t *testing.T, store Store) {
	userID := withUser(t, store, "alice")
	for n := range 10 {
		must(t, store.SaveBrowserSession(t.Context(), sampleBrowser(userID, n), authz.Hash{}))
		code := sampleCode(userID, n)
		code.BrowserID = fmt.Sprint("browser-", n)
		must(t, store.InsertCode(t.Context(), code, authz.Hash{}))
		var group sync.WaitGroup
		group.Go(func() {
			if err := store.RedeemCode(t.Context(), code.Hash, SampleFamily(userID, n), code.Grant); err != nil && !errors.Is(err, authz.ErrNotFound) {
				t.Errorf("RedeemCode = %v", err)
			}
		})
		group.Go(func() {
			if _, err := store.EndSessions(t.Context(), authz.Ending{BrowserID: code.BrowserID, Cause: authz.CauseLogout, Now: T0}); err != nil {
				t.Errorf("EndSessions = %v", err)
			}
		})
		group.Wait()
	}
	live, err := store.ListSessions(t.Context(), authz.SessionFilter{UserID: userID, Live: true, Now: T0, Page: authz.Page{Limit: 100}})
	if must(t, err); len(live) != 0 {
		t.Errorf("%d sessions outlive the logout of their browser", len(live))
	}
}

func requestClosed(t *testing.T, store Store) {
	userID := withBrowser(t, store)
	request := authz.PushedRequest{Hash: authz.HashSecret("pushed"), ClientID: "app", ExpiresAt: T0.Add(time.Minute), Parameters: url.Values{"a": {"b"}}}
	must(t, store.InsertPushedRequest(t.Context(), request))
	must(t, store.CloseRequest(t.Context(), "browser-1", request.Hash))
	_, err := store.PushedRequest(t.Context(), request.Hash)
	want(t, "PushedRequest after it was closed", err, authz.ErrNotFound)
	session, err := store.BrowserSession(t.Context(), sampleBrowser(userID, 1).Hash)
	if must(t, err); session.LoginFor != (authz.Hash{}) {
		t.Error("the browser session still says what its login was for")
	}
	want(t, "CloseRequest again", store.CloseRequest(t.Context(), "browser-1", request.Hash), authz.ErrConflict)
	must(t, store.CloseRequest(t.Context(), "browser-1", authz.Hash{}))
}

func codeRedeemed(t *testing.T, store Store) {
	userID := withBrowser(t, store)
	code, family := sampleCode(userID, 1), SampleFamily(userID, 1)
	want(t, "RedeemCode of an unknown code", store.RedeemCode(t.Context(), code.Hash, family, code.Grant), authz.ErrConflict)
	must(t, store.InsertCode(t.Context(), code, authz.Hash{}))
	must(t, store.RedeemCode(t.Context(), code.Hash, family, code.Grant))
	same(t, "session", family, familyOf(t, store, 1))
	got, err := store.Code(t.Context(), code.Hash)
	if must(t, err); got.SessionID != family.SessionID {
		t.Errorf("the code names session %q, want %q", got.SessionID, family.SessionID)
	}
	want(t, "RedeemCode again", store.RedeemCode(t.Context(), code.Hash, SampleFamily(userID, 2), code.Grant), authz.ErrConflict)
	_, err = store.FamilyByHandle(t.Context(), SampleHash(2))
	want(t, "FamilyByHandle of the second", err, authz.ErrNotFound)
}

func codeChecksUser(t *testing.T, store Store) {
	userID := withBrowser(t, store)
	code := sampleCode(userID, 1)
	must(t, store.InsertCode(t.Context(), code, authz.Hash{}))
	old := code.Grant
	old.AuthEpoch = 0
	want(t, "RedeemCode with an old epoch", store.RedeemCode(t.Context(), code.Hash, SampleFamily(userID, 1), old), authz.ErrNotFound)
	got, err := store.Code(t.Context(), code.Hash)
	if must(t, err); got.SessionID != "" {
		t.Error("the code was used up by an exchange that failed")
	}
}

func codeConcurrent(t *testing.T, store Store) {
	userID := withBrowser(t, store)
	code := sampleCode(userID, 1)
	must(t, store.InsertCode(t.Context(), code, authz.Hash{}))
	var winners atomic.Int32
	var group sync.WaitGroup
	for n := range 10 {
		group.Go(func() {
			switch err := store.RedeemCode(t.Context(), code.Hash, SampleFamily(userID, n), code.Grant); {
			case err == nil:
				winners.Add(1)
			case !errors.Is(err, authz.ErrConflict):
				t.Errorf("RedeemCode = %v, want nil or ErrConflict", err)
			}
		})
	}
	group.Wait()
	families, err := store.ListSessions(t.Context(), authz.SessionFilter{UserID: userID, Page: authz.Page{Limit: 100}})
	if must(t, err); winners.Load() != 1 || len(families) != 1 {
		t.Errorf("%d callers exchanged the code for %d sessions, want one for one", winners.Load(), len(families))
	}
}

func pushedOnce(t *testing.T, store Store) {
	userID := withUser(t, store, "alice")
	request := authz.PushedRequest{
		Hash: authz.HashSecret("pushed"), ClientID: "app", ExpiresAt: T0.Add(time.Minute),
		Parameters: url.Values{"scope": {"openid read"}, "resource": {"https://a", "https://b"}, "state": {"ä&="}},
	}
	must(t, store.InsertPushedRequest(t.Context(), request))
	got, err := store.PushedRequest(t.Context(), request.Hash)
	must(t, err)
	same(t, "pushed request", request, got)
	var winners atomic.Int32
	var group sync.WaitGroup
	for n := range 5 {
		group.Go(func() {
			switch err := store.InsertCode(t.Context(), sampleCode(userID, n), request.Hash); {
			case err == nil:
				winners.Add(1)
			case !errors.Is(err, authz.ErrConflict):
				t.Errorf("InsertCode = %v, want nil or ErrConflict", err)
			}
		})
	}
	group.Wait()
	stored := 0
	for n := range 5 {
		if _, err := store.Code(t.Context(), sampleCode(userID, n).Hash); err == nil {
			stored++
		}
	}
	if winners.Load() != 1 || stored != 1 {
		t.Errorf("%d callers answered the request with %d codes, want one with one", winners.Load(), stored)
	}
	_, err = store.PushedRequest(t.Context(), request.Hash)
	want(t, "PushedRequest after it was answered", err, authz.ErrNotFound)
}
