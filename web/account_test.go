package web_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"chancery/authz"

	"github.com/google/go-cmp/cmp"
)

// What the tests of the account API know besides.
const (
	bob     = "bob"
	bobMail = "bob@example.com"
	// goodPW is a password that a user may choose.
	goodPW     = "tall ships sail at dawn"
	verifyPage = "https://app.example/verify"
	resetPage  = "https://app.example/reset?via=mail"
)

// accountServer knows bob too, whose address is verified. Mails for the client
// web hold links, those for app and app2 codes.
func accountServer(t testing.TB, edit ...func(*options)) *server {
	t.Helper()
	s := newServer(t, edit...)
	s.updateClient("web", func(c *authz.Client) {
		c.Name, c.EmailVerificationURI, c.PasswordResetURI = "Web App", verifyPage, resetPage
	})
	_, err := s.users.Create(t.Context(), authz.NewUser{Username: bob, Email: bobMail, EmailVerified: true, Password: secretPW})
	must(t, err)
	return s
}

// call sends a request to the account API; the body is a string, or becomes
// JSON.
func (s *server) call(method, path, token string, body any, edit ...func(*http.Request)) answer {
	s.t.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		encoded, err := json.Marshal(b)
		must(s.t, err)
		reader = strings.NewReader(string(encoded))
	}
	r := httptest.NewRequestWithContext(s.t.Context(), method, "/account"+path, reader)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for _, e := range edit {
		e(r)
	}
	return s.do(r)
}

// members returns a JSON object from name, value pairs.
func members(pairs ...string) map[string]any {
	object := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		object[pairs[i]] = pairs[i+1]
	}
	return object
}

// by sends a POST of the client's, with its credentials.
func (s *server) by(clientID, path string, pairs ...string) answer {
	s.t.Helper()
	body := members(append(slices.Clone(pairs), "client_id", clientID)...)
	if secret := s.secrets[clientID]; secret != "" {
		body["client_secret"] = secret.Reveal()
	}
	return s.call(http.MethodPost, path, "", body)
}

// sign logs a user in for the account API.
func (s *server) sign(clientID, name, secret string) answer {
	s.t.Helper()
	a := pgLogin(s, clientID, name, secret, "resource", issuer+"/account")
	if a.StatusCode != http.StatusOK {
		s.t.Fatalf("login of %s: %d %s", name, a.StatusCode, a.body)
	}
	return a
}

func (s *server) bearer(name string) string {
	s.t.Helper()
	return s.sign("app", name, secretPW).str("access_token")
}

// lastMail returns the newest mail, which must be of that kind.
func (s *server) lastMail(kind authz.MailKind) authz.Mail {
	s.t.Helper()
	if len(s.mails) == 0 || s.mails[len(s.mails)-1].Kind != kind {
		s.t.Fatalf("mails = %+v, want the last to be %s", s.mails, kind)
	}
	return s.mails[len(s.mails)-1]
}

// proof returns what the reader of the newest mail sends in.
func (s *server) proof(sent answer, kind authz.MailKind) []string {
	s.t.Helper()
	s.ok("what is mailed", sent, http.StatusAccepted)
	mail := s.lastMail(kind)
	if _, token, ok := strings.Cut(mail.Link.Reveal(), "#token="); ok {
		return []string{"token", token}
	}
	return []string{"request_id", sent.str("request_id"), "code", mail.Code.Reveal()}
}

// forgot asks for a reset of bob's password and returns the proof.
func (s *server) forgot(clientID, name string) []string {
	s.t.Helper()
	return s.proof(s.by(clientID, "/password/forgot", "username", name), authz.MailPasswordReset)
}

func (s *server) reset(clientID string, proof []string, secret string) answer {
	s.t.Helper()
	return s.by(clientID, "/password/reset", append(slices.Clone(proof), "new_password", secret)...)
}

// ok requires a success that no cache keeps.
func (s *server) ok(what string, a answer, status int) {
	s.t.Helper()
	if a.StatusCode != status || a.Header.Get("Cache-Control") != "no-store" {
		s.t.Errorf("%s = %d %s with Cache-Control %q, want %d and no-store", what, a.StatusCode, a.body, a.Header.Get("Cache-Control"), status)
	}
}

