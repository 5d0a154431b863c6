package verify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"chancery/authz/verify"

	"github.com/go-jose/go-jose/v4"
)

// testIssuer is an issuer that a verifier reaches without a network, so that
// time can stand still.
type testIssuer struct {
	t testing.TB

	mu   sync.Mutex
	keys []testKey
	// lists are the signed lists by URI, ended their revoked entries.
	version map[string]int64
	ended   map[string][]uint32
	signer  testKey
	// maxAge is that of the keys, in seconds.
	maxAge int
	ttl    int
	// answer, when set, takes the place of the issuer's own answer.
	answer func(r *http.Request) *http.Response
	// requests counts what was asked, by path.
	requests map[string]int
	streams  []*io.PipeWriter
	// seen are the headers of requests for the stream.
	seen []http.Header
}

const issuerList = vectorIssuer + "/oauth/status-lists/sessions"

func newIssuer(t testing.TB) *testIssuer {
	k := newKey(t, "EdDSA")
	return &testIssuer{
		t: t, keys: []testKey{k, newKey(t, "ES256")}, signer: k, maxAge: 600, ttl: 30,
		version: map[string]int64{}, ended: map[string][]uint32{}, requests: map[string]int{},
	}
}

func response(r *http.Request, status int, body io.ReadCloser) *http.Response {
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: http.Header{}, Body: body, Request: r}
}

func text(r *http.Request, status int, body string) *http.Response {
	return response(r, status, io.NopCloser(strings.NewReader(body)))
}

// RoundTrip answers requests to the issuer.
func (i *testIssuer) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.requests[r.URL.Path]++
	if i.answer != nil {
		if answer := i.answer(r); answer != nil {
			if answer.StatusCode == 0 {
				return nil, errors.New("the issuer is down")
			}
			return answer, nil
		}
	}
	encoded := func(value any) string { b, _ := json.Marshal(value); return string(b) }
	switch path := r.URL.Path; {
	case path == "/.well-known/oauth-authorization-server":
		return text(r, http.StatusOK, encoded(object{"issuer": vectorIssuer, "jwks_uri": vectorIssuer + "/keys"})), nil
	case path == "/keys":
		var set jose.JSONWebKeySet
		for _, k := range i.keys {
			set.Keys = append(set.Keys, k.jwk())
		}
		answer := text(r, http.StatusOK, encoded(set))
		answer.Header.Set("Cache-Control", fmt.Sprintf("public, max-age=%d", i.maxAge))
		return answer, nil
	case path == "/oauth/status-stream":
		reader, writer := io.Pipe()
		i.streams, i.seen = append(i.streams, writer), append(i.seen, r.Header)
		context.AfterFunc(r.Context(), func() { _ = reader.CloseWithError(r.Context().Err()) })
		return response(r, http.StatusOK, reader), nil
	case strings.HasPrefix(path, "/oauth/status-lists/"):
		return i.list(r), nil
	}
	return text(r, http.StatusNotFound, ""), nil
}

func (i *testIssuer) list(r *http.Request) *http.Response {
	uri := vectorIssuer + r.URL.Path
	version := i.version[uri] + 1
	if wanted := r.URL.Query().Get("v"); wanted != "" && wanted > fmt.Sprint(version) {
		return text(r, http.StatusNotFound, "")
	}
	etag := fmt.Sprintf(`"%d"`, version)
	if r.Header.Get("If-None-Match") == etag {
		return text(r, http.StatusNotModified, "")
	}
	c := with(listClaims(i.t, uri, version, time.Now().Unix(), 1024, i.ended[uri]...), object{"ttl": i.ttl})
	answer := text(r, http.StatusOK, i.signer.list(i.t, c))
	answer.Header.Set("ETag", etag)
	return answer
}

// answers makes the issuer answer one path with a status and a body.
func (i *testIssuer) answers(path string, status int, body string) {
	i.edit(func() {
		i.answer = func(r *http.Request) *http.Response {
			if r.URL.Path != path {
				return nil
			}
			return text(r, status, body)
		}
	})
}

// edit changes the issuer.
func (i *testIssuer) edit(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

// down makes the issuer unreachable, or reachable again.
func (i *testIssuer) down(down bool) {
	i.edit(func() {
		i.answer = nil
		if down {
			i.answer = func(*http.Request) *http.Response { return &http.Response{} }
		}
	})
}

// revoke ends entries of the list and returns its new version.
func (i *testIssuer) revoke(indexes ...uint32) (version int64) {
	i.edit(func() {
		i.version[issuerList]++
		i.ended[issuerList] = append(i.ended[issuerList], indexes...)
		version = i.version[issuerList] + 1
	})
	return version
}

// announce sends an event to all listeners.
func (i *testIssuer) announce(version int64) {
	i.mu.Lock()
	streams := i.streams
	i.mu.Unlock()
	for _, stream := range streams {
		_, _ = fmt.Fprintf(stream, "id: %d\nevent: status-list\ndata: {\"uri\":%q,\"version\":%d}\n\n", version, issuerList, version)
	}
}

// asked returns how often a path was asked for.
func (i *testIssuer) asked(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.requests[path]
}

const (
	keysPath   = "/keys"
	listPath   = "/oauth/status-lists/sessions"
	streamPath = "/oauth/status-stream"
)

// verifier returns a verifier of the issuer's tokens.
func (i *testIssuer) verifier(edit ...func(*verify.Options)) *verify.Verifier {
	i.t.Helper()
	o := verify.Options{Client: &http.Client{Transport: i}}
	for _, e := range edit {
		e(&o)
	}
	v, err := verify.New(vectorIssuer, vectorAudience, o)
	must(i.t, err)
	return v
}

// token returns an access token of the entry that is good for an hour.
func (i *testIssuer) token(index uint32, changes ...object) string {
	i.t.Helper()
	now := time.Now().Unix()
	c := object{
		"iss": vectorIssuer, "sub": "usr_1", "aud": vectorAudience, "client_id": "app", "iat": now, "exp": now + 3600, "jti": fmt.Sprint("id", index, now),
		"scope": "read write", "sid": fmt.Sprint("sid", index), "status": statusClaim(index, issuerList),
	}
	for _, change := range changes {
		c = with(c, change)
	}
	i.mu.Lock()
	k := i.keys[0]
	i.mu.Unlock()
	return k.token(i.t, c)
}

// logBuffer is a log that may be written from several goroutines.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// wantGood and wantBad check what a verifier says of a token.
func wantGood(t testing.TB, what string, v *verify.Verifier, token string) {
	t.Helper()
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Errorf("%s: %v, want it accepted", what, err)
	}
}

func wantBad(t testing.TB, what string, v *verify.Verifier, token string, reason verify.Reason) {
	t.Helper()
	_, err := v.Verify(t.Context(), token)
	var invalid *verify.InvalidTokenError
	if !errors.As(err, &invalid) || invalid.Reason != reason || !errors.Is(err, verify.ErrInvalidToken) {
		t.Errorf("%s: %v, want reason %q", what, err, reason)
	}
}

func wantUnavailable(t testing.TB, what string, v *verify.Verifier, token string) {
	t.Helper()
	if _, err := v.Verify(t.Context(), token); !errors.Is(err, verify.ErrUnavailable) || errors.Is(err, verify.ErrInvalidToken) {
		t.Errorf("%s: %v, want ErrUnavailable", what, err)
	}
}
