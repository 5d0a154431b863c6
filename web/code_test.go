package web_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"chancery/authz"
)

func TestCode_Refusals(t *testing.T) {
	s := browserServer(t)
	b := newBrowser(s)
	for name, row := range map[string]struct {
		client string
		pairs  []string
		code   string
	}{
		"no code":             {"site", []string{"code", ""}, "invalid_request"},
		"unknown code":        {"site", []string{"code", "chac_x"}, "invalid_grant"},
		"another client":      {"phone", nil, "invalid_grant"},
		"no verifier":         {"site", []string{"code_verifier", ""}, "invalid_grant"},
		"wrong verifier":      {"site", []string{"code_verifier", strings.Repeat("a", 43)}, "invalid_grant"},
		"challenge as such":   {"site", []string{"code_verifier", challengeOf(verifier)}, "invalid_grant"},
		"another redirect":    {"site", []string{"redirect_uri", siteRedirect + "?tenant=1"}, "invalid_grant"},
		"resource of others":  {"site", []string{"resource", otherURI}, "invalid_target"},
		"malformed resource":  {"site", []string{"resource", "x"}, "invalid_target"},
		"control in verifier": {"site", []string{"code_verifier", "a\x00"}, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			code := b.code("site")
			wantAnswer(t, b.exchange(row.client, code, row.pairs...), http.StatusBadRequest, row.code)
			// A refusal consumes nothing.
			wantAnswer(t, b.exchange("site", code), http.StatusOK, "")
		})
	}
	wantAnswer(t, s.post(tokenURL, "client_id", "site", "grant_type", "authorization_code", "code", b.code("site"), "code_verifier", verifier), http.StatusUnauthorized, "invalid_client")
}

func TestCode_ExpiresAfterAMinute(t *testing.T) {
	s := browserServer(t)
	b := newBrowser(s)
	young, old := b.code("site"), b.code("site", "state", "other")
	s.clock.Add(time.Minute - time.Second)
	wantAnswer(t, b.exchange("site", young), http.StatusOK, "")
	s.clock.Add(time.Second)
	wantAnswer(t, b.exchange("site", old), http.StatusBadRequest, "invalid_grant")
}

// TestCode_ReplayEndsItsSession: RFC 6749 section 4.1.2.
func TestCode_ReplayEndsItsSession(t *testing.T) {
	s := browserServer(t)
	b := newBrowser(s)
	code := b.code("site")
	tokens := b.exchange("site", code)
	wantAnswer(t, tokens, http.StatusOK, "")
	// Without the verifier, or as another client, nobody can end it.
	wantAnswer(t, b.exchange("site", code, "code_verifier", strings.Repeat("x", 43)), http.StatusBadRequest, "invalid_grant")
	wantAnswer(t, b.exchange("phone", code), http.StatusBadRequest, "invalid_grant")
	wantAnswer(t, s.refresh("site", tokens.str("refresh_token")), http.StatusOK, "")
	s.clock.Add(10 * time.Minute)
	replay := b.exchange("site", code)
	wantAnswer(t, replay, http.StatusBadRequest, "invalid_grant")
	if replay.str("cause") != "code_replayed" {
		t.Errorf("cause = %q", replay.str("cause"))
	}
	if a := s.as("api", introspectURL, "token", tokens.str("access_token")); a.json["active"] != false {
		t.Errorf("the access token after the replay = %s", a.body)
	}
	wantAnswer(t, s.refresh("site", tokens.str("refresh_token")), http.StatusBadRequest, "invalid_grant")
	events, err := s.store.ListEvents(t.Context(), authz.EventFilter{Kind: authz.EventReuseDetected, Page: authz.Page{Limit: 10}})
	if must(t, err); len(events) != 1 || events[0].Cause != authz.CauseCodeReplayed {
		t.Errorf("events = %+v", events)
	}
}

// TestCode_ParallelExchanges: one code never makes two sessions that live.
func TestCode_ParallelExchanges(t *testing.T) {
	s := browserServer(t)
	code := newBrowser(s).code("site")
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			newBrowser(s).exchange("site", code)
		})
	}
	group.Wait()
	sessions, err := s.store.ListSessions(t.Context(), authz.SessionFilter{ClientID: "site", Page: authz.Page{Limit: 100}})
	must(t, err)
	live := 0
	for _, session := range sessions {
		if session.RevokedAt.IsZero() {
			live++
		}
	}
	if len(sessions) != 1 || live != 0 {
		t.Errorf("%d sessions, %d of them live; want one, ended by the replays", len(sessions), live)
	}
}

