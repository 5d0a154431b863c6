package web_test

import (
	"fmt"
	"net/http"
	"testing"
)

// TestAdminClientWithKeys: what the examples leave out.
func TestAdminClientWithKeys(t *testing.T) {
	f := newAdminFixture(t)
	key := newKey(t)
	body := `{"client_id":"signer","token_endpoint_auth_method":"private_key_jwt","jwks":%s,"grant_types":["client_credentials"],"resources":[%q],"scope":"read"}`
	a := f.do(f.adminRequest(f.token, http.MethodPost, "/clients", fmt.Sprintf(body, keySetOf(t, key, "k1"), apiURI)))
	if a.StatusCode != http.StatusCreated || a.json["client_secret"] != nil || a.json["jwks"] == nil {
		t.Fatalf("create = %d %s", a.StatusCode, a.body)
	}
	f.service.Registry.Invalidate()
	signer := &signing{server: f.server, id: "signer", key: key, kid: "k1"}
	wantAnswer(t, signer.ask(signer.assertion("", nil)), http.StatusOK, "")
	r := f.adminRequest(f.token, http.MethodPatch, "/clients/signer", `{"jwks_uri":"https://signer.example/jwks.json"}`)
	r.Header.Set("If-Match", "*")
	if a = f.do(r); a.StatusCode != http.StatusOK || a.json["jwks"] != nil || a.json["jwks_uri"] != "https://signer.example/jwks.json" {
		t.Errorf("update = %d %s, want the address in place of the keys", a.StatusCode, a.body)
	}
	rotate := f.do(f.adminRequest(f.token, http.MethodPost, "/clients/signer/rotate-secret", `{}`))
	if rotate.StatusCode != http.StatusBadRequest {
		t.Errorf("a secret for it = %d %s", rotate.StatusCode, rotate.body)
	}
}
