package authz_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chancery/authz"
	"chancery/authz/authztest"
	"chancery/authz/claims"
	"chancery/authz/statuslist"
)

// sealSigner "signs" with the name of a key, which can be taken away.
type sealSigner struct {
	mu      sync.Mutex
	key     string
	others  []string
	missing bool
	signed  int
}

func (s *sealSigner) Sign(algorithm, typ string, payload []byte) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.missing {
		return "", errors.New("no key")
	}
	s.signed++
	return strings.Join([]string{algorithm + "~" + typ, base64.RawURLEncoding.EncodeToString(payload), s.key}, "."), nil
}

func (s *sealSigner) Verify(token, typ string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	parts := strings.Split(token, ".")
	if len(parts) != 3 || parts[0] != "RS256~"+typ || parts[2] != s.key {
		return nil, errors.New("not signed")
	}
	return base64.RawURLEncoding.DecodeString(parts[1])
}

func (s *sealSigner) KeyIDs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{s.key}, s.others...)
}

// publishes reports whether the signer's key has signed the list.
func (s *sealSigner) publishes(list authz.SignedStatusList) bool {
	_, err := s.Verify(list.Token, claims.TypeStatusList)
	return err == nil
}

func (s *sealSigner) signatures() int { s.mu.Lock(); defer s.mu.Unlock(); return s.signed }

func (s *sealSigner) replaceKey(key string) { s.mu.Lock(); defer s.mu.Unlock(); s.key = key }

// publishing is a node that publishes what is in a store, in a bubble of time.
type publishing struct {
	t      *testing.T
	store  *authztest.Memory
	signer *sealSigner
	lists  *authz.StatusLists
	mu     sync.Mutex
	served []authz.SignedStatusList
	errs   []error
}

func newPublishing(t *testing.T, store *authztest.Memory, signer *sealSigner) *publishing {
	p := &publishing{t: t, store: store, signer: signer}
	p.lists = authz.NewStatusLists(authz.StatusSettings{Issuer: issuer, TTL: 30 * time.Second, Exp: 15 * time.Minute}, store, signer, time.Now)
	p.lists.OnChange = func(list authz.SignedStatusList) { p.mu.Lock(); defer p.mu.Unlock(); p.served = append(p.served, list) }
	p.lists.OnError = func(err error) { p.mu.Lock(); defer p.mu.Unlock(); p.errs = append(p.errs, err) }
	return p
}

// run publishes until the test ends.
func (p *publishing) run() {
	ctx, cancel := context.WithCancel(p.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.lists.Run(ctx) }()
	p.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			p.t.Errorf("Run = %v", err)
		}
	})
	synctest.Wait()
}

func (p *publishing) versions() []authz.SignedStatusList {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]authz.SignedStatusList{}, p.served...)
}

func (p *publishing) errors() []error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]error{}, p.errs...)
}

// open opens a list.
func (p *publishing) open(id string) {
	p.t.Helper()
	_, err := p.store.LeaseIndexes(p.t.Context(), authz.LeaseRequest{Kind: authz.StatusSessions, Count: 1000, NewList: authz.Lease{List: id, Capacity: 1000, End: 1000}})
	if err != nil {
		p.t.Fatal(err)
	}
}

// end ends an entry, as the end of a session does.
func (p *publishing) end(id string, index uint32) {
	p.t.Helper()
	client := authztest.SampleClient(fmt.Sprintf("c-%s-%d", id, index))
	if err := p.store.InsertClient(p.t.Context(), client, authztest.AnyEvent()); err != nil {
		p.t.Fatal(err)
	}
	if err := p.store.UpdateClient(p.t.Context(), client, authz.StatusRef{List: id, Index: index}, authztest.AnyEvent()); err != nil {
		p.t.Fatal(err)
	}
}

// read returns the claims and the statuses of a list that is served.
func (p *publishing) read(list authz.SignedStatusList) (claims.StatusListToken, *statuslist.List) {
	p.t.Helper()
	payload, err := p.signer.Verify(list.Token, claims.TypeStatusList)
	if err != nil {
		p.t.Fatal(err)
	}
	var token claims.StatusListToken
	if err := json.Unmarshal(payload, &token); err != nil {
		p.t.Fatal(err)
	}
	compressed, err := base64.RawURLEncoding.DecodeString(token.StatusList.List)
	if err != nil {
		p.t.Fatal(err)
	}
	decoded, err := statuslist.Decompress(compressed, token.StatusList.Bits)
	if err != nil {
		p.t.Fatal(err)
	}
	return token, decoded
}

