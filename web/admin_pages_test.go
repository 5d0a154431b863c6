package web_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"chancery/authz"
)

// pages walks through a list and returns the ids of all items. between is
// called after each page.
func (s *server) pages(token, path string, limit int, id string, between func(page int)) (ids []string) {
	s.t.Helper()
	separator := map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")]
	after := ""
	for page := 1; page < 1000; page++ {
		a := s.admins(token, http.MethodGet, fmt.Sprintf("%s%slimit=%d%s", path, separator, limit, after), "")
		items, ok := a.json["items"].([]any)
		if a.StatusCode != http.StatusOK || !ok || len(items) > limit {
			s.t.Fatalf("%s = %d with %d items: %.500s", path, a.StatusCode, len(items), a.body)
		}
		for _, item := range items {
			ids = append(ids, item.(map[string]any)[id].(string))
		}
		next := a.str("next")
		if next == "" {
			return ids
		}
		after = "&after=" + url.QueryEscape(next)
		between(page)
	}
	s.t.Fatalf("%s does not end", path)
	return nil
}

// adminList is a list of the API, of rows that tests can make and remove.
type adminList struct {
	path, id string
	add      func(s *server, name string) string
	remove   func(s *server, id string)
}

func adminLists() map[string]adminList {
	addUser := func(s *server, name string) string {
		user, err := s.users.Create(s.t.Context(), authz.NewUser{Username: name, Email: name + "@example.com", Password: secretPW})
		must(s.t, err)
		return user.ID
	}
	removeUser := func(s *server, id string) { _, err := s.users.Delete(s.t.Context(), id); must(s.t, err) }
	return map[string]adminList{
		"clients": {"/clients", "client_id", func(s *server, name string) string {
			client, _, err := s.clients.Create(s.t.Context(), authz.Client{ID: name, AuthMethod: authz.AuthNone})
			must(s.t, err)
			return client.ID
		}, func(s *server, id string) { must(s.t, s.clients.Delete(s.t.Context(), id)) }},
		"users":            {"/users", "id", addUser, removeUser},
		"users by name":    {"/users?username=ROW", "id", addUser, removeUser},
		"users by address": {"/users?email=row", "id", addUser, removeUser},
		"events": {"/events?kind=throttled", "id", func(s *server, name string) string {
			event := authz.NewEvent(authz.EventThrottled, s.clock.Now())
			event.ID = name
			must(s.t, s.store.AppendEvents(s.t.Context(), []authz.Event{event}))
			return name
		}, nil},
		"sessions": {"/sessions?client_id=app", "sid", func(s *server, _ string) string { return s.signedIn() }, nil},
		"sessions by state": {"/sessions?state=live&client_id=app", "sid", func(s *server, _ string) string { return s.signedIn() }, func(s *server, id string) {
			endSessions(s, authz.Ending{SessionID: id, Cause: authz.CauseAdmin})
		}},
	}
}

// signedIn logs alice in through app and returns the session.
func (s *server) signedIn() string {
	s.t.Helper()
	sid, _ := s.claims(s.login("app").str("access_token"))["sid"].(string)
	return sid
}

// Every row is on one page alone, whatever their size, though all have one
// time.
func TestAdminPages(t *testing.T) {
	for name, list := range adminLists() {
		t.Run(name, func(t *testing.T) {
			s := adminServer(t)
			token := s.bossToken()
			var want []string
			for i := range 7 {
				want = append(want, list.add(s, fmt.Sprintf("row%d", i)))
				if i == 3 {
					s.clock.Add(time.Minute)
				}
			}
			whole := s.pages(token, list.path, 500, list.id, func(int) {})
			for _, id := range want {
				if !slices.Contains(whole, id) {
					t.Errorf("the whole list lacks %s", id)
				}
			}
			for _, limit := range []int{1, 2, 3, 7} {
				if got := s.pages(token, list.path, limit, list.id, func(int) {}); !slices.Equal(got, whole) {
					t.Errorf("pages of %d = %v, want %v", limit, got, whole)
				}
			}
		})
	}
}

// While rows come and go, those that stay are on one page alone.
func TestAdminPagesOfWhatChanges(t *testing.T) {
	for name, list := range adminLists() {
		t.Run(name, func(t *testing.T) {
			s := adminServer(t)
			token := s.bossToken()
			var stay, removed []string
			for i := range 12 {
				id := list.add(s, fmt.Sprintf("row%02d", i))
				if i%4 == 2 && list.remove != nil {
					removed = append(removed, id)
					continue
				}
				stay = append(stay, id)
			}
			got := s.pages(token, list.path, 2, list.id, func(page int) {
				if page <= 3 {
					s.clock.Add(time.Second)
					list.add(s, fmt.Sprintf("row%02da", page))
				}
				if page <= len(removed) {
					list.remove(s, removed[page-1])
				}
			})
			for _, id := range stay {
				if n := len(slices.DeleteFunc(slices.Clone(got), func(other string) bool { return other != id })); n != 1 {
					t.Errorf("row %s is listed %d times, want once", id, n)
				}
			}
		})
	}
}

