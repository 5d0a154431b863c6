package web_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"chancery/authz"

	"github.com/google/go-cmp/cmp"
)

const registerURL = "/oauth/register"

// registerServer returns a server at which clients may register themselves, for
// api; the client registrar gets initial access tokens.
func registerServer(t testing.TB, open bool, edit ...func(*options)) *server {
	t.Helper()
	s := newServer(t, append(edit, func(o *options) { o.clientRegistration = map[bool]string{true: "open", false: "token"}[open] })...)
	_, secret, err := s.clients.Create(t.Context(), authz.Client{
		ID: "registrar", AuthMethod: authz.AuthAnySecret, GrantTypes: []string{authz.GrantClientCredentials}, Scope: authz.Scope{authz.ScopeRegister},
		Resources: []string{authz.RegistrationResource(issuer)},
	})
	must(t, err)
	s.secrets["registrar"] = secret
	s.service.Registry.Invalidate()
	return s
}

// register sends metadata with a token, if there is one.
func (s *server) registration(method, path, token string, metadata map[string]any) answer {
	s.t.Helper()
	body, err := json.Marshal(metadata)
	must(s.t, err)
	r := httptest.NewRequestWithContext(s.t.Context(), method, path, strings.NewReader(string(body)))
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return s.do(r)
}

// own sends a request of a registered client about itself.
func (s *server) own(method string, client answer, metadata map[string]any) answer {
	s.t.Helper()
	return s.registration(method, strings.TrimPrefix(client.str("registration_client_uri"), issuer), client.str("registration_access_token"), metadata)
}

func goodMetadata(changes ...map[string]any) map[string]any {
	m := map[string]any{"client_name": "Fresh", "redirect_uris": []string{"https://fresh.example/callback"}, "grant_types": []string{"authorization_code", "refresh_token"}}
	for _, c := range changes {
		for name, value := range c {
			m[name] = value
		}
	}
	return m
}

func TestRegister_Open(t *testing.T) {
	s := registerServer(t, true)
	a := s.registration(http.MethodPost, registerURL, "", goodMetadata(map[string]any{"scope": "openid read unknown other", "software_id": "ignored"}))
	if a.StatusCode != http.StatusCreated || a.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("register = %d %s", a.StatusCode, a.body)
	}
	id, secret := a.str("client_id"), a.str("client_secret")
	want := map[string]any{
		"client_id": id, "client_secret": secret, "client_secret_expires_at": 0.0, "client_id_issued_at": float64(s.clock.Now().Unix()),
		"registration_client_uri": issuer + registerURL + "/" + id, "registration_access_token": a.str("registration_access_token"),
		"client_name": "Fresh", "redirect_uris": []any{"https://fresh.example/callback"}, "grant_types": []any{"authorization_code", "refresh_token"},
		"response_types": []any{"code"}, "token_endpoint_auth_method": "client_secret_basic", "scope": "openid read",
	}
	if diff := cmp.Diff(want, a.json); diff != "" || secret == "" || !strings.HasPrefix(a.str("registration_access_token"), "chrg_") {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	s.secrets[id] = authz.Secret(secret)
	b := newBrowser(s)
	tokens := b.session(id, "redirect_uri", "https://fresh.example/callback")
	if s.claims(tokens.str("access_token"))["client_id"] != id {
		t.Errorf("tokens = %s", tokens.body)
	}
	// It never logs users in by itself (PG-01).
	wantAnswer(t, s.as(id, tokenURL, "grant_type", "password", "username", username, "password", secretPW), http.StatusBadRequest, "unauthorized_client")
	wantAnswer(t, s.as(id, tokenURL, "grant_type", "client_credentials"), http.StatusBadRequest, "unauthorized_client")
	_, err := s.clients.Update(t.Context(), id, func(c *authz.Client) error { c.FirstParty = true; return nil })
	if authz.CodeOf(err) != authz.InvalidInput {
		t.Errorf("it becomes our own: %v", err)
	}
}

