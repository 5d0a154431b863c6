package verify_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chancery/authz/verify"
)

// running runs the verifier until the test ends.
func running(t *testing.T, v *verify.Verifier) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
	synctest.Wait()
}

func TestToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		now := time.Now().UTC().Truncate(time.Second)
		token, err := i.verifier().Verify(t.Context(), i.token(7, object{
			"aud": []string{"x", vectorAudience}, "auth_time": now.Unix() - 5, "amr": []string{"pwd", "otp"}, "roles": []string{"editor"},
		}))
		must(t, err)
		want := verify.Token{
			Issuer: vectorIssuer, Subject: "usr_1", Audience: []string{"x", vectorAudience}, ClientID: "app", ID: token.ID, Scope: []string{"read", "write"},
			IssuedAt: now, ExpiresAt: now.Add(time.Hour), SessionID: "sid7", AuthTime: now.Add(-5 * time.Second), AMR: []string{"pwd", "otp"}, Roles: []string{"editor"},
		}
		got, expected := reflect.ValueOf(*token), reflect.ValueOf(want)
		for n := range got.NumField() {
			if field := got.Type().Field(n); field.IsExported() && !reflect.DeepEqual(got.Field(n).Interface(), expected.Field(n).Interface()) {
				t.Errorf("%s = %v, want %v", field.Name, got.Field(n), expected.Field(n))
			}
		}
		if !token.HasScope("read") || token.HasScope("rea") || token.HasScope("") || token.OfClient() {
			t.Errorf("scopes or owner of %+v are wrong", token)
		}
		own, err := i.verifier().Verify(t.Context(), i.token(7, object{"sub": "app", "sid": nil}))
		if err != nil || !own.OfClient() {
			t.Errorf("a client's own token: %+v, %v", own, err)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		issuer, audience string
		options          verify.Options
	}{
		"no issuer":       {"", vectorAudience, verify.Options{}},
		"http":            {"http://as.example", vectorAudience, verify.Options{}},
		"trailing slash":  {"https://as.example/", vectorAudience, verify.Options{}},
		"a query":         {"https://as.example?x", vectorAudience, verify.Options{}},
		"a password":      {"https://u:p@as.example", vectorAudience, verify.Options{}},
		"no audience":     {vectorIssuer, "", verify.Options{}},
		"too much leeway": {vectorIssuer, vectorAudience, verify.Options{Leeway: 61 * time.Second}},
		"none":            {vectorIssuer, vectorAudience, verify.Options{Algorithms: []string{"none"}}},
		"a shared secret": {vectorIssuer, vectorAudience, verify.Options{Algorithms: []string{"RS256", "HS256"}}},
	} {
		if _, err := verify.New(test.issuer, test.audience, test.options); err == nil {
			t.Errorf("%s: New accepts it", name)
		}
	}
	for _, issuer := range []string{vectorIssuer, "https://as.example/tenant", "http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080", "http://as.localhost"} {
		if _, err := verify.New(issuer, vectorAudience, verify.Options{}); err != nil {
			t.Errorf("New(%s): %v", issuer, err)
		}
	}
}

func TestAlgorithmsCanBeFewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		i.edit(func() { i.signer = i.keys[0] }) // lists may be signed with any
		v := i.verifier(func(o *verify.Options) { o.Algorithms = []string{"ES256"} })
		i.edit(func() { i.keys[0], i.keys[1] = i.keys[1], i.keys[0] })
		wantGood(t, "ES256", v, i.token(1))
		i.edit(func() { i.keys[0], i.keys[1] = i.keys[1], i.keys[0] })
		wantBad(t, "EdDSA where ES256 alone is allowed", v, i.token(1), verify.WrongAlgorithm)
	})
}

func TestLeeway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		v := i.verifier(func(o *verify.Options) { o.Leeway = -1 })
		token := i.token(1, object{"exp": time.Now().Unix() + 10})
		wantGood(t, "before it expires", v, token)
		time.Sleep(10*time.Second - time.Millisecond)
		wantGood(t, "just before it expires", v, token)
		time.Sleep(time.Millisecond)
		wantBad(t, "RS-11: remembered, and expired without leeway", v, token, verify.Expired)
	})
}

