package password_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"chancery/authz/password"
)

// vector is a password and what another program made of it.
type vector struct{ Password, Hash string }

// vectors were made by PHP 8.2's password_hash and by Python's hashlib.
func vectors(t testing.TB) []vector {
	t.Helper()
	var all []vector
	for _, name := range []string{"testdata/php.jsonl", "testdata/python.jsonl"} {
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(file)) {
			var v vector
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				t.Fatal(err)
			}
			all = append(all, v)
		}
	}
	return all
}

func TestForeignHashesAreTakenOver(t *testing.T) {
	h := newHasher(t, cheap)
	for _, v := range vectors(t) {
		kind := v.Hash[:12]
		if err := password.CheckForeign(v.Hash); err != nil {
			t.Errorf("%s: CheckForeign = %v", kind, err)
		}
		ok, rehash, err := h.Verify(t.Context(), v.Hash, v.Password)
		if err != nil || !ok {
			t.Errorf("%s: Verify(%q) = %v, %v, want true", kind, v.Password, ok, err)
		}
		if wantRehash := !strings.HasPrefix(v.Hash, "$2y$") || len(v.Password) <= 72; rehash != wantRehash {
			t.Errorf("%s: rehash after %d bytes = %v, want %v", kind, len(v.Password), rehash, wantRehash)
		}
		if ok, _, err := h.Verify(t.Context(), v.Hash, "x"+v.Password); err != nil || ok {
			t.Errorf("%s: Verify of a wrong password = %v, %v, want false", kind, ok, err)
		}
	}
}

// PHP hashes the bytes that it was sent; ours are composed first.
func TestForeignHashOfDecomposedText(t *testing.T) {
	h := newHasher(t, cheap)
	decomposed := "pa\u0308sswo\u0308rd mit u\u0308mlaut"
	for _, v := range vectors(t) {
		if v.Password != "p\u00e4ssw\u00f6rd mit \u00fcmlaut" {
			continue
		}
		if ok, _, err := h.Verify(t.Context(), v.Hash, decomposed); err != nil || !ok {
			t.Errorf("%s: the same text, decomposed = %v, %v, want true", v.Hash[:12], ok, err)
		}
	}
}

func TestForeignHashesAreBounded(t *testing.T) {
	const salt, key = "MDEyMzQ1Njc4OWFiY2RlZg", "MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ubw"
	bcrypt := strings.Repeat("a", 53)
	for _, test := range []struct {
		hash string
		want bool
	}{
		{"$argon2id$v=19$m=65536,t=4,p=1$" + salt + "$" + key, true},
		{"$argon2id$v=19$m=262144,t=4,p=1$" + salt + "$" + key, true},
		{"$argon2id$v=19$m=262145,t=1,p=1$" + salt + "$" + key, false},
		{"$argon2id$v=19$m=262144,t=5,p=1$" + salt + "$" + key, false},
		{"$argon2id$v=19$m=1024,t=2000,p=1$" + salt + "$" + key, false},
		{"$argon2id$v=19$m=1024,t=1,p=17$" + salt + "$" + key, false},
		{"$argon2id$v=19$m=7,t=1,p=1$" + salt + "$" + key, false},
		{"$argon2id$v=19$m=1024,t=0,p=1$" + salt + "$" + key, false},
		{"$argon2id$v=16$m=1024,t=1,p=1$" + salt + "$" + key, false},
		{"$argon2d$v=19$m=1024,t=1,p=1$" + salt + "$" + key, false},
		{"$2y$10$" + bcrypt, true},
		{"$2b$14$" + bcrypt, true},
		{"$2a$04$" + bcrypt, true},
		{"$2y$15$" + bcrypt, false},
		{"$2y$31$" + bcrypt, false},
		{"$2y$03$" + bcrypt, false},
		{"$2x$10$" + bcrypt, false},
		{"$2$10$" + bcrypt, false},
		{"$2y$10$" + bcrypt + "a", false},
		{"$scrypt$ln=16,r=8,p=1$" + salt + "$" + key, true},
		{"$scrypt$ln=18,r=8,p=4$" + salt + "$" + key, true},
		{"$scrypt$ln=19,r=8,p=1$" + salt + "$" + key, false},
		{"$scrypt$ln=18,r=8,p=5$" + salt + "$" + key, false},
		{"$scrypt$ln=30,r=8,p=1$" + salt + "$" + key, false},
		{"$scrypt$ln=9,r=8,p=1$" + salt + "$" + key, false},
		{"$scrypt$ln=14,r=0,p=1$" + salt + "$" + key, false},
		{"$pbkdf2-sha512$2000000$" + salt + "$" + key, true},
		{"$pbkdf2-sha512$2000001$" + salt + "$" + key, false},
		{"$pbkdf2-sha256$999$" + salt + "$" + key, false},
		{"$pbkdf2-md5$29000$" + salt + "$" + key, false},
		{"", false},
		{"$plaintext$secret", false},
		{"$1$abc$def", false},
		{"secret", false},
		{"5f4dcc3b5aa765d61d8327deb882cf99", false},
		{"$argon2id$v=19$m=99999999999,t=1,p=1$" + salt + "$" + key, false},
		{"$pbkdf2$1000$" + salt + "$" + strings.Repeat("a", 600), false},
	} {
		err := password.CheckForeign(test.hash)
		if (err == nil) != test.want {
			t.Errorf("CheckForeign(%q) = %v, want accepted: %v", test.hash, err, test.want)
		}
		if err != nil && len(test.hash) > 8 && strings.Contains(err.Error(), test.hash[8:]) {
			t.Errorf("the error quotes the hash: %v", err)
		}
	}
}

func FuzzCheckForeign(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.Hash)
	}
	h, err := password.New(cheap, password.Limits{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, encoded string) {
		if password.CheckForeign(encoded) != nil {
			return
		}
		// What is accepted can be stored, and a cheap one checked.
		if strings.ContainsAny(encoded, " \n\x00") {
			t.Errorf("%q is accepted", encoded)
		}
		var cost int
		if n, _ := fmt.Sscanf(encoded, "$2y$%d$", &cost); n == 1 && cost <= 5 {
			if _, _, err := h.Verify(t.Context(), encoded, "password"); err != nil {
				t.Errorf("Verify(%q) = %v", encoded, err)
			}
		}
	})
}
