package web_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"chancery/authz"
	"chancery/web/segment"
)

const (
	documentID       = "https://editor.example/oauth/client.json"
	documentRedirect = "https://editor.example/callback"
)

// documentServer returns a server at which clients are let in that publish what
// they are.
func documentServer(t testing.TB, edit ...func(*options)) *server {
	t.Helper()
	return newServer(t, append(edit, func(o *options) { o.clientDocuments = true })...)
}

// describe makes a document what a client says of itself from now on.
func (s *server) describe(id string, changes ...map[string]any) {
	s.t.Helper()
	document := map[string]any{
		"client_id": id, "client_name": "The Editor", "redirect_uris": []string{documentRedirect, "http://127.0.0.1/callback"},
		"grant_types": []string{"authorization_code", "refresh_token"}, "token_endpoint_auth_method": "none",
	}
	for _, c := range changes {
		for name, value := range c {
			document[name] = value
		}
	}
	body, err := json.Marshal(document)
	must(s.t, err)
	s.published[id] = string(body)
	delete(s.copied, id)
}

func TestClientDocument_WholeFlow(t *testing.T) {
	s := documentServer(t)
	s.describe(documentID)
	if supported := s.get("/.well-known/oauth-authorization-server").json["client_id_metadata_document_supported"]; supported != true {
		t.Errorf("client_id_metadata_document_supported = %v", supported)
	}
	b := newBrowser(s)
	page := b.logIn(b.open(authorizeURL(documentID, "redirect_uri", documentRedirect)))
	for _, want := range []string{"The Editor", "editor.example", username} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page lacks %q:\n%s", want, page.body)
		}
	}
	if _, err := s.store.Client(t.Context(), documentID); !errors.Is(err, authz.ErrNotFound) {
		t.Errorf("a client is stored that nobody has let in: %v", err)
	}
	code := b.answered(b.submit(page, 0, "decision", "allow"), documentRedirect).Get("code")
	tokens := b.exchange(documentID, code, "redirect_uri", documentRedirect)
	wantAnswer(t, tokens, http.StatusOK, "")
	if claims := s.claims(tokens.str("access_token")); claims["client_id"] != documentID || claims["aud"] != apiURI {
		t.Errorf("token = %v", claims)
	}
	wantAnswer(t, s.refresh(documentID, tokens.str("refresh_token")), http.StatusOK, "")
	if account := b.open("/account"); !strings.Contains(account.body, "of editor.example") {
		t.Errorf("the page of connected apps lacks it: %s", account.body)
	}
	if told := s.as("api", introspectURL, "token", tokens.str("access_token")); told.json["active"] != true || told.str("client_id") != documentID {
		t.Errorf("introspection = %s", told.body)
	}
	// It never logs users in by itself.
	wantAnswer(t, s.as(documentID, tokenURL, "grant_type", "password", "username", username, "password", secretPW), http.StatusBadRequest, "unauthorized_client")
	// Again, and nobody is asked.
	again := b.open(authorizeURL(documentID, "redirect_uri", documentRedirect))
	if b.answered(again, documentRedirect).Get("code") == "" {
		t.Errorf("the second login = %d %s", again.StatusCode, again.body)
	}
}

// TestClientDocument_Refused: attacks 40 and 42 among others. What was wrong is
// told to nobody: it would say what is to be found where.
func TestClientDocument_Refused(t *testing.T) {
	s := documentServer(t)
	for name, changes := range map[string]map[string]any{
		"another client":      {"client_id": "https://editor.example/oauth/other.json"},
		"no client_id":        {"client_id": nil},
		"client_id as a list": {"client_id": []string{documentID}},
		"a secret":            {"token_endpoint_auth_method": "client_secret_basic"},
		"no key":              {"token_endpoint_auth_method": "private_key_jwt"},
		"other grants":        {"grant_types": []string{"client_credentials"}},
		"other answers":       {"response_types": []string{"token"}},
		"other scope":         {"scope": "other"},
		"http":                {"redirect_uris": []string{"http://editor.example/callback", documentRedirect}},
		"control characters":  {"client_name": "a\u0007b"},
		"same URI twice":      {"redirect_uris": []string{documentRedirect, documentRedirect}},
	} {
		s.describe(documentID, changes)
		wantNoClient(t, s, name, documentID)
	}
	for name, body := range map[string]string{"a list": "[]", "null": "null", "no JSON": "<html>", "broken": `{"client_id":`, "empty": ""} {
		s.published[documentID] = body
		delete(s.copied, documentID)
		wantNoClient(t, s, name, documentID)
	}
	for _, id := range []string{
		"http://editor.example/client.json", "https://editor.example", "https://editor.example/a/../client.json", "https://editor.example/./client.json",
		"https://editor.example/%2e%2e/client.json", "https://user@editor.example/client.json", "https://editor.example/client.json#a", "ftp://editor.example/client.json",
		"https:client.json", "https://EDITOR.example/client.json", "https://editor.example/a b", "https://editor.example/" + strings.Repeat("a", 250), "https://*.example/client.json",
		"com.example.app:/client.json",
	} {
		s.describe(id)
		fetched := len(s.fetches)
		wantNoClient(t, s, id, id)
		if len(s.fetches) != fetched {
			t.Errorf("%s was asked for", id)
		}
	}
}

