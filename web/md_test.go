package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"chancery/authz"
	"chancery/authz/authztest"

	"github.com/google/go-cmp/cmp"
)

const (
	metadataURL = "/.well-known/oauth-authorization-server"
	openidURL   = "/.well-known/openid-configuration"
	jwksURL     = "/.well-known/jwks.json"
	tenant      = "https://as.example/tenant"
)

// metadata returns the metadata of a server.
func metadata(t *testing.T, s *server, path string) map[string]any {
	t.Helper()
	a := s.get(path)
	wantAnswer(t, a, http.StatusOK, "")
	return a.json
}

// strs returns a member that is a list of strings.
func strs(t *testing.T, document map[string]any, name string) []string {
	t.Helper()
	list, ok := document[name].([]any)
	if !ok {
		t.Fatalf("%s = %v, want a list", name, document[name])
	}
	values := make([]string, len(list))
	for i, value := range list {
		if values[i], ok = value.(string); !ok {
			t.Fatalf("%s[%d] = %v, want a string", name, i, value)
		}
	}
	return values
}

// pathOf returns what an advertised URL is below the host, having checked that
// it is one of the issuer.
func pathOf(t *testing.T, document map[string]any, name string) string {
	t.Helper()
	value, _ := document[name].(string)
	u, err := url.Parse(value)
	must(t, err)
	if base, _ := document["issuer"].(string); u.Scheme != "https" || base == "" || !strings.HasPrefix(value, base+"/") {
		t.Fatalf("%s = %q, want an https URL below %q", name, value, base)
	}
	return u.Path
}

// misled returns the request with headers by which a proxy or an attacker
// gives the server other names (attack 50).
func misled(r *http.Request) *http.Request {
	r.Host = "evil.example"
	for name, value := range map[string]string{
		"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http", "X-Forwarded-Prefix": "/evil", "X-Forwarded-Port": "81",
		"Forwarded": "host=evil.example;proto=http", "X-Original-URL": "/evil", "X-Rewrite-URL": "/evil",
	} {
		r.Header.Set(name, value)
	}
	return r
}

func TestMD01_IssuerIsConfigured(t *testing.T) {
	for _, name := range []string{issuer, tenant} {
		t.Run(name, func(t *testing.T) {
			// A trusted proxy speaks for the client's address, not for the issuer.
			s := newServer(t, func(o *options) { o.issuer, o.trustedProxies = name, []string{"192.0.2.0/24"} })
			base := strings.TrimPrefix(name, "https://as.example")
			document := s.do(misled(httptest.NewRequestWithContext(t.Context(), http.MethodGet, base+openidURL, nil)))
			if diff := cmp.Diff(s.get(base+openidURL).body, document.body); diff != "" {
				t.Errorf("headers change the metadata:\n%s", diff)
			}
			if got := document.str("issuer"); got != name {
				t.Errorf("issuer = %q, want %q", got, name)
			}
			r := s.form(base+tokenURL, "grant_type", "client_credentials")
			r.SetBasicAuth("robot", s.secrets["robot"].Reveal())
			if got := s.claims(s.do(misled(r)).str("access_token"))["iss"]; got != name {
				t.Errorf("iss = %q, want %q", got, name)
			}
			refused := s.do(misled(s.form(base+tokenURL, "grant_type", "client_credentials")))
			wantHeader(t, refused, "WWW-Authenticate", `Basic realm="`+name+`", charset="UTF-8"`)
		})
	}
}

func TestMD02_Paths(t *testing.T) {
	for _, row := range []struct {
		issuer      string
		here, gone  []string
		jwks, token string
	}{
		{issuer, []string{metadataURL, openidURL}, []string{metadataURL + "/", metadataURL + "/tenant"}, jwksURL, tokenURL},
		{
			tenant,
			[]string{metadataURL + "/tenant", "/tenant" + metadataURL, "/tenant" + openidURL, openidURL + "/tenant"},
			[]string{metadataURL, openidURL, jwksURL, metadataURL + "/tenant/"},
			"/tenant" + jwksURL, "/tenant" + tokenURL,
		},
	} {
		t.Run(row.issuer, func(t *testing.T) {
			s := newServer(t, func(o *options) { o.issuer = row.issuer })
			for _, path := range row.here {
				document := metadata(t, s, path)
				if document["issuer"] != row.issuer {
					t.Errorf("issuer at %s = %v, want %s", path, document["issuer"], row.issuer)
				}
				if got := pathOf(t, document, "jwks_uri"); got != row.jwks {
					t.Errorf("jwks_uri at %s has the path %s, want %s", path, got, row.jwks)
				}
				if got := pathOf(t, document, "token_endpoint"); got != row.token {
					t.Errorf("token_endpoint at %s has the path %s, want %s", path, got, row.token)
				}
			}
			// Another issuer's document would name ours (RFC 8414 section 3.3).
			for _, path := range row.gone {
				wantAnswer(t, s.get(path), http.StatusNotFound, "")
			}
			wantAnswer(t, s.get(row.jwks), http.StatusOK, "")
		})
	}
}

