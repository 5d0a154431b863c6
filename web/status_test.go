package web_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"chancery/authz"
	"chancery/authz/authztest"
	"chancery/authz/claims"
	"chancery/authz/statuslist"
	"chancery/web/status"
)

// publish signs whatever is due, as the server's loop does.
func (s *server) publish() {
	s.t.Helper()
	s.clock.Add(time.Second) // past the pause between two versions
	if _, err := s.lists.Publish(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// entry returns the status claim of an access token.
func (s *server) entry(token string) claims.StatusListEntry {
	s.t.Helper()
	payload, err := s.rotator.Ring.Verify(token, claims.TypeAccessToken)
	must(s.t, err)
	var decoded claims.AccessToken
	must(s.t, json.Unmarshal(payload, &decoded))
	if decoded.Status == nil {
		s.t.Fatal("the access token has no status claim")
	}
	return decoded.Status.StatusList
}

// path returns where a URI below the issuer is asked for.
func (s *server) path(uri string) string {
	s.t.Helper()
	path, ok := strings.CutPrefix(uri, s.lists.Issuer)
	if !ok {
		s.t.Fatalf("%s is not below the issuer", uri)
	}
	issuer, err := url.Parse(s.lists.Issuer)
	must(s.t, err)
	return issuer.Path + path
}

// decodeList verifies a status list token and returns what it holds.
func (s *server) decodeList(token string) (claims.StatusListToken, *statuslist.List) {
	s.t.Helper()
	payload, err := s.rotator.Ring.Verify(token, claims.TypeStatusList)
	must(s.t, err)
	var decoded claims.StatusListToken
	must(s.t, json.Unmarshal(payload, &decoded))
	compressed, err := base64.RawURLEncoding.DecodeString(decoded.StatusList.List)
	must(s.t, err)
	list, err := statuslist.Decompress(compressed, decoded.StatusList.Bits)
	must(s.t, err)
	return decoded, list
}

// ended reports whether the list that a token names says that it is over.
func (s *server) ended(accessToken string) bool {
	s.t.Helper()
	entry := s.entry(accessToken)
	a := s.get(s.path(entry.URI))
	if a.StatusCode != http.StatusOK {
		s.t.Fatalf("GET %s = %d %s", entry.URI, a.StatusCode, a.body)
	}
	_, list := s.decodeList(a.body)
	status, err := list.Status(entry.Index)
	must(s.t, err)
	return status != statuslist.Valid
}

func TestAT08_StatusClaim(t *testing.T) {
	s := newServer(t)
	one, two := s.login("app"), s.login("app")
	a, b := s.entry(one.str("access_token")), s.entry(two.str("access_token"))
	if a == b || !strings.HasPrefix(a.URI, issuer+"/oauth/status-lists/") {
		t.Errorf("two sessions have the entries %+v and %+v", a, b)
	}
	refreshed := s.refresh("app", one.str("refresh_token"))
	if got := s.entry(refreshed.str("access_token")); got != a {
		t.Errorf("after a refresh the entry is %+v, want that of the session, %+v", got, a)
	}
	robot := s.entry(ccToken(s, "robot").str("access_token"))
	if again := s.entry(ccToken(s, "robot").str("access_token")); again != robot || robot.URI == a.URI {
		t.Errorf("a client's own tokens have the entries %+v and %+v, want one, in another list than sessions", robot, again)
	}
}

// Every way in which a session or a client ends shows in the lists.
func TestStatusList_EveryEndingShows(t *testing.T) {
	ctx := t.Context()
	for name, end := range map[string]func(s *server, session answer) error{
		"revoked by its refresh token": func(s *server, session answer) error {
			s.expect(s.as("app", "/oauth/revoke", "token", session.str("refresh_token")), http.StatusOK, "")
			return nil
		},
		"revoked by its access token": func(s *server, session answer) error {
			s.expect(s.as("app", "/oauth/revoke", "token", session.str("access_token")), http.StatusOK, "")
			return nil
		},
		"reuse": func(s *server, session answer) error {
			next := s.refresh("app", session.str("refresh_token"))
			s.refresh("app", next.str("refresh_token"))
			s.expect(s.refresh("app", session.str("refresh_token")), http.StatusBadRequest, "invalid_grant")
			return nil
		},
		"banned": func(s *server, _ answer) error {
			_, err := s.users.Ban(ctx, username, authz.Forever, "test")
			return err
		},
		"password changed": func(s *server, _ answer) error {
			_, err := s.users.SetPassword(ctx, username, "another horse battery staple", false)
			return err
		},
		"user deleted": func(s *server, _ answer) error {
			_, err := s.users.Delete(ctx, username)
			return err
		},
		"client disabled": func(s *server, _ answer) error {
			s.updateClient("app", func(c *authz.Client) { c.DisabledAt = s.clock.Now() })
			return nil
		},
		"client deleted": func(s *server, _ answer) error { return s.clients.Delete(ctx, "app") },
		"an admin's click": func(s *server, session answer) error {
			sid, _ := s.claims(session.str("access_token"))["sid"].(string)
			_, err := s.clients.Sessions.End(ctx, authz.Ending{SessionID: sid, Cause: authz.CauseAdmin, Actor: "admin"})
			return err
		},
		"everybody": func(s *server, _ answer) error {
			_, err := s.clients.Sessions.End(ctx, authz.Ending{All: true, Cause: authz.CauseAdmin, Actor: "admin"})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			session := s.login("app")
			s.publish()
			if s.ended(session.str("access_token")) {
				t.Fatal("a live session is shown as ended")
			}
			if err := end(s, session); err != nil {
				t.Fatal(err)
			}
			s.publish()
			if !s.ended(session.str("access_token")) {
				t.Error("the list does not show the end")
			}
		})
	}
}

func TestStatusList_DisabledClient(t *testing.T) {
	s := newServer(t)
	before := ccToken(s, "robot").str("access_token")
	s.publish()
	if s.ended(before) {
		t.Fatal("the token of a client is shown as ended")
	}
	s.updateClient("robot", func(c *authz.Client) { c.DisabledAt = s.clock.Now() })
	s.publish()
	if !s.ended(before) {
		t.Error("the token of a disabled client is not shown as ended")
	}
	s.updateClient("robot", func(c *authz.Client) { c.DisabledAt = time.Time{} })
	s.publish()
	after := ccToken(s, "robot").str("access_token")
	if !s.ended(before) || s.ended(after) {
		t.Errorf("enabled again: the old token ended = %v, the new one = %v, want true and false", s.ended(before), s.ended(after))
	}
	must(t, s.clients.Delete(t.Context(), "robot"))
	s.publish()
	if !s.ended(after) {
		t.Error("the token of a deleted client is not shown as ended")
	}
}

func TestStatusList_Answer(t *testing.T) {
	for _, base := range []string{"", "/tenant"} {
		s := newServer(t, func(o *options) { o.issuer += base })
		login := s.as("app", base+"/oauth/token", "grant_type", "password", "username", username, "password", secretPW)
		uri := s.entry(login.str("access_token")).URI
		if want := issuer + base + "/oauth/status-lists/"; !strings.HasPrefix(uri, want) {
			t.Fatalf("uri = %s, want it below %s", uri, want)
		}
		s.publish()
		now := s.clock.Now()
		a := s.get(s.path(uri))
		token, list := s.decodeList(a.body)
		if token.Issuer != issuer+base || token.Subject != uri || token.IssuedAt != now.Unix() || token.ExpiresAt != now.Unix()+900 || token.TTL != 30 ||
			token.StatusList.Bits != 1 || list.Size() != statuslist.Capacity/8 {
			t.Errorf("claims = %+v", token)
		}
		jose := header(t, a.body)
		if len(jose) != 3 || jose["typ"] != "statuslist+jwt" || jose["alg"] != "RS256" || jose["kid"] == "" {
			t.Errorf("header = %v, want typ, alg and kid", jose)
		}
		for name, want := range map[string]string{
			"Content-Type": "application/statuslist+jwt", "Access-Control-Allow-Origin": "*", "Cache-Control": "public, max-age=30", "Vary": "Accept-Encoding",
			"Etag": fmt.Sprintf(`"%d"`, token.Version), "X-Content-Type-Options": "nosniff",
		} {
			if got := a.Header.Get(name); got != want {
				t.Errorf("%s = %q, want %q", name, got, want)
			}
		}
		if len(a.Cookies()) != 0 {
			t.Error("a list sets a cookie")
		}
	}
}

// withHeader sends a GET request with headers as name, value pairs.
func (s *server) withHeader(path string, pairs ...string) answer {
	s.t.Helper()
	r := httptest.NewRequestWithContext(s.t.Context(), http.MethodGet, path, nil)
	for i := 0; i < len(pairs); i += 2 {
		r.Header.Set(pairs[i], pairs[i+1])
	}
	return s.do(r)
}

func TestStatusList_GzipAndETag(t *testing.T) {
	s := newServer(t)
	path := s.path(s.entry(s.login("app").str("access_token")).URI)
	s.publish()
	plain := s.get(path)
	packed := s.withHeader(path, "Accept-Encoding", "br, gzip;q=0.5")
	reader, err := gzip.NewReader(strings.NewReader(packed.body))
	must(t, err)
	unpacked, err := io.ReadAll(reader)
	must(t, err)
	if packed.Header.Get("Content-Encoding") != "gzip" || string(unpacked) != plain.body {
		t.Error("the compressed answer is not the plain one")
	}
	if packed.Header.Get("Etag") == plain.Header.Get("Etag") {
		t.Error("both forms have one entity tag")
	}
	for _, refused := range []string{"", "identity", "gzip;q=0", "gzip; q=0.000", "gzip;q=x", "br"} {
		if a := s.withHeader(path, "Accept-Encoding", refused); a.Header.Get("Content-Encoding") != "" || a.body != plain.body {
			t.Errorf("Accept-Encoding %q: the answer is compressed", refused)
		}
	}
	for _, form := range []string{"", "gzip"} {
		etag := s.withHeader(path, "Accept-Encoding", form).Header.Get("Etag")
		for _, tag := range []string{etag, "W/" + etag, `"x", ` + etag, "*"} {
			a := s.withHeader(path, "Accept-Encoding", form, "If-None-Match", tag)
			if a.StatusCode != http.StatusNotModified || a.body != "" || a.Header.Get("Cache-Control") == "" || a.Header.Get("Content-Encoding") != "" {
				t.Errorf("If-None-Match %s = %d with %d bytes, want 304 and none", tag, a.StatusCode, len(a.body))
			}
		}
	}
	etag := plain.Header.Get("Etag")
	s.clock.Add(8 * time.Minute)
	s.publish()
	if a := s.withHeader(path, "If-None-Match", etag); a.StatusCode != http.StatusOK || a.body == plain.body {
		t.Errorf("a new version for who has the old one = %d", a.StatusCode)
	}
	if a := s.withHeader(path, "Accept-Encoding", "gzip"); bytes.Equal([]byte(a.body), []byte(packed.body)) {
		t.Error("the compressed form is that of the old version")
	}
}

func TestStatusList_VersionsNeverChange(t *testing.T) {
	s := newServer(t)
	session := s.login("app")
	path := s.path(s.entry(session.str("access_token")).URI)
	s.publish()
	first, _ := s.decodeList(s.get(path).body)
	byVersion := func(version int64) answer { return s.get(fmt.Sprintf("%s?v=%d", path, version)) }
	a := byVersion(first.Version)
	if got, _ := s.decodeList(a.body); got.Version != first.Version || a.Header.Get("Cache-Control") != "public, max-age=900, immutable" || got.Subject != issuer+path {
		t.Errorf("?v=%d answers with version %d, Cache-Control %q", first.Version, got.Version, a.Header.Get("Cache-Control"))
	}
	s.expect(s.as("app", "/oauth/revoke", "token", session.str("refresh_token")), http.StatusOK, "")
	s.publish()
	second, _ := s.decodeList(s.get(path).body)
	if second.Version <= first.Version || second.IssuedAt < first.IssuedAt {
		t.Errorf("versions %d, %d; issued at %d, %d: want both to rise", first.Version, second.Version, first.IssuedAt, second.IssuedAt)
	}
	if got, _ := s.decodeList(byVersion(second.Version).body); got.Version != second.Version {
		t.Errorf("?v=%d answers with version %d", second.Version, got.Version)
	}
	a = byVersion(first.Version)
	if got, _ := s.decodeList(a.body); got.Version != second.Version || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("an old version is answered with version %d, Cache-Control %q, want the newest, uncached", got.Version, a.Header.Get("Cache-Control"))
	}
	a = byVersion(second.Version + 1)
	s.expect(a, http.StatusNotFound, "not_found")
	if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("a version that is not there yet: %v", a.Header)
	}
}

