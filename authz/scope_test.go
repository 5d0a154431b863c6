package authz_test

import (
	"slices"
	"strings"
	"testing"

	"chancery/authz"

	"github.com/google/go-cmp/cmp"
)

func TestParseScope(t *testing.T) {
	cases := []struct {
		name, text string
		want       authz.Scope
		ok         bool
	}{
		{"empty", "", nil, true},
		{"one", "read", authz.Scope{"read"}, true},
		{"order stays", "write read", authz.Scope{"write", "read"}, true},
		{"case counts", "read Read", authz.Scope{"read", "Read"}, true},
		{"duplicates collapse", "read write read", authz.Scope{"read", "write"}, true},
		{"every allowed bound", "! # [ ] ~", authz.Scope{"!", "#", "[", "]", "~"}, true},
		{"URIs and colons", "admin:read https://api.example/x", authz.Scope{"admin:read", "https://api.example/x"}, true},
		{"longest", strings.Repeat("a", 4096), authz.Scope{strings.Repeat("a", 4096)}, true},
		{"too long", strings.Repeat("a", 4097), nil, false},
		{"only a space", " ", nil, false},
		{"leading space", " read", nil, false},
		{"trailing space", "read ", nil, false},
		{"two spaces", "read  write", nil, false},
		{"tab", "read\twrite", nil, false},
		{"line feed", "read\nwrite", nil, false},
		{"NUL", "re\x00ad", nil, false},
		{"quotation mark", `re"ad`, nil, false},
		{"backslash", `re\ad`, nil, false},
		{"delete", "re\x7fad", nil, false},
		{"not ASCII", "réad", nil, false},
		{"invalid UTF-8", "re\xffad", nil, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := authz.ParseScope(c.text)
			if !c.ok {
				if authz.CodeOf(err) != authz.InvalidScope {
					t.Errorf("ParseScope = %v, %v, want code %s", got, err, authz.InvalidScope)
				}
				return
			}
			if err != nil {
				t.Fatalf("ParseScope = %v, want no error", err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("ParseScope (-want +got):\n%s", diff)
			}
		})
	}
}

func TestScopeSets(t *testing.T) {
	scope := authz.Scope{"read", "write"}
	if !scope.Has("read") || scope.Has("Read") || scope.Has("") || scope.Has("rea") {
		t.Error("Has compares other than exactly")
	}
	for _, c := range []struct {
		other authz.Scope
		want  bool
	}{{nil, true}, {authz.Scope{"write"}, true}, {authz.Scope{"write", "read"}, true}, {authz.Scope{"read", "manage"}, false}} {
		if got := scope.HasAll(c.other); got != c.want {
			t.Errorf("HasAll(%v) = %t, want %t", c.other, got, c.want)
		}
	}
	kept := scope.Filter(func(token string) bool { return token != "read" })
	if diff := cmp.Diff(authz.Scope{"write"}, kept); diff != "" || scope.String() != "read write" {
		t.Errorf("Filter keeps %v of %q, want [write] of an unchanged scope", kept, scope)
	}
}

// FuzzParseScope: what is accepted is a set of plain tokens whose text reads
// back as the same set.
func FuzzParseScope(f *testing.F) {
	for _, seed := range []string{"", "read", "read write read", " read", `a"b`, "a\\b", "é", "a\x00", "! ~", "a\tb"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		scope, err := authz.ParseScope(text)
		if err != nil {
			if scope != nil || authz.CodeOf(err) != authz.InvalidScope {
				t.Errorf("ParseScope(%q) = %v, %v, want no scope and code %s", text, scope, err, authz.InvalidScope)
			}
			return
		}
		if (text == "") != (len(scope) == 0) || len(scope.String()) > len(text) {
			t.Errorf("ParseScope(%q) = %q", text, scope)
		}
		for i, token := range scope {
			if token == "" || slices.Contains(scope[:i], token) || strings.ContainsAny(token, " \"\\") {
				t.Errorf("ParseScope(%q) holds the token %q", text, token)
			}
			for _, c := range []byte(token) {
				if c < 0x21 || c > 0x7e {
					t.Errorf("ParseScope(%q) holds the byte %#x", text, c)
				}
			}
		}
		again, err := authz.ParseScope(scope.String())
		if diff := cmp.Diff(scope, again); diff != "" || err != nil {
			t.Errorf("ParseScope(%q) again: %v (-want +got):\n%s", scope, err, diff)
		}
	})
}
