package authz

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// RegisteredClient is a client as it learns of itself.
type RegisteredClient struct {
	Client
	// Secret is that of a confidential client, when it is made.
	Secret Secret
	// Token lets the client read, change and delete its registration (RFC 7592).
	// It stays the same, and is told when it is made.
	Token Secret
}

// ClientRegistrations lets clients register themselves (RFC 7591, RFC 7592). They
// are never our own: no password grant, and nothing but what strangers may ask
// users for. Expected failures are *Error.
type ClientRegistrations struct {
	Service *Service
	Clients *Clients
	// Open lets anybody register. Otherwise an access token for
	// RegistrationResource is needed.
	Open bool
	// Resources are those that such clients may ask for.
	Resources []string
}

const registrationTokenTag = "chrg_"

// limitRegister bounds the clients that register from one address, and the changes
// of one client: all nodes hear of each.
var limitRegister = Bucket{Key: "register", Burst: 30, Period: time.Hour}

var errRegistration = fail(InvalidToken, "The registration access token is not that of this client.")

// Register registers a client. The error has code InvalidRedirectURI,
// InvalidClientMetadata or, for the initial access token, InvalidToken or
// InsufficientScope.
func (r *ClientRegistrations) Register(ctx context.Context, token Presented, m ClientMetadata, device Device) (RegisteredClient, error) {
	device = newDevice(device.Address, device.UserAgent)
	actor := "self"
	if !r.Open {
		read, err := r.Service.aliveTokenFor(ctx, token, RegistrationResource(r.Service.Issuer), ScopeRegister)
		if err != nil {
			return RegisteredClient{}, err
		}
		actor = read.Subject
	}
	if err := r.Service.Throttle.take(ctx, limitRegister.of(Network(device.Address))); err != nil {
		return RegisteredClient{}, err
	}
	registration := newSecret(registrationTokenTag)
	client := Client{Origin: OriginDynamic, RegistrationToken: HashSecret(registration)}
	if err := r.fill(ctx, &client, m); err != nil {
		return RegisteredClient{}, err
	}
	created, secret, err := r.Clients.By(actor, device).Create(ctx, client)
	return RegisteredClient{Client: created, Secret: secret, Token: registration}, metadataError(err)
}

// Find returns a client that shows its registration access token.
func (r *ClientRegistrations) Find(ctx context.Context, id string, token Secret) (RegisteredClient, error) {
	client, err := r.Clients.Find(ctx, id)
	if err != nil && CodeOf(err) != NotFound {
		return RegisteredClient{}, err
	}
	// Compared for clients that do not exist too.
	fits := client.RegistrationToken.equal(HashSecret(token))
	if !fits || client.Origin != OriginDynamic || !client.DisabledAt.IsZero() {
		return RegisteredClient{}, errRegistration
	}
	return RegisteredClient{Client: client}, nil
}

// Update replaces what a client has said of itself (RFC 7592 section 2.2).
func (r *ClientRegistrations) Update(ctx context.Context, id string, token Secret, m ClientMetadata, device Device) (RegisteredClient, error) {
	if _, err := r.Find(ctx, id, token); err != nil {
		return RegisteredClient{}, err
	}
	if err := r.Service.Throttle.take(ctx, limitRegister.of("client "+id)); err != nil {
		return RegisteredClient{}, err
	}
	client, err := r.Clients.By(id, newDevice(device.Address, device.UserAgent)).Update(ctx, id, func(client *Client) error {
		return r.fill(ctx, client, m)
	})
	return RegisteredClient{Client: client}, metadataError(err)
}

// Delete deletes a client and ends its sessions (RFC 7592 section 2.3).
func (r *ClientRegistrations) Delete(ctx context.Context, id string, token Secret, device Device) error {
	if _, err := r.Find(ctx, id, token); err != nil {
		return err
	}
	return r.Clients.By(id, newDevice(device.Address, device.UserAgent)).Delete(ctx, id)
}

// fill sets on client what the metadata says.
func (r *ClientRegistrations) fill(ctx context.Context, client *Client, m ClientMetadata) error {
	if m.AuthMethod == "" {
		m.AuthMethod = string(AuthBasic) // RFC 7591 section 2
	}
	if m.Privileged {
		return errPrivileged
	}
	if slices.ContainsFunc(m.GrantTypes, func(grant string) bool { return !slices.Contains(dynamicGrants(), grant) }) {
		return errMetadataGrants
	}
	return m.fill(ctx, client, r.Service.Registry, r.Resources)
}

// metadataError translates what is wrong with a client into the code of RFC 7591
// section 3.2.2.
func metadataError(err error) error {
	var expected *Error
	if !errors.As(err, &expected) || expected.Code != InvalidInput {
		return err
	}
	return &Error{Code: InvalidClientMetadata, Description: plainASCII(expected.Description), Err: err}
}

// plainASCII leaves of a sentence what RFC 6749 section 5.2 lets a description
// hold.
func plainASCII(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r < ' ' || r > '~' || r == '\\':
			return '?'
		}
		return r
	}, text)
	return text[:min(len(text), 300)]
}
