package verify

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// streamIdle is how long the stream may be silent; the issuer sends
	// something every 15 seconds.
	streamIdle = 45 * time.Second
	// Pauses before listening again: doubled from the least to the greatest.
	minStreamPause = time.Second
	maxStreamPause = 30 * time.Second
	// maxStreamRest is how long the issuer may keep listeners away.
	maxStreamRest = time.Minute
	maxLine       = 8 << 10
	// chaseFor is how long a version is tried for that the stream told of.
	chaseFor = 10 * time.Second
)

// stream hears from the issuer which lists have a new version, and has them
// fetched.
type stream struct {
	address string
	client  *http.Client
	// id and secret are those of a client with a reserved place, or empty.
	id, secret string
	lists      *listStore
	log        *slog.Logger
	lastEvent  string
}

// run listens until ctx ends, again and again.
func (s *stream) run(ctx context.Context) {
	var chases sync.WaitGroup
	defer chases.Wait()
	pause := minStreamPause
	for {
		heard, wait, err := s.listen(ctx, &chases)
		if ctx.Err() != nil {
			return
		}
		if heard {
			pause = minStreamPause
		}
		s.log.InfoContext(ctx, "the stream of status lists was interrupted; lists are fetched by their ttl", "error", err)
		timer := time.NewTimer(max(wait, pause/2+jitter(pause)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		pause = min(2*pause, maxStreamPause)
	}
}

// listen connects once and reads until the connection ends. heard says whether
// anything came, wait how long the issuer asks to stay away.
func (s *stream) listen(ctx context.Context, chases *sync.WaitGroup) (heard bool, wait time.Duration, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.address, nil)
	if err != nil {
		return false, 0, err
	}
	request.Header.Set("Accept", "text/event-stream")
	if s.lastEvent != "" {
		request.Header.Set("Last-Event-ID", s.lastEvent)
	}
	if s.id != "" {
		request.SetBasicAuth(url.QueryEscape(s.id), url.QueryEscape(s.secret))
	}
	watchdog := time.AfterFunc(streamIdle, cancel)
	defer watchdog.Stop()
	response, err := s.client.Do(request)
	if err != nil {
		return false, 0, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		if response.StatusCode == http.StatusUnauthorized {
			s.log.WarnContext(ctx, "the issuer does not accept the client's secret for the stream; going on without")
			s.id, s.secret = "", "" // what everybody may hear is better than nothing
		}
		seconds, _ := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 16)
		return false, min(time.Duration(seconds)*time.Second, maxStreamRest), fmt.Errorf("status stream: %s", response.Status)
	}
	lines := bufio.NewReaderSize(response.Body, maxLine)
	e := streamEvent{}
	for {
		line, err := lines.ReadSlice('\n')
		if err != nil {
			return heard, 0, err
		}
		watchdog.Reset(streamIdle)
		if len(e.data) > maxLine {
			return heard, 0, errors.New("status stream: an event is too long")
		}
		if e.add(bytes.TrimRight(line, "\r\n")) {
			continue
		}
		if err := s.handle(ctx, e, chases); err != nil {
			return heard, 0, err
		}
		heard = true
		e = streamEvent{}
	}
}

// streamEvent is a server-sent event that is being read.
type streamEvent struct{ id, kind, data string }

// add takes a line. It returns false at the end of the event.
func (e *streamEvent) add(line []byte) bool {
	field, value, _ := strings.Cut(string(line), ":")
	value = strings.TrimPrefix(value, " ")
	switch field {
	case "id":
		e.id = value
	case "event":
		e.kind = value
	case "data":
		e.data += value
	}
	return len(line) > 0
}

// handle has the list fetched that an event tells of, if it is one that is held
// and no older version than that.
func (s *stream) handle(ctx context.Context, e streamEvent, chases *sync.WaitGroup) error {
	if e.kind != "status-list" || e.data == "" {
		return nil // of another kind, or a heartbeat
	}
	var news struct {
		URI     string `json:"uri"`
		Version int64  `json:"version"`
	}
	if err := json.Unmarshal([]byte(e.data), &news); err != nil || news.Version <= 0 {
		return errors.New("status stream: an event is not readable")
	}
	s.lists.mu.RLock()
	h := s.lists.lists[news.URI]
	s.lists.mu.RUnlock()
	if h != nil {
		s.lists.chase(ctx, h, news.Version, chases)
	}
	s.lastEvent = e.id
	return nil
}

// chase fetches a version that the stream told of until it is held. The node
// that is asked may not have it yet.
func (s *listStore) chase(ctx context.Context, h *heldList, version int64, chases *sync.WaitGroup) {
	for wanted := h.wanted.Load(); version > wanted && !h.wanted.CompareAndSwap(wanted, version); wanted = h.wanted.Load() {
	}
	if h.behind() && h.chasing.CompareAndSwap(false, true) {
		chases.Go(func() { s.runDown(ctx, h) })
	}
}

// runDown fetches what is wanted of a list until it is held, or chaseFor is
// over.
func (s *listStore) runDown(ctx context.Context, h *heldList) {
	ctx, cancel := context.WithTimeout(ctx, chaseFor)
	defer cancel()
	for pause := 50 * time.Millisecond; h.behind(); pause = min(2*pause, time.Second) {
		wanted := h.wanted.Load()
		err := s.fetchWanted(ctx, h, wanted)
		if !h.behind() {
			break
		}
		select {
		case <-time.After(pause/2 + jitter(pause)):
		case <-ctx.Done():
			h.due.Store(0) // the next token that names it asks again
			h.chasing.Store(false)
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				s.log.WarnContext(ctx, "a new version of a status list cannot be had", "uri", h.uri, "version", wanted, "error", err)
			}
			return
		}
	}
	h.chasing.Store(false)
	if h.behind() && h.chasing.CompareAndSwap(false, true) {
		s.runDown(ctx, h) // more was wanted just now
	}
}

// fetchWanted fetches one version, apart from the flight of those who want any.
func (s *listStore) fetchWanted(ctx context.Context, h *heldList, version int64) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	return s.fetch(ctx, h, version)
}

// behind reports whether the stream has told of a newer version than is held.
func (h *heldList) behind() bool {
	state := h.current.Load()
	return state == nil || state.version < h.wanted.Load()
}

// jitter returns a random part of d, so that verifiers do not come in step.
func jitter(d time.Duration) time.Duration {
	var random [8]byte
	_, _ = rand.Read(random[:])
	return time.Duration(binary.BigEndian.Uint64(random[:]) % uint64(d))
}
