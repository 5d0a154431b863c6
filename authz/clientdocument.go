package authz

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// OriginDocument says that a client publishes what it is.
const OriginDocument = "document"

// DocumentSource fetches what clients publish.
type DocumentSource interface {
	// Fetch returns the document at a client's address, which may be a copy of
	// some minutes ago unless it is to be fresh. A fresh one is not fetched more
	// often than once a minute. ErrUnavailable means that nothing can be said of it
	// now, any other error that there is none.
	Fetch(ctx context.Context, uri string, fresh bool) ([]byte, error)
	// Kept reports whether there is such a copy, for which nobody is asked.
	Kept(uri string) bool
}

// ClientDocuments finds clients that are known by the URL of a document in which
// they say what they are (draft-ietf-oauth-client-id-metadata-document). They are
// strangers, as those are that register themselves. A login begins with what the
// document says now; it is stored when a user lets the client in, and sessions go
// on from there. It is safe for concurrent use.
type ClientDocuments struct {
	Source  DocumentSource
	Clients *Clients
	// Throttle bounds what strangers let the server fetch.
	Throttle *Throttle
	// Resources are those that such clients may ask for.
	Resources []string
}

const maxDocumentURL = 255

// documentURL reports whether a client id is the URL of a document: https, or http
// on a loopback host, with a path and in one spelling alone.
func documentURL(id string) bool {
	u, err := url.Parse(id)
	if err != nil || len(id) > maxDocumentURL || (u.Scheme != "https" && u.Scheme != "http") || u.Path == "" || !validRedirectURI(id) {
		return false
	}
	return !slices.ContainsFunc(strings.Split(u.Path, "/"), func(segment string) bool { return segment == "." || segment == ".." })
}

// HostOf returns the host of a client that is known by a URL, which is the one
// thing of such a client that is certain; "" for any other client.
func (c Client) HostOf() string {
	if u, err := url.Parse(c.ID); c.Origin == OriginDocument && err == nil {
		return u.Host
	}
	return ""
}

// limitDocument bounds the documents that are fetched because of one address.
var limitDocument = Bucket{Key: "document", Burst: 60, Period: 10 * time.Minute}

// Client returns the client as its document describes it, with what is stored of
// it besides. Of one that is stored that does where the document cannot be had for
// now. The error is ErrNotFound with the reason if there is none, or if it describes
// no client that may be let in; ErrUnavailable, or that the address must wait.
func (d *ClientDocuments) Client(ctx context.Context, id, address string) (Client, error) {
	stored, err := d.Clients.Lookup.Client(ctx, id)
	known := err == nil
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Client{}, err
	}
	if !d.Source.Kept(id) {
		if err := d.Throttle.take(ctx, limitDocument.of(Network(address))); err != nil && known {
			return stored, nil
		} else if err != nil {
			return Client{}, err
		}
	}
	client, err := d.fetch(ctx, stored, id, false)
	if errors.Is(err, ErrUnavailable) && known && ctx.Err() == nil {
		return stored, nil
	}
	return client, err
}

// keys returns the key set that a stored client publishes, and where, by its
// document: the stored ones while that cannot be had.
func (d *ClientDocuments) keys(ctx context.Context, stored Client, fresh bool) (jwks, uri string, err error) {
	client, err := d.fetch(ctx, stored, stored.ID, fresh)
	if errors.Is(err, ErrUnavailable) && ctx.Err() == nil {
		client, err = stored, nil
	}
	return client.JWKS, client.JWKSURI, err
}

// fetch returns what the document says, over what is stored. The error is
// ErrUnavailable, or ErrNotFound with the reason.
func (d *ClientDocuments) fetch(ctx context.Context, client Client, id string, fresh bool) (Client, error) {
	body, err := d.Source.Fetch(ctx, id, fresh)
	switch {
	case ctx.Err() != nil:
		return Client{}, fmt.Errorf("client document: %w", ctx.Err())
	case errors.Is(err, ErrUnavailable):
		return Client{}, fmt.Errorf("client document: %w", err)
	case err != nil:
		return Client{}, fmt.Errorf("%w: client document: %w", ErrNotFound, err)
	}
	client.ID, client.Origin = id, OriginDocument
	err = d.fill(ctx, &client, body)
	var refused *Error
	if errors.As(err, &refused) {
		return Client{}, fmt.Errorf("%w: client document: %w", ErrNotFound, err)
	}
	return client, err
}

