package verify_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"chancery/authz/verify"
)

// slowIssuer keeps requests for one path until it is let go, or they give up.
type slowIssuer struct {
	*testIssuer
	path atomic.Value
	// delay is how long such a request takes; 0 stands for ever.
	delay time.Duration
	// under is how many are under way.
	under atomic.Int64
}

func (s *slowIssuer) RoundTrip(r *http.Request) (*http.Response, error) {
	if path, _ := s.path.Load().(string); path == r.URL.Path {
		s.under.Add(1)
		defer s.under.Add(-1)
		if s.delay == 0 {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
		time.Sleep(s.delay)
	}
	return s.testIssuer.RoundTrip(r)
}

func (s *slowIssuer) verifier(t *testing.T) *verify.Verifier {
	t.Helper()
	v, err := verify.New(vectorIssuer, vectorAudience, verify.Options{Client: &http.Client{Transport: s}})
	must(t, err)
	return v
}

// Nobody waits longer than its own context, also the one that asks first.
func TestContextOfTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowIssuer{testIssuer: newIssuer(t)}
		s.path.Store(keysPath)
		v, token := s.verifier(t), s.token(7)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		begun := time.Now()
		if _, err := v.Verify(ctx, token); !errors.Is(err, verify.ErrUnavailable) || time.Since(begun) > 200*time.Millisecond {
			t.Errorf("Verify = %v after %s, want ErrUnavailable with its context", err, time.Since(begun))
		}
		synctest.Wait()
		if n := s.under.Load(); n != 0 {
			t.Errorf("%d fetches go on that nobody waits for", n)
		}
	})
}

func TestRunEndsWhileItFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowIssuer{testIssuer: newIssuer(t)}
		v := s.verifier(t)
		wantGood(t, "a good token", v, s.token(7))
		s.path.Store(listPath)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- v.Run(ctx) }()
		time.Sleep(31 * time.Second)
		begun := time.Now()
		cancel()
		if err := <-ended; err != nil || time.Since(begun) > 0 {
			t.Errorf("Run = %v, %s after its context ended", err, time.Since(begun))
		}
		synctest.Wait()
	})
}

// A list that is long due is waited for, by everybody.
func TestLongDueListIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowIssuer{testIssuer: newIssuer(t), delay: time.Second}
		v := s.verifier(t)
		token := s.token(7)
		wantGood(t, "at first", v, token)
		s.revoke(7)
		time.Sleep(14 * time.Minute)
		s.path.Store(listPath)
		var group sync.WaitGroup
		for range 5 {
			group.Go(func() { wantBad(t, "revoked 14 minutes ago", v, token, verify.Revoked) })
		}
		group.Wait()
	})
}

// While the issuer does not answer, few requests wait for it.
func TestOutageBlocksFewRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowIssuer{testIssuer: newIssuer(t)}
		v := s.verifier(t)
		token := s.token(7)
		wantGood(t, "at first", v, token)
		s.path.Store(listPath)
		time.Sleep(time.Minute)
		slow := 0
		for range 10 * 60 {
			begun := time.Now()
			wantGood(t, "during the outage", v, token)
			if time.Since(begun) > 0 {
				slow++
			}
			time.Sleep(time.Second)
		}
		if slow > 25 {
			t.Errorf("%d of 600 requests waited for an issuer that does not answer", slow)
		}
	})
}

// A list may expire before its ttl is over.
func TestExpiredListIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		expires := time.Now().Unix() + 60
		i.answer = func(r *http.Request) *http.Response {
			if r.URL.Path != listPath {
				return nil
			}
			return text(r, http.StatusOK, i.signer.list(t, with(listClaims(t, issuerList, 1, expires-900, 1024), object{"exp": expires})))
		}
		v := i.verifier()
		time.Sleep(59 * time.Second)
		token := i.token(7)
		wantGood(t, "a second before the list expires", v, token)
		i.down(true)
		time.Sleep(time.Second)
		wantUnavailable(t, "when it has expired", v, token)
	})
}

