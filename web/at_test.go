package web_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"chancery/authz"
	"chancery/authz/authztest"

	"github.com/google/go-cmp/cmp"
)

const atES256 = "https://es.example"

// atServer returns a server with a third resource, which is signed by ES256.
func atServer(t *testing.T) *server {
	s := newServer(t)
	must(t, s.store.InsertResource(t.Context(), authz.Resource{URI: atES256, Algorithm: "ES256", Scopes: []authz.ResourceScope{{Name: "sign"}}}, authztest.AnyEvent()))
	s.service.Registry.Invalidate()
	for _, id := range []string{"app", "robot"} {
		s.updateClient(id, func(c *authz.Client) { c.Scope, c.Resources = append(c.Scope, "sign"), append(c.Resources, atES256) })
	}
	return s
}

// atHeader returns the decoded header of a token.
func atHeader(t *testing.T, token string) map[string]any {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
	must(t, err)
	var header map[string]any
	must(t, json.Unmarshal(raw, &header))
	return header
}

func TestAT01_Header(t *testing.T) {
	s := atServer(t)
	for uri, algorithm := range map[string]string{apiURI: "RS256", otherURI: "EdDSA", atES256: "ES256"} {
		refreshed := s.refresh("app", s.login("app").str("refresh_token"), "resource", uri)
		for _, a := range []answer{s.login("app", "resource", uri), ccToken(s, "robot", "resource", uri), refreshed} {
			s.expect(a, http.StatusOK, "")
			header := atHeader(t, a.str("access_token"))
			if names := slices.Sorted(maps.Keys(header)); !slices.Equal(names, []string{"alg", "kid", "typ"}) {
				t.Errorf("%s: header members %v, want exactly alg, kid, typ", algorithm, names)
			}
			if header["typ"] != "at+jwt" || header["alg"] != algorithm || header["kid"] == "" {
				t.Errorf("header = %v, want typ at+jwt, alg %s and a kid", header, algorithm)
			}
			if parts := strings.Split(a.str("access_token"), "."); len(parts) != 3 || parts[2] == "" {
				t.Errorf("token has %d parts, want 3 with a signature", len(parts))
			}
		}
	}
}

func TestAT02_RequiredClaims(t *testing.T) {
	s := newServer(t)
	for name, a := range map[string]answer{"user": s.login("app"), "client": ccToken(s, "robot")} {
		claims := s.claims(a.str("access_token"))
		for _, claim := range []string{"iss", "aud", "sub", "client_id", "jti"} {
			if text, _ := claims[claim].(string); text == "" {
				t.Errorf("%s: %s = %v, want a string", name, claim, claims[claim])
			}
		}
		for _, claim := range []string{"exp", "iat"} {
			if number, _ := claims[claim].(float64); number <= 0 {
				t.Errorf("%s: %s = %v, want a number", name, claim, claims[claim])
			}
		}
		if claims["iss"] != issuer || claims["aud"] != apiURI {
			t.Errorf("%s: iss = %v, aud = %v, want %s, %s", name, claims["iss"], claims["aud"], issuer, apiURI)
		}
	}
}

func TestAT02_ExactlyTheDocumentedClaims(t *testing.T) {
	s := newServer(t)
	client := []string{"aud", "client_id", "exp", "iat", "iss", "jti", "scope", "status", "sub"}
	user := append([]string{"amr", "auth_time", "roles", "sid"}, client...)
	slices.Sort(user)
	for _, c := range []struct {
		token string
		want  []string
	}{{s.login("app").str("access_token"), user}, {ccToken(s, "robot").str("access_token"), client}} {
		got := slices.Sorted(maps.Keys(s.claims(c.token)))
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("claims (-want +got):\n%s", diff)
		}
	}
}