var (
	errDocumentID     = fail(InvalidClientMetadata, "The client_id of the document is not its URL.")
	errDocumentSecret = fail(InvalidClientMetadata, "A client with a document proves itself by private_key_jwt, or not at all.")
)

// fill sets on client what its document says.
func (d *ClientDocuments) fill(ctx context.Context, client *Client, body []byte) error {
	m, err := ReadClientMetadata(body)
	if err != nil {
		return err
	}
	m.AuthMethod = cmp.Or(m.AuthMethod, string(AuthNone))
	switch {
	case m.ClientID != client.ID:
		return errDocumentID
	case m.AuthMethod != string(AuthNone) && m.AuthMethod != string(AuthPrivateKeyJWT):
		return errDocumentSecret
	}
	// It speaks to every server, of which others may know more.
	given := len(m.GrantTypes) > 0
	m.GrantTypes = slices.DeleteFunc(m.GrantTypes, func(grant string) bool { return !slices.Contains(dynamicGrants(), grant) })
	if given && len(m.GrantTypes) == 0 {
		return errMetadataGrants
	}
	if slices.Contains(m.ResponseTypes, "code") {
		m.ResponseTypes = nil
	}
	if err := m.fill(ctx, client, d.Clients.Lookup, d.Resources); err != nil {
		return err
	}
	return d.Clients.validate(ctx, *client)
}

// keep stores the client that a user lets in, or what has changed of it.
func (d *ClientDocuments) keep(ctx context.Context, client Client) error {
	clients := d.Clients.By("self", Device{})
	for {
		_, err := clients.Update(ctx, client.ID, func(stored *Client) error {
			stored.describe(client)
			return nil
		})
		if CodeOf(err) == NotFound {
			_, _, err = clients.Create(ctx, client)
		}
		if CodeOf(err) != Conflict || ctx.Err() != nil {
			return err // otherwise another user let it in at this moment
		}
	}
}

// describe sets on c what a document says of it; what an admin has set besides
// stays.
func (c *Client) describe(from Client) {
	c.Name, c.AuthMethod, c.JWKS, c.JWKSURI = from.Name, from.AuthMethod, from.JWKS, from.JWKSURI
	c.GrantTypes, c.Scope, c.Resources = from.GrantTypes, from.Scope, from.Resources
	c.RedirectURIs, c.PostLogoutRedirectURIs, c.BackchannelLogoutURI = from.RedirectURIs, from.PostLogoutRedirectURIs, from.BackchannelLogoutURI
	c.IDTokenAlgorithm, c.DPoPBound = from.IDTokenAlgorithm, from.DPoPBound
}

// client returns a client with which something may begin, for a request from the
// address: as its document describes it, if it has one. The error is ErrNotFound,
// that of ClientDocuments.Client, or what the store answered.
func (s *Service) client(ctx context.Context, id, address string) (Client, error) {
	if s.Documents == nil || !documentURL(id) {
		return s.Registry.Client(ctx, id)
	}
	return s.Documents.Client(ctx, id, address)
}

// storedClient returns a client with which something goes on: as it is stored. A
// document is asked for if there is nothing else, since clients may push a request
// before any user has let them in.
func (s *Service) storedClient(ctx context.Context, id, address string) (Client, error) {
	client, err := s.Registry.Client(ctx, id)
	if errors.Is(err, ErrNotFound) && documentURL(id) {
		return s.client(ctx, id, address)
	}
	return client, err
}

// keepClient stores a client that a user lets in, if that comes of its document.
func (s *Service) keepClient(ctx context.Context, client Client) error {
	if s.Documents == nil || client.Origin != OriginDocument {
		return nil
	}
	if err := s.Documents.keep(ctx, client); err != nil {
		return fmt.Errorf("store client: %w", err)
	}
	return nil
}
