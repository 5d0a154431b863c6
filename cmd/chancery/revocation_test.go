package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chancery/authz/verify"
	"chancery/storage/pgtest"
)

// verifier returns a verifier of the first API's tokens, which runs until the
// test ends.
func verifier(t testing.TB, issuer string, o verify.Options) *verify.Verifier {
	t.Helper()
	v, err := verify.New(issuer, firstResource, o)
	if err != nil {
		t.Fatal(err)
	}
	runVerifier(t, v)
	return v
}

// runVerifier runs a verifier until the test ends.
func runVerifier(t testing.TB, v *verify.Verifier) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

// accepts reports whether the verifier accepts the token; it must have an
// opinion.
func accepts(t testing.TB, v *verify.Verifier, token string) bool {
	t.Helper()
	_, err := v.Verify(t.Context(), token)
	if err != nil && !errors.Is(err, verify.ErrInvalidToken) {
		t.Fatalf("Verify = %v", err)
	}
	return err == nil
}

// TestRevocationReachesVerifiers ends sessions in every way that there is, on
// the server and on the command line beside it, and waits until an offline
// verifier refuses their tokens.
func TestRevocationReachesVerifiers(t *testing.T) {
	eachDatabase(t, func(t *testing.T, env []string) {
		env = append(env, listenEnv(freePort(t))...)
		first := bootstrapped(t, env)
		n := serve(t, env)
		v := verifier(t, n.base, verify.Options{ClientID: first.APIClientID, ClientSecret: first.APIClientSecret})
		accountToken := func(session reply) string {
			return n.mustPost(http.StatusOK, "/oauth/token", refreshForm(first, session.str("refresh_token"), "resource", n.base+"/account")...).str("access_token")
		}
		for _, way := range []struct {
			name string
			end  func(session reply)
		}{
			{"revoked by its refresh token", func(session reply) {
				n.mustPost(http.StatusOK, "/oauth/revoke", "client_id", first.ClientID, "token", session.str("refresh_token"))
			}},
			{"reuse", func(session reply) {
				next := n.mustPost(http.StatusOK, "/oauth/token", refreshForm(first, session.str("refresh_token"))...)
				n.mustPost(http.StatusOK, "/oauth/token", refreshForm(first, next.str("refresh_token"))...)
				n.mustPost(http.StatusBadRequest, "/oauth/token", refreshForm(first, session.str("refresh_token"))...)
			}},
			{"logout everywhere", func(session reply) {
				n.mustCall(http.StatusOK, "POST", "/account/logout?scope=global", accountToken(session), nil)
			}},
			{"sessions revoke", func(reply) { cli(t, env, "sessions", "revoke", "--user", first.Username) }},
			{"password changed", func(session reply) {
				next := first.Password + " and more"
				n.mustCall(http.StatusNoContent, "PUT", "/account/password", accountToken(n.login(first)), map[string]string{"current_password": first.Password, "new_password": next})
				first.Password = next
			}},
			{"ban", func(reply) { cli(t, env, "users", "ban", first.Username, "--forever") }},
			{"client disabled", func(reply) { cli(t, env, "clients", "update", first.ClientID, "--disabled") }},
		} {
			cli(t, env, "users", "unban", first.Username)
			session, other := n.login(first), n.login(first)
			token := session.str("access_token")
			if !accepts(t, v, token) || !accepts(t, v, other.str("access_token")) {
				t.Fatalf("%s: a token that is good is refused", way.name)
			}
			begun := time.Now()
			way.end(session)
			eventually(t, way.name+" reaches the verifier", func() bool { return !accepts(t, v, token) })
			t.Logf("%s: refused %d ms after it had begun", way.name, time.Since(begun).Milliseconds())
		}
	})
}

// TestCompromisedKeyReachesVerifiers: whichever key it is, its tokens are
// refused, and good ones accepted, long before the keys' max-age is over.
func TestCompromisedKeyReachesVerifiers(t *testing.T) {
	for _, alg := range []string{"RS256", "EdDSA", "ES256"} {
		t.Run(alg, func(t *testing.T) {
			s := newRecipeServer(t, alg)
			v, err := verify.New(s.base, "https://notes.example", verify.Options{})
			if err != nil {
				t.Fatal(err)
			}
			runVerifier(t, v)
			before := s.login().str("access_token")
			if !accepts(t, v, before) {
				t.Fatal("a good token is refused")
			}
			kid := ""
			for _, key := range strings.Split(cli(t, s.env, "keys", "list", "-o", "json"), "{") {
				if strings.Contains(key, `"`+alg+`"`) {
					kid = between(key, `"kid": "`, `"`)
				}
			}
			begun := time.Now()
			cli(t, s.env, "keys", "compromise", kid, "--yes")
			eventually(t, "the compromised key reaches the verifier", func() bool { return !accepts(t, v, before) })
			t.Logf("its tokens are refused after %s", time.Since(begun).Round(time.Millisecond))
			session := s.login()
			if !accepts(t, v, session.str("access_token")) {
				t.Error("a token of the new key is refused")
			}
			s.revoke(session)
			eventually(t, "a revocation after it reaches the verifier", func() bool { return !accepts(t, v, session.str("access_token")) })
		})
	}
}