func TestAT03_ScopeIsAString(t *testing.T) {
	s := newServer(t)
	for _, a := range []answer{s.login("app"), ccToken(s, "robot"), s.refresh("app", s.login("app").str("refresh_token"), "scope", "read")} {
		scope, ok := s.claims(a.str("access_token"))["scope"].(string)
		if !ok || scope == "" || scope != a.str("scope") {
			t.Errorf("scope = %v, want the string %q of the answer", s.claims(a.str("access_token"))["scope"], a.str("scope"))
		}
	}
}

func TestAT04_LoginIsDescribedUnchanged(t *testing.T) {
	s := newServer(t)
	begun := float64(s.clock.Now().Unix())
	token := s.login("app").str("refresh_token")
	for range 3 {
		s.clock.Add(2 * time.Hour)
		a := s.refresh("app", token, "scope", "read")
		claims := s.claims(a.str("access_token"))
		if claims["auth_time"] != begun || !cmp.Equal(claims["amr"], []any{"pwd"}) {
			t.Errorf("auth_time = %v, amr = %v, want %v, [pwd]", claims["auth_time"], claims["amr"], begun)
		}
		token = a.str("refresh_token")
	}
}

// atUser stores a user with so many of the longest roles there can be.
func atUser(s *server, name string, roles int) {
	s.t.Helper()
	pgUser(s, name, func(u *authz.User) {
		u.Roles = nil
		for i := range roles {
			u.Roles = append(u.Roles, fmt.Sprintf("%064d", i))
		}
	})
}

func TestAT05_RolesAreAtMost32(t *testing.T) {
	s := newServer(t)
	atUser(s, "many", 40)
	for _, c := range []struct {
		user string
		want int
	}{{username, 1}, {"many", 32}} {
		login := pgLogin(s, "app", c.user, secretPW)
		for _, a := range []answer{login, s.refresh("app", login.str("refresh_token"))} {
			if roles, ok := s.claims(a.str("access_token"))["roles"].([]any); !ok || len(roles) != c.want {
				t.Errorf("%s has roles %v, want an array of %d", c.user, roles, c.want)
			}
		}
	}
	many := make([]string, 33)
	for i := range many {
		many[i] = fmt.Sprintf("role%d", i)
	}
	if _, err := s.users.SetRoles(t.Context(), username, many); authz.CodeOf(err) != authz.InvalidInput {
		t.Errorf("SetRoles with 33 = %v, want %s", err, authz.InvalidInput)
	}
}

func TestAT06_SmallAndImpersonal(t *testing.T) {
	s := newServer(t)
	atUser(s, "many", 32)
	pgUser(s, "carol", func(u *authz.User) { u.Username, u.Email = "Carol", "carol@mail.example" })
	if n := len(pgLogin(s, "app", "many", secretPW).str("access_token")); n == 0 || n >= 4096 {
		t.Errorf("a token with 32 roles of 64 characters has %d bytes, want fewer than 4096", n)
	}
	pgUser(s, "dora", func(u *authz.User) { u.ID, u.Email = "usr_1", "dora@mail.example" })
	payload, err := s.rotator.Ring.Verify(pgLogin(s, "app", "dora", secretPW).str("access_token"), "at+jwt")
	must(t, err)
	if text := string(payload); strings.Contains(text, "dora") || strings.Contains(text, "mail.example") {
		t.Errorf("claims = %s, want neither username nor address", text)
	}
}

func TestAT07_LifetimeAndID(t *testing.T) {
	s := newServer(t)
	ids, lifetimes := map[string]bool{}, map[float64]bool{}
	for range 40 {
		for uri, ttl := range map[string]float64{apiURI: 900, otherURI: 300} {
			a := ccToken(s, "robot", "resource", uri)
			claims := s.claims(a.str("access_token"))
			iat, _ := claims["iat"].(float64)
			exp, _ := claims["exp"].(float64)
			lifetime := exp - iat
			if iat != float64(s.clock.Now().Unix()) || exp != math.Trunc(exp) || lifetime > ttl || lifetime < ttl*0.9-1 {
				t.Errorf("iat = %v, exp - iat = %v, want %d and %v less at most a tenth", iat, lifetime, s.clock.Now().Unix(), ttl)
			}
			if a.json["expires_in"] != lifetime {
				t.Errorf("expires_in = %v, want exp - iat = %v", a.json["expires_in"], lifetime)
			}
			if nbf, ok := claims["nbf"]; ok && nbf != iat {
				t.Errorf("nbf = %v, want none or iat", nbf)
			}
			jti, _ := claims["jti"].(string)
			if raw, err := base64.RawURLEncoding.DecodeString(jti); err != nil || len(raw) < 16 || ids[jti] {
				t.Errorf("jti = %q, want 128 random bits or more, once", jti)
			}
			ids[jti], lifetimes[lifetime] = true, true
		}
	}
	if len(lifetimes) < 10 {
		t.Errorf("%d different lifetimes of 80 tokens, want them spread", len(lifetimes))
	}
}