// RS-08 and attack 29: a flood of made-up kids fetches the keys once a minute.
func TestRS08_UnknownKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		v := i.verifier()
		wantGood(t, "a good token", v, i.token(1))
		stranger := newKey(t, "EdDSA")
		flood := func(n int) {
			var group sync.WaitGroup
			for range n {
				group.Go(func() { wantBad(t, "a made-up kid", v, stranger.token(t, object{"x": 1}), verify.UnknownKey) })
			}
			group.Wait()
		}
		flood(100)
		if n := i.asked(keysPath); n != 2 {
			t.Errorf("%d fetches of the keys, want the first and one to see whether the kid is new", n)
		}
		time.Sleep(time.Minute)
		flood(100)
		flood(100)
		if n := i.asked(keysPath); n != 3 {
			t.Errorf("%d fetches of the keys after a minute, want 3", n)
		}
		// A key that is really new is found, by whoever comes first.
		time.Sleep(time.Minute)
		i.edit(func() { i.keys = append([]testKey{stranger}, i.keys...) })
		wantGood(t, "a token of a new key", v, i.token(1))
		fast := i.verifier(func(o *verify.Options) { o.UnknownKeyPause = time.Second })
		wantGood(t, "a good token", fast, i.token(1))
		next := newKey(t, "ES256")
		i.edit(func() { i.keys = append([]testKey{next}, i.keys...) })
		time.Sleep(time.Second)
		wantGood(t, "a new key, with a short pause", fast, i.token(1))
	})
}

// RS-06: keys of the issuer that are not fit for signatures are not used.
func TestRS06_UnfitKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		weak := newKey(t, "weak")
		i.edit(func() { i.keys = append([]testKey{weak}, i.keys...) })
		wantBad(t, "an RSA key of 1024 bits", i.verifier(), i.token(1), verify.UnknownKey)
		mislabeled := newKey(t, "ES256")
		mislabeled.alg = "ES384"
		i.edit(func() { i.keys = append([]testKey{mislabeled}, i.keys[1:]...) })
		wantBad(t, "a key for another algorithm", i.verifier(), mislabeled.sign(t, with(mislabeled.header(), object{"alg": "ES256"}), object{}), verify.UnknownKey)
	})
}

func TestRS15_KeysOfAnUnreachableIssuer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		v := i.verifier(func(o *verify.Options) { o.MaxStaleKeys = 2 * time.Hour; o.Status = verify.StatusIfPresent })
		i.down(true)
		token := i.token(1, object{"status": nil, "exp": time.Now().Unix() + 100_000})
		wantUnavailable(t, "without any keys", v, token)
		asked := i.asked("/.well-known/oauth-authorization-server")
		wantUnavailable(t, "without any keys, again", v, token)
		if n := i.asked("/.well-known/oauth-authorization-server"); n != asked {
			t.Errorf("%d requests right after one that failed, want none", n-asked)
		}
		i.down(false)
		time.Sleep(10 * time.Second)
		wantGood(t, "when the issuer is back", v, token)
		i.down(true)
		time.Sleep(2*time.Hour - time.Second)
		wantGood(t, "with keys that are not too old", v, token)
		wantUnavailable(t, "a kid meanwhile that may be new", v, newKey(t, "EdDSA").token(t, object{"x": 1}))
		wantUnavailable(t, "another", v, newKey(t, "EdDSA").token(t, object{"x": 1}))
		time.Sleep(time.Second)
		wantUnavailable(t, "with keys that are too old", v, token)
		time.Sleep(10 * time.Second)
		i.down(false)
		wantGood(t, "when the issuer is back again", v, token)
	})
}

// JW-07: a key that vanishes takes with it what it has verified.
func TestJW07_VanishedKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		v := i.verifier()
		token := i.token(1)
		wantGood(t, "a good token", v, token)
		i.edit(func() { i.keys, i.signer = i.keys[1:], i.keys[1] })
		time.Sleep(10 * time.Minute)
		wantBad(t, "its key is compromised", v, token, verify.UnknownKey)
		wantBad(t, "its key is compromised, again", v, token, verify.UnknownKey)
	})
}

