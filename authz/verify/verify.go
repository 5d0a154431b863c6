// Package verify is what a resource server imports to check the access tokens
// of a Chancery: offline, by the issuer's published keys and status lists, with
// no call per request and no shared secret. A session that is revoked is
// refused about a second later.
//
// Make one Verifier for each resource server with New, run its Run in a
// goroutine for as long as the server runs, and wrap handlers with Require, or
// call Verify. The package owns the rules for tokens of RFC 9068, the status
// lists of draft-ietf-oauth-status-list, and the answers of RFC 6750. It leaves
// to the resource server what a token's user may do, beyond its scopes. A single
// token that a client got for itself and had revoked is known to introspection
// alone; the lists tell of sessions and of clients as a whole. Beside the
// standard library the package needs go-jose alone.
package verify

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"chancery/authz/claims"
)

// StatusPolicy says what becomes of a token without an entry in a status list.
type StatusPolicy int

const (
	// StatusRequired refuses it. All tokens of a Chancery have one.
	StatusRequired StatusPolicy = iota
	// StatusIfPresent accepts it; an entry that there is is checked.
	StatusIfPresent
)

// StalePolicy says what becomes of tokens while the status list is too old to
// be believed, because the issuer could not be reached until it expired.
type StalePolicy int

const (
	// StaleClosed refuses to verify: Verify returns ErrUnavailable.
	StaleClosed StalePolicy = iota
	// StaleOpen accepts tokens as long as they are good in all other ways, and
	// not revoked by the last list that there was; also when there was none.
	// Whoever can keep the lists from a resource server then keeps revoked
	// sessions alive there until their tokens expire.
	StaleOpen
)

// Options change how a Verifier works. The zero value is good.
type Options struct {
	// Algorithms are those that tokens may be signed with; none stands for
	// Algorithms(). Status lists may be signed with any of these.
	Algorithms []string
	// Leeway is granted to clocks that differ, at most a minute. 0 stands for 30
	// seconds, a negative one for none.
	Leeway time.Duration
	Status StatusPolicy
	Stale  StalePolicy
	// NoStream makes Run not listen for changes of status lists; they are then
	// noticed within the lists' "ttl".
	NoStream bool
	// ClientID and ClientSecret are those of a confidential client that may
	// introspect. With them the stream has a reserved place.
	ClientID, ClientSecret string
	// CacheSize is how many verified tokens are remembered, about a kilobyte
	// each. 0 stands for 10,000, a negative one for none.
	CacheSize int
	// UnknownKeyPause is the least time between two fetches of the keys because
	// of a key id that is not among them. 0 stands for a minute.
	UnknownKeyPause time.Duration
	// MaxStaleKeys is how long keys are used that can no longer be fetched. 0
	// stands for 24 hours.
	MaxStaleKeys time.Duration
	// Origin is the scheme and host under which clients call this resource server,
	// such as "https://api.example", for DPoP proofs. "" stands for that of the
	// audience, if it is a web address, and else for https and the Host header.
	Origin string
	// Client asks the issuer; nil stands for one with default settings. Its
	// redirects are confined to the issuer's origin.
	Client *http.Client
	// Now is the clock; nil stands for the system's.
	Now func() time.Time
	// Log is told what goes wrong between the verifier and the issuer; nil
	// stands for nobody. It is never told a token.
	Log *slog.Logger
}

const (
	defaultLeeway    = 30 * time.Second
	maxLeeway        = time.Minute
	defaultCacheSize = 10_000
	defaultKeyPause  = time.Minute
	defaultMaxStale  = 24 * time.Hour
)

// Verifier verifies the access tokens that one issuer makes for one resource
// server. It is safe for concurrent use.
type Verifier struct {
	issuer, audience, origin string

	algorithms []string
	leeway     time.Duration
	status     StatusPolicy
	now        func() time.Time
	keys       *keyStore
	lists      *listStore
	stream     *stream
	seen       *verdicts
	proofs     Proofs
}

