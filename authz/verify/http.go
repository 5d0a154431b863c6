package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// FromRequest returns the access token of the Authorization header, the only
// place where one is looked for (RFC 6750 section 2.1). The error is ErrNoToken
// or ErrInvalidRequest.
func FromRequest(r *http.Request) (string, error) {
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return "", ErrNoToken
	}
	if len(headers) > 1 {
		return "", fmt.Errorf("%w: more than one Authorization header", ErrInvalidRequest)
	}
	scheme, token, found := strings.Cut(headers[0], " ")
	if !found || !strings.EqualFold(scheme, "Bearer") {
		return "", ErrNoToken
	}
	if strings.Contains(r.URL.RawQuery, "access_token") && r.URL.Query().Has("access_token") {
		return "", fmt.Errorf("%w: more than one access token", ErrInvalidRequest)
	}
	return strings.Trim(token, " "), nil
}

// tokenKey is under which a request's context holds its verified token.
type tokenKey struct{}

// FromContext returns the token that Require has verified.
func FromContext(ctx context.Context) (*Token, bool) {
	t, ok := ctx.Value(tokenKey{}).(*Token)
	return t, ok
}

// NewContext returns a context that holds a verified token.
func NewContext(ctx context.Context, t *Token) context.Context {
	return context.WithValue(ctx, tokenKey{}, t)
}

// presented verifies the access token of a request: as a bearer token, or with
// the proof of the key that it is bound to.
func (v *Verifier) presented(r *http.Request) (*Token, error) {
	token, proof, bound, err := boundRequest(r)
	if err != nil {
		return nil, err
	}
	if bound {
		return v.VerifyBound(r.Context(), token, proof, r.Method, v.target(r))
	}
	if token, err = FromRequest(r); err != nil {
		return nil, err
	}
	return v.Verify(r.Context(), token)
}

// Authenticate verifies the access token of a request, with its DPoP proof if it
// is bound to a key, and that it was granted all of the scopes. The error is one of those of this package.
func (v *Verifier) Authenticate(r *http.Request, scopes ...string) (*Token, error) {
	t, err := v.presented(r)
	if err != nil {
		return nil, err
	}
	for _, scope := range scopes {
		if !t.HasScope(scope) {
			return nil, ErrInsufficientScope
		}
	}
	return t, nil
}

// Require returns a middleware that lets requests pass whose access token is
// good and was granted all of the scopes, with the token in their context. It
// answers all others by itself; see Refuse.
func (v *Verifier) Require(scopes ...string) func(http.Handler) http.Handler {
	scopes = slices.Clone(scopes)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			t, err := v.Authenticate(r, scopes...)
			if err != nil {
				v.Refuse(w, err, scopes...)
				return
			}
			next.ServeHTTP(w, r.WithContext(NewContext(r.Context(), t)))
		})
	}
}

// retryAfter is how many seconds a client is asked to wait while tokens cannot
// be verified.
const retryAfter = 2

// Refuse answers a request that Authenticate returned err for, as RFC 6750
// section 3 and RFC 9728 section 5.1 have it: 401 for a token that is missing
// or not good, 403 for one without the scopes, 400 for a request that is
// ambiguous, 503 while nothing can be verified. The answer does not tell why a
// token is not good; the error does, to a log.
func (v *Verifier) Refuse(w http.ResponseWriter, err error, scopes ...string) {
	answer := struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{"invalid_token", "The access token is not valid, or no longer."}
	status := http.StatusUnauthorized
	switch {
	case errors.Is(err, ErrNoToken):
		answer.Error, answer.Description = "missing_token", "An access token is needed here."
	case errors.Is(err, ErrInvalidRequest):
		status = http.StatusBadRequest
		answer.Error, answer.Description = "invalid_request", "The request carries more than one access token."
	case errors.Is(err, ErrInvalidProof):
		answer.Error, answer.Description = "invalid_dpop_proof", "The DPoP proof is missing, or not one for this request."
	case errors.Is(err, ErrInsufficientScope):
		status = http.StatusForbidden
		answer.Error, answer.Description = "insufficient_scope", "The access token lacks a scope that is needed here."
	case !errors.Is(err, ErrInvalidToken):
		status = http.StatusServiceUnavailable
		answer.Error, answer.Description = "temporarily_unavailable", "Access tokens cannot be verified now. Try again."
	}
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Type", "application/json")
	if status == http.StatusServiceUnavailable {
		header.Set("Retry-After", strconv.Itoa(retryAfter))
	} else {
		scheme := "Bearer"
		var refused *InvalidTokenError
		if errors.Is(err, ErrInvalidProof) || (errors.As(err, &refused) && refused.Reason == ProofRequired) {
			scheme = `DPoP algs="` + strings.Join(Algorithms(), " ") + `",`
		}
		header.Set("WWW-Authenticate", scheme+" "+v.challenge(answer.Error, answer.Description, scopes))
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // the client may have gone
}

// challenge builds what follows the scheme in the header of RFC 6750 section 3
// and RFC 9449 section 7.1. Nothing of it comes from
// the request.
func (v *Verifier) challenge(code, description string, scopes []string) string {
	parts := []string{`realm="` + quotable(v.issuer) + `"`}
	if code != "missing_token" {
		parts = append(parts, `error="`+code+`"`, `error_description="`+description+`"`)
	}
	if len(scopes) > 0 {
		parts = append(parts, `scope="`+quotable(strings.Join(scopes, " "))+`"`)
	}
	if place, ok := v.metadataURL(); ok {
		parts = append(parts, `resource_metadata="`+quotable(place)+`"`)
	}
	return strings.Join(parts, ", ")
}

// quotable leaves out what a quoted string of RFC 6750 section 3 cannot hold.
func quotable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return -1
		}
		return r
	}, text)
}

const metadataPath = "/.well-known/oauth-protected-resource"

// metadataURL returns where the metadata of this resource server is (RFC 9728
// section 3.1): inserted between host and path. An audience that is no web
// address has none.
func (v *Verifier) metadataURL() (string, bool) {
	u, err := url.Parse(v.audience)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return "", false
	}
	u.Path, u.RawPath = metadataPath+strings.TrimSuffix(u.Path, "/"), ""
	return u.String(), true
}

// MetadataPath returns the path under which Metadata must be mounted.
func (v *Verifier) MetadataPath() string {
	if place, ok := v.metadataURL(); ok {
		if u, err := url.Parse(place); err == nil {
			return u.Path
		}
	}
	return metadataPath
}

// Metadata returns a handler that tells clients which authorization server this
// resource server believes, and which scopes there are (RFC 9728). Refuse
// points to it when the audience is a web address.
func (v *Verifier) Metadata(scopes ...string) http.Handler {
	scopes = slices.Clone(scopes)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "public, max-age=3600")
		w.Header().Set("Access-Control-Allow-Origin", "*")
		_ = json.NewEncoder(w).Encode(struct {
			Resource string   `json:"resource"`
			Servers  []string `json:"authorization_servers"`
			Scopes   []string `json:"scopes_supported,omitempty"`
			Methods  []string `json:"bearer_methods_supported"`
		}{v.audience, []string{v.issuer}, scopes, []string{"header"}})
	})
}