// A compromised key is noticed long before the keys' max-age is over: the lists
// are signed with the next one, which the verifier does not know.
func TestVanishedKeyIsNoticedByItsLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		v := i.verifier()
		running(t, v)
		token := i.token(1)
		wantGood(t, "a good token", v, token)
		// Strangers have used up what unknown kids of tokens may cost.
		wantBad(t, "a made-up kid", v, newKey(t, "EdDSA").token(t, object{"x": 1}), verify.UnknownKey)
		i.edit(func() { i.keys = []testKey{newKey(t, "EdDSA")}; i.signer = i.keys[0] })
		i.announce(i.revoke(8))
		synctest.Wait()
		wantBad(t, "its key is compromised", v, token, verify.UnknownKey)
		wantGood(t, "a token of the new key", v, i.token(7))
		wantBad(t, "a session that was revoked with it", v, i.token(8), verify.Revoked)
	})
}

func TestKeysAreKeptForTheirMaxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		v := i.verifier()
		for range 59 {
			wantGood(t, "a good token", v, i.token(1))
			time.Sleep(10 * time.Second)
		}
		if n := i.asked(keysPath); n != 1 {
			t.Errorf("the keys were fetched %d times within their max-age", n)
		}
		time.Sleep(10 * time.Second)
		wantGood(t, "a good token", v, i.token(1))
		if n := i.asked(keysPath); n != 2 {
			t.Errorf("the keys were fetched %d times, want again after their max-age", n)
		}
	})
}

func TestDiscoveryRefuses(t *testing.T) {
	metadata := func(document any) func(r *http.Request) *http.Response {
		return func(r *http.Request) *http.Response {
			if strings.HasSuffix(r.URL.Path, "oauth-authorization-server") {
				body, _ := document.(string)
				if body == "" {
					body = string(encode(t, document))
				}
				return text(r, http.StatusOK, body)
			}
			return nil
		}
	}
	keySet := func(body string) func(r *http.Request) *http.Response {
		return func(r *http.Request) *http.Response {
			if r.URL.Path == keysPath {
				return text(r, http.StatusOK, body)
			}
			return nil
		}
	}
	private := newKey(t, "ES256")
	for name, answer := range map[string]func(r *http.Request) *http.Response{
		"another issuer":         metadata(object{"issuer": "https://evil.example", "jwks_uri": vectorIssuer + keysPath}),
		"issuer with a slash":    metadata(object{"issuer": vectorIssuer + "/", "jwks_uri": vectorIssuer + keysPath}),
		"no keys":                metadata(object{"issuer": vectorIssuer}),
		"keys by http":           metadata(object{"issuer": vectorIssuer, "jwks_uri": "http://as.example/keys"}),
		"keys in a file":         metadata(object{"issuer": vectorIssuer, "jwks_uri": "file:///etc/keys"}),
		"no JSON":                metadata("<html>"),
		"too long":               metadata(strings.Repeat(" ", 1<<20+1)),
		"a key set that is none": keySet("<html>"),
		"a private key":          keySet(`{"keys":[{"kty":"EC","crv":"P-256","kid":"x","x":"` + b64(make([]byte, 32)) + `"},` + privateJWK(t, private) + `]}`),
		"a shared secret":        keySet(`{"keys":[{"kty":"oct","kid":"x","k":"c2VjcmV0"}]}`),
		"one kid twice":          keySet(`{"keys":[` + publicJWK(t, private) + "," + publicJWK(t, private) + `]}`),
		"elsewhere by redirect": func(r *http.Request) *http.Response {
			a := text(r, http.StatusFound, "")
			a.Header.Set("Location", "https://evil.example/")
			return a
		},
		"elsewhere by http": func(r *http.Request) *http.Response {
			a := text(r, http.StatusFound, "")
			a.Header.Set("Location", "http://as.example/")
			return a
		},
		"in a circle by redirect": func(r *http.Request) *http.Response {
			a := text(r, http.StatusFound, "")
			a.Header.Set("Location", r.URL.String())
			return a
		},
		"server error": func(r *http.Request) *http.Response { return text(r, http.StatusInternalServerError, "") },
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			i.answer = func(r *http.Request) *http.Response {
				if r.URL.Host != "as.example" || r.URL.Scheme != "https" {
					t.Errorf("a request goes to %s", r.URL)
				}
				return answer(r)
			}
			wantUnavailable(t, "a good token", i.verifier(), i.token(1))
		})
	}
}

