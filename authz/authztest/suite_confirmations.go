package authztest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chancery/authz"
)

// sampleConfirmation returns a confirmation with every field set.
func sampleConfirmation(n int, purpose authz.ConfirmationPurpose, userID string) authz.Confirmation {
	return authz.Confirmation{
		Hash: SampleHash(1000 + n), CodeHash: SampleHash(2000 + n), Purpose: purpose, ClientID: "app", UserID: userID, AuthEpoch: 1,
		Username: "Newcomer", Email: "New@mail.example", PasswordHash: "hash", CreatedAt: T0, ExpiresAt: T0.Add(time.Hour),
	}
}

func tryOf(c authz.Confirmation, now time.Time) authz.ConfirmationTry {
	return authz.ConfirmationTry{Hash: c.Hash, ClientID: c.ClientID, Purposes: []authz.ConfirmationPurpose{authz.ConfirmEmail, c.Purpose}, MaxAttempts: 3, Now: now}
}

func confirmationTries(t *testing.T, store Store) {
	c := sampleConfirmation(1, authz.ConfirmReset, "usr_alice")
	must(t, store.InsertConfirmation(t.Context(), c))
	for name, try := range map[string]func(*authz.ConfirmationTry){
		"another hash":    func(try *authz.ConfirmationTry) { try.Hash = SampleHash(9) },
		"another client":  func(try *authz.ConfirmationTry) { try.ClientID = "other" },
		"another purpose": func(try *authz.ConfirmationTry) { try.Purposes = []authz.ConfirmationPurpose{authz.ConfirmEmail} },
		"expired":         func(try *authz.ConfirmationTry) { try.Now = c.ExpiresAt },
	} {
		wrong := tryOf(c, T0)
		try(&wrong)
		_, err := store.TryConfirmation(t.Context(), wrong)
		want(t, "TryConfirmation: "+name, err, authz.ErrNotFound)
	}
	for i := range 3 { // none of those counted
		got, err := store.TryConfirmation(t.Context(), tryOf(c, T0.Add(time.Minute)))
		must(t, err)
		expected := c
		expected.Attempts = i + 1
		same(t, "confirmation", expected, got)
	}
	_, err := store.TryConfirmation(t.Context(), tryOf(c, T0))
	want(t, "TryConfirmation after the last attempt", err, authz.ErrNotFound)
}

func confirmationConcurrentTries(t *testing.T, store Store) {
	c := sampleConfirmation(1, authz.ConfirmReset, "usr_alice")
	must(t, store.InsertConfirmation(t.Context(), c))
	var tried atomic.Int32
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			switch _, err := store.TryConfirmation(t.Context(), tryOf(c, T0)); {
			case err == nil:
				tried.Add(1)
			case !errors.Is(err, authz.ErrNotFound):
				t.Error(err)
			}
		})
	}
	group.Wait()
	if tried.Load() != 3 {
		t.Errorf("of 20 tries at once %d were let through, want 3", tried.Load())
	}
}

func confirmationRegisters(t *testing.T, store Store) {
	withUser(t, store, "alice")
	c := sampleConfirmation(1, authz.ConfirmRegistration, "")
	must(t, store.InsertConfirmation(t.Context(), c))
	taken := SampleUser("alice")
	taken.ID = "usr_other"
	want(t, "RegisterUser with a taken name", store.RegisterUser(t.Context(), c.Hash, taken, sampleEvent("e1", T0)), authz.ErrConflict)
	// The refusal has used nothing up.
	user := SampleUser("newcomer")
	user.EmailVerifiedAt = T0
	must(t, store.RegisterUser(t.Context(), c.Hash, user, sampleEvent("e2", T0)))
	got, err := store.UserByID(t.Context(), user.ID)
	must(t, err)
	same(t, "registered user", user, got)
	again := SampleUser("second")
	want(t, "RegisterUser again", store.RegisterUser(t.Context(), c.Hash, again, sampleEvent("e3", T0)), authz.ErrNotFound)
	if n := countEvents(t, store, authz.EventFilter{UserID: "usr_u"}); n != 2 {
		t.Errorf("%d events, want that of alice and that of the newcomer", n)
	}
	_, err = store.UserByID(t.Context(), "usr_second")
	want(t, "UserByID of nobody", err, authz.ErrNotFound)
}

func confirmationUsedOnce(t *testing.T, store Store) {
	c := sampleConfirmation(1, authz.ConfirmRegistration, "")
	must(t, store.InsertConfirmation(t.Context(), c))
	var registered atomic.Int32
	var group sync.WaitGroup
	for i := range 10 {
		group.Go(func() {
			user := SampleUser(fmt.Sprint("user", i))
			switch err := store.RegisterUser(t.Context(), c.Hash, user, sampleEvent(fmt.Sprint("e", i), T0)); {
			case err == nil:
				registered.Add(1)
			case !errors.Is(err, authz.ErrNotFound):
				t.Error(err)
			}
		})
	}
	group.Wait()
	if registered.Load() != 1 {
		t.Errorf("one confirmation made %d users, want 1", registered.Load())
	}
}

func emailChange(userID string) authz.EmailChange {
	c := authz.EmailChange{UserChange: change(userID, ""), Username: "Al", Name: "al", Email: "New@mail.example", EmailName: "new@mail.example"}
	c.Event.Kind, c.Epoch = authz.EventEmailChanged, 1
	return c
}

