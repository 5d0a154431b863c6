package authz_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"chancery/authz"
	"chancery/authz/authztest"

	"github.com/google/go-cmp/cmp"
)

const bossPassword = authz.Secret("tall ships sail at dawn")

// adminsFixture is a fixture with the admin boss and the user eve, who have one
// password.
type adminsFixture struct {
	*fixture
	admins   *authz.Admins
	observed *observed
	boss     authz.User
}

// observed notes what an authz.Observer is told.
type observed []string

func (o *observed) TokenAnswered(grantType, outcome string, cause authz.Cause) {
	*o = append(*o, strings.TrimSuffix(grantType+" "+outcome+" "+string(cause), " "))
}

func newAdminsFixture(t *testing.T, policy *authz.ThrottlePolicy) *adminsFixture {
	t.Helper()
	f := &adminsFixture{fixture: newFixture(t), observed: &observed{}}
	clock := func() time.Time { return f.now }
	service := &authz.Service{
		Settings: authz.Settings{Issuer: issuer}, Now: clock, Registry: f.registry, Logins: f.store, Events: f.store, Passwords: f.users.Passwords, Observer: f.observed,
	}
	if policy != nil {
		limiter := authztest.NewLimiter(clock)
		service.Throttle = &authz.Throttle{Policy: *policy, Limiter: limiter, Failures: limiter}
	}
	f.admins = &authz.Admins{Service: service, Users: f.store}
	var err error
	if f.boss, err = f.users.Create(t.Context(), authz.NewUser{Username: "Boss", Email: "boss@mail.example", EmailVerified: true, Password: bossPassword, Roles: []string{authz.RoleAdmin}}); err != nil {
		t.Fatal(err)
	}
	if _, err = f.users.Create(t.Context(), authz.NewUser{Username: "eve", Password: bossPassword, Roles: []string{"administrator"}}); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestConsoleLogin gives one answer for everybody who may not in, and says why
// in an event alone.
func TestConsoleLogin(t *testing.T) {
	desk := authz.Device{Address: "192.0.2.7", UserAgent: "Desk"}
	for name, test := range map[string]struct {
		username string
		secret   authz.Secret
		change   func(f *adminsFixture) error
		// detail is that of the event; "-" stands for none.
		detail string
		ok     bool
	}{
		"right":           {"boss", bossPassword, nil, "", true},
		"other case":      {"BOSS", bossPassword, nil, "", true},
		"by address":      {"boss@mail.example", bossPassword, nil, "", true},
		"wrong password":  {"boss", "wrong", nil, "wrong password", false},
		"no password":     {"boss", "", nil, "wrong password", false},
		"unknown":         {"nobody", bossPassword, nil, "unknown user", false},
		"no name":         {"", bossPassword, nil, "unknown user", false},
		"not an admin":    {"eve", bossPassword, nil, "right password, not an admin", false},
		"neither":         {"eve", "wrong", nil, "wrong password", false},
		"NUL in the name": {"bo\x00ss", bossPassword, nil, "-", false},
		"not UTF-8":       {"boss", "\xff", nil, "-", false},
		"banned": {"boss", bossPassword, func(f *adminsFixture) error {
			_, err := f.users.Ban(t.Context(), "boss", authz.Forever, "")
			return err
		}, "account not active", false},
		"must change": {"boss", bossPassword, func(f *adminsFixture) error {
			_, err := f.users.SetPassword(t.Context(), "boss", bossPassword, true)
			return err
		}, "password must be changed", false},
		"role lost": {"boss", bossPassword, func(f *adminsFixture) error {
			_, err := f.users.SetRoles(t.Context(), "boss", nil)
			return err
		}, "right password, not an admin", false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newAdminsFixture(t, nil)
			if test.change != nil {
				if err := test.change(f); err != nil {
					t.Fatal(err)
				}
			}
			login, err := f.admins.Login(t.Context(), test.username, test.secret, desk)
			kind, outcome := authz.EventLoginSucceeded, "password ok"
			if !test.ok {
				kind, outcome = authz.EventLoginFailed, "password invalid_grant"
				wantCode(t, "Login", err, authz.InvalidGrant)
				if !strings.HasSuffix(err.Error(), "The username or password is wrong.") || login != (authz.ConsoleLogin{}) {
					t.Errorf("Login = %+v, %v, want what every refusal says", login, err)
				}
			} else if err != nil || login.UserID != f.boss.ID || login.AuthEpoch != f.boss.AuthEpoch {
				t.Errorf("Login = %+v, %v, want boss", login, err)
			}
			events, err := f.store.ListEvents(t.Context(), authz.EventFilter{ClientID: authz.ConsoleClientID, Page: authz.Page{Limit: 9}})
			if err != nil {
				t.Fatal(err)
			}
			if test.detail == "-" {
				if len(events) != 0 {
					t.Errorf("events = %+v, want none", events)
				}
				return
			}
			if len(events) != 1 || events[0].Kind != kind || events[0].Detail != test.detail || events[0].Device != desk {
				t.Errorf("events = %+v, want one of kind %s that says %q", events, kind, test.detail)
			}
			if diff := cmp.Diff(observed{outcome}, *f.observed); diff != "" {
				t.Errorf("observed (-want +got):\n%s", diff)
			}
		})
	}
}

