package web_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"chancery/authz"
	"chancery/authz/authztest"
)

// scExpect fails the test unless the answer is a success with the scope, in
// the body and in the token, and the audience.
func scExpect(s *server, a answer, scope, audience string) {
	s.t.Helper()
	s.expect(a, http.StatusOK, "")
	if a.StatusCode != http.StatusOK {
		return
	}
	claims := s.claims(a.str("access_token"))
	inToken, _ := claims["scope"].(string)
	if a.str("scope") != scope || inToken != scope || claims["aud"] != audience {
		s.t.Errorf("scope = %q (in the token %q) for %v, want %q for %s", a.str("scope"), inToken, claims["aud"], scope, audience)
	}
}

func TestSC01_Grammar(t *testing.T) {
	s := newServer(t)
	for name, scope := range map[string]string{
		"two spaces": "read  write", "leading space": " read", "trailing space": "read ", "only a space": " ",
		"quotation mark": `read "write"`, "backslash": `re\ad`, "not ASCII": "léire", "no-break space": "read\u00a0write",
		"other case": "READ", "too long": strings.Repeat("read ", 2000) + "read", "comma": "read,write",
	} {
		for client, a := range map[string]answer{"robot": ccToken(s, "robot", "scope", scope), "app": pgLogin(s, "app", username, secretPW, "scope", scope)} {
			if a.StatusCode != http.StatusBadRequest || a.str("error") != "invalid_scope" {
				t.Errorf("%s by %s: %d %s, want 400 invalid_scope", name, client, a.StatusCode, a.body)
			}
		}
	}
	scExpect(s, ccToken(s, "robot", "scope", "read read read"), "read", apiURI)
}

func TestSC01_OrderIsIrrelevant(t *testing.T) {
	s := newServer(t)
	for _, scope := range []string{"read write", "write read", "write read write"} {
		got := strings.Fields(ccToken(s, "robot", "scope", scope).str("scope"))
		slices.Sort(got)
		if !slices.Equal(got, []string{"read", "write"}) {
			t.Errorf("scope %q grants %q, want read and write", scope, got)
		}
	}
}

func TestSC02_DefaultAndUnknownScopes(t *testing.T) {
	s := newServer(t)
	scExpect(s, ccToken(s, "robot"), "read write", apiURI)
	scExpect(s, ccToken(s, "robot", "scope", ""), "read write", apiURI)
	scExpect(s, s.login("app"), "read write", apiURI) // manage needs a role that alice lacks
	for _, scope := range []string{"unknown", "read unknown", "manage", "account", "admin:read"} {
		// robot may have none of them; nothing is narrowed silently.
		s.expect(ccToken(s, "robot", "scope", scope), http.StatusBadRequest, "invalid_scope")
	}
	for _, scope := range []string{"unknown", "read unknown", "manage", "read manage", "admin:read"} {
		s.expect(pgLogin(s, "app", username, secretPW, "scope", scope), http.StatusBadRequest, "invalid_scope")
	}
	if n := len(pgSessions(s)); n != 1 {
		t.Errorf("%d sessions, want only that of the good login", n)
	}
}

func TestSC02_RoleOpensAScope(t *testing.T) {
	s := newServer(t)
	_, err := s.users.SetRoles(t.Context(), username, []string{"manager"})
	must(t, err)
	scExpect(s, s.login("app"), "read write manage", apiURI)
	scExpect(s, s.login("app", "scope", "manage"), "manage", apiURI)
}

func TestSC03_RefreshNarrowsOnlyTheAccessToken(t *testing.T) {
	s := newServer(t)
	token := s.login("app").str("refresh_token")
	for _, c := range []struct{ ask, want string }{{"read", "read"}, {"", "read write"}, {"write", "write"}, {"write read", "read write"}, {"", "read write"}} {
		var pairs []string
		if c.ask != "" {
			pairs = []string{"scope", c.ask}
		}
		a := s.refresh("app", token, pairs...)
		s.expect(a, http.StatusOK, "")
		got := strings.Fields(a.str("scope"))
		slices.SortFunc(got, strings.Compare)
		if strings.Join(got, " ") != c.want {
			t.Errorf("scope %q at refresh = %q, want %q", c.ask, a.str("scope"), c.want)
		}
		token = a.str("refresh_token")
	}
}