func TestRegister_Defaults(t *testing.T) {
	s := registerServer(t, true)
	a := s.registration(http.MethodPost, registerURL, "", map[string]any{"redirect_uris": []string{"com.example.fresh:/callback"}, "token_endpoint_auth_method": "none"})
	if a.StatusCode != http.StatusCreated || a.json["client_secret"] != nil || a.json["client_secret_expires_at"] != nil {
		t.Errorf("a public client = %d %s", a.StatusCode, a.body)
	}
	if diff := cmp.Diff([]any{"authorization_code"}, a.json["grant_types"]); diff != "" || a.str("scope") != "openid profile email offline_access read write manage" {
		t.Errorf("defaults = %s", a.body)
	}
	key := newKey(t)
	var set map[string]any
	must(t, json.Unmarshal([]byte(keySetOf(t, key, "k1")), &set))
	signer := s.registration(http.MethodPost, registerURL, "", goodMetadata(map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks": set}))
	if signer.StatusCode != http.StatusCreated || signer.json["client_secret"] != nil || signer.json["jwks"] == nil {
		t.Errorf("a client with keys = %d %s", signer.StatusCode, signer.body)
	}
}

// TestRegister_Refused: attack 40, among others.
func TestRegister_Refused(t *testing.T) {
	s := registerServer(t, true)
	for name, row := range map[string]struct {
		changes map[string]any
		code    string
	}{
		"first-party":          {map[string]any{"first_party": true}, "invalid_client_metadata"},
		"introspect":           {map[string]any{"introspect": false}, "invalid_client_metadata"},
		"without PKCE":         {map[string]any{"pkce_optional": true}, "invalid_client_metadata"},
		"password grant":       {map[string]any{"grant_types": []string{"password"}}, "invalid_client_metadata"},
		"client credentials":   {map[string]any{"grant_types": []string{"authorization_code", "client_credentials"}}, "invalid_client_metadata"},
		"token exchange":       {map[string]any{"grant_types": []string{exchangeGrantType}}, "invalid_client_metadata"},
		"implicit":             {map[string]any{"response_types": []string{"token"}}, "invalid_client_metadata"},
		"unknown method":       {map[string]any{"token_endpoint_auth_method": "client_secret_jwt"}, "invalid_client_metadata"},
		"no keys":              {map[string]any{"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"},
		"keys inside":          {map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "http://10.0.0.1/"}, "invalid_client_metadata"},
		"unknown scope":        {map[string]any{"scope": "admin:write"}, "invalid_client_metadata"},
		"malformed scope":      {map[string]any{"scope": "a  b"}, "invalid_client_metadata"},
		"a name as a number":   {map[string]any{"client_name": 7}, "invalid_client_metadata"},
		"control characters":   {map[string]any{"client_name": "a\u0000b"}, "invalid_client_metadata"},
		"no redirect":          {map[string]any{"redirect_uris": []string{}}, "invalid_client_metadata"},
		"http redirect":        {map[string]any{"redirect_uris": []string{"http://fresh.example/"}}, "invalid_redirect_uri"},
		"script redirect":      {map[string]any{"redirect_uris": []string{"javascript:alert(1)"}}, "invalid_redirect_uri"},
		"redirect with a user": {map[string]any{"redirect_uris": []string{"https://a@fresh.example/"}}, "invalid_redirect_uri"},
		"wildcard redirect":    {map[string]any{"redirect_uris": []string{"https://*.fresh.example/"}}, "invalid_redirect_uri"},
		"redirect fragment":    {map[string]any{"redirect_uris": []string{"https://fresh.example/#x"}}, "invalid_redirect_uri"},
		"logout redirect":      {map[string]any{"post_logout_redirect_uris": []string{"//evil.example"}}, "invalid_redirect_uri"},
	} {
		a := s.registration(http.MethodPost, registerURL, "", goodMetadata(row.changes))
		if a.StatusCode != http.StatusBadRequest || a.str("error") != row.code || strings.ContainsAny(a.str("error_description"), "\"\\\n") {
			t.Errorf("%s = %d %s, want %s", name, a.StatusCode, a.body, row.code)
		}
	}
	for name, body := range map[string]string{"no JSON": "x", "a list": "[]", "nothing": "", "null": "null", "too long": `{"client_name":"` + strings.Repeat("x", 70_000) + `"}`} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, registerURL, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		if a := s.do(r); a.StatusCode != http.StatusBadRequest && a.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s = %d %s", name, a.StatusCode, a.body)
		}
	}
}

func TestRegister_InitialAccessToken(t *testing.T) {
	s := registerServer(t, false)
	wantAnswer(t, s.registration(http.MethodPost, registerURL, "", goodMetadata()), http.StatusUnauthorized, "missing_token")
	wantAnswer(t, s.registration(http.MethodPost, registerURL, "x", goodMetadata()), http.StatusUnauthorized, "invalid_token")
	wantAnswer(t, s.registration(http.MethodPost, registerURL, s.login("app").str("access_token"), goodMetadata()), http.StatusUnauthorized, "invalid_token")
	token := s.as("registrar", tokenURL, "grant_type", "client_credentials").str("access_token")
	a := s.registration(http.MethodPost, registerURL, token, goodMetadata())
	wantAnswer(t, a, http.StatusCreated, "")
	events, err := s.store.ListEvents(t.Context(), authz.EventFilter{Kind: authz.EventClientCreated, ClientID: a.str("client_id"), Page: authz.Page{Limit: 1}})
	if must(t, err); len(events) != 1 || events[0].Actor != "registrar" {
		t.Errorf("events = %+v, want one by the registrar", events)
	}
}

