package authz_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"chancery/authz"
)

// clientOK returns a client with which nothing is wrong.
func clientOK() authz.Client {
	return authz.Client{
		ID: "app", Name: "App", AuthMethod: authz.AuthAnySecret, FirstParty: true, Introspect: true, GrantTypes: authz.GrantTypes(),
		Scope: authz.Scope{"read"}, Resources: []string{"https://api.example"}, AllowedOrigins: []string{"https://app.example"},
		RedirectURIs: []string{"https://app.example/callback"},
	}
}

func TestClientValidateAccepts(t *testing.T) {
	cases := map[string]func(*authz.Client){
		"full":            func(*authz.Client) {},
		"bare":            func(c *authz.Client) { *c = authz.Client{ID: "a", AuthMethod: authz.AuthNone} },
		"longest id":      func(c *authz.Client) { c.ID = strings.Repeat("a", 128) },
		"id with marks":   func(c *authz.Client) { c.ID = "A1._~-" },
		"id like a user":  func(c *authz.Client) { c.ID = "usr" },
		"longest name":    func(c *authz.Client) { c.Name = strings.Repeat("n", 200) },
		"basic":           func(c *authz.Client) { c.AuthMethod = authz.AuthBasic },
		"post":            func(c *authz.Client) { c.AuthMethod = authz.AuthPost },
		"scope with mark": func(c *authz.Client) { c.Scope = authz.Scope{"admin:read", "!", "~"} },
		"public": func(c *authz.Client) {
			c.AuthMethod, c.Introspect, c.GrantTypes = authz.AuthNone, false, []string{authz.GrantPassword, authz.GrantRefreshToken}
		},
		"origins": func(c *authz.Client) {
			c.AllowedOrigins = []string{"http://localhost:3000", "https://app.example:8443", "http://127.0.0.1", "http://[::1]:8080"}
		},
	}
	for name, edit := range cases {
		client := clientOK()
		edit(&client)
		if err := client.Validate(); err != nil {
			t.Errorf("%s: Validate = %v, want no error", name, err)
		}
	}
}

func TestClientValidateRefuses(t *testing.T) {
	cases := map[string]func(*authz.Client){
		"no id":                  func(c *authz.Client) { c.ID = "" },
		"id too long":            func(c *authz.Client) { c.ID = strings.Repeat("a", 129) },
		"id with space":          func(c *authz.Client) { c.ID = "a b" },
		"id with colon":          func(c *authz.Client) { c.ID = "a:b" },
		"id with slash":          func(c *authz.Client) { c.ID = "a/b" },
		"id with line feed":      func(c *authz.Client) { c.ID = "app\n" },
		"id not ASCII":           func(c *authz.Client) { c.ID = "ápp" },
		"id begins with dash":    func(c *authz.Client) { c.ID = "-app" },
		"id of a user":           func(c *authz.Client) { c.ID = "usr_123" },
		"bare user prefix":       func(c *authz.Client) { c.ID = "usr_" },
		"name too long":          func(c *authz.Client) { c.Name = strings.Repeat("n", 201) },
		"no method":              func(c *authz.Client) { c.AuthMethod = "" },
		"unknown method":         func(c *authz.Client) { c.AuthMethod = "private_key_jwt" },
		"unknown grant":          func(c *authz.Client) { c.GrantTypes = []string{"implicit"} },
		"grant in other case":    func(c *authz.Client) { c.GrantTypes = []string{"Password"} },
		"password, third party":  func(c *authz.Client) { c.FirstParty = false },
		"public machine":         func(c *authz.Client) { c.AuthMethod, c.Introspect = authz.AuthNone, false },
		"machine, no resource":   func(c *authz.Client) { c.Resources = nil },
		"public introspection":   func(c *authz.Client) { c.AuthMethod, c.GrantTypes = authz.AuthNone, nil },
		"empty scope token":      func(c *authz.Client) { c.Scope = authz.Scope{""} },
		"scope token with space": func(c *authz.Client) { c.Scope = authz.Scope{"a b"} },
		"scope token with quote": func(c *authz.Client) { c.Scope = authz.Scope{`a"`} },
		"scope token not ASCII":  func(c *authz.Client) { c.Scope = authz.Scope{"é"} },
	}
	for name, edit := range cases {
		client := clientOK()
		edit(&client)
		if err := client.Validate(); authz.CodeOf(err) != authz.InvalidInput {
			t.Errorf("%s: Validate = %v, want code %s", name, err, authz.InvalidInput)
		}
	}
}

