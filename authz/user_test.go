package authz_test

import (
	"strings"
	"testing"
	"time"

	"chancery/authz"

	"pgregory.net/rapid"
)

// Attack 54: every spelling of a name leads to one account.
func TestNormalizeName(t *testing.T) {
	cases := []struct{ name, username, want string }{
		{"plain", "alice", "alice"},
		{"case", "ALiCe", "alice"},
		{"composed", "jos\u00e9", "jos\u00e9"},
		{"decomposed", "jose\u0301", "jos\u00e9"},
		{"decomposed capital", "JOSE\u0301", "jos\u00e9"},
		{"fullwidth", "\uff41\uff4c\uff49\uff43\uff45", "alice"},
		{"fullwidth capitals", "\uff21\uff2c\uff29\uff23\uff25", "alice"},
		{"capital I is not the Turkish one", "IRIS", "iris"},
		{"sharp s stays itself", "stra\u00dfe", "stra\u00dfe"},
		{"address", "Alice@Mail.Example", "alice@mail.example"},
		{"punctuation", "a.b-c_d+e", "a.b-c_d+e"},
		{"other script", "алиса", "алиса"},
		{"longest", strings.Repeat("a", 256), strings.Repeat("a", 256)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got, err := authz.NormalizeName(c.username); got != c.want || err != nil {
				t.Errorf("NormalizeName(%q) = %q, %v, want %q", c.username, got, err, c.want)
			}
		})
	}
}

// Attacks 54 and 55: what could look like another name, or is too long, is no
// name.
func TestNormalizeNameRefuses(t *testing.T) {
	for name, username := range map[string]string{
		"empty": "", "space": "al ice", "leading space": " alice", "trailing space": "alice ", "only a space": " ",
		"no-break space": "al\u00a0ice", "ideographic space": "al\u3000ice", "tab": "al\tice", "line feed": "alice\n", "NUL": "al\x00ice",
		"zero-width space": "al\u200bice", "zero-width joiner": "al\u200dice", "zero-width non-joiner": "al\u200cice",
		"word joiner": "al\u2060ice", "byte order mark": "\ufeffalice", "soft hyphen": "al\u00adice",
		"right-to-left override": "al\u202eice", "left-to-right mark": "alice\u200e",
		"ligature": "\ufb01le", "Roman numeral": "henry\u2163", "superscript": "x\u00b2", "invalid UTF-8": "al\xffice",
		"next line control": "al\u0085ice", "too long": strings.Repeat("a", 257), "far too long": strings.Repeat("a", 1<<20),
		"too long in bytes": strings.Repeat("\u00e9", 129),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := authz.NormalizeName(username); authz.CodeOf(err) != authz.InvalidInput || got != "" {
				t.Errorf("NormalizeName = %q, %v, want code %s", got, err, authz.InvalidInput)
			}
		})
	}
}

// A normalised name is its own normal form: a name that is read from the
// database and looked up again is found.
func TestNormalizeNameTwiceIsOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		once, err := authz.NormalizeName(rapid.StringN(1, 20, 200).Draw(rt, "username"))
		if err != nil {
			return
		}
		if twice, err := authz.NormalizeName(once); twice != once || err != nil {
			rt.Fatalf("NormalizeName(%q) = %q, %v, want itself", once, twice, err)
		}
	})
}

func FuzzNormalizeName(f *testing.F) {
	for _, seed := range []string{"alice", "JOSE\u0301", "\uff21", "\u0130", "\u03a3", "\ufb01", "a b", "\xff", "\u1e9e"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, username string) {
		once, err := authz.NormalizeName(username)
		if err != nil {
			if once != "" || authz.CodeOf(err) != authz.InvalidInput {
				t.Errorf("NormalizeName(%q) = %q, %v, want code %s", username, once, err, authz.InvalidInput)
			}
			return
		}
		if len(username) > 256 || once == "" || strings.ContainsAny(once, " \x00\r\n\t") {
			t.Errorf("NormalizeName(%q) = %q", username, once)
		}
	})
}

func TestUserActive(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name string
		user authz.User
		want bool
	}{
		{"new", authz.User{}, true},
		{"disabled", authz.User{DisabledAt: now.Add(-time.Hour)}, false},
		{"banned for ever", authz.User{BannedUntil: authz.Forever}, false},
		{"banned a little longer", authz.User{BannedUntil: now.Add(1)}, false},
		{"ban over", authz.User{BannedUntil: now}, true},
		{"disabled and ban over", authz.User{DisabledAt: now, BannedUntil: now}, false},
	} {
		if got := c.user.Active(now); got != c.want {
			t.Errorf("%s: Active = %t, want %t", c.name, got, c.want)
		}
	}
}