// TestConsoleLoginIsThrottled counts the console's attempts with those of every
// other login.
func TestConsoleLoginIsThrottled(t *testing.T) {
	f := newAdminsFixture(t, &authz.ThrottlePolicy{Pair: 3, Account: 100, Address: 100, Client: 100})
	desk := authz.Device{Address: "192.0.2.7"}
	for range 3 {
		_, err := f.admins.Login(t.Context(), "boss", "wrong", desk)
		wantCode(t, "wrong password", err, authz.InvalidGrant)
	}
	_, err := f.admins.Login(t.Context(), "boss", bossPassword, desk)
	var refused *authz.Error
	if !errors.As(err, &refused) || refused.RetryAfter <= 0 {
		t.Errorf("Login after too many = %v, want a time to wait", err)
	}
	if _, err := f.admins.Service.Login(t.Context(), "app", authz.LoginProof{Username: "boss", Password: bossPassword}, desk); !errors.As(err, &refused) || refused.RetryAfter <= 0 {
		t.Errorf("another login after too many = %v, want it counted together", err)
	}
	if _, err := f.admins.Login(t.Context(), "boss", bossPassword, authz.Device{Address: "192.0.2.8"}); err != nil {
		t.Errorf("Login from elsewhere = %v", err)
	}
	if got := (*f.observed)[len(*f.observed)-2:]; got[0] != "password "+string(refused.Code) || got[1] != "password ok" {
		t.Errorf("observed %v", *f.observed)
	}
	// The right password of somebody who is no admin costs no less.
	for range 3 {
		_, err := f.admins.Login(t.Context(), "eve", "wrong", desk)
		wantCode(t, "eve", err, authz.InvalidGrant)
	}
	if _, err := f.admins.Login(t.Context(), "eve", bossPassword, desk); !errors.As(err, &refused) || refused.RetryAfter <= 0 {
		t.Errorf("eve after too many = %v", err)
	}
}

