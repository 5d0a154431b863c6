package authztest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chancery/authz"
)

func userStoredWhole(t *testing.T, store Store) {
	user := SampleUser("alice")
	user.EmailVerifiedAt, user.SelfRegistered = T0.Add(time.Minute), true
	user.DisabledAt, user.BannedUntil, user.BanReason = T0.Add(time.Second), authz.Forever, "spam"
	must(t, store.InsertUser(t.Context(), user, sampleEvent("e1", T0)))
	got, err := store.UserByName(t.Context(), "alice")
	must(t, err)
	same(t, "user", user, got)
	if n := countEvents(t, store, authz.EventFilter{UserID: "usr_u"}); n != 1 {
		t.Errorf("%d events, want that of the creation", n)
	}
}

func userNames(t *testing.T, store Store) {
	withUser(t, store, "alice")
	again := SampleUser("alice")
	again.ID = "usr_other"
	want(t, "InsertUser of a taken name", store.InsertUser(t.Context(), again, sampleEvent("e2", T0)), authz.ErrConflict)
	if n := countEvents(t, store, authz.EventFilter{UserID: "usr_u"}); n != 1 {
		t.Errorf("%d events, want none of the refused insert", n)
	}
	_, err := store.UserByName(t.Context(), "Alice")
	want(t, "UserByName in another case", err, authz.ErrNotFound)
}

func userAddresses(t *testing.T, store Store) {
	user := func(name string, verified bool) authz.User {
		u := SampleUser(name)
		u.EmailName = "shared@mail.example"
		if verified {
			u.EmailVerifiedAt = T0
		}
		return u
	}
	for i, name := range []string{"one", "two"} {
		must(t, store.InsertUser(t.Context(), user(name, false), sampleEvent(fmt.Sprint("e", i), T0)))
	}
	must(t, store.InsertUser(t.Context(), user("three", true), sampleEvent("e3", T0)))
	want(t, "InsertUser with another's verified address", store.InsertUser(t.Context(), user("four", true), sampleEvent("e4", T0)), authz.ErrConflict)
	named := user("shared@mail.example", false)
	want(t, "InsertUser named by another's verified address", store.InsertUser(t.Context(), named, sampleEvent("e5", T0)), authz.ErrConflict)

	named.Name, named.EmailName = "named@mail.example", "named@mail.example"
	must(t, store.InsertUser(t.Context(), named, sampleEvent("e6", T0)))
	verified := user("five", true)
	verified.EmailName = "named@mail.example"
	want(t, "InsertUser that verified another's name", store.InsertUser(t.Context(), verified, sampleEvent("e7", T0)), authz.ErrConflict)
	_, addresses, err := store.TakenNames(t.Context(), nil, []string{"named@mail.example", "shared@mail.example", "one@mail.example"})
	must(t, err)
	same(t, "claimed addresses", map[string]bool{"named@mail.example": true, "shared@mail.example": true}, addresses)
}

// imported returns users that differ in their names.
func imported(names ...string) (users []authz.User, events []authz.Event) {
	for _, name := range names {
		users = append(users, SampleUser(name))
		events = append(events, sampleEvent("imported "+name, T0))
	}
	return users, events
}

func userImport(t *testing.T, store Store) {
	withUser(t, store, "alice")
	verified := SampleUser("verified")
	verified.EmailVerifiedAt = T0
	must(t, store.InsertUser(t.Context(), verified, sampleEvent("e1", T0)))
	names, addresses, err := store.TakenNames(t.Context(), []string{"alice", "bob", "Alice"}, []string{"alice@mail.example", "verified@mail.example", "x@mail.example"})
	must(t, err)
	same(t, "taken names", map[string]bool{"alice": true}, names)
	same(t, "taken addresses", map[string]bool{"verified@mail.example": true}, addresses)

	users, events := imported("bob", "alice")
	want(t, "InsertUsers with a taken name", store.InsertUsers(t.Context(), users, events), authz.ErrConflict)
	if _, err := store.UserByName(t.Context(), "bob"); !errors.Is(err, authz.ErrNotFound) {
		t.Errorf("UserByName of the refused batch = %v, want ErrNotFound", err)
	}
	users, events = imported("bob", "carol")
	must(t, store.InsertUsers(t.Context(), users, events))
	got, err := store.UserByName(t.Context(), "carol")
	must(t, err)
	same(t, "imported user", users[1], got)
	if n := countEvents(t, store, authz.EventFilter{UserID: "usr_u"}); n != 4 {
		t.Errorf("%d events, want those of the two users before and the two imported", n)
	}
	must(t, store.InsertUsers(t.Context(), nil, nil))
}