func TestTenantIssuer(t *testing.T) {
	i := newIssuer(t)
	asked := ""
	i.answer = func(r *http.Request) *http.Response { asked = r.URL.String(); return text(r, http.StatusNotFound, "") }
	v, err := verify.New(vectorIssuer+"/tenant", vectorAudience, verify.Options{Client: &http.Client{Transport: i}})
	must(t, err)
	wantUnavailable(t, "no keys", v, i.token(1))
	if want := vectorIssuer + "/.well-known/oauth-authorization-server/tenant"; asked != want {
		t.Errorf("the metadata was asked for at %s, want %s", asked, want)
	}
}

// Without Run a revocation is noticed when the list's ttl is over.
func TestRevocationWithoutRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		v := i.verifier()
		token, other := i.token(7), i.token(8)
		wantGood(t, "a good token", v, token)
		i.revoke(7)
		time.Sleep(26 * time.Second) // a tenth of the ttl is left to chance
		wantGood(t, "within the ttl", v, token)
		time.Sleep(4 * time.Second)
		wantBad(t, "after the ttl", v, token, verify.Revoked)
		wantBad(t, "after the ttl, again", v, token, verify.Revoked)
		wantGood(t, "another session", v, other)
		if n := i.asked(listPath); n != 2 {
			t.Errorf("the list was fetched %d times, want 2", n)
		}
	})
}

// A cache in between may hold a list for a while: its age counts.
func TestRevocationBehindACache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		v := i.verifier()
		i.edit(func() {
			i.answer = func(r *http.Request) *http.Response {
				if r.URL.Path != listPath {
					return nil
				}
				answer := i.list(r)
				answer.Header.Set("Age", "20")
				return answer
			}
		})
		token := i.token(7)
		wantGood(t, "a good token", v, token)
		i.revoke(7)
		time.Sleep(10 * time.Second)
		wantBad(t, "after what is left of the ttl", v, token, verify.Revoked)
	})
}

func TestRevocationByTTLWithRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		v := i.verifier(func(o *verify.Options) { o.NoStream = true })
		running(t, v)
		token := i.token(7)
		wantGood(t, "a good token", v, token)
		time.Sleep(5 * time.Minute)
		asked := i.asked(listPath)
		if asked < 9 || asked > 13 {
			t.Errorf("the list was fetched %d times in 5 minutes, want 10", asked)
		}
		if n := i.asked(streamPath); n != 0 {
			t.Errorf("the stream was opened %d times", n)
		}
		i.revoke(7)
		time.Sleep(31 * time.Second)
		i.down(true) // nothing is fetched for the request any more
		wantBad(t, "after the ttl", v, token, verify.Revoked)
	})
}

func TestRevocationByTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		v := i.verifier()
		running(t, v)
		token := i.token(7)
		wantGood(t, "a good token", v, token)
		i.announce(i.revoke(7))
		synctest.Wait()
		i.down(true)
		wantBad(t, "at once", v, token, verify.Revoked)
	})
}

// The node that is asked may be behind the one that told of the version.
func TestStreamRunsAheadOfTheList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		v := i.verifier()
		running(t, v)
		token := i.token(7)
		wantGood(t, "a good token", v, token)
		i.announce(2)
		time.Sleep(700 * time.Millisecond)
		wantGood(t, "while nobody has the version", v, token)
		asked := i.asked(listPath)
		if asked < 3 || asked > 12 {
			t.Errorf("%d requests in 0.7 s, want several with growing pauses", asked)
		}
		i.revoke(7)
		time.Sleep(2 * time.Second)
		wantBad(t, "when the version is there", v, token, verify.Revoked)
		settled := i.asked(listPath)
		time.Sleep(5 * time.Second)
		if n := i.asked(listPath); n != settled {
			t.Errorf("%d requests after the version was had", n-settled)
		}
		// What never comes is given up.
		i.announce(1000)
		time.Sleep(11 * time.Second)
		settled = i.asked(listPath)
		time.Sleep(10 * time.Second)
		if n := i.asked(listPath); n > settled+1 {
			t.Errorf("%d requests for a version that never came, after 10 s", n-settled)
		}
	})
}

func TestStreamIsOpenedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		log := &logBuffer{}
		v := i.verifier(func(o *verify.Options) {
			o.ClientID, o.ClientSecret, o.Log = "api", "se:cret", slog.New(slog.NewTextHandler(log, nil))
		})
		running(t, v)
		token := i.token(7)
		wantGood(t, "a good token", v, token)
		i.announce(1)
		i.mu.Lock()
		_ = i.streams[0].Close()
		i.mu.Unlock()
		time.Sleep(2 * time.Second)
		i.mu.Lock()
		if len(i.seen) != 2 || i.seen[0].Get("Last-Event-ID") != "" || i.seen[1].Get("Last-Event-ID") != "1" {
			t.Errorf("the stream was opened with %v, want twice, the second time after event 1", i.seen)
		}
		if id, secret, _ := (&http.Request{Header: i.seen[1]}).BasicAuth(); id != "api" || secret != "se%3Acret" {
			t.Errorf("credentials %q %q", id, secret)
		}
		i.mu.Unlock()
		i.announce(i.revoke(7))
		synctest.Wait()
		wantBad(t, "by the second stream", v, token, verify.Revoked)
		// One that says nothing is as good as none.
		time.Sleep(50 * time.Second)
		i.mu.Lock()
		defer i.mu.Unlock()
		if len(i.seen) < 3 {
			t.Error("a stream that is silent for 45 s was not opened again")
		}
		if !strings.Contains(log.String(), "interrupted") || strings.Contains(log.String(), "cret") {
			t.Errorf("log:\n%s", log)
		}
	})
}

func TestStreamWithoutAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		i.answer = func(r *http.Request) *http.Response {
			if r.URL.Path != streamPath {
				return nil
			}
			a := text(r, http.StatusServiceUnavailable, "")
			a.Header.Set("Retry-After", "20")
			return a
		}
		running(t, i.verifier())
		time.Sleep(2 * time.Minute)
		if n := i.asked(streamPath); n < 3 || n > 7 {
			t.Errorf("%d tries in 2 minutes, want one in 20 s at most", n)
		}
	})
}

func TestStreamIsNotBelieved(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON":              "data: x\n\n",
		"a negative version":   "data: {\"uri\":\"" + issuerList + "\",\"version\":-1}\n\n",
		"an endless line":      "data: " + strings.Repeat("x", 100_000),
		"a list of a stranger": "data: {\"uri\":\"https://evil.example/list\",\"version\":5}\n\n",
		"a comment":            ": hello\n\n",
		"other fields":         "retry: 5\nevent: x\nfoo\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := newIssuer(t)
				v := i.verifier()
				running(t, v)
				wantGood(t, "a good token", v, i.token(7))
				i.mu.Lock()
				stream := i.streams[0]
				i.mu.Unlock()
				go func() { _, _ = fmt.Fprint(stream, text) }()
				synctest.Wait()
				time.Sleep(5 * time.Second)
				wantGood(t, "afterwards", v, i.token(7))
				i.announce(i.revoke(7))
				synctest.Wait()
				wantBad(t, "the stream goes on", v, i.token(7), verify.Revoked)
			})
		})
	}
}