func (p *publishing) wantEnded(list *statuslist.List, want ...uint32) {
	p.t.Helper()
	var got []uint32
	for index := range uint32(1000) {
		if status, err := list.Status(index); err != nil {
			p.t.Fatal(err)
		} else if status != statuslist.Valid {
			got = append(got, index)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		p.t.Errorf("ended entries = %v, want %v", got, want)
	}
}

func TestStatusLists_FirstChangeAtOnceThenFourASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPublishing(t, authztest.NewMemory(), &sealSigner{key: "k"})
		p.open("one")
		begun := time.Now()
		p.run()
		if got := p.versions(); len(got) != 1 || got[0].Version != begun.UnixMilli() {
			t.Fatalf("a new list: %+v, want one version of %d", got, begun.UnixMilli())
		}
		time.Sleep(time.Minute)
		changed := time.Now()
		for index := range uint32(20) {
			p.end("one", index)
			p.lists.Changed()
			synctest.Wait()
			if got := p.versions(); index == 0 && (len(got) != 2 || got[1].Version != changed.UnixMilli()) {
				t.Fatalf("the first change was not published at once: %+v", got)
			}
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(time.Second)
		got := p.versions()
		if n := len(got) - 1; n < 4 || n > 6 {
			t.Errorf("20 changes in a second came in %d versions, want about 5", n)
		}
		for i := 2; i < len(got); i++ {
			if pause := got[i].Version - got[i-1].Version; pause < 250 || pause > 300 {
				t.Errorf("versions %d and %d are %d ms apart, want 250", i-1, i, pause)
			}
		}
		token, list := p.read(got[len(got)-1])
		want := claims.StatusListToken{
			Issuer: issuer, Subject: issuer + "/oauth/status-lists/one", IssuedAt: got[len(got)-1].Version / 1000, ExpiresAt: got[len(got)-1].Version/1000 + 900,
			TTL: 30, Version: got[len(got)-1].Version, Keys: claims.KeysTag([]string{"k"}), StatusList: token.StatusList,
		}
		if token != want || token.StatusList.Bits != 1 {
			t.Errorf("token = %+v, want %+v", token, want)
		}
		var all []uint32
		for index := range uint32(20) {
			all = append(all, index)
		}
		p.wantEnded(list, all...)
	})
}

func TestStatusLists_SignedAgainLongBeforeTheyExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPublishing(t, authztest.NewMemory(), &sealSigner{key: "k"})
		p.open("one")
		p.end("one", 7)
		p.run()
		for range 60 {
			time.Sleep(time.Minute)
			for _, list := range p.lists.All() {
				if rest := time.Until(list.ExpiresAt); rest < 6*time.Minute {
					t.Fatalf("a list is served that expires in %s", rest)
				}
			}
		}
		if n := len(p.versions()); n < 8 || n > 10 {
			t.Errorf("an unchanged list was signed %d times in an hour, want about 9", n)
		}
		last := p.versions()[len(p.versions())-1]
		if _, list := p.read(last); last.Version <= p.versions()[0].Version {
			t.Error("versions do not rise")
		} else {
			p.wantEnded(list, 7)
		}
	})
}

func TestStatusLists_VersionsAreOneOverManyNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, signer := authztest.NewMemory(), &sealSigner{key: "k"}
		a, b := newPublishing(t, store, signer), newPublishing(t, store, signer)
		a.open("one")
		a.run()
		b.run()
		for index := range uint32(10) {
			a.end("one", index)
			a.lists.Changed()
			b.lists.Changed() // both think that they are to publish
			time.Sleep(300 * time.Millisecond)
			for _, p := range []*publishing{a, b} {
				if err := p.lists.Load(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if fmt.Sprint(a.lists.All()) != fmt.Sprint(b.lists.All()) {
				t.Fatalf("the nodes serve %+v and %+v", a.lists.All(), b.lists.All())
			}
		}
		for _, p := range []*publishing{a, b} {
			for i, list := range p.versions()[1:] {
				if list.Version <= p.versions()[i].Version {
					t.Errorf("versions do not rise: %d after %d", list.Version, p.versions()[i].Version)
				}
			}
		}
		_, list := a.read(b.lists.All()[0])
		a.wantEnded(list, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	})
}

