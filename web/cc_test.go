package web_test

import (
	"net/http"
	"testing"

	"chancery/authz"
)

// ccToken asks for a token for the client itself.
func ccToken(s *server, clientID string, pairs ...string) answer {
	s.t.Helper()
	return s.as(clientID, "/oauth/token", append([]string{"grant_type", "client_credentials"}, pairs...)...)
}

func TestCC01_ConfidentialClientsOnly(t *testing.T) {
	s := newServer(t)
	// Even a registration that the administration would refuse does not help.
	pgClient(s, authz.Client{
		ID: "open", AuthMethod: authz.AuthNone, GrantTypes: []string{authz.GrantClientCredentials},
		Scope: authz.Scope{"read"}, Resources: []string{apiURI},
	})
	for _, client := range []string{"app", "plain", "open", "web", "api"} {
		s.expect(ccToken(s, client), http.StatusBadRequest, "unauthorized_client")
	}
	s.expect(ccToken(s, "robot"), http.StatusOK, "")
	s.expect(s.post("/oauth/token", "grant_type", "client_credentials", "client_id", "robot"), http.StatusUnauthorized, "invalid_client")
}

func TestCC02_NoRefreshTokenAndNoSession(t *testing.T) {
	s := newServer(t)
	a := ccToken(s, "robot")
	s.expect(a, http.StatusOK, "")
	for _, name := range []string{"refresh_token", "refresh_token_expires_in", "cause"} {
		if value, ok := a.json[name]; ok {
			t.Errorf("%s = %v, want none", name, value)
		}
	}
	if n := len(pgSessions(s)); n != 0 {
		t.Errorf("%d sessions, want none", n)
	}
}

func TestCC03_SubjectIsTheClient(t *testing.T) {
	s := newServer(t)
	claims := s.claims(ccToken(s, "robot").str("access_token"))
	if claims["sub"] != "robot" || claims["client_id"] != "robot" {
		t.Errorf("sub = %v, client_id = %v, want robot", claims["sub"], claims["client_id"])
	}
	for _, name := range []string{"sid", "auth_time", "amr", "acr", "roles"} {
		if value, ok := claims[name]; ok {
			t.Errorf("%s = %v in a client's own token, want none", name, value)
		}
	}
}

func TestCC03_ClientIDNeverLooksLikeAUser(t *testing.T) {
	s := newServer(t)
	for _, id := range []string{"usr_", "usr_00000000-0000-0000-0000-000000000000"} {
		_, _, err := s.clients.Create(t.Context(), authz.Client{ID: id, AuthMethod: authz.AuthNone})
		if authz.CodeOf(err) != authz.InvalidInput {
			t.Errorf("Create(%q) = %v, want %s", id, err, authz.InvalidInput)
		}
	}
	user, err := s.store.UserByName(t.Context(), username)
	must(t, err)
	if len(user.ID) != len("usr_")+36 || user.ID[:4] != "usr_" {
		t.Errorf("user id = %q, want usr_ and a UUID", user.ID)
	}
}
