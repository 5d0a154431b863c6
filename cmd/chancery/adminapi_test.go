package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"chancery/web/admin"
)

// desk is an admin at work with the admin API of a running server.
type desk struct {
	*node
	env   []string
	first firstCredentials
	token string
	// userID is that of the admin.
	userID string
}

func newDesk(t *testing.T, env []string) *desk {
	t.Helper()
	env = append(env, listenEnv(freePort(t))...)
	d := &desk{env: env, first: bootstrapped(t, env)}
	d.node = serve(t, env)
	d.token = d.login(d.first, "resource", d.base+"/admin").str("access_token")
	d.userID = cliUser(t, env, d.first.Username)
	return d
}

// ask sends a request to the admin API with header name, value pairs.
func (d *desk) ask(method, path, body string, headers ...string) (reply, error) {
	r, err := http.NewRequestWithContext(d.t.Context(), method, d.base+"/admin/v1"+path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	r.Header.Set("Authorization", "Bearer "+d.token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return read(http.DefaultClient.Do(r))
}

// must is ask that requires the status.
func (d *desk) must(status int, method, path, body string, headers ...string) reply {
	d.t.Helper()
	r, err := d.ask(method, path, body, headers...)
	if err != nil || r.status != status {
		d.t.Fatalf("%s %s = %d %s, %v, want %d", method, path, r.status, r.body, err, status)
	}
	return r
}

// decode reads JSON.
func (d *desk) decode(text string, into any) {
	d.t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		d.t.Fatalf("%s: %v", text, err)
	}
}

// items returns the items of a list, a page of limit at a time.
func (d *desk) items(path string, limit int) (all []map[string]any) {
	d.t.Helper()
	query, after := "?", ""
	if strings.Contains(path, "?") {
		query = "&"
	}
	for range 1000 {
		page := d.must(http.StatusOK, http.MethodGet, fmt.Sprintf("%s%slimit=%d%s", path, query, limit, after), "")
		items, _ := page.json["items"].([]any)
		for _, item := range items {
			all = append(all, item.(map[string]any))
		}
		if page.str("next") == "" {
			return all
		}
		after = "&after=" + url.QueryEscape(page.str("next"))
	}
	d.t.Fatalf("%s does not end", path)
	return nil
}

// TestAdminRound does a day's work through the API, and looks at it with the
// command line.
func TestAdminRound(t *testing.T) {
	eachDatabase(t, func(t *testing.T, env []string) {
		d := newDesk(t, env)
		d.must(http.StatusCreated, "POST", "/resources", `{"uri":"https://notes.example","scopes":[{"name":"notes:read"},{"name":"notes:edit","roles":["editor"]}]}`)
		d.must(http.StatusCreated, "POST", "/clients", `{"client_id":"notes","client_name":"Notes","token_endpoint_auth_method":"none","first_party":true,
			"grant_types":["password","refresh_token"],"scope":"notes:read notes:edit","resources":["https://notes.example"]}`)
		created := d.must(http.StatusCreated, "POST", "/users", `{"username":"ada","password":"tall ships sail at dawn","must_change":false,"email":"ada@mail.example","email_verified":true}`)
		user := "/users/" + created.str("id")
		login := func(status int) reply {
			return d.mustPost(status, "/oauth/token", "grant_type", "password", "client_id", "notes", "username", "ada", "password", "tall ships sail at dawn")
		}
		refresh := func(status int, from reply) reply {
			return d.mustPost(status, "/oauth/token", "grant_type", "refresh_token", "client_id", "notes", "refresh_token", from.str("refresh_token"))
		}
		if scope := login(http.StatusOK).str("scope"); scope != "notes:read" {
			t.Errorf("scope = %q, want what needs no role", scope)
		}
		d.must(http.StatusOK, "PUT", user+"/roles", `{"roles":["editor"]}`, "If-Match", created.header.Get("ETag"))
		d.must(http.StatusPreconditionFailed, "PUT", user+"/roles", `{"roles":[]}`, "If-Match", created.header.Get("ETag"))
		changed := d.items("/events?kind=roles_changed&actor="+d.userID, 5)
		if len(changed) != 1 || changed[0]["user_id"] != created.str("id") || changed[0]["address"] != "127.0.0.1" || fmt.Sprint(changed[0]["changes"]) != "[map[after:editor before: field:roles]]" {
			t.Errorf("events = %v, want one with the difference in roles", changed)
		}
		session := login(http.StatusOK)
		if session.str("scope") != "notes:read notes:edit" {
			t.Errorf("scope = %q, want the role's too", session.str("scope"))
		}

		found := d.items("/sessions?client_id=notes&state=live&address=127.0.0.1&user_id="+created.str("id"), 1)
		if len(found) != 2 || found[0]["username"] != "ada" || found[0]["user_agent"] == nil {
			t.Fatalf("sessions = %v, want two of ada with their device", found)
		}
		sid, _ := found[0]["sid"].(string)
		d.must(http.StatusNoContent, "DELETE", "/sessions/"+sid, "")
		if refused := refresh(http.StatusBadRequest, session); refused.str("cause") != "revoked" {
			t.Errorf("refresh of a revoked session = %s", refused.body)
		}
		var listed []admin.Session
		decode(t, cli(t, env, "sessions", "list", "--all", "--client", "notes", "-o", "json"), &listed)
		if len(listed) != 2 || listed[0].ID != sid || listed[0].Cause != "admin" {
			t.Errorf("the command line shows %+v, want %s ended by an admin", listed, sid)
		}
		d.adminBans(user, login)
		d.adminKeys()

		edited := d.must(http.StatusOK, "PATCH", "/clients/notes", `{"client_name":"Notes 2","disabled":true}`, "If-Match", d.must(http.StatusOK, "GET", "/clients/notes", "").header.Get("ETag"))
		var shown admin.Client
		decode(t, cli(t, env, "clients", "show", "notes", "-o", "json"), &shown)
		if edited.str("client_name") != "Notes 2" || shown.Name != "Notes 2" || shown.DisabledAt.IsZero() {
			t.Errorf("the command line shows %+v, want what the API says: %s", shown, edited.body)
		}
		d.must(http.StatusNoContent, "DELETE", "/clients/notes", "")
		d.must(http.StatusNoContent, "DELETE", user, "")
		d.must(http.StatusNoContent, "DELETE", "/resources/"+base64.RawURLEncoding.EncodeToString([]byte("https://notes.example")), "")
		if _, _, code := tryCLI(env, "", "users", "show", "ada"); code == exitOK {
			t.Error("the command line still shows a deleted user")
		}
		d.adminEvents()
	})
}

// adminBans bans the user for an hour and lets him in again.
func (d *desk) adminBans(user string, login func(status int) reply) {
	d.t.Helper()
	d.must(http.StatusOK, "POST", user+"/ban", `{"duration":"1h","reason":"spam"}`)
	login(http.StatusBadRequest)
	var shown admin.User
	d.decode(cli(d.t, d.env, "users", "show", "ada", "-o", "json"), &shown)
	if shown.BannedUntil.IsZero() || shown.BanReason != "spam" {
		d.t.Errorf("the command line shows %+v, want a ban", shown)
	}
	d.must(http.StatusOK, "POST", user+"/unban", "")
	login(http.StatusOK)
	if n := d.must(http.StatusOK, "POST", user+"/revoke-sessions", "").json["revoked"]; n != 1.0 {
		d.t.Errorf("%v sessions ended, want the one since the ban", n)
	}
}

// adminKeys rotates a key and takes the new one out of use.
func (d *desk) adminKeys() {
	d.t.Helper()
	key, _ := d.must(http.StatusOK, "POST", "/keys/rotate", `{"alg":"EdDSA"}`).json["key"].(map[string]any)
	id, _ := key["kid"].(string)
	if key["state"] != "pending" || !strings.Contains(cli(d.t, d.env, "keys", "list"), id) {
		d.t.Errorf("key = %v, want one that the command line lists as pending", key)
	}
	if jwks := d.jwks(); !strings.Contains(jwks.body, id) {
		d.t.Errorf("JWKS = %s, want %s in it", jwks.body, id)
	}
	d.must(http.StatusOK, "POST", "/keys/"+id+"/compromise", "")
	d.must(http.StatusNotFound, "POST", "/keys/nothing/compromise", "")
	if jwks := d.jwks(); strings.Contains(jwks.body, id) {
		d.t.Errorf("JWKS = %s, want %s gone", jwks.body, id)
	}
	listed, _ := d.must(http.StatusOK, "GET", "/keys", "").json["items"].([]any)
	if len(listed) < 2 {
		d.t.Errorf("keys = %v, want the new one too", listed)
	}
	for _, k := range listed {
		for name := range k.(map[string]any) {
			if !slices.Contains([]string{"kid", "alg", "state", "created_at", "activate_at", "retire_at", "remove_at", "compromised_at"}, name) {
				d.t.Errorf("key = %v, want nothing else of it", k)
			}
		}
	}
}

// jwks returns the published keys.
func (d *desk) jwks() reply {
	d.t.Helper()
	r, err := d.get("/.well-known/jwks.json")
	if err != nil || r.status != http.StatusOK {
		d.t.Fatalf("JWKS = %d, %v", r.status, err)
	}
	return r
}

// adminEvents looks for the event of each change that the round made.
func (d *desk) adminEvents() {
	d.t.Helper()
	kinds := map[string]int{}
	events := d.items("/events?actor="+d.userID, 7)
	for _, e := range events {
		kinds[e["kind"].(string)]++
	}
	for kind, least := range map[string]int{
		"resource_created": 1, "client_created": 1, "user_created": 1, "roles_changed": 1, "session_ended": 2, "user_banned": 1, "user_unbanned": 1, "key_rotated": 1,
		"key_compromised": 1, "client_changed": 1, "client_deleted": 1, "user_deleted": 1, "resource_deleted": 1,
	} {
		if kinds[kind] < least {
			d.t.Errorf("%d events of kind %s by the admin, want %d", kinds[kind], kind, least)
		}
	}
	export := d.must(http.StatusOK, "GET", "/events/export?actor="+d.userID, "")
	if lines := strings.Count(export.body, "\n"); lines != len(events) || !strings.HasSuffix(export.body, "\n") {
		d.t.Errorf("%d lines are exported, want the %d events", lines, len(events))
	}
	for _, secret := range []string{"tall ships", d.first.Password, d.token} {
		if strings.Contains(export.body, secret) || strings.Contains(d.stdout.String()+d.stderr.String(), secret) {
			d.t.Errorf("%q stands in the events or in the log", secret)
		}
	}
}

// TestAdminPagesOfDatabases pages through every list, and asks each parameter
// of the document what a database could stumble over.
func TestAdminPagesOfDatabases(t *testing.T) {
	eachDatabase(t, func(t *testing.T, env []string) {
		d := newDesk(t, env)
		for i := range 5 {
			d.must(http.StatusCreated, "POST", "/users", fmt.Sprintf(`{"username":"ship%d","email":"one@mail.example","password":"tall ships sail at dawn"}`, i))
			d.must(http.StatusCreated, "POST", "/clients", fmt.Sprintf(`{"client_id":"c%d"}`, i))
			d.login(d.first)
		}
		for path, id := range map[string]string{"/users": "id", "/users?username=SHIP": "id", "/users?email=one@": "id", "/clients": "client_id", "/sessions": "sid", "/sessions?state=live": "sid", "/events?kind=user_created": "id"} {
			var whole []any
			for _, item := range d.items(path, 500) {
				whole = append(whole, item[id])
			}
			for _, limit := range []int{1, 2, 5} {
				var got []any
				for _, item := range d.items(path, limit) {
					got = append(got, item[id])
				}
				if !slices.Equal(got, whole) || len(whole) < 5 {
					t.Errorf("%s by %d = %v, want %v", path, limit, got, whole)
				}
			}
		}
		var document struct {
			Paths map[string]map[string]struct {
				Parameters []struct{ Name, In string } `json:"parameters"`
			} `json:"paths"`
		}
		decode(t, d.must(http.StatusOK, "GET", "/openapi.json", "").body, &document)
		for path, item := range document.Paths {
			for _, p := range item["get"].Parameters {
				for _, value := range oddValues() {
					asked := path + "?" + p.Name + "=" + url.QueryEscape(value)
					if p.In == "path" {
						asked = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(value))
					}
					if r, err := d.ask("GET", asked, ""); err != nil || r.status >= 500 {
						t.Errorf("GET %s = %d %s, %v", asked, r.status, r.body, err)
					}
				}
			}
		}
		for _, value := range oddValues() {
			text, _ := json.Marshal(value)
			for _, body := range [][2]string{
				{"/sessions/revoke", `{"session_ids":[` + string(text) + `]}`},
				{"/clients", `{"client_name":` + string(text) + `}`},
				{"/resources", `{"uri":"https://odd.example","name":` + string(text) + `}`},
				{"/users", `{"password":"tall ships sail at dawn","username":` + string(text) + `}`},
				{"/users/" + d.userID + "/ban", `{"duration":"x","reason":` + string(text) + `}`},
			} {
				if r, err := d.ask("POST", body[0], body[1]); err != nil || r.status >= 500 {
					t.Errorf("POST %s %s = %d %s, %v", body[0], body[1], r.status, r.body, err)
				}
			}
		}
	})
}

