package web_test

import (
	"bytes"
	"encoding/base64"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"chancery/authz"
)

// oldVersion is the version in a form.
var oldVersion = regexp.MustCompile(`name="version" value="([^"]*)"`)

// A form for something that somebody else has changed keeps what was typed,
// changes nothing, and can be sent again.
func TestConsoleFormsOfOldVersions(t *testing.T) {
	f := newConsole(t)
	client, resource := "/console/clients/robot/edit", f.path("/console/resources/:id")
	for path, row := range map[string]struct{ typed, kept []string }{
		client: {
			[]string{"client_name", "typed name", "token_endpoint_auth_method", "client_secret", "grant_types", "client_credentials", "resources", apiURI, "scope", "write", "idle_ttl", "3h"},
			[]string{`value="typed name"`, ">write</textarea>", `name="idle_ttl" value="3h`},
		},
		resource: {
			[]string{"name", "typed name", "algorithm", "EdDSA", "access_token_ttl", "7m", "scopes", "typed:scope role"},
			[]string{`value="typed name"`, "<option selected>EdDSA", `value="7m"`, ">typed:scope role</textarea>"},
		},
	} {
		before := f.state()
		a := f.send(path, append([]string{"version", "12345"}, row.typed...)...)
		if a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, `role="alert"`) {
			t.Errorf("%s = %d %s", path, a.StatusCode, a.body)
		}
		for _, kept := range row.kept {
			if !strings.Contains(a.body, kept) {
				t.Errorf("%s = %s, want %s kept", path, a.body, kept)
			}
		}
		if after := f.state(); after != before {
			t.Errorf("%s changed\n%s to\n%s", path, before, after)
		}
		version := oldVersion.FindStringSubmatch(a.body)
		if version == nil {
			t.Fatalf("%s: there is no version in %s", path, a.body)
		}
		if a = f.send(path, append([]string{"version", version[1]}, row.typed...)...); a.StatusCode != http.StatusSeeOther || f.state() == before {
			t.Errorf("%s again = %d %s", path, a.StatusCode, a.body)
		}
	}
}

// What cannot be read is shown as it was typed, with a sentence, and changes
// nothing.
func TestConsoleFormsKeepWhatWasTyped(t *testing.T) {
	f := newConsole(t)
	_, err := f.users.Create(t.Context(), authz.NewUser{Username: "taken", Password: secretPW})
	must(t, err)
	robot := []string{"version", "1", "token_endpoint_auth_method", "client_secret", "grant_types", "client_credentials", "resources", apiURI, "scope", "read"}
	for name, row := range map[string]struct {
		path  string
		pairs []string
		kept  []string
	}{
		"duration":        {"/console/clients/robot/edit", append(robot, "leeway", "soon", "client_name", "N1"), []string{`name="leeway" value="soon"`, `value="N1"`, "want a duration"}},
		"budget":          {"/console/clients/robot/edit", append(robot, "lost_response_budget", "many"), []string{`name="lost_response_budget" inputmode="numeric" value="many"`}},
		"scope":           {"/console/clients/robot/edit", append(robot[:8:8], "scope", "nothing"), []string{"is defined by none", ">nothing</textarea>"}},
		"origin":          {"/console/clients/robot/edit", append(robot, "allowed_origins", "http://*.evil\nhttps://b.example"), []string{"http://*.evil\nhttps://b.example</textarea>"}},
		"new client":      {"/console/clients", []string{"client_id", "~x y", "client_name", "N2", "idle_ttl", "-1h"}, []string{`value="~x y"`, `value="N2"`, `value="-1h`}},
		"client's twin":   {"/console/clients", []string{"client_id", "robot", "token_endpoint_auth_method", "none", "client_name", "N3"}, []string{`value="robot"`, `value="N3"`}},
		"weak password":   {"/console/users", []string{"username", "erin", "password", "short", "roles", "a b", "email", "e@mail.example"}, []string{`value="erin"`, `value="a b"`, `value="e@mail.example"`}},
		"name taken":      {"/console/users", []string{"username", "TAKEN", "password", goodPW, "keep", "on"}, []string{`value="TAKEN"`, `name="keep" checked`}},
		"no name":         {"/console/users", nil, []string{`name="username" value=""`}},
		"role":            {f.path("/console/users/:id/roles"), []string{"roles", "a\"b"}, nil},
		"no length":       {f.path("/console/users/:id/ban"), nil, []string{"How long?"}},
		"length":          {f.path("/console/users/:id/ban"), []string{"length", "-1h"}, nil},
		"length's form":   {f.path("/console/users/:id/ban"), []string{"length", "tomorrow"}, []string{"ban: want a duration"}},
		"no password":     {f.path("/console/users/:id/password"), nil, nil},
		"delete user":     {f.path("/console/users/:id/delete"), []string{"confirm", "CAROL"}, []string{"Nothing was deleted."}},
		"delete client":   {"/console/clients/robot/delete", []string{"confirm", ""}, []string{"Nothing was deleted."}},
		"overlap":         {"/console/clients/robot/secret", []string{"overlap", "9999h"}, nil},
		"overlap's form":  {"/console/clients/robot/secret", []string{"overlap", "x"}, nil},
		"public":          {"/console/clients/app/secret", []string{"overlap", "1h"}, nil},
		"resource":        {"/console/resources", []string{"uri", "nowhere", "name", "N4", "algorithm", "EdDSA", "access_token_ttl", "x", "scopes", "a b\nc"}, []string{`value="nowhere"`, `value="N4"`, "<option selected>EdDSA", `value="x"`, ">a b\nc</textarea>"}},
		"resource's twin": {"/console/resources", []string{"uri", apiURI, "algorithm", "RS256"}, []string{`value="` + apiURI + `"`}},
		"resource in use": {"/console/resources/" + base64.RawURLEncoding.EncodeToString([]byte(apiURI)) + "/delete", nil, []string{apiURI}},
	} {
		before := f.state()
		a := f.send(row.path, row.pairs...)
		if a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, `role="alert"`) || strings.Contains(a.body, goodPW) {
			t.Errorf("%s = %d %s", name, a.StatusCode, a.body)
		}
		for _, kept := range row.kept {
			if !strings.Contains(a.body, kept) {
				t.Errorf("%s: %q is not in %s", name, kept, a.body)
			}
		}
		if after := f.state(); after != before {
			t.Errorf("%s changed\n%s to\n%s", name, before, after)
		}
	}
}

