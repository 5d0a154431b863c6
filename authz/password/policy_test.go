package password_test

import (
	"errors"
	"strings"
	"testing"

	"chancery/authz/password"
)

func newPolicy(t testing.TB, minLength int) *password.Policy {
	t.Helper()
	p, err := password.NewPolicy(minLength, []string{"login.acme.example"}, strings.NewReader("Hunter2Hunter3\n\n  zebra-umbrella  \n"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPolicy(t *testing.T) {
	for _, test := range []struct {
		name, password string
		least          int
		want           string // what the refusal says; empty for none
	}{
		{"PW-01 seven", "kr7#xq2", 8, "at least 8"},
		{"PW-01 eight", "kr7#xq2v", 8, ""},
		{"PW-01 fourteen of fifteen", "kr7#xq2vbn9wmz", 15, "at least 15"},
		{"PW-01 fifteen", "kr7#xq2vbn9wmzt", 15, ""},
		{"PW-01 never below eight", "kr7#xq", 4, "at least 8"},
		{"PW-01 code points count", "ñandúñañ", 8, ""},
		{"PW-02 256", strings.Repeat("ab", 128), 8, ""},
		{"PW-02 257", strings.Repeat("ab", 128) + "c", 8, "at most 256"},
		{"PW-02 too many bytes", strings.Repeat("日本", 200), 8, "at most 256"},
		{"PW-03 spaces and others", "ein Haus am 海", 8, ""},
		{"PW-03 control", "kr7#xq2v\x00", 8, "cannot be typed"},
		{"PW-04 no kinds of characters asked", "correcthorsebattery", 8, ""},
		{"PW-05 common", "password1", 8, "tried first"},
		{"PW-05 common in capitals", "PassWord1", 8, "tried first"},
		{"PW-05 common, full width", "ｐａｓｓｗｏｒｄ１", 8, ""}, // OpaqueString keeps the width, and so does whoever guesses
		{"PW-05 common in leaks", "1qaz2wsx3edc", 8, "tried first"},
		{"PW-05 own list", "hunter2hunter3", 8, "tried first"},
		{"PW-05 own list, trimmed", "zebra-umbrella", 8, "tried first"},
		{"PW-05 the username", "adalovelace", 8, "says little"},
		{"PW-05 the username and a year", "AdaLovelace1843", 8, "says little"},
		{"PW-05 a part of the address", "countess2026", 8, "says little"},
		{"PW-05 the service", "acmeacmeacme1", 8, "says little"},
		{"PW-05 one character", "aaaaaaaaaaaaaaa", 8, "says little"},
		{"PW-05 the username among others", "my adalovelace likes trains", 8, ""},
	} {
		err := newPolicy(t, test.least).Check(test.password, "AdaLovelace", "countess@mail.example")
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: Check = %v, want none", test.name, err)
		case test.want != "" && (!errors.Is(err, password.ErrUnacceptable) || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: Check = %v, want ErrUnacceptable with %q", test.name, err, test.want)
		case err != nil && strings.Contains(err.Error(), test.password):
			t.Errorf("%s: the error quotes the password", test.name)
		}
	}
}

func TestStrength(t *testing.T) {
	p := newPolicy(t, 8)
	weak, strong := p.Strength("password1"), p.Strength("vexing-cobalt-otter-drums-42")
	if weak.Score != 0 || weak.Problem == "" || weak.CrackTime == "" {
		t.Errorf("Strength of a common password = %+v, want score 0 with a problem", weak)
	}
	if strong.Score != 4 || strong.Problem != "" {
		t.Errorf("Strength of a long one = %+v, want score 4 without a problem", strong)
	}
	if with, without := p.Strength("zygomorphic7", "zygomorphic"), p.Strength("zygomorphic7"); with.Score >= without.Score {
		t.Errorf("the score with the username known is %d, want less than %d", with.Score, without.Score)
	}
}

// What is longer than 64 characters is estimated by its beginning: the whole
// of it would take seconds.
func TestStrengthLooksAtTheBeginning(t *testing.T) {
	p := newPolicy(t, 8)
	long := strings.Repeat("añ1", 85)
	if got, want := p.Strength(long).CrackTime, p.Strength(string([]rune(long)[:64])).CrackTime; got != want {
		t.Errorf("CrackTime of 255 characters = %q, of their first 64 %q", got, want)
	}
}

func BenchmarkStrength(b *testing.B) {
	p := newPolicy(b, 8)
	for name, text := range map[string]string{
		"words": "vexing-cobalt-otter-drums-42", "worst": strings.Repeat("4@8({[<369&#!1/|0$5+7%2", 3), "few signs": strings.Repeat("4@1!0o", 11), "same": strings.Repeat("a", 64), "leet": strings.Repeat("p4$$w0rd", 8),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				p.Strength(text, "adalovelace", "countess@mail.example")
			}
		})
	}
}
