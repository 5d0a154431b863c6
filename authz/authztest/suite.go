package authztest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"chancery/authz"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// T0 is when the sample rows come to be.
var T0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// suiteCase is one promise of a store.
type suiteCase struct {
	name string
	run  func(t *testing.T, store Store)
}

// Suite runs every case against a fresh store that open returns. No store may
// leave a case out.
func Suite(t *testing.T, open func(t *testing.T) Store) {
	for _, c := range slices.Concat(registrationCases(), accountCases(), sessionCases(), browserCases(), otherCases()) {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

// registrationCases are about clients, resources and declarations.
func registrationCases() []suiteCase {
	return []suiteCase{
		{"Clients/StoredWhole", clientStoredWhole},
		{"Clients/UnknownAndTaken", clientUnknownAndTaken},
		{"Clients/UpdateComparesVersion", clientUpdate},
		{"Clients/ConcurrentUpdatesLoseNone", clientConcurrentUpdates},
		{"Clients/DeleteAndOrigins", clientDelete},
		{"Clients/Pages", clientPages},
		{"Resources/StoredWhole", resourceStoredWhole},
		{"Resources/ClientsThatNameIt", resourceClients},
		{"Resources/Update", resourceUpdate},
		{"Registrations/EventsOfChanges", registrationEvents},
		{"Apply/AllOrNothing", applyAllOrNothing},
		{"Apply/OldVersionIsAConflict", applyConflict},
	}
}

// accountCases are about users and what is mailed to them.
func accountCases() []suiteCase {
	return []suiteCase{
		{"Users/StoredWhole", userStoredWhole},
		{"Users/NameIsUniqueAndCaseSensitive", userNames},
		{"Users/VerifiedAddressIsUnique", userAddresses},
		{"Users/ConcurrentInsertsOfOneName", userConcurrentInserts},
		{"Users/RolesReachLiveFamilies", userRoles},
		{"Users/PasswordEndsSessions", userPassword},
		{"Users/BanAndUnban", userBan},
		{"Users/DeleteBlanksPersonalData", userDelete},
		{"Users/Rehash", userRehash},
		{"Users/UnknownUser", userUnknown},
		{"Users/FoundForLogin", userForLogin},
		{"Users/ImportAllOrNothing", userImport},
		{"Users/ConcurrentImportsOfOneBatch", userConcurrentImports},
		{"Users/Pages", userPages},
		{"Users/FoundByBeginning", userBeginnings},
		{"Users/NamesOfIDs", userNamesOfIDs},
		{"Confirmations/Tries", confirmationTries},
		{"Confirmations/ConcurrentTries", confirmationConcurrentTries},
		{"Confirmations/Register", confirmationRegisters},
		{"Confirmations/UsedOnce", confirmationUsedOnce},
		{"Confirmations/ChangeEmail", confirmationChangesEmail},
		{"Confirmations/ResetPassword", confirmationResetsPassword},
		{"Confirmations/ConcurrentResets", confirmationRacesReset},
		{"Users/ChangesNameTheEpoch", changeNamesEpoch},
		{"Users/ChangesNameTheLastChange", userGuarded},
	}
}

// sessionCases are about families, as a refresh and as a list sees them.
func sessionCases() []suiteCase {
	return []suiteCase{
		{"Families/StoredWhole", familyStoredWhole},
		{"Families/InsertChecksUser", familyInsertChecksUser},
		{"Families/InsertChecksClient", familyInsertChecksClient},
		{"Families/BanRacesLogin", familyBanRacesLogin},
		{"Families/RolesComeFromTheUser", familyRoles},
		{"Families/RoleChangeRacesLogin", familyRolesRaceLogin},
		{"Families/RotateWritesAndReturns", familyRotate},
		{"Families/RotateAgreesWithCheck", familyRotateAgreesWithCheck},
		{"Families/ConcurrentRotationsHaveOneWinner", familyConcurrentRotations},
		{"Families/Forgive", familyForgive},
		{"Families/ConcurrentForgivenessHasOneWinner", familyConcurrentForgiveness},
		{"Families/Restore", familyRestore},
		{"Families/ConcurrentRestoresHaveOneWinner", familyConcurrentRestores},
		{"Sessions/EndSelects", sessionsEnd},
		{"Sessions/EndInBatches", sessionsEndInBatches},
		{"Sessions/EndInBatchesRacesOneEnd", sessionsEndRacesEnd},
		{"Sessions/TwoEnders", sessionsTwoEnders},
		{"Sessions/EndAllOfThePast", sessionsEndAllOfThePast},
		{"Sessions/EndRacesRotate", sessionsEndRacesRotate},
		{"Sessions/Trim", sessionsTrim},
		{"Sessions/ConcurrentTrims", sessionsConcurrentTrims},
		{"Sessions/ListFilters", sessionsList},
		{"Sessions/EndOfAllEndsTheConsole", sessionsEndConsole},
		{"Sessions/Count", sessionsCount},
	}
}

// browserCases are about logging in with a browser.
func browserCases() []suiteCase {
	return []suiteCase{
		{"Browsers/StoredWhole", browserStoredWhole},
		{"Browsers/LogoutSparesOfflineAccess", browserLogout},
		{"Browsers/EndOfASessionEndsItsBrowser", browserEndsWithSession},
		{"Browsers/DeletedWithTheirUser", browserDeleted},
		{"Browsers/TwoLoginsAtOnce", browserLoginsAtOnce},
		{"Codes/StoredWhole", codeStoredWhole},
		{"Codes/RedeemedOnce", codeRedeemed},
		{"Codes/RedeemChecksTheUser", codeChecksUser},
		{"Codes/ConcurrentRedemptionsHaveOneWinner", codeConcurrent},
		{"Codes/DieWithTheirBrowser", codeDiesWithBrowser},
		{"Codes/LogoutRacesWithRedemption", logoutRacesWithCode},
		{"Codes/PushedRequestIsAnsweredOnce", pushedOnce},
		{"Codes/DieWithAllSessions", grantsDieWithAllSessions},
		{"Codes/EndOfAllRacesWithRedemption", endRacesWithCode},
		{"Codes/RequestClosed", requestClosed},
		{"Devices/StoredWhole", deviceStoredWhole},
		{"Devices/DecidedOnce", deviceDecidedOnce},
		{"Devices/ConcurrentRedemptionsHaveOneWinner", deviceConcurrent},
		{"Consents/Kept", consentsKept},
		{"Consents/GoWithUserAndClient", consentsGo},
		{"Consents/TakeTheirGrants", consentsTakeGrants},
		{"Logouts/Claimed", logoutsClaimed},
		{"Logouts/OneClientDoesNotHoldUpAnother", logoutsFair},
		{"Logouts/ConcurrentClaimsAreApart", logoutsConcurrent},
		{"Logouts/OnlyWhereWanted", logoutsWanted},
		{"Sessions/EndOfAUserInAClient", sessionsEndOfUserInClient},
	}
}

// otherCases are about what goes along with them.
func otherCases() []suiteCase {
	return []suiteCase{
		{"Denylist", denylist},
		{"UsedIDs/OnceUntilTheyExpire", usedIDs},
		{"Indexes/NeverGivenTwice", indexes},
		{"StatusLists/Versions", statusVersions},
		{"StatusLists/EndedIsDueUntilPublished", statusEnded},
		{"StatusLists/ConcurrentPublishersHaveOneWinner", statusPublishers},
		{"StatusLists/PublishRacesEnding", statusPublishRacesEnding},
		{"StatusLists/DueInOrder", statusDue},
		{"StatusLists/RetireWithTheirLastSession", statusRetire},
		{"Events/OnceAndFilters", events},
		{"Activity/AddsUpInSteps", activity},
		{"Activity/ConcurrentAdditions", activityConcurrent},
		{"Purge/DeletesOnlyWhatIsOver", purge},
		{"Purge/Strangers", purgeStrangers},
		{"Purge/LeaseHasOneHolder", lease},
	}
}

// SampleClient returns a first-party client with every field set.
func SampleClient(id string) authz.Client {
	idle, budget := 48*time.Hour, 5
	registration := authz.HashSecret("registration")
	return authz.Client{
		ID: id, Name: "Client " + id, AuthMethod: authz.AuthAnySecret,
		Secrets: []authz.ClientSecret{{Hash: authz.HashSecret("secret-of-" + authz.Secret(id)), CreatedAt: T0}, {Hash: authz.HashSecret("old"), CreatedAt: T0, ExpiresAt: T0.Add(time.Hour)}},
		Origin:  "test", RegistrationToken: registration,
		FirstParty: true, Introspect: true, GrantTypes: []string{authz.GrantPassword, authz.GrantRefreshToken},
		Scope: authz.Scope{"read", "write"}, Resources: []string{"https://api.example", "https://other.example"},
		RedirectURIs: []string{"https://app.example/callback", "com.example.app:/done"}, PostLogoutRedirectURIs: []string{"https://app.example/"},
		BackchannelLogoutURI: "https://app.example/ended", IDTokenAlgorithm: "ES256", PKCEOptional: true, DPoPBound: true,
		AllowedOrigins: []string{"https://app.example", "http://localhost:3000"}, CookieDelivery: true,
		EmailVerificationURI: "https://app.example/verify", PasswordResetURI: "https://app.example/reset?lang=de",
		Refresh: authz.RefreshOverrides{IdleTTL: &idle, LostResponseBudget: &budget},
		Status:  authz.StatusRef{List: "clients-1", Index: 77}, TokensNotBefore: T0.Add(time.Second), CreatedAt: T0, UpdatedAt: T0, Version: 1,
	}
}

// SampleResource returns a resource with every field set.
func SampleResource(uri string) authz.Resource {
	return authz.Resource{
		URI: uri, Name: "Resource", Algorithm: "EdDSA", AccessTokenTTL: 10 * time.Minute, CreatedAt: T0, UpdatedAt: T0,
		Scopes: []authz.ResourceScope{{Name: "read"}, {Name: "write", Roles: []string{"editor", "chief"}}},
	}
}

// SampleUser returns an active user with every field set that such a one has.
func SampleUser(name string) authz.User {
	return authz.User{
		ID: "usr_" + name, Username: name, Name: name, Email: name + "@Mail.example", EmailName: name + "@mail.example", PasswordHash: "hash-of-" + name,
		Roles: []string{"editor", "reader"}, MustChange: true, AuthEpoch: 1, CreatedAt: T0, UpdatedAt: T0,
	}
}

// SampleFamily returns a session of the user, with its n as handle.
func SampleFamily(userID string, n int) authz.Family {
	return authz.Family{
		SessionID: fmt.Sprintf("sid-%06d", n), HandleHash: SampleHash(n), ClientID: "app", UserID: userID,
		Scope: authz.Scope{"read", "write"}, Resources: []string{"https://api.example", "https://other.example"},
		Roles: []string{"editor", "reader"}, AMR: []string{"pwd"}, AuthTime: T0, CreatedAt: T0, Generation: 0, RotatedAt: T0,
		IdleExpiresAt: T0.Add(time.Hour), AbsoluteExpiresAt: T0.Add(24 * time.Hour),
		Status: authz.StatusRef{List: "sessions-1", Index: uint32(n)}, Device: authz.Device{Address: "192.0.2.1", UserAgent: "Phone/1.0 äöü"},
		KeyThumbprint: "key",
	}
}

// SampleHash returns the handle hash of SampleFamily n.
func SampleHash(n int) authz.Hash { return authz.HashSecret(authz.Secret(fmt.Sprintf("handle %d", n))) }

func sampleEvent(id string, at time.Time) authz.Event {
	return authz.Event{
		ID: id, Time: at, Kind: authz.EventLoginFailed, UserID: "usr_u", ClientID: "app", SessionID: "sid-1", Actor: "cli", Cause: authz.CauseAdmin,
		Device: authz.Device{Address: "2001:db8::1", UserAgent: "curl"}, Detail: "text",
	}
}

// AnyEvent returns an event for a change of which only something else is
// tested.
func AnyEvent() authz.Event {
	return authz.Event{ID: rand.Text(), Time: T0.AddDate(1, 0, 0), Kind: authz.EventClientChanged, Actor: "cli"}
}

func change(userID string, cause authz.Cause) authz.UserChange {
	now := T0.Add(time.Minute)
	event := sampleEvent("event of "+userID, now)
	event.Kind, event.UserID, event.SessionID = authz.EventPasswordChanged, userID, ""
	return authz.UserChange{UserID: userID, Now: now, Event: event, Ending: authz.Ending{UserID: userID, Cause: cause, Actor: "cli", Now: now}}
}

// must fails the test at once on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

func same[T any](t testing.TB, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", what, diff)
	}
}

// withUser stores a user and returns its id, and the client and the status list
// of SampleFamily if there are none yet.
func withUser(t testing.TB, store Store, name string) string {
	t.Helper()
	if err := store.InsertClient(t.Context(), SampleClient("app"), AnyEvent()); err != nil && !errors.Is(err, authz.ErrConflict) {
		t.Fatal(err)
	}
	withList(t, store, "sessions-1", authz.StatusSessions)
	must(t, store.InsertUser(t.Context(), SampleUser(name), sampleEvent("created "+name, T0)))
	return "usr_" + name
}

// withFamilies stores n sessions of a new user.
func withFamilies(t testing.TB, store Store, name string, first, n int) string {
	t.Helper()
	userID := withUser(t, store, name)
	for i := range n {
		must(t, store.InsertFamily(t.Context(), SampleFamily(userID, first+i), 1))
	}
	return userID
}

func familyOf(t testing.TB, store Store, n int) authz.Family {
	t.Helper()
	family, err := store.FamilyByHandle(t.Context(), SampleHash(n))
	must(t, err)
	return family
}

func countEvents(t testing.TB, store Store, filter authz.EventFilter) int {
	t.Helper()
	filter.Page.Limit = 10_000
	found, err := store.ListEvents(t.Context(), filter)
	must(t, err)
	return len(found)
}
