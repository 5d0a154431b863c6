package authz

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// PushedRequest is an authorization request that a client has sent ahead
// (RFC 9126), and that its browser only names.
type PushedRequest struct {
	// Hash is that of the request URI.
	Hash       Hash
	ClientID   string
	Parameters url.Values
	ExpiresAt  time.Time
}

// pushedRequestPrefix is how request URIs of ours begin (RFC 9126 section 2.2).
const pushedRequestPrefix = "urn:ietf:params:oauth:request_uri:"

// PushedRequestTTL is how long a pushed request is good: as long as a user may
// take to log in. It is answered once.
const PushedRequestTTL = 10 * time.Minute

// Push is a request of a client to keep an authorization request.
type Push struct {
	Credentials Credentials
	// Possession is how the client proves to hold the key that the code shall be
	// bound to.
	Possession Possession
	Parameters url.Values
	Address    string
}

// PushedResponse is the answer to a pushed request.
type PushedResponse struct {
	RequestURI string
	ExpiresIn  time.Duration
}

// limitPush bounds the requests that public clients store from one address, since
// they need no secret for it; limitPushSecret those of one client that does, all of
// whose users may come through one address.
var (
	limitPush       = Bucket{Key: "push", Burst: 300, Period: 10 * time.Minute}
	limitPushSecret = Bucket{Key: "push by", Burst: 30_000, Period: 10 * time.Minute}
)

// Push checks an authorization request as the authorization endpoint would, and
// keeps it for the browser to name. Expected failures are *Error.
func (a *Authorizations) Push(ctx context.Context, p Push) (PushedResponse, error) {
	client, err := a.Service.Authenticate(ctx, p.Credentials, p.Address)
	if err != nil {
		return PushedResponse{}, err
	}
	bucket := limitPushSecret.of(client.ID)
	if client.Public() {
		bucket = limitPush.of(Network(p.Address))
	}
	if err := a.Service.Throttle.take(ctx, bucket); err != nil {
		return PushedResponse{}, err
	}
	values := withoutCredentials(p.Parameters)
	values.Set("client_id", client.ID)
	if values.Has("request_uri") {
		return PushedResponse{}, fail(InvalidRequest, "The request_uri parameter cannot be pushed.")
	}
	thumbprint, err := a.Service.thumbprint(p.Possession, "")
	if err != nil {
		return PushedResponse{}, err
	}
	if named := values.Get("dpop_jkt"); thumbprint != "" && named != "" && named != thumbprint {
		return PushedResponse{}, errOtherKey
	}
	if thumbprint != "" {
		values.Set("dpop_jkt", thumbprint)
	}
	if _, err := a.Read(ctx, values, p.Address); err != nil {
		var refused *AuthorizationError
		if errors.As(err, &refused) {
			err = refused.Err
		}
		return PushedResponse{}, err
	}
	uri := pushedRequestPrefix + newSecret("").Reveal()
	request := PushedRequest{Hash: HashSecret(Secret(uri)), ClientID: client.ID, Parameters: values, ExpiresAt: a.Service.now().Add(PushedRequestTTL)}
	if err := a.Store.InsertPushedRequest(ctx, request); err != nil {
		return PushedResponse{}, fmt.Errorf("pushed request: %w", err)
	}
	return PushedResponse{RequestURI: uri, ExpiresIn: PushedRequestTTL}, nil
}

// withoutCredentials returns a copy of a request's parameters without those that
// only prove the client.
func withoutCredentials(values url.Values) url.Values {
	kept := url.Values{}
	for name, all := range values {
		if !strings.HasPrefix(name, "client_assertion") && name != "client_secret" {
			kept[name] = all
		}
	}
	return kept
}

var errPushed = fail(InvalidRequest, "The request_uri has expired, was answered already, or is another client's.")

// pushed returns the request that a browser names.
func (a *Authorizations) pushed(ctx context.Context, values url.Values) (PushedRequest, error) {
	if len(values["request_uri"]) > 1 || len(values["client_id"]) > 1 {
		return PushedRequest{}, errRepeatedParameter
	}
	request, err := a.Store.PushedRequest(ctx, HashSecret(Secret(values.Get("request_uri"))))
	if errors.Is(err, ErrNotFound) {
		return PushedRequest{}, errPushed
	}
	if err != nil {
		return PushedRequest{}, fmt.Errorf("pushed request: %w", err)
	}
	if request.ClientID != values.Get("client_id") || !a.Service.now().Before(request.ExpiresAt) {
		return PushedRequest{}, errPushed
	}
	return request, nil
}
