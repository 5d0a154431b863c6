package web_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"chancery/authz"

	"github.com/google/go-cmp/cmp"
)

// rrShortLived is a policy whose ends a test can reach.
func rrShortLived(o *options) {
	o.refresh.IdleTTL, o.refresh.AbsoluteTTL = time.Hour, 3*time.Hour
}

func TestRR08_IdleExpiryMovesAbsoluteExpiryDoesNot(t *testing.T) {
	s := newServer(t, rrShortLived)
	login := s.login("app")
	sid, token := rrSession(s, login), login.str("refresh_token")
	absolute := rrFamily(s, sid).AbsoluteExpiresAt
	for range 5 {
		rrAdvance(s, 35*time.Minute)
		token = rrRefresh(s, "app", token, "")
		if got := rrFamily(s, sid).AbsoluteExpiresAt; !got.Equal(absolute) {
			t.Fatalf("absolute expiry = %v after a rotation, want %v", got, absolute)
		}
	}
	rrAdvance(s, 5*time.Minute) // exactly the absolute expiry, 5 minutes after the last use
	rrExpect(s, s.refresh("app", token), http.StatusBadRequest, "invalid_grant", "expired_absolute")
}

func TestRR08_IdleSessionEnds(t *testing.T) {
	s := newServer(t, rrShortLived)
	token := s.login("app").str("refresh_token")
	rrAdvance(s, time.Hour-time.Millisecond)
	token = rrRefresh(s, "app", token, "")
	rrAdvance(s, time.Hour)
	rrExpect(s, s.refresh("app", token), http.StatusBadRequest, "invalid_grant", "expired_idle")
	rrExpect(s, s.refresh("app", token, "scope", "read"), http.StatusBadRequest, "invalid_grant", "expired_idle")
}

func TestRR08_AccessTokenNeverOutlivesTheSession(t *testing.T) {
	s := newServer(t, rrShortLived)
	login := s.login("app")
	token, absolute := login.str("refresh_token"), rrFamily(s, rrSession(s, login)).AbsoluteExpiresAt
	for _, at := range []time.Duration{50 * time.Minute, 100 * time.Minute, 150 * time.Minute, 179 * time.Minute} {
		rrAdvance(s, rrUntil(s, at))
		a := s.refresh("app", token)
		rrExpect(s, a, http.StatusOK, "", "")
		token = a.str("refresh_token")
		if exp := int64(s.claims(a.str("access_token"))["exp"].(float64)); exp > absolute.Unix() {
			t.Errorf("after %s: exp = %d, want at most %d", at, exp, absolute.Unix())
		}
		left := absolute.Sub(s.clock.Now()).Seconds()
		if got, _ := a.json["refresh_token_expires_in"].(float64); got <= 0 || got > left {
			t.Errorf("after %s: refresh_token_expires_in = %v, want 1 to %v", at, got, left)
		}
	}
}

// rrUntil returns how far the clock is from at, counted from the start.
func rrUntil(s *server, at time.Duration) time.Duration {
	return at - s.clock.Now().Sub(rrStart)
}

// rrStart is when every server of these tests starts.
var rrStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestRR08_NoLeewayForASessionThatIsOver(t *testing.T) {
	cases := []struct {
		name, cause string
		end         func(s *server, live string)
	}{
		{"revoked", "revoked", func(s *server, live string) {
			s.expect(s.as("app", "/oauth/revoke", "token", live), http.StatusOK, "")
		}},
		{"idle", "expired_idle", func(s *server, _ string) {
			// The session keeps the idle time it was rotated with; the longer
			// leeway would reach beyond it.
			long, leeway := 2*time.Hour, 5*time.Minute
			s.updateClient("app", func(c *authz.Client) {
				c.Refresh = authz.RefreshOverrides{IdleTTL: &long, Leeway: &leeway, LostResponseWindow: &long, AbsoluteTTL: &long}
			})
			s.clock.Add(time.Minute)
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, func(o *options) {
				o.refresh.IdleTTL, o.refresh.LostResponseWindow = time.Minute, time.Minute
			})
			first := s.login("app").str("refresh_token")
			live := rrRefresh(s, "app", first, "")
			c.end(s, live)
			for _, token := range []string{first, live} {
				rrExpect(s, s.refresh("app", token), http.StatusBadRequest, "invalid_grant", c.cause)
			}
		})
	}
}

func TestRR08_NoLeewayBeyondTheAbsoluteExpiry(t *testing.T) {
	s := newServer(t, rrShortLived)
	token := s.login("app").str("refresh_token")
	for range 3 {
		rrAdvance(s, 59*time.Minute+55*time.Second)
		token = rrRefresh(s, "app", token, "")
	}
	old := token
	rrAdvance(s, 10*time.Second)
	live := rrRefresh(s, "app", old, "")
	rrAdvance(s, 5*time.Second) // 5 s after the rotation, and the session's last moment
	rrExpect(s, s.refresh("app", old), http.StatusBadRequest, "invalid_grant", "expired_absolute")
	rrExpect(s, s.refresh("app", live), http.StatusBadRequest, "invalid_grant", "expired_absolute")
}

