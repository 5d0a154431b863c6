package web_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"chancery/authz"
	"chancery/authz/authztest"
)

// benchServer returns a server whose store is in memory, whose resources sign with
// the algorithm, and whose log is written to nowhere.
func benchServer(b *testing.B, algorithm string) *server {
	b.Helper()
	s := newServer(b, func(o *options) { o.log = io.Discard })
	resources, err := s.store.Resources(b.Context())
	must(b, err)
	for _, r := range resources {
		r.Algorithm = algorithm
		must(b, s.store.UpdateResource(b.Context(), r, r.UpdatedAt, authztest.AnyEvent()))
	}
	s.service.Registry.Invalidate()
	return s
}

// answered serves a request and returns the answer, without what the tests check
// of each.
func (s *server) answered(b *testing.B, r *http.Request) string {
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		b.Fatalf("%s %s = %d %s", r.Method, r.URL, w.Code, w.Body)
	}
	return w.Body.String()
}

func benchForm(path string, form url.Values) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// BenchmarkRefresh is a refresh without network and database.
func BenchmarkRefresh(b *testing.B) {
	for _, algorithm := range authz.SigningAlgorithms() {
		b.Run(algorithm, func(b *testing.B) {
			s := benchServer(b, algorithm)
			token := s.login("app").str("refresh_token")
			b.ReportAllocs()
			for b.Loop() {
				body := s.answered(b, benchForm(tokenURL, url.Values{"grant_type": {"refresh_token"}, "client_id": {"app"}, "refresh_token": {token}}))
				_, rest, _ := strings.Cut(body, `"refresh_token":"`)
				token, _, _ = strings.Cut(rest, `"`)
			}
		})
	}
}

// BenchmarkClientCredentials is a token for a client itself.
func BenchmarkClientCredentials(b *testing.B) {
	s := benchServer(b, "EdDSA")
	form := url.Values{"grant_type": {"client_credentials"}, "resource": {apiURI}}
	b.ReportAllocs()
	for b.Loop() {
		r := benchForm(tokenURL, form)
		r.SetBasicAuth("robot", s.secrets["robot"].Reveal())
		s.answered(b, r)
	}
}

// BenchmarkIntrospect is the state of an access token, without the database.
func BenchmarkIntrospect(b *testing.B) {
	s := benchServer(b, "EdDSA")
	form := url.Values{"token": {s.login("app").str("access_token")}}
	b.ReportAllocs()
	for b.Loop() {
		r := benchForm(introspectURL, form)
		r.SetBasicAuth("api", s.secrets["api"].Reveal())
		s.answered(b, r)
	}
}

// BenchmarkDocuments are what is served from memory. The probe is the least that a
// request costs with the router, its headers and its line in the log.
func BenchmarkDocuments(b *testing.B) {
	s := benchServer(b, "EdDSA")
	for name, path := range map[string]string{"jwks": "/.well-known/jwks.json", "metadata": "/.well-known/oauth-authorization-server", "probe": "/healthz"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.answered(b, httptest.NewRequest(http.MethodGet, path, nil))
			}
		})
	}
}
