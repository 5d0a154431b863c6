package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// fetchTimeout bounds one request to the issuer.
const fetchTimeout = 5 * time.Second

// maxRefusal is how much is read of an answer that is an error.
const maxRefusal = 4 << 10

// fetcher asks the issuer.
type fetcher struct{ client *http.Client }

// newFetcher returns a fetcher over client, or over one of its own. Redirects
// are followed within the origin alone: what a list or a key set says counts
// because of where it comes from.
func newFetcher(client *http.Client) fetcher {
	own := http.Client{}
	if client != nil {
		own = *client
	}
	own.CheckRedirect = func(next *http.Request, via []*http.Request) error {
		first := via[0].URL
		if len(via) > 3 || next.URL.Scheme != first.Scheme || next.URL.Host != first.Host {
			return errors.New("redirected elsewhere")
		}
		return nil
	}
	return fetcher{client: &own}
}

// document is what a fetch brought.
type document struct {
	body []byte
	etag string
	// notModified says that the issuer has nothing newer than the etag sent.
	notModified bool
	// maxAge is how long the document may be kept, 0 if it does not say; age is
	// how old the copy is that some cache in between has sent.
	maxAge, age time.Duration
}

// anew in place of an entity tag asks for what the issuer itself has now, past
// all caches in between.
const anew = "no-cache"

// get fetches a document of at most limit bytes: one that does not have the
// entity tag, which may be empty, or anew.
func (f fetcher) get(ctx context.Context, address, accept, etag string, limit int64) (document, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return document{}, err
	}
	request.Header.Set("Accept", accept)
	switch etag {
	case "":
	case anew:
		request.Header.Set("Cache-Control", anew)
	default:
		request.Header.Set("If-None-Match", etag)
	}
	response, err := f.client.Do(request)
	if err != nil {
		return document{}, fmt.Errorf("fetch: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	d := document{etag: response.Header.Get("ETag"), maxAge: directive(response.Header, "max-age")}
	if seconds, err := strconv.ParseUint(response.Header.Get("Age"), 10, 31); err == nil {
		d.age = time.Duration(seconds) * time.Second
	}
	switch {
	case response.StatusCode == http.StatusNotModified && request.Header.Get("If-None-Match") != "":
		d.notModified = true
		return d, nil
	case response.StatusCode != http.StatusOK:
		_, _ = io.CopyN(io.Discard, response.Body, maxRefusal) // so that the connection can be used again
		return document{}, fmt.Errorf("fetch %s: %s", address, response.Status)
	}
	// The transport has decompressed what it asked to be compressed, so that
	// the limit holds for what comes out.
	if d.body, err = io.ReadAll(io.LimitReader(response.Body, limit+1)); err != nil {
		return document{}, fmt.Errorf("fetch %s: %w", address, err)
	}
	if int64(len(d.body)) > limit {
		return document{}, fmt.Errorf("fetch %s: more than %d bytes", address, limit)
	}
	return d, nil
}

// directive returns a number of seconds out of Cache-Control.
func directive(header http.Header, name string) time.Duration {
	for part := range strings.SplitSeq(header.Get("Cache-Control"), ",") {
		if key, value, found := strings.Cut(strings.TrimSpace(part), "="); found && strings.EqualFold(key, name) {
			if seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
				return time.Duration(seconds) * time.Second
			}
		}
	}
	return 0
}

// secure reports whether what comes from the address can be believed: by TLS,
// or from this very machine while that is where the issuer is.
func secure(address string, issuer *url.URL) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	return u.Scheme == "https" || (u.Scheme == "http" && issuer.Scheme == "http" && loopback(u.Hostname()))
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || (ip != nil && ip.IsLoopback())
}

// flight lets several callers wait for one piece of work. It has a goroutine of
// its own for as long as the work takes, which ends when nobody waits any more.
type flight struct {
	mu      sync.Mutex
	current *trip
}

// trip is one time that the work is done.
type trip struct {
	done chan struct{}
	err  error
	// waiting is how many callers have not given up.
	waiting int
	cancel  context.CancelFunc
}

// do returns when work is done, by whichever caller it was begun, or when ctx
// ends. The work itself is bounded by fetchTimeout.
func (f *flight) do(ctx context.Context, work func(context.Context) error) error {
	f.mu.Lock()
	t := f.current
	if t == nil {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		t = &trip{done: make(chan struct{}), cancel: cancel}
		f.current = t
		go f.run(bounded, t, work)
	}
	t.waiting++
	f.mu.Unlock()
	select {
	case <-t.done:
		return t.err
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if t.waiting--; t.waiting == 0 {
		t.cancel()
		if f.current == t {
			f.current = nil // whoever comes now begins anew
		}
	}
	return ctx.Err()
}

func (f *flight) run(ctx context.Context, t *trip, work func(context.Context) error) {
	defer func() {
		if value := recover(); value != nil { // a caller's own transport
			t.err = fmt.Errorf("fetch: panic: %v", value)
		}
		t.cancel()
		f.mu.Lock()
		if f.current == t {
			f.current = nil
		}
		f.mu.Unlock()
		close(t.done)
	}()
	t.err = work(ctx)
}

// within reports whether less than pause has passed since a time, both in
// nanoseconds since the epoch. A clock that was set back is no reason to wait.
func within(pause time.Duration, since, now int64) bool {
	passed := now - since
	return passed >= 0 && passed < int64(pause)
}

// busy reports whether the work is being done.
func (f *flight) busy() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.current != nil
}