// TestConsoleSessionEnds ends a session of the console by whatever ends those
// of its user.
func TestConsoleSessionEnds(t *testing.T) {
	ctx := t.Context()
	for name, test := range map[string]struct {
		change func(f *adminsFixture) error
		code   authz.Code
	}{
		"nothing": {func(*adminsFixture) error { return nil }, ""},
		"other roles too": {func(f *adminsFixture) error {
			_, err := f.users.SetRoles(ctx, "boss", []string{"admin", "more"})
			return err
		}, ""},
		"role lost": {func(f *adminsFixture) error { _, err := f.users.SetRoles(ctx, "boss", []string{"admins"}); return err }, authz.InsufficientScope},
		"banned":    {func(f *adminsFixture) error { _, err := f.users.Ban(ctx, "boss", authz.Forever, ""); return err }, authz.InvalidToken},
		"banned and let": {func(f *adminsFixture) error {
			_, err := f.users.Ban(ctx, "boss", authz.Forever, "")
			if err == nil {
				_, err = f.users.Unban(ctx, "boss")
			}
			return err
		}, authz.InvalidToken},
		"deleted": {func(f *adminsFixture) error { _, err := f.users.Delete(ctx, "boss"); return err }, authz.InvalidToken},
		"same password": {func(f *adminsFixture) error {
			_, err := f.users.SetPassword(ctx, "boss", bossPassword, false)
			return err
		}, authz.InvalidToken},
		"must change": {func(f *adminsFixture) error {
			_, err := f.users.SetPassword(ctx, "boss", bossPassword, true)
			return err
		}, authz.InvalidToken},
		"sessions ended":   {func(f *adminsFixture) error { return f.end(ctx, authz.Ending{UserID: f.boss.ID}) }, authz.InvalidToken},
		"another's ended":  {func(f *adminsFixture) error { return f.end(ctx, authz.Ending{UserID: "usr_other"}) }, ""},
		"a client's ended": {func(f *adminsFixture) error { return f.end(ctx, authz.Ending{ClientID: "app"}) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newAdminsFixture(t, nil)
			login, err := f.admins.Login(ctx, "boss", bossPassword, authz.Device{})
			if err == nil {
				f.now = f.now.Add(time.Minute)
				err = test.change(f)
			}
			if err != nil {
				t.Fatal(err)
			}
			admin, err := f.admins.ByLogin(ctx, login, authz.Device{Address: "192.0.2.9", UserAgent: strings.Repeat("x", 1000) + "\n"})
			wantCode(t, "ByLogin", err, test.code)
			want := authz.Administrator{}
			if test.code == "" {
				want = authz.Administrator{
					Actor: f.boss.ID, UserID: f.boss.ID, ClientID: authz.ConsoleClientID, Username: "Boss", Device: authz.Device{Address: "192.0.2.9", UserAgent: strings.Repeat("x", 256)},
				}
			}
			if admin != want {
				t.Errorf("ByLogin = %+v, want %+v", admin, want)
			}
		})
	}
	f := newAdminsFixture(t, nil)
	_, err := f.admins.ByLogin(ctx, authz.ConsoleLogin{}, authz.Device{})
	wantCode(t, "ByLogin of nothing", err, authz.InvalidToken)
	f.store.SetDown(authz.ErrUnavailable)
	if _, err = f.admins.ByLogin(ctx, authz.ConsoleLogin{UserID: f.boss.ID}, authz.Device{}); !errors.Is(err, authz.ErrUnavailable) {
		t.Errorf("ByLogin without a database = %v", err)
	}
	if _, err = f.admins.Login(ctx, "boss", bossPassword, authz.Device{}); !errors.Is(err, authz.ErrUnavailable) || (*f.observed)[0] != "password server_error" {
		t.Errorf("Login without a database = %v, observed %v", err, *f.observed)
	}
}

// end ends sessions.
func (f *adminsFixture) end(ctx context.Context, ending authz.Ending) error {
	ending.Cause = authz.CauseAdmin
	_, err := f.sessions.End(ctx, ending)
	return err
}

// TestNobodyIsTheConsole keeps its name free of clients.
func TestNobodyIsTheConsole(t *testing.T) {
	f := newFixture(t)
	_, _, err := f.clients.Create(t.Context(), authz.Client{ID: authz.ConsoleClientID, AuthMethod: authz.AuthNone})
	wantCode(t, "Create", err, authz.InvalidInput)
}