func TestSC03_NarrowReplayReturnsTheSameSuccessor(t *testing.T) {
	s := newServer(t)
	first := s.login("app").str("refresh_token")
	successor := rrRefresh(s, "app", first, "")
	a := s.refresh("app", first, "scope", "read")
	rrExpect(s, a, http.StatusOK, "", "concurrent")
	if a.str("scope") != "read" || a.str("refresh_token") != successor {
		t.Errorf("scope = %q, same successor = %t, want read and true", a.str("scope"), a.str("refresh_token") == successor)
	}
}

func TestSC04_WideningIsRefusedAndConsumesNothing(t *testing.T) {
	s := newServer(t)
	login := s.login("app", "scope", "read")
	token := login.str("refresh_token")
	// Neither what the client may have, nor what a narrower refresh left out.
	rrUntouched(s, rrSession(s, login), func() {
		for _, scope := range []string{"write", "read write", "other", "account", "unknown", "READ"} {
			rrExpect(s, s.refresh("app", token, "scope", scope), http.StatusBadRequest, "invalid_scope", "")
		}
	})
	rrRefresh(s, "app", token, "")
}

func TestSC04_WideningWithAnOldTokenChangesNothing(t *testing.T) {
	s := newServer(t)
	login := s.login("app", "scope", "read")
	first := login.str("refresh_token")
	live := rrRefresh(s, "app", first, "")
	rrUntouched(s, rrSession(s, login), func() {
		rrExpect(s, s.refresh("app", first, "scope", "write"), http.StatusBadRequest, "invalid_scope", "")
	})
	rrRefresh(s, "app", live, "")
}

func TestSC05_ClientLostAScope(t *testing.T) {
	s := newServer(t)
	token := s.login("app").str("refresh_token")
	s.updateClient("app", func(c *authz.Client) { c.Scope = authz.Scope{"read", "other"} })
	a := s.refresh("app", token)
	scExpect(s, a, "read", apiURI)
	a = s.refresh("app", a.str("refresh_token"), "scope", "read write")
	scExpect(s, a, "read", apiURI)
	s.updateClient("app", func(c *authz.Client) { c.Scope = authz.Scope{"other"} })
	rrExpect(s, s.refresh("app", a.str("refresh_token"), "scope", "read"), http.StatusBadRequest, "invalid_grant", "not_entitled")
}

func TestSC05_NothingLeftIsInvalidGrant(t *testing.T) {
	s := newServer(t)
	token := s.login("app", "scope", "read").str("refresh_token")
	s.updateClient("app", func(c *authz.Client) { c.Scope = authz.Scope{"write", "other"} })
	rrExpect(s, s.refresh("app", token), http.StatusBadRequest, "invalid_grant", "not_entitled")
}

func TestSC05_UserLostARole(t *testing.T) {
	s := newServer(t)
	_, err := s.users.SetRoles(t.Context(), username, []string{"manager"})
	must(t, err)
	wide, narrow := s.login("app").str("refresh_token"), s.login("app", "scope", "manage").str("refresh_token")
	_, err = s.users.SetRoles(t.Context(), username, []string{"reader"})
	must(t, err)
	scExpect(s, s.refresh("app", wide), "read write", apiURI)
	rrExpect(s, s.refresh("app", narrow), http.StatusBadRequest, "invalid_grant", "not_entitled")
}