func TestMD02_EndpointsBelowIssuerPath(t *testing.T) {
	s := newServer(t, func(o *options) { o.issuer = tenant })
	a := s.as("app", "/tenant"+tokenURL, "grant_type", "password", "username", username, "password", secretPW)
	wantAnswer(t, a, http.StatusOK, "")
	wantAnswer(t, s.as("api", "/tenant"+introspectURL, "token", a.str("access_token")), http.StatusOK, "")
	wantAnswer(t, s.as("app", "/tenant"+revokeURL, "token", a.str("refresh_token")), http.StatusOK, "")
	for _, path := range formURLs() {
		wantAnswer(t, s.as("robot", path, goodForm(path)...), http.StatusNotFound, "")
	}
	for _, path := range []string{"/healthz", "/readyz", "/version"} {
		wantAnswer(t, s.get("/tenant"+path), http.StatusOK, "")
	}
}

func TestMD03_Headers(t *testing.T) {
	s := newServer(t)
	for _, path := range []string{metadataURL, openidURL} {
		a := s.get(path)
		wantAnswer(t, a, http.StatusOK, "")
		wantHeader(t, a, "Content-Type", "application/json")
		wantDocumentHeaders(t, s, a, path)
	}
}

// wantDocumentHeaders checks what metadata and keys have in common: caches and
// scripts of every origin may keep and read them.
func wantDocumentHeaders(t *testing.T, s *server, a answer, path string) {
	t.Helper()
	etag := a.Header.Get("ETag")
	if len(etag) < 3 || !strings.HasPrefix(etag, `"`) || !strings.HasSuffix(etag, `"`) {
		t.Errorf("ETag of %s = %s, want a strong entity tag", path, etag)
	}
	wantHeader(t, a, "Cache-Control", "public, max-age=600, must-revalidate")
	wantHeader(t, a, "Access-Control-Allow-Origin", "*")
	wantHeader(t, a, "Access-Control-Allow-Credentials", "")
	wantHeader(t, a, "Set-Cookie", "")
	conditional := func(tag string) answer {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		r.Header.Set("If-None-Match", tag)
		return s.do(r)
	}
	same := conditional(etag)
	wantAnswer(t, same, http.StatusNotModified, "")
	wantHeader(t, same, "ETag", etag)
	if same.body != "" {
		t.Errorf("body of 304 = %q, want none", same.body)
	}
	wantAnswer(t, conditional(`"other"`), http.StatusOK, "")
	// What caches do not key on must change nothing (attack 51).
	if other := s.get(path + "?x=1&issuer=https://evil.example"); other.body != a.body {
		t.Errorf("body with a query = %s, want %s", other.body, a.body)
	}
}

func TestMD03_HEAD(t *testing.T) {
	s := newServer(t)
	live := httptest.NewServer(s.handler)
	t.Cleanup(live.Close)
	for _, path := range []string{metadataURL, openidURL, jwksURL} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodHead, live.URL+path, nil)
		must(t, err)
		response, err := http.DefaultClient.Do(r)
		must(t, err)
		must(t, response.Body.Close())
		if got, want := response.Header.Get("ETag"), s.get(path).Header.Get("ETag"); response.StatusCode != http.StatusOK || got != want {
			t.Errorf("HEAD %s = %d with ETag %s, want 200 with %s", path, response.StatusCode, got, want)
		}
	}
}