// The change is published by the node that hears of it, when the one that made
// it does not: it may be a command line.
func TestStatusLists_ChangedElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPublishing(t, authztest.NewMemory(), &sealSigner{key: "k"})
		p.open("one")
		p.run()
		time.Sleep(time.Minute)
		p.end("one", 3)
		p.lists.ChangedElsewhere()
		time.Sleep(150 * time.Millisecond)
		_, list := p.read(p.lists.All()[0])
		p.wantEnded(list, 3)
	})
}

func TestStatusLists_CompromisedKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPublishing(t, authztest.NewMemory(), &sealSigner{key: "old"})
		for i := range 70 { // more than are read at once
			p.open(fmt.Sprint("list", i))
		}
		p.end("list3", 5)
		p.run()
		time.Sleep(time.Minute)
		p.lists.KeysChanged() // in nothing that is published
		time.Sleep(time.Second)
		if n := p.signer.signatures(); n != 70 {
			t.Errorf("%d signatures, want those of 70 lists", n)
		}
		// Another key has come or gone: verifiers are told by new versions.
		p.signer.mu.Lock()
		p.signer.others = []string{"another"}
		p.signer.mu.Unlock()
		p.lists.KeysChanged()
		time.Sleep(time.Second)
		if n := p.signer.signatures(); n != 140 {
			t.Errorf("%d signatures, want those of 70 lists once more", n)
		}
		p.signer.replaceKey("new")
		p.lists.KeysChanged()
		time.Sleep(time.Second)
		for _, list := range p.lists.All() {
			if _, err := p.signer.Verify(list.Token, claims.TypeStatusList); err != nil {
				t.Fatalf("list %s is served as the compromised key signed it", list.ID)
			}
		}
		list, err := p.lists.Find(t.Context(), "list3", 0)
		if err != nil {
			t.Fatal(err)
		}
		_, decoded := p.read(list)
		p.wantEnded(decoded, 5)
	})
}

func TestStatusLists_FailuresAreRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPublishing(t, authztest.NewMemory(), &sealSigner{key: "k"})
		p.open("one")
		p.run()
		time.Sleep(time.Minute)
		p.store.SetDown(authz.ErrUnavailable)
		p.lists.Changed()
		time.Sleep(3 * time.Second)
		if errs := p.errors(); len(errs) < 2 || len(errs) > 5 || !errors.Is(errs[0], authz.ErrUnavailable) {
			t.Errorf("errors = %v, want one a second", errs)
		}
		if len(p.lists.All()) != 1 {
			t.Error("the list is not served while the database is down")
		}
		p.store.SetDown(nil)
		p.end("one", 1)
		time.Sleep(2 * time.Second)
		_, list := p.read(p.lists.All()[0])
		p.wantEnded(list, 1)
		p.signer.mu.Lock()
		p.signer.missing = true
		p.signer.mu.Unlock()
		p.end("one", 2)
		p.lists.Changed()
		time.Sleep(time.Second)
		if err := p.errors()[len(p.errors())-1]; !strings.Contains(err.Error(), "sign status list one") {
			t.Errorf("without a key: %v", err)
		}
	})
}

// A list that cannot be read holds up no other.
func TestStatusLists_OneBrokenListDoesNotStopOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPublishing(t, authztest.NewMemory(), &sealSigner{key: "k"})
		p.open("a")
		p.open("b")
		p.end("a", 1000) // outside
		p.end("b", 1)
		p.run()
		list, err := p.lists.Find(t.Context(), "b", 0)
		if err != nil {
			t.Fatal(err)
		}
		_, decoded := p.read(list)
		p.wantEnded(decoded, 1)
		if errs := p.errors(); len(errs) == 0 || !strings.Contains(errs[0].Error(), "list a") {
			t.Errorf("errors = %v, want one about list a", errs)
		}
	})
}