func TestStalePolicy(t *testing.T) {
	for name, open := range map[string]bool{"closed": false, "open": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := newIssuer(t)
				v := i.verifier(func(o *verify.Options) {
					if open {
						o.Stale = verify.StaleOpen
					}
				})
				good, revoked := i.token(7), i.token(8)
				i.revoke(8)
				wantGood(t, "a good token", v, good)
				wantBad(t, "a revoked token", v, revoked, verify.Revoked)
				i.down(true)
				time.Sleep(15*time.Minute - time.Second)
				wantGood(t, "while the list is valid", v, good)
				time.Sleep(time.Second)
				if open {
					wantGood(t, "after the list has expired", v, good)
					wantBad(t, "what the last list has revoked", v, revoked, verify.Revoked)
				} else {
					wantUnavailable(t, "after the list has expired", v, good)
					wantUnavailable(t, "after the list has expired, again", v, good)
					wantBad(t, "what is revoked stays so", v, revoked, verify.Revoked)
				}
				i.down(false)
				time.Sleep(10 * time.Second)
				wantGood(t, "when the issuer is back", v, good)
				wantBad(t, "when the issuer is back", v, revoked, verify.Revoked)
			})
		})
	}
}

func TestStaleOpenWithoutAnyList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		i.answers(listPath, http.StatusInternalServerError, "")
		wantGood(t, "open", i.verifier(func(o *verify.Options) { o.Stale = verify.StaleOpen }), i.token(1))
		wantUnavailable(t, "closed", i.verifier(), i.token(1))
	})
}

func TestStatusPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		without := i.token(1, object{"status": nil})
		other := i.token(1, object{"status": object{"other_list": object{"x": 1}}})
		required, ifPresent := i.verifier(), i.verifier(func(o *verify.Options) { o.Status = verify.StatusIfPresent })
		wantBad(t, "required, and missing", required, without, verify.BadStatus)
		wantBad(t, "required, and of another kind", required, other, verify.BadStatus)
		wantGood(t, "if present, and missing", ifPresent, without)
		wantGood(t, "if present, and of another kind", ifPresent, other)
		i.revoke(1)
		wantBad(t, "if present, and revoked", ifPresent, i.token(1), verify.Revoked)
	})
}

// Attack 39: a list never goes back, whoever may send an old one.
func TestListsNeverGoBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		old := i.signer.list(t, listClaims(t, issuerList, 1, time.Now().Unix(), 1024))
		v := i.verifier()
		token := i.token(7)
		i.revoke(7)
		wantBad(t, "revoked", v, token, verify.Revoked)
		i.answers(listPath, http.StatusOK, old)
		for range 10 {
			time.Sleep(time.Minute)
			wantBad(t, "an old list is sent", v, token, verify.Revoked)
		}
		time.Sleep(10 * time.Minute)
		wantBad(t, "nothing but an old list is sent", v, token, verify.Revoked)
		wantUnavailable(t, "nothing but an old list is sent", v, i.token(8))
	})
}

// Attack 38: a token for one resource server is nothing at another.
func TestTwoResourceServers(t *testing.T) {
	i := newIssuer(t)
	other, err := verify.New(vectorIssuer, "https://other.example", verify.Options{Client: &http.Client{Transport: i}})
	must(t, err)
	wantBad(t, "at another resource server", other, i.token(1), verify.WrongAudience)
}

// Many requests at once, also the first ones, share each fetch.
func TestOneFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		v := i.verifier()
		var group sync.WaitGroup
		for n := range 200 {
			token := i.token(uint32(n))
			group.Go(func() { wantGood(t, "a good token", v, token) })
		}
		group.Wait()
		if keys, lists := i.asked(keysPath), i.asked(listPath); keys != 1 || lists != 1 {
			t.Errorf("200 first requests fetched the keys %d and the list %d times, want once each", keys, lists)
		}
	})
}

// Whoever waits for the issuer gives up with its own context.
func TestContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		v := i.verifier()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		token := i.token(1)
		slow := make(chan struct{})
		i.answer = func(*http.Request) *http.Response { <-slow; return nil }
		first := make(chan error, 1)
		go func() { _, err := v.Verify(t.Context(), token); first <- err }()
		synctest.Wait()
		if _, err := v.Verify(ctx, token); !errors.Is(err, verify.ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Errorf("with a context that has ended: %v", err)
		}
		close(slow)
		if err := <-first; err != nil {
			t.Errorf("who still waited: %v", err)
		}
	})
}

