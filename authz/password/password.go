// Package password owns which passwords may be set (Policy), how one becomes a
// hash and is checked against it (Hasher), and which hashes of other programs
// are taken over (CheckForeign). It leaves to others who may log in, how often,
// and where the hash is kept.
package password

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/go-crypt/crypt"
	"github.com/go-crypt/crypt/algorithm/argon2"
	"golang.org/x/text/secure/precis"
)

// Limits of a password, counted in Unicode code points after normalisation,
// and in bytes before it (NIST SP 800-63B-4 section 3.1.1.2).
const (
	MinLength = 8
	MaxLength = 256
	MaxBytes  = 1024
)

// ErrUnacceptable is returned for a password that may not be set; the wrapped
// text says why and is fit to be shown to the user.
var ErrUnacceptable = errors.New("password not acceptable")

// Params are the Argon2id costs (RFC 9106 section 3.1).
type Params struct {
	MemoryKiB   uint32
	Iterations  int
	Parallelism int
}

// DefaultParams is the floor that OWASP and RFC 9106 agree on for servers.
var DefaultParams = Params{MemoryKiB: 19456, Iterations: 2, Parallelism: 1}

// ErrBusy is returned when too many wait for a place to hash in, or none was
// free before the request ended.
var ErrBusy = errors.New("too many passwords are being checked")

// Limits bound how many hashes are computed at once, and how many calls wait.
// A zero field stands for the default: as many as there are processors, and
// DefaultWaiting.
type Limits struct {
	Concurrent int
	Waiting    int
}

// DefaultWaiting is how many calls wait at most: two processors work that off
// in about a second.
const DefaultWaiting = 100

// Hasher hashes and checks passwords. It is safe for concurrent use. Each call
// costs Params.MemoryKiB of memory and tens of milliseconds of a processor, so
// only a few run at once and a few more wait.
type Hasher struct {
	slots   chan struct{}
	waiting atomic.Int64
	refused atomic.Int64
	queue   int64
	params  Params
	hasher  *argon2.Hasher
	decoder *crypt.Decoder
	// dummy is a hash of no password: checking against it costs what checking
	// against one of ours does.
	dummy string
}

// New returns a Hasher that makes hashes with params.
func New(params Params, limits Limits) (*Hasher, error) {
	hasher, err := argon2.New(argon2.WithVariantID(), argon2.WithM(params.MemoryKiB), argon2.WithT(params.Iterations), argon2.WithP(params.Parallelism))
	if err != nil {
		return nil, fmt.Errorf("argon2id parameters: %w", err)
	}
	decoder, err := newDecoder()
	if err != nil {
		return nil, err
	}
	if limits.Concurrent <= 0 {
		limits.Concurrent = runtime.GOMAXPROCS(0)
	}
	if limits.Waiting <= 0 {
		limits.Waiting = DefaultWaiting
	}
	return &Hasher{
		slots: make(chan struct{}, limits.Concurrent), queue: int64(limits.Waiting),
		params: params, hasher: hasher, decoder: decoder, dummy: params.prefix() + randomText(saltSize) + "$" + randomText(keySize),
	}, nil
}

// Sizes of our own hashes, in bytes.
const (
	saltSize = 16
	keySize  = 32
)

// prefix is how our own hashes begin.
func (p Params) prefix() string {
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$", p.MemoryKiB, p.Iterations, p.Parallelism)
}

func randomText(size int) string {
	b := make([]byte, size)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the program instead
	return base64.RawStdEncoding.EncodeToString(b)
}

// enter waits for a place to hash in and returns how to leave it. It does not
// wait where too many wait already.
func (h *Hasher) enter(ctx context.Context) (leave func(), err error) {
	leave = func() { <-h.slots }
	select {
	case h.slots <- struct{}{}:
		return leave, nil
	default:
	}
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > h.queue {
		h.refused.Add(1)
		return nil, ErrBusy
	}
	select {
	case h.slots <- struct{}{}:
		return leave, nil
	case <-ctx.Done():
		h.refused.Add(1)
		return nil, fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	}
}

// Load says how busy a Hasher is.
type Load struct {
	// Running is how many hashes are being computed, Waiting how many requests
	// wait for a place.
	Running, Waiting int
	// Refused is how many found no place, since the start.
	Refused int64
}

// Load returns how busy the Hasher is now.
func (h *Hasher) Load() Load {
	return Load{Running: len(h.slots), Waiting: int(h.waiting.Load()), Refused: h.refused.Load()}
}

// Hash returns the PHC string of password, whose fitness is Policy's to
// judge. The error wraps ErrUnacceptable for one that no limit or form allows,
// and ErrBusy when there was no place to hash in.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	normalised, err := normalise(password)
	if err != nil {
		return "", err
	}
	leave, err := h.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	return h.hash(normalised)
}

func (h *Hasher) hash(normalised string) (string, error) {
	digest, err := h.hasher.Hash(normalised)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return digest.Encode(), nil
}

// Verify reports whether password belongs to encoded, and whether the hash
// should be made anew because the parameters have changed since or another
// program made it. An empty encoded stands for a user that does not exist: the same work is done and the
// answer is false. The error wraps ErrBusy when there was no place to work in.
func (h *Hasher) Verify(ctx context.Context, encoded, password string) (ok, rehash bool, err error) {
	leave, err := h.enter(ctx)
	if err != nil {
		return false, false, err
	}
	defer leave()
	missing := encoded == ""
	if missing {
		encoded = h.dummy
	}
	digest, err := h.decoder.Decode(encoded)
	if err != nil {
		return false, false, fmt.Errorf("stored password hash cannot be read: %w", errUnreadable)
	}
	attempts := forms(password)
	if len(attempts) == 0 {
		// No such password can have been set; the work is done all the same,
		// so that its length or form tells nothing about the account.
		missing, attempts = true, []string{""}
	}
	for _, attempt := range attempts {
		if ok, err = digest.MatchAdvanced(attempt); err != nil {
			return false, false, fmt.Errorf("check password: %w", err)
		}
		if ok && !missing {
			return true, h.outdated(encoded) && !truncates(encoded, attempt), nil
		}
	}
	return false, false, nil
}

// forms returns what may have been hashed for password: its normalised form,
// and the bytes as they are where these differ, since other programs hash
// them so.
func forms(password string) []string {
	normalised, err := normalise(password)
	switch {
	case len(password) > MaxBytes, !utf8.ValidString(password), password == "":
		return nil
	case err != nil:
		return []string{password}
	case normalised != password:
		return []string{normalised, password}
	}
	return []string{normalised}
}

// errUnreadable replaces the decoder's error, which may quote the hash.
var errUnreadable = errors.New("unknown or damaged format")

func (h *Hasher) outdated(encoded string) bool { return !strings.HasPrefix(encoded, h.params.prefix()) }

// normalise applies the OpaqueString profile (RFC 8265 section 4.2) and the
// upper limits. Both setting and checking a password go through it.
func normalise(password string) (string, error) {
	if len(password) > MaxBytes {
		return "", fmt.Errorf("%w: use at most %d characters", ErrUnacceptable, MaxLength)
	}
	normalised, err := precis.OpaqueString.String(password)
	if err != nil || !utf8.ValidString(password) {
		return "", fmt.Errorf("%w: it is empty or holds characters that cannot be typed", ErrUnacceptable)
	}
	if utf8.RuneCountInString(normalised) > MaxLength {
		return "", fmt.Errorf("%w: use at most %d characters", ErrUnacceptable, MaxLength)
	}
	return normalised, nil
}