func wantNoClient(t *testing.T, s *server, name, id string) {
	t.Helper()
	a := newBrowser(s).open(authorizeURL(id, "redirect_uri", documentRedirect))
	told := strings.Contains(a.body, "There is no such client") || strings.Contains(a.body, "The app does not say at its address what it is")
	if a.StatusCode != http.StatusBadRequest || !told || strings.Contains(a.body, "document") {
		t.Errorf("%s = %d %s", name, a.StatusCode, a.body)
	}
	wantAnswer(t, s.as(id, tokenURL, "grant_type", "authorization_code", "code", "x"), http.StatusUnauthorized, "invalid_client")
}

// TestClientDocument_Off: nobody is let in, and nothing is asked for; who was let
// in before stays, as it was stored.
func TestClientDocument_Off(t *testing.T) {
	s := newServer(t)
	s.describe(documentID)
	wantNoClient(t, s, "off", documentID)
	if len(s.fetches) > 0 {
		t.Error("a document was asked for")
	}
	if _, ok := s.get("/.well-known/oauth-authorization-server").json["client_id_metadata_document_supported"]; ok {
		t.Error("it is said to be on")
	}
	s = documentServer(t)
	s.describe(documentID)
	b := newBrowser(s)
	tokens := b.session(documentID, "redirect_uri", documentRedirect)
	s.service.Documents = nil
	delete(s.published, documentID)
	delete(s.copied, documentID)
	wantAnswer(t, s.refresh(documentID, tokens.str("refresh_token")), http.StatusOK, "")
	b.session(documentID, "redirect_uri", documentRedirect)
}

// TestClientDocument_Changes: a login begins with what the document says now, and
// an admin has the last word.
func TestClientDocument_Changes(t *testing.T) {
	s := documentServer(t)
	s.describe(documentID)
	b := newBrowser(s)
	first := b.session(documentID, "redirect_uri", documentRedirect)
	_, err := s.clients.Update(t.Context(), documentID, func(c *authz.Client) error {
		idle := time.Hour
		c.Refresh.IdleTTL = &idle
		return nil
	})
	must(t, err)

	const moved = "https://editor.example/elsewhere"
	s.describe(documentID, map[string]any{"client_name": "New name", "redirect_uris": []string{moved}, "dpop_bound_access_tokens": false, "first_party": true, "introspect": true})
	gone := b.open(authorizeURL(documentID, "redirect_uri", documentRedirect))
	if gone.StatusCode != http.StatusBadRequest {
		t.Errorf("the redirect URI of before = %d", gone.StatusCode)
	}
	b.session(documentID, "redirect_uri", moved)
	client, err := s.clients.Find(t.Context(), documentID)
	must(t, err)
	if client.Name != "New name" || client.FirstParty || client.Introspect || client.Origin != authz.OriginDocument || *client.Refresh.IdleTTL != time.Hour {
		t.Errorf("client = %+v", client)
	}

	// A document that is gone lets nobody in, and ends no session.
	delete(s.published, documentID)
	delete(s.copied, documentID)
	if a := b.open(authorizeURL(documentID, "redirect_uri", moved)); a.StatusCode != http.StatusBadRequest {
		t.Errorf("without its document = %d", a.StatusCode)
	}
	second := s.refresh(documentID, first.str("refresh_token"))
	wantAnswer(t, second, http.StatusOK, "")

	s.describe(documentID)
	_, err = s.clients.Update(t.Context(), documentID, func(c *authz.Client) error { c.Disable(true, s.clock.Now()); return nil })
	must(t, err)
	wantNoClient(t, s, "disabled", documentID)
	wantAnswer(t, s.refresh(documentID, second.str("refresh_token")), http.StatusUnauthorized, "invalid_client")
}

