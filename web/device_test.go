package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"chancery/authz"
)

const deviceGrantType = "urn:ietf:params:oauth:grant-type:device_code"

// deviceServer returns a server with a public client tv that is not ours, and
// may use the device grant; scope openid read.
func deviceServer(t testing.TB, edit ...func(*options)) *server {
	t.Helper()
	s := browserServer(t, edit...)
	_, _, err := s.clients.Create(t.Context(), authz.Client{
		ID: "tv", Name: "The TV", AuthMethod: authz.AuthNone, GrantTypes: []string{authz.GrantDeviceCode, authz.GrantRefreshToken},
		Scope: authz.Scope{"openid", "read", "manage"}, Resources: []string{apiURI},
	})
	must(t, err)
	s.service.Registry.Invalidate()
	return s
}

func (s *server) startDevice(pairs ...string) answer {
	s.t.Helper()
	a := s.as("tv", "/oauth/device", pairs...)
	if a.StatusCode != http.StatusOK {
		s.t.Fatalf("device = %d %s", a.StatusCode, a.body)
	}
	return a
}

func (s *server) poll(device answer, pairs ...string) answer {
	s.t.Helper()
	return s.as("tv", tokenURL, append([]string{"grant_type", deviceGrantType, "device_code", device.str("device_code")}, pairs...)...)
}

func TestDevice_WholeFlow(t *testing.T) {
	s := deviceServer(t)
	device := s.startDevice("scope", "openid read")
	code := device.str("user_code")
	if device.str("verification_uri") != issuer+"/device" || device.str("verification_uri_complete") != issuer+"/device?user_code="+code ||
		device.json["expires_in"] != 600.0 || device.json["interval"] != 5.0 || len(code) != 9 || device.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("device = %s", device.body)
	}
	wantAnswer(t, s.poll(device), http.StatusBadRequest, "authorization_pending")
	b := newBrowser(s)
	page := b.logIn(b.open(device.str("verification_uri_complete")))
	for _, want := range []string{"The TV", code, username, "<code>read</code>", "192.0.2.1"} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page lacks %q:\n%s", want, page.body)
		}
	}
	if done := b.submit(page, 0, "decision", "allow"); !strings.Contains(done.body, "connected") {
		t.Fatalf("allowed = %d %s", done.StatusCode, done.body)
	}
	tokens := s.poll(device)
	wantAnswer(t, tokens, http.StatusOK, "")
	access, id := s.claims(tokens.str("access_token")), s.signed(tokens.str("id_token"), "JWT")
	if access["client_id"] != "tv" || access["scope"] != "openid read" || id["sub"] != access["sub"] || id["aud"] != "tv" {
		t.Errorf("tokens for %v and %v", access, id)
	}
	wantAnswer(t, s.refresh("tv", tokens.str("refresh_token")), http.StatusOK, "")
	wantAnswer(t, s.poll(device), http.StatusBadRequest, "invalid_grant")
	wantConsents(t, s, 1)
	// What somebody has allowed is on the page of connected apps.
	if page := b.open("/account"); !strings.Contains(page.body, "The TV") {
		t.Error("the page of connected apps lacks it")
	}
}

func TestDevice_TypedCode(t *testing.T) {
	s := deviceServer(t)
	b := newBrowser(s)
	page := b.logIn(b.open("/device"))
	if !strings.Contains(page.body, `name="user_code"`) {
		t.Fatalf("page = %s", page.body)
	}
	code := s.startDevice().str("user_code")
	for _, typed := range []string{strings.ToLower(code), strings.ReplaceAll(code, "-", ""), " " + code[:4] + " - " + code[5:] + " "} {
		if page := b.open("/device?user_code=" + url.QueryEscape(typed)); !strings.Contains(page.body, "The TV") {
			t.Errorf("%q = %d %s", typed, page.StatusCode, page.body)
		}
	}
	for _, wrong := range []string{"BBBB-BBBB", "x", "a\x00b"} {
		page := b.open("/device?user_code=" + url.QueryEscape(wrong))
		if page.StatusCode != http.StatusUnauthorized || !strings.Contains(page.body, "no device with this code") {
			t.Errorf("%q = %d %s", wrong, page.StatusCode, page.body)
		}
	}
}

// TestDevice_Polling: RFC 8628 section 3.5.
func TestDevice_Polling(t *testing.T) {
	s := deviceServer(t)
	device := s.startDevice()
	wantAnswer(t, s.poll(device), http.StatusBadRequest, "authorization_pending")
	s.clock.Add(4 * time.Second)
	wantAnswer(t, s.poll(device), http.StatusBadRequest, "slow_down") // and wait for 10 s from now on
	s.clock.Add(9 * time.Second)
	wantAnswer(t, s.poll(device), http.StatusBadRequest, "slow_down")
	s.clock.Add(15 * time.Second)
	wantAnswer(t, s.poll(device), http.StatusBadRequest, "authorization_pending")
	s.clock.Add(10 * time.Minute)
	wantAnswer(t, s.poll(device), http.StatusBadRequest, "expired_token")
	late := newBrowser(s)
	if page := late.logIn(late.open("/device?user_code=" + device.str("user_code"))); page.StatusCode != http.StatusUnauthorized {
		t.Errorf("its code = %d, want it refused", page.StatusCode)
	}
}

