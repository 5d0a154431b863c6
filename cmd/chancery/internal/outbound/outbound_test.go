package outbound_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"chancery/cmd/chancery/internal/outbound"
)

// TestForbiddenAddresses: attack 42, for every way to write an address of the
// inside.
func TestForbiddenAddresses(t *testing.T) {
	client := outbound.New(nil)
	t.Cleanup(client.Close)
	for _, uri := range []string{
		"http://example.com/", "ftp://example.com/", "file:///etc/passwd", "https://user@example.com/", "https:///path", "://", "https://",
		"http://127.0.0.1/", "http://localhost/", "https://127.0.0.1/", "https://localhost/", "https://[::1]/", "https://127.1/", "https://0.0.0.0/",
		"https://10.0.0.1/", "https://172.16.0.1/", "https://192.168.1.1/", "https://169.254.169.254/latest/meta-data/", "https://100.64.0.1/",
		"https://[::ffff:127.0.0.1]/", "https://[::ffff:10.0.0.1]/", "https://[fd00::1]/", "https://[fe80::1]/", "https://[64:ff9b::7f00:1]/",
		"https://[2002:7f00:1::]/", "https://[2001:db8::1]/", "https://224.0.0.1/", "https://255.255.255.255/", "https://198.18.0.1/", "https://[::]/",
		"https://[fec0::1]/", "https://192.0.0.1/", "https://240.0.0.1/",
	} {
		if _, err := client.PostForm(t.Context(), uri, url.Values{}); !errors.Is(err, outbound.ErrForbidden) && !strings.Contains(errText(err), "no such host") {
			t.Errorf("PostForm to %s = %v, want ErrForbidden", uri, err)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestPostForm(t *testing.T) {
	var got url.Values
	var redirected bool
	mux := http.NewServeMux()
	mux.HandleFunc("POST /take", func(w http.ResponseWriter, r *http.Request) {
		if r.ParseForm() == nil {
			got = r.PostForm
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("POST /elsewhere", func(http.ResponseWriter, *http.Request) { redirected = true })
	site := httptest.NewServer(mux)
	t.Cleanup(site.Close)
	client := outbound.New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
	t.Cleanup(client.Close)
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")

	status, err := client.PostForm(t.Context(), site.URL+"/take", url.Values{"logout_token": {"a b"}})
	if err != nil || status != http.StatusNoContent || got.Get("logout_token") != "a b" {
		t.Errorf("PostForm = %d, %v with %v", status, err, got)
	}
	status, err = client.PostForm(t.Context(), site.URL+"/away", nil)
	if err != nil || status != http.StatusTemporaryRedirect || redirected {
		t.Errorf("PostForm to a redirect = %d, %v, followed: %t", status, err, redirected)
	}
}
