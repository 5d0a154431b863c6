// Package outbound owns the requests that the server makes to addresses that
// clients have chosen: it keeps them away from the inside of the network that
// the server runs in, and short. It leaves to others what is sent and why.
package outbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Limits of one request.
const (
	timeout = 5 * time.Second
	// MaxBody is how much of an answer is read; a longer one is refused.
	MaxBody = 64 << 10
)

// ErrForbidden is returned for an address that must not be called.
var ErrForbidden = errors.New("outbound: address not allowed")

// ErrUnreachable is returned when there was no answer, or none for now.
var ErrUnreachable = errors.New("outbound: no answer for now")

// Client makes the requests. It follows no redirect, knows no proxy and keeps no
// cookie. It is safe for concurrent use.
type Client struct {
	http    *http.Client
	allowed []netip.Prefix
}

// New returns a client that calls public addresses, and those in the allowed
// networks.
func New(allowed []netip.Prefix) *Client {
	c := &Client{allowed: allowed}
	dialer := &net.Dialer{Timeout: timeout, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		return c.check(address)
	}}
	c.http = &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSHandshakeTimeout: timeout, ResponseHeaderTimeout: timeout, MaxResponseHeaderBytes: 16 << 10,
			MaxIdleConns: 20, IdleConnTimeout: 30 * time.Second, ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// Close closes the connections that are kept open.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// inside are networks that are not the public internet, besides those that
// netip knows: shared and documentation addresses, and addresses that stand for
// one of IPv4 (RFC 6890).
var inside = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("192.88.99.0/24"), netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("3fff::/20"), netip.MustParsePrefix("5f00::/16"), netip.MustParsePrefix("fec0::/10"),
}

// check refuses an address that a name stood for. It is asked for each one that
// is dialled, so that a name cannot stand for another address than was checked.
func (c *Client) check(address string) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrForbidden, err)
	}
	ip := target.Addr().Unmap().WithZone("")
	within := func(network netip.Prefix) bool { return network.Contains(ip) }
	if slices.ContainsFunc(c.allowed, within) {
		return nil
	}
	public := ip.IsGlobalUnicast() && !ip.IsPrivate() && !ip.IsLoopback() && !ip.IsLinkLocalUnicast()
	if !public || slices.ContainsFunc(inside, within) {
		return ErrForbidden
	}
	return nil
}

// address refuses what cannot be checked when it is dialled: another scheme, a
// user, and http, except to a loopback host that is allowed.
func (c *Client) address(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.Hostname() == "" {
		return nil, ErrForbidden
	}
	if u.Scheme == "https" {
		return u, nil
	}
	if u.Scheme == "http" && (u.Hostname() == "localhost" || c.check(net.JoinHostPort(u.Hostname(), "80")) == nil) && loopback(u.Hostname()) {
		return u, nil
	}
	return nil, ErrForbidden
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && ip.IsLoopback())
}

// PostForm sends a form and returns the status of the answer. The error means
// that there was none, or that the address must not be called.
func (c *Client) PostForm(ctx context.Context, uri string, form url.Values) (int, error) {
	response, err := c.do(ctx, http.MethodPost, uri, strings.NewReader(form.Encode()), "application/x-www-form-urlencoded")
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, MaxBody)) // so that the connection can be used again
	return response.StatusCode, err
}

// Get returns the body of a JSON document. The error means that there is none, or
// that the address must not be called.
func (c *Client) Get(ctx context.Context, uri string) ([]byte, error) {
	response, err := c.do(ctx, http.MethodGet, uri, nil, "")
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if s := response.StatusCode; s >= 500 || s == http.StatusTooManyRequests || s == http.StatusRequestTimeout {
		return nil, fmt.Errorf("%w: status %d", ErrUnreachable, s)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("outbound: answered with status %d", response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxBody+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	if len(body) > MaxBody {
		return nil, errors.New("outbound: the document is too long")
	}
	return body, nil
}

func (c *Client) do(ctx context.Context, method, uri string, body io.Reader, mediaType string) (*http.Response, error) {
	u, err := c.address(uri)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("outbound: %w", err)
	}
	if mediaType != "" {
		request.Header.Set("Content-Type", mediaType)
	}
	request.Header.Set("User-Agent", "chancery")
	response, err := c.http.Do(request)
	if errors.Is(err, ErrForbidden) {
		return nil, ErrForbidden
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return response, nil
}
