package web_test

import (
	"net/http"
	"testing"

	"chancery/authz"
)

// TestAccountNamedByItsAddress: whoever registered without a username is
// called by the new address once it has changed, and the old one is free for
// its next owner.
func TestAccountNamedByItsAddress(t *testing.T) {
	s := accountServer(t)
	register := func(email string) {
		t.Helper()
		sent := s.by("web", "/register", "email", email, "password", goodPW)
		s.ok("registration of "+email, s.by("web", "/email/verify", s.proof(sent, authz.MailRegistration)...), http.StatusOK)
	}
	register("Carol@corp.example")
	token := s.sign("web", "carol@corp.example", goodPW).str("access_token")
	sent := s.call("PUT", "/email", token, map[string]any{"current_password": goodPW, "email": "Carol@home.example"})
	verified := s.by("web", "/email/verify", s.proof(sent, authz.MailEmailChange)...)
	s.ok("the change", verified, http.StatusOK)
	if verified.str("username") != "Carol@home.example" {
		t.Errorf("username = %q, want the new address", verified.str("username"))
	}
	s.expect(pgLogin(s, "app", "carol@home.example", goodPW), http.StatusOK, "")
	s.expect(pgLogin(s, "app", "carol@corp.example", goodPW), http.StatusBadRequest, "invalid_grant")
	register("carol@corp.example")
	s.expect(pgLogin(s, "app", "carol@corp.example", goodPW), http.StatusOK, "")
}

// TestAddressesOfOthersAreNoNames: by no way does an account get a name that is
// somebody else's address.
func TestAddressesOfOthersAreNoNames(t *testing.T) {
	s := accountServer(t)
	importer := &authz.Importer{Store: s.store, Now: s.clock.Now, Actor: "test"}
	results, err := importer.Import(t.Context(), []authz.ImportedUser{
		{Username: bobMail, Email: "evil@example.net"}, // found by bob's address
		{Username: bobMail},                            // which is verified, for bob
		{Username: "new@example.net"},                  // its own, by default
	})
	must(t, err)
	for i, want := range []authz.ImportOutcome{authz.ImportRefused, authz.ImportRefused, authz.ImportCreated} {
		if results[i].Outcome != want {
			t.Errorf("line %d: %+v, want %s", i+1, results[i], want)
		}
	}
	if user, err := s.store.UserByName(t.Context(), "new@example.net"); err != nil || user.Email != "new@example.net" || !user.EmailVerifiedAt.IsZero() {
		t.Errorf("user = %+v, %v, want the name as address, not verified", user, err)
	}
	_, err = s.users.Create(t.Context(), authz.NewUser{Username: "x@example.net", Email: "y@example.net", Password: secretPW})
	if authz.CodeOf(err) != authz.InvalidInput {
		t.Errorf("a user with another's address as name = %v, want it refused", err)
	}
	s.expect(pgLogin(s, "app", bobMail, secretPW), http.StatusOK, "")
}

// TestWeakPasswordsDoNotUseUpACode: what can be said of a password alone is
// said before a try is counted.
func TestWeakPasswordsDoNotUseUpACode(t *testing.T) {
	s := accountServer(t)
	for _, clientID := range []string{"app", "web"} {
		proof := s.forgot(clientID, bob)
		for range 15 {
			s.problem("weak", s.reset(clientID, proof, "password1"), http.StatusBadRequest, authz.InvalidInput)
		}
		s.ok("then a good one", s.reset(clientID, proof, goodPW), http.StatusNoContent)
	}
}

// TestPasswordChosenAtConfirmation: whoever opens the link chooses the password,
// though a stranger asked for the account with another.
func TestPasswordChosenAtConfirmation(t *testing.T) {
	s := accountServer(t)
	sent := s.by("web", "/register", "username", "victim", "email", "victim@example.net", "password", "chosen by a stranger")
	proof := s.proof(sent, authz.MailRegistration)
	verify := func(password string) answer {
		return s.by("web", "/email/verify", append(proof, "password", password)...)
	}
	s.problem("a weak one", verify("password1"), http.StatusBadRequest, authz.InvalidInput)
	s.problem("the own name", verify("victim victim"), http.StatusBadRequest, authz.InvalidInput)
	s.ok("a good one", verify(goodPW), http.StatusOK)
	s.expect(pgLogin(s, "app", "victim", "chosen by a stranger"), http.StatusBadRequest, "invalid_grant")
	s.expect(pgLogin(s, "app", "victim", goodPW), http.StatusOK, "")

	sent = s.by("web", "/register", "username", "later", "email", "later@example.net")
	s.ok("registration without a password", sent, http.StatusAccepted)
	s.problem("with a code", s.by("app", "/register", "username", "later", "email", "later@example.net"), http.StatusBadRequest, authz.InvalidInput)
	proof = s.proof(sent, authz.MailRegistration)
	s.problem("confirmation without one", s.by("web", "/email/verify", proof...), http.StatusBadRequest, authz.InvalidInput)
	s.ok("confirmation with one", s.by("web", "/email/verify", append(proof, "password", goodPW)...), http.StatusOK)
	s.expect(pgLogin(s, "app", "later", goodPW), http.StatusOK, "")
}

// TestLookAlikeAddressesAreRefused: what normalisation would make another's
// address is a mailbox of its own.
func TestLookAlikeAddressesAreRefused(t *testing.T) {
	s := accountServer(t)
	for _, email := range []string{"\uff42ob@example.com", "bob@\uff45xample.com", "   "} {
		s.problem(email, s.by("web", "/register", "username", "mallory", "email", email, "password", goodPW), http.StatusBadRequest, authz.InvalidInput)
	}
}

// TestApplyGivesNoRolesToWhoeverRegisteredTheName: the name of a declaration may
// have become another's.
func TestApplyGivesNoRolesToWhoeverRegisteredTheName(t *testing.T) {
	s := accountServer(t)
	sent := s.by("web", "/register", "username", "chief", "email", "chief@example.net", "password", goodPW)
	s.ok("registration", s.by("web", "/email/verify", s.proof(sent, authz.MailRegistration)...), http.StatusOK)
	resources := &authz.Resources{Issuer: issuer, Store: s.store, Lookup: s.service.Registry, Now: s.clock.Now}
	applier := &authz.Applier{Store: s.store, Resources: resources, Clients: s.clients, Users: s.users}
	_, err := applier.Apply(t.Context(), authz.Declaration{Users: []authz.NewUser{{Username: "chief", Roles: []string{authz.RoleAdmin}}}}, false)
	if authz.CodeOf(err) != authz.InvalidInput {
		t.Errorf("apply = %v, want the roles refused", err)
	}
	if user, err := s.store.UserByName(t.Context(), "chief"); err != nil || len(user.Roles) != 0 {
		t.Errorf("user = %+v, %v, want no roles", user, err)
	}
}