func confirmationChangesEmail(t *testing.T, store Store) {
	userID := withFamilies(t, store, "alice", 0, 1)
	owner := SampleUser("owner")
	owner.EmailName, owner.EmailVerifiedAt = "new@mail.example", T0
	must(t, store.InsertUser(t.Context(), owner, sampleEvent("e-owner", T0)))
	c := sampleConfirmation(1, authz.ConfirmEmail, userID)
	must(t, store.InsertConfirmation(t.Context(), c))
	want(t, "ChangeEmail to a taken address", store.ChangeEmail(t.Context(), c.Hash, emailChange(userID)), authz.ErrConflict)
	must(t, store.DeleteUser(t.Context(), change(owner.ID, authz.CauseUserDeleted)))
	withUser(t, store, "bob")
	named := emailChange(userID)
	named.Name = "bob"
	want(t, "ChangeEmail with a taken name", store.ChangeEmail(t.Context(), c.Hash, named), authz.ErrConflict)
	stale := emailChange(userID)
	stale.Epoch = 7
	want(t, "ChangeEmail of an older epoch", store.ChangeEmail(t.Context(), c.Hash, stale), authz.ErrNotFound)

	must(t, store.ChangeEmail(t.Context(), c.Hash, emailChange(userID)))
	user, err := store.UserByID(t.Context(), userID)
	must(t, err)
	if user.Username != "Al" || user.Name != "al" || user.Email != "New@mail.example" || user.EmailName != "new@mail.example" || !user.EmailVerifiedAt.Equal(T0.Add(time.Minute)) || user.AuthEpoch != 2 {
		t.Errorf("user = %+v, want the new address, verified, and the next epoch", user)
	}
	if f := familyOf(t, store, 0); !f.RevokedAt.IsZero() {
		t.Error("a change of address ended a session")
	}
	want(t, "ChangeEmail again", store.ChangeEmail(t.Context(), c.Hash, emailChange(userID)), authz.ErrNotFound)
}

func confirmationResetsPassword(t *testing.T, store Store) {
	userID := withFamilies(t, store, "alice", 0, 2)
	reset := authz.PasswordChange{UserChange: change(userID, authz.CausePasswordChanged), Hash: "new hash"}
	reset.Epoch = 1
	one, two := sampleConfirmation(1, authz.ConfirmReset, userID), sampleConfirmation(2, authz.ConfirmReset, userID)
	must(t, store.InsertConfirmation(t.Context(), one))
	must(t, store.InsertConfirmation(t.Context(), two))
	must(t, store.ResetPassword(t.Context(), one.Hash, reset))
	user, err := store.UserByID(t.Context(), userID)
	must(t, err)
	if user.PasswordHash != "new hash" || user.MustChange || user.AuthEpoch != 2 {
		t.Errorf("user = %+v, want the new hash, no must-change, and the next epoch", user)
	}
	if live := liveSessions(t, store, userID, T0); len(live) != 0 {
		t.Errorf("sessions after a reset = %v, want none", live)
	}
	// What was mailed before does not outlive the reset.
	reset.Event.ID = "second"
	want(t, "ResetPassword with an older confirmation", store.ResetPassword(t.Context(), two.Hash, reset), authz.ErrNotFound)
	want(t, "ResetPassword again", store.ResetPassword(t.Context(), one.Hash, reset), authz.ErrNotFound)
}

func confirmationRacesReset(t *testing.T, store Store) {
	userID := withUser(t, store, "alice")
	for i := range 6 {
		must(t, store.InsertConfirmation(t.Context(), sampleConfirmation(i, authz.ConfirmReset, userID)))
	}
	var done atomic.Int32
	var group sync.WaitGroup
	for i := range 6 {
		group.Go(func() {
			reset := authz.PasswordChange{UserChange: change(userID, authz.CausePasswordChanged), Hash: fmt.Sprint("hash ", i)}
			reset.Epoch, reset.Event.ID = 1, fmt.Sprint("reset ", i)
			switch err := store.ResetPassword(t.Context(), SampleHash(1000+i), reset); {
			case err == nil:
				done.Add(1)
			case !errors.Is(err, authz.ErrNotFound):
				t.Error(err)
			}
		})
	}
	group.Wait()
	if done.Load() != 1 {
		t.Errorf("%d of 6 resets that began with one epoch succeeded, want 1", done.Load())
	}
}

func changeNamesEpoch(t *testing.T, store Store) {
	userID := withFamilies(t, store, "alice", 0, 3)
	password := authz.PasswordChange{UserChange: change(userID, authz.CausePasswordChanged), Hash: "new hash"}
	password.Epoch, password.Ending.Except = 2, "sid-000001"
	want(t, "SetPassword of another epoch", store.SetPassword(t.Context(), password), authz.ErrNotFound)
	password.Epoch = 1
	must(t, store.SetPassword(t.Context(), password))
	same(t, "sessions after a change of the password", []string{"sid-000001"}, liveSessions(t, store, userID, T0))

	deletion := change(userID, authz.CauseUserDeleted)
	deletion.Epoch, deletion.Event.ID = 1, "deletion"
	want(t, "DeleteUser of an older epoch", store.DeleteUser(t.Context(), deletion), authz.ErrNotFound)
	c := sampleConfirmation(1, authz.ConfirmReset, userID)
	must(t, store.InsertConfirmation(t.Context(), c))
	deletion.Epoch = 2
	must(t, store.DeleteUser(t.Context(), deletion))
	_, err := store.TryConfirmation(t.Context(), tryOf(c, T0))
	want(t, "TryConfirmation of a deleted user", err, authz.ErrNotFound)
}