func TestDevice_Denied(t *testing.T) {
	s := deviceServer(t)
	device := s.startDevice()
	b := newBrowser(s)
	page := b.logIn(b.open(device.str("verification_uri_complete")))
	if done := b.submit(page, 0, "decision", "deny"); !strings.Contains(done.body, "not connected") {
		t.Fatalf("denied = %d %s", done.StatusCode, done.body)
	}
	wantAnswer(t, s.poll(device), http.StatusBadRequest, "access_denied")
	if again := b.submit(page, 0, "decision", "allow"); again.StatusCode != http.StatusUnauthorized {
		t.Errorf("allowed after all = %d", again.StatusCode)
	}
	wantAnswer(t, s.poll(device), http.StatusBadRequest, "access_denied")
}

func TestDevice_Refused(t *testing.T) {
	s := deviceServer(t)
	for name, row := range map[string]struct {
		client string
		pairs  []string
		code   string
	}{
		"a client without the grant": {"site", nil, "unauthorized_client"},
		"an unknown scope":           {"tv", []string{"scope", "unknown"}, "invalid_scope"},
		"a malformed scope":          {"tv", []string{"scope", "a  b"}, "invalid_scope"},
		"a resource of others":       {"tv", []string{"resource", otherURI}, "invalid_target"},
		"control characters":         {"tv", []string{"scope", "a\x00"}, "invalid_request"},
	} {
		if a := s.as(row.client, "/oauth/device", row.pairs...); a.StatusCode != http.StatusBadRequest || a.str("error") != row.code {
			t.Errorf("%s = %d %s, want %s", name, a.StatusCode, a.body, row.code)
		}
	}
	wantAnswer(t, s.post("/oauth/device"), http.StatusUnauthorized, "invalid_client")
	device := s.startDevice()
	wantAnswer(t, s.as("tv", tokenURL, "grant_type", deviceGrantType), http.StatusBadRequest, "invalid_request")
	wantAnswer(t, s.as("tv", tokenURL, "grant_type", deviceGrantType, "device_code", "chdc_x"), http.StatusBadRequest, "invalid_grant")
	s.updateClient("phone", func(c *authz.Client) { c.GrantTypes = append(c.GrantTypes, authz.GrantDeviceCode) })
	wantAnswer(t, s.as("phone", tokenURL, "grant_type", deviceGrantType, "device_code", device.str("device_code")), http.StatusBadRequest, "invalid_grant")
	// A user without the role cannot allow what needs one.
	b := newBrowser(s)
	manage := s.startDevice("scope", "manage")
	if page := b.logIn(b.open(manage.str("verification_uri_complete"))); page.StatusCode != http.StatusBadRequest || !strings.Contains(page.body, "may not have any") {
		t.Errorf("a scope that the user may not have = %d %s", page.StatusCode, page.body)
	}
	b.site = "cross-site"
	b.open(device.str("verification_uri_complete"))
	if a := b.submit(b.open(device.str("verification_uri_complete")), 0, "decision", "allow"); a.StatusCode != http.StatusForbidden {
		t.Errorf("allowed by another site = %d", a.StatusCode)
	}
}

// TestDevice_Guessing: the codes are short.
func TestDevice_Guessing(t *testing.T) {
	s := deviceServer(t, func(o *options) {
		o.throttle = &authz.ThrottlePolicy{Pair: 100, Account: 100, Address: 100, Client: 100}
	})
	code := s.startDevice().str("user_code")
	b := newBrowser(s)
	b.logIn(b.open("/device"))
	for range 30 {
		b.open("/device?user_code=BBBB-BBBB")
	}
	if page := b.open("/device?user_code=" + code); page.StatusCode != http.StatusTooManyRequests {
		t.Errorf("after 30 guesses = %d, want 429", page.StatusCode)
	}
}

func TestDevice_DiesWithItsUser(t *testing.T) {
	s := deviceServer(t)
	device := s.startDevice()
	b := newBrowser(s)
	b.submit(b.logIn(b.open(device.str("verification_uri_complete"))), 0, "decision", "allow")
	_, err := s.users.Ban(t.Context(), username, authz.Forever, "spam")
	must(t, err)
	wantAnswer(t, s.poll(device), http.StatusBadRequest, "invalid_grant")
}