// B.3 rule 1: a token that is not good in itself has no list fetched.
func TestExpiredTokenHasNoListFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		v := i.verifier()
		running(t, v)
		wantBad(t, "expired", v, i.token(7, object{"exp": time.Now().Unix() - 60}), verify.Expired)
		time.Sleep(time.Minute)
		if n := i.asked(listPath); n != 0 {
			t.Errorf("the list was fetched %d times", n)
		}
	})
}

// A list that is gone is not asked for every second.
func TestMissingListIsAskedForSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		i.answers(listPath, http.StatusNotFound, "")
		v := i.verifier()
		running(t, v)
		wantUnavailable(t, "no list", v, i.token(7))
		time.Sleep(10 * time.Minute)
		if n := i.asked(listPath); n > 30 {
			t.Errorf("a list that is not there was asked for %d times in 10 minutes", n)
		}
	})
}

// RS-15: an answer without keys, as a proxy may send, takes no keys away.
func TestRS15_EmptyKeySet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		v := i.verifier()
		token := i.token(7)
		wantGood(t, "at first", v, token)
		i.answers(keysPath, http.StatusOK, `{"message":"maintenance"}`)
		time.Sleep(20 * time.Minute)
		wantGood(t, "with the keys of before", v, token)
	})
}

// The clock of the issuer may have gone back: versions count, not times.
func TestVersionsCountNotTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		version, issued := int64(5), time.Now().Unix()
		var ended []uint32
		i.answer = func(r *http.Request) *http.Response {
			if r.URL.Path != listPath {
				return nil
			}
			c := with(listClaims(t, issuerList, version, issued, 1024, ended...), object{"exp": time.Now().Unix() + 900})
			return text(r, http.StatusOK, i.signer.list(t, c))
		}
		v := i.verifier()
		wantGood(t, "at first", v, i.token(7))
		i.edit(func() { version, issued, ended = 6, issued-600, []uint32{7} })
		time.Sleep(31 * time.Second)
		wantBad(t, "a newer version of an earlier time", v, i.token(7), verify.Revoked)
	})
}

type panicky struct{}

func (panicky) RoundTrip(*http.Request) (*http.Response, error) { panic("a transport of the caller's") }

func TestPanicOfATransport(t *testing.T) {
	i := newIssuer(t)
	v, err := verify.New(vectorIssuer, vectorAudience, verify.Options{Client: &http.Client{Transport: panicky{}}})
	must(t, err)
	for range 2 {
		wantUnavailable(t, "a transport that panics", v, i.token(7))
	}
}

func TestStreamKeepsAwayNotForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		i.answer = func(r *http.Request) *http.Response {
			if r.URL.Path != streamPath {
				return nil
			}
			a := text(r, http.StatusServiceUnavailable, "")
			a.Header.Set("Retry-After", "65535")
			return a
		}
		running(t, i.verifier())
		time.Sleep(time.Hour)
		if n := i.asked(streamPath); n < 50 {
			t.Errorf("the stream was tried %d times in an hour, want once a minute at least", n)
		}
	})
}

// With a secret that is not good any more the stream is still for everybody.
func TestStreamWithAWrongSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		i.answer = func(r *http.Request) *http.Response {
			if r.URL.Path == streamPath && r.Header.Get("Authorization") != "" {
				return text(r, http.StatusUnauthorized, "")
			}
			return nil
		}
		v := i.verifier(func(o *verify.Options) { o.ClientID, o.ClientSecret = "api", "old" })
		running(t, v)
		time.Sleep(5 * time.Second)
		token := i.token(7)
		wantGood(t, "a good token", v, token)
		i.announce(i.revoke(7))
		synctest.Wait()
		wantBad(t, "by the stream", v, token, verify.Revoked)
	})
}

// Verifiers that heard of a version together do not come back together.
func TestVerifiersDoNotComeInStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		for range 20 {
			v := i.verifier(func(o *verify.Options) { o.NoStream = true })
			running(t, v)
			wantGood(t, "a good token", v, i.token(7))
		}
		before, most := i.asked(listPath), 0
		for range 60 {
			time.Sleep(time.Second)
			now := i.asked(listPath)
			most = max(most, now-before)
			before = now
		}
		if most > 15 {
			t.Errorf("%d of 20 verifiers asked within one second", most)
		}
	})
}