// problem requires a problem document (RFC 9457 section 3.1) with the code.
func (s *server) problem(what string, a answer, status int, code authz.Code) {
	s.t.Helper()
	detail := a.json["detail"]
	want := map[string]any{"type": "about:blank", "title": http.StatusText(status), "status": float64(status), "code": string(code), "detail": detail}
	if a.StatusCode != status || a.Header.Get("Content-Type") != "application/problem+json" || a.Header.Get("Cache-Control") != "no-store" ||
		!cmp.Equal(a.json, want) || detail == "" || detail == nil {
		s.t.Errorf("%s = %d %s with %v, want %d as a problem document with code %s", what, a.StatusCode, a.body, a.Header, status, code)
	}
}

func TestAccountRegister(t *testing.T) {
	for _, row := range []struct{ name, client, username, email, stored string }{
		{"by code", "app", "carol", "carol@example.com", "carol"},
		{"by link", "web", "carol", "carol@example.com", "carol"},
		{"address as name", "app", "", "carol@example.com", "carol@example.com"},
		{"address as name, said", "web", "carol@example.com", "carol@example.com", "carol@example.com"},
		{"address as name, in another case", "web", "Carol@Example.com", "carol@example.COM", "Carol@Example.com"},
		{"Unicode", "app", "jos\u00e9", "jos\u00e9@b\u00fccher.example", "jos\u00e9"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := accountServer(t)
			pairs := []string{"email", row.email, "password", goodPW}
			if row.username != "" {
				pairs = append(pairs, "username", row.username)
			}
			sent := s.by(row.client, "/register", pairs...)
			mail := s.lastMail(authz.MailRegistration)
			byLink := row.client == "web"
			if mail.To != row.email || mail.Username != "" || strings.HasPrefix(mail.Link.Reveal(), verifyPage+"#token=") != byLink || (len(mail.Code) == 8) == byLink {
				t.Errorf("mail = %+v with link %q, code %q", mail, mail.Link.Reveal(), mail.Code.Reveal())
			}
			want := map[string]any{"expires_in": mail.ExpiresIn.Seconds()}
			if !byLink {
				want["request_id"] = sent.str("request_id")
			}
			if diff := cmp.Diff(want, sent.json); diff != "" || byLink == (sent.str("request_id") != "") {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			s.expect(pgLogin(s, "app", row.stored, goodPW), http.StatusBadRequest, "invalid_grant") // not before it is confirmed
			verified := s.by(row.client, "/email/verify", s.proof(sent, authz.MailRegistration)...)
			s.ok("verification", verified, http.StatusOK)
			delete(verified.json, "id")
			if diff := cmp.Diff(map[string]any{
				"username": row.stored, "email": row.email, "email_verified": true, "roles": []any{}, "created_at": s.clock.Now().Format(time.RFC3339),
			}, verified.json); diff != "" {
				t.Errorf("user (-want +got):\n%s", diff)
			}
			s.expect(pgLogin(s, "app", row.stored, goodPW), http.StatusOK, "")
			s.expect(pgLogin(s, "app", strings.ToUpper(row.email), goodPW), http.StatusOK, "")
		})
	}
}

