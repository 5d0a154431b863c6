package keys

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// ErrNotReady is returned by Sign while no usable key is loaded, or when the
// loaded schedule is so old that another key may have taken over unseen.
var ErrNotReady = errors.New("no signing key is ready")

// ErrInvalid is returned by Verify for a token that this ring did not sign,
// or not as what it is presented.
var ErrInvalid = errors.New("token is not valid")

// Ring signs with the active key of each algorithm and verifies with every
// published one. It works from memory alone and is safe for concurrent use.
type Ring struct {
	now      func() time.Time
	maxStale time.Duration
	current  atomic.Pointer[ringState]
}

// ringState is one loaded set. It is never changed, only replaced.
type ringState struct {
	loadedAt time.Time
	signers  map[Algorithm][]*signer
	public   map[string]*jose.JSONWebKey
	keys     map[string]Key
	jwks     []byte
	etag     string
	// problem tells of keys that could not be opened.
	problem error
}

// signer signs with one key. The prepared jose signers are kept by "typ",
// since building one costs more than an EdDSA signature.
type signer struct {
	key     Key
	private jose.JSONWebKey
	byType  sync.Map
}

// NewRing returns an empty ring. It refuses to sign when its keys were loaded
// longer than maxStale ago; maxStale is the publish-ahead time, within which
// no key can start to sign that the ring has not seen.
func NewRing(now func() time.Time, maxStale time.Duration) *Ring {
	return &Ring{now: now, maxStale: maxStale}
}

// Ready returns ErrNotReady while Sign would for any algorithm.
func (r *Ring) Ready() error {
	state, now := r.current.Load(), r.now()
	if state == nil || now.Sub(state.loadedAt) > r.maxStale {
		return ErrNotReady
	}
	for _, algorithm := range Algorithms() {
		if state.active(algorithm, now) == nil {
			return fmt.Errorf("%w for %s", ErrNotReady, algorithm)
		}
	}
	return nil
}

// Published returns the keys of the JWKS as they were loaded, without their
// private halves, in no particular order. A key that was compromised is not
// among them.
func (r *Ring) Published() []Key {
	state, now := r.current.Load(), r.now()
	if state == nil {
		return nil
	}
	var published []Key
	for _, k := range state.keys {
		if k.Published(now) {
			k.Sealed = ""
			published = append(published, k)
		}
	}
	return published
}

// active returns who signs with algorithm at now, or nil.
func (s *ringState) active(algorithm Algorithm, now time.Time) *signer {
	for _, signer := range s.signers[algorithm] {
		if signer.key.State(now) == Active {
			return signer
		}
	}
	return nil
}

// Sign returns payload as a compact JWS with the header members alg, kid and
// typ and no others. The error wraps ErrNotReady while no key can sign.
func (r *Ring) Sign(algorithm, typ string, payload []byte) (string, error) {
	state, now := r.current.Load(), r.now()
	if state == nil || now.Sub(state.loadedAt) > r.maxStale {
		return "", ErrNotReady
	}
	if signer := state.active(Algorithm(algorithm), now); signer != nil {
		return signer.sign(typ, payload)
	}
	return "", fmt.Errorf("%w for %s", ErrNotReady, algorithm)
}

func (s *signer) sign(typ string, payload []byte) (string, error) {
	prepared, ok := s.byType.Load(typ)
	if !ok {
		options := (&jose.SignerOptions{}).WithType(jose.ContentType(typ))
		made, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(s.key.Algorithm), Key: s.private}, options)
		if err != nil {
			return "", fmt.Errorf("signer of key %s: %w", s.key.ID, err)
		}
		prepared, _ = s.byType.LoadOrStore(typ, made)
	}
	object, err := prepared.(jose.Signer).Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign with key %s: %w", s.key.ID, err)
	}
	return object.CompactSerialize()
}

// maxTokenSize bounds what Verify parses; our own tokens stay below 4 KiB.
const maxTokenSize = 8 << 10

