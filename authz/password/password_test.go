package password_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"chancery/authz/password"
)

var cheap = password.Params{MemoryKiB: 64, Iterations: 1, Parallelism: 1}

func newHasher(t *testing.T, params password.Params) *password.Hasher {
	t.Helper()
	h, err := password.New(params, password.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHashAndVerify(t *testing.T) {
	h := newHasher(t, cheap)
	encoded, err := h.Hash(t.Context(), "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(encoded, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Errorf("hash = %q, want an argon2id PHC string", encoded)
	}
	for _, test := range []struct {
		name, encoded, password string
		want                    bool
	}{
		{"right", encoded, "correct horse battery", true},
		{"wrong", encoded, "correct horse batterx", false},
		{"empty", encoded, "", false},
		{"prefix", encoded, "correct horse", false},
		{"unknown user", "", "correct horse battery", false},
		{"over long", encoded, strings.Repeat("a", 5000), false},
	} {
		ok, rehash, err := h.Verify(t.Context(), test.encoded, test.password)
		if err != nil || ok != test.want || rehash {
			t.Errorf("%s: Verify = %v, %v, %v, want %v, false, nil", test.name, ok, rehash, err, test.want)
		}
	}
}

func TestVerifyNormalises(t *testing.T) {
	h := newHasher(t, cheap)
	encoded, err := h.Hash(t.Context(), "pa\u0308sswort lang") // a + combining diaeresis
	if err != nil {
		t.Fatal(err)
	}
	if ok, _, err := h.Verify(t.Context(), encoded, "p\u00e4sswort lang"); err != nil || !ok {
		t.Errorf("Verify with the composed form = %v, %v, want true", ok, err)
	}
}

func TestVerifyAsksForRehash(t *testing.T) {
	encoded, err := newHasher(t, cheap).Hash(t.Context(), "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	dearer := newHasher(t, password.Params{MemoryKiB: 128, Iterations: 1, Parallelism: 1})
	ok, rehash, err := dearer.Verify(t.Context(), encoded, "correct horse battery")
	if err != nil || !ok || !rehash {
		t.Errorf("Verify = %v, %v, %v, want true, true, nil", ok, rehash, err)
	}
	if _, rehash, _ := dearer.Verify(t.Context(), encoded, "wrong password"); rehash {
		t.Error("a wrong password asks for a rehash")
	}
}

func TestHashRefuses(t *testing.T) {
	h := newHasher(t, cheap)
	for name, bad := range map[string]string{
		"empty":      "",
		"over long":  strings.Repeat("x", 257),
		"many bytes": strings.Repeat("x", 5000),
		"control":    "with a \x00 zero",
		"not UTF-8":  "\xff\xfe bytes here",
	} {
		if _, err := h.Hash(t.Context(), bad); !errors.Is(err, password.ErrUnacceptable) {
			t.Errorf("%s: Hash error = %v, want ErrUnacceptable", name, err)
		}
	}
	for name, good := range map[string]string{
		"eight":        "eight888",
		"64 code pts":  strings.Repeat("é", 64),
		"256 code pts": strings.Repeat("é", 256),
		"spaces":       "a b c d e f",
	} {
		if _, err := h.Hash(t.Context(), good); err != nil {
			t.Errorf("%s: Hash error = %v", name, err)
		}
	}
}

func TestDamagedHashIsAnErrorThatDoesNotQuoteIt(t *testing.T) {
	h := newHasher(t, cheap)
	_, _, err := h.Verify(t.Context(), "$plaintext$secret-thing", "secret-thing")
	if err == nil || strings.Contains(err.Error(), "secret-thing") {
		t.Errorf("Verify error = %v, want one that hides the hash", err)
	}
}

func TestNoMoreHashesThanPlaces(t *testing.T) {
	const waiting = 3
	h, err := password.New(password.Params{MemoryKiB: 1 << 14, Iterations: 2, Parallelism: 1}, password.Limits{Concurrent: 1, Waiting: waiting})
	if err != nil {
		t.Fatal(err)
	}
	// Many at once: one computes, three wait, and the others are told so at
	// once. How many come late enough to find a place is not ours to say.
	var served, busy atomic.Int64
	var group sync.WaitGroup
	for range 200 {
		group.Go(func() {
			_, _, err := h.Verify(t.Context(), "", "correct horse battery")
			switch {
			case err == nil:
				served.Add(1)
			case errors.Is(err, password.ErrBusy):
				busy.Add(1)
			default:
				t.Errorf("Verify = %v, want an answer or ErrBusy", err)
			}
		})
	}
	group.Wait()
	if served.Load() < 1+waiting || busy.Load() == 0 {
		t.Errorf("of 200 at once %d were served and %d turned away, want at least %d and some", served.Load(), busy.Load(), 1+waiting)
	}
	if _, _, err := h.Verify(t.Context(), "", "correct horse battery"); err != nil {
		t.Errorf("Verify after the rush = %v", err)
	}
}

func TestWhoeverWaitsMayGiveUp(t *testing.T) {
	h, err := password.New(password.Params{MemoryKiB: 1 << 16, Iterations: 8, Parallelism: 1}, password.Limits{Concurrent: 1, Waiting: 100})
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if _, _, err := h.Verify(t.Context(), "", "correct horse battery"); err != nil {
				t.Errorf("Verify that waits its turn = %v", err)
			}
		})
	}
	// The place may be free at first, so this asks until it sees it taken.
	var busy bool
	for range 1000 {
		if _, err := h.Hash(ended, "correct horse battery"); errors.Is(err, password.ErrBusy) {
			busy = true
			break
		}
	}
	group.Wait()
	if !busy {
		t.Error("Hash with an ended context never returned ErrBusy")
	}
}

// TestDummyIsLikeOurs: what an unknown user is checked against has the form,
// the cost and the length of a real hash.
func TestDummyIsLikeOurs(t *testing.T) {
	h := newHasher(t, cheap)
	encoded, err := h.Hash(t.Context(), "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	dummy := h.Dummy()
	if len(dummy) != len(encoded) || dummy[:28] != encoded[:28] || password.CheckForeign(dummy) != nil {
		t.Errorf("dummy = %q, a hash = %q, want the same form", dummy, encoded)
	}
}
