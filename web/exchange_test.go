package web_test

import (
	"net/http"
	"testing"
	"time"

	"chancery/authz"

	"github.com/google/go-cmp/cmp"
)

const (
	exchangeGrantType = "urn:ietf:params:oauth:grant-type:token-exchange"
	accessTokenType   = "urn:ietf:params:oauth:token-type:access_token"
)

// exchangeServer returns a server whose resource servers orders (of api) and
// stock (of other) may exchange tokens: orders for other, stock for api.
func exchangeServer(t testing.TB) *server {
	t.Helper()
	s := newServer(t)
	for id, scope := range map[string]authz.Scope{"orders": {"other", "read", "manage"}, "stock": {"read", "write"}} {
		_, secret, err := s.clients.Create(t.Context(), authz.Client{
			ID: id, AuthMethod: authz.AuthAnySecret, Introspect: true, GrantTypes: []string{authz.GrantTokenExchange}, Scope: scope, Resources: []string{apiURI, otherURI},
		})
		must(t, err)
		s.secrets[id] = secret
	}
	s.service.Registry.Invalidate()
	return s
}

func (s *server) exchangeToken(clientID, token string, pairs ...string) answer {
	s.t.Helper()
	return s.as(clientID, tokenURL, append([]string{"grant_type", exchangeGrantType, "subject_token", token, "subject_token_type", accessTokenType}, pairs...)...)
}

func TestExchange(t *testing.T) {
	s := exchangeServer(t)
	login := s.login("app", "scope", "read write", "resource", apiURI)
	subject := s.claims(login.str("access_token"))
	s.clock.Add(12 * time.Minute)
	a := s.exchangeToken("orders", login.str("access_token"), "resource", otherURI)
	wantAnswer(t, a, http.StatusOK, "")
	if a.str("issued_token_type") != accessTokenType || a.str("token_type") != "Bearer" || a.str("scope") != "other" || a.json["refresh_token"] != nil {
		t.Errorf("answer = %s", a.body)
	}
	got := s.claims(a.str("access_token"))
	for _, name := range []string{"sub", "sid", "auth_time", "amr", "roles", "status"} {
		if diff := cmp.Diff(subject[name], got[name]); diff != "" {
			t.Errorf("%s is another than that of the subject:\n%s", name, diff)
		}
	}
	if got["aud"] != otherURI || got["client_id"] != "orders" || got["exp"].(float64) > subject["exp"].(float64) || got["jti"] == subject["jti"] {
		t.Errorf("token = %v", got)
	}
	if diff := cmp.Diff(map[string]any{"sub": "orders"}, got["act"]); diff != "" {
		t.Errorf("act:\n%s", diff)
	}
	again := s.exchangeToken("stock", a.str("access_token"), "audience", apiURI, "scope", "read", "requested_token_type", accessTokenType)
	wantAnswer(t, again, http.StatusOK, "")
	if diff := cmp.Diff(map[string]any{"sub": "stock", "act": map[string]any{"sub": "orders"}}, s.claims(again.str("access_token"))["act"]); diff != "" {
		t.Errorf("act of the second exchange:\n%s", diff)
	}
	// It dies with the session, and by itself; and it ends no session.
	wantAnswer(t, s.as("orders", revokeURL, "token", a.str("access_token")), http.StatusOK, "")
	if active := s.as("stock", introspectURL, "token", a.str("access_token")); active.json["active"] != false {
		t.Errorf("after its revocation = %s", active.body)
	}
	wantAnswer(t, s.refresh("app", login.str("refresh_token")), http.StatusOK, "")
	introspected := s.as("orders", introspectURL, "token", again.str("access_token"))
	if introspected.json["active"] != true || introspected.json["act"] == nil {
		t.Errorf("the other = %s", introspected.body)
	}
	s.as("app", revokeURL, "token", login.str("refresh_token"))
	if active := s.as("orders", introspectURL, "token", again.str("access_token")); active.json["active"] != false {
		t.Errorf("after the end of the session = %s", active.body)
	}
}

// TestExchange_StaysWithinTheGrant: what the user has granted for a resource is not
// widened by a way around it.
func TestExchange_StaysWithinTheGrant(t *testing.T) {
	s := exchangeServer(t)
	login := s.login("app", "scope", "read", "resource", apiURI)
	there := s.exchangeToken("orders", login.str("access_token"), "resource", otherURI)
	wantAnswer(t, there, http.StatusOK, "")
	wantAnswer(t, s.exchangeToken("stock", there.str("access_token"), "resource", apiURI, "scope", "write"), http.StatusBadRequest, "invalid_target")
	back := s.exchangeToken("stock", there.str("access_token"), "resource", apiURI)
	wantAnswer(t, back, http.StatusOK, "")
	if back.str("scope") != "read" {
		t.Errorf("scope = %s, want what was granted", back.str("scope"))
	}
}