// New returns a verifier for tokens that the issuer makes for audience: the URI
// under which this resource server is registered there. It asks the issuer
// nothing yet. The error tells of an invalid argument.
func New(issuer, audience string, o Options) (*Verifier, error) {
	origin, err := url.Parse(issuer)
	if err != nil || origin.RawQuery != "" || origin.Fragment != "" || strings.HasSuffix(issuer, "/") || !secure(issuer, origin) {
		return nil, fmt.Errorf("issuer %q: want an https URL without query and trailing slash", issuer)
	}
	if audience == "" {
		return nil, errors.New("audience: want the URI of the resource server")
	}
	o.setDefaults()
	if o.Leeway > maxLeeway {
		return nil, fmt.Errorf("leeway %s: want at most %s", o.Leeway, maxLeeway)
	}
	for _, algorithm := range o.Algorithms {
		if !slices.Contains(Algorithms(), algorithm) {
			return nil, fmt.Errorf("algorithm %q: want some of %q", algorithm, Algorithms())
		}
	}
	f := newFetcher(o.Client)
	v := &Verifier{issuer: issuer, audience: audience, algorithms: slices.Clone(o.Algorithms), leeway: o.Leeway, status: o.Status, now: o.Now}
	if v.origin = o.Origin; v.origin == "" {
		v.origin = originOf(audience)
	}
	v.keys = &keyStore{
		issuer: issuer, origin: origin, fetcher: f, maxStale: o.MaxStaleKeys, now: o.Now, log: o.Log,
		forTokens: budget{pause: o.UnknownKeyPause}, forLists: budget{pause: listKeyPause},
	}
	v.lists = &listStore{
		issuer: issuer, prefix: claims.StatusListURI(issuer, ""), fetcher: f, keys: v.keys, leeway: o.Leeway, open: o.Stale == StaleOpen,
		now: o.Now, log: o.Log, lists: map[string]*heldList{},
	}
	if !o.NoStream {
		endless := *f.client
		endless.Timeout = 0
		v.stream = &stream{address: issuer + claims.StatusStreamPath, client: &endless, id: o.ClientID, secret: o.ClientSecret, lists: v.lists, log: o.Log}
	}
	if o.CacheSize > 0 {
		v.seen = newVerdicts(o.CacheSize)
	}
	return v, nil
}

