package status

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"chancery/authz"
	"chancery/web/respond"

	"github.com/gin-gonic/gin"
)

// StreamLimits bound how many may listen at once, and how they must behave.
type StreamLimits struct {
	// Listeners is how many there may be in all. Reserved of the places are
	// only for clients that may introspect: the resource servers.
	Listeners, Reserved int
	// PerAddress is how many may come from one network, PerClient how many may
	// be one client, wherever they come from.
	PerAddress, PerClient int
	// Patience is how long a listener may take to read; then it is dropped.
	// Heartbeat is how often one hears something in any case.
	Patience, Heartbeat time.Duration
}

// DefaultStreamLimits returns those of a server.
func DefaultStreamLimits() StreamLimits {
	return StreamLimits{
		Listeners: 1000, Reserved: 200, PerAddress: 10, PerClient: 100, Patience: 10 * time.Second, Heartbeat: 15 * time.Second,
	}
}

// Stream tells its listeners of new versions of status lists. It is safe for
// concurrent use.
type Stream struct {
	limits StreamLimits
	now    func() time.Time
	closed chan struct{}
	reach  reach

	mu        sync.Mutex
	listeners map[*listener]struct{}
	// anonymous counts the listeners that are no reserved client.
	anonymous int
	byName    map[string]int
}

// NewStream returns a stream without listeners.
func NewStream(limits StreamLimits, now func() time.Time) *Stream {
	return &Stream{limits: limits, now: now, closed: make(chan struct{}), listeners: map[*listener]struct{}{}, byName: map[string]int{}}
}

// listener is one connection. Of each list it waits for the newest version
// alone, so that what a slow one is owed stays bounded.
type listener struct {
	// name is the client or the network that it is counted as.
	name      string
	anonymous bool
	ready     chan struct{}
	// heard is used by the goroutine of the connection alone.
	heard heard

	mu   sync.Mutex
	owed map[string]authz.SignedStatusList
}

// Announce tells all listeners of a new version. It does not block.
func (s *Stream) Announce(list authz.SignedStatusList) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reach.served(list, len(s.listeners), s.now())
	for l := range s.listeners {
		l.add(list)
	}
}

// Close ends all listening, for good. It must be called once, before the
// server that the listeners are connected to shuts down.
func (s *Stream) Close() { close(s.closed) }

// Listeners returns how many there are.
func (s *Stream) Listeners() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.listeners)
}

// enter admits a listener, or returns nil when there is no place for it.
func (s *Stream) enter(name string, reserved bool) *listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	perName, full := s.limits.PerAddress, s.anonymous >= s.limits.Listeners-s.limits.Reserved
	if reserved {
		perName, full = s.limits.PerClient, false
	}
	if full || len(s.listeners) >= s.limits.Listeners || s.byName[name] >= perName {
		return nil
	}
	l := &listener{heard: s.reach.joined(), name: name, anonymous: !reserved, ready: make(chan struct{}, 1), owed: map[string]authz.SignedStatusList{}}
	s.listeners[l] = struct{}{}
	s.byName[name]++
	if l.anonymous {
		s.anonymous++
	}
	return l
}

func (s *Stream) leave(l *listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
	if s.byName[l.name]--; s.byName[l.name] == 0 {
		delete(s.byName, l.name)
	}
	if l.anonymous {
		s.anonymous--
	}
}

func (l *listener) add(lists ...authz.SignedStatusList) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, list := range lists {
		if l.owed[list.ID].Version < list.Version {
			l.owed[list.ID] = list
		}
	}
	select {
	case l.ready <- struct{}{}:
	default:
	}
}

// take returns what the listener is owed, oldest first.
func (l *listener) take() []authz.SignedStatusList {
	l.mu.Lock()
	defer l.mu.Unlock()
	owed := slices.SortedFunc(maps.Values(l.owed), func(a, b authz.SignedStatusList) int { return cmp.Compare(a.Version, b.Version) })
	clear(l.owed)
	return owed
}

// overlap is how far behind the last event that a listener has seen another node
// may have been, in milliseconds.
const overlap = 60_000

var errNoPlace = &authz.Error{Code: authz.TemporarilyUnavailable, Description: "There are too many listeners. Lists can be fetched without."}

// listen answers with server-sent events until the client goes or the stream
// is closed: one for every new version of a list, beginning with those that
// are younger than what Last-Event-ID names.
func (e *Endpoints) listen(c *gin.Context) error {
	name, reserved, err := e.identify(c)
	if err != nil {
		return err
	}
	l := e.Stream.enter(name, reserved)
	if l == nil {
		return errNoPlace
	}
	defer e.Stream.leave(l)
	seen, err := strconv.ParseInt(c.GetHeader("Last-Event-ID"), 10, 64)
	if err != nil {
		seen = 0
	}
	all := e.Lists.All()
	l.add(slices.DeleteFunc(all, func(list authz.SignedStatusList) bool { return list.Version <= seen-overlap })...)

	connection := http.NewResponseController(c.Writer)
	_ = connection.SetReadDeadline(time.Time{}) // the server's own is meant for requests
	respond.NoStore(c)
	c.Header("Content-Type", "text/event-stream")
	c.Header("X-Accel-Buffering", "no") // nginx would hold events back
	send := func(text string) error {
		if err := connection.SetWriteDeadline(time.Now().Add(e.Stream.limits.Patience)); err != nil { //nolint:forbidigo // of a connection
			return err
		}
		if _, err := c.Writer.WriteString(text); err != nil {
			return err
		}
		if err := connection.Flush(); err != nil {
			return err
		}
		// HTTP/2 would end the stream when the deadline is over, also while
		// nothing is being written.
		return connection.SetWriteDeadline(time.Time{})
	}
	if send("retry: 1000\n\n") == nil {
		e.serve(c, l, send)
	}
	return nil
}

// serve sends to the listener until either end is closed, or it reads too
// slowly.
func (e *Endpoints) serve(c *gin.Context, l *listener, send func(text string) error) {
	beat := time.NewTicker(e.Stream.limits.Heartbeat)
	defer beat.Stop()
	for {
		var text strings.Builder
		var sent []authz.SignedStatusList
		select {
		case <-l.ready:
			sent = l.take()
			for _, list := range sent {
				text.WriteString(e.event(list))
			}
		case <-beat.C:
			text.WriteString(": still here\n\n")
		case <-c.Request.Context().Done():
			return
		case <-e.Stream.closed:
			return
		}
		if send(text.String()) != nil {
			return
		}
		for _, list := range sent {
			e.Stream.reach.told(l.heard, list, e.Now())
		}
	}
}

// event is the server-sent event of a new version. Its id is the time: until
// then, but for the overlap, the listener has heard of everything.
func (e *Endpoints) event(list authz.SignedStatusList) string {
	data, err := json.Marshal(struct {
		URI     string `json:"uri"`
		Version int64  `json:"version"`
	}{list.URI(e.Issuer), list.Version})
	if err != nil {
		return "" // of a string and a number
	}
	return fmt.Sprintf("id: %d\nevent: status-list\ndata: %s\n\n", e.Now().UnixMilli(), data)
}

// identify returns what a listener is counted as, and whether it has a
// reserved place. One that tries to prove a client and fails is refused.
func (e *Endpoints) identify(c *gin.Context) (name string, reserved bool, err error) {
	if c.GetHeader("Authorization") != "" {
		client, err := e.Client(c)
		if err != nil {
			return "", false, err
		}
		if client.Introspect {
			respond.NoteClient(c, client.ID)
			return "client " + client.ID, true, nil
		}
	}
	return "network " + authz.Network(c.ClientIP()), false, nil
}
