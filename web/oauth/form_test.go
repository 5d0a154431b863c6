package oauth

import (
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"chancery/authz"
	"chancery/web/respond"

	"github.com/google/go-cmp/cmp"
)

// read reads a form as the endpoints do.
func read(t *testing.T, query, contentType, body string) (form, error) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/oauth/token", strings.NewReader(body))
	r.URL.RawQuery = query
	r.Header.Set("Content-Type", contentType)
	return readForm(httptest.NewRecorder(), r)
}

const formType = "application/x-www-form-urlencoded"

// FuzzReadForm checks what every caller relies on: whatever is accepted was in
// the body, was not too much, and names nothing twice.
func FuzzReadForm(f *testing.F) {
	for _, seed := range []struct{ query, contentType, body string }{
		{"", formType, "grant_type=password&username=a&password=b+c"},
		{"", formType + "; charset=UTF-8", "resource=https%3A%2F%2Fa&resource=https%3A%2F%2Fb&audience=x&audience="},
		{"", formType, "a=1&a=2"},
		{"", formType, "a=%zz"},
		{"", formType, "a;b"},
		{"", formType, "&&=&="},
		{"", formType, ""},
		{"x=1", formType, "scope="},
		{"token=x", formType, "a=1"},
		{"", "application/json", "{}"},
		{"", formType + "; charset=latin1", "a=%ff"},
		{"", formType, strings.Repeat("a=1&", 64)},
		{"", formType, strings.Repeat("a", 64<<10+1)},
		{"", formType, "a=\x00\xff%00"},
	} {
		f.Add(seed.query, seed.contentType, seed.body)
	}
	f.Fuzz(func(t *testing.T, query, contentType, body string) {
		got, err := read(t, query, contentType, body)
		if err != nil {
			if got != nil || (authz.CodeOf(err) != authz.InvalidRequest && !errors.Is(err, respond.ErrTooLarge)) {
				t.Errorf("form %v, error %v; want nil and invalid_request or too large", got, err)
			}
			return
		}
		wantBody(t, got, body)
		for _, name := range inURL {
			if sent, _ := url.ParseQuery(query); sent.Has(name) {
				t.Errorf("accepted although %s stood in the query %q", name, query)
			}
		}
		// What was read, written canonically, reads the same again.
		canonical := url.Values(got).Encode()
		if len(canonical) > maxBody {
			return // escapes may take more room than the bytes did
		}
		again, err := read(t, "", formType, canonical)
		if diff := cmp.Diff(got, again); err != nil || diff != "" {
			t.Errorf("read again: error %v, difference (-first +again):\n%s", err, diff)
		}
	})
}

// wantBody checks an accepted form against the body that it came from.
func wantBody(t *testing.T, got form, body string) {
	t.Helper()
	want, err := url.ParseQuery(body)
	if diff := cmp.Diff(want, url.Values(got)); err != nil || diff != "" {
		t.Errorf("body %q: error %v, difference (-body +form):\n%s", body, err, diff)
	}
	count := 0
	for name, values := range got {
		count += len(values)
		if len(values) != 1 && name != "resource" && name != "audience" {
			t.Errorf("%q has %d values, want 1", name, len(values))
		}
		if got.value(name) != values[0] || slices.Contains(got.values(name), "") {
			t.Errorf("%q = %q and %q of %q", name, got.value(name), got.values(name), values)
		}
	}
	if count > maxParameters || len(body) > maxBody {
		t.Errorf("%d parameters in %d bytes were accepted, want at most %d in %d", count, len(body), maxParameters, maxBody)
	}
}

func TestReadForm_Limits(t *testing.T) {
	for name, row := range map[string]struct {
		body string
		want error
	}{
		"64 parameters": {names(64), nil},
		"65 parameters": {names(65), errBody},
		"64 KiB":        {"a=" + strings.Repeat("b", 64<<10-2), nil},
		"a byte more":   {"a=" + strings.Repeat("b", 64<<10-1), respond.ErrTooLarge},
	} {
		if _, err := read(t, "", formType, row.body); !errors.Is(err, row.want) {
			t.Errorf("%s: error = %v, want %v", name, err, row.want)
		}
	}
}

// names returns a body of n parameters.
func names(n int) string {
	all := map[string]bool{}
	for i := range n {
		all[string(rune('a'+i%26))+strings.Repeat("x", i/26)+"=1"] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(all)), "&")
}

// FuzzReadBasic checks that no header is taken for a client that it does not
// name, and that every client can be named (RFC 6749 section 2.3.1).
func FuzzReadBasic(f *testing.F) {
	encode := func(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }
	for _, seed := range []struct{ header, id, secret string }{
		{encode("robot:secret"), "robot", "secret"},
		{encode("a%3Ab:c%2Bd+e:f"), "a:b", "c+d e:f"},
		{encode("a:%zz"), "%", "%zz"},
		{encode(":x"), "", "x"},
		{encode("nocolon"), "é", "\x00\xff"},
		{"Basic", " ", "+"},
		{"Basic !", "a", ""},
		{"Bearer x", "~", "é:é"},
		{"basic  YTpi", "a", "b"},
	} {
		f.Add(seed.header, seed.id, seed.secret)
	}
	f.Fuzz(func(t *testing.T, header, id, secret string) {
		if got, err := readBasic(header); err != nil {
			wantNobody(t, got, err)
		} else if again, err := readBasic(basic(got.ClientID, got.Secret.Reveal())); err != nil || again != got || got.ClientID == "" || got.Method != authz.AuthBasic {
			t.Errorf("%q reads as %+v, and again as %+v with error %v", header, got, again, err)
		}
		got, err := readBasic(basic(id, secret))
		if id == "" {
			wantNobody(t, got, err)
			return
		}
		want := authz.Credentials{ClientID: id, Secret: authz.Secret(secret), Method: authz.AuthBasic}
		if err != nil || got != want {
			t.Errorf("id %q, secret %q read as %q, %q by %s with error %v", id, secret, got.ClientID, got.Secret.Reveal(), got.Method, err)
		}
	})
}

// wantNobody checks that a refused header yields no credentials at all.
func wantNobody(t *testing.T, got authz.Credentials, err error) {
	t.Helper()
	if authz.CodeOf(err) != authz.InvalidClient || got != (authz.Credentials{}) {
		t.Errorf("credentials %+v, error %v; want none and invalid_client", got, err)
	}
}

// basic returns the header that RFC 6749 section 2.3.1 asks of a client.
func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}
