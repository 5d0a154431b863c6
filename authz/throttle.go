package authz

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Bucket is a number of attempts that may come at once and is filled up again
// evenly: Burst of them in each Period.
type Bucket struct {
	// Key is a hash with the bucket's kind in front: its length is bounded.
	Key    string
	Burst  int
	Period time.Duration
}

// Limiter counts attempts in buckets, and remembers keys. It never fails: one
// that cannot reach its memory answers from what it has. It is safe for
// concurrent use.
type Limiter interface {
	// Take takes one attempt from each bucket in their order. At the first
	// empty one it stops and returns how long until that one has an attempt
	// again; zero means that none was empty. What was taken stays taken.
	Take(ctx context.Context, buckets []Bucket) time.Duration
	// Return gives back one attempt that was taken from each bucket.
	Return(ctx context.Context, buckets []Bucket)
	// Reset fills the buckets up.
	Reset(ctx context.Context, buckets []Bucket)
	// Remember keeps a key for a duration.
	Remember(ctx context.Context, key string, duration time.Duration)
	// Remembers reports whether the key is kept.
	Remembers(ctx context.Context, key string) bool
}

// FailureLimiter is a Limiter of this process alone, fast enough to be asked
// at every request.
type FailureLimiter interface {
	// Take is that of Limiter.
	Take(ctx context.Context, buckets []Bucket) time.Duration
	// Wait returns how long until every bucket has an attempt, and takes none.
	Wait(buckets []Bucket) time.Duration
}

// ThrottlePolicy says how many attempts a minute may come: on one account from
// one address, on one account from all addresses that it is not known from,
// from one address, and through one client. So many may come at once, and as
// many each minute after; in the long run only a twelfth of it may, so that the
// wait grows as attempts go on. Logins that succeed do not count.
type ThrottlePolicy struct {
	Pair    int
	Account int
	Address int
	Client  int
}

// Throttle slows guessing down before any password is hashed, for names that
// exist and names that do not alike. No attempt ever locks an account:
//
//   - whoever fails from one address empties the bucket of that account and
//     address first, and never reaches that of the account;
//   - an address from which the account was logged in to lately does not take
//     from the account's bucket, so that an attack from elsewhere leaves it in;
//   - the reset of a password by mail is counted apart, and makes the address
//     that it came from a known one.
//
// Who comes from an address that is not known competes, while an attack on his
// account goes on, with the attack for its attempts and mails.
//
// The zero value throttles nothing.
type Throttle struct {
	Policy  ThrottlePolicy
	Limiter Limiter
	// Failures counts wrong client secrets on this node.
	Failures FailureLimiter
}

const (
	// sustained is how many of the minute's attempts an hour may bring.
	sustained = 5
	// knownAddress is how long an address stays known after a login.
	knownAddress = 30 * 24 * time.Hour
)

// Limits of what is throttled besides logins: those of people who try a few
// times.
var (
	limitMail     = Bucket{Key: "mail", Burst: 10, Period: time.Hour}           // mails about one name, from addresses that it is not known from
	limitMailPair = Bucket{Key: "mail-pair", Burst: 5, Period: time.Hour}       // mails about one account, from one network address
	limitMailFrom = Bucket{Key: "mail-from", Burst: 20, Period: time.Hour}      // mails asked for from one network address
	limitConfirm  = Bucket{Key: "confirm", Burst: 30, Period: 10 * time.Minute} // links and codes sent in
	limitStrength = Bucket{Key: "strength", Burst: 120, Period: time.Minute}    // estimates of a password's strength
)

// Wrong secrets of one client from one address; and from one address at all,
// which shuts no right secret out and only changes the answer.
var (
	limitSecret  = Bucket{Key: "secret", Burst: 20, Period: time.Minute}
	limitSecrets = Bucket{Key: "secret-from", Burst: 100, Period: 5 * time.Minute}
)

// of returns the bucket of that kind for a subject.
func (b Bucket) of(subject ...string) Bucket {
	sum := sha256.Sum256([]byte(strings.Join(subject, "\x00")))
	b.Key += ":" + base64.RawURLEncoding.EncodeToString(sum[:16])
	return b
}

