package storage_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"chancery/authz"
	"chancery/authz/authztest"
	"chancery/storage"
)

// heldFile is a SQLite file whose write lock the test holds, so that callers pile
// up behind it.
type heldFile struct {
	*storage.DB
	t     *testing.T
	other *sql.Conn
}

func newHeldFile(t *testing.T, sessions int) *heldFile {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.db")
	f := &heldFile{DB: open(t, path), t: t}
	authztest.Load(t, f.DB, sessions)
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if f.other, err = raw.Conn(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(f.other.Close(), raw.Close()); err != nil {
			t.Error(err)
		}
	})
	return f
}

func (f *heldFile) exec(statement string) {
	f.t.Helper()
	if _, err := f.other.ExecContext(f.t.Context(), statement); err != nil {
		f.t.Fatalf("%s: %v", statement, err)
	}
}

// waitFor returns when somebody works and so many wait for him.
func (f *heldFile) waitFor(callers int) {
	f.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		if n, leading := f.Waiting(); leading && n == callers {
			return
		}
		runtime.Gosched()
	}
	f.t.Fatalf("there never were %d who wait", callers)
}

// pile holds the file while the callers come, and returns what each is answered.
func (f *heldFile) pile(callers ...func(ctx context.Context) error) []error {
	f.t.Helper()
	f.exec("BEGIN IMMEDIATE")
	errs := make([]error, len(callers))
	var group sync.WaitGroup
	for i, call := range callers {
		group.Go(func() { errs[i] = call(f.t.Context()) })
		if i == 0 {
			f.waitFor(0) // it works alone, and all others wait for it
		}
	}
	f.waitFor(len(callers) - 1)
	f.exec("COMMIT")
	group.Wait()
	return errs
}

func (f *heldFile) rotation(n int, generation uint64) func(context.Context) error {
	return func(ctx context.Context) error { return authztest.Rotate(ctx, f.DB, n, generation) }
}

func (f *heldFile) generation(n int) uint64 {
	f.t.Helper()
	family, err := f.FamilyByHandle(f.t.Context(), authztest.SampleHash(n))
	if err != nil {
		f.t.Fatal(err)
	}
	return family.Generation
}

// TestTogether_EachItsOwnAnswer: what comes together is committed together, and
// refused one by one.
func TestTogether_EachItsOwnAnswer(t *testing.T) {
	f := newHeldFile(t, 20)
	var callers []func(context.Context) error
	for n := range 20 {
		callers = append(callers, f.rotation(n, uint64(n%2))) // every other one has no such generation
	}
	callers = append(callers, f.rotation(0, 0), f.rotation(0, 0), f.rotation(99, 0)) // the same token again, and no token of ours
	errs := f.pile(callers...)
	for n := range 20 {
		want := map[int]error{0: nil, 1: authz.ErrNotFound}[n%2]
		if n > 0 && !errors.Is(errs[n], want) {
			t.Errorf("rotation of %d = %v, want %v", n, errs[n], want)
		}
		if got := f.generation(n); got != uint64(1-n%2) {
			t.Errorf("generation of %d = %d", n, got)
		}
	}
	winners := 0
	for _, err := range []error{errs[0], errs[20], errs[21]} {
		if err == nil {
			winners++
		} else if !errors.Is(err, authz.ErrNotFound) {
			t.Errorf("the same token = %v", err)
		}
	}
	if winners != 1 || !errors.Is(errs[22], authz.ErrNotFound) {
		t.Errorf("%d of three with one token won, a stranger is told %v", winners, errs[22])
	}
}

// TestTogether_NobodysErrorIsAnothers: a row that cannot be written takes no other
// with it.
func TestTogether_NobodysErrorIsAnothers(t *testing.T) {
	f := newHeldFile(t, 10)
	family, err := f.FamilyByHandle(t.Context(), authztest.SampleHash(3))
	if err != nil {
		t.Fatal(err)
	}
	f.exec("CREATE TRIGGER broken BEFORE UPDATE ON refresh_families WHEN OLD.sid = '" + family.SessionID + "' BEGIN SELECT RAISE(ABORT, 'broken'); END")
	var callers []func(context.Context) error
	for n := range 10 {
		callers = append(callers, f.rotation(n, 0))
	}
	for n, err := range f.pile(callers...) {
		if (err != nil) != (n == 3) || errors.Is(err, authz.ErrNotFound) {
			t.Errorf("rotation of %d = %v", n, err)
		}
		if got, want := f.generation(n), map[bool]uint64{true: 0, false: 1}[n == 3]; got != want {
			t.Errorf("generation of %d = %d, want %d", n, got, want)
		}
	}
}

// TestTogether_WhoGivesUp: a caller who does not wait any more takes nobody's place,
// and lets the others go on.
func TestTogether_WhoGivesUp(t *testing.T) {
	f := newHeldFile(t, 10)
	impatient, giveUp := context.WithCancel(t.Context())
	var callers []func(context.Context) error
	for n := range 10 {
		callers = append(callers, f.rotation(n, 0))
	}
	for _, n := range []int{4, 7} {
		callers[n] = func(context.Context) error { return authztest.Rotate(impatient, f.DB, n, 0) }
	}
	f.exec("BEGIN IMMEDIATE")
	errs := make([]error, len(callers))
	var group, impatients sync.WaitGroup
	first := make(chan struct{})
	for i, call := range callers {
		g := &group
		if i == 4 || i == 7 {
			g = &impatients
		}
		g.Go(func() {
			if i > 0 {
				<-first // so that an impatient one is not the one who works
			}
			errs[i] = call(t.Context())
		})
	}
	f.waitFor(0)
	close(first)
	f.waitFor(len(callers) - 1)
	giveUp()
	impatients.Wait()
	f.exec("COMMIT")
	group.Wait()
	for n, err := range errs {
		gone := n == 4 || n == 7
		if (err != nil) != gone || (gone && !errors.Is(err, context.Canceled)) {
			t.Errorf("rotation of %d = %v", n, err)
		}
		if got, want := f.generation(n), map[bool]uint64{true: 0, false: 1}[gone]; got != want {
			t.Errorf("generation of %d = %d, want %d", n, got, want)
		}
	}
	if err := authztest.Rotate(t.Context(), f.DB, 4, 0); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestTogether_ManyRounds: nothing is lost, and nobody is forgotten.
func TestTogether_ManyRounds(t *testing.T) {
	f := newHeldFile(t, 16)
	var group sync.WaitGroup
	for n := range 16 {
		group.Go(func() {
			for generation := range uint64(50) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				if err := authztest.Rotate(ctx, f.DB, n, generation); err != nil {
					t.Errorf("rotation %d of %d = %v", generation, n, err)
				}
				cancel()
			}
		})
	}
	group.Wait()
	for n := range 16 {
		if got := f.generation(n); got != 50 {
			t.Errorf("generation of %d = %d, want 50", n, got)
		}
	}
}
