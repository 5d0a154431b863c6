package web_test

import (
	"net/http"
	"testing"
)

func TestHarness(t *testing.T) {
	s := newServer(t)
	first := s.login("app")
	second := s.refresh("app", first.str("refresh_token"))
	s.expect(second, http.StatusOK, "")
	if sid := s.claims(second.str("access_token"))["sid"]; sid != s.claims(first.str("access_token"))["sid"] {
		t.Errorf("sid changed to %v", sid)
	}
	s.expect(s.as("robot", "/oauth/token", "grant_type", "client_credentials"), http.StatusOK, "")
}