func TestClientValidateRefusesOrigins(t *testing.T) {
	for _, origin := range []string{
		"", "*", "null", "app.example", "//app.example", "https://", "https://*", "https://*.example", "https://app.example/", "https://app.example/path",
		"https://app.example?q", "https://app.example#f", "https://user@app.example", "https://user:secret@app.example", "https://App.example", "HTTPS://app.example",
		"ftp://app.example", "javascript:alert(1)", "https://app.example:", "https://app.example:port", "https://app .example", "https://app.example\n", "https://äpp.example",
	} {
		client := clientOK()
		client.AllowedOrigins = []string{"https://fine.example", origin}
		if err := client.Validate(); authz.CodeOf(err) != authz.InvalidInput {
			t.Errorf("Validate with origin %q = %v, want code %s", origin, err, authz.InvalidInput)
		}
	}
}

func TestResourceValidate(t *testing.T) {
	ok := func() authz.Resource {
		return authz.Resource{
			URI: "https://api.example/v1", Algorithm: "ES256", AccessTokenTTL: time.Hour,
			Scopes: []authz.ResourceScope{{Name: "read"}, {Name: "write", Roles: []string{"editor", "a.b_c:d-1"}}},
		}
	}
	cases := []struct {
		name  string
		edit  func(*authz.Resource)
		valid bool
	}{
		{"full", func(*authz.Resource) {}, true},
		{"no scopes", func(r *authz.Resource) { r.Scopes = nil }, true},
		{"URN", func(r *authz.Resource) { r.URI = "urn:example:api" }, true},
		{"trailing slash", func(r *authz.Resource) { r.URI = "https://api.example/" }, true},
		{"longest URI", func(r *authz.Resource) { r.URI = "https://" + strings.Repeat("a", 504) }, true},
		{"RS256", func(r *authz.Resource) { r.Algorithm = "RS256" }, true},
		{"EdDSA", func(r *authz.Resource) { r.Algorithm = "EdDSA" }, true},
		{"server's lifetime", func(r *authz.Resource) { r.AccessTokenTTL = 0 }, true},
		{"shortest lifetime", func(r *authz.Resource) { r.AccessTokenTTL = time.Minute }, true},
		{"longest lifetime", func(r *authz.Resource) { r.AccessTokenTTL = 24 * time.Hour }, true},
		{"no URI", func(r *authz.Resource) { r.URI = "" }, false},
		{"relative", func(r *authz.Resource) { r.URI = "/api" }, false},
		{"no scheme", func(r *authz.Resource) { r.URI = "api.example" }, false},
		{"no host", func(r *authz.Resource) { r.URI = "https://" }, false},
		{"fragment", func(r *authz.Resource) { r.URI = "https://api.example#a" }, false},
		{"empty fragment", func(r *authz.Resource) { r.URI = "https://api.example#" }, false},
		{"space", func(r *authz.Resource) { r.URI = "https://api.example/a b" }, false},
		{"not ASCII", func(r *authz.Resource) { r.URI = "https://äpi.example" }, false},
		{"URI too long", func(r *authz.Resource) { r.URI = "https://" + strings.Repeat("a", 505) }, false},
		{"no algorithm", func(r *authz.Resource) { r.Algorithm = "" }, false},
		{"none", func(r *authz.Resource) { r.Algorithm = "none" }, false},
		{"symmetric", func(r *authz.Resource) { r.Algorithm = "HS256" }, false},
		{"other case", func(r *authz.Resource) { r.Algorithm = "rs256" }, false},
		{"lifetime too short", func(r *authz.Resource) { r.AccessTokenTTL = time.Minute - 1 }, false},
		{"lifetime too long", func(r *authz.Resource) { r.AccessTokenTTL = 24*time.Hour + 1 }, false},
		{"negative lifetime", func(r *authz.Resource) { r.AccessTokenTTL = -time.Hour }, false},
		{"bad scope", func(r *authz.Resource) { r.Scopes[0].Name = "a b" }, false},
		{"empty scope", func(r *authz.Resource) { r.Scopes[0].Name = "" }, false},
		{"scope twice", func(r *authz.Resource) { r.Scopes[1].Name = "read" }, false},
		{"bad role", func(r *authz.Resource) { r.Scopes[1].Roles[1] = "Editor" }, false},
		{"empty role", func(r *authz.Resource) { r.Scopes[1].Roles[1] = "" }, false},
		{"role too long", func(r *authz.Resource) { r.Scopes[1].Roles[1] = strings.Repeat("r", 65) }, false},
	}
	for _, c := range cases {
		resource := ok()
		c.edit(&resource)
		err := resource.Validate()
		if got := err == nil; got != c.valid || (err != nil && authz.CodeOf(err) != authz.InvalidInput) {
			t.Errorf("%s: Validate = %v, want valid = %t", c.name, err, c.valid)
		}
	}
}