func TestRR09_StateIsCheckedOnEachRefresh(t *testing.T) {
	cases := []struct {
		name   string
		change func(s *server) error
		status int
		code   string
		cause  string
	}{
		{"user banned", func(s *server) error {
			_, err := s.users.Ban(s.t.Context(), username, authz.Forever, "")
			return err
		}, http.StatusBadRequest, "invalid_grant", "revoked"},
		{"password changed", func(s *server) error {
			_, err := s.users.SetPassword(s.t.Context(), username, "another long password", false)
			return err
		}, http.StatusBadRequest, "invalid_grant", "revoked"},
		{"user deleted", func(s *server) error {
			_, err := s.users.Delete(s.t.Context(), username)
			return err
		}, http.StatusBadRequest, "invalid_grant", "revoked"},
		{"client disabled", func(s *server) error {
			s.updateClient("app", func(c *authz.Client) { c.DisabledAt = s.clock.Now() })
			return nil
		}, http.StatusUnauthorized, "invalid_client", ""},
		{"client deleted", func(s *server) error {
			defer s.service.Registry.Invalidate()
			return s.clients.Delete(s.t.Context(), "app")
		}, http.StatusUnauthorized, "invalid_client", ""},
		{"grant withdrawn", func(s *server) error {
			s.updateClient("app", func(c *authz.Client) { c.GrantTypes = []string{authz.GrantPassword} })
			return nil
		}, http.StatusBadRequest, "unauthorized_client", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			token := rrRefresh(s, "app", s.login("app").str("refresh_token"), "")
			must(t, c.change(s))
			rrExpect(s, s.refresh("app", token), c.status, c.code, c.cause)
			rrExpect(s, s.refresh("app", token, "scope", "read"), c.status, c.code, c.cause)
		})
	}
}

func TestRR09_UnbannedUserDoesNotGetOldSessionsBack(t *testing.T) {
	s := newServer(t)
	token := s.login("app").str("refresh_token")
	_, err := s.users.Ban(t.Context(), username, authz.Forever, "")
	must(t, err)
	_, err = s.users.Unban(t.Context(), username)
	must(t, err)
	rrExpect(s, s.refresh("app", token), http.StatusBadRequest, "invalid_grant", "revoked")
}

func TestRR09_RolesReachTheNextRefresh(t *testing.T) {
	s := newServer(t)
	token := s.login("app").str("refresh_token")
	for _, roles := range [][]string{{"manager", "reader"}, {"auditor"}} {
		_, err := s.users.SetRoles(t.Context(), username, roles)
		must(t, err)
		a := s.refresh("app", token)
		rrExpect(s, a, http.StatusOK, "", "")
		token = a.str("refresh_token")
		if got, want := s.claims(a.str("access_token"))["roles"], rrAny(roles); !cmp.Equal(got, want) {
			t.Errorf("roles = %v, want %v", got, want)
		}
	}
}

func rrAny(list []string) any {
	all := make([]any, len(list))
	for i, text := range list {
		all[i] = text
	}
	return all
}

// rrInterrupted runs something between the check of the password and the
// insert of the session, where other nodes are at work.
type rrInterrupted struct {
	authz.LoginStore
	between func() error
}

func (i rrInterrupted) InsertFamily(ctx context.Context, family authz.Family, epoch int64) error {
	if err := i.between(); err != nil {
		return err
	}
	return i.LoginStore.InsertFamily(ctx, family, epoch)
}

func TestRR09_RolesTakenDuringALoginAreNotInTheSession(t *testing.T) {
	s := newServer(t)
	_, err := s.users.SetRoles(t.Context(), username, []string{"manager", "reader"})
	must(t, err)
	s.service.Logins = rrInterrupted{s.store, func() error {
		_, err := s.users.SetRoles(t.Context(), username, []string{"reader"})
		return err
	}}
	login := s.as("app", "/oauth/token", "grant_type", "password", "username", username, "password", secretPW)
	if login.StatusCode != http.StatusOK {
		return // refusing the login is safe too
	}
	a := s.refresh("app", login.str("refresh_token"))
	rrExpect(s, a, http.StatusOK, "", "")
	if got, want := s.claims(a.str("access_token"))["roles"], rrAny([]string{"reader"}); !cmp.Equal(got, want) {
		t.Errorf("roles at the refresh = %v, want %v: the role was taken while the password was checked", got, want)
	}
	if strings.Contains(a.str("scope"), "manage") {
		t.Errorf("scope at the refresh = %q, want none that needs the lost role", a.str("scope"))
	}
}