// originOf returns the scheme and host of a web address, "" for any other URI.
func originOf(audience string) string {
	u, err := url.Parse(audience)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

func (o *Options) setDefaults() {
	if len(o.Algorithms) == 0 {
		o.Algorithms = Algorithms()
	}
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the default of a clock that is passed in
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Leeway == 0 {
		o.Leeway = defaultLeeway
	}
	o.Leeway = max(o.Leeway, 0)
	if o.CacheSize == 0 {
		o.CacheSize = defaultCacheSize
	}
	if o.UnknownKeyPause == 0 {
		o.UnknownKeyPause = defaultKeyPause
	}
	if o.MaxStaleKeys == 0 {
		o.MaxStaleKeys = defaultMaxStale
	}
}

// Verify returns what a token says, if it is good: signed by the issuer for
// this resource server, within its time, and of a session that is not revoked
// (RFC 9068 section 4). The error is ErrInvalidToken or ErrUnavailable; ctx
// bounds how long the issuer is waited for, which a token seldom needs. A token
// that is bound to a key is refused: VerifyBound takes it with a proof.
func (v *Verifier) Verify(ctx context.Context, token string) (*Token, error) {
	t, err := v.accept(ctx, token)
	if err == nil && t.bound {
		return nil, refuse(ProofRequired) // RFC 9449 section 7.2: never as a mere bearer token
	}
	return t, err
}

// accept is Verify for a token whatever it is bound to.
func (v *Verifier) accept(ctx context.Context, token string) (*Token, error) {
	if len(token) > maxTokenSize {
		return nil, refuse(Malformed)
	}
	if v.seen == nil {
		found, err := v.verify(ctx, token)
		return found.token, err
	}
	hash := sha256.Sum256([]byte(token))
	if found, ok := v.seen.find(hash); ok {
		if current, err := v.keys.find(ctx, found.key.id, &v.keys.forTokens); err == nil && current == found.key {
			if err := v.stillGood(ctx, found); err != nil {
				return nil, err
			}
			return found.token, nil
		}
		v.seen.drop(hash) // its key is gone; whether for good, the long way tells
	}
	found, err := v.verify(ctx, token)
	if err != nil {
		return nil, err
	}
	v.seen.remember(hash, found)
	return found.token, nil
}

// verify checks everything. The status comes last, so that nobody but the
// issuer can have us fetch a list.
func (v *Verifier) verify(ctx context.Context, token string) (verdict, error) {
	j, err := parseJWS(token, maxTokenSize)
	if err != nil {
		return verdict{}, err
	}
	if !j.hasType(claims.TypeAccessToken) {
		return verdict{}, refuse(WrongType)
	}
	if !slices.Contains(v.algorithms, j.alg) {
		return verdict{}, refuse(WrongAlgorithm)
	}
	if j.kid == "" {
		return verdict{}, refuse(UnknownKey)
	}
	k, err := v.keys.find(ctx, j.kid, &v.keys.forTokens)
	if err != nil {
		return verdict{}, err
	}
	if err := j.verify(k); err != nil {
		return verdict{}, err
	}
	t, err := parseToken(j.payload)
	if err != nil {
		return verdict{}, err
	}
	found := verdict{token: t, key: k}
	if err := v.checkClaims(t); err != nil {
		return verdict{}, err
	}
	if t.hasStatus {
		if found.list, err = v.lists.hold(t.status.URI); err != nil {
			return verdict{}, err
		}
	}
	return found, v.stillGood(ctx, found)
}

// checkClaims checks the claims by themselves.
func (v *Verifier) checkClaims(t *Token) error {
	latest := v.now().Add(v.leeway)
	switch {
	case v.expired(t):
		return refuse(Expired)
	case t.Issuer != v.issuer:
		return refuse(WrongIssuer)
	case !slices.Contains(t.Audience, v.audience):
		return refuse(WrongAudience)
	case t.IssuedAt.After(latest), t.notBefore.After(latest):
		return refuse(NotYetValid)
	case t.bound && t.KeyThumbprint == "":
		return refuse(ProofRequired) // in a way that nobody here can prove
	case !t.hasStatus && v.status == StatusRequired:
		return refuse(BadStatus)
	}
	return nil
}

// stillGood checks what changes: the time, and the entry in the status list.
func (v *Verifier) stillGood(ctx context.Context, found verdict) error {
	if v.expired(found.token) {
		return refuse(Expired)
	}
	if found.list == nil {
		return nil
	}
	return v.lists.check(ctx, found.list, found.token.status.Index)
}

func (v *Verifier) expired(t *Token) bool { return !v.now().Before(t.ExpiresAt.Add(v.leeway)) }

// tick is how often Run looks whether keys or lists are due.
const tick = time.Second

// Run keeps the keys and the status lists up to date ahead of the requests
// that need them, and listens for revocations, until ctx ends; then it gives up
// what it had begun and returns nil. Without Run, Verify
// fetches what is due by itself and revocations are noticed within the lists'
// "ttl". It must be called once at most.
func (v *Verifier) Run(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	if v.stream != nil {
		group.Go(func() { v.stream.run(ctx) })
	}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for ctx.Err() == nil {
		_ = v.keys.refresh(ctx) // the log has it, and so has whoever needs a key
		v.keys.follow(ctx)
		v.lists.refreshDue(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
	return nil
}