// Whoever asks while another's fetch succeeds is not told that it failed.
func TestNoSpuriousFailure(t *testing.T) {
	for range 50 {
		i := newIssuer(t)
		v := i.verifier()
		token := i.token(7)
		var group sync.WaitGroup
		for n := range 32 {
			group.Go(func() { wantGood(t, fmt.Sprint("request ", n), v, token) })
		}
		group.Wait()
	}
}

// A client that hangs up makes nothing of the issuer's state: the next one is
// served.
func TestHangingUpHurtsNobody(t *testing.T) {
	for name, path := range map[string]string{"keys": keysPath, "list": listPath} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &slowIssuer{testIssuer: newIssuer(t), delay: time.Second}
				s.path.Store(path)
				v, token := s.verifier(t), s.token(7)
				for range 5 {
					ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
					if _, err := v.Verify(ctx, token); !errors.Is(err, verify.ErrUnavailable) {
						t.Errorf("a client that hangs up: %v", err)
					}
					cancel()
					wantGoodSoon(t, v, token)
					v = s.verifier(t)
				}
			})
		})
	}
}

func wantGoodSoon(t *testing.T, v *verify.Verifier, token string) {
	t.Helper()
	begun := time.Now()
	wantGood(t, "the next client", v, token)
	if took := time.Since(begun); took > 1100*time.Millisecond {
		t.Errorf("the next client waits %s", took)
	}
}

// A key that is new may be unknown for want of an answer: that is no refusal,
// and is made up for when the issuer is back.
func TestNewKeyDuringAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		v := i.verifier()
		wantGood(t, "a good token", v, i.token(7))
		i.edit(func() { i.keys = append([]testKey{newKey(t, "EdDSA")}, i.keys...) })
		token := i.token(8)
		i.down(true)
		wantUnavailable(t, "a new key during the outage", v, token)
		i.down(false)
		time.Sleep(10 * time.Second)
		wantGood(t, "a new key when the issuer is back", v, token)
	})
}

// A clock that is set back delays nothing for as long as it was ahead.
func TestClockGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		var ahead atomic.Int64
		ahead.Store(int64(10 * time.Minute))
		v := i.verifier(func(o *verify.Options) {
			o.NoStream = true
			o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		})
		token := i.token(7, object{"exp": time.Now().Unix() + 7200})
		wantGood(t, "at first", v, token)
		ahead.Store(0)
		i.revoke(7)
		time.Sleep(31 * time.Second)
		wantBad(t, "after the ttl", v, token, verify.Revoked)
		i.edit(func() { i.keys = append([]testKey{newKey(t, "EdDSA")}, i.keys...) })
		wantGood(t, "a token of a new key", v, i.token(8))
	})
}

// Caches in between may answer, but not when other keys are looked for than they
// may hold.
func TestCachesAreAskedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		var past []string
		i.answer = func(r *http.Request) *http.Response {
			if r.Header.Get("Cache-Control") != "" {
				past = append(past, r.URL.Path)
			}
			return nil
		}
		v := i.verifier()
		wantGood(t, "a good token", v, i.token(7))
		time.Sleep(11 * time.Minute)
		wantGood(t, "when all is due again", v, i.token(7))
		if len(past) != 0 {
			t.Errorf("caches were passed by for %v", past)
		}
		i.edit(func() { i.keys = append([]testKey{newKey(t, "EdDSA")}, i.keys...) })
		wantGood(t, "a new key", v, i.token(7))
		if len(past) != 1 || past[0] != keysPath {
			t.Errorf("for a new key caches were passed by for %v, want the keys alone", past)
		}
	})
}

// A verifier that starts while the issuer is down is ready soon after it is up.
func TestStartDuringAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		v := i.verifier()
		token := i.token(7)
		i.down(true)
		running(t, v)
		wantUnavailable(t, "during the outage", v, token)
		time.Sleep(30 * time.Second)
		i.down(false)
		time.Sleep(2 * time.Second)
		wantGood(t, "two seconds after it", v, token)
	})
}