func TestSC05_GainedRoleDoesNotWidenAGrant(t *testing.T) {
	s := newServer(t)
	token := s.login("app").str("refresh_token") // manage was not granted
	_, err := s.users.SetRoles(t.Context(), username, []string{"manager"})
	must(t, err)
	a := s.refresh("app", token)
	scExpect(s, a, "read write", apiURI)
	s.expect(s.refresh("app", a.str("refresh_token"), "scope", "manage"), http.StatusBadRequest, "invalid_scope")
}

// The grant still holds other, and the client's first resource is now that.
func TestSC05_ClientLostItsDefaultResource(t *testing.T) {
	s := newServer(t)
	token := s.login("app").str("refresh_token")
	s.updateClient("app", func(c *authz.Client) { c.Scope, c.Resources = authz.Scope{"other"}, []string{otherURI} })
	scExpect(s, s.refresh("app", token), "other", otherURI)
}

// The first resource has nothing left for the grant, the second one has.
func TestSC05_NextResourceThatTheGrantReaches(t *testing.T) {
	s := newServer(t)
	token := s.login("app").str("refresh_token")
	s.updateClient("app", func(c *authz.Client) { c.Scope = authz.Scope{"other"} })
	scExpect(s, s.refresh("app", token), "other", otherURI)
}

// A session without any scope left ends, for what it is: its used-up token
// must not look like a theft when it comes again.
func TestSC05_NothingLeftEndsTheSession(t *testing.T) {
	s := newServer(t)
	token := s.login("app", "scope", "read").str("refresh_token")
	s.updateClient("app", func(c *authz.Client) { c.Scope = authz.Scope{"write"} })
	rrExpect(s, s.refresh("app", token), http.StatusBadRequest, "invalid_grant", "not_entitled")
	s.updateClient("app", func(c *authz.Client) { c.Scope = authz.Scope{"read", "write"} })
	s.clock.Add(11 * time.Minute)
	rrExpect(s, s.refresh("app", token), http.StatusBadRequest, "invalid_grant", "revoked")
	for kind, want := range map[authz.EventKind]int{authz.EventReuseDetected: 0, authz.EventSessionEnded: 1} {
		found, err := s.store.ListEvents(t.Context(), authz.EventFilter{Kind: kind, Page: authz.Page{Limit: 10}})
		if err != nil || len(found) != want {
			t.Errorf("%d events %s, %v, want %d", len(found), kind, err, want)
		}
	}
}

// A request that names what was lost is refused before the swap.
func TestSC05_NamedRequestForWhatWasLostConsumesNothing(t *testing.T) {
	s := newServer(t)
	token := s.login("app", "scope", "read").str("refresh_token")
	s.updateClient("app", func(c *authz.Client) { c.Scope = authz.Scope{"write"} })
	rrExpect(s, s.refresh("app", token, "scope", "read"), http.StatusBadRequest, "invalid_grant", "not_entitled")
	s.updateClient("app", func(c *authz.Client) { c.Scope = authz.Scope{"read", "write"} })
	s.clock.Add(11 * time.Minute)
	rrExpect(s, s.refresh("app", token), http.StatusOK, "", "")
}

func TestRI01_ResourceSyntax(t *testing.T) {
	s := newServer(t)
	token := s.login("app").str("refresh_token")
	for name, uri := range map[string]string{
		"relative": "/api", "no scheme": "api.example", "fragment": apiURI + "#x", "empty fragment": apiURI + "#", "space": "https://api .example",
		"no host": "https://", "quotation mark": apiURI + `/"`, "not ASCII": "https://äpi.example", "too long": "https://" + strings.Repeat("a", 600), "two in one": apiURI + " " + otherURI,
	} {
		for kind, a := range map[string]answer{
			"client_credentials": ccToken(s, "robot", "resource", uri), "password": pgLogin(s, "app", username, secretPW, "resource", uri),
			"refresh_token": s.refresh("app", token, "resource", uri),
		} {
			if a.StatusCode != http.StatusBadRequest || a.str("error") != "invalid_target" {
				t.Errorf("%s at %s: %d %s, want 400 invalid_target", name, kind, a.StatusCode, a.body)
			}
		}
	}
	rrRefresh(s, "app", token, "")
}