func TestStatusLists_FindReadsOnlyWhatIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, signer := authztest.NewMemory(), &sealSigner{key: "k"}
		a, b := newPublishing(t, store, signer), newPublishing(t, store, signer)
		a.open("one")
		a.run()
		first, err := b.lists.Find(t.Context(), "one", 0) // b has never loaded anything
		if err != nil {
			t.Fatal(err)
		}
		before := store.CallCount()
		for range 100 {
			if list, err := b.lists.Find(t.Context(), "one", first.Version); err != nil || list != first {
				t.Fatalf("Find = %+v, %v", list, err)
			}
		}
		if n := store.CallCount() - before; n != 0 {
			t.Errorf("%d statements for what is in memory, want none", n)
		}
		time.Sleep(time.Second)
		a.end("one", 1)
		a.lists.Changed()
		synctest.Wait()
		second := a.lists.All()[0]
		if list, err := b.lists.Find(t.Context(), "one", second.Version); err != nil || list != second {
			t.Errorf("Find of a newer version = %+v, %v, want %+v", list, err, second)
		}
		if list, err := b.lists.Find(t.Context(), "one", first.Version); err != nil || list != second {
			t.Errorf("Find of an older version = %+v, %v, want the newest", list, err)
		}
		if _, err := b.lists.Find(t.Context(), "one", second.Version+1); !errors.Is(err, authz.ErrNotFound) {
			t.Errorf("Find of a version that is not there yet = %v, want ErrNotFound", err)
		}
		third := newPublishing(t, store, signer)
		if list, err := third.lists.Find(t.Context(), "one", second.Version+1); !errors.Is(err, authz.ErrNotFound) {
			t.Errorf("a node that holds nothing finds %+v, %v for a version that is not there", list, err)
		}
		if _, err := b.lists.Find(t.Context(), "two", 0); !errors.Is(err, authz.ErrNotFound) {
			t.Errorf("Find of an unknown list = %v, want ErrNotFound", err)
		}
	})
}

// Strangers who ask for what is not there cause few reads, however many they
// are, and hold up nobody for long.
func TestStatusLists_StrangersCauseFewReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := authztest.NewMemory()
		p := newPublishing(t, store, &sealSigner{key: "k"})
		begun := time.Now()
		var group sync.WaitGroup
		for i := range 1000 {
			group.Go(func() {
				for j := range 3 {
					if _, err := p.lists.Find(t.Context(), fmt.Sprintf("no%d-%d", i, j), 0); !errors.Is(err, authz.ErrNotFound) {
						t.Errorf("Find = %v", err)
					}
				}
			})
		}
		group.Wait()
		if n, took := store.CallCount(), time.Since(begun); n > 10 || took > time.Second {
			t.Errorf("3000 requests for nothing caused %d reads and took %s", n, took)
		}
	})
}

func TestStatusLists_FindIsUnavailableWithTheDatabase(t *testing.T) {
	store := authztest.NewMemory()
	p := newPublishing(t, store, &sealSigner{key: "k"})
	store.SetDown(authz.ErrUnavailable)
	if _, err := p.lists.Find(t.Context(), "one", 0); !errors.Is(err, authz.ErrUnavailable) {
		t.Errorf("Find = %v, want ErrUnavailable", err)
	}
}

// restorable is a database that a backup can be put in the place of.
type restorable struct{ authz.StatusListStore }

// A node that has seen a version does not go back to an older one, which a
// restored database may hold.
func TestStatusLists_NeverGoBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signer := &sealSigner{key: "k"}
		backup, newer := newPublishing(t, authztest.NewMemory(), signer), newPublishing(t, authztest.NewMemory(), signer)
		for _, p := range []*publishing{backup, newer} {
			p.open("one")
			p.run()
			time.Sleep(time.Second)
		}
		database := &restorable{newer.store}
		node := authz.NewStatusLists(newer.lists.StatusSettings, database, signer, time.Now)
		if err := node.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		held := node.All()[0]
		database.StatusListStore = backup.store
		if err := node.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := node.All()[0]; got != held || held.Version <= backup.lists.All()[0].Version {
			t.Errorf("after the database went back to %+v this is served: %+v, want still %+v", backup.lists.All()[0], got, held)
		}
	})
}

// A clock that was ahead for a while holds up nothing when it is right again.
func TestStatusLists_ClockGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, signer := authztest.NewMemory(), &sealSigner{key: "k"}
		p := newPublishing(t, store, signer)
		p.open("one")
		ahead := authz.NewStatusLists(p.lists.StatusSettings, store, signer, func() time.Time { return time.Now().Add(time.Hour) })
		if _, err := ahead.Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.end("one", 7)
		p.run()
		before, err := p.lists.Find(t.Context(), "one", 0)
		if err != nil {
			t.Fatal(err)
		}
		token, list := p.read(before)
		p.wantEnded(list, 7)
		for range 30 {
			time.Sleep(time.Minute)
			if rest := time.Until(p.lists.All()[0].ExpiresAt); rest < 6*time.Minute {
				t.Fatalf("a list is served that expires in %s", rest)
			}
		}
		p.signer.replaceKey("new")
		p.lists.KeysChanged()
		time.Sleep(time.Second)
		if !p.signer.publishes(p.lists.All()[0]) {
			t.Error("a list of a version of the future is not signed with the new key")
		}
		if token.IssuedAt > time.Now().Unix() || before.Version <= time.Now().Add(29*time.Minute).UnixMilli() {
			t.Errorf("issued at %d, version %d; want it issued now, and a version after that of the future", token.IssuedAt, before.Version)
		}
	})
}