func TestStatusList_Refusals(t *testing.T) {
	s := newServer(t)
	path := s.path(s.entry(s.login("app").str("access_token")).URI)
	s.expect(s.get(path), http.StatusServiceUnavailable, "temporarily_unavailable") // not signed yet
	s.publish()
	for query, want := range map[string]int{
		"?time=1686925000": http.StatusNotImplemented, "?v=x": http.StatusBadRequest, "?v=": http.StatusBadRequest, "?v=-1": http.StatusBadRequest,
		"?v=0": http.StatusBadRequest, "?v=1.5": http.StatusBadRequest, "?v=99999999999999999999": http.StatusBadRequest, "?x=1": http.StatusOK, "/more": http.StatusNotFound,
	} {
		if a := s.get(path + query); a.StatusCode != want {
			t.Errorf("GET %s = %d %s, want %d", query, a.StatusCode, a.body, want)
		}
	}
	before := s.store.CallCount()
	for _, id := range []string{"..%2f..%2fetc", "A", "a.b", "%00", strings.Repeat("a", 65), "'%20OR%201=1"} {
		if a := s.get("/oauth/status-lists/" + id); a.StatusCode != http.StatusNotFound {
			t.Errorf("id %q = %d, want 404", id, a.StatusCode)
		}
	}
	if n := s.store.CallCount() - before; n != 0 {
		t.Errorf("impossible ids cost %d statements", n)
	}
	s.expect(s.get("/oauth/status-lists/unknown"), http.StatusNotFound, "not_found")
	s.clock.Add(16 * time.Minute)
	if a := s.get(path); a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Errorf("a list that has expired = %d, want 503", a.StatusCode)
	}
	if a := s.post(path); a.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST = %d, want 405", a.StatusCode)
	}
}

