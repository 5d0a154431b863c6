package web_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"chancery/authz"
)

// The API answers in JSON whatever a client says that it accepts: a change is
// made before anybody could tell him that there is no other form of it.
func TestAdminAnswersJSON(t *testing.T) {
	s := adminServer(t)
	token := s.bossToken()
	for i, accept := range []string{"", "*/*", "text/html", "application/problem+json", "application/json;q=0", "json", "application/xml, application/problem+json, application/json;q=0.1", "nonsense;;"} {
		edit := func(r *http.Request) { r.Header.Set("Accept", accept) }
		a := s.admins(token, http.MethodPost, "/clients", fmt.Sprintf(`{"client_id":"c%d"}`, i), edit)
		if a.StatusCode != http.StatusCreated || a.Header.Get("Content-Type") != "application/json" || a.str("client_secret") == "" {
			t.Errorf("Accept %q: %d %s %s, want the client", accept, a.StatusCode, a.Header.Get("Content-Type"), a.body)
		}
		s.problem("Accept "+accept, s.admins(token, http.MethodGet, "/clients/none", "", edit), http.StatusNotFound, authz.NotFound)
	}
}

// Attack 57, and what else a body can be.
func TestAdminBodies(t *testing.T) {
	s := adminServer(t)
	token := s.bossToken()
	before := s.store.CallCount()
	for name, row := range map[string]struct {
		body, contentType string
		status            int
	}{
		"deep":                {`{"client_name":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + "}", "", 400},
		"deeper than allowed": {`{"resources":[[[[[[1]]]]]]}`, "", 400},
		"endless":             {strings.Repeat(`{"a":`, 10_000), "", 400},
		"twice":               {`{"first_party":false,"first_party":true}`, "", 400},
		"null":                {`{"client_name":null}`, "", 400},
		"null body":           {`null`, "", 400},
		"array":               {`[]`, "", 400},
		"text":                {`"x"`, "", 400},
		"two bodies":          {`{}{}`, "", 400},
		"BOM":                 {"\ufeff{}", "", 400},
		"UTF-16":              {"\xff\xfe{\x00}\x00", "", 400},
		"not UTF-8":           {"{\"client_name\":\"\xff\"}", "", 400},
		"half a pair":         {`{"client_name":"\ud800"}`, "", 400},
		"other case":          {`{"Client_Name":"x"}`, "", 400},
		"long s":              {`{"ſcope":"read"}`, "", 400},
		"huge number":         {`{"lost_response_budget":1e999}`, "", 400},
		"great number":        {`{"lost_response_budget":99999999999999999999999}`, "", 422},
		"fraction":            {`{"lost_response_budget":0.5}`, "", 422},
		"text for a number":   {`{"lost_response_budget":"3"}`, "", 422},
		"number for a text":   {`{"client_name":3}`, "", 422},
		"text for a list":     {`{"resources":"https://api.example"}`, "", 422},
		"too many":            {`{"grant_types":["a","b","c","d","e","f","g","h","i","j","k"]}`, "", 422},
		"too long":            {`{"client_name":"` + strings.Repeat("x", 201) + `"}`, "", 422},
		"too long in bytes":   {`{"client_name":"` + strings.Repeat("é", 200) + `"}`, "", 400},
		"NUL":                 {`{"client_name":"a\u0000b"}`, "", 400},
		"control":             {`{"client_name":"a\u001b[2J"}`, "", 400},
		"1 MB array":          {`{"resources":[` + strings.Repeat("1,", 1<<19) + `1]}`, "", 413},
		"form":                {"client_name=x", "application/x-www-form-urlencoded", 415},
		"no type":             {`{"client_id":7}`, "none", 422},
		"patch type":          {`{}`, "application/merge-patch+json", 415},
		"JSON by suffix":      {`{}`, "application/x+json", 415},
		"broken type":         {`{}`, "application/json;+", 415},
	} {
		a := s.admins(token, http.MethodPost, "/clients", row.body, func(r *http.Request) {
			switch row.contentType {
			case "":
			case "none":
				r.Header.Del("Content-Type")
			default:
				r.Header.Set("Content-Type", row.contentType)
			}
		})
		if a.StatusCode != row.status || a.Header.Get("Content-Type") != "application/problem+json" || a.json["code"] == nil {
			t.Errorf("%s = %d %.300s, want a problem %d", name, a.StatusCode, a.body, row.status)
		}
	}
	if s.store.Calls["InsertClient"] != 11 || before == 0 {
		t.Errorf("%d clients were stored, want those of the fixture", s.store.Calls["InsertClient"])
	}
	a := s.admins(token, http.MethodPost, "/clients", `{"client_id":"x"}`, func(r *http.Request) { r.Header.Set("Content-Type", "application/json; charset=utf-8") })
	if a.StatusCode != http.StatusCreated {
		t.Errorf("JSON with a charset = %d %s, want it read", a.StatusCode, a.body)
	}
}

// Attack 40: what is not for admins to set is refused, and changes nothing.
func TestAdminPrivilegedMembers(t *testing.T) {
	f := newAdminFixture(t)
	user, client := "/users/"+f.userID, "/clients/shop"
	resource := "/resources/" + resourceID(spareURI)
	before := func() string {
		return f.admins(f.token, "GET", user, "").body + f.admins(f.token, "GET", client, "").body + f.admins(f.token, "GET", resource, "").body
	}
	want, events := before(), len(f.events(authz.EventFilter{}))
	for _, member := range []string{
		"id", "auth_epoch", "console_epoch", "password_hash", "disabled_at", "version", "created_at", "updated_at", "secrets", "client_secret", "client_secret_hash",
		"status_list", "status", "tokens_not_before", "banned_until", "name", "name_normalised", "self_registered", "email_verified_at", "builtin", "type", "tenant_id", "actor",
	} {
		for _, value := range []string{`"x"`, "1", "true", "{}", "[]"} {
			for _, o := range [][2]string{
				{"POST", "/users"},
				{"PUT", user + "/roles"},
				{"PUT", user + "/password"},
				{"POST", user + "/ban"},
				{"POST", "/clients"},
				{"PATCH", client},
				{"POST", client + "/rotate-secret"},
				{"PATCH", resource},
				{"POST", "/resources"},
				{"POST", "/keys/rotate"},
				{"POST", "/sessions/revoke"},
			} {
				if member == "name" && strings.HasPrefix(o[1], "/resources") {
					continue // which it may have
				}
				a := f.admins(f.token, o[0], o[1], `{"`+member+`":`+value+`}`, ifMatch("*"))
				if a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, "body."+member) {
					t.Errorf("%s %s with %s = %d %s, want it refused", o[0], o[1], member, a.StatusCode, a.body)
				}
			}
		}
	}
	if got := before(); got != want || len(f.events(authz.EventFilter{})) != events {
		t.Errorf("refused members changed\n%s to\n%s", want, got)
	}
}

// Scripts of clients' origins may use the API: they can send what it needs and
// read what they need for the next request.
func TestAdminCORS(t *testing.T) {
	f := newAdminFixture(t)
	for _, id := range f.d.ids() {
		o := f.d.Operations[id]
		for origin, allowed := range map[string]bool{spaOrigin: true, "https://evil.example": false, "null": false} {
			r := f.d.request(f.server, "", o, adminExercises()[id].values(f))
			path, _ := strings.CutPrefix(r.URL.Path, "/admin/v1")
			from := func(r *http.Request) { r.Header.Set("Origin", origin) }
			asked := f.admins("", http.MethodOptions, path, "", from)
			if asked.StatusCode != http.StatusNoContent || strings.Contains(asked.Header.Get("Access-Control-Allow-Methods"), o.Method) != allowed ||
				(asked.Header.Get("Access-Control-Allow-Headers") == "Authorization, Content-Type, DPoP, If-Match") != allowed {
				t.Errorf("preflight of %s from %s = %d %v, want it allowed: %t", id, origin, asked.StatusCode, asked.Header, allowed)
			}
			from(r)
			refused := f.do(r)
			if (refused.Header.Get("Access-Control-Allow-Origin") == origin) != allowed || refused.Header.Get("Access-Control-Allow-Credentials") != "" ||
				strings.Contains(refused.Header.Get("Access-Control-Expose-Headers"), "ETag, Location") != allowed {
				t.Errorf("%s from %s = %v, want it readable: %t", id, origin, refused.Header, allowed)
			}
		}
	}
}

// What is not there is not found, and what cannot be done not allowed.
func TestAdminPathsAndMethods(t *testing.T) {
	s := adminServer(t)
	token := s.bossToken()
	for _, path := range []string{"", "/", "/nothing", "/clients/", "/clients/app/nothing", "/events/export/", "/docs/", "/openapi.yaml", "/schemas/Client.json", "/overview/"} {
		s.problem(path, s.admins(token, http.MethodGet, path, ""), http.StatusNotFound, authz.NotFound)
	}
	for _, row := range [][2]string{{"HEAD", "/events/export"}, {"POST", "/events/export"}, {"DELETE", "/events"}, {"PUT", "/clients/app"}, {"TRACE", "/overview"}, {"POST", "/openapi.json"}, {"DELETE", "/keys"}} {
		s.problem(row[0]+row[1], s.admins(token, row[0], row[1], ""), http.StatusMethodNotAllowed, "method_not_allowed")
	}
}

func TestAdminDocsPage(t *testing.T) {
	f := newAdminFixture(t)
	page := f.get("/admin/v1/docs")
	policy := page.Header.Get("Content-Security-Policy")
	if page.StatusCode != http.StatusOK || page.Header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.HasPrefix(policy, "default-src 'none'; style-src 'self';") ||
		strings.Contains(policy, "unsafe") || strings.Contains(policy, "script-src") || page.Header.Get("X-Frame-Options") != "DENY" {
		t.Errorf("page = %d %v", page.StatusCode, page.Header)
	}
	for _, id := range f.d.ids() {
		o := f.d.Operations[id]
		if !strings.Contains(page.body, `id="`+id+`"`) || !strings.Contains(page.body, "<code>"+o.Method+" "+o.Path+"</code>") {
			t.Errorf("the page does not show %s", id)
		}
	}
	if found := regexp.MustCompile(`(?i)<script|<style|style=|\son[a-z]+=|javascript:|<iframe|<base`).FindString(page.body); found != "" {
		t.Errorf("the page holds %q", found)
	}
	for _, link := range regexp.MustCompile(`(?:href|src|action)="([^"]*)"`).FindAllStringSubmatch(page.body, -1) {
		if target := link[1]; strings.Contains(target, "//") || strings.HasPrefix(target, "data:") {
			t.Errorf("the page refers to %s", target)
		}
	}
	again := f.do(f.adminRequest("", http.MethodGet, "/docs", "", func(r *http.Request) { r.Header.Set("If-None-Match", page.Header.Get("ETag")) }))
	if again.StatusCode != http.StatusNotModified || again.body != "" {
		t.Errorf("the page again = %d, want 304", again.StatusCode)
	}
}