func userConcurrentImports(t *testing.T, store Store) {
	var stored atomic.Int32
	var group sync.WaitGroup
	for i := range 6 {
		group.Go(func() {
			users, events := imported("one", "two", "three")
			for j := range users {
				users[j].ID, events[j].ID = fmt.Sprintf("usr_%d_%d", i, j), fmt.Sprintf("e_%d_%d", i, j)
			}
			switch err := store.InsertUsers(t.Context(), users, events); {
			case err == nil:
				stored.Add(1)
			case !errors.Is(err, authz.ErrConflict):
				t.Error(err)
			}
		})
	}
	group.Wait()
	all, err := store.ListUsers(t.Context(), authz.UserFilter{Page: authz.Page{Limit: 100}})
	must(t, err)
	if stored.Load() != 1 || len(all) != 3 {
		t.Errorf("%d of 6 equal batches were stored, with %d users, want 1 with 3", stored.Load(), len(all))
	}
}

func userConcurrentInserts(t *testing.T, store Store) {
	var stored atomic.Int32
	var group sync.WaitGroup
	for i := range 10 {
		group.Go(func() {
			user := SampleUser("alice")
			user.ID = fmt.Sprintf("usr_%d", i)
			switch err := store.InsertUser(t.Context(), user, sampleEvent(fmt.Sprint("e", i), T0)); {
			case err == nil:
				stored.Add(1)
			case !errors.Is(err, authz.ErrConflict):
				t.Error(err)
			}
		})
	}
	group.Wait()
	if stored.Load() != 1 {
		t.Errorf("%d users of one name were stored, want 1", stored.Load())
	}
}

func userRoles(t *testing.T, store Store) {
	userID := withFamilies(t, store, "alice", 0, 2)
	withFamilies(t, store, "bob", 10, 1)
	_, err := store.EndSessions(t.Context(), authz.Ending{SessionID: SampleFamily(userID, 1).SessionID, Cause: authz.CauseLogout, Now: T0})
	must(t, err)
	must(t, store.SetRoles(t.Context(), change(userID, ""), []string{"chief"}))
	user, err := store.UserByName(t.Context(), "alice")
	must(t, err)
	same(t, "roles of the user", []string{"chief"}, user.Roles)
	same(t, "roles of the live session", []string{"chief"}, familyOf(t, store, 0).Roles)
	same(t, "roles of the ended session", []string{"editor", "reader"}, familyOf(t, store, 1).Roles)
	same(t, "roles of another user's session", []string{"editor", "reader"}, familyOf(t, store, 10).Roles)
	if !user.UpdatedAt.Equal(T0.Add(time.Minute)) || user.AuthEpoch != 1 {
		t.Errorf("updated_at = %s, epoch = %d", user.UpdatedAt, user.AuthEpoch)
	}
}

// expectEnded checks that the family was ended for the cause, with an event.
func expectEnded(t *testing.T, store Store, n int, cause authz.Cause) {
	t.Helper()
	family := familyOf(t, store, n)
	if family.RevokedAt.IsZero() || family.RevokedCause != cause {
		t.Errorf("family %d: revoked_at = %s, cause = %q, want cause %q", n, family.RevokedAt, family.RevokedCause, cause)
	}
	found, err := store.ListEvents(t.Context(), authz.EventFilter{SessionID: family.SessionID, Page: authz.Page{Limit: 10}})
	must(t, err)
	if len(found) != 1 || found[0].Cause != cause || found[0].UserID != family.UserID || found[0].ClientID != family.ClientID {
		t.Errorf("family %d: events = %+v, want one with cause %q", n, found, cause)
	}
	if ended := dueOf(t, store, family.Status.List).Ended; !slices.Contains(ended, family.Status.Index) {
		t.Errorf("family %d: the entries %v are to be published as ended, want %d among them", n, ended, family.Status.Index)
	}
}

