package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"chancery/cmd/chancery/internal/smtptest"
)

// call sends JSON to the account API, with an access token unless it is "".
func (n *node) call(method, path, token string, body map[string]string) reply {
	n.t.Helper()
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			n.t.Fatal(err)
		}
		content = bytes.NewReader(encoded)
	}
	r, err := http.NewRequestWithContext(n.t.Context(), method, n.base+path, content)
	if err != nil {
		n.t.Fatal(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := read(http.DefaultClient.Do(r))
	if err != nil {
		n.t.Fatal(err)
	}
	return answer
}

// mustCall is call that requires the status.
func (n *node) mustCall(status int, method, path, token string, body map[string]string) reply {
	n.t.Helper()
	r := n.call(method, path, token, body)
	if r.status != status {
		n.t.Fatalf("%s %s = %d %s, want %d", method, path, r.status, r.body, status)
	}
	return r
}

var mailedLink = regexp.MustCompile(`(https://[^\s#]+)#token=(chct_[A-Za-z0-9_-]{43})`)

// linkOf returns the token of the link in a mail that leads to page.
func linkOf(t *testing.T, m smtptest.Message, page string) string {
	t.Helper()
	match := mailedLink.FindStringSubmatch(m.Text)
	if match == nil || match[1] != page || !strings.Contains(m.HTML, `href="`+match[0]+`"`) {
		t.Fatalf("mail %q holds no link to %s:\n%s", m.Subject, page, m.Text)
	}
	return match[2]
}

// TestAccountLife walks an account through everything that can happen to it:
// registered, verified, logged in on two devices, listed, logged out elsewhere,
// its password reset, changed, its address changed, deleted.
func TestAccountLife(t *testing.T) {
	eachDatabase(t, func(t *testing.T, env []string) {
		mails := smtptest.New(t)
		env = append(append(env, listenEnv(freePort(t))...), "CHANCERY_SMTP_URL=smtp://"+mails.Address, "CHANCERY_SMTP_FROM=Notes <no-reply@notes.example>")
		first := bootstrapped(t, env)
		cli(t, env, "clients", "create", "--id", "notes", "--name", "Notes", "--type", "public", "--first-party", "--grant", "password", "--grant", "refresh_token",
			"--email-verification-uri", "https://notes.example/verify", "--password-reset-uri", "https://notes.example/reset")
		n := serve(t, env)
		const address, old, reset, final = "ada@mail.example", "vexing-cobalt-otter", "lurid-walnut-piano", "brisk-pelican-thorn"
		login := func(status int, name, password string) reply {
			return n.mustPost(status, "/oauth/token", "grant_type", "password", "client_id", "notes", "username", name, "password", password, "scope", "account")
		}
		refresh := func(status int, session reply) reply {
			return n.mustPost(status, "/oauth/token", "grant_type", "refresh_token", "client_id", "notes", "refresh_token", session.str("refresh_token"))
		}

		n.mustCall(http.StatusAccepted, "POST", "/account/register", "", map[string]string{"client_id": "notes", "username": "Ada", "email": address, "password": old})
		login(http.StatusBadRequest, "ada", old)
		token := linkOf(t, mails.Wait(address, 1), "https://notes.example/verify")
		n.mustCall(http.StatusOK, "POST", "/account/email/verify", "", map[string]string{"client_id": "notes", "token": token})
		n.mustCall(http.StatusBadRequest, "POST", "/account/email/verify", "", map[string]string{"client_id": "notes", "token": token})

		phone, laptop := login(http.StatusOK, "ada", old), login(http.StatusOK, address, old) // by name, and by address
		me := n.mustCall(http.StatusOK, "GET", "/account/me", phone.str("access_token"), nil)
		if me.str("username") != "Ada" || me.str("email") != address || me.json["email_verified"] != true {
			t.Errorf("me = %s", me.body)
		}
		phone = refresh(http.StatusOK, phone)
		list := n.mustCall(http.StatusOK, "GET", "/account/sessions", phone.str("access_token"), nil)
		sessions, _ := list.json["sessions"].([]any)
		if len(sessions) != 2 || strings.Count(list.body, `"current":true`) != 1 || !strings.Contains(list.body, "Go-http-client") {
			t.Fatalf("sessions = %s, want two with their devices, one of them current", list.body)
		}
		n.mustCall(http.StatusOK, "POST", "/account/logout?scope=others", phone.str("access_token"), nil)
		refresh(http.StatusBadRequest, laptop)
		n.mustCall(http.StatusUnauthorized, "GET", "/account/me", laptop.str("access_token"), nil)
		phone = refresh(http.StatusOK, phone)

		n.mustCall(http.StatusAccepted, "POST", "/account/password/forgot", "", map[string]string{"client_id": "notes", "username": "ADA"})
		token = linkOf(t, mails.Wait(address, 2), "https://notes.example/reset")
		n.mustCall(http.StatusBadRequest, "POST", "/account/password/reset", "", map[string]string{"client_id": "notes", "token": token, "new_password": "password1"})
		n.mustCall(http.StatusNoContent, "POST", "/account/password/reset", "", map[string]string{"client_id": "notes", "token": token, "new_password": reset})
		mails.Wait(address, 3) // which says so
		refresh(http.StatusBadRequest, phone)
		n.mustCall(http.StatusUnauthorized, "GET", "/account/me", phone.str("access_token"), nil)
		login(http.StatusBadRequest, "ada", old)

		phone, laptop = login(http.StatusOK, "ada", reset), login(http.StatusOK, "ada", reset)
		n.mustCall(http.StatusForbidden, "PUT", "/account/password", phone.str("access_token"), map[string]string{"current_password": old, "new_password": final})
		n.mustCall(http.StatusNoContent, "PUT", "/account/password", phone.str("access_token"), map[string]string{"current_password": reset, "new_password": final})
		refresh(http.StatusBadRequest, laptop)
		phone = refresh(http.StatusOK, phone)

		n.mustCall(http.StatusAccepted, "PUT", "/account/email", phone.str("access_token"), map[string]string{"current_password": final, "email": "lovelace@mail.example"})
		token = linkOf(t, mails.Wait("lovelace@mail.example", 1), "https://notes.example/verify")
		if warning := mails.Wait(address, 5); !strings.Contains(warning.Subject, "about to change") {
			t.Errorf("the old address was told %q", warning.Subject)
		}
		n.mustCall(http.StatusOK, "POST", "/account/email/verify", "", map[string]string{"client_id": "notes", "token": token})
		mails.Wait(address, 6)
		login(http.StatusBadRequest, address, final)
		laptop = login(http.StatusOK, "lovelace@mail.example", final)

		n.mustCall(http.StatusForbidden, "DELETE", "/account", phone.str("access_token"), map[string]string{"current_password": reset})
		n.mustCall(http.StatusNoContent, "DELETE", "/account", phone.str("access_token"), map[string]string{"current_password": final})
		for _, session := range []reply{phone, laptop} {
			refresh(http.StatusBadRequest, session)
			n.mustCall(http.StatusUnauthorized, "GET", "/account/me", session.str("access_token"), nil)
		}
		login(http.StatusBadRequest, "ada", final)
		n.login(first)

		for _, secret := range []string{old, reset, final, token, phone.str("access_token"), phone.str("refresh_token")} {
			if strings.Contains(n.stderr.String(), secret) {
				t.Errorf("the log holds the secret %q", secret)
			}
		}
	})
}

// TestAccountWithoutMailServer: in development codes are read from the log; in
// production there is no registration without a mail server.
func TestAccountWithoutMailServer(t *testing.T) {
	env := append(sqliteEnv(t), listenEnv(freePort(t))...)
	first := bootstrapped(t, env)
	n := serve(t, env)
	register := map[string]string{"client_id": first.ClientID, "email": "ada@mail.example", "password": "vexing-cobalt-otter"}
	sent := n.mustCall(http.StatusAccepted, "POST", "/account/register", "", register)
	var code string
	eventually(t, "the code is in the log", func() bool {
		match := regexp.MustCompile(`"text":"[^"]*?    (\d{4} \d{4})\\n`).FindStringSubmatch(n.stderr.String())
		if match != nil {
			code = match[1]
		}
		return match != nil
	})
	proof := map[string]string{"client_id": first.ClientID, "request_id": sent.str("request_id"), "code": code}
	if user := n.mustCall(http.StatusOK, "POST", "/account/email/verify", "", proof); user.str("username") != "ada@mail.example" {
		t.Errorf("user = %s, want the address as name", user.body)
	}
	n.mustPost(http.StatusOK, "/oauth/token", "grant_type", "password", "client_id", first.ClientID, "username", "Ada@mail.example", "password", "vexing-cobalt-otter")
	n.stop()

	n = serve(t, append(slices.DeleteFunc(env, func(entry string) bool { return strings.HasPrefix(entry, "CHANCERY_ISSUER=") }), "CHANCERY_ISSUER=https://as.example"))
	register["email"] = "grace@mail.example"
	refused := n.mustCall(http.StatusNotImplemented, "POST", "/account/register", "", register)
	if strings.Contains(n.stderr.String(), "grace") || refused.str("code") != "unsupported" {
		t.Errorf("in production without a mail server: %s, and the log:\n%s", refused.body, n.stderr)
	}
}
