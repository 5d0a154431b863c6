package account

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"chancery/authz"
)

// sample has the members whose names encoding/json finds in other spellings
// too: "s" and "k" have relatives in Unicode.
type sample struct {
	callerBody
	Password string `json:"password"`
	Token    string `json:"token"`
}

func sampleNames() []string { return []string{"client_id", "client_secret", "password", "token"} }

func TestAccountParseAccepts(t *testing.T) {
	for name, row := range map[string]struct {
		body string
		want sample
	}{
		"nothing":         {`{}`, sample{}},
		"members":         {`{"password":"a","token":"b","client_id":"c"}`, sample{Password: "a", Token: "b", callerBody: callerBody{ClientID: "c"}}},
		"white space":     {" \t\r\n{ \"password\" : \"a\" } \n", sample{Password: "a"}},
		"escaped name":    {`{"pass\u0077ord":"a"}`, sample{Password: "a"}},
		"surrogate pair":  {`{"password":"\ud83d\ude00"}`, sample{Password: "\U0001f600"}},
		"empty string":    {`{"password":""}`, sample{}},
		"escaped control": {`{"password":"a\u0000b"}`, sample{Password: "a\x00b"}}, // the rules refuse it, not the parser
		"value of a name": {`{"password":"token","token":"password"}`, sample{Password: "token", Token: "password"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got sample
			if err := parse([]byte(row.body), &got); err != nil || got != row.want {
				t.Errorf("parse(%s) = %+v, %v; want %+v", row.body, got, err, row.want)
			}
		})
	}
}

func TestAccountParseRefuses(t *testing.T) {
	for name, body := range map[string]string{
		"empty":                    ``,
		"white space":              ` `,
		"null":                     `null`,
		"string":                   `"password"`,
		"array":                    `[{"password":"a"}]`,
		"unfinished":               `{"password":"a"`,
		"without value":            `{"password"}`,
		"without name":             `{:"a"}`,
		"trailing comma":           `{"password":"a",}`,
		"comment":                  `{"password":"a"}//`,
		"byte order mark":          "\ufeff{}",
		"two objects":              `{}{}`,
		"trailing word":            `{"password":"a"} x`,
		"trailing brace":           `{"password":"a"}}`,
		"unknown member":           `{"password":"a","roles":"admin"}`,
		"unknown nested":           `{"x":{"password":"a"}}`,
		"twice":                    `{"password":"a","password":"a"}`,
		"twice by escape":          `{"password":"a","p\u0061ssword":"b"}`,
		"name in capitals":         `{"PASSWORD":"a"}`,
		"name with a capital":      `{"Password":"a"}`,
		"twice by case":            `{"password":"a","passworD":"b"}`,
		"Kelvin sign":              "{\"to\u212aen\":\"a\"}",
		"long s":                   "{\"pa\u017f\u017fword\":\"a\"}",
		"twice by long s":          "{\"password\":\"a\",\"pas\u017fword\":\"b\"}",
		"twice by escaped long s":  `{"client_secret":"a","client_\u017fecret":"b"}`,
		"name of the Go field":     `{"callerBody":"a"}`,
		"number":                   `{"password":1}`,
		"huge number":              `{"password":1e999}`,
		"true":                     `{"password":true}`,
		"null as value":            `{"password":null}`,
		"object as value":          `{"password":{"a":"b"}}`,
		"array as value":           `{"password":["a"]}`,
		"deep":                     strings.Repeat(`{"password":`, 2000) + `1` + strings.Repeat(`}`, 2000),
		"invalid UTF-8":            "{\"password\":\"a\xff\"}",
		"invalid UTF-8 as a name":  "{\"pass\xffword\":\"a\"}",
		"control character":        "{\"password\":\"a\x00\"}",
		"newline in a string":      "{\"password\":\"a\n\"}",
		"lone high surrogate":      `{"password":"\ud800aaaaaaaa"}`, // would become U+FFFD, as every other one
		"lone low surrogate":       `{"password":"\udfffaaaaaaaa"}`,
		"single quotes":            `{'password':'a'}`,
		"name without quotes":      `{password:"a"}`,
		"NUL behind the object":    "{}\x00",
		"another case of the name": `{"client_ID":"a"}`,
	} {
		t.Run(name, func(t *testing.T) {
			var got sample
			if err := parse([]byte(body), &got); authz.CodeOf(err) != authz.InvalidRequest {
				t.Errorf("parse(%.100s) = %+v, %v; want invalid_request", body, got, err)
			}
		})
	}
}

// FuzzParse checks what every handler relies on: whatever is accepted is one
// flat object whose members are all known, by their exact names, and each is
// what the handler sees.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"password":"a","token":"b","client_id":"c","client_secret":"d"}`, `{"password":"a","password":"b"}`, `{"Password":"a"}`,
		"{\"pa\u017fsword\":\"a\"}", "{\"to\u212aen\":\"a\"}", `{"password":"\ud800"}`, `{"password":null}`, `{"password":{}}`, `[]`, `{}{}`,
		`{"password":"` + strings.Repeat("a", 1000) + `"}`, "\xff", `{"password":1e999}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var got sample
		if err := parse(body, &got); err != nil {
			if authz.CodeOf(err) != authz.InvalidRequest {
				t.Errorf("parse(%q) = %v, want invalid_request", body, err)
			}
			return
		}
		var members map[string]any
		if err := json.Unmarshal(body, &members); err != nil {
			t.Fatalf("parse(%q) accepts what is not JSON: %v", body, err)
		}
		for name := range members {
			if !slices.Contains(sampleNames(), name) {
				t.Errorf("parse(%q) accepts the member %q", body, name)
			}
		}
		for i, value := range []string{got.ClientID, got.ClientSecret, got.Password, got.Token} {
			if want, _ := members[sampleNames()[i]].(string); value != want {
				t.Errorf("parse(%q): %s = %q, want %q", body, sampleNames()[i], value, want)
			}
		}
	})
}
