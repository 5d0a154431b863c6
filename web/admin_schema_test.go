package web_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"chancery/authz"
)

// adminFixture is what exists for the operations of the API to work on.
type adminFixture struct {
	*server
	d     *adminDocument
	token string
	// These name a user, a session of his, and a key.
	userID, sessionID, keyID string
}

const spareURI = "https://spare.example"

// newAdminFixture makes what the examples of the document name.
func newAdminFixture(t testing.TB, edit ...func(*options)) *adminFixture {
	t.Helper()
	f := &adminFixture{server: adminServer(t, edit...)}
	ctx := t.Context()
	_, err := f.admin.Resources.Update(ctx, apiURI, func(r *authz.Resource) error {
		r.Scopes = append(r.Scopes, authz.ResourceScope{Name: "notes:read"}, authz.ResourceScope{Name: "notes:write"})
		return nil
	})
	must(t, err)
	_, err = f.admin.Resources.Create(ctx, authz.Resource{URI: spareURI})
	must(t, err)
	_, _, err = f.clients.Create(ctx, authz.Client{
		ID: "shop", AuthMethod: authz.AuthNone, FirstParty: true, GrantTypes: []string{authz.GrantPassword, authz.GrantRefreshToken},
		Scope: authz.Scope{"notes:read", "notes:write"}, Resources: []string{apiURI},
	})
	must(t, err)
	key, err := f.admin.Keys.Rotate(ctx, "EdDSA", authz.Administrator{Actor: "test"})
	must(t, err)
	user, err := f.users.Create(ctx, authz.NewUser{Username: "carol", Email: "c@example.com", Password: secretPW, Roles: []string{"reader"}})
	must(t, err)
	if a := pgLogin(f.server, "shop", "carol", secretPW); a.StatusCode != http.StatusOK {
		t.Fatalf("login of carol: %s", a.body)
	}
	families, _, err := f.admin.Sessions.Search(ctx, authz.SessionQuery{UserID: user.ID, Page: authz.Page{Limit: 1}})
	must(t, err)
	f.userID, f.sessionID, f.keyID = user.ID, families[0].SessionID, key.ID
	f.token, f.d = f.bossToken(), f.document()
	return f
}

// do is that of server, for an answer of many objects too.
func (f *adminFixture) do(r *http.Request) answer {
	f.t.Helper()
	if !strings.HasSuffix(r.URL.Path, "/export") {
		return f.server.do(r)
	}
	recorder := httptest.NewRecorder()
	f.handler.ServeHTTP(recorder, r)
	a := answer{Response: recorder.Result(), body: recorder.Body.String()}
	_ = json.Unmarshal(recorder.Body.Bytes(), &a.json) // only a problem is one object
	return a
}

// exercise says how the examples of one operation are made to succeed.
type exercise struct {
	// path has values for path parameters.
	path func(f *adminFixture) map[string]string
	// prepare changes what there is.
	prepare func(f *adminFixture)
}

func resourceID(uri string) string { return base64.RawURLEncoding.EncodeToString([]byte(uri)) }

// adminExercises are by the ids of operations.
func adminExercises() map[string]exercise {
	one := func(name string, value func(f *adminFixture) string) exercise {
		return exercise{path: func(f *adminFixture) map[string]string { return map[string]string{name: value(f)} }}
	}
	user := one("user_id", func(f *adminFixture) string { return f.userID })
	session := one("sid", func(f *adminFixture) string { return f.sessionID })
	spare := one("id", func(*adminFixture) string { return resourceID(spareURI) })
	robot := one("client_id", func(*adminFixture) string { return "robot" })
	return map[string]exercise{
		"overview": {}, "listClients": {}, "getClient": {}, "updateClient": {}, "deleteClient": {}, "revokeClientSessions": {}, "rotateClientSecret": robot,
		"createClient":  {prepare: func(f *adminFixture) { must(f.t, f.clients.Delete(f.t.Context(), "shop")) }},
		"listResources": {}, "getResource": {}, "updateResource": spare, "deleteResource": spare, "createResource": {},
		"listUsers": {}, "getUser": user, "setUserRoles": user, "banUser": user, "unbanUser": user, "setUserPassword": user, "deleteUser": user, "revokeUserSessions": user,
		"createUser": {prepare: func(f *adminFixture) {
			_, err := f.users.Delete(f.t.Context(), username)
			must(f.t, err)
		}},
		"listSessions": {}, "getSession": session, "revokeSession": session, "revokeSessions": {},
		"listKeys": {}, "rotateKey": {}, "compromiseKey": one("kid", func(f *adminFixture) string { return f.keyID }),
		"listEvents": {}, "exportEvents": {},
	}
}