// perMinute returns the two buckets that let n attempts a minute through, and
// a twelfth of it in the long run.
func perMinute(kind string, n int, subject ...string) []Bucket {
	return []Bucket{
		Bucket{Key: kind, Burst: n, Period: time.Minute}.of(subject...),
		Bucket{Key: kind + "-hour", Burst: sustained * n, Period: time.Hour}.of(subject...),
	}
}

// Network returns what an address is counted as: itself, or the /64 of an
// IPv6 address, all of which one host may have.
func Network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	prefix, _ := ip.Prefix(64) // never fails for IPv6
	return prefix.String()
}

// attempt is one try of a password.
type attempt struct {
	// name is normalised; it need not exist.
	name, clientID, network string
	// taken are the shared buckets that it took from.
	taken []Bucket
}

func newAttempt(name, clientID, address string) attempt {
	return attempt{name: name, clientID: clientID, network: Network(address)}
}

func (a attempt) pair(p ThrottlePolicy) []Bucket {
	return perMinute("pair", p.Pair, a.name, a.network)
}

// wide are the buckets that an attempt shares with others.
func (a attempt) wide(p ThrottlePolicy) []Bucket {
	return slices.Concat(perMinute("address", p.Address, a.network), perMinute("account", p.Account, a.name), perMinute("client", p.Client, a.clientID))
}

func (a attempt) known() string { return Bucket{Key: "known"}.of(a.name, a.network).Key }

// login counts an attempt to log in. The error tells how long to wait.
func (t *Throttle) login(ctx context.Context, a *attempt) error {
	if t == nil || t.Limiter == nil {
		return nil
	}
	buckets := a.pair(t.Policy)
	if !t.Limiter.Remembers(ctx, a.known()) {
		a.taken = a.wide(t.Policy)
		buckets = append(buckets, a.taken...)
	}
	return throttled(t.Limiter.Take(ctx, buckets))
}

// succeeded makes the address a known one of the account, forgets the failures
// from it, and gives back what the attempt took from others.
func (t *Throttle) succeeded(ctx context.Context, a attempt) {
	if t == nil || t.Limiter == nil {
		return
	}
	t.Limiter.Reset(ctx, a.pair(t.Policy))
	t.Limiter.Remember(ctx, a.known(), knownAddress)
	if len(a.taken) > 0 {
		t.Limiter.Return(ctx, a.taken)
	}
}

// mail counts a mail about the account or address with the normalised name.
func (t *Throttle) mail(ctx context.Context, name, address string) error {
	if t == nil || t.Limiter == nil {
		return nil
	}
	a := newAttempt(name, "", address)
	buckets := []Bucket{limitMailPair.of(name, a.network), limitMailFrom.of(a.network)}
	if !t.Limiter.Remembers(ctx, a.known()) {
		buckets = append(buckets, limitMail.of(name))
	}
	return throttled(t.Limiter.Take(ctx, buckets))
}

// take counts any other action.
func (t *Throttle) take(ctx context.Context, buckets ...Bucket) error {
	if t == nil || t.Limiter == nil {
		return nil
	}
	return throttled(t.Limiter.Take(ctx, buckets))
}

// giveBack returns an attempt to buckets that it was taken from.
func (t *Throttle) giveBack(ctx context.Context, buckets ...Bucket) {
	if t != nil {
		t.Limiter.Return(ctx, buckets)
	}
}

// secretAllowed reports whether the client's secret from this address may be
// looked at. Wrong secrets of other clients do not matter: they may come from
// behind the same address.
func (t *Throttle) secretAllowed(clientID, address string) error {
	if t == nil || t.Failures == nil {
		return nil
	}
	return throttled(t.Failures.Wait([]Bucket{limitSecret.of(clientID, Network(address))}))
}

// secretFailed counts a wrong client secret. It returns an error when there
// were too many from the address, whichever clients they were for.
func (t *Throttle) secretFailed(ctx context.Context, clientID, address string) error {
	if t == nil || t.Failures == nil {
		return nil
	}
	from := Network(address)
	return throttled(t.Failures.Take(ctx, []Bucket{limitSecret.of(clientID, from), limitSecrets.of(from)}))
}

// throttled is one answer for every bucket.
func throttled(wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	return &Error{Code: TemporarilyUnavailable, Description: "Too many attempts. Try again later.", RetryAfter: wait}
}
