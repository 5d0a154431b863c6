package web_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"chancery/authz"
)

// adminChange is a change of something that has an entity tag.
type adminChange struct {
	method, path, body string
	// of is where the tag is read.
	of string
	// needed: the change is not made without a precondition.
	needed bool
}

func adminChanges(f *adminFixture) map[string]adminChange {
	user, resource := "/users/"+f.userID, "/resources/"+resourceID(spareURI)
	return map[string]adminChange{
		"updateClient":       {"PATCH", "/clients/shop", `{"client_name":"N"}`, "/clients/shop", true},
		"rotateClientSecret": {"POST", "/clients/robot/rotate-secret", `{}`, "/clients/robot", false},
		"deleteClient":       {"DELETE", "/clients/shop", "", "/clients/shop", false},
		"updateResource":     {"PATCH", resource, `{"name":"N"}`, resource, true},
		"deleteResource":     {"DELETE", resource, "", resource, false},
		"setUserRoles":       {"PUT", user + "/roles", `{"roles":["n"]}`, user, false},
		"banUser":            {"POST", user + "/ban", `{}`, user, false},
		"unbanUser":          {"POST", user + "/unban", "", user, false},
		"setUserPassword":    {"PUT", user + "/password", `{"password":"` + goodPW + `"}`, user, false},
		"deleteUser":         {"DELETE", user, "", user, false},
	}
}

func TestAdminIfMatch(t *testing.T) {
	for id := range adminChanges(&adminFixture{}) {
		t.Run(id, func(t *testing.T) {
			f := newAdminFixture(t)
			change := adminChanges(f)[id]
			f.clock.Add(time.Second)
			tag := f.admins(f.token, http.MethodGet, change.of, "").Header.Get("ETag")
			if _, err := strconv.Unquote(tag); err != nil {
				t.Fatalf("entity tag %q", tag)
			}
			for _, wrong := range []string{`"0"`, "W/" + tag, strings.Trim(tag, `"`), `"` + tag + `"`, `"a", "b"`, ",", `"*"`, tag + "x"} {
				f.problem("If-Match "+wrong, f.admins(f.token, change.method, change.path, change.body, ifMatch(wrong)), http.StatusPreconditionFailed, authz.Changed)
			}
			if change.needed {
				f.problem("no If-Match", f.admins(f.token, change.method, change.path, change.body), http.StatusPreconditionRequired, "precondition_required")
			}
			if again := f.admins(f.token, http.MethodGet, change.of, "").Header.Get("ETag"); again != tag {
				t.Errorf("what was refused made of %s %s", tag, again)
			}
			if a := f.admins(f.token, change.method, change.path, change.body, ifMatch(strings.Repeat(tag+",", 100))); a.StatusCode != http.StatusUnprocessableEntity {
				t.Errorf("If-Match too long = %d %s, want 422", a.StatusCode, a.body)
			}
			done := f.admins(f.token, change.method, change.path, change.body, ifMatch(`"0" , `+tag))
			if done.StatusCode >= 300 {
				t.Fatalf("with the tag = %d %s", done.StatusCode, done.body)
			}
			if change.method == http.MethodDelete {
				f.problem("of what is gone", f.admins(f.token, change.method, change.path, change.body, ifMatch("*")), http.StatusNotFound, authz.NotFound)
				return
			}
			next := done.Header.Get("ETag")
			if read := f.admins(f.token, http.MethodGet, change.of, ""); next == tag || read.Header.Get("ETag") != next {
				t.Errorf("the change made of %s %s, read as %s, want one other tag", tag, next, read.Header.Get("ETag"))
			}
			f.problem("old tag", f.admins(f.token, change.method, change.path, change.body, ifMatch(tag)), http.StatusPreconditionFailed, authz.Changed)
			if a := f.admins(f.token, change.method, change.path, change.body, ifMatch("*")); a.StatusCode >= 300 {
				t.Errorf("with * = %d %s", a.StatusCode, a.body)
			}
		})
	}
}