func (e exercise) values(f *adminFixture) map[string]string {
	if e.path == nil {
		return nil
	}
	return e.path(f)
}

// example builds the request of the operation that succeeds.
func (f *adminFixture) example(token, id string, optional ...string) *http.Request {
	f.t.Helper()
	return f.d.request(f.server, token, f.d.Operations[id], adminExercises()[id].values(f), optional...)
}

// eachAdminOperation runs the test with a server of its own for each operation
// of the document; each has an exercise, and each exercise an operation.
func eachAdminOperation(t *testing.T, test func(t *testing.T, f *adminFixture, o adminOperation)) {
	t.Helper()
	exercises := adminExercises()
	operations := adminServer(t).document().Operations
	for id := range exercises {
		if _, ok := operations[id]; !ok {
			t.Errorf("%s is exercised, and no operation", id)
		}
	}
	for id, o := range operations {
		if _, ok := exercises[id]; !ok {
			t.Errorf("operation %s is not exercised", id)
			continue
		}
		t.Run(id, func(t *testing.T) {
			f := newAdminFixture(t)
			if exercises[id].prepare != nil {
				exercises[id].prepare(f)
			}
			test(t, f, o)
		})
	}
}

// A client that knows nothing but the document makes every request.
func TestAdminSchemaDrivenClient(t *testing.T) {
	eachAdminOperation(t, func(_ *testing.T, f *adminFixture, o adminOperation) {
		a := f.do(f.example(f.token, o.ID))
		f.d.check("examples", o, a)
		if a.StatusCode >= 300 {
			f.t.Fatalf("%s with its examples = %d %s", o.ID, a.StatusCode, a.body)
		}
		if items, isList := a.json["items"].([]any); isList && len(items) == 0 {
			f.t.Errorf("%s lists nothing, which proves nothing", o.ID)
		}
		if location := a.Header.Get("Location"); location != "" {
			path, ok := strings.CutPrefix(location, issuer+"/admin/v1")
			created := f.admins(f.token, http.MethodGet, path, "")
			if !ok || created.StatusCode != http.StatusOK || created.Header.Get("ETag") != a.Header.Get("ETag") {
				f.t.Errorf("%s is at %s: %d %s", o.ID, location, created.StatusCode, created.body)
			}
		}
		for _, p := range o.Parameters {
			if _, ok := p.example(); p.In == "query" && ok {
				a := f.do(f.example(f.token, o.ID, p.Name))
				f.d.check("with "+p.Name, o, a)
				if a.StatusCode != http.StatusOK {
					f.t.Errorf("%s with %s = %d %s", o.ID, p.Name, a.StatusCode, a.body)
				}
			}
		}
	})
}