// TestClientDocument_Keys: a client that signs may change its keys without asking
// any user, and may push a request before one has let it in.
func TestClientDocument_Keys(t *testing.T) {
	s := documentServer(t)
	c := &signing{server: s, id: documentID, key: newKey(t), kid: "k1"}
	signs := func() map[string]any {
		return map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks": json.RawMessage(keySetOf(t, c.key, c.kid))}
	}
	s.describe(documentID, signs())
	proof := func() []string {
		return []string{"client_assertion_type", assertionType, "client_assertion", c.assertion("", nil), "client_id", documentID}
	}
	pushed := s.post("/oauth/par", append(proof(), "response_type", "code", "redirect_uri", documentRedirect, "scope", "openid read",
		"code_challenge", challengeOf(verifier), "code_challenge_method", "S256")...)
	wantAnswer(t, pushed, http.StatusCreated, "")
	b := newBrowser(s)
	page := b.logIn(b.open("/oauth/authorize?client_id=" + documentID + "&request_uri=" + pushed.str("request_uri")))
	code := b.answered(b.submit(page, 0, "decision", "allow"), documentRedirect).Get("code")
	wantAnswer(t, s.as(documentID, tokenURL, "grant_type", "authorization_code", "code", code), http.StatusUnauthorized, "invalid_client")
	tokens := s.post(tokenURL, append(proof(), "grant_type", "authorization_code", "code", code, "code_verifier", verifier, "redirect_uri", documentRedirect)...)
	wantAnswer(t, tokens, http.StatusOK, "")
	old := c.key
	c.key, c.kid = newKey(t), "k2"
	s.describe(documentID, signs())
	refreshed := s.post(tokenURL, append(proof(), "grant_type", "refresh_token", "refresh_token", tokens.str("refresh_token"))...)
	wantAnswer(t, refreshed, http.StatusOK, "")
	newer := c.key
	c.key, c.kid = old, "k1"
	wantUnproven(t, "a key that it has taken back", s.post(tokenURL, append(proof(), "grant_type", "refresh_token", "refresh_token", refreshed.str("refresh_token"))...))
	s.unreachable = true // the stored key does, which is the newest that any user has let in
	refreshed = s.post(tokenURL, append(proof(), "grant_type", "refresh_token", "refresh_token", refreshed.str("refresh_token"))...)
	wantAnswer(t, refreshed, http.StatusOK, "")
	s.unreachable = false
	c.key, c.kid = newer, "k2"
	refreshed = s.post(tokenURL, append(proof(), "grant_type", "refresh_token", "refresh_token", refreshed.str("refresh_token"))...)
	wantAnswer(t, refreshed, http.StatusOK, "")
	c.key, c.kid = newKey(t), "k3"
	wantUnproven(t, "a key that it has not published", s.post(tokenURL, append(proof(), "grant_type", "refresh_token", "refresh_token", refreshed.str("refresh_token"))...))
	// A document may turn a client with keys into a public one, and back.
	s.describe(documentID)
	b.session(documentID, "redirect_uri", documentRedirect)
	c.key, c.kid = old, "k1"
	s.describe(documentID, signs())
	b.code(documentID, "redirect_uri", documentRedirect)
	wantUnproven(t, "without a proof", s.as(documentID, tokenURL, "grant_type", "refresh_token", "refresh_token", refreshed.str("refresh_token")))
}

