package outbound_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chancery/cmd/chancery/internal/outbound"
)

func TestDocuments(t *testing.T) {
	var asked atomic.Int32
	var status atomic.Int32
	status.Store(http.StatusOK)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.WriteHeader(int(status.Load()))
		body := "document"
		if r.URL.Path == "/long" {
			body = strings.Repeat("x", outbound.MaxBody+1)
		}
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(site.Close)
	client := outbound.New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
	t.Cleanup(client.Close)
	now := time.Now()
	documents := outbound.NewDocuments(client, func() time.Time { return now })
	want := func(what string, fresh bool, body string, requests int32) {
		t.Helper()
		got, err := documents.Fetch(t.Context(), site.URL+"/a", fresh)
		if string(got) != body || (err == nil) != (body != "") || asked.Load() != requests {
			t.Errorf("%s: %q, %v after %d requests, want %q after %d", what, got, err, asked.Load(), body, requests)
		}
	}
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() { _, _ = documents.Fetch(t.Context(), site.URL+"/a", false) })
	}
	group.Wait()
	want("at once", true, "document", 1)
	now = now.Add(time.Minute)
	want("a minute later", false, "document", 1)
	want("a minute later, fresh", true, "document", 2)
	now = now.Add(10 * time.Minute)
	status.Store(http.StatusNotFound)
	want("when it is gone", false, "", 3)
	want("when it is still gone", false, "", 3)
	status.Store(http.StatusOK)
	now = now.Add(time.Minute)
	want("when it is back", false, "document", 4)
	// One host is not asked for more than so many documents a minute; a copy of any
	// age does meanwhile.
	now = now.Add(time.Hour)
	for i := range 60 {
		if _, err := documents.Fetch(t.Context(), site.URL+"/"+strconv.Itoa(i), false); err != nil {
			t.Errorf("document %d: %v", i, err)
		}
	}
	want("while the host is busy", true, "document", 64)
	if _, err := documents.Fetch(t.Context(), site.URL+"/more", false); !errors.Is(err, outbound.ErrUnreachable) {
		t.Errorf("one more = %v, want ErrUnreachable", err)
	}
	now = now.Add(time.Minute)
	want("later", false, "document", 65)
	if _, err := documents.Fetch(t.Context(), site.URL+"/long", false); err == nil {
		t.Error("a document that is too long is taken")
	}
}
