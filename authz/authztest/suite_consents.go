package authztest

import (
	"testing"
	"time"

	"chancery/authz"
)

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
