package outbound

import (
	"context"
	"errors"
	"net/url"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"
)

const (
	// maxDocuments bounds how many documents are kept.
	maxDocuments = 1000
	// kept is how long a copy is good, and pause how long a document is not asked
	// for again.
	kept  = 10 * time.Minute
	pause = time.Minute
	// perHost is how many documents of one host are asked for in each period:
	// strangers choose the addresses.
	perHost, period = 60, time.Minute
)

// ErrBusy is returned for a host that was asked for too many documents.
var ErrBusy = errors.New("outbound: too many documents of this host")

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
		hosts: otter.Must(&otter.Options[string, *rate.Limiter]{MaximumSize: maxDocuments}),
	}
}

// Fetch returns the document at the address: a copy that is at most ten minutes
// old or, if it is to be fresh, a minute. Callers who want the same at the same
// time wait for one request. That there is none is remembered for a minute.
// ErrBusy says that the host was asked often enough; a copy of any age does
// until it may be asked again.
func (d *Documents) Fetch(ctx context.Context, uri string, fresh bool) ([]byte, error) {
	doc, _ := d.copies.SetIfAbsent(uri, &document{})
	doc.mu.Lock()
	defer doc.mu.Unlock()
	age := d.now().Sub(doc.fetched)
	if !doc.fetched.IsZero() && (age < pause || (!fresh && doc.err == nil && age < kept)) {
		return doc.body, doc.err
	}
	if !d.allowed(uri) {
		if doc.body != nil {
			return doc.body, nil
		}
		return nil, ErrBusy
	}
	body, err := d.client.Get(ctx, uri)
	if ctx.Err() != nil {
		return nil, err // whoever asked has gone, which says nothing of the document
	}
	doc.body, doc.err, doc.fetched = body, err, d.now()
	return body, err
}

// allowed counts a request to the host of an address.
func (d *Documents) allowed(uri string) bool {
	u, err := url.Parse(uri)
	if err != nil {
		return false
	}
	host, _ := d.hosts.SetIfAbsent(u.Host, rate.NewLimiter(rate.Every(period/perHost), perHost))
	return host.AllowN(d.now(), 1)
}
