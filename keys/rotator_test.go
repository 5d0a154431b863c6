package keys_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chancery/keys"
	"chancery/keys/keystest"

	"github.com/go-jose/go-jose/v4"
)

// clock is a time that tests move by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }
func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func masterKeys(t *testing.T, texts ...string) keys.MasterKeys {
	t.Helper()
	m, err := keys.ParseMasterKeys(strings.Join(texts, ","))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newRotator(t *testing.T, store keys.Store, clock *clock, master keys.MasterKeys) *keys.Rotator {
	t.Helper()
	sealer, err := keys.NewSealer(master)
	if err != nil {
		t.Fatal(err)
	}
	return &keys.Rotator{
		Store: store, Sealer: sealer, Ring: keys.NewRing(clock.Now, policy.PublishAhead), Now: clock.Now,
		Policy: func(context.Context) (keys.Policy, error) { return policy, nil },
	}
}

func tick(t *testing.T, r *keys.Rotator) {
	t.Helper()
	if err := r.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func sign(t *testing.T, r *keys.Rotator, algorithm keys.Algorithm) (token, kid string) {
	t.Helper()
	token, err := r.Ring.Sign(string(algorithm), "at+jwt", []byte(`{"sub":"x"}`))
	if err != nil {
		t.Fatalf("Sign %s: %v", algorithm, err)
	}
	object, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(algorithm)})
	if err != nil {
		t.Fatal(err)
	}
	return token, object.Signatures[0].Header.KeyID
}

func published(t *testing.T, ring *keys.Ring) map[string]map[string]any {
	t.Helper()
	body, etag := ring.JWKS()
	if etag == "" {
		t.Fatal("JWKS has no entity tag")
	}
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(body, &set); err != nil {
		t.Fatal(err)
	}
	byID := map[string]map[string]any{}
	for _, k := range set.Keys {
		byID[k["kid"].(string)] = k
	}
	if len(byID) != len(set.Keys) {
		t.Fatal("two keys share a kid")
	}
	return byID
}

func TestFirstStartHasAKeyOfEachAlgorithm(t *testing.T) {
	r := newRotator(t, &keystest.Memory{}, &clock{now: t0}, masterKeys(t, keys.NewMasterKey()))
	if _, err := r.Ring.Sign("RS256", "at+jwt", nil); !errors.Is(err, keys.ErrNotReady) {
		t.Errorf("Sign before the first load = %v, want ErrNotReady", err)
	}
	tick(t, r)
	for _, algorithm := range keys.Algorithms() {
		token, kid := sign(t, r, algorithm)
		if published(t, r.Ring)[kid] == nil {
			t.Errorf("%s: signing key %s is not published", algorithm, kid)
		}
		if payload, err := r.Ring.Verify(token, "at+jwt"); err != nil || string(payload) != `{"sub":"x"}` {
			t.Errorf("%s: Verify = %q, %v", algorithm, payload, err)
		}
	}
}

// TestManyRotations walks through the life of many keys and checks at every
// hour that nothing signs unpublished and no live token loses its key.
func TestManyRotations(t *testing.T) {
	c := &clock{now: t0}
	r := newRotator(t, &keystest.Memory{}, c, masterKeys(t, keys.NewMasterKey()))
	type issued struct {
		token   string
		expires time.Time
	}
	var live []issued
	publishedSince := map[string]time.Time{}
	signedBy := map[string]bool{}
	const step, rotations = 5 * time.Minute, 5
	for at := 0; at < int(rotations*policy.RotationPeriod/step); at++ {
		if at%12 != 0 && at%int(policy.RotationPeriod/step) > 60 {
			c.Add(step) // look closely around rotations, hourly elsewhere
			continue
		}
		tick(t, r)
		now := c.Now()
		for kid := range published(t, r.Ring) {
			if _, seen := publishedSince[kid]; !seen {
				publishedSince[kid] = now
			}
		}
		token, kid := sign(t, r, keys.EdDSA)
		signedBy[kid] = true
		if since := publishedSince[kid]; !since.Equal(t0) && now.Sub(since) < policy.PublishAhead-time.Hour {
			t.Fatalf("at %s key %s signs, published only since %s", now, kid, since)
		}
		live = append(live, issued{token, now.Add(policy.MaxTokenTTL)})
		for len(live) > 0 && !now.Before(live[0].expires) {
			live = live[1:]
		}
		for _, l := range live {
			if _, err := r.Ring.Verify(l.token, "at+jwt"); err != nil {
				t.Fatalf("at %s a live token is refused: %v", now, err)
			}
		}
		c.Add(step)
	}
	if len(signedBy) != rotations {
		t.Errorf("%d EdDSA keys signed in %d periods", len(signedBy), rotations)
	}
	if n := len(published(t, r.Ring)); n > 6 {
		t.Errorf("%d keys are published after many rotations, want at most 6", n)
	}
}