func TestAccountRegisterRefuses(t *testing.T) {
	s := accountServer(t)
	for name, row := range map[string]struct {
		username, email, password string
		status                    int
		code                      authz.Code
	}{
		"no address":               {"carol", "", goodPW, 400, authz.InvalidInput},
		"no password":              {"carol", "c@example.com", "", 400, authz.InvalidInput},
		"nothing":                  {"", "", "", 400, authz.InvalidInput},
		"no domain":                {"carol", "c@", goodPW, 400, authz.InvalidInput},
		"no @":                     {"carol", "example.com", goodPW, 400, authz.InvalidInput},
		"two addresses":            {"carol", "c@example.com,d@example.com", goodPW, 400, authz.InvalidInput},
		"space in the address":     {"carol", "c d@example.com", goodPW, 400, authz.InvalidInput},
		"line in the address":      {"carol", "c@example.com\r\nBcc: d@example.com", goodPW, 400, authz.InvalidRequest},
		"long address":             {"carol", strings.Repeat("c", 250) + "@example.com", goodPW, 400, authz.InvalidInput},
		"short password":           {"carol", "c@example.com", "Xk7#q2z", 400, authz.InvalidInput},
		"common password":          {"carol", "c@example.com", "password123", 400, authz.InvalidInput},
		"own name as password":     {"carolcarol", "c@example.com", "carolcarol", 400, authz.InvalidInput},
		"own address as password":  {"carol", "gwendolyn@example.com", "Gwendolyn@example.com", 400, authz.InvalidInput},
		"long password":            {"carol", "c@example.com", strings.Repeat("xyz ", 65), 400, authz.InvalidInput},
		"15 kB password":           {"carol", "c@example.com", strings.Repeat("xyz", 5000), 400, authz.InvalidInput},
		"NUL in the password":      {"carol", "c@example.com", goodPW + "\x00", 400, authz.InvalidRequest},
		"control in the username":  {"carol\x7f", "c@example.com", goodPW, 400, authz.InvalidRequest},
		"space in the username":    {"car ol", "c@example.com", goodPW, 400, authz.InvalidInput},
		"space after the username": {"carol ", "c@example.com", goodPW, 400, authz.InvalidInput},
		"zero width":               {"car\u200bol", "c@example.com", goodPW, 400, authz.InvalidInput},
		"ligature":                 {"\ufb01ona", "c@example.com", goodPW, 400, authz.InvalidInput},
		"long username":            {strings.Repeat("c", 257), "c@example.com", goodPW, 400, authz.InvalidInput},
		"somebody's address":       {bobMail, "c@example.com", goodPW, 400, authz.InvalidInput},
		"nobody's address":         {"x@example.com", "c@example.com", goodPW, 400, authz.InvalidInput},
		"full width @":             {"bob\uff20example.com", "c@example.com", goodPW, 400, authz.InvalidInput},
		"taken name":               {"bob", "c@example.com", goodPW, 409, authz.Conflict},
		"taken name in capitals":   {"BOB", "c@example.com", goodPW, 409, authz.Conflict},
		"taken name, full width":   {"\uff42\uff4f\uff42", "c@example.com", goodPW, 409, authz.Conflict},
	} {
		s.problem(name, s.by("app", "/register", "username", row.username, "email", row.email, "password", row.password), row.status, row.code)
	}
	if n := s.store.Calls["InsertConfirmation"]; n != 0 || len(s.mails) != 0 {
		t.Errorf("%d confirmations and %d mails of refused registrations, want none", n, len(s.mails))
	}
}

func TestAccountRegistrationClosed(t *testing.T) {
	s := accountServer(t)
	proof := s.proof(s.by("web", "/register", "email", "c@example.com", "password", goodPW), authz.MailRegistration)
	s.accounts.Registration = false
	s.problem("registration", s.by("app", "/register", "email", "d@example.com", "password", goodPW), 403, authz.RegistrationClosed)
	s.problem("what was mailed before", s.by("web", "/email/verify", proof...), 403, authz.RegistrationClosed)
	s.expect(pgLogin(s, "app", "c@example.com", goodPW), http.StatusBadRequest, "invalid_grant")
	s.ok("reset", s.reset("app", s.forgot("app", bob), goodPW), http.StatusNoContent) // recovery stays
}

func TestAccountWithoutMail(t *testing.T) {
	s := accountServer(t)
	s.accounts.Mailer = nil
	token := s.bearer(bob)
	s.problem("register", s.by("app", "/register", "email", "c@example.com", "password", goodPW), 501, authz.Unsupported)
	s.problem("forgot", s.by("app", "/password/forgot", "username", bob), 501, authz.Unsupported)
	s.problem("forgot, unknown", s.by("app", "/password/forgot", "username", "nobody"), 501, authz.Unsupported)
	s.problem("e-mail", s.call("PUT", "/email", token, members("current_password", secretPW, "email", "b@example.com")), 501, authz.Unsupported)
	s.ok("password", s.call("PUT", "/password", token, members("current_password", secretPW, "new_password", goodPW)), 204)
}