func TestStatusList_Preflight(t *testing.T) {
	s := newServer(t)
	for _, path := range []string{"/oauth/status-lists", "/oauth/status-lists/x", "/oauth/status-stream"} {
		a := s.do(httptest.NewRequestWithContext(t.Context(), http.MethodOptions, path, nil))
		if a.StatusCode != http.StatusNoContent || a.Header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(a.Header.Get("Access-Control-Allow-Headers"), "Last-Event-ID") {
			t.Errorf("OPTIONS %s = %d %v", path, a.StatusCode, a.Header)
		}
	}
}

func TestStatusList_ServedWhileTheDatabaseIsDown(t *testing.T) {
	s := newServer(t)
	session := s.login("app")
	path := s.path(s.entry(session.str("access_token")).URI)
	s.publish()
	version, _ := s.decodeList(s.get(path).body)
	s.store.SetDown(authz.ErrUnavailable)
	before := s.store.CallCount()
	for _, p := range []string{path, fmt.Sprintf("%s?v=%d", path, version.Version), "/oauth/status-lists"} {
		s.expect(s.get(p), http.StatusOK, "")
	}
	if n := s.store.CallCount() - before; n != 0 {
		t.Errorf("three requests for what is unchanged cost %d statements, want none", n)
	}
	s.expect(s.get(path+"?v=9999999999999"), http.StatusServiceUnavailable, "temporarily_unavailable")
}