func userPassword(t *testing.T, store Store) {
	userID := withFamilies(t, store, "alice", 0, 2)
	must(t, store.SetPassword(t.Context(), authz.PasswordChange{UserChange: change(userID, authz.CausePasswordChanged), Hash: "new hash"}))
	user, err := store.UserByName(t.Context(), "alice")
	must(t, err)
	if user.PasswordHash != "new hash" || user.MustChange || user.AuthEpoch != 2 {
		t.Errorf("hash = %q, must change = %v, epoch = %d", user.PasswordHash, user.MustChange, user.AuthEpoch)
	}
	expectEnded(t, store, 0, authz.CausePasswordChanged)
	expectEnded(t, store, 1, authz.CausePasswordChanged)
	want(t, "InsertFamily with the old epoch", store.InsertFamily(t.Context(), SampleFamily(userID, 5), 1), authz.ErrNotFound)
	must(t, store.InsertFamily(t.Context(), SampleFamily(userID, 6), 2))
}

func userBan(t *testing.T, store Store) {
	userID := withFamilies(t, store, "alice", 0, 1)
	ban := authz.Ban{UserChange: change(userID, authz.CauseBanned), Until: T0.Add(time.Hour), Reason: "spam"}
	must(t, store.BanUser(t.Context(), ban))
	user, err := store.UserByName(t.Context(), "alice")
	must(t, err)
	if !user.BannedUntil.Equal(ban.Until) || user.BanReason != "spam" || user.AuthEpoch != 2 {
		t.Errorf("banned until %s for %q, epoch %d", user.BannedUntil, user.BanReason, user.AuthEpoch)
	}
	expectEnded(t, store, 0, authz.CauseBanned)
	during, after := SampleFamily(userID, 1), SampleFamily(userID, 2)
	after.CreatedAt = ban.Until
	want(t, "InsertFamily during the ban", store.InsertFamily(t.Context(), during, 2), authz.ErrNotFound)
	must(t, store.InsertFamily(t.Context(), after, 2))
	ban.Event.ID = "banned again"
	must(t, store.BanUser(t.Context(), ban))
	unban := change(userID, "")
	unban.Event.ID = "unbanned"
	must(t, store.UnbanUser(t.Context(), unban))
	during.SessionID, during.HandleHash, during.Status.Index = "sid-9", SampleHash(9), 9
	must(t, store.InsertFamily(t.Context(), during, 3))
}

func userDelete(t *testing.T, store Store) {
	userID := withFamilies(t, store, "alice", 0, 1)
	must(t, store.DeleteUser(t.Context(), change(userID, authz.CauseUserDeleted)))
	_, err := store.UserByName(t.Context(), "alice")
	want(t, "UserByName after deletion", err, authz.ErrNotFound)
	expectEnded(t, store, 0, authz.CauseUserDeleted)
	if device := familyOf(t, store, 0).Device; device != (authz.Device{}) {
		t.Errorf("device of a deleted user's session = %+v, want it blank", device)
	}
	want(t, "InsertFamily of a deleted user", store.InsertFamily(t.Context(), SampleFamily(userID, 3), 1), authz.ErrNotFound)
}

func userRehash(t *testing.T, store Store) {
	userID := withUser(t, store, "alice")
	must(t, store.Rehash(t.Context(), userID, "not the stored one", "x"))
	user, err := store.UserByName(t.Context(), "alice")
	must(t, err)
	if user.PasswordHash != "hash-of-alice" {
		t.Errorf("hash = %q, want it unchanged", user.PasswordHash)
	}
	must(t, store.Rehash(t.Context(), userID, "hash-of-alice", "dearer"))
	if user, err = store.UserByName(t.Context(), "alice"); err != nil || user.PasswordHash != "dearer" || user.AuthEpoch != 1 {
		t.Errorf("hash = %q, epoch = %d, %v", user.PasswordHash, user.AuthEpoch, err)
	}
}