// A list that was published a moment before its key was found compromised is
// signed again as soon as its pause is over.
func TestStatusLists_CompromisedWithinThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPublishing(t, authztest.NewMemory(), &sealSigner{key: "old"})
		p.open("one")
		p.run()
		time.Sleep(100 * time.Millisecond)
		p.signer.replaceKey("new")
		p.lists.KeysChanged()
		time.Sleep(time.Second)
		if !p.signer.publishes(p.lists.All()[0]) {
			t.Error("a second later the list is still as the compromised key signed it")
		}
	})
}

// Lists that cannot be published, however many, stop no other.
func TestStatusLists_ManyBrokenLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPublishing(t, authztest.NewMemory(), &sealSigner{key: "k"})
		for i := range 40 {
			p.open(fmt.Sprintf("a%02d", i))
			p.end(fmt.Sprintf("a%02d", i), 1000) // outside
		}
		p.open("z")
		p.run()
		if _, err := p.lists.Find(t.Context(), "z", 0); err != nil {
			t.Errorf("a good list behind 40 broken ones: %v", err)
		}
	})
}

// slowStore takes a while for each read.
type slowStore struct {
	authz.StatusListStore
}

func (s slowStore) StatusListVersions(ctx context.Context) (map[string]int64, error) {
	time.Sleep(200 * time.Millisecond)
	return s.StatusListStore.StatusListVersions(ctx)
}

// Strangers who ask for what is not there hold up neither what is published nor
// what is heard of other nodes, also when the database is slow.
func TestStatusLists_StrangersHoldUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, signer := authztest.NewMemory(), &sealSigner{key: "k"}
		p := newPublishing(t, store, signer)
		p.lists = authz.NewStatusLists(p.lists.StatusSettings, slowStore{store}, signer, time.Now)
		p.open("one")
		p.run()
		for i := range 400 {
			go func() { _, _ = p.lists.Find(t.Context(), fmt.Sprint("no", i), 0) }()
			time.Sleep(10 * time.Millisecond)
		}
		p.end("one", 7)
		p.lists.Changed()
		begun := time.Now()
		if err := p.lists.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > time.Second {
			t.Errorf("hearing of other nodes took %s", took)
		}
		_, list := p.read(p.lists.All()[0])
		p.wantEnded(list, 7)
		time.Sleep(10 * time.Second)
	})
}

// The first token of a new list may be used before the list is signed.
func TestStatusLists_FirstVersionIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPublishing(t, authztest.NewMemory(), &sealSigner{key: "k"})
		p.run()
		time.Sleep(time.Second)
		p.open("one") // and nobody says so
		if _, err := p.lists.Find(t.Context(), "one", 0); err != nil {
			t.Errorf("Find of a list that was opened just now: %v", err)
		}
		silent := newPublishing(t, authztest.NewMemory(), &sealSigner{key: "k"})
		silent.open("two")
		if _, err := silent.lists.Find(t.Context(), "two", 0); !errors.Is(err, authz.ErrUnavailable) {
			t.Errorf("Find of a list that nobody signs: %v, want ErrUnavailable", err)
		}
	})
}

func TestIndexes_LeasesEnd(t *testing.T) {
	f := newFixture(t)
	next := func() authz.StatusRef {
		t.Helper()
		ref, err := f.indexes.Session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return ref
	}
	leases := func() int { return f.store.Calls["LeaseIndexes"] }
	seen := map[authz.StatusRef]bool{}
	for range 10 {
		seen[next()] = true
	}
	f.now = f.now.Add(time.Hour)
	seen[next()] = true
	if n := leases(); n != 1 {
		t.Errorf("%d leases for a few sessions within an hour, want 1", n)
	}
	f.now = f.now.Add(time.Second)
	seen[next()] = true
	if n := leases(); n != 2 {
		t.Errorf("%d leases, want a new one when the first is an hour old", n)
	}
	if len(seen) != 12 {
		t.Errorf("%d different entries, want 12", len(seen))
	}
}
