package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// visitor is somebody with a browser that runs no script. It shows the cookies of
// the server over http too, as browsers do on loopback hosts.
type visitor struct {
	t       testing.TB
	client  *http.Client
	cookies map[string]map[string]string
	// at is the page that is shown, body what it says.
	at   *url.URL
	body string
}

func newVisitor(t testing.TB) *visitor {
	return &visitor{t: t, cookies: map[string]map[string]string{}, client: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// open follows an address to the page that it leads to. It stops at an address
// that nobody answers, where an app of the visitor's own machine would listen.
func (v *visitor) open(address string) {
	v.t.Helper()
	v.send(http.MethodGet, address, nil)
}

func (v *visitor) send(method, address string, form url.Values) {
	v.t.Helper()
	for range 20 {
		r, err := http.NewRequestWithContext(v.t.Context(), method, address, strings.NewReader(form.Encode()))
		if err != nil {
			v.t.Fatal(err)
		}
		if form != nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Sec-Fetch-Site", "same-origin")
		}
		for name, value := range v.cookies[r.URL.Host] {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		v.at = r.URL
		response, err := v.client.Do(r)
		if opened := (*url.Error)(nil); errors.As(err, &opened) {
			v.body = ""
			return
		}
		v.keep(response.Cookies())
		body, err := io.ReadAll(response.Body)
		if err = errors.Join(err, response.Body.Close()); err != nil {
			v.t.Fatal(err)
		}
		v.body = string(body)
		next, err := response.Location()
		if err != nil {
			return
		}
		method, address, form = http.MethodGet, next.String(), nil
	}
	v.t.Fatalf("no end of redirects at %s", v.at)
}

func (v *visitor) keep(cookies []*http.Cookie) {
	jar := v.cookies[v.at.Host]
	if jar == nil {
		jar = map[string]string{}
		v.cookies[v.at.Host] = jar
	}
	for _, cookie := range cookies {
		if jar[cookie.Name] = cookie.Value; cookie.MaxAge < 0 {
			delete(jar, cookie.Name)
		}
	}
}

var (
	formAction = regexp.MustCompile(`<form[^>]* method="post" action="([^"]*)"`)
	formHidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

// submit sends the first form of the page whose action ends in that, with the
// fields.
func (v *visitor) submit(action string, pairs ...string) {
	v.t.Helper()
	for _, form := range strings.SplitAfter(v.body, "</form>") {
		target := formAction.FindStringSubmatch(form)
		if target == nil || !strings.HasSuffix(strings.Split(target[1], "?")[0], action) {
			continue
		}
		values := url.Values{}
		for _, hidden := range formHidden.FindAllStringSubmatch(form, -1) {
			values.Set(html.UnescapeString(hidden[1]), html.UnescapeString(hidden[2]))
		}
		for i := 0; i < len(pairs); i += 2 {
			values.Set(pairs[i], pairs[i+1])
		}
		address, err := v.at.Parse(html.UnescapeString(target[1]))
		if err != nil {
			v.t.Fatal(err)
		}
		v.send(http.MethodPost, address.String(), values)
		return
	}
	v.t.Fatalf("no form to %s at %s:\n%s", action, v.at, v.body)
}

// logIn fills in the login page.
func (v *visitor) logIn(first firstCredentials) {
	v.t.Helper()
	v.submit("/oauth/login", "username", first.Username, "password", first.Password)
}

// TestClientDocument lets a client in that nobody has registered, by the document
// that it publishes.
func TestClientDocument(t *testing.T) {
	eachDatabase(t, func(t *testing.T, env []string) {
		var asked atomic.Int32
		var name atomic.Value
		name.Store("The Editor")
		site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			_ = json.NewEncoder(w).Encode(map[string]any{
				"client_id": "http://" + r.Host + r.URL.Path, "client_name": name.Load(), "redirect_uris": []string{"http://127.0.0.1/callback"},
				"grant_types": []string{"authorization_code", "refresh_token"}, "token_endpoint_auth_method": "none",
			})
		}))
		t.Cleanup(site.Close)
		env = append(env, listenEnv(freePort(t))...)
		first := bootstrapped(t, env)
		id := site.URL + "/client.json"
		verifier := rand.Text() + rand.Text()
		sum := sha256.Sum256([]byte(verifier))
		redirect := "http://127.0.0.1:" + freePort(t) + "/callback"
		request := "/oauth/authorize?" + url.Values{
			"response_type": {"code"}, "client_id": {id}, "redirect_uri": {redirect}, "scope": {firstRead},
			"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
		}.Encode()

		// Neither when it is off, nor where a server on the internet would call into
		// its own network (attack 42).
		on := append(env, "CHANCERY_CLIENT_REGISTRATION_DOCUMENTS=true", "CHANCERY_CLIENT_REGISTRATION_RESOURCES="+firstResource)
		public := slices.DeleteFunc(slices.Clone(on), func(setting string) bool { return strings.HasPrefix(setting, "CHANCERY_ISSUER=") })
		for name, setting := range map[string][]string{"off": env, "elsewhere": append(public, "CHANCERY_ISSUER=https://id.example")} {
			n := serve(t, setting)
			refused, err := n.get(request)
			if err != nil || refused.status != http.StatusBadRequest || asked.Load() != 0 {
				t.Errorf("%s = %d, %v, asked %d times", name, refused.status, err, asked.Load())
			}
			n.stop()
		}

		n := serve(t, on)
		v := newVisitor(t)
		v.open(n.base + request)
		v.logIn(first)
		if !strings.Contains(v.body, "The Editor") || !strings.Contains(v.body, strings.TrimPrefix(site.URL, "http://")) {
			t.Fatalf("the user is not told who asks:\n%s", v.body)
		}
		v.submit("/oauth/consent", "decision", "allow")
		if !strings.HasPrefix(v.at.String(), redirect+"?code=") && !strings.Contains(v.at.RawQuery, "code=") {
			t.Fatalf("the answer goes to %s:\n%s", v.at, v.body)
		}
		tokens := n.mustPost(http.StatusOK, "/oauth/token", "grant_type", "authorization_code", "client_id", id, "code", v.at.Query().Get("code"),
			"code_verifier", verifier, "redirect_uri", redirect)
		tokens = n.mustPost(http.StatusOK, "/oauth/token", "grant_type", "refresh_token", "client_id", id, "refresh_token", tokens.str("refresh_token"))
		if !n.active(first, tokens.str("access_token")) {
			t.Error("its token is not active")
		}
		if asked.Load() != 1 {
			t.Errorf("the document was asked for %d times, want a copy to do", asked.Load())
		}
		n.stop()
		if out := cli(t, env, "clients", "show", id); !strings.Contains(out, "The Editor") {
			t.Errorf("clients show = %s", out)
		}

		// The next login stores what the document says by then.
		name.Store("Another name")
		n = serve(t, on)
		v.open(n.base + request)
		v.submit("/oauth/consent", "decision", "allow")
		if out := cli(t, env, "clients", "show", id); !strings.Contains(out, "Another name") {
			t.Errorf("clients show = %s", out)
		}
		cli(t, env, "clients", "update", id, "--disabled")
		n.mustPost(http.StatusUnauthorized, "/oauth/token", "grant_type", "refresh_token", "client_id", id, "refresh_token", tokens.str("refresh_token"))
	})
}