// TestVerifierOutlivesTheServer: while the server is away its tokens are good,
// and what ends meanwhile is heard of when it is back.
func TestVerifierOutlivesTheServer(t *testing.T) {
	env := append(sqliteEnv(t), listenEnv(freePort(t))...)
	first := bootstrapped(t, env)
	n := serve(t, env)
	v := verifier(t, n.base, verify.Options{})
	session, other := n.login(first), n.login(first)
	for _, s := range []reply{session, other} {
		if !accepts(t, v, s.str("access_token")) {
			t.Fatal("a good token is refused")
		}
	}
	if code := n.stop(); code != exitOK {
		t.Fatalf("serve ended with %d", code)
	}
	if !accepts(t, v, session.str("access_token")) {
		t.Error("while the server is away a good token is refused")
	}
	cli(t, env, "sessions", "revoke", between(cli(t, env, "sessions", "list", "-o", "json"), `"sid": "`, `"`))
	serve(t, env)
	eventually(t, "the end of one session reaches the verifier", func() bool {
		return !accepts(t, v, session.str("access_token")) || !accepts(t, v, other.str("access_token"))
	})
	if !accepts(t, v, session.str("access_token")) && !accepts(t, v, other.str("access_token")) {
		t.Error("both sessions are refused, one was revoked")
	}
}

// balanced serves several nodes under one issuer, each request by the next of
// them, and returns it with the nodes.
func balanced(t testing.TB, count int, settings ...string) (env []string, first firstCredentials, nodes []*node) {
	t.Helper()
	var turn atomic.Int64
	var targets []*url.URL
	proxy := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(targets[int(turn.Add(1))%len(targets)]) }}
	front := httptest.NewServer(proxy)
	t.Cleanup(front.Close)
	env = append(postgresEnv(t, pgtest.URL(t)), append(settings, "CHANCERY_ISSUER="+front.URL)...)
	first = bootstrapped(t, env)
	for range count {
		n := serve(t, append(slices.Clone(env), "CHANCERY_LISTEN=127.0.0.1:0"))
		target, err := url.Parse(n.base)
		if err != nil {
			t.Fatal(err)
		}
		targets, nodes = append(targets, target), append(nodes, n)
	}
	return append(env, "front="+front.URL), first, nodes
}

// latencies are times from the answer to a revocation until a verifier refuses.
type latencies []time.Duration

func (l latencies) String() string {
	slices.Sort(l)
	at := func(part float64) time.Duration { return l[int(part*float64(len(l)-1))].Round(time.Millisecond) }
	return fmt.Sprintf("n = %d, median %s, p90 %s, p99 %s, worst %s", len(l), at(0.5), at(0.9), at(0.99), at(1))
}

// revokeOneByOne revokes sessions on one node after the other and measures how
// long two verifiers go on to accept them: one that listens, and one that does
// not.
func revokeOneByOne(t *testing.T, count int, pause func(i int) time.Duration) (stream, polling latencies) {
	t.Helper()
	env, first, nodes := balanced(t, 3, "CHANCERY_STATUS_TTL=2s", "CHANCERY_STATUS_EXP=1m", "CHANCERY_SESSIONS_MAX_PER_USER=10000", "CHANCERY_THROTTLE_ENABLED=false", "CHANCERY_LOG_LEVEL=warn")
	issuer, _ := strings.CutPrefix(env[len(env)-1], "front=")
	listening, polls := verifier(t, issuer, verify.Options{}), verifier(t, issuer, verify.Options{NoStream: true})
	sessions := make([]reply, count)
	for i := range sessions {
		sessions[i] = nodes[i%3].login(first)
		if token := sessions[i].str("access_token"); !accepts(t, listening, token) || !accepts(t, polls, token) {
			t.Fatal("a good token is refused")
		}
	}
	until := func(v *verify.Verifier, token string) time.Duration {
		begun := time.Now()
		for {
			if _, err := v.Verify(t.Context(), token); errors.Is(err, verify.ErrInvalidToken) {
				return time.Since(begun)
			}
			time.Sleep(time.Millisecond)
		}
	}
	slow := make(chan time.Duration, count)
	for i, session := range sessions {
		nodes[i%3].mustPost(http.StatusOK, "/oauth/revoke", "client_id", first.ClientID, "token", session.str("refresh_token"))
		go func() { slow <- until(polls, session.str("access_token")) }()
		stream = append(stream, until(listening, session.str("access_token")))
		time.Sleep(pause(i))
	}
	for range sessions {
		polling = append(polling, <-slow)
	}
	return stream, polling
}

// TestRevocationOverThreeNodes is the short form of TestRevocationLatency: it
// measures, but nothing fails for being slow.
func TestRevocationOverThreeNodes(t *testing.T) {
	stream, polling := revokeOneByOne(t, 12, func(int) time.Duration { return 0 })
	t.Logf("with the stream: %s", stream)
	t.Logf("without, ttl 2 s: %s", polling)
}