// A long name makes a long cursor.
func TestAdminPagesOfLongNames(t *testing.T) {
	s := adminServer(t)
	token := s.bossToken()
	var want []string
	for i, letter := range []string{"Ⱥ", "\ufb2c", "é", "語", "x"} {
		name := "long" + fmt.Sprint(i) + strings.Repeat(letter, 240/len(letter))
		user, err := s.users.Create(t.Context(), authz.NewUser{Username: name, Email: fmt.Sprint("long", i, "@", strings.Repeat("x.", 50), "example"), Password: secretPW})
		if err != nil {
			continue // not every letter may stand in a name
		}
		want = append(want, user.ID)
	}
	if len(want) < 3 {
		t.Errorf("%d names of 240 bytes, want some", len(want))
	}
	for _, path := range []string{"/users?username=long", "/users?email=long", "/users"} {
		got := s.pages(token, path, 1, "id", func(int) {})
		for _, id := range want {
			if !slices.Contains(got, id) {
				t.Errorf("%s = %v, want %v among them", path, got, want)
			}
		}
	}
}

// Attack 56: whatever stands in a parameter is a value that fits nothing, or is
// refused.
func TestAdminParameters(t *testing.T) {
	f := newAdminFixture(t)
	encode := base64.RawURLEncoding.EncodeToString
	values := []string{
		"' OR '1'='1", "'; DROP TABLE users; --", `" OR ""="`, "1) OR (1=1", "%", "_", "a%", "\\", "*", "NULL", "null", "undefined", "[]", "{}", "$ne", "../../etc", "a/b", "%2e%2e",
		"🙂", "\u202eabc", "İ", "ﬁ", "\ufeff", "e\u0301", "\U0010ffff", strings.Repeat("a", 5000), strings.Repeat("語", 600), "-1", "0", "501", "1e3", "+5", "0x10", " 5", "5 ", "9223372036854775808",
		"\x00", "a\x00b", "\xff", "\xc3\x28", "a\nb", "\x1b[2J", "\u0085",
	}
	cursors := []string{
		"!", "AAAA", "=", encode([]byte("1")), encode([]byte("x y")), encode([]byte(" app")), encode([]byte("1 ")), encode([]byte("1 a\x00")), encode([]byte("1 \xff")),
		encode([]byte("99999999999999999999 a")), encode([]byte("1 a")) + "=",
	}
	far := []string{encode([]byte("9223372036854775807 a")), encode([]byte("-9223372036854775808 a")), encode([]byte("1 ' OR 1=1")), encode([]byte("0 a b c")), encode([]byte("1  a"))}
	for _, id := range f.d.ids() {
		o := f.d.Operations[id]
		if o.Method != http.MethodGet {
			continue
		}
		for _, p := range o.Parameters {
			more := values
			if p.Name == "after" {
				more = slices.Concat(values, cursors, far)
			}
			for _, value := range more {
				path, _ := strings.CutPrefix(f.d.request(f.server, f.token, o, adminExercises()[id].values(f)).URL.EscapedPath(), "/admin/v1")
				if p.In == "path" {
					path = strings.ReplaceAll(o.Path, "{"+p.Name+"}", url.PathEscape(value))
				} else {
					path += "?" + p.Name + "=" + url.QueryEscape(value)
				}
				a := f.do(f.adminRequest(f.token, http.MethodGet, path, ""))
				if p.Name == "after" && slices.Contains(cursors, value) {
					f.problem(path, a, http.StatusBadRequest, authz.InvalidInput)
				}
				control := strings.ContainsFunc(value, func(r rune) bool { return r < 0x20 || (r >= 0x7f && r < 0xa0) }) || strings.ToValidUTF8(value, "") != value
				switch items, isList := a.json["items"].([]any); {
				case a.StatusCode >= 500, a.StatusCode < 400 && control, p.In == "path" && a.StatusCode < 400:
					t.Errorf("%s %q = %d %.300s", id, value, a.StatusCode, a.body)
				case a.StatusCode == http.StatusOK && isList && len(items) > 0 && p.Name != "limit" && p.Name != "after":
					t.Errorf("%s with %s %q found %.300s", id, p.Name, value, a.body)
				case a.StatusCode == http.StatusOK && p.Schema.MaxLength > 0 && len([]rune(value)) > p.Schema.MaxLength:
					t.Errorf("%s with %s of %d letters = %d, want it refused", id, p.Name, len([]rune(value)), a.StatusCode)
				}
			}
		}
	}
}

// What lists can be asked for is a fixed set.
func TestAdminUnknownParameters(t *testing.T) {
	f := newAdminFixture(t)
	for _, path := range []string{"/clients", "/users", "/sessions", "/events", "/events/export", "/keys", "/resources", "/overview", "/clients/app"} {
		for _, query := range []string{"sort=password_hash", "order_by=1", "sort=id;--", "password_hash=x", "limit=1&limit=2", "Limit=1", "limit=1&x=", "a;b=c", "limit[]=1", "%zz"} {
			a := f.do(f.adminRequest(f.token, http.MethodGet, path+"?"+query, ""))
			if a.StatusCode != http.StatusUnprocessableEntity && a.StatusCode != http.StatusBadRequest {
				t.Errorf("%s?%s = %d %.200s, want it refused", path, query, a.StatusCode, a.body)
			}
		}
	}
	for limit, status := range map[string]int{"1": 200, "500": 200, "0": 422, "501": 422, "-1": 422, "": 200, "x": 422, "1.5": 422} {
		if a := f.admins(f.token, http.MethodGet, "/users?limit="+limit, ""); a.StatusCode != status {
			t.Errorf("limit %q = %d %s, want %d", limit, a.StatusCode, a.body, status)
		}
	}
	f.problem("two searches", f.admins(f.token, http.MethodGet, "/users?username=a&email=b", ""), http.StatusBadRequest, authz.InvalidInput)
}