// Each refusal that can be brought about is as documented, for each operation.
func TestAdminProblemsAreDocumented(t *testing.T) {
	nowhere := map[string]string{"client_id": "nobody", "user_id": "usr_00000000-0000-4000-8000-000000000000", "sid": "nothing", "kid": "nothing", "id": resourceID("https://nothing.example")}
	const hidden = "text of the database"
	eachAdminOperation(t, func(_ *testing.T, f *adminFixture, o adminOperation) {
		expect := func(what string, r *http.Request, status int, code authz.Code) {
			f.t.Helper()
			a := f.do(r)
			if a.StatusCode != status || a.str("code") != string(code) || a.json["status"] != float64(status) || strings.Contains(a.body, hidden) {
				f.t.Errorf("%s: %s = %d %s, want %d %s", what, o.ID, a.StatusCode, a.body, status, code)
			}
			f.d.check(what, o, a)
		}
		with := func(edit func(r *http.Request)) *http.Request { r := f.example(f.token, o.ID); edit(r); return r }
		expect("no token", f.example("", o.ID), 401, "missing_token")
		expect("garbage", f.example("x.y.z", o.ID), 401, authz.InvalidToken)
		expect("no role", f.example(f.roleless(), o.ID), 403, authz.InsufficientScope)
		if o.Method != http.MethodGet {
			expect("reader", f.example(f.bossToken("scope", authz.ScopeAdminRead), o.ID), 403, authz.InsufficientScope)
		}
		expect("parameter twice", with(func(r *http.Request) { r.URL.RawQuery = "limit=1&limit=1" }), 400, authz.InvalidRequest)
		unknown := 422
		if o.ID == "exportEvents" {
			unknown = 400
		}
		expect("unknown parameter", with(func(r *http.Request) { r.URL.RawQuery = "unknown=1" }), unknown, authz.InvalidInput)
		if strings.Contains(o.Path, "{") {
			expect("of nothing", f.d.request(f.server, f.token, o, nowhere), 404, authz.NotFound)
		}
		if o.RequestBody != nil {
			expect("not JSON", f.bodied(o, "{"), 400, authz.InvalidRequest)
			expect("nothing", f.bodied(o, ""), 400, authz.InvalidRequest)
			expect("unknown member", f.bodied(o, `{"unknown":1}`), 422, authz.InvalidInput)
			expect("too large", f.bodied(o, `{"unknown":"`+strings.Repeat("x", 1<<20)+`"}`), 413, authz.InvalidRequest)
			expect("text", with(func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }), 415, authz.InvalidRequest)
		}
		for _, p := range o.Parameters {
			if p.Name == "If-Match" {
				expect("another state", with(func(r *http.Request) { r.Header.Set("If-Match", `"0"`) }), 412, authz.Changed)
			}
		}
		if _, ok := o.Responses["428"]; ok {
			expect("no state", with(func(r *http.Request) { r.Header.Del("If-Match") }), 428, "precondition_required")
		}
		token := f.token
		f.store.SetDown(authz.ErrUnavailable)
		expect("no database", f.example(token, o.ID), 503, authz.TemporarilyUnavailable)
		f.store.SetDown(errors.New(hidden))
		expect("fault", f.example(token, o.ID), 500, "server_error")
	})
}

// roleless returns an access token for the admin API of somebody who has lost
// the role since.
func (f *adminFixture) roleless() string {
	f.t.Helper()
	name := "temp" + strconv.Itoa(len(f.mails)+f.store.CallCount())
	_, err := f.users.Create(f.t.Context(), authz.NewUser{Username: name, Password: secretPW, Roles: []string{authz.RoleAdmin}})
	must(f.t, err)
	a := pgLogin(f.server, "desk", name, secretPW, "resource", adminURI)
	_, err = f.users.SetRoles(f.t.Context(), name, nil)
	must(f.t, err)
	return a.str("access_token")
}

// bodied is the request of the operation with another body.
func (f *adminFixture) bodied(o adminOperation, body string) *http.Request {
	f.t.Helper()
	r := f.example(f.token, o.ID)
	path, _ := strings.CutPrefix(r.URL.String(), "/admin/v1")
	return f.adminRequest(f.token, o.Method, path, body, func(changed *http.Request) { changed.Header = r.Header })
}

// What exists already, or is in use.
func TestAdminConflicts(t *testing.T) {
	f := newAdminFixture(t)
	for id, body := range map[string]string{
		"createClient": `{"client_id":"shop"}`, "createUser": `{"username":"Alice","password":"` + goodPW + `"}`, "createResource": `{"uri":"` + apiURI + `"}`,
		"deleteResource": "",
	} {
		o := f.d.Operations[id]
		r := f.d.request(f.server, f.token, o, nil)
		if body != "" {
			r = f.adminRequest(f.token, o.Method, o.Path, body)
		}
		a := f.do(r)
		f.problem(id, a, http.StatusConflict, authz.Conflict)
		f.d.check(id, o, a)
	}
	// The server's own resources stay as they are.
	own := "/resources/" + url.PathEscape(resourceID(adminURI))
	f.problem("change", f.admins(f.token, "PATCH", own, `{"name":"Mine"}`, ifMatch("*")), 400, authz.InvalidInput)
	f.problem("delete", f.admins(f.token, "DELETE", own, ""), 400, authz.InvalidInput)
	var list struct {
		Items []map[string]any `json:"items"`
	}
	must(t, json.Unmarshal([]byte(f.admins(f.token, "GET", "/resources", "").body), &list))
	if len(list.Items) < 2 || list.Items[0]["builtin"] != true {
		t.Errorf("resources = %v, want the server's own first", list.Items)
	}
}
