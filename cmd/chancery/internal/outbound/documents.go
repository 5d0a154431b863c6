package outbound

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"
)

const (
	// maxDocuments bounds how many documents are kept.
	maxDocuments = 5000
	// maxHosts bounds how many hosts are counted for.
	maxHosts = 100_000
	// kept is how long a copy is good, and pause how long a document is not asked
	// for again.
	kept  = 10 * time.Minute
	pause = time.Minute
	// perHost is how many documents of one host are asked for in each period:
	// strangers choose the addresses.
	perHost, period = 60, time.Minute
)

// errBusy is returned for a host that was asked for too many documents.
var errBusy = fmt.Errorf("%w: the host was asked too often", ErrUnreachable)

// Documents keeps copies of documents that clients publish. It is safe for
// concurrent use.
type Documents struct {
	client *Client
	now    func() time.Time
	copies *otter.Cache[string, *document]
	hosts  *otter.Cache[string, *rate.Limiter]
}

// document is what was last fetched from an address, or why that failed.
type document struct {
	mu      sync.Mutex
	body    []byte
	err     error
	fetched time.Time
}

// NewDocuments returns an empty store that asks with the client.
func NewDocuments(client *Client, now func() time.Time) *Documents {
	return &Documents{
		client: client, now: now, copies: otter.Must(&otter.Options[string, *document]{MaximumSize: maxDocuments}),
		hosts: otter.Must(&otter.Options[string, *rate.Limiter]{MaximumSize: maxHosts}),
	}
}

// Kept reports whether there is a copy, or the knowledge that there is none, that
// Fetch would return without asking.
func (d *Documents) Kept(uri string) bool {
	doc, ok := d.copies.GetIfPresent(uri)
	if !ok {
		return false
	}
	doc.mu.Lock()
	defer doc.mu.Unlock()
	return doc.good(d.now(), false)
}

// good reports whether the copy need not be fetched again.
func (doc *document) good(now time.Time, fresh bool) bool {
	age := now.Sub(doc.fetched)
	return !doc.fetched.IsZero() && (age < pause || (!fresh && doc.err == nil && age < kept))
}

// Fetch returns the document at the address: a copy that is at most ten minutes
// old or, if it is to be fresh, a minute. Callers who want the same at the same
// time wait for one request. That there is none is remembered for a minute. A host
// that was asked too often is ErrUnreachable; a copy of any age does until it may be
// asked again.
func (d *Documents) Fetch(ctx context.Context, uri string, fresh bool) ([]byte, error) {
	doc, ok := d.copies.GetIfPresent(uri)
	if !ok {
		// Only what is asked for takes the place of another copy.
		if !d.allowed(uri) {
			return nil, errBusy
		}
		doc, _ = d.copies.SetIfAbsent(uri, &document{})
	}
	doc.mu.Lock()
	defer doc.mu.Unlock()
	if doc.good(d.now(), fresh) {
		return doc.body, doc.err
	}
	if ok && !d.allowed(uri) {
		if doc.body != nil {
			return doc.body, nil
		}
		return nil, errBusy
	}
	body, err := d.client.Get(ctx, uri)
	if ctx.Err() != nil {
		return nil, err // whoever asked has gone, which says nothing of the document
	}
	if errors.Is(err, ErrUnreachable) && doc.body != nil {
		doc.fetched = d.now().Add(pause - kept) // the copy does for another minute
		return doc.body, nil
	}
	doc.body, doc.err, doc.fetched = body, err, d.now()
	return body, err
}

// allowed counts a request to the host of an address, whatever the port.
func (d *Documents) allowed(uri string) bool {
	u, err := url.Parse(uri)
	if err != nil {
		return false
	}
	name := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	host, _ := d.hosts.SetIfAbsent(name, rate.NewLimiter(rate.Every(period/perHost), perHost))
	return host.AllowN(d.now(), 1)
}
