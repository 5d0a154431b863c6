package web_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"chancery/authz"
)

// adminAudit is what the example of an operation must leave in the log.
type adminAudit struct {
	kind authz.EventKind
	// about reports whether the event tells of what was changed.
	about func(f *adminFixture, e authz.Event) bool
	// fields are those of the difference; nil for what has none.
	fields []string
	// prepare makes a change necessary.
	prepare func(f *adminFixture)
}

// adminAudits are by the ids of all operations that change something.
func adminAudits() map[string]adminAudit {
	user := func(f *adminFixture, e authz.Event) bool { return e.UserID == f.userID }
	shop := func(_ *adminFixture, e authz.Event) bool { return e.ClientID == "shop" }
	session := func(f *adminFixture, e authz.Event) bool { return e.SessionID == f.sessionID && e.UserID == f.userID }
	target := func(uri string) func(*adminFixture, authz.Event) bool {
		return func(_ *adminFixture, e authz.Event) bool { return e.Target == uri }
	}
	return map[string]adminAudit{
		"createClient": {authz.EventClientCreated, shop, []string{"client_name", "grant_types", "resources", "scope", "token_endpoint_auth_method"}, nil},
		"updateClient": {authz.EventClientChanged, shop, []string{"client_name", "allowed_origins", "idle_ttl", "scope", "password_reset_uri"}, nil},
		"deleteClient": {authz.EventClientDeleted, shop, nil, nil},
		"rotateClientSecret": {authz.EventSecretRotated, func(_ *adminFixture, e authz.Event) bool { return e.ClientID == "robot" }, []string{"secrets"}, func(f *adminFixture) {
			f.clock.Add(1e9)
		}},
		"revokeClientSessions": {authz.EventSessionEnded, session, nil, nil},
		"createResource":       {authz.EventResourceCreated, target("https://notes.example"), []string{"access_token_ttl", "algorithm", "name", "scopes"}, nil},
		"updateResource":       {authz.EventResourceChanged, target(spareURI), []string{"access_token_ttl", "algorithm", "name", "scopes"}, nil},
		"deleteResource":       {authz.EventResourceDeleted, target(spareURI), nil, nil},
		"createUser":           {authz.EventUserCreated, func(_ *adminFixture, e authz.Event) bool { return e.UserID != "" }, []string{"email", "email_verified", "roles", "username"}, nil},
		"setUserRoles":         {authz.EventRolesChanged, user, []string{"roles"}, nil},
		"banUser":              {authz.EventUserBanned, user, []string{"ban_reason", "banned_until"}, nil},
		"unbanUser": {authz.EventUserUnbanned, user, []string{"ban_reason", "banned_until"}, func(f *adminFixture) {
			_, err := f.users.Ban(f.t.Context(), f.userID, authz.Forever, "spam")
			must(f.t, err)
		}},
		"setUserPassword": {authz.EventPasswordChanged, user, []string{"must_change"}, func(f *adminFixture) {
			_, err := f.users.SetPassword(f.t.Context(), f.userID, goodPW, true)
			must(f.t, err)
		}},
		"deleteUser":         {authz.EventUserDeleted, user, nil, nil},
		"revokeUserSessions": {authz.EventSessionEnded, session, nil, nil},
		"revokeSession":      {authz.EventSessionEnded, session, nil, nil},
		"revokeSessions":     {authz.EventSessionEnded, session, nil, nil},
		"rotateKey":          {authz.EventKeyRotated, func(_ *adminFixture, e authz.Event) bool { return e.Target != "" }, []string{"state"}, nil},
		"compromiseKey":      {authz.EventKeyCompromised, func(f *adminFixture, e authz.Event) bool { return e.Target == f.keyID }, []string{"state"}, nil},
	}
}

// auditedBody changes what an example cannot name.
func (f *adminFixture) audited(token, id string) *http.Request {
	f.t.Helper()
	if id == "revokeSessions" {
		return f.adminRequest(token, http.MethodPost, "/sessions/revoke", `{"session_ids":["`+f.sessionID+`"]}`)
	}
	return f.example(token, id)
}

