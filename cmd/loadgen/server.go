package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// server is the one under load.
type server struct {
	client *http.Client
	// metadata is where its metadata was found (RFC 8414).
	metadata  string
	endpoints endpoints
}

type endpoints struct {
	Token         string `json:"token_endpoint"`
	Introspection string `json:"introspection_endpoint"`
	Revocation    string `json:"revocation_endpoint"`
	JWKS          string `json:"jwks_uri"`
}

// tokens are what the token endpoint answers.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

const (
	requestTimeout = 30 * time.Second
	maxAnswer      = 1 << 20
)

// discover finds the endpoints of the server, whose connections are kept for so
// many workers.
func discover(ctx context.Context, issuer string, workers int) (*server, error) {
	s := &server{client: &http.Client{Timeout: requestTimeout, Transport: &http.Transport{
		MaxIdleConns: workers, MaxIdleConnsPerHost: workers, MaxConnsPerHost: workers, DisableCompression: true,
	}}}
	issuer = strings.TrimSuffix(issuer, "/")
	var failure error
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		s.metadata = issuer + path
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.metadata, nil)
		if err != nil {
			return nil, err
		}
		if failure = s.do(request, &s.endpoints); failure == nil {
			return s, nil
		}
	}
	return nil, fmt.Errorf("no metadata: %w", failure)
}

// token asks the token endpoint.
func (s *server) token(ctx context.Context, id, secret string, form url.Values) (tokens, error) {
	var t tokens
	return t, s.post(ctx, s.endpoints.Token, id, secret, form, &t)
}

// post sends a form of a client, and decodes the answer unless into is nil.
func (s *server) post(ctx context.Context, endpoint, id, secret string, form url.Values, into any) error {
	if endpoint == "" {
		return fmt.Errorf("the metadata %s names no such endpoint", s.metadata)
	}
	body := form.Encode()
	if secret == "" {
		body += "&client_id=" + url.QueryEscape(id)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if secret != "" {
		request.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	}
	return s.do(request, into)
}

func (s *server) get(ctx context.Context, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	return s.do(request, nil)
}

// refusal is an answer that is no success.
type refusal struct {
	status int
	code   string
}

// Error names status and error code.
func (r refusal) Error() string { return strings.TrimSpace(fmt.Sprintf("%d %s", r.status, r.code)) }

func (s *server) do(request *http.Request, into any) error {
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	_ = response.Body.Close()
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		var answer struct {
			Error string `json:"error"`
		}
		_ = json.Unmarshal(body, &answer) // an answer without a code says enough by its status
		return refusal{response.StatusCode, answer.Error}
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}