func TestRI02_ResourceThatMayNotBeTargeted(t *testing.T) {
	s := newServer(t)
	must(t, s.store.InsertResource(t.Context(), authz.Resource{URI: "https://third.example", Algorithm: "RS256", Scopes: []authz.ResourceScope{{Name: "third"}}}, authztest.AnyEvent()))
	s.service.Registry.Invalidate()
	for _, uri := range []string{
		"https://unknown.example", "https://third.example", issuer + "/admin", issuer + "/account",
		apiURI + "/", "HTTPS://API.EXAMPLE", apiURI + ".evil", "https://api.exampl", apiURI + ":443",
	} {
		s.expect(ccToken(s, "robot", "resource", uri), http.StatusBadRequest, "invalid_target")
	}
	for _, uri := range []string{issuer + "/admin", "https://third.example"} {
		s.expect(pgLogin(s, "app", username, secretPW, "resource", uri), http.StatusBadRequest, "invalid_target")
	}
	// The client may, but not with this scope.
	s.expect(ccToken(s, "robot", "resource", otherURI, "scope", "read"), http.StatusBadRequest, "invalid_target")
	s.expect(pgLogin(s, "app", username, secretPW, "resource", otherURI, "scope", "read"), http.StatusBadRequest, "invalid_target")
}

func TestRI03_AudienceIsTheOneResource(t *testing.T) {
	s := newServer(t)
	scExpect(s, ccToken(s, "robot"), "read write", apiURI)
	scExpect(s, ccToken(s, "robot", "resource", apiURI), "read write", apiURI)
	scExpect(s, ccToken(s, "robot", "resource", otherURI), "other", otherURI)
	scExpect(s, ccToken(s, "robot", "resource", otherURI, "scope", "read other"), "other", otherURI)
	scExpect(s, s.login("app"), "read write", apiURI)
	scExpect(s, s.login("app", "resource", otherURI), "other", otherURI)
	scExpect(s, s.login("app", "resource", issuer+"/account"), "account", issuer+"/account")
	s.expect(ccToken(s, "robot", "resource", apiURI, "resource", otherURI), http.StatusBadRequest, "invalid_target")
	s.expect(pgLogin(s, "app", username, secretPW, "resource", apiURI, "resource", apiURI), http.StatusBadRequest, "invalid_target")
	scExpect(s, ccToken(s, "robot", "resource", ""), "read write", apiURI) // empty is absent
}

func TestRI04_RefreshStaysWithinTheGrant(t *testing.T) {
	s := newServer(t)
	login := s.login("app", "scope", "read")
	token := login.str("refresh_token")
	rrUntouched(s, rrSession(s, login), func() {
		for _, uri := range []string{otherURI, issuer + "/account", issuer + "/admin", "https://unknown.example"} {
			rrExpect(s, s.refresh("app", token, "resource", uri), http.StatusBadRequest, "invalid_target", "")
		}
	})
	scExpect(s, s.refresh("app", token, "resource", apiURI), "read", apiURI)
}

func TestRI04_RefreshChoosesAmongTheGrantedResources(t *testing.T) {
	s := newServer(t)
	token := s.login("app", "resource", otherURI).str("refresh_token")
	for _, c := range []struct {
		pairs           []string
		scope, audience string
	}{
		{[]string{"resource", otherURI}, "other", otherURI},
		{nil, "read write", apiURI}, // without resource: the client's first, as at login
		{[]string{"resource", issuer + "/account"}, "account", issuer + "/account"},
		{[]string{"resource", otherURI, "scope", "read other"}, "other", otherURI},
	} {
		a := s.refresh("app", token, c.pairs...)
		scExpect(s, a, c.scope, c.audience)
		token = a.str("refresh_token")
	}
	s.expect(s.refresh("app", token, "resource", otherURI, "scope", "read"), http.StatusBadRequest, "invalid_target")
}