// What is remembered is bounded, and forgets nothing that matters.
func TestCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		v := i.verifier(func(o *verify.Options) { o.CacheSize = 64 })
		var tokens []string
		for n := range 500 {
			tokens = append(tokens, i.token(uint32(n)))
		}
		for range 3 {
			for n, token := range tokens {
				found, err := v.Verify(t.Context(), token)
				if err != nil || found.SessionID != fmt.Sprint("sid", n) {
					t.Fatalf("token %d: %+v, %v", n, found, err)
				}
			}
		}
		first, err := v.Verify(t.Context(), tokens[0])
		must(t, err)
		if again, err := v.Verify(t.Context(), tokens[0]); err != nil || again != first {
			t.Errorf("a token seen before was parsed anew: %v", err)
		}
		for _, token := range tokens[1:] {
			wantGood(t, "another token", v, token)
		}
		if again, err := v.Verify(t.Context(), tokens[0]); err != nil || again == first {
			t.Errorf("a token is still remembered after 499 others, in a cache for 64: %v", err)
		}
		none := i.verifier(func(o *verify.Options) { o.CacheSize = -1 })
		first, err = none.Verify(t.Context(), tokens[0])
		must(t, err)
		if again, err := none.Verify(t.Context(), tokens[0]); err != nil || again == first {
			t.Errorf("without a cache a token was remembered: %v", err)
		}
	})
}

// Lists that no token names any more are not fetched for ever, and a token that
// names one again finds it.
func TestIdleLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		v := i.verifier(func(o *verify.Options) { o.NoStream = true })
		running(t, v)
		token := i.token(7, object{"exp": time.Now().Add(24 * time.Hour).Unix()})
		wantGood(t, "a good token", v, token)
		time.Sleep(11 * time.Minute)
		asked := i.asked(listPath)
		time.Sleep(time.Hour)
		if n := i.asked(listPath); n != asked {
			t.Errorf("a list that nobody uses was fetched %d times in an hour", n-asked)
		}
		i.revoke(7)
		wantBad(t, "hours later", v, token, verify.Revoked)
	})
}

func TestConcurrentUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		v := i.verifier(func(o *verify.Options) { o.CacheSize = 32 })
		running(t, v)
		var group sync.WaitGroup
		for worker := range 8 {
			tokens := []string{i.token(uint32(worker)), i.token(uint32(worker + 100)), i.token(uint32(worker + 200))}
			group.Go(func() {
				for round := range 200 {
					_, err := v.Verify(t.Context(), tokens[round%3])
					if err != nil && !errors.Is(err, verify.ErrInvalidToken) {
						t.Error(err)
					}
					time.Sleep(100 * time.Millisecond)
				}
			})
		}
		for n := range 20 {
			i.announce(i.revoke(uint32(n)))
			time.Sleep(time.Second)
		}
		group.Wait()
		for worker := range 8 {
			wantBad(t, "a revoked session", v, i.token(uint32(worker)), verify.Revoked)
			wantGood(t, "a live session", v, i.token(uint32(worker+100)))
		}
	})
}

func TestActors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		v := i.verifier()
		for name, row := range map[string]struct {
			act  any
			want []string
		}{
			"one": {object{"sub": "orders"}, []string{"orders"}},
			"two": {object{"act": object{"sub": "orders"}, "sub": "stock"}, []string{"stock", "orders"}},
		} {
			token, err := v.Verify(t.Context(), i.token(1, object{"act": row.act, "jti": name}))
			if err != nil || !slices.Equal(token.Actors, row.want) {
				t.Errorf("%s: %+v, %v, want %q", name, token, err, row.want)
			}
		}
		deep := object{"sub": "x"}
		for range 10 {
			deep = object{"sub": "x", "act": deep}
		}
		for name, act := range map[string]any{"no object": "orders", "empty": object{}, "no text": object{"sub": 7}, "within": object{"sub": "a", "act": "b"}, "without end": deep} {
			wantBad(t, name, v, i.token(1, object{"act": act, "jti": name}), verify.BadClaims)
		}
	})
}