func TestExchange_Refused(t *testing.T) {
	s := exchangeServer(t)
	token := s.login("app", "resource", apiURI).str("access_token")
	ended := s.login("app", "resource", apiURI)
	s.as("app", revokeURL, "token", ended.str("refresh_token"))
	account := s.login("app", "scope", "account").str("access_token")
	machine := s.as("robot", tokenURL, "grant_type", "client_credentials", "resource", apiURI).str("access_token")
	s.updateClient("api", func(c *authz.Client) {
		c.GrantTypes, c.Scope = []string{authz.GrantTokenExchange}, authz.Scope{"read"}
	})
	for name, row := range map[string]struct {
		a    answer
		code string
	}{
		"no subject":                {s.as("orders", tokenURL, "grant_type", exchangeGrantType, "subject_token_type", accessTokenType), "invalid_request"},
		"no type":                   {s.as("orders", tokenURL, "grant_type", exchangeGrantType, "subject_token", token), "invalid_request"},
		"another type":              {s.exchangeToken("orders", token, "subject_token_type", "urn:ietf:params:oauth:token-type:id_token"), "invalid_request"},
		"a refresh token wanted":    {s.exchangeToken("orders", token, "requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"), "invalid_request"},
		"an actor token":            {s.exchangeToken("orders", token, "actor_token", token), "invalid_request"},
		"no token of ours":          {s.exchangeToken("orders", "x"), "invalid_request"},
		"a refresh token":           {s.exchangeToken("orders", s.login("app").str("refresh_token")), "invalid_request"},
		"a client's own":            {s.exchangeToken("orders", machine), "invalid_request"},
		"of an ended session":       {s.exchangeToken("orders", ended.str("access_token")), "invalid_request"},
		"for another audience":      {s.exchangeToken("orders", account), "invalid_request"},
		"nothing else to ask for":   {s.exchangeToken("api", token), "invalid_target"},
		"for itself":                {s.exchangeToken("orders", token, "resource", apiURI), "invalid_target"},
		"an unknown resource":       {s.exchangeToken("orders", token, "resource", "https://unknown.example"), "invalid_target"},
		"the account API":           {s.exchangeToken("orders", token, "resource", issuer+"/account"), "invalid_target"},
		"two resources":             {s.exchangeToken("orders", token, "resource", otherURI, "audience", apiURI), "invalid_target"},
		"a scope of others":         {s.exchangeToken("orders", token, "scope", "write"), "invalid_scope"},
		"a scope that is not there": {s.exchangeToken("orders", token, "resource", otherURI, "scope", "read"), "invalid_target"},
		"without the grant":         {s.exchangeToken("robot", token), "unauthorized_client"},
	} {
		if row.a.StatusCode != http.StatusBadRequest || row.a.str("error") != row.code {
			t.Errorf("%s = %d %s, want %s", name, row.a.StatusCode, row.a.body, row.code)
		}
	}
	s.clock.Add(15 * time.Minute)
	wantAnswer(t, s.exchangeToken("orders", token), http.StatusBadRequest, "invalid_request")
	for name, client := range map[string]authz.Client{
		"public":    {AuthMethod: authz.AuthNone, Resources: []string{apiURI}},
		"no server": {AuthMethod: authz.AuthBasic, Resources: []string{apiURI}},
	} {
		client.GrantTypes = []string{authz.GrantTokenExchange}
		if _, _, err := s.clients.Create(t.Context(), client); authz.CodeOf(err) != authz.InvalidInput {
			t.Errorf("%s may exchange: %v", name, err)
		}
	}
}

// TestExchange_NotForever: clients cannot act for each other without end.
func TestExchange_NotForever(t *testing.T) {
	s := exchangeServer(t)
	token := s.login("app", "resource", apiURI).str("access_token")
	for n := range 10 {
		a := s.exchangeToken([]string{"orders", "stock"}[n%2], token)
		if a.StatusCode != http.StatusOK {
			if n != 4 {
				t.Errorf("refused after %d exchanges, want 4: %s", n, a.body)
			}
			return
		}
		token = a.str("access_token")
	}
	t.Error("ten exchanges were allowed")
}