// Of many admins who edit the same state at once, one wins.
func TestAdminEditsRace(t *testing.T) {
	for id := range adminChanges(&adminFixture{}) {
		if strings.HasPrefix(id, "delete") {
			continue
		}
		t.Run(id, func(t *testing.T) {
			f := newAdminFixture(t)
			change := adminChanges(f)[id]
			tag := f.admins(f.token, http.MethodGet, change.of, "").Header.Get("ETag")
			const editors = 8
			statuses := make([]int, editors)
			var group sync.WaitGroup
			for i := range editors {
				body := strings.ReplaceAll(strings.ReplaceAll(change.body, `"N"`, `"N`+strconv.Itoa(i)+`"`), `"n"`, `"n`+strconv.Itoa(i)+`"`)
				r := f.adminRequest(f.token, change.method, change.path, body, ifMatch(tag))
				group.Go(func() { statuses[i] = f.do(r).StatusCode })
			}
			group.Wait()
			slices.Sort(statuses)
			if statuses[0] != http.StatusOK || statuses[1] < http.StatusConflict || statuses[editors-1] > http.StatusPreconditionFailed {
				t.Errorf("edits of one state = %v, want one 200 and the rest 409 or 412", statuses)
			}
		})
	}
}

// A rotated secret overlaps with the one before for as long as is said.
func TestAdminSecretOverlap(t *testing.T) {
	s := adminServer(t)
	old := s.secrets["robot"]
	works := func(secret authz.Secret) bool {
		s.secrets["robot"] = secret
		return s.as("robot", "/oauth/token", "grant_type", "client_credentials").StatusCode == http.StatusOK
	}
	rotate := func(body string) authz.Secret {
		t.Helper()
		a := s.admins(s.bossToken(), http.MethodPost, "/clients/robot/rotate-secret", body)
		s.ok(body, a, http.StatusOK)
		return authz.Secret(a.str("client_secret"))
	}
	next := rotate(`{"overlap":"1h"}`)
	if !works(old) || !works(next) || old == next {
		t.Error("within the overlap both secrets must work")
	}
	s.clock.Add(time.Hour)
	if works(old) || !works(next) {
		t.Error("after the overlap only the new secret may work")
	}
	last := rotate(`{"overlap":"0s"}`)
	if works(next) || !works(last) {
		t.Error("without overlap only the new secret may work")
	}
	for _, overlap := range []string{"-1s", "2161h", "1", "forever", "9999999h"} {
		s.problem(overlap, s.admins(s.bossToken(), http.MethodPost, "/clients/robot/rotate-secret", `{"overlap":"`+overlap+`"}`), http.StatusBadRequest, authz.InvalidInput)
	}
	s.problem("public", s.admins(s.bossToken(), http.MethodPost, "/clients/app/rotate-secret", `{}`), http.StatusBadRequest, authz.InvalidInput)
}

// What must_change says is what happens, and it is true if nothing is said.
func TestAdminMustChange(t *testing.T) {
	s := adminServer(t)
	token := s.bossToken()
	for said, want := range map[string]bool{`,"must_change":false`: false, `,"must_change":true`: true, "": true} {
		name := "user" + strconv.Itoa(len(said))
		created := s.admins(token, http.MethodPost, "/users", `{"username":"`+name+`","password":"`+goodPW+`"`+said+`}`)
		if created.StatusCode != http.StatusCreated || created.json["must_change"] != want || (pgLogin(s, "app", name, goodPW).StatusCode == http.StatusOK) == want {
			t.Errorf("created with %q = %d %s, want must_change %t", said, created.StatusCode, created.body, want)
		}
		set := s.admins(token, http.MethodPut, "/users/"+created.str("id")+"/password", `{"password":"`+secretPW+`"`+said+`}`)
		if set.StatusCode != http.StatusOK || set.json["must_change"] != want || (pgLogin(s, "app", name, secretPW).StatusCode == http.StatusOK) == want {
			t.Errorf("set with %q = %d %s, want must_change %t", said, set.StatusCode, set.body, want)
		}
	}
}

// A ban lasts as long as is said.
func TestAdminBans(t *testing.T) {
	f := newAdminFixture(t)
	ban := func(body string) answer { return f.admins(f.token, http.MethodPost, "/users/"+f.userID+"/ban", body) }
	if a := ban(`{"duration":"5m","reason":"a\nb"}`); a.str("banned_until") != f.clock.Now().Add(5*time.Minute).Format(time.RFC3339) || a.str("ban_reason") != "ab" {
		t.Errorf("ban = %s", a.body)
	}
	if a := ban(`{}`); a.str("banned_until") != "9999-12-31T00:00:00Z" {
		t.Errorf("ban without end = %s", a.body)
	}
	for _, body := range []string{`{"duration":"0s"}`, `{"duration":"-5m"}`, `{"duration":"5"}`, `{"duration":"1d"}`, `{"duration":"9999999999h"}`} {
		f.problem(body, ban(body), http.StatusBadRequest, authz.InvalidInput)
	}
}