func TestRefreshPolicyProblems(t *testing.T) {
	const ms = time.Millisecond
	cases := []struct {
		name string
		edit func(*authz.RefreshPolicy)
		want []string
	}{
		{"default", func(*authz.RefreshPolicy) {}, nil},
		{"all at the lower bound", func(p *authz.RefreshPolicy) {
			*p = authz.RefreshPolicy{IdleTTL: time.Minute, AbsoluteTTL: time.Minute}
		}, nil},
		{"all at the upper bound", func(p *authz.RefreshPolicy) {
			*p = authz.RefreshPolicy{
				IdleTTL: authz.MaxAbsoluteTTL, AbsoluteTTL: authz.MaxAbsoluteTTL, Leeway: 5 * time.Minute, LostResponseWindow: 24 * time.Hour,
				LostResponseBudget: authz.MaxLostResponseBudget,
			}
		}, nil},
		{"window equals leeway", func(p *authz.RefreshPolicy) { p.LostResponseWindow = p.Leeway }, nil},
		{"window equals idle", func(p *authz.RefreshPolicy) { p.IdleTTL = p.LostResponseWindow }, nil},
		{"absolute too short", func(p *authz.RefreshPolicy) {
			p.AbsoluteTTL, p.IdleTTL, p.LostResponseWindow = time.Minute-ms, time.Minute-ms, 30*time.Second
		}, []string{"absolute_ttl", "idle_ttl"}},
		{"absolute too long", func(p *authz.RefreshPolicy) { p.AbsoluteTTL = authz.MaxAbsoluteTTL + ms }, []string{"absolute_ttl"}},
		{"idle beyond absolute", func(p *authz.RefreshPolicy) { p.IdleTTL = p.AbsoluteTTL + ms }, []string{"idle_ttl"}},
		{"idle shorter than the window", func(p *authz.RefreshPolicy) { p.IdleTTL = 10*time.Minute - ms }, []string{"lost_response_window"}},
		{"leeway negative", func(p *authz.RefreshPolicy) { p.Leeway = -ms }, []string{"leeway"}},
		{"leeway too long", func(p *authz.RefreshPolicy) { p.Leeway = 5*time.Minute + ms }, []string{"leeway"}},
		{"leeway beyond idle", func(p *authz.RefreshPolicy) { p.IdleTTL, p.Leeway = time.Minute, time.Minute+ms }, []string{"leeway", "lost_response_window"}},
		{"window shorter than the leeway", func(p *authz.RefreshPolicy) { p.LostResponseWindow = p.Leeway - ms }, []string{"lost_response_window"}},
		{"window too long", func(p *authz.RefreshPolicy) { p.LostResponseWindow = 24*time.Hour + ms }, []string{"lost_response_window"}},
		{"budget negative", func(p *authz.RefreshPolicy) { p.LostResponseBudget = -1 }, []string{"lost_response_budget"}},
		{"budget too great", func(p *authz.RefreshPolicy) { p.LostResponseBudget = authz.MaxLostResponseBudget + 1 }, []string{"lost_response_budget"}},
		{"all at once", func(p *authz.RefreshPolicy) {
			*p = authz.RefreshPolicy{Leeway: -1, LostResponseWindow: -2, LostResponseBudget: -1}
		}, []string{"absolute_ttl", "idle_ttl", "leeway", "lost_response_budget", "lost_response_window"}},
	}
	for _, c := range cases {
		policy := familyPolicy
		c.edit(&policy)
		if got := slices.Sorted(maps.Keys(policy.Problems())); !slices.Equal(got, c.want) {
			t.Errorf("%s: problems with %v, want %v", c.name, got, c.want)
		}
	}
}

func TestRefreshOverrides(t *testing.T) {
	if got := (authz.RefreshOverrides{}).Over(familyPolicy); got != familyPolicy {
		t.Errorf("no overrides make %+v, want the server's %+v", got, familyPolicy)
	}
	zero, hour, none := time.Duration(0), time.Hour, 0
	got := authz.RefreshOverrides{IdleTTL: &hour, Leeway: &zero, LostResponseBudget: &none}.Over(familyPolicy)
	want := familyPolicy
	want.IdleTTL, want.Leeway, want.LostResponseBudget = time.Hour, 0, 0 // zero is a value, not "unset"
	if got != want {
		t.Errorf("overrides make %+v, want %+v", got, want)
	}
}
