// Package password owns how a password becomes a hash and how one is checked
// against it: normalisation, length limits, Argon2id. It leaves to others who
// may log in, how often, and where the hash is kept.
package password

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
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

// ErrBusy is returned when no place was free to hash in before the request
// ended.
var ErrBusy = errors.New("too many passwords are being checked")

// Hasher hashes and checks passwords. It is safe for concurrent use. Each call
// costs Params.MemoryKiB of memory and tens of milliseconds of a processor, so
// no more run at once than there are processors; others wait.
type Hasher struct {
	slots   chan struct{}
	params  Params
	hasher  *argon2.Hasher
	decoder *crypt.Decoder
	dummy   string
}

// New returns a Hasher that makes hashes with params.
func New(params Params) (*Hasher, error) {
	hasher, err := argon2.New(argon2.WithVariantID(), argon2.WithM(params.MemoryKiB), argon2.WithT(params.Iterations), argon2.WithP(params.Parallelism))
	if err != nil {
		return nil, fmt.Errorf("argon2id parameters: %w", err)
	}
	decoder := crypt.NewDecoder()
	if err := argon2.RegisterDecoderArgon2id(decoder); err != nil {
		return nil, fmt.Errorf("argon2id decoder: %w", err)
	}
	h := &Hasher{slots: make(chan struct{}, runtime.GOMAXPROCS(0)), params: params, hasher: hasher, decoder: decoder}
	if h.dummy, err = h.hash(rand.Text()); err != nil {
		return nil, err
	}
	return h, nil
}

// enter waits for a place to hash in and returns how to leave it.
func (h *Hasher) enter(ctx context.Context) (leave func(), err error) {
	select {
	case h.slots <- struct{}{}:
		return func() { <-h.slots }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	}
}

// Hash checks that password may be set and returns its PHC string. The error
// wraps ErrUnacceptable when the password itself is at fault, and ErrBusy when
// ctx ended first.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	normalised, err := normalise(password)
	if err != nil {
		return "", err
	}
	if utf8.RuneCountInString(normalised) < MinLength {
		return "", fmt.Errorf("%w: use at least %d characters", ErrUnacceptable, MinLength)
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
// should be made anew because the parameters have changed since. An empty
// encoded stands for a user that does not exist: the same work is done and the
// answer is false. The error wraps ErrBusy when ctx ended before the work began.
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
	normalised, err := normalise(password)
	if err != nil {
		// No such password can have been set; the work is done all the same,
		// so that its length or form tells nothing about the account.
		missing, normalised = true, ""
	}
	digest, err := h.decoder.Decode(encoded)
	if err != nil {
		return false, false, fmt.Errorf("stored password hash cannot be read: %w", errUnreadable)
	}
	ok, err = digest.MatchAdvanced(normalised)
	if err != nil {
		return false, false, fmt.Errorf("check password: %w", err)
	}
	if missing {
		return false, false, nil
	}
	return ok, ok && h.outdated(digest.Encode()), nil
}

// errUnreadable replaces the decoder's error, which may quote the hash.
var errUnreadable = errors.New("unknown or damaged format")

func (h *Hasher) outdated(encoded string) bool {
	want := fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$", h.params.MemoryKiB, h.params.Iterations, h.params.Parallelism)
	return len(encoded) < len(want) || encoded[:len(want)] != want
}

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