func TestAT07_TimesAreIntegers(t *testing.T) {
	s := newServer(t)
	s.clock.Add(789 * time.Millisecond)
	payload, err := s.rotator.Ring.Verify(s.login("app").str("access_token"), "at+jwt")
	must(t, err)
	var claims map[string]json.RawMessage
	must(t, json.Unmarshal(payload, &claims))
	for _, name := range []string{"iat", "exp", "auth_time"} {
		if text := string(claims[name]); text == "" || strings.Trim(text, "0123456789") != "" {
			t.Errorf("%s = %s, want digits alone", name, text)
		}
	}
}

func TestAT08_SessionIDIsOpaqueAndNoKey(t *testing.T) {
	s := newServer(t)
	login := s.login("app")
	sid := rrSession(s, login)
	family := rrFamily(s, sid)
	if len(sid) < 22 || strings.Contains(sid, family.UserID) || sid == fmt.Sprintf("%x", family.HandleHash) {
		t.Errorf("sid = %q, want an opaque random id", sid)
	}
	if other := rrSession(s, s.login("app")); other == sid {
		t.Error("two sessions have the same sid")
	}
	// What is public is not what the refresh token is looked up by.
	if strings.Contains(string(rrRaw(t, login.str("refresh_token"))), sid) {
		t.Error("the refresh token holds the sid")
	}
}

func TestAT09_SubjectIsStableAndNeverReassigned(t *testing.T) {
	s := newServer(t)
	sub := func(a answer) any { return s.claims(a.str("access_token"))["sub"] }
	first := s.login("app")
	influenced := s.login("web", "sub", "usr_x", "user_id", "usr_x", "resource", otherURI)
	for _, a := range []answer{s.login("app2"), s.refresh("app", first.str("refresh_token")), influenced} {
		if sub(a) != sub(first) {
			t.Errorf("sub = %v, want %v", sub(a), sub(first))
		}
	}
	_, err := s.users.Delete(t.Context(), username)
	must(t, err)
	_, err = s.users.Create(t.Context(), authz.NewUser{Username: username, Password: secretPW})
	must(t, err)
	if again := sub(s.login("app")); again == sub(first) {
		t.Errorf("sub = %v was given to another account of the same name", again)
	}
}

func TestAT10_OtherKindsOfTokenAreNotAccepted(t *testing.T) {
	s := newServer(t)
	login := s.login("app")
	payload, err := s.rotator.Ring.Verify(login.str("access_token"), "at+jwt")
	must(t, err)
	for _, typ := range []string{"at+jwt", "statuslist+jwt", "logout+jwt", "token-introspection+jwt", "JWT", "at+jwt2"} {
		token, err := s.rotator.Ring.Sign("RS256", typ, payload)
		must(t, err)
		if got, want := rrActive(s, token), typ == "at+jwt"; got != want {
			t.Errorf("typ %s: active = %t, want %t", typ, got, want)
		}
		if typ != "at+jwt" {
			rvOK(s, s.as("app", "/oauth/revoke", "token", token))
		}
	}
	rvUntouched(s, "app", login)
	s.expect(s.refresh("app", login.str("access_token")), http.StatusBadRequest, "invalid_grant")
}
