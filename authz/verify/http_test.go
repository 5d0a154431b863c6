package verify_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"chancery/authz/verify"
)

// served sends a request with the headers to a handler behind Require.
func served(t *testing.T, v *verify.Verifier, target string, headers []string, scopes ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	v.Require(scopes...)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := verify.FromContext(r.Context())
		if !ok || token.Subject == "" {
			t.Error("the handler has no token")
		}
		w.WriteHeader(http.StatusNoContent)
	})).ServeHTTP(recorder, r)
	return recorder.Result()
}

func TestBE_Answers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		v := i.verifier()
		good, bad := "Bearer "+i.token(1), "Bearer "+i.token(1, object{"aud": "https://other.example"})
		const (
			realm    = `Bearer realm="https://as.example"`
			metadata = `resource_metadata="https://api.example/.well-known/oauth-protected-resource"`
			invalid  = realm + `, error="invalid_token", error_description="The access token is not valid, or no longer.", scope="read"`
			two      = realm + `, error="invalid_request", error_description="The request carries more than one access token.", scope="read"`
		)
		for name, test := range map[string]struct {
			target    string
			headers   []string
			scopes    []string
			status    int
			challenge string
		}{
			"good":                          {"/", []string{"Authorization", good}, []string{"read"}, 204, ""},
			"good, scheme in small letters": {"/", []string{"Authorization", "bearer " + good[7:]}, []string{"read", "write"}, 204, ""},
			"good, several spaces":          {"/", []string{"Authorization", "Bearer   " + good[7:]}, nil, 204, ""},
			"BE-01 none":                    {"/", nil, []string{"read"}, 401, realm + `, scope="read", ` + metadata},
			"BE-01 another scheme":          {"/", []string{"Authorization", "Basic eDp5"}, []string{"read"}, 401, realm + `, scope="read", ` + metadata},
			"BE-01 the scheme alone":        {"/", []string{"Authorization", "Bearer"}, nil, 401, realm + ", " + metadata},
			"RS-01 in the query alone":      {"/?access_token=" + good[7:], nil, nil, 401, realm + ", " + metadata},
			"BE-02 bad":                     {"/", []string{"Authorization", bad}, []string{"read"}, 401, invalid + ", " + metadata},
			"BE-02 nonsense":                {"/", []string{"Authorization", "Bearer x y z"}, []string{"read"}, 401, invalid + ", " + metadata},
			"BE-02 empty":                   {"/", []string{"Authorization", "Bearer "}, []string{"read"}, 401, invalid + ", " + metadata},
			"BE-03 two headers":             {"/", []string{"Authorization", good, "Authorization", good}, []string{"read"}, 400, two + ", " + metadata},
			"BE-03 header and query":        {"/?x=1&access_token=y", []string{"Authorization", good}, []string{"read"}, 400, two + ", " + metadata},
			"a parameter of a similar name": {"/?my_access_token=y", []string{"Authorization", good}, []string{"read"}, 204, ""},
			"BE-04 scope": {
				"/",
				[]string{"Authorization", good},
				[]string{"read", "admin"},
				403,
				realm + `, error="insufficient_scope", error_description="The access token lacks a scope that is needed here.", scope="read admin", ` + metadata,
			},
		} {
			response := served(t, v, test.target, test.headers, test.scopes...)
			if response.StatusCode != test.status || response.Header.Get("WWW-Authenticate") != test.challenge {
				t.Errorf("%s: %d %s\nwant %d %s", name, response.StatusCode, response.Header.Get("WWW-Authenticate"), test.status, test.challenge)
			}
			if test.status == 204 {
				continue
			}
			var body map[string]string
			if err := json.NewDecoder(response.Body).Decode(&body); err != nil || body["error"] == "" || response.Header.Get("Cache-Control") != "no-store" ||
				response.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s: body %v (%v), headers %v", name, body, err, response.Header)
			}
		}
	})
}

func TestUnavailableIsNoRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		token := i.token(1)
		i.down(true)
		response := served(t, i.verifier(), "/", []string{"Authorization", "Bearer " + token}, "read")
		if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" || response.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("while nothing can be verified: %d %v, want 503 with Retry-After and no challenge", response.StatusCode, response.Header)
		}
	})
}

// BE-05: what is configured cannot break out of the header.
func TestBE05_QuotedStrings(t *testing.T) {
	i := newIssuer(t)
	v, err := verify.New(vectorIssuer, "urn:api", verify.Options{Client: &http.Client{Transport: i}})
	must(t, err)
	response := served(t, v, "/", nil, "a\"b\\c\r\nd\xffé")
	if got, want := response.Header.Get("WWW-Authenticate"), `Bearer realm="https://as.example", scope="abcd"`; got != want {
		t.Errorf("challenge %q, want %q", got, want)
	}
}

func TestBE06_Metadata(t *testing.T) {
	for audience, test := range map[string]struct{ path, hint string }{
		"https://api.example":            {"/.well-known/oauth-protected-resource", "https://api.example/.well-known/oauth-protected-resource"},
		"https://api.example/":           {"/.well-known/oauth-protected-resource", "https://api.example/.well-known/oauth-protected-resource"},
		"https://api.example/orders":     {"/.well-known/oauth-protected-resource/orders", "https://api.example/.well-known/oauth-protected-resource/orders"},
		"https://api.example/orders?v=1": {"/.well-known/oauth-protected-resource/orders", "https://api.example/.well-known/oauth-protected-resource/orders?v=1"},
		"urn:example:api":                {"/.well-known/oauth-protected-resource", ""},
	} {
		v, err := verify.New(vectorIssuer, audience, verify.Options{})
		must(t, err)
		if got := v.MetadataPath(); got != test.path {
			t.Errorf("%s: path %s, want %s", audience, got, test.path)
		}
		challenge := served(t, v, "/", nil).Header.Get("WWW-Authenticate")
		if hint := `resource_metadata="` + test.hint + `"`; strings.Contains(challenge, "resource_metadata") != (test.hint != "") || (test.hint != "" && !strings.Contains(challenge, hint)) {
			t.Errorf("%s: challenge %s, want %s", audience, challenge, hint)
		}
		recorder := httptest.NewRecorder()
		v.Metadata("read", "write").ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, test.path, nil))
		var document struct {
			Resource string   `json:"resource"`
			Servers  []string `json:"authorization_servers"`
			Scopes   []string `json:"scopes_supported"`
			Methods  []string `json:"bearer_methods_supported"`
		}
		must(t, json.Unmarshal(recorder.Body.Bytes(), &document))
		if document.Resource != audience || len(document.Servers) != 1 || document.Servers[0] != vectorIssuer || len(document.Scopes) != 2 || len(document.Methods) != 1 || document.Methods[0] != "header" {
			t.Errorf("%s: document %s", audience, recorder.Body)
		}
		if recorder.Header().Get("Access-Control-Allow-Origin") != "*" || recorder.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: headers %v", audience, recorder.Header())
		}
	}
}