func userUnknown(t *testing.T, store Store) {
	c := change("usr_none", authz.CauseBanned)
	for name, err := range map[string]error{
		"SetRoles":    store.SetRoles(t.Context(), c, nil),
		"SetPassword": store.SetPassword(t.Context(), authz.PasswordChange{UserChange: c}),
		"DeleteUser":  store.DeleteUser(t.Context(), c),
		"BanUser":     store.BanUser(t.Context(), authz.Ban{UserChange: c}),
		"UnbanUser":   store.UnbanUser(t.Context(), c),
	} {
		want(t, name+" of an unknown user", err, authz.ErrNotFound)
	}
	if n := countEvents(t, store, authz.EventFilter{}); n != 0 {
		t.Errorf("%d events of refused changes, want none", n)
	}
}

func userPages(t *testing.T, store Store) {
	for i := range 5 {
		user := SampleUser(fmt.Sprintf("u%d", i))
		user.CreatedAt = T0.Add(time.Duration(i) * time.Second)
		must(t, store.InsertUser(t.Context(), user, sampleEvent(user.ID, T0)))
	}
	first, err := store.ListUsers(t.Context(), authz.UserFilter{Page: authz.Page{Limit: 2}})
	must(t, err)
	rest, err := store.ListUsers(t.Context(), authz.UserFilter{Page: authz.Page{After: first[1].CreatedAt, AfterID: first[1].ID, Limit: 10}})
	must(t, err)
	var names []string
	for _, user := range append(first, rest...) {
		names = append(names, user.Name)
	}
	same(t, "pages", []string{"u4", "u3", "u2", "u1", "u0"}, names)
}

func userForLogin(t *testing.T, store Store) {
	userID := withFamilies(t, store, "alice", 0, 5)
	verified := SampleUser("bob")
	verified.EmailName, verified.EmailVerifiedAt = "shared@mail.example", T0
	must(t, store.InsertUser(t.Context(), verified, sampleEvent("e-bob", T0)))
	named := SampleUser("shared@mail.example") // whose name is the address of another
	named.EmailName = "other@mail.example"
	unverified := SampleUser("carol")
	unverified.EmailName = "carol@mail.example"
	must(t, store.InsertUser(t.Context(), unverified, sampleEvent("e-carol", T0)))

	_, err := store.EndSessions(t.Context(), authz.Ending{SessionID: "sid-000000", Cause: authz.CauseLogout, Now: T0})
	must(t, err)
	user, sessions, err := store.UserForLogin(t.Context(), "alice", T0.Add(time.Minute))
	must(t, err)
	if user.ID != userID || sessions != 4 {
		t.Errorf("UserForLogin = %s with %d sessions, want %s with the 4 that live", user.ID, sessions, userID)
	}
	if _, sessions, err = store.UserForLogin(t.Context(), "alice", T0.Add(time.Hour)); err != nil || sessions != 0 {
		t.Errorf("UserForLogin once all have expired = %d sessions, %v, want none", sessions, err)
	}
	user, _, err = store.UserForLogin(t.Context(), "shared@mail.example", T0)
	must(t, err)
	same(t, "user found by address", verified, user)
	user, err = store.UserByLogin(t.Context(), "shared@mail.example")
	must(t, err)
	same(t, "user found by address, without sessions", verified, user)
	must(t, store.InsertUser(t.Context(), named, sampleEvent("e-named", T0)))
	user, _, err = store.UserForLogin(t.Context(), "shared@mail.example", T0)
	must(t, err)
	same(t, "user whose name it is", named, user)
	for _, name := range []string{"carol@mail.example", "Alice", "", " ", "nobody"} {
		_, _, err := store.UserForLogin(t.Context(), name, T0)
		want(t, fmt.Sprintf("UserForLogin of %q", name), err, authz.ErrNotFound)
		_, err = store.UserByLogin(t.Context(), name)
		want(t, fmt.Sprintf("UserByLogin of %q", name), err, authz.ErrNotFound)
	}
}

