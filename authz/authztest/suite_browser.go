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

func sampleBrowser(userID string, n int) authz.BrowserSession {
	return authz.BrowserSession{
		Hash: authz.HashSecret(authz.Secret(fmt.Sprint("browser ", n))), ID: fmt.Sprint("browser-", n), UserID: userID, AuthEpoch: 1, SessionEpoch: 2,
		AMR: []string{"pwd", "otp"}, AuthTime: T0.Add(time.Second), LoginFor: authz.HashSecret("request"), CreatedAt: T0, UsedAt: T0.Add(time.Minute),
		ExpiresAt: T0.Add(time.Hour), Device: authz.Device{Address: "192.0.2.1", UserAgent: "Browser/1.0 ä"},
	}
}

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

// withBrowser stores a user who is logged in in browser-1.
func withBrowser(t testing.TB, store Store) (userID string) {
	t.Helper()
	userID = withUser(t, store, "alice")
	must(t, store.SaveBrowserSession(t.Context(), sampleBrowser(userID, 1), authz.Hash{}))
	return userID
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

func sampleConsent(userID, clientID string) authz.Consent {
	return authz.Consent{
		UserID: userID, ClientID: clientID, Scope: authz.Scope{"openid", "read"}, Resources: []string{"https://api.example"}, CreatedAt: T0, UpdatedAt: T0,
	}
}

func consentsKept(t *testing.T, store Store) {
	userID := withUser(t, store, "alice")
	must(t, store.InsertClient(t.Context(), SampleClient("app2"), AnyEvent()))
	_, err := store.Consent(t.Context(), userID, "app")
	want(t, "Consent before it is given", err, authz.ErrNotFound)
	first, second := sampleConsent(userID, "app"), sampleConsent(userID, "app2")
	must(t, store.SaveConsent(t.Context(), second, time.Time{}, AnyEvent()))
	must(t, store.SaveConsent(t.Context(), first, time.Time{}, AnyEvent()))
	more := first
	more.Scope, more.CreatedAt, more.UpdatedAt = authz.Scope{"openid"}, T0.Add(time.Hour), T0.Add(time.Hour)
	must(t, store.SaveConsent(t.Context(), more, first.UpdatedAt, AnyEvent()))
	want(t, "SaveConsent over another state", store.SaveConsent(t.Context(), more, first.UpdatedAt, AnyEvent()), authz.ErrConflict)
	want(t, "SaveConsent as if there were none", store.SaveConsent(t.Context(), more, time.Time{}, AnyEvent()), authz.ErrConflict)
	more.CreatedAt = T0
	got, err := store.Consent(t.Context(), userID, "app")
	must(t, err)
	same(t, "consent", more, got)
	list, err := store.ListConsents(t.Context(), userID, 10)
	must(t, err)
	same(t, "consents", []authz.Consent{more, second}, list)
	list, err = store.ListConsents(t.Context(), userID, 1)
	must(t, err)
	same(t, "one consent", []authz.Consent{more}, list)
	before := countEvents(t, store, authz.EventFilter{})
	must(t, store.DeleteConsent(t.Context(), userID, "app", AnyEvent()))
	must(t, store.DeleteConsent(t.Context(), userID, "app", AnyEvent()))
	_, err = store.Consent(t.Context(), userID, "app")
	want(t, "Consent after it is taken back", err, authz.ErrNotFound)
	if after := countEvents(t, store, authz.EventFilter{}); after != before+1 {
		t.Errorf("%d events, want %d", after, before+1)
	}
}

// consentsTakeGrants: what was allowed and not fetched yet goes with the consent.
func consentsTakeGrants(t *testing.T, store Store) {
	userID := withBrowser(t, store)
	must(t, store.InsertClient(t.Context(), SampleClient("app2"), AnyEvent()))
	mine, other, used := sampleCode(userID, 1), sampleCode(userID, 2), sampleCode(userID, 3)
	other.ClientID = "app2"
	for _, code := range []authz.AuthorizationCode{mine, other, used} {
		must(t, store.InsertCode(t.Context(), code, authz.Hash{}))
	}
	must(t, store.RedeemCode(t.Context(), used.Hash, SampleFamily(userID, 3), used.Grant))
	device := sampleDevice(1)
	must(t, store.InsertDevice(t.Context(), device))
	device.State, device.Grant = authz.DeviceApproved, mine.Grant
	must(t, store.DecideDevice(t.Context(), device))
	before := countEvents(t, store, authz.EventFilter{})
	must(t, store.DeleteConsent(t.Context(), userID, "app", AnyEvent()))
	want(t, "RedeemCode", store.RedeemCode(t.Context(), mine.Hash, SampleFamily(userID, 1), mine.Grant), authz.ErrConflict)
	want(t, "RedeemDevice", store.RedeemDevice(t.Context(), device.Hash, SampleFamily(userID, 4), device.Grant), authz.ErrConflict)
	_, err := store.Code(t.Context(), used.Hash)
	want(t, "Code that was exchanged, whose replay must be noticed", err, nil)
	family := SampleFamily(userID, 2)
	family.ClientID = "app2"
	must(t, store.RedeemCode(t.Context(), other.Hash, family, other.Grant))
	if after := countEvents(t, store, authz.EventFilter{}); after != before {
		t.Errorf("%d events without a consent, want %d", after, before)
	}
}

func consentsGo(t *testing.T, store Store) {
	alice, bob := withUser(t, store, "alice"), withUser(t, store, "bob")
	for _, userID := range []string{alice, bob} {
		must(t, store.SaveConsent(t.Context(), sampleConsent(userID, "app"), time.Time{}, AnyEvent()))
	}
	want(t, "SaveConsent of an unknown user", store.SaveConsent(t.Context(), sampleConsent("usr_none", "app"), time.Time{}, AnyEvent()), authz.ErrNotFound)
	want(t, "SaveConsent for an unknown client", store.SaveConsent(t.Context(), sampleConsent(alice, "none"), time.Time{}, AnyEvent()), authz.ErrNotFound)
	must(t, store.DeleteUser(t.Context(), change(alice, authz.CauseUserDeleted)))
	_, err := store.Consent(t.Context(), alice, "app")
	want(t, "Consent of a deleted user", err, authz.ErrNotFound)
	_, err = store.Consent(t.Context(), bob, "app")
	want(t, "Consent of another user", err, nil)
	must(t, store.DeleteClient(t.Context(), "app", AnyEvent()))
	_, err = store.Consent(t.Context(), bob, "app")
	want(t, "Consent for a deleted client", err, authz.ErrNotFound)
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
