package keystest

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chancery/keys"

	"github.com/google/go-cmp/cmp"
)

// Suite runs every case against a store of its own that open returns.
func Suite(t *testing.T, open func(t *testing.T) keys.Store) {
	t.Run("EmptySetHasVersionZero", func(t *testing.T) { emptySet(t, open(t)) })
	t.Run("SaveAndLoad", func(t *testing.T) { saveAndLoad(t, open(t)) })
	t.Run("SaveReplacesTheSet", func(t *testing.T) { saveReplaces(t, open(t)) })
	t.Run("SaveOfOldVersionIsAConflict", func(t *testing.T) { saveConflict(t, open(t)) })
	t.Run("ConcurrentSavesHaveOneWinner", func(t *testing.T) { concurrentSaves(t, open(t)) })
}

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func sample(id string, minute int) keys.Key {
	at := t0.Add(time.Duration(minute) * time.Minute)
	return keys.Key{
		ID: id, Algorithm: keys.EdDSA, Public: []byte(`{"kty":"OKP"}`), Sealed: "sealed-" + id,
		CreatedAt: at, ActivateAt: at.Add(time.Hour), MaxTokenTTL: 15 * time.Minute,
	}
}

func emptySet(t *testing.T, store keys.Store) {
	set, err := store.LoadKeys(t.Context())
	if err != nil || set.Version != 0 || len(set.Keys) != 0 {
		t.Errorf("LoadKeys of an empty store = %+v, %v, want version 0 and no keys", set, err)
	}
}

func saveAndLoad(t *testing.T, store keys.Store) {
	retired := sample("a", 0)
	retired.RetireAt, retired.RemoveAt = t0.Add(2*time.Hour), t0.Add(3*time.Hour)
	compromised := sample("b", 1)
	compromised.CompromisedAt, compromised.Sealed = t0.Add(time.Hour), ""
	want := keys.Set{Version: 1, Keys: []keys.Key{retired, compromised}, MasterFingerprint: "abcd", MasterSince: t0}
	if err := store.SaveKeys(t.Context(), want, 0, nil); err != nil {
		t.Fatal(err)
	}
	got, err := store.LoadKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("loaded set differs (-want +got):\n%s", diff)
	}
}

func saveReplaces(t *testing.T, store keys.Store) {
	first := keys.Set{Version: 1, Keys: []keys.Key{sample("a", 0), sample("b", 1)}, MasterSince: t0}
	changed := sample("b", 1)
	changed.Sealed = "sealed anew"
	changed.RetireAt, changed.RemoveAt = t0.Add(time.Hour), t0.Add(2*time.Hour)
	second := keys.Set{Version: 2, Keys: []keys.Key{changed, sample("c", 2)}, MasterSince: t0}
	for i, set := range []keys.Set{first, second} {
		if err := store.SaveKeys(t.Context(), set, int64(i), nil); err != nil {
			t.Fatal(err)
		}
	}
	got, err := store.LoadKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(second, got); diff != "" {
		t.Errorf("loaded set differs (-want +got):\n%s", diff)
	}
}

func saveConflict(t *testing.T, store keys.Store) {
	first := keys.Set{Version: 1, Keys: []keys.Key{sample("a", 0)}, MasterSince: t0}
	if err := store.SaveKeys(t.Context(), first, 0, nil); err != nil {
		t.Fatal(err)
	}
	late := keys.Set{Version: 1, Keys: []keys.Key{sample("z", 5)}, MasterSince: t0}
	if err := store.SaveKeys(t.Context(), late, 0, nil); !errors.Is(err, keys.ErrConflict) {
		t.Errorf("SaveKeys with an old version = %v, want ErrConflict", err)
	}
	got, err := store.LoadKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, got); diff != "" {
		t.Errorf("a refused save changed the set (-want +got):\n%s", diff)
	}
}

func concurrentSaves(t *testing.T, store keys.Store) {
	const writers = 20
	var won, lost atomic.Int32
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			set := keys.Set{Version: 1, Keys: []keys.Key{sample(string(rune('a'+i)), i)}, MasterSince: t0}
			switch err := store.SaveKeys(t.Context(), set, 0, nil); {
			case err == nil:
				won.Add(1)
			case errors.Is(err, keys.ErrConflict):
				lost.Add(1)
			default:
				t.Errorf("SaveKeys: %v", err)
			}
		})
	}
	group.Wait()
	if won.Load() != 1 || lost.Load() != writers-1 {
		t.Errorf("%d saves won and %d lost, want 1 and %d", won.Load(), lost.Load(), writers-1)
	}
	set, err := store.LoadKeys(t.Context())
	if err != nil || len(set.Keys) != 1 || set.Version != 1 {
		t.Errorf("LoadKeys = %d keys of version %d, %v, want one key of version 1", len(set.Keys), set.Version, err)
	}
}