// sampleSite runs the sample site as a client of the server.
func sampleSite(t *testing.T, env []string, n *node) string {
	t.Helper()
	base := "http://localhost:" + freePort(t)
	created := cli(t, env, "clients", "create", "--id", "notes-site", "--name", "Notes on the web", "--type", "confidential",
		"--grant", "authorization_code", "--grant", "refresh_token", "--redirect-uri", base+"/callback", "--post-logout-redirect-uri", base+"/",
		"--backchannel-logout-uri", base+"/logged-out", "--resource", firstResource, "--scope", "openid", "--scope", "profile", "--scope", firstRead, "-o", "json")
	var client struct {
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal([]byte(created), &client); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	out, exited := &lockedBuffer{}, make(chan int, 1)
	go func() {
		exited <- run(ctx, process{
			args: []string{
				"demo", "site", "--issuer", n.base, "--client-id", "notes-site", "--client-secret-stdin", "--listen", strings.TrimPrefix(base, "http://"),
				"--scope", "openid", "--scope", "profile", "--scope", firstRead, "--resource", firstResource, "--api", n.base + "/oauth/userinfo",
			},
			stdin: strings.NewReader(client.Secret + "\n"), stdout: out, stderr: out,
		})
	}()
	t.Cleanup(func() {
		cancel()
		if code := <-exited; code != exitOK {
			t.Errorf("demo site exited with %d:\n%s", code, out)
		}
	})
	eventually(t, "the site says where it is", func() bool { return strings.Contains(out.String(), "The site is at "+base+"/\n") })
	return base
}

// TestSampleSite lives the part of the tour that has a browser: a user logs in at
// the sample site, which calls an API, and is logged out by himself and by an
// admin.
func TestSampleSite(t *testing.T) {
	eachDatabase(t, func(t *testing.T, env []string) {
		env = append(env, listenEnv(freePort(t))...)
		first := bootstrapped(t, env)
		n := serve(t, env)
		base := sampleSite(t, env, n)
		v := newVisitor(t)
		in := func(again bool) {
			t.Helper()
			v.open(base + "/login")
			v.logIn(first)
			if !again {
				if !strings.Contains(v.body, "Notes on the web") {
					t.Fatalf("the user is not asked:\n%s", v.body)
				}
				v.submit("/oauth/consent", "decision", "allow")
			}
			if v.at.String() != base+"/" || !strings.Contains(v.body, "Hello, "+first.Username) || !strings.Contains(v.body, "200 OK") {
				t.Fatalf("logged in at %s:\n%s", v.at, v.body)
			}
		}
		in(false)
		if secret := regexp.MustCompile(`chrt_|eyJ`).FindString(v.body); secret != "" {
			t.Errorf("the page shows a token:\n%s", v.body)
		}

		// The user signs out there, and is at the login page again afterwards.
		v.submit("/logout")
		if v.at.String() != base+"/" || !strings.Contains(v.body, "You have signed out") {
			t.Fatalf("signed out at %s:\n%s", v.at, v.body)
		}
		in(true)

		// An admin ends the session: the site hears of it without asking.
		cli(t, env, "sessions", "revoke", "--user", first.Username)
		eventually(t, "the site is told", func() bool {
			v.open(base + "/")
			return strings.Contains(v.body, "the authorization server said so")
		})

		// Answers that were not asked for are none.
		for _, query := range []string{"", "?code=x", "?code=x&state=x&iss=" + n.base, "?error=access_denied"} {
			v.open(base + "/callback" + query)
			if !strings.Contains(v.body, "was not begun here") {
				t.Errorf("callback%s:\n%s", query, v.body)
			}
		}
		v.open(base + "/login")
		state := v.at.Query().Get("state")
		if state == "" {
			t.Fatalf("no state at %s", v.at)
		}
		v.open(base + "/callback?code=x&iss=https://evil.example&state=" + state)
		if !strings.Contains(v.body, "was not begun here") {
			t.Errorf("an answer of another server:\n%s", v.body)
		}
		forged, err := read(http.PostForm(base+"/logged-out", url.Values{"logout_token": {"x"}}))
		if err != nil || forged.status != http.StatusBadRequest {
			t.Errorf("a forged logout token = %d, %v", forged.status, err)
		}
	})
}
