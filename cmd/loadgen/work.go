package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// operation does one thing that is counted. Each worker has its own.
type operation func(ctx context.Context) error

// work is a kind of load.
type work struct {
	meaning string
	// prepare makes the operation of each worker.
	prepare func(ctx context.Context, s *server, o options) ([]operation, error)
}

// works are the kinds of load, by what they are called on the command line.
var works = map[string]*work{
	"refresh":            {"rotate refresh tokens: --sessions, --random, --refresh-tokens", prepareRefresh},
	"password":           {"log users in with the password grant: --username", preparePassword},
	"client-credentials": {"get tokens for the client itself", prepareClientCredentials},
	"introspect":         {"ask for the state of one access token", prepareIntrospect},
	"revoke":             {"end sessions by their refresh tokens: --operations", prepareRevoke},
	"jwks":               {"fetch the public keys", prepareJWKS},
	"metadata":           {"fetch the metadata", prepareMetadata},
}

func workNames() []string {
	names := make([]string, 0, len(works))
	for name := range works {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func workList() string {
	var text strings.Builder
	for _, name := range workNames() {
		fmt.Fprintf(&text, "  %-19s %s\n", name, works[name].meaning)
	}
	return text.String()
}

// each gives every worker the same operation.
func each(o options, do operation) []operation { return slices.Repeat([]operation{do}, o.workers) }

// login begins a session, of the next user in turn.
func login(ctx context.Context, s *server, o options, turn *atomic.Int64) (tokens, error) {
	name := o.username
	if strings.Contains(name, "%d") {
		name = fmt.Sprintf(name, int(turn.Add(1)-1)%o.users)
	}
	form := url.Values{"grant_type": {"password"}, "username": {name}, "password": {o.password}}
	setIf(form, "scope", o.scope)
	setIf(form, "resource", o.resource)
	return s.token(ctx, o.clientID, o.clientSecret, form)
}

func setIf(form url.Values, name, value string) {
	if value != "" {
		form.Set(name, value)
	}
}

// refreshTokens returns those of n sessions: from the file, or of sessions that are
// begun now.
func refreshTokens(ctx context.Context, s *server, o options, n int) ([]string, error) {
	if o.tokens != "" {
		return readLines(o.tokens)
	}
	found := make([]string, n)
	var turn atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(o.workers)
	for i := range found {
		group.Go(func() error {
			t, err := login(ctx, s, o, &turn)
			if err == nil && t.Refresh == "" {
				err = errors.New("the login gives no refresh token")
			}
			found[i] = t.Refresh
			return err
		})
	}
	return found, group.Wait()
}

func readLines(name string) (lines []string, err error) {
	file, err := os.Open(name) //nolint:gosec // the user names the file
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	scanner := bufio.NewScanner(file)
	for scanner.Scan() {
		if line := strings.TrimSpace(scanner.Text()); line != "" {
			lines = append(lines, line)
		}
	}
	return lines, scanner.Err()
}

func prepareRefresh(ctx context.Context, s *server, o options) ([]operation, error) {
	held, err := refreshTokens(ctx, s, o, max(o.sessions, o.workers))
	if err != nil {
		return nil, err
	}
	if len(held) < o.workers {
		return nil, fmt.Errorf("%d sessions are too few for %d workers", len(held), o.workers)
	}
	operations := make([]operation, o.workers)
	for w := range operations {
		mine := held[w*len(held)/o.workers : (w+1)*len(held)/o.workers]
		next := 0
		operations[w] = func(ctx context.Context) error {
			i := next
			if next = (next + 1) % len(mine); o.random {
				i = rand.IntN(len(mine)) //nolint:gosec // which session comes next is no secret
			}
			t, err := s.token(ctx, o.clientID, o.clientSecret, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {mine[i]}})
			if err == nil && t.Refresh != "" {
				mine[i] = t.Refresh
			}
			return err
		}
	}
	return operations, nil
}

func preparePassword(_ context.Context, s *server, o options) ([]operation, error) {
	var turn atomic.Int64
	return each(o, func(ctx context.Context) error {
		_, err := login(ctx, s, o, &turn)
		return err
	}), nil
}

func clientToken(ctx context.Context, s *server, o options) (tokens, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	setIf(form, "scope", o.scope)
	setIf(form, "resource", o.resource)
	return s.token(ctx, o.clientID, o.clientSecret, form)
}

func prepareClientCredentials(_ context.Context, s *server, o options) ([]operation, error) {
	return each(o, func(ctx context.Context) error {
		_, err := clientToken(ctx, s, o)
		return err
	}), nil
}

func prepareIntrospect(ctx context.Context, s *server, o options) ([]operation, error) {
	var t tokens
	var err error
	if o.username != "" {
		var turn atomic.Int64
		t, err = login(ctx, s, o, &turn)
	} else {
		t, err = clientToken(ctx, s, o)
	}
	if err != nil {
		return nil, err
	}
	id, secret := o.introspectionID, o.introspectionSecret
	if id == "" {
		id, secret = o.clientID, o.clientSecret
	}
	form := url.Values{"token": {t.Access}}
	return each(o, func(ctx context.Context) error {
		var answer struct {
			Active bool `json:"active"`
		}
		if err := s.post(ctx, s.endpoints.Introspection, id, secret, form, &answer); err != nil {
			return err
		}
		if !answer.Active {
			return errors.New("the token is not active")
		}
		return nil
	}), nil
}

func prepareRevoke(ctx context.Context, s *server, o options) ([]operation, error) {
	held, err := refreshTokens(ctx, s, o, o.operations)
	if err != nil {
		return nil, err
	}
	var next atomic.Int64
	return each(o, func(ctx context.Context) error {
		i := int(next.Add(1) - 1)
		if i >= len(held) {
			return errExhausted
		}
		return s.post(ctx, s.endpoints.Revocation, o.clientID, o.clientSecret, url.Values{"token": {held[i]}}, nil)
	}), nil
}

func prepareJWKS(_ context.Context, s *server, o options) ([]operation, error) {
	return each(o, func(ctx context.Context) error { return s.get(ctx, s.endpoints.JWKS) }), nil
}

func prepareMetadata(_ context.Context, s *server, o options) ([]operation, error) {
	return each(o, func(ctx context.Context) error { return s.get(ctx, s.metadata) }), nil
}