func TestRegister_Off(t *testing.T) {
	s := newServer(t)
	if a := s.registration(http.MethodPost, registerURL, "", goodMetadata()); a.StatusCode != http.StatusNotFound {
		t.Errorf("register = %d, want 404", a.StatusCode)
	}
	if _, ok := metadata(t, s, metadataURL)["registration_endpoint"]; ok {
		t.Error("the metadata names an endpoint that is off")
	}
	if got := metadata(t, registerServer(t, false), metadataURL)["registration_endpoint"]; got != issuer+registerURL {
		t.Errorf("registration_endpoint = %v", got)
	}
}

// TestRegister_Manage: RFC 7592.
func TestRegister_Manage(t *testing.T) {
	s := registerServer(t, true)
	client, other := s.registration(http.MethodPost, registerURL, "", goodMetadata()), s.registration(http.MethodPost, registerURL, "", goodMetadata())
	read := s.own(http.MethodGet, client, nil)
	if read.StatusCode != http.StatusOK || read.str("client_name") != "Fresh" || read.json["client_secret"] != nil || read.json["registration_access_token"] != nil {
		t.Errorf("read = %d %s", read.StatusCode, read.body)
	}
	changed := s.own(http.MethodPut, client, map[string]any{"client_id": client.str("client_id"), "redirect_uris": []string{"https://new.example/"}, "scope": "openid"})
	if changed.StatusCode != http.StatusOK || changed.str("client_name") != "" || changed.str("scope") != "openid" {
		t.Errorf("changed = %d %s, want what was not sent gone", changed.StatusCode, changed.body)
	}
	wantAnswer(t, s.own(http.MethodPut, client, goodMetadata()), http.StatusBadRequest, "invalid_client_metadata")
	wantAnswer(t, s.own(http.MethodPut, client, goodMetadata(map[string]any{"client_id": other.str("client_id")})), http.StatusBadRequest, "invalid_client_metadata")
	wantAnswer(t, s.own(http.MethodPut, client, goodMetadata(map[string]any{"client_id": client.str("client_id"), "first_party": true})), http.StatusBadRequest, "invalid_client_metadata")
	path := strings.TrimPrefix(client.str("registration_client_uri"), issuer)
	for name, a := range map[string]answer{
		"without a token":    s.registration(http.MethodGet, path, "", nil),
		"another's token":    s.registration(http.MethodGet, path, other.str("registration_access_token"), nil),
		"an unknown client":  s.registration(http.MethodGet, registerURL+"/nobody", client.str("registration_access_token"), nil),
		"an admin's client":  s.registration(http.MethodGet, registerURL+"/app", "", nil),
		"deleted by another": s.registration(http.MethodDelete, path, other.str("registration_access_token"), nil),
		"changed by another": s.registration(http.MethodPut, path, other.str("registration_access_token"), goodMetadata(map[string]any{"client_id": client.str("client_id")})),
		"the empty token":    s.registration(http.MethodGet, registerURL+"/app", " ", nil),
	} {
		if a.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s = %d %s, want 401", name, a.StatusCode, a.body)
		}
	}
	if gone := s.own(http.MethodDelete, client, nil); gone.StatusCode != http.StatusNoContent {
		t.Errorf("delete = %d %s", gone.StatusCode, gone.body)
	}
	wantAnswer(t, s.own(http.MethodGet, client, nil), http.StatusUnauthorized, "invalid_token")
	wantAnswer(t, s.own(http.MethodGet, other, nil), http.StatusOK, "")
}

func TestRegister_Bounded(t *testing.T) {
	s := registerServer(t, true, func(o *options) { o.throttle = &authz.ThrottlePolicy{Pair: 10, Account: 10, Address: 10, Client: 10} })
	for range 30 {
		wantAnswer(t, s.registration(http.MethodPost, registerURL, "", goodMetadata()), http.StatusCreated, "")
	}
	if a := s.registration(http.MethodPost, registerURL, "", goodMetadata()); a.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the 31st = %d %s, want 429", a.StatusCode, a.body)
	}
}