// userGuarded makes changes that are meant for the user as it was at a time,
// and two within a millisecond.
func userGuarded(t *testing.T, store Store) {
	userID := withUser(t, store, "guarded")
	read := func() authz.User {
		user, err := store.UserByID(t.Context(), userID)
		must(t, err)
		return user
	}
	n := 0
	guarded := func(at time.Time) authz.UserChange {
		n++
		c := change(userID, "")
		c.Event.ID, c.Unchanged = fmt.Sprint("event ", n), at
		return c
	}
	first := read().UpdatedAt
	must(t, store.SetRoles(t.Context(), guarded(first), []string{"one"}))
	second := read().UpdatedAt
	want(t, "SetRoles of the user as it was", store.SetRoles(t.Context(), guarded(first), []string{"two"}), authz.ErrNotFound)
	must(t, store.SetRoles(t.Context(), guarded(second), []string{"three"}))
	third := read()
	if !third.UpdatedAt.After(second) || !slices.Equal(third.Roles, []string{"three"}) {
		t.Errorf("roles %v at %s, want three after %s, although the clock stood still", third.Roles, third.UpdatedAt, second)
	}
	ban := authz.Ban{UserChange: guarded(second), Until: T0.Add(time.Hour)}
	want(t, "BanUser of the user as it was", store.BanUser(t.Context(), ban), authz.ErrNotFound)
	want(t, "DeleteUser of the user as it was", store.DeleteUser(t.Context(), guarded(second)), authz.ErrNotFound)
	must(t, store.DeleteUser(t.Context(), guarded(third.UpdatedAt)))
}

// userBeginnings pages through what begins alike. The order is that of bytes,
// whatever the database sorts by otherwise.
func userBeginnings(t *testing.T, store Store) {
	for _, name := range []string{"ab", "a-b", "ab_c", "abc", "äb", "a", "b%", "b", "ab𝄞"} {
		user := SampleUser(name)
		user.ID = fmt.Sprintf("usr_%x", name)
		user.EmailName, user.Email, user.EmailVerifiedAt = "team@mail.example", "team@mail.example", time.Time{}
		if name == "a" {
			user.EmailName, user.Email = "tea@mail.example", "tea@mail.example"
		}
		must(t, store.InsertUser(t.Context(), user, AnyEvent()))
	}
	pages := func(filter authz.UserFilter, key func(authz.User) string) []string {
		var got []string
		filter.Page.Limit = 2
		for {
			users, err := store.ListUsers(t.Context(), filter)
			must(t, err)
			for _, user := range users {
				got = append(got, key(user))
				filter = filter.Next(user)
			}
			if len(users) < 2 {
				return got
			}
		}
	}
	name := func(u authz.User) string { return u.Name }
	same(t, "names that begin with ab", []string{"ab", "ab_c", "abc", "ab𝄞"}, pages(authz.UserFilter{Name: "ab"}, name))
	same(t, "names that begin with b%", []string{"b%"}, pages(authz.UserFilter{Name: "b%"}, name))
	same(t, "names that begin with ab_", []string{"ab_c"}, pages(authz.UserFilter{Name: "ab_"}, name))
	same(t, "names in another case", nil, pages(authz.UserFilter{Name: "AB"}, name))
	all := pages(authz.UserFilter{Email: "team@"}, func(u authz.User) string { return u.ID })
	if !slices.IsSorted(all) || len(all) != 8 {
		t.Errorf("users by address = %v, want eight in the order of their ids", all)
	}
	same(t, "addresses that begin with tea", 9, len(pages(authz.UserFilter{Email: "tea"}, name)))
}

func userNamesOfIDs(t *testing.T, store Store) {
	one, two := withUser(t, store, "one"), withUser(t, store, "two")
	names, err := store.UserNames(t.Context(), []string{one, two, "usr_nobody"})
	must(t, err)
	same(t, "names", map[string]string{one: SampleUser("one").Username, two: SampleUser("two").Username}, names)
}