func TestStatusList_Aggregation(t *testing.T) {
	s := newServer(t)
	session := s.entry(s.login("app").str("access_token")).URI
	robot := s.entry(ccToken(s, "robot").str("access_token")).URI
	if a := s.get("/oauth/status-lists"); a.body != `{"status_lists":[]}` {
		t.Errorf("before anything is signed: %s", a.body)
	}
	s.publish()
	a := s.get("/oauth/status-lists")
	if !strings.Contains(a.body, `"`+session+`"`) || !strings.Contains(a.body, `"`+robot+`"`) || len(a.json["status_lists"].([]any)) != 2 {
		t.Errorf("%s, want %s and %s", a.body, session, robot)
	}
	if a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Access-Control-Allow-Origin") != "*" || a.Header.Get("Cache-Control") != "public, max-age=30" {
		t.Errorf("headers = %v", a.Header)
	}
	document := metadata(t, s, metadataURL)
	if got := document["status_list_aggregation_endpoint"]; got != issuer+"/oauth/status-lists" {
		t.Errorf("metadata: %v", got)
	}
}

// live serves the handler on a real port and returns its address.
func (s *server) live() string {
	s.t.Helper()
	server := httptest.NewServer(s.handler)
	s.t.Cleanup(server.Close)
	return server.URL
}