// Verify returns the payload of a compact JWS that a published key signed
// with its own algorithm and the header "typ" typ. It looks at no claim. The
// error is ErrInvalid, whatever the reason.
func (r *Ring) Verify(token, typ string) ([]byte, error) {
	state := r.current.Load()
	if state == nil || !wellFormed(token) {
		return nil, ErrInvalid
	}
	object, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256, jose.EdDSA, jose.ES256})
	if err != nil || len(object.Signatures) != 1 {
		return nil, ErrInvalid
	}
	header := object.Signatures[0].Protected
	key, ok := state.keys[header.KeyID]
	if !ok || !key.Published(r.now()) || header.Algorithm != string(key.Algorithm) || header.ExtraHeaders[jose.HeaderType] != typ {
		return nil, ErrInvalid
	}
	payload, err := object.Verify(state.public[key.ID])
	if err != nil {
		return nil, ErrInvalid
	}
	return payload, nil
}

// KeyIDs returns the ids of all published keys.
func (r *Ring) KeyIDs() []string {
	state := r.current.Load()
	if state == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(state.public))
}

// wellFormed reports whether token is three canonical base64url parts: the
// parser would tolerate line breaks and stray trailing bits, which would give
// one token several spellings.
func wellFormed(token string) bool {
	parts := strings.Split(token, ".")
	if len(token) > maxTokenSize || len(parts) != 3 || strings.ContainsAny(token, "\r\n") {
		return false
	}
	for _, part := range parts {
		if _, err := base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return false
		}
	}
	return true
}

// JWKS returns the public halves of all published keys as RFC 7517 JSON, and
// an entity tag of it. Both are nil and empty before the first load.
func (r *Ring) JWKS() (body []byte, etag string) {
	state := r.current.Load()
	if state == nil {
		return nil, ""
	}
	return state.jwks, state.etag
}

// Problem returns why some published key cannot sign on this node, or nil.
func (r *Ring) Problem() error {
	if state := r.current.Load(); state != nil {
		return state.problem
	}
	return ErrNotReady
}

// load opens the keys of set and makes them the current ones. A key that this
// node has open already is not opened again. One that cannot be opened is
// published and verifies, but does not sign; the error tells of it, and so
// does Problem as long as it lasts. What was compromised is gone in any case.
func (r *Ring) load(set Set, sealer *Sealer, loadedAt time.Time) error {
	before := r.current.Load()
	now := r.now()
	next := &ringState{
		loadedAt: loadedAt,
		signers:  map[Algorithm][]*signer{}, public: map[string]*jose.JSONWebKey{}, keys: map[string]Key{},
	}
	published := []json.RawMessage{}
	for _, k := range set.Keys {
		if !k.Published(now) {
			continue
		}
		public := &jose.JSONWebKey{}
		if err := public.UnmarshalJSON(k.Public); err != nil {
			return fmt.Errorf("public half of key %s: %w", k.ID, err)
		}
		next.public[k.ID], next.keys[k.ID] = public, k
		published = append(published, k.Public)
		private, err := openCached(before, k, sealer)
		if err != nil {
			next.problem = errors.Join(next.problem, err)
			continue
		}
		next.signers[k.Algorithm] = append(next.signers[k.Algorithm], &signer{key: k, private: private})
	}
	body, err := json.Marshal(map[string]any{"keys": published})
	if err != nil {
		return fmt.Errorf("encode JWKS: %w", err)
	}
	sum := sha256.Sum256(body)
	next.jwks, next.etag = body, `"`+base64.RawURLEncoding.EncodeToString(sum[:12])+`"`
	r.current.Store(next)
	return next.problem
}

// openCached returns the private half of k. It never changes for a kid, so one
// that is open stays so, whatever it has been sealed under since.
func openCached(before *ringState, k Key, sealer *Sealer) (jose.JSONWebKey, error) {
	if before != nil {
		for _, s := range before.signers[k.Algorithm] {
			if s.key.ID == k.ID {
				return s.private, nil
			}
		}
	}
	private, _, err := sealer.open(k.ID, k.Sealed)
	return private, err
}