// A form that no database takes is refused whole, however it is encoded.
func TestConsoleFormsThatCannotBeUsed(t *testing.T) {
	f := newConsole(t)
	forms := consoleForms()
	unread := []string{"/console/logout", "/revoke", "/disable", "/enable", "/resources/:id/delete", "/compromise"}
	for _, pattern := range consoleRoutes(t, f.server, http.MethodPost) {
		if containsSuffix(pattern, unread) && pattern != "/console/sessions/revoke" {
			continue // these ask for nothing that a form holds
		}
		pairs := f.pairs(forms[pattern])
		for name, text := range map[string]string{"NUL": "a\x00b", "escape": "\x1b[31m", "no UTF-8": "\xff", "C1": "\u0085"} {
			before := f.state()
			plain := f.form(f.path(pattern), pairs...)
			must(t, plain.ParseForm())
			values := plain.PostForm
			for field := range values {
				values.Set(field, text)
			}
			if len(values) == 0 {
				values.Set("confirm", text)
			}
			for _, r := range []*http.Request{f.formOf(f.path(pattern), values), f.multipartOf(f.path(pattern), values)} {
				if a := f.browse(r); a.StatusCode != http.StatusBadRequest || !strings.Contains(a.body, "<!doctype html>") {
					t.Errorf("%s with %s as %s = %d %s", pattern, name, r.Header.Get("Content-Type"), a.StatusCode, a.body)
				}
			}
			if after := f.state(); after != before {
				t.Errorf("%s with %s changed\n%s to\n%s", pattern, name, before, after)
			}
		}
		large := append([]string{"sid", strings.Repeat("x", 64<<10)}, pairs...)
		wantAnswer(t, f.send(f.path(pattern), large...), http.StatusRequestEntityTooLarge, "")
	}
}

func containsSuffix(text string, suffixes []string) bool {
	for _, suffix := range suffixes {
		if strings.HasSuffix(text, suffix) {
			return true
		}
	}
	return false
}

func (f *consoleFixture) formOf(path string, values url.Values) *http.Request {
	f.t.Helper()
	r := httptest.NewRequestWithContext(f.t.Context(), http.MethodPost, path, strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func (f *consoleFixture) multipartOf(path string, values url.Values) *http.Request {
	f.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for name := range values {
		must(f.t, w.WriteField(name, values.Get(name)))
	}
	must(f.t, w.Close())
	r := httptest.NewRequestWithContext(f.t.Context(), http.MethodPost, path, &body)
	r.Header.Set("Content-Type", w.FormDataContentType())
	return r
}