func oddValues() []string {
	encode := base64.RawURLEncoding.EncodeToString
	return []string{
		"\x00", "a\x00b", "\xff", "\xc3\x28", "a\x1bb", "'", "' OR 1=1 --", "%", "_", "\\", "🙂", "\U0010ffff", "\ufeff", strings.Repeat("x", 600), "9999-12-31T23:59:59Z", "0000-01-01T00:00:00Z",
		encode([]byte("9223372036854775807 a")), encode([]byte("-9223372036854775808 a")), encode([]byte("0 ' OR 1=1")), encode([]byte("1 \x00")), encode([]byte("1 a b c")),
	}
}

// TestAdminEditsRaceOnDatabases has admins edit one state at once: one wins.
func TestAdminEditsRaceOnDatabases(t *testing.T) {
	eachDatabase(t, func(t *testing.T, env []string) {
		d := newDesk(t, env)
		d.must(http.StatusCreated, "POST", "/clients", `{"client_id":"robot"}`)
		user := d.must(http.StatusCreated, "POST", "/users", `{"username":"ada","password":"tall ships sail at dawn"}`)
		resource := "/resources/" + base64.RawURLEncoding.EncodeToString([]byte(d.first.Resource))
		for _, edit := range [][4]string{
			{"PATCH", "/clients/robot", `{"client_name":"N%d"}`, "/clients/robot"},
			{"POST", "/clients/robot/rotate-secret", `{"overlap":"%dh"}`, "/clients/robot"},
			{"PATCH", resource, `{"name":"N%d"}`, resource},
			{"PUT", "/users/" + user.str("id") + "/roles", `{"roles":["n%d"]}`, "/users/" + user.str("id")},
			{"POST", "/users/" + user.str("id") + "/ban", `{"duration":"1%dh"}`, "/users/" + user.str("id")},
		} {
			tag := d.must(http.StatusOK, "GET", edit[3], "").header.Get("ETag")
			statuses := make([]int, 8)
			var group sync.WaitGroup
			for i := range statuses {
				group.Go(func() {
					r, err := d.ask(edit[0], edit[1], fmt.Sprintf(edit[2], i), "If-Match", tag)
					if statuses[i] = r.status; err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
			slices.Sort(statuses)
			if statuses[0] != http.StatusOK || statuses[1] < http.StatusConflict || statuses[7] > http.StatusPreconditionFailed {
				t.Errorf("%s %s at once = %v, want one 200 and the rest 409 or 412", edit[0], edit[1], statuses)
			}
		}
	})
}

// TestAdminDocumentIsOpenAPI asks another program whether the document is one
// of OpenAPI 3.1.
func TestAdminDocumentIsOpenAPI(t *testing.T) {
	dir, node, modules := t.TempDir(), program(t, "node"), nodeModules(t)
	if _, err := os.Stat(filepath.Join(modules, "@seriousme/openapi-schema-validator")); err != nil {
		missing(t, "openapi-schema-validator (npm ci --prefix .ci/node)")
	}
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	const script = `
import { Validator } from "@seriousme/openapi-schema-validator";
const validator = new Validator();
const result = await validator.validate(process.argv[2]);
if (result.valid) validator.resolveRefs();
console.log(validator.version, JSON.stringify(result));
process.exit(result.valid && validator.version === "3.1" ? 0 : 1);
`
	path := filepath.Join(dir, "openapi.json")
	check := func(document string) (string, error) {
		out, err := os.WriteFile(path, []byte(document), 0o600), os.WriteFile(filepath.Join(dir, "check.mjs"), []byte(script), 0o600)
		if out != nil || err != nil {
			t.Fatal(out, err)
		}
		run := exec.Command(node, "check.mjs", path)
		run.Dir = dir
		printed, err := run.CombinedOutput()
		return string(printed), err
	}
	d := newDesk(t, sqliteEnv(t))
	document := d.must(http.StatusOK, "GET", "/openapi.json", "").body
	if printed, err := check(document); err != nil {
		t.Errorf("the document is not valid: %v\n%s", err, printed)
	}
	if _, err := check(strings.Replace(document, `"in":"path"`, `"in":"nowhere"`, 1)); err == nil {
		t.Error("a broken document is found valid")
	}
}