func TestRR10_LoginIsCopiedUnchanged(t *testing.T) {
	s := newServer(t)
	login := s.login("app")
	before := s.claims(login.str("access_token"))
	token := login.str("refresh_token")
	for range 3 {
		rrAdvance(s, time.Hour)
		a := s.refresh("app", token)
		token = a.str("refresh_token")
		after := s.claims(a.str("access_token"))
		for _, name := range []string{"auth_time", "amr", "sub", "sid", "client_id", "aud"} {
			if !cmp.Equal(before[name], after[name]) || after[name] == nil {
				t.Errorf("%s = %v after a refresh, want %v", name, after[name], before[name])
			}
		}
		if got, want := after["iat"], float64(s.clock.Now().Unix()); got != want {
			t.Errorf("iat = %v, want %v", got, want)
		}
	}
}

func TestRR11_OneRowAndItIsPurged(t *testing.T) {
	s := newServer(t, rrShortLived)
	token := s.login("app").str("refresh_token")
	for range 10 {
		token = rrRefresh(s, "app", token, "")
	}
	purger := &authz.Purger{Store: s.store, Now: s.clock.Now, Holder: "node", EventRetention: 24 * time.Hour}
	grace := authz.MaxAccessTokenTTL + time.Minute
	for _, c := range []struct {
		after time.Duration
		rows  int
	}{{0, 1}, {3*time.Hour + grace, 1}, {time.Millisecond, 0}} {
		rrAdvance(s, c.after)
		_, err := purger.Tick(t.Context())
		must(t, err)
		rows, err := s.store.ListSessions(t.Context(), authz.SessionFilter{Page: authz.Page{Limit: 100}})
		must(t, err)
		if len(rows) != c.rows {
			t.Errorf("%v after the login: %d rows, want %d", s.clock.Now().Sub(rrStart), len(rows), c.rows)
		}
	}
	// A purged session tells a stranger nothing.
	rrExpect(s, s.refresh("app", token), http.StatusBadRequest, "invalid_grant", "")
}

func TestRR12_EveryTimeIsOfTheOneClock(t *testing.T) {
	s := newServer(t)
	login := s.login("app")
	sid, token, begun := rrSession(s, login), login.str("refresh_token"), s.clock.Now()
	s.clock.Add(time.Hour)
	rrRefresh(s, "app", token, "")
	now, f := s.clock.Now(), rrFamily(s, sid)
	got := []time.Time{f.CreatedAt, f.AuthTime, f.RotatedAt, f.IdleExpiresAt, f.AbsoluteExpiresAt}
	want := []time.Time{begun, begun, now, now.Add(168 * time.Hour), begun.Add(2160 * time.Hour)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("created, authenticated, rotated, idle, absolute (-want +got):\n%s", diff)
	}
}

// Attack 19: ids come from the stored row alone.
func TestRR09_ClientSuppliedIDsAreIgnored(t *testing.T) {
	s := newServer(t)
	victim := s.login("app")
	fixed := []string{"sid", rrSession(s, victim), "session_id", "x", "family_id", "x", "session_state", "x", "sub", "usr_x", "user_id", "usr_x"}
	login := s.login("app", fixed...)
	a := s.refresh("app", login.str("refresh_token"), fixed...)
	rrExpect(s, a, http.StatusOK, "", "")
	if got, want := rrSession(s, a), rrSession(s, login); got != want || got == rrSession(s, victim) {
		t.Errorf("sid = %q, want the session's own %q", got, want)
	}
	if got, want := s.claims(a.str("access_token"))["sub"], s.claims(victim.str("access_token"))["sub"]; got != want {
		t.Errorf("sub = %v, want %v", got, want)
	}
}

// Attack 20: whoever comes first, nothing lives after the revocation.
func TestRR09_EndingRacesRefresh(t *testing.T) {
	endings := map[string]func(s *server, token string) error{
		"revoke": func(s *server, token string) error { s.as("app", "/oauth/revoke", "token", token); return nil },
		"password": func(s *server, _ string) error {
			_, err := s.users.SetPassword(s.t.Context(), username, "another long password", false)
			return err
		},
		"ban": func(s *server, _ string) error {
			_, err := s.users.Ban(s.t.Context(), username, authz.Forever, "")
			return err
		},
	}
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			token := s.login("app").str("refresh_token")
			var wait sync.WaitGroup
			answers := make([]answer, 20)
			for i := range answers {
				wait.Go(func() { answers[i] = s.refresh("app", token) })
			}
			wait.Go(func() {
				if err := end(s, token); err != nil {
					t.Errorf("end: %v", err)
				}
			})
			wait.Wait()
			for _, a := range append(answers, answer{json: map[string]any{"refresh_token": token}}) {
				if live := a.str("refresh_token"); live != "" {
					rrExpect(s, s.refresh("app", live), http.StatusBadRequest, "invalid_grant", "revoked")
				}
			}
		})
	}
}