func TestManyNodesAtOnceEndWithOneSet(t *testing.T) {
	store, c, master := &keystest.Memory{}, &clock{now: t0}, masterKeys(t, keys.NewMasterKey())
	var nodes []*keys.Rotator
	for range 4 {
		nodes = append(nodes, newRotator(t, store, c, master))
	}
	var group sync.WaitGroup
	for _, node := range nodes {
		group.Go(func() {
			if err := node.Tick(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	_, want := nodes[0].Ring.JWKS()
	for i, node := range nodes {
		if _, etag := node.Ring.JWKS(); etag != want {
			t.Errorf("node %d publishes another set", i)
		}
		token, _ := sign(t, node, keys.ES256)
		if _, err := nodes[0].Ring.Verify(token, "at+jwt"); err != nil {
			t.Errorf("token of node %d is refused by node 0: %v", i, err)
		}
	}
}

func TestRotateByHandPublishesFirst(t *testing.T) {
	c := &clock{now: t0}
	r := newRotator(t, &keystest.Memory{}, c, masterKeys(t, keys.NewMasterKey()))
	tick(t, r)
	_, old := sign(t, r, keys.RS256)
	next, err := r.Rotate(t.Context(), keys.RS256, keys.Actor{ID: "cli"})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := r.Rotate(t.Context(), keys.RS256, keys.Actor{ID: "cli"}); err != nil || again.ID != next.ID {
		t.Errorf("second Rotate = %s, %v, want the pending key %s", again.ID, err, next.ID)
	}
	if _, kid := sign(t, r, keys.RS256); kid != old {
		t.Error("the new key signs before its publish-ahead time")
	}
	if published(t, r.Ring)[next.ID] == nil {
		t.Error("the new key is not published")
	}
	c.Add(policy.PublishAhead)
	if _, kid := sign(t, r, keys.RS256); kid == old {
		// maxStale has just been reached, not passed: the ring still signs,
		// with the key whose stored time has come.
		t.Error("the old key signs after its successor's time")
	}
	if _, err := r.Rotate(t.Context(), "HS256", keys.Actor{ID: "cli"}); err == nil {
		t.Error("Rotate accepts HS256")
	}
}

func TestCompromise(t *testing.T) {
	for _, withPending := range []bool{false, true} {
		t.Run(fmt.Sprintf("pending=%v", withPending), func(t *testing.T) {
			c := &clock{now: t0}
			store := &keystest.Memory{}
			r := newRotator(t, store, c, masterKeys(t, keys.NewMasterKey()))
			tick(t, r)
			stolen, kid := sign(t, r, keys.EdDSA)
			var pending keys.Key
			if withPending {
				var err error
				if pending, err = r.Rotate(t.Context(), keys.EdDSA, keys.Actor{ID: "cli"}); err != nil {
					t.Fatal(err)
				}
			}
			replacement, err := r.Compromise(t.Context(), kid, keys.Actor{ID: "cli"})
			if err != nil {
				t.Fatal(err)
			}
			if withPending && replacement.ID != pending.ID {
				t.Error("the key that was already published is not the one that takes over")
			}
			if _, err := r.Ring.Verify(stolen, "at+jwt"); !errors.Is(err, keys.ErrInvalid) {
				t.Errorf("Verify of a compromised key's token = %v, want ErrInvalid", err)
			}
			if published(t, r.Ring)[kid] != nil {
				t.Error("the compromised key is still published")
			}
			if _, now := sign(t, r, keys.EdDSA); now != replacement.ID {
				t.Errorf("key %s signs, want the replacement %s", now, replacement.ID)
			}
			set, err := store.LoadKeys(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range set.Keys {
				if k.ID == kid && k.Sealed != "" {
					t.Error("the private half of the compromised key is still stored")
				}
			}
			if _, err := r.Compromise(t.Context(), "no-such-kid", keys.Actor{ID: "cli"}); !errors.Is(err, keys.ErrUnknownKey) {
				t.Errorf("Compromise of an unknown kid = %v, want ErrUnknownKey", err)
			}
		})
	}
}

func TestLongerLifetimesKeepRetiredKeysLonger(t *testing.T) {
	c := &clock{now: t0}
	store := &keystest.Memory{}
	r := newRotator(t, store, c, masterKeys(t, keys.NewMasterKey()))
	longer := policy
	tick(t, r)
	longer.MaxTokenTTL = 24 * time.Hour
	r.Policy = func(context.Context) (keys.Policy, error) { return longer, nil }
	tick(t, r)
	r.Policy = func(context.Context) (keys.Policy, error) { return policy, nil } // short again: the old tokens live on
	if _, err := r.Rotate(t.Context(), keys.EdDSA, keys.Actor{ID: "cli"}); err != nil {
		t.Fatal(err)
	}
	set, _ := store.LoadKeys(t.Context())
	for _, k := range set.Keys {
		if k.Algorithm == keys.EdDSA && k.State(c.Now()) == keys.Active {
			if kept := k.RemoveAt.Sub(k.RetireAt); kept != 24*time.Hour+policy.Margin {
				t.Errorf("retired key is kept %s, want %s", kept, 24*time.Hour+policy.Margin)
			}
		}
	}
}

func TestRingThatCannotLoadStopsSigning(t *testing.T) {
	c := &clock{now: t0}
	r := newRotator(t, &keystest.Memory{}, c, masterKeys(t, keys.NewMasterKey()))
	tick(t, r)
	c.Add(policy.PublishAhead + time.Second)
	if _, err := r.Ring.Sign("EdDSA", "at+jwt", []byte("{}")); !errors.Is(err, keys.ErrNotReady) {
		t.Errorf("Sign with a stale schedule = %v, want ErrNotReady", err)
	}
	if body, _ := r.Ring.JWKS(); len(body) == 0 {
		t.Error("JWKS is not served from a stale ring")
	}
}

func TestMasterKeyChange(t *testing.T) {
	oldKey, newKey := keys.NewMasterKey(), keys.NewMasterKey()
	store, c := &keystest.Memory{}, &clock{now: t0}
	before := newRotator(t, store, c, masterKeys(t, oldKey))
	tick(t, before)
	token, _ := sign(t, before, keys.RS256)

	c.Add(time.Hour)
	added := newRotator(t, store, c, masterKeys(t, oldKey, newKey))
	tick(t, added)
	set, _ := store.LoadKeys(t.Context())
	if !set.MasterSince.Equal(t0) {
		t.Errorf("master key is first since %s, want %s: adding one last changes nothing", set.MasterSince, t0)
	}
	c.Add(time.Hour)
	first := newRotator(t, store, c, masterKeys(t, newKey, oldKey))
	tick(t, first)
	set, _ = store.LoadKeys(t.Context())
	if !set.MasterSince.Equal(c.Now()) {
		t.Errorf("master key is first since %s, want %s", set.MasterSince, c.Now())
	}
	after := newRotator(t, store, c, masterKeys(t, newKey))
	tick(t, after) // everything was sealed anew
	if _, err := after.Ring.Verify(token, "at+jwt"); err != nil {
		t.Errorf("token from before the change is refused: %v", err)
	}
	if err := newRotator(t, store, c, masterKeys(t, oldKey)).Tick(t.Context()); err == nil {
		t.Error("a node with only the dropped master key starts")
	}
}

// TestLoadChangesNothing: a node that hears of a change only reads, so that
// two nodes with another order of master keys do not answer each other for
// ever while the order is being changed.
func TestLoadChangesNothing(t *testing.T) {
	store, c, one, two := &keystest.Memory{}, &clock{now: t0}, keys.NewMasterKey(), keys.NewMasterKey()
	before, after := newRotator(t, store, c, masterKeys(t, one, two)), newRotator(t, store, c, masterKeys(t, two, one))
	tick(t, before)
	want, _ := store.LoadKeys(t.Context())
	for range 3 {
		for _, node := range []*keys.Rotator{after, before} {
			if err := node.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got, _ := store.LoadKeys(t.Context()); got.Version != want.Version {
		t.Errorf("loads took the set from version %d to %d", want.Version, got.Version)
	}
	token, _ := sign(t, after, keys.EdDSA)
	if _, err := before.Ring.Verify(token, "at+jwt"); err != nil {
		t.Errorf("nodes with another order of master keys do not agree: %v", err)
	}
}

func TestCompromiseAllNeedsNoOldMasterKey(t *testing.T) {
	store, c := &keystest.Memory{}, &clock{now: t0}
	lost := newRotator(t, store, c, masterKeys(t, keys.NewMasterKey()))
	tick(t, lost)
	_, old := sign(t, lost, keys.RS256)
	fresh := newRotator(t, store, c, masterKeys(t, keys.NewMasterKey()))
	if err := fresh.Tick(t.Context()); err == nil {
		t.Fatal("a node opens keys without their master key")
	}
	if err := fresh.CompromiseAll(t.Context(), keys.Actor{ID: "cli"}); err != nil {
		t.Fatal(err)
	}
	tick(t, fresh)
	for _, algorithm := range keys.Algorithms() {
		if token, kid := sign(t, fresh, algorithm); kid == old {
			t.Errorf("a compromised key signs %s", token)
		}
	}
	if published(t, fresh.Ring)[old] != nil || len(published(t, fresh.Ring)) != 3 {
		t.Errorf("%d keys are published, want 3 new ones", len(published(t, fresh.Ring)))
	}
}

// TestSealedUnderAForeignMasterKey: a node that runs keeps signing with what it
// has open, drops what is compromised, and says that something is wrong.
func TestSealedUnderAForeignMasterKey(t *testing.T) {
	store, c, mine, theirs := &keystest.Memory{}, &clock{now: t0}, keys.NewMasterKey(), keys.NewMasterKey()
	node, other := newRotator(t, store, c, masterKeys(t, mine)), newRotator(t, store, c, masterKeys(t, theirs, mine))
	tick(t, node)
	_, kid := sign(t, node, keys.RS256)
	tick(t, other) // seals everything under theirs
	if err := node.Load(t.Context()); err != nil || node.Ring.Problem() != nil {
		t.Errorf("Load of keys that are open already = %v", err)
	}
	if _, now := sign(t, node, keys.RS256); now != kid {
		t.Error("the node signs with another key")
	}
	replacement, err := other.Compromise(t.Context(), kid, keys.Actor{ID: "cli"})
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Load(t.Context()); err == nil || node.Ring.Problem() == nil {
		t.Error("a node that cannot open the active key says nothing")
	}
	if p := published(t, node.Ring); p[kid] != nil || p[replacement.ID] == nil {
		t.Error("the compromised key is still published, or its replacement is not")
	}
	if token, err := node.Ring.Sign("RS256", "at+jwt", []byte("{}")); !errors.Is(err, keys.ErrNotReady) {
		t.Errorf("Sign = %q, %v, want ErrNotReady", token, err)
	}
	if err := node.Ring.Ready(); !errors.Is(err, keys.ErrNotReady) {
		t.Errorf("Ready = %v, want ErrNotReady: refreshes would be used up for nothing", err)
	}
}

// slowStore delays the next load, once armed, until it is told to go on.
type slowStore struct {
	*keystest.Memory
	armed           atomic.Bool
	loaded, proceed chan struct{}
}

func (s *slowStore) LoadKeys(ctx context.Context) (keys.Set, error) {
	set, err := s.Memory.LoadKeys(ctx)
	if s.armed.CompareAndSwap(true, false) {
		s.loaded <- struct{}{}
		<-s.proceed
	}
	return set, err
}

// TestOlderSetDoesNotReplaceANewerOne: a load that began before a compromise
// must not put the compromised key back.
func TestOlderSetDoesNotReplaceANewerOne(t *testing.T) {
	memory, c, master := &keystest.Memory{}, &clock{now: t0}, masterKeys(t, keys.NewMasterKey())
	store := &slowStore{Memory: memory, loaded: make(chan struct{}), proceed: make(chan struct{})}
	node := newRotator(t, store, c, master)
	tick(t, node)
	_, kid := sign(t, node, keys.EdDSA)
	store.armed.Store(true)
	var group sync.WaitGroup
	group.Go(func() {
		if err := node.Load(t.Context()); err != nil {
			t.Error(err)
		}
	})
	group.Go(func() {
		<-store.loaded // the old set was read
		if _, err := newRotator(t, memory, c, master).Compromise(t.Context(), kid, keys.Actor{ID: "cli"}); err != nil {
			t.Error(err)
		}
		var newer atomic.Bool
		group.Go(func() {
			if err := node.Load(t.Context()); err != nil {
				t.Error(err)
			}
			newer.Store(true)
		})
		// Loads that do not wait for each other get the chance to overtake.
		for attempt := 0; attempt < 200_000 && !newer.Load(); attempt++ {
			runtime.Gosched()
		}
		store.proceed <- struct{}{}
	})
	group.Wait()
	if published(t, node.Ring)[kid] != nil {
		t.Error("a compromised key is published again")
	}
}

// TestLoadGivesUpWhileAChangeHangs: a database call that does not return must
// not hang whoever else asks.
func TestLoadGivesUpWhileAChangeHangs(t *testing.T) {
	store := &slowStore{Memory: &keystest.Memory{}, loaded: make(chan struct{}), proceed: make(chan struct{})}
	node := newRotator(t, store, &clock{now: t0}, masterKeys(t, keys.NewMasterKey()))
	tick(t, node)
	store.armed.Store(true)
	var group sync.WaitGroup
	group.Go(func() { tick(t, node) })
	<-store.loaded // it hangs in the database
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := node.Load(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("Load while a change hangs = %v, want the end of its context", err)
	}
	store.proceed <- struct{}{}
	group.Wait()
	if err := node.Load(t.Context()); err != nil {
		t.Errorf("Load afterwards = %v", err)
	}
}

func TestSwappedCiphertextDoesNotOpen(t *testing.T) {
	store, c, master := &keystest.Memory{}, &clock{now: t0}, masterKeys(t, keys.NewMasterKey())
	tick(t, newRotator(t, store, c, master))
	set, _ := store.LoadKeys(t.Context())
	set.Keys[0].Sealed, set.Keys[1].Sealed = set.Keys[1].Sealed, set.Keys[0].Sealed
	set.Version++
	if err := store.SaveKeys(t.Context(), set, set.Version-1, nil); err != nil {
		t.Fatal(err)
	}
	if err := newRotator(t, store, c, master).Tick(t.Context()); err == nil {
		t.Error("swapped private keys are opened (attack 60)")
	}
}

func TestVerifyRefuses(t *testing.T) {
	c, master := &clock{now: t0}, masterKeys(t, keys.NewMasterKey())
	r := newRotator(t, &keystest.Memory{}, c, master)
	tick(t, r)
	foreign := newRotator(t, &keystest.Memory{}, c, master)
	tick(t, foreign)
	good, _ := sign(t, r, keys.EdDSA)
	theirs, _ := sign(t, foreign, keys.EdDSA)
	otherType, err := r.Ring.Sign("EdDSA", "logout+jwt", []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"empty":         "",
		"foreign":       theirs,
		"other typ":     otherType,
		"no signature":  good[:strings.LastIndex(good, ".")+1],
		"trailing part": good + ".x",
		"padded":        good + "=",
		"over long":     good + strings.Repeat("A", 10000),
	} {
		if _, err := r.Ring.Verify(token, "at+jwt"); !errors.Is(err, keys.ErrInvalid) {
			t.Errorf("%s: Verify = %v, want ErrInvalid", name, err)
		}
	}
}

func TestParseMasterKeys(t *testing.T) {
	good := keys.NewMasterKey()
	if m, err := keys.ParseMasterKeys(" " + good + " , " + keys.NewMasterKey()); err != nil || fmt.Sprintf("%v %+v %#v", m, m, m) != "REDACTED REDACTED REDACTED" {
		t.Errorf("ParseMasterKeys = %v, %v", m, err)
	}
	for _, bad := range []string{"", "short", good + ",", good + ",c2hvcnQ=", strings.Repeat("!", 44)} {
		if _, err := keys.ParseMasterKeys(bad); err == nil || (bad != "" && strings.Contains(err.Error(), bad)) {
			t.Errorf("ParseMasterKeys(%q) = %v, want an error that does not quote it", bad, err)
		}
	}
}

func TestDerivedKeysDependOnPurposeContextAndKeyAlone(t *testing.T) {
	a, b := keys.NewMasterKey(), keys.NewMasterKey()
	one, _ := masterKeys(t, a, b).Derive(keys.PurposeRefreshMAC, "https://as.example")
	two, _ := masterKeys(t, b, a).Derive(keys.PurposeRefreshMAC, "https://as.example")
	if one[0] != two[1] || one[1] != two[0] {
		t.Error("a derived key depends on its master key's place in the list")
	}
	other, _ := masterKeys(t, a).Derive(keys.PurposeRefreshMAC, "https://other.example")
	seal, _ := masterKeys(t, a).Derive(keys.PurposeSeal, "https://as.example")
	if one[0] == other[0] || one[0] == seal[0] {
		t.Error("issuer or purpose do not separate derived keys")
	}
}

func BenchmarkSign(b *testing.B) {
	c := &clock{now: t0}
	sealer, _ := keys.NewSealer(func() keys.MasterKeys { m, _ := keys.ParseMasterKeys(keys.NewMasterKey()); return m }())
	r := &keys.Rotator{
		Store: &keystest.Memory{}, Sealer: sealer, Ring: keys.NewRing(c.Now, policy.PublishAhead), Now: c.Now,
		Policy: func(context.Context) (keys.Policy, error) { return policy, nil },
	}
	if err := r.Tick(b.Context()); err != nil {
		b.Fatal(err)
	}
	payload := make([]byte, 300)
	_, _ = rand.Read(payload)
	for _, algorithm := range keys.Algorithms() {
		b.Run(string(algorithm), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Ring.Sign(string(algorithm), "at+jwt", payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func FuzzVerify(f *testing.F) {
	c := &clock{now: t0}
	m, _ := keys.ParseMasterKeys(keys.NewMasterKey())
	sealer, _ := keys.NewSealer(m)
	r := &keys.Rotator{
		Store: &keystest.Memory{}, Sealer: sealer, Ring: keys.NewRing(c.Now, policy.PublishAhead), Now: c.Now,
		Policy: func(context.Context) (keys.Policy, error) { return policy, nil },
	}
	if err := r.Tick(f.Context()); err != nil {
		f.Fatal(err)
	}
	good, err := r.Ring.Sign("EdDSA", "at+jwt", []byte(`{"a":1}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("..")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := r.Ring.Verify(token, "at+jwt"); err == nil && token != good {
			t.Errorf("Verify accepts %q", token)
		}
	})
}
