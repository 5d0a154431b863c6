package main

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"chancery/authz"
	"chancery/authz/authztest"
	"chancery/authz/claims"
	"chancery/authz/statuslist"
	"chancery/authz/verify"
	"chancery/keys"
	"chancery/keys/keystest"
	"chancery/web"
	"chancery/web/status"
)

// million is a server, but for its database, with one list of a million
// sessions of which 1 % have ended.
type million struct {
	t       testing.TB
	issuer  string
	store   *authztest.Memory
	ring    *keys.Ring
	lists   *authz.StatusLists
	ended   []uint32
	handler http.Handler
}

const (
	millionEntries = 1_000_000
	millionList    = "million"
)

func newMillion(t testing.TB) *million {
	t.Helper()
	m := &million{t: t, store: authztest.NewMemory(), ring: keys.NewRing(time.Now, 24*time.Hour)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { m.handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	m.issuer = server.URL
	master, err := keys.ParseMasterKeys(strings.Repeat("A", 43))
	m.must(err)
	sealer, err := keys.NewSealer(master)
	m.must(err)
	rotator := &keys.Rotator{Store: &keystest.Memory{}, Sealer: sealer, Ring: m.ring, Now: time.Now, Policy: func(context.Context) (keys.Policy, error) {
		return keys.Policy{RotationPeriod: 720 * time.Hour, PublishAhead: 24 * time.Hour, Margin: time.Hour, MaxTokenTTL: time.Hour}, nil
	}}
	m.must(rotator.Tick(t.Context()))
	m.lists = authz.NewStatusLists(authz.StatusSettings{Issuer: m.issuer, TTL: 30 * time.Second, Exp: 15 * time.Minute}, m.store, m.ring, time.Now)
	registry := authz.NewRegistry(m.issuer, m.store, nil)
	served, err := web.New(web.Options{
		Issuer: m.issuer, Service: &authz.Service{Registry: registry}, Accounts: &authz.Accounts{}, Registry: registry, Keys: m.ring, JWKSMaxAge: 10 * time.Minute,
		StatusLists: m.lists, StatusStream: status.NewStream(status.DefaultStreamLimits(), time.Now), StatusTTL: 30 * time.Second, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	m.must(err)
	m.must(served.Documents.Rebuild(t.Context()))
	m.handler = served
	_, err = m.store.LeaseIndexes(t.Context(), authz.LeaseRequest{Kind: authz.StatusSessions, Count: millionEntries, NewList: authz.Lease{List: millionList, Capacity: millionEntries, End: millionEntries}})
	m.must(err)
	// The entries that end are as random as a permutation makes them.
	key := sha256.Sum256([]byte("a key"))
	for counter := range uint32(millionEntries / 100) {
		index, err := statuslist.Index(key[:], millionEntries, counter)
		m.must(err)
		m.ended = append(m.ended, index)
	}
	return m
}

func (m *million) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// publish puts a version into the store that shows all entries that have ended
// but one, which is to be published.
func (m *million) publish() {
	m.t.Helper()
	list := statuslist.New(millionEntries)
	for _, index := range m.ended[1:] {
		_, err := list.Revoke(index)
		m.must(err)
	}
	bits, err := list.Compress()
	m.must(err)
	versions, err := m.store.StatusListVersions(m.t.Context())
	m.must(err)
	// All but one have ended before.
	m.must(m.store.PublishStatusList(m.t.Context(), authz.StatusPublication{
		SignedStatusList: authz.SignedStatusList{ID: millionList, Version: versions[millionList] + 1, ExpiresAt: time.Now()}, Before: versions[millionList], Bits: bits,
	}))
	client := authztest.SampleClient(fmt.Sprint("c", versions[millionList]))
	m.must(m.store.InsertClient(m.t.Context(), client, authztest.AnyEvent()))
	m.must(m.store.UpdateClient(m.t.Context(), client, authz.StatusRef{List: millionList, Index: m.ended[0]}, authztest.AnyEvent()))
}

// get fetches the list and returns its size on the wire and unpacked.
func (m *million) get() (wire, plain int) {
	m.t.Helper()
	r, err := http.NewRequestWithContext(m.t.Context(), http.MethodGet, claims.StatusListURI(m.issuer, millionList), nil)
	m.must(err)
	r.Header.Set("Accept-Encoding", "gzip")
	response, err := http.DefaultClient.Do(r)
	m.must(err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	m.must(err)
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Encoding") != "gzip" {
		m.t.Fatalf("list = %d %v", response.StatusCode, response.Header)
	}
	reader, err := gzip.NewReader(strings.NewReader(string(body)))
	m.must(err)
	unpacked, err := io.ReadAll(reader)
	m.must(err)
	return len(body), len(unpacked)
}

func (m *million) token(index uint32) string {
	m.t.Helper()
	now := time.Now().Unix()
	token, err := m.ring.Sign("EdDSA", claims.TypeAccessToken, fmt.Appendf(nil,
		`{"iss":%q,"sub":"usr_1","aud":"https://api.example","client_id":"app","iat":%d,"exp":%d,"jti":"j%d","status":{"status_list":{"idx":%d,"uri":%q}}}`,
		m.issuer, now, now+600, index, index, claims.StatusListURI(m.issuer, millionList)))
	m.must(err)
	return token
}

// foreign returns a token that is refused before its list is looked at.
func (m *million) foreign() string {
	m.t.Helper()
	token, err := m.ring.Sign("EdDSA", claims.TypeAccessToken, []byte(`{"iss":"x","sub":"x","aud":"x","client_id":"x","iat":1,"exp":9999999999,"jti":"x"}`))
	m.must(err)
	return token
}

// TestVerifierHoldsAMillion: a verifier knows of a million sessions which have
// ended, in less than a MiB.
func TestVerifierHoldsAMillion(t *testing.T) {
	m := newMillion(t)
	m.publish()
	if _, err := m.lists.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	v, err := verify.New(m.issuer, "https://api.example", verify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	// A first token that does not reach the list: the keys and all else are
	// there.
	other := m.token(m.ended[0])
	if _, err := v.Verify(t.Context(), m.foreign()); err == nil {
		t.Fatal("a token of another audience is accepted")
	}
	m.get()
	before := heap()
	if accepts(t, v, other) {
		t.Error("a session that has ended is accepted")
	}
	grown := heap() - before
	t.Logf("a verifier with a list of a million holds %d KiB more", grown>>10)
	if grown > 1<<20 {
		t.Errorf("a verifier with a list of a million holds %d KiB more, want less than 1024", grown>>10)
	}
	ended := map[uint32]bool{}
	for _, index := range m.ended {
		ended[index] = true
	}
	for index := uint32(0); index < millionEntries; index += 9973 {
		if got := accepts(t, v, m.token(index)); got == ended[index] {
			t.Errorf("session %d: accepted = %v", index, got)
		}
	}
	for _, index := range m.ended[:50] {
		if accepts(t, v, m.token(index)) {
			t.Errorf("session %d has ended and is accepted", index)
		}
	}
}

// heap returns how many bytes are in use.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// BenchmarkMillionSessions measures what one more revocation costs in a list of
// a million sessions of which 1 % have ended: to read, change, compress and
// sign it; and to serve it once more.
func BenchmarkMillionSessions(b *testing.B) {
	m := newMillion(b)
	b.Run("publish", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			m.publish()
			time.Sleep(250 * time.Millisecond) // versions keep their distance
			b.StartTimer()
			if _, err := m.lists.Publish(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("serve", func(b *testing.B) {
		wire, plain := 0, 0
		for b.Loop() {
			wire, plain = m.get()
		}
		b.ReportMetric(float64(wire), "wire-B")
		b.ReportMetric(float64(plain), "token-B")
		b.ReportMetric(millionEntries/8, "bitmap-B")
	})
}