// listening is one open stream.
type listening struct {
	*http.Response
	t     *testing.T
	lines *bufio.Scanner
	close context.CancelFunc
}

// listen opens a stream; headers are name, value pairs.
func listen(t *testing.T, base string, pairs ...string) *listening {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/oauth/status-stream", nil)
	must(t, err)
	for i := 0; i < len(pairs); i += 2 {
		r.Header.Set(pairs[i], pairs[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	must(t, err)
	l := &listening{Response: response, t: t, lines: bufio.NewScanner(response.Body), close: cancel}
	t.Cleanup(func() { cancel(); _ = response.Body.Close() })
	return l
}

// event reads the next event: its id and its data.
func (l *listening) event() (id, data string) {
	l.t.Helper()
	for l.lines.Scan() {
		line := l.lines.Text()
		switch {
		case strings.HasPrefix(line, "id: "):
			id = line[4:]
		case strings.HasPrefix(line, "event: ") && line != "event: status-list":
			l.t.Errorf("unknown event %q", line)
		case strings.HasPrefix(line, "data: "):
			data = line[6:]
		case line == "" && data != "":
			return id, data
		}
	}
	l.t.Fatalf("the stream ended: %v", l.lines.Err())
	return "", ""
}

func TestStatusStream(t *testing.T) {
	s := newServer(t)
	session := s.login("app")
	uri := s.entry(session.str("access_token")).URI
	s.publish()
	base := s.live()
	l := listen(t, base)
	for name, want := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-store", "Access-Control-Allow-Origin": "*", "X-Accel-Buffering": "no"} {
		if got := l.Header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	seen := map[string]string{}
	for range 2 { // the list of sessions and that of clients
		id, data := l.event()
		seen[data] = id
	}
	token, _ := s.decodeList(s.get(s.path(uri)).body)
	if id := seen[fmt.Sprintf(`{"uri":"%s","version":%d}`, uri, token.Version)]; id != fmt.Sprint(token.Version) {
		t.Errorf("a new listener hears %v, want version %d of %s", seen, token.Version, uri)
	}
	s.expect(s.as("app", "/oauth/revoke", "token", session.str("refresh_token")), http.StatusOK, "")
	s.publish()
	id, data := l.event()
	token, _ = s.decodeList(s.get(s.path(uri)).body)
	if data != fmt.Sprintf(`{"uri":"%s","version":%d}`, uri, token.Version) || id != fmt.Sprint(token.Version) {
		t.Errorf("after a revocation: %s %s, want version %d", id, data, token.Version)
	}
	if strings.Contains(data, "idx") {
		t.Error("the stream tells which entry has changed")
	}
}

func TestStatusStream_LastEventID(t *testing.T) {
	s := newServer(t)
	session := s.login("app")
	uri := s.entry(session.str("access_token")).URI
	s.publish()
	s.clock.Add(3 * time.Minute)
	s.expect(s.as("app", "/oauth/revoke", "token", session.str("refresh_token")), http.StatusOK, "")
	s.publish()
	base := s.live()
	newest, _ := s.decodeList(s.get(s.path(uri)).body)
	for name, test := range map[string]struct {
		id   string
		want int
	}{
		"an hour ago": {fmt.Sprint(newest.Version - 3_600_000), 2},
		// The other list is three minutes older. One that is younger than a
		// minute is told again: another node may have been behind.
		"up to date":        {fmt.Sprint(newest.Version), 1},
		"longer up to date": {fmt.Sprint(newest.Version + 120_000), 0},
		"nonsense":          {"nonsense", 2},
	} {
		l := listen(t, base, "Last-Event-ID", test.id)
		for range test.want {
			l.event()
		}
		// What comes next is what is new, and nothing before it.
		s.clock.Add(2 * time.Second)
		before := s.lists.All()
		s.stream.Announce(authz.SignedStatusList{ID: "marker", Version: before[0].Version + 1_000_000})
		if _, data := l.event(); !strings.Contains(data, "marker") {
			t.Errorf("%s: hears of %s after %d events, want no more", name, data, test.want)
		}
		l.close()
	}
}

func TestStatusStream_Places(t *testing.T) {
	s := newServer(t, func(o *options) {
		o.stream = status.StreamLimits{Listeners: 5, Reserved: 2, PerAddress: 3, PerClient: 2, Patience: time.Second, Heartbeat: time.Minute}
	})
	base := s.live()
	secret := func(id string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(s.secrets[id].Reveal())))
	}
	var open []*listening
	for range 3 {
		l := listen(t, base)
		if l.StatusCode != http.StatusOK {
			t.Fatalf("listener %d = %d", len(open), l.StatusCode)
		}
		open = append(open, l)
	}
	refused := listen(t, base)
	if refused.StatusCode != http.StatusServiceUnavailable || refused.Header.Get("Retry-After") == "" {
		t.Errorf("one listener more from the address = %d, want 503 with Retry-After", refused.StatusCode)
	}
	if l := listen(t, base, "Authorization", secret("robot")); l.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a client that may not introspect = %d, want 503 like anybody", l.StatusCode)
	}
	for range 2 {
		if l := listen(t, base, "Authorization", secret("api")); l.StatusCode != http.StatusOK {
			t.Errorf("a reserved place = %d", l.StatusCode)
		}
	}
	if l := listen(t, base, "Authorization", secret("api")); l.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a third listener of one client = %d, want 503", l.StatusCode)
	}
	if l := listen(t, base, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("api:wrong"))); l.StatusCode != http.StatusUnauthorized || l.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("a wrong secret = %d, want 401 with a challenge", l.StatusCode)
	}
	if n := s.stream.Listeners(); n != 5 {
		t.Errorf("%d listeners, want 5", n)
	}
	open[0].close()
	eventually(t, "the place of a listener that went is free", func() bool { return s.stream.Listeners() == 4 })
	if l := listen(t, base); l.StatusCode != http.StatusOK {
		t.Errorf("in the free place = %d", l.StatusCode)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("not within 10 s: %s", what)
}