func TestMD04_Members(t *testing.T) {
	want := map[string]any{
		"issuer": issuer, "jwks_uri": issuer + jwksURL,
		"authorization_endpoint": issuer + "/oauth/authorize", "userinfo_endpoint": issuer + "/oauth/userinfo", "end_session_endpoint": issuer + "/oauth/logout",
		"pushed_authorization_request_endpoint": issuer + "/oauth/par", "authorization_response_iss_parameter_supported": true,
		"request_parameter_supported": false, "request_uri_parameter_supported": false, "claims_parameter_supported": false,
		"backchannel_logout_supported": true, "backchannel_logout_session_supported": true,
		"token_endpoint": issuer + tokenURL, "revocation_endpoint": issuer + revokeURL, "introspection_endpoint": issuer + introspectURL,
	}
	document := metadata(t, newServer(t), metadataURL)
	for name, value := range want {
		if diff := cmp.Diff(value, document[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for name, values := range map[string][]string{
		"scopes_supported":                                 {"email", "manage", "offline_access", "openid", "other", "profile", "read", "write"},
		"response_types_supported":                         {"code"},
		"response_modes_supported":                         {"form_post", "query"},
		"code_challenge_methods_supported":                 {"S256"},
		"prompt_values_supported":                          {"consent", "login", "none", "select_account"},
		"protected_resources":                              {apiURI, otherURI},
		"grant_types_supported":                            {"authorization_code", "client_credentials", "password", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code", "urn:ietf:params:oauth:grant-type:token-exchange"},
		"token_endpoint_auth_methods_supported":            {"client_secret_basic", "client_secret_post", "none", "private_key_jwt"},
		"revocation_endpoint_auth_methods_supported":       {"client_secret_basic", "client_secret_post", "none", "private_key_jwt"},
		"introspection_endpoint_auth_methods_supported":    {"client_secret_basic", "client_secret_post", "private_key_jwt"},
		"token_endpoint_auth_signing_alg_values_supported": {"ES256", "ES384", "EdDSA", "PS256", "RS256"},
	} {
		if diff := cmp.Diff(values, slices.Sorted(slices.Values(strs(t, document, name)))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestMD04_FollowsRegistrations(t *testing.T) {
	s := newServer(t)
	before := s.get(metadataURL).Header.Get("ETag")
	must(t, s.store.InsertResource(t.Context(), authz.Resource{URI: "https://new.example", Algorithm: "ES256", Scopes: []authz.ResourceScope{{Name: "fresh"}}}, authztest.AnyEvent()))
	s.service.Registry.Invalidate()
	must(t, s.handler.Documents.Rebuild(t.Context()))
	document := metadata(t, s, metadataURL)
	if scopes := strs(t, document, "scopes_supported"); !slices.Contains(scopes, "fresh") {
		t.Errorf("scopes_supported = %q, want fresh among them", scopes)
	}
	if resources := strs(t, document, "protected_resources"); !slices.Contains(resources, "https://new.example") {
		t.Errorf("protected_resources = %q, want the new one among them", resources)
	}
	if after := s.get(metadataURL).Header.Get("ETag"); after == before {
		t.Errorf("ETag = %s, the same as before the change", after)
	}
}

func TestMD05_EmptyMembersOmitted(t *testing.T) {
	s := newServer(t)
	for _, uri := range []string{apiURI, otherURI} {
		must(t, s.store.DeleteResource(t.Context(), uri, time.Time{}, authztest.AnyEvent()))
	}
	s.service.Registry.Invalidate()
	must(t, s.handler.Documents.Rebuild(t.Context()))
	document := metadata(t, s, metadataURL)
	for name, value := range document {
		list, isList := value.([]any)
		if value == nil || value == "" || (isList && len(list) == 0) {
			t.Errorf("%s = %v, want it omitted", name, value)
		}
	}
	if value, ok := document["protected_resources"]; ok {
		t.Errorf("protected_resources = %v, want it omitted", value)
	}
}

func TestMD06_OpenID(t *testing.T) {
	document := metadata(t, newServer(t), openidURL)
	if algorithms := strs(t, document, "id_token_signing_alg_values_supported"); !slices.Contains(algorithms, "RS256") {
		t.Errorf("id_token_signing_alg_values_supported = %q, want RS256 among them", algorithms)
	}
	for _, name := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri", "subject_types_supported", "response_types_supported"} {
		if document[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestMD07_AdvertisedEndpointsWork(t *testing.T) {
	s := newServer(t)
	document := metadata(t, s, metadataURL)
	for name := range document {
		if !strings.HasSuffix(name, "_endpoint") {
			continue
		}
		path := pathOf(t, document, name)
		switch name {
		case "authorization_endpoint":
			wantAnswer(t, s.get(path), http.StatusBadRequest, "")
		case "userinfo_endpoint":
			wantAnswer(t, s.get(path), http.StatusUnauthorized, "missing_token")
		case "pushed_authorization_request_endpoint":
			wantAnswer(t, s.as("robot", path), http.StatusBadRequest, "invalid_request")
		case "device_authorization_endpoint":
			wantAnswer(t, s.as("robot", path), http.StatusBadRequest, "unauthorized_client")
		case "status_list_aggregation_endpoint", "end_session_endpoint":
			wantAnswer(t, s.get(path), http.StatusOK, "")
		default:
			wantAnswer(t, s.as("robot", path, "grant_type", "client_credentials", "token", "unknown"), http.StatusOK, "")
		}
	}
	wantAnswer(t, s.get(pathOf(t, document, "jwks_uri")), http.StatusOK, "")
}

func TestMD07_AdvertisedMethodsWork(t *testing.T) {
	signer := newSigning(t, nil)
	s := signer.server
	document := metadata(t, s, metadataURL)
	send := map[string]func(path string) answer{
		"client_secret_basic": func(path string) answer { return s.as("basic", path, goodForm(path)...) },
		"client_secret_post": func(path string) answer {
			return s.post(path, append(goodForm(path), "client_id", "post", "client_secret", s.secrets["post"].Reveal())...)
		},
		"private_key_jwt": func(path string) answer {
			return s.post(path, append(goodForm(path), "client_assertion_type", assertionType, "client_assertion", signer.assertion("", nil))...)
		},
		"none": func(path string) answer {
			return s.as("app", path, "grant_type", "password", "username", username, "password", secretPW, "token", "unknown")
		},
	}
	for _, name := range []string{"token_endpoint", "revocation_endpoint", "introspection_endpoint"} {
		path, methods := pathOf(t, document, name), strs(t, document, name+"_auth_methods_supported")
		for method, request := range send {
			status := http.StatusUnauthorized
			if slices.Contains(methods, method) {
				status = http.StatusOK
			}
			wantAnswer(t, request(path), status, "")
		}
		for _, method := range methods {
			if send[method] == nil {
				t.Errorf("%s advertises %s, which this test cannot use", name, method)
			}
		}
	}
}

func TestMD07_AdvertisedGrantsWork(t *testing.T) {
	for _, on := range []bool{true, false} {
		s := newServer(t)
		refresh := s.login("app").str("refresh_token")
		if !on {
			s = newServer(t, func(o *options) { o.passwordGrant = false })
		}
		grants := strs(t, metadata(t, s, metadataURL), "grant_types_supported")
		if slices.Contains(grants, "password") != on {
			t.Errorf("grant_types_supported = %q with the password grant on: %t", grants, on)
		}
		for _, grant := range []string{
			"password", "refresh_token", "client_credentials", "authorization_code", "implicit",
			"urn:ietf:params:oauth:grant-type:device_code", "urn:ietf:params:oauth:grant-type:token-exchange",
		} {
			client := "app"
			if grant == "client_credentials" {
				client = "robot"
			}
			a := s.as(client, tokenURL, "grant_type", grant, "username", username, "password", secretPW, "refresh_token", refresh)
			unsupported := a.str("error") == "unsupported_grant_type"
			if unsupported == slices.Contains(grants, grant) {
				t.Errorf("%s: answer = %d %s, advertised %q", grant, a.StatusCode, a.body, grants)
			}
		}
	}
}

// Later endpoints must not be named before they answer.
func TestMD07_UnsupportedMembersAbsent(t *testing.T) {
	s := newServer(t)
	for name, path := range map[string]string{
		"authorization_endpoint": "/oauth/authorize", "pushed_authorization_request_endpoint": "/oauth/par", "userinfo_endpoint": "/oauth/userinfo",
		"registration_endpoint": "/oauth/register", "device_authorization_endpoint": "/oauth/device", "status_list_aggregation_endpoint": "/oauth/status-lists",
	} {
		_, named := metadata(t, s, metadataURL)[name]
		if answers := s.get(path).StatusCode != http.StatusNotFound; named != answers {
			t.Errorf("%s: named %t, but %s answers: %t", name, named, path, answers)
		}
	}
}
