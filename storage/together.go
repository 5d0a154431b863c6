package storage

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"chancery/authz"
)

// together commits rotations of SQLite that come together by one statement, and so
// with one fsync: its file has one writer, and each commit waits for the disk. Every
// rotation is a compare-and-swap of its own with an answer of its own, which it gets
// once the statement is durable. It runs in the goroutines of its
// callers: the first one does the work of all who came while the one before was
// being committed, and then wakes the next.
type together struct {
	pool *sql.DB

	mu sync.Mutex
	// waiting are those who came since the last batch began; leading says that
	// somebody works.
	waiting []*rotation
	leading bool
}

// rotation is one caller.
type rotation struct {
	ctx  context.Context //nolint:containedctx // it says whether the caller still waits
	swap authz.Swap
	// done is closed when there is an answer, turn when the caller shall do the
	// work of those who wait.
	done, turn chan struct{}
	family     authz.Family
	err        error
}

const (
	// maxTogether bounds a batch, so that no caller waits for too many others.
	maxTogether = 256
	// togetherTimeout bounds a batch, whoever still waits for it.
	togetherTimeout = 10 * time.Second
)

// rotate returns what authz.FamilyStore.Rotate does. A caller who gives up while
// his rotation is being committed does not learn whether it was.
func (t *together) rotate(ctx context.Context, s authz.Swap) (authz.Family, error) {
	r := &rotation{ctx: ctx, swap: s, done: make(chan struct{}), turn: make(chan struct{})}
	t.mu.Lock()
	t.waiting = append(t.waiting, r)
	lead := !t.leading
	t.leading = true
	t.mu.Unlock()
	if !lead {
		select {
		case <-r.done:
			return r.family, r.err
		case <-ctx.Done():
			t.leave(r)
			return authz.Family{}, ctx.Err()
		case <-r.turn:
		}
	}
	t.lead()
	<-r.done
	return r.family, r.err
}

// lead commits those who wait, and gives the lead to the next one.
func (t *together) lead() {
	t.mu.Lock()
	n := min(len(t.waiting), maxTogether)
	batch := t.waiting[:n:n]
	t.waiting = t.waiting[n:]
	t.mu.Unlock()
	commit(t.pool, batch)
	for _, r := range batch {
		close(r.done)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pass()
}

// pass gives the lead to whoever waits longest.
func (t *together) pass() {
	if len(t.waiting) == 0 {
		t.leading, t.waiting = false, nil
		return
	}
	close(t.waiting[0].turn)
}

// leave takes a caller who has given up out of those who wait, and passes the lead
// on if it has just become his.
func (t *together) leave(r *rotation) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.waiting, r)
	if i < 0 {
		return // it is being committed
	}
	t.waiting = slices.Delete(t.waiting, i, i+1)
	select {
	case <-r.turn:
		t.pass()
	default:
	}
}

// commit answers a batch. What fails as a whole is done again one by one: nobody's
// error may be another's.
func commit(pool *sql.DB, batch []*rotation) {
	wanted, apart := batch[:0:0], batch[:0:0]
	handles := map[authz.Hash]bool{}
	for _, r := range batch {
		switch {
		case r.ctx.Err() != nil:
			r.err = r.ctx.Err()
		case handles[r.swap.HandleHash]:
			apart = append(apart, r) // of two with one token the second finds what the first has done
		default:
			handles[r.swap.HandleHash] = true
			wanted = append(wanted, r)
		}
	}
	if len(wanted) == 1 || commitTogether(pool, wanted) != nil {
		apart = append(wanted, apart...)
	}
	for _, r := range apart {
		row := pool.QueryRowContext(r.ctx, swapSQL, swapValues(r.swap, r.swap.Generation+1)...)
		r.family, r.err = scanFamily(row.Scan, authz.ErrNotFound)
	}
}

// commitTogether answers rotations of different families by one statement. After an
// error nothing of it was done.
func commitTogether(pool *sql.DB, batch []*rotation) error {
	if len(batch) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), togetherTimeout)
	defer cancel()
	values := make([]any, 0, len(batch)*swapColumns)
	for _, r := range batch {
		values = append(values, swapValues(r.swap, r.swap.Generation+1)...)
	}
	rotated, err := queryFamilies(ctx, pool, swapTogetherSQL(len(batch)), values)
	if err != nil {
		return err
	}
	for _, r := range batch {
		var ok bool
		if r.family, ok = rotated[r.swap.HandleHash]; !ok {
			r.err = authz.ErrNotFound
		}
	}
	return nil
}

// queryFamilies returns the families of a statement by their handles.
func queryFamilies(ctx context.Context, pool *sql.DB, statement string, values []any) (families map[authz.Hash]authz.Family, err error) {
	rows, err := pool.QueryContext(ctx, statement, values...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	families = map[authz.Hash]authz.Family{}
	for rows.Next() {
		f, err := scanFamily(rows.Scan, authz.ErrNotFound)
		if err != nil {
			return nil, err
		}
		families[f.HandleHash] = f
	}
	return families, rows.Err()
}

// swapTogetherSQL is swapSQL for n families at once.
func swapTogetherSQL(n int) string {
	const row = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
	return "UPDATE refresh_families SET generation = v.column1, rotated_at = v.column2, idle_expires_at = v.column3, address = v.column4, user_agent = v.column5 " +
		"FROM (VALUES " + strings.Repeat(row+", ", n-1) + row + ") AS v " +
		"WHERE handle_hash = v.column6 AND generation = v.column7 AND client_id = v.column8 AND revoked_at IS NULL " +
		"AND idle_expires_at > v.column9 AND absolute_expires_at > v.column10 AND (jkt = '' OR jkt = v.column11) RETURNING " + familyColumns
}