func TestStatusStream_Heartbeat(t *testing.T) {
	s := newServer(t, func(o *options) { o.stream.Heartbeat = 10 * time.Millisecond })
	l := listen(t, s.live())
	beats := 0
	for l.lines.Scan() && beats < 3 {
		if strings.HasPrefix(l.lines.Text(), ":") {
			beats++
		}
	}
	if beats < 3 {
		t.Errorf("%d heartbeats before the stream ended: %v", beats, l.lines.Err())
	}
}

// A listener that does not read is dropped, and what it is owed stays bounded.
func TestStatusStream_SlowReader(t *testing.T) {
	s := newServer(t, func(o *options) { o.stream.Patience = 50 * time.Millisecond })
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.live(), "http://"))
	must(t, err)
	defer func() { _ = conn.Close() }()
	_, err = io.WriteString(conn, "GET /oauth/status-stream HTTP/1.1\r\nHost: x\r\n\r\n")
	must(t, err)
	eventually(t, "it listens", func() bool { return s.stream.Listeners() == 1 })
	for version := int64(1); s.stream.Listeners() == 1; version++ {
		for id := range 1000 { // about 80 KB a round
			s.stream.Announce(authz.SignedStatusList{ID: fmt.Sprint("list", id), Version: version})
		}
		if version > 10_000 {
			t.Fatal("a listener that does not read is still there")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestStatusStream_ClosedFirst(t *testing.T) {
	s := newServer(t)
	s.login("app")
	l := listen(t, s.live())
	s.stream.Close()
	for l.lines.Scan() {
	}
	if err := l.lines.Err(); err != nil {
		t.Errorf("the stream ended with %v, want a clean end", err)
	}
	eventually(t, "no listener is left", func() bool { return s.stream.Listeners() == 0 })
}

func TestStatusStream_LivesLongerThanRequests(t *testing.T) {
	s := newServer(t)
	server := httptest.NewUnstartedServer(s.handler)
	server.Config.ReadTimeout, server.Config.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond
	server.Start()
	t.Cleanup(server.Close)
	l := listen(t, server.URL)
	deadline := time.Now().Add(300 * time.Millisecond)
	for version := int64(1); time.Now().Before(deadline); version++ {
		s.stream.Announce(authz.SignedStatusList{ID: "x", Version: version})
		l.event()
	}
}

// HTTP/2 has deadlines of its own: a stream on which nothing happens lasts.
func TestStatusStream_HTTP2(t *testing.T) {
	s := newServer(t, func(o *options) { o.stream.Patience = 50 * time.Millisecond })
	server := httptest.NewUnstartedServer(s.handler)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/oauth/status-stream", nil)
	must(t, err)
	response, err := server.Client().Do(r)
	must(t, err)
	defer func() { _ = response.Body.Close() }()
	if response.ProtoMajor != 2 {
		t.Fatalf("the stream is %s", response.Proto)
	}
	l := &listening{Response: response, t: t, lines: bufio.NewScanner(response.Body)}
	time.Sleep(200 * time.Millisecond) // longer than one write may take
	s.stream.Announce(authz.SignedStatusList{ID: "x", Version: 1})
	if _, data := l.event(); !strings.Contains(data, "/x") {
		t.Errorf("event %s", data)
	}
}

// A list with many ended entries is longer than any access token, and no reason
// to sign it again.
func TestStatusList_LongListsAreVerifiable(t *testing.T) {
	s := newServer(t)
	entry := s.entry(ccToken(s, "robot").str("access_token"))
	id := entry.URI[strings.LastIndexByte(entry.URI, '/')+1:]
	for i := range 4900 {
		sum := sha256.Sum256([]byte(fmt.Sprint(i)))
		must(t, s.store.UpdateClient(t.Context(), first(s.store.Client(t.Context(), "robot")), authz.StatusRef{List: id, Index: binary.BigEndian.Uint32(sum[:]) % statuslist.Capacity}, authztest.AnyEvent()))
	}
	s.publish()
	list, err := s.lists.Find(t.Context(), id, 0)
	must(t, err)
	if len(list.Token) < 8<<10 {
		t.Fatalf("the token has %d bytes", len(list.Token))
	}
	s.lists.KeysChanged()
	s.publish()
	if again, err := s.lists.Find(t.Context(), id, 0); err != nil || again.Version != list.Version {
		t.Errorf("a list that has not changed was signed again: %v", err)
	}
}

func first[T any](value T, _ error) T { return value }