// TestClientDocument_Unreachable: a site that does not answer keeps nobody out who
// was let in before, and lets nobody in who was not.
func TestClientDocument_Unreachable(t *testing.T) {
	s := documentServer(t, func(o *options) {
		o.throttle = &authz.ThrottlePolicy{Pair: 1000, Account: 1000, Address: 1000, Client: 1000}
	})
	s.describe(documentID)
	b := newBrowser(s)
	b.session(documentID, "redirect_uri", documentRedirect)
	s.unreachable = true
	b.session(documentID, "redirect_uri", documentRedirect)
	other := b.open(authorizeURL("https://other.example/client.json", "redirect_uri", documentRedirect))
	if other.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a client that nobody knows = %d %s", other.StatusCode, other.body)
	}
	// Whoever lets the server ask for too much must wait, and keeps nobody else out.
	s.unreachable = false
	delete(s.copied, documentID)
	refused := 0
	for i := range 100 {
		a := b.open(authorizeURL(fmt.Sprintf("https://host%d.example/client.json", i), "redirect_uri", documentRedirect))
		if a.StatusCode == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused < 30 || len(s.fetches) > 80 {
		t.Errorf("%d of 100 were refused after %d fetches", refused, len(s.fetches))
	}
	b.session(documentID, "redirect_uri", documentRedirect)
}

func TestClientDocument_Device(t *testing.T) {
	s := documentServer(t)
	s.describe(documentID, map[string]any{"grant_types": []string{deviceGrantType, "refresh_token", "urn:example:other"}, "redirect_uris": []string{}})
	device := s.as(documentID, "/oauth/device", "scope", "openid read")
	wantAnswer(t, device, http.StatusOK, "")
	b := newBrowser(s)
	page := b.logIn(b.open(device.str("verification_uri_complete")))
	if !strings.Contains(page.body, "editor.example") {
		t.Errorf("the page lacks the host:\n%s", page.body)
	}
	b.submit(page, 0, "decision", "allow")
	wantAnswer(t, s.as(documentID, tokenURL, "grant_type", deviceGrantType, "device_code", device.str("device_code")), http.StatusOK, "")
}

// TestClientDocument_AtOnce: users who let the same client in at the same moment
// do not stand in each other's way.
func TestClientDocument_AtOnce(t *testing.T) {
	s := documentServer(t)
	s.describe(documentID)
	pages := make([]answer, 8)
	browsers := make([]*browser, len(pages))
	for i := range pages {
		browsers[i] = newBrowser(s)
		pages[i] = browsers[i].logIn(browsers[i].open(authorizeURL(documentID, "redirect_uri", documentRedirect)))
	}
	var group sync.WaitGroup
	for i, b := range browsers {
		group.Go(func() {
			if a := b.submit(pages[i], 0, "decision", "allow"); !strings.Contains(a.Header.Get("Location"), "code=") {
				t.Errorf("allowed = %d %s", a.StatusCode, a.body)
			}
		})
	}
	group.Wait()
}

// TestClientDocument_Administered: an id that is a URL has a path of its own.
func TestClientDocument_Administered(t *testing.T) {
	f := newConsole(t, func(o *options) { o.clientDocuments = true })
	f.describe(documentID)
	newBrowser(f.server).session(documentID, "redirect_uri", documentRedirect)
	id := segment.OfClient(documentID)
	a := f.do(f.adminRequest(f.token, http.MethodGet, "/clients/"+id, ""))
	if a.StatusCode != http.StatusOK || a.str("client_id") != documentID || a.str("origin") != "document" {
		t.Errorf("client = %d %s", a.StatusCode, a.body)
	}
	for _, path := range []string{"/console/clients", "/console/events", "/console/sessions?q=editor"} {
		if page := f.see(path); strings.Contains(page.body, `href="/console/clients/https:`) {
			t.Errorf("%s leads to where there is nothing:\n%s", path, page.body)
		}
	}
	for _, path := range []string{"/console/clients", "/console/clients/" + id, "/console/sessions?q=" + url.QueryEscape(documentID)} {
		if page := f.see(path); page.StatusCode != http.StatusOK || !strings.Contains(page.body, "/console/clients/"+id) {
			t.Errorf("%s = %d %s", path, page.StatusCode, page.body)
		}
	}
	disabled := f.send("/console/clients/" + id + "/disable")
	if disabled.StatusCode != http.StatusSeeOther || disabled.Header.Get("Location") != "/console/clients/"+id {
		t.Errorf("disabled = %d to %s", disabled.StatusCode, disabled.Header.Get("Location"))
	}
	wantNoClient(t, f.server, "disabled", documentID)
	deleted := f.do(f.adminRequest(f.token, http.MethodDelete, "/clients/"+id, ""))
	if deleted.StatusCode != http.StatusNoContent {
		t.Errorf("deleted = %d %s", deleted.StatusCode, deleted.body)
	}
}