// No admin change exists without its event: each operation of the document but
// GET leaves one of the admin, about what it changed, and none when refused.
func TestAdminChangesAreEvents(t *testing.T) {
	audits := adminAudits()
	for id, o := range adminServer(t).document().Operations {
		if _, ok := audits[id]; ok == (o.Method == http.MethodGet) {
			t.Errorf("%s %s: that it is audited is %t", o.Method, id, ok)
		}
	}
	eachAdminOperation(t, func(t *testing.T, f *adminFixture, o adminOperation) {
		want, changes := audits[o.ID]
		if !changes {
			f.readsChangeNothing(o)
			return
		}
		if want.prepare != nil {
			want.prepare(f)
		}
		token, reader := f.bossToken(), f.bossToken("scope", authz.ScopeAdminRead)
		before := f.events(authz.EventFilter{})
		for _, refused := range []string{"", "garbage", reader, f.bearer(boss)} {
			if a := f.do(f.audited(refused, o.ID)); a.StatusCode < 400 {
				t.Fatalf("refused %s = %d %s", o.ID, a.StatusCode, a.body)
			}
		}
		for _, e := range f.newEvents(before) {
			if e.Kind != authz.EventLoginSucceeded {
				t.Errorf("%s, refused, left %+v", o.ID, e)
			}
		}
		before = f.events(authz.EventFilter{})
		a := f.do(f.audited(token, o.ID))
		if a.StatusCode >= 300 {
			t.Fatalf("%s = %d %s", o.ID, a.StatusCode, a.body)
		}
		f.checkAudit(o.ID, want, f.newEvents(before))
		all, err := json.Marshal(f.events(authz.EventFilter{}))
		must(t, err)
		for _, secret := range []string{secretPW, goodPW, "a long pass phrase", "another long pass phrase", a.str("client_secret"), token, "$argon2"} {
			if secret != "" && strings.Contains(string(all), secret) {
				t.Errorf("the events of %s hold a secret", o.ID)
			}
		}
	})
}

// newEvents returns those that were not there before.
func (f *adminFixture) newEvents(before []authz.Event) []authz.Event {
	return slices.DeleteFunc(f.events(authz.EventFilter{}), func(e authz.Event) bool {
		return slices.ContainsFunc(before, func(b authz.Event) bool { return b.ID == e.ID })
	})
}

func (f *adminFixture) checkAudit(id string, want adminAudit, events []authz.Event) {
	f.t.Helper()
	admin, err := f.store.UserByName(f.t.Context(), boss)
	must(f.t, err)
	found := false
	for _, e := range events {
		if e.Actor != admin.ID || e.Time.IsZero() || e.ID == "" {
			f.t.Errorf("%s left %+v, want it of %s", id, e, admin.ID)
		}
		if e.Kind != want.kind || !want.about(f, e) {
			continue
		}
		found = true
		if e.Device.Address == "" {
			f.t.Errorf("%s left %+v, want it to say from where", id, e)
		}
		var fields []string
		for _, d := range e.Changes {
			fields = append(fields, d.Field)
			if d.Before == d.After {
				f.t.Errorf("%s left the difference %+v", id, d)
			}
		}
		for _, field := range want.fields {
			if !slices.Contains(fields, field) {
				f.t.Errorf("%s left differences in %v, want %s too", id, fields, field)
			}
		}
		if want.fields == nil && len(fields) > 0 {
			f.t.Errorf("%s left differences in %v, want none", id, fields)
		}
	}
	if !found {
		f.t.Errorf("%s left %+v, want one of kind %s", id, events, want.kind)
	}
}

func (f *adminFixture) readsChangeNothing(o adminOperation) {
	f.t.Helper()
	before := f.events(authz.EventFilter{})
	if a := f.do(f.example(f.token, o.ID)); a.StatusCode != http.StatusOK {
		f.t.Fatalf("%s = %d %s", o.ID, a.StatusCode, a.body)
	}
	if events := f.newEvents(before); len(events) > 0 {
		f.t.Errorf("%s left %+v", o.ID, events)
	}
}

// The event stands in the transaction of its change, so what cannot be stored
// is not made: a failing store leaves neither.
func TestAdminChangesFailWhole(t *testing.T) {
	for id := range adminAudits() {
		f := newAdminFixture(t)
		if prepare := adminExercises()[id].prepare; prepare != nil {
			prepare(f)
		}
		r := f.audited(f.token, id)
		before := fmt.Sprint(f.events(authz.EventFilter{}))
		f.store.SetDown(authz.ErrUnavailable)
		a := f.do(r)
		f.store.SetDown(nil)
		if a.StatusCode != http.StatusServiceUnavailable || fmt.Sprint(f.events(authz.EventFilter{})) != before {
			t.Errorf("%s without a database = %d %s, want 503 and no event", id, a.StatusCode, a.body)
		}
	}
}

// A machine is the actor of what it does.
func TestAdminMachineIsActor(t *testing.T) {
	f := newAdminFixture(t)
	f.ok("ban", f.admins(f.machineToken(), http.MethodPost, "/users/"+f.userID+"/ban", `{}`), http.StatusOK)
	if events := f.events(authz.EventFilter{Kind: authz.EventUserBanned}); len(events) != 1 || events[0].Actor != "machine" {
		t.Errorf("events = %+v, want one of machine", events)
	}
}