func TestCode_DiesWithItsUser(t *testing.T) {
	for name, end := range map[string]func(s *server, userID string) error{
		"banned": func(s *server, userID string) error {
			_, err := s.users.Ban(s.t.Context(), userID, authz.Forever, "spam")
			return err
		},
		"password changed": func(s *server, userID string) error {
			_, err := s.users.SetPassword(s.t.Context(), userID, secretPW+" new", false)
			return err
		},
		"deleted": func(s *server, userID string) error {
			_, err := s.users.Delete(s.t.Context(), userID)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := browserServer(t)
			b := newBrowser(s)
			code := b.code("site")
			user, err := s.users.Find(t.Context(), username)
			must(t, err)
			must(t, end(s, user.ID))
			wantAnswer(t, b.exchange("site", code), http.StatusBadRequest, "invalid_grant")
			if a := b.open(authorizeURL("site")); !strings.Contains(a.body, `name="password"`) {
				t.Errorf("the browser is still logged in: %d to %s", a.StatusCode, a.Header.Get("Location"))
			}
		})
	}
}

func TestCode_WithoutPKCE(t *testing.T) {
	b := newBrowser(browserServer(t))
	none := []string{"code_challenge", "", "code_challenge_method", ""}
	const redirect = "https://legacy.example/callback"
	code := b.code("legacy", none...)
	wantAnswer(t, b.exchange("legacy", code, "redirect_uri", redirect), http.StatusBadRequest, "invalid_grant") // a verifier without a challenge
	wantAnswer(t, b.exchange("legacy", code, "code_verifier", ""), http.StatusBadRequest, "invalid_grant")      // no redirect URI
	tokens := b.exchange("legacy", code, "code_verifier", "", "redirect_uri", redirect)
	wantAnswer(t, tokens, http.StatusOK, "")
	header, err := base64.RawURLEncoding.DecodeString(strings.Split(tokens.str("id_token"), ".")[0])
	if must(t, err); !strings.Contains(string(header), `"alg":"ES256"`) {
		t.Errorf("the ID token has the header %s, want ES256 as registered", header)
	}
	with := b.code("legacy")
	wantAnswer(t, b.exchange("legacy", with, "code_verifier", "", "redirect_uri", redirect), http.StatusBadRequest, "invalid_grant")
	wantAnswer(t, b.exchange("legacy", with), http.StatusOK, "")
}

func TestPAR(t *testing.T) {
	s := browserServer(t)
	b := newBrowser(s)
	parameters := func(pairs ...string) []string {
		query, err := url.ParseQuery(strings.TrimPrefix(authorizeURL("site", pairs...), "/oauth/authorize?"))
		must(t, err)
		var all []string
		for name, values := range query {
			for _, value := range values {
				all = append(all, name, value)
			}
		}
		return all
	}
	pushed := s.as("site", "/oauth/par", parameters("scope", "openid read")...)
	if pushed.StatusCode != http.StatusCreated || pushed.json["expires_in"] != 600.0 || pushed.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("pushed = %d %s", pushed.StatusCode, pushed.body)
	}
	address := "/oauth/authorize?client_id=site&request_uri=" + url.QueryEscape(pushed.str("request_uri"))
	if a := newBrowser(s).open(strings.Replace(address, "client_id=site", "client_id=phone", 1)); a.StatusCode != http.StatusBadRequest {
		t.Errorf("as another client = %d", a.StatusCode)
	}
	consent := b.logIn(b.open(address))
	values := b.answered(b.submit(consent, 0, "decision", "allow"), siteRedirect)
	wantAnswer(t, b.exchange("site", values.Get("code")), http.StatusOK, "")
	if a := b.open(address); a.StatusCode != http.StatusBadRequest || a.Header.Get("Location") != "" {
		t.Errorf("a second time = %d to %s, want an error", a.StatusCode, a.Header.Get("Location"))
	}

	late := s.as("site", "/oauth/par", parameters()...)
	s.clock.Add(10 * time.Minute)
	if a := b.open("/oauth/authorize?client_id=site&request_uri=" + url.QueryEscape(late.str("request_uri"))); a.StatusCode != http.StatusBadRequest {
		t.Errorf("ten minutes later = %d, want an error", a.StatusCode)
	}
	for name, row := range map[string]struct {
		pairs []string
		code  string
	}{
		"another redirect": {[]string{"redirect_uri", "https://evil.example"}, "invalid_request"},
		"no challenge":     {[]string{"code_challenge", ""}, "invalid_request"},
		"unknown scope":    {[]string{"scope", "unknown"}, "invalid_scope"},
		"request_uri":      {[]string{"request_uri", "urn:ietf:params:oauth:request_uri:x"}, "invalid_request"},
		"implicit":         {[]string{"response_type", "token"}, "unsupported_response_type"},
		"resource":         {[]string{"resource", otherURI}, "invalid_target"},
	} {
		if a := s.as("site", "/oauth/par", parameters(row.pairs...)...); a.StatusCode != http.StatusBadRequest || a.str("error") != row.code {
			t.Errorf("%s = %d %s, want %s", name, a.StatusCode, a.body, row.code)
		}
	}
	wantAnswer(t, s.post("/oauth/par", parameters()...), http.StatusUnauthorized, "invalid_client")
	wantAnswer(t, s.as("robot", "/oauth/par", parameters("client_id", "robot")...), http.StatusBadRequest, "invalid_request")
}