func TestAccountMe(t *testing.T) {
	s := accountServer(t)
	for name, want := range map[string]map[string]any{
		bob:      {"username": bob, "email": bobMail, "email_verified": true, "roles": []any{}},
		username: {"username": username, "email_verified": false, "roles": []any{"reader"}},
	} {
		token := s.bearer(name)
		a := s.call("GET", "/me", token, nil)
		s.ok("me", a, http.StatusOK)
		want["id"], want["created_at"] = s.claims(token)["sub"], s.clock.Now().Format(time.RFC3339)
		if diff := cmp.Diff(want, a.json); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestAccountStrength(t *testing.T) {
	s := accountServer(t)
	for name, row := range map[string]struct {
		password, about string
		acceptable      bool
	}{
		"good": {goodPW, "", true}, "short": {"abc", "", false}, "empty": {"", "", false}, "common": {"password123", "", false},
		"own": {"Gwendolyn1", "gwendolyn", false}, "long": {strings.Repeat("4@8({[<369&#!1/|0$5+7%2", 300), "", false}, "Unicode": {"\u4e16\u754c\u4f60\u597d\u518d\u89c1\u670b\u53cb", "", true},
	} {
		a := s.by("app", "/password/strength", "password", row.password, "username", row.about, "email", row.about)
		s.ok(name, a, http.StatusOK)
		problem, _ := a.json["problem"].(string)
		if a.json["acceptable"] != row.acceptable || (problem == "") != row.acceptable || a.json["crack_time"] == "" || a.json["score"] == nil || strings.Contains(a.body, row.password) && row.password != "" {
			t.Errorf("%s: %s, want acceptable %t and a reason", name, a.body, row.acceptable)
		}
	}
}

func TestAccountPasswordChange(t *testing.T) {
	s := accountServer(t)
	token := s.bearer(bob)
	for name, row := range map[string]struct {
		body   map[string]any
		status int
		code   authz.Code
	}{
		"wrong":       {members("current_password", "wrong", "new_password", goodPW), 403, authz.WrongPassword},
		"missing":     {members("new_password", goodPW), 403, authz.WrongPassword},
		"NUL":         {members("current_password", secretPW+"\x00", "new_password", goodPW), 403, authz.WrongPassword},
		"new missing": {members("current_password", secretPW), 400, authz.InvalidInput},
		"new short":   {members("current_password", secretPW, "new_password", "Xk7#q2z"), 400, authz.InvalidInput},
		"new own":     {members("current_password", secretPW, "new_password", bobMail), 400, authz.InvalidInput},
		"new NUL":     {members("current_password", secretPW, "new_password", goodPW+"\x00"), 400, authz.InvalidRequest},
	} {
		s.problem(name, s.call("PUT", "/password", token, row.body), row.status, row.code)
	}
	s.expect(pgLogin(s, "app", bob, secretPW), http.StatusOK, "")
	s.ok("change", s.call("PUT", "/password", token, members("current_password", secretPW, "new_password", goodPW)), http.StatusNoContent)
	if mail := s.lastMail(authz.MailPasswordChanged); mail.To != bobMail || mail.Link != "" || mail.Code != "" {
		t.Errorf("mail = %+v, want the owner told", mail)
	}
	s.expect(pgLogin(s, "app", bob, secretPW), http.StatusBadRequest, "invalid_grant")
	s.expect(pgLogin(s, "app", bob, goodPW), http.StatusOK, "")
}

func TestAccountEmailChange(t *testing.T) {
	for _, client := range []string{"app", "web"} {
		s := accountServer(t)
		token := s.sign(client, bob, secretPW).str("access_token")
		change := func(secret, email string) answer {
			return s.call("PUT", "/email", token, members("current_password", secret, "email", email))
		}
		s.problem("wrong password", change("wrong", "b@example.net"), 403, authz.WrongPassword)
		s.problem("no address", change(secretPW, ""), 400, authz.InvalidInput)
		s.problem("bad address", change(secretPW, "b"), 400, authz.InvalidInput)
		s.problem("line", change(secretPW, "b@example.net\r\nBcc: c@example.net"), 400, authz.InvalidRequest)
		if len(s.mails) != 0 {
			t.Errorf("mails = %+v of refused changes, want none", s.mails)
		}
		sent := change(secretPW, "b@example.net")
		proof := s.proof(sent, authz.MailEmailChange)
		if told := s.mails[0]; len(s.mails) != 2 || told.Kind != authz.MailEmailChanging || told.To != bobMail || told.Link != "" || told.Code != "" || s.mails[1].To != "b@example.net" {
			t.Errorf("mails = %+v, want the old address told and the new one asked", s.mails)
		}
		s.expect(pgLogin(s, "app", bobMail, secretPW), http.StatusOK, "") // until it is confirmed
		s.expect(pgLogin(s, "app", "b@example.net", secretPW), http.StatusBadRequest, "invalid_grant")
		s.ok("verify", s.by(client, "/email/verify", proof...), http.StatusOK)
		if mail := s.lastMail(authz.MailEmailChanged); mail.To != bobMail {
			t.Errorf("mail = %+v, want it to the old address", mail)
		}
		s.expect(pgLogin(s, "app", bobMail, secretPW), http.StatusBadRequest, "invalid_grant")
		s.expect(pgLogin(s, "app", "b@example.net", secretPW), http.StatusOK, "")
		if me := s.call("GET", "/me", token, nil); me.str("email") != "b@example.net" || me.json["email_verified"] != true {
			t.Errorf("me = %s, want the new address, verified", me.body)
		}
	}
}

func TestAccountDelete(t *testing.T) {
	s := accountServer(t)
	login := s.sign("app", bob, secretPW)
	link, token := s.forgot("web", bob), login.str("access_token")
	s.problem("wrong password", s.call("DELETE", "", token, members("current_password", "wrong")), 403, authz.WrongPassword)
	s.problem("no body", s.call("DELETE", "", token, nil), 400, authz.InvalidRequest)
	s.ok("delete", s.call("DELETE", "", token, members("current_password", secretPW)), http.StatusNoContent)
	if mail := s.lastMail(authz.MailAccountDeleted); mail.To != bobMail {
		t.Errorf("mail = %+v, want the owner told", mail)
	}
	s.problem("token", s.call("GET", "/me", token, nil), 401, authz.InvalidToken)
	s.problem("delete again", s.call("DELETE", "", token, members("current_password", secretPW)), 401, authz.InvalidToken)
	s.expect(s.refresh("app", login.str("refresh_token")), http.StatusBadRequest, "invalid_grant")
	s.expect(pgLogin(s, "app", bob, secretPW), http.StatusBadRequest, "invalid_grant")
	s.problem("link", s.reset("web", link, goodPW), 400, authz.InvalidConfirmation)
	// The name is free again, the id is not.
	again := s.by("web", "/email/verify", s.proof(s.by("web", "/register", "username", bob, "email", bobMail, "password", goodPW), authz.MailRegistration)...)
	if again.str("id") == s.claims(token)["sub"] || again.str("id") == "" {
		t.Errorf("id = %q again, want another than the deleted user's", again.str("id"))
	}
	s.problem("old token", s.call("GET", "/me", token, nil), 401, authz.InvalidToken)
}

// sessionIDs returns the ids of the list in order, and the current one's.
func (s *server) sessionIDs(token string) (ids []string, current string) {
	s.t.Helper()
	a := s.call("GET", "/sessions", token, nil)
	s.ok("sessions", a, http.StatusOK)
	list, _ := a.json["sessions"].([]any)
	for _, item := range list {
		session := item.(map[string]any)
		ids = append(ids, session["id"].(string))
		if session["current"] == true {
			current += session["id"].(string)
		}
		names := slices.Sorted(maps.Keys(session))
		names = slices.DeleteFunc(names, func(name string) bool { return name == "client_name" })
		if want := "[address client_id created_at current device id last_used_at]"; fmt.Sprint(names) != want {
			s.t.Errorf("members = %v, want %s", names, want)
		}
	}
	return ids, current
}

func TestAccountSessionList(t *testing.T) {
	s := accountServer(t)
	s.bearer(username) // somebody else's
	var tokens, sids []string
	for range 4 {
		s.clock.Add(time.Second)
		tokens = append(tokens, s.sign("web", bob, secretPW).str("access_token"))
		sids = append(sids, s.claims(tokens[len(tokens)-1])["sid"].(string))
	}
	s.as("web", "/oauth/revoke", "token", tokens[1])
	ids, current := s.sessionIDs(tokens[2])
	if want := []string{sids[3], sids[2], sids[0]}; !slices.Equal(ids, want) || current != sids[2] {
		t.Errorf("sessions = %v with %s current, want %v with %s", ids, current, want, sids[2])
	}
	// Whose sessions they are only the token says.
	other := s.call("GET", "/sessions", tokens[0], nil, func(r *http.Request) { r.URL.RawQuery = url.Values{"user_id": {"usr_x"}}.Encode() })
	if other.StatusCode != http.StatusBadRequest {
		t.Errorf("sessions of another user = %d %s, want 400", other.StatusCode, other.body)
	}
	a := s.call("GET", "/sessions", tokens[0], nil)
	session := a.json["sessions"].([]any)[0].(map[string]any)
	if session["client_id"] != "web" || session["client_name"] != "Web App" || session["address"] != "192.0.2.1" {
		t.Errorf("session = %v, want client and address", session)
	}
	rrAdvance(s, 168*time.Hour) // those not used are over
	if ids, _ := s.sessionIDs(s.bearer(bob)); len(ids) != 1 {
		t.Errorf("sessions = %v, want the live one alone", ids)
	}
}
