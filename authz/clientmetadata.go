package authz

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// ClientMetadata is what a client says of itself when it registers (RFC 7591
// section 2, and those of OpenID Connect and RFC 9449). Empty fields were not
// sent.
type ClientMetadata struct {
	ClientID               string
	Name                   string
	AuthMethod             string
	GrantTypes             []string
	ResponseTypes          []string
	RedirectURIs           []string
	PostLogoutRedirectURIs []string
	BackchannelLogoutURI   string
	Scope                  string
	JWKS, JWKSURI          string
	IDTokenAlgorithm       string
	DPoPBound              bool
	// Privileged says that it holds what only an admin gives.
	Privileged bool
}

// dynamicGrants are the grants that clients may have which no admin registered.
func dynamicGrants() []string {
	return []string{GrantAuthorizationCode, GrantRefreshToken, GrantDeviceCode}
}

// privileged are settings of a client that no client gives itself. To ask for one
// is a mistake or an attack.
var privileged = []string{
	"first_party", "introspect", "pkce_optional", "resources", "allowed_origins", "refresh_token_delivery", "idle_ttl", "absolute_ttl", "leeway",
	"lost_response_window", "lost_response_budget", "client_secret_hash",
}

var (
	errMetadata         = fail(InvalidClientMetadata, "The client metadata must be one JSON object, with members of the right types.")
	errPrivileged       = fail(InvalidClientMetadata, "The metadata holds what only an admin can give.")
	errMetadataGrants   = fail(InvalidClientMetadata, "The grant_types must be some of authorization_code, refresh_token and urn:ietf:params:oauth:grant-type:device_code, with the response_types code.")
	errMetadataScope    = fail(InvalidClientMetadata, "The scope holds none that clients may register for.")
	errMetadataRedirect = fail(InvalidRedirectURI, "A redirect URI must be https, http on a loopback host, or of a scheme such as com.example.app, without fragment, user and wildcard.")
)

// ReadClientMetadata reads the metadata of a client from its JSON form. Names are
// compared as they are; what has none of ours is ignored. The error has code
// InvalidClientMetadata.
func ReadClientMetadata(data []byte) (ClientMetadata, error) {
	var members map[string]json.RawMessage
	if json.Unmarshal(data, &members) != nil || members == nil {
		return ClientMetadata{}, errMetadata
	}
	var m ClientMetadata
	var jwks json.RawMessage
	for name, into := range map[string]any{
		"client_id": &m.ClientID, "client_name": &m.Name, "token_endpoint_auth_method": &m.AuthMethod, "grant_types": &m.GrantTypes, "response_types": &m.ResponseTypes,
		"redirect_uris": &m.RedirectURIs, "post_logout_redirect_uris": &m.PostLogoutRedirectURIs, "backchannel_logout_uri": &m.BackchannelLogoutURI,
		"scope": &m.Scope, "jwks": &jwks, "jwks_uri": &m.JWKSURI, "id_token_signed_response_alg": &m.IDTokenAlgorithm, "dpop_bound_access_tokens": &m.DPoPBound,
	} {
		if value, ok := members[name]; ok && json.Unmarshal(value, into) != nil {
			return ClientMetadata{}, errMetadata
		}
	}
	m.JWKS = string(jwks)
	texts := slices.Concat([]string{m.Name, m.Scope, m.JWKS, m.ClientID}, m.RedirectURIs, m.PostLogoutRedirectURIs)
	if slices.ContainsFunc(texts, func(text string) bool { return !utf8.ValidString(text) }) {
		return ClientMetadata{}, errMetadata
	}
	m.Privileged = slices.ContainsFunc(privileged, func(name string) bool { _, ok := members[name]; return ok })
	return m, nil
}

// fill sets on client what the metadata says, as far as strangers may say it of
// themselves. The error has code InvalidClientMetadata or InvalidRedirectURI.
func (m ClientMetadata) fill(ctx context.Context, client *Client, registry *Registry, resources []string) error {
	client.Name, client.IDTokenAlgorithm, client.DPoPBound = m.Name, m.IDTokenAlgorithm, m.DPoPBound
	client.JWKS, client.JWKSURI, client.BackchannelLogoutURI = m.JWKS, m.JWKSURI, m.BackchannelLogoutURI
	client.RedirectURIs, client.PostLogoutRedirectURIs = m.RedirectURIs, m.PostLogoutRedirectURIs
	client.AuthMethod = AuthMethod(m.AuthMethod)
	if client.GrantTypes = m.GrantTypes; len(m.GrantTypes) == 0 {
		client.GrantTypes = []string{GrantAuthorizationCode}
	}
	if slices.ContainsFunc(m.ResponseTypes, func(response string) bool { return response != "code" }) {
		return errMetadataGrants
	}
	if slices.ContainsFunc(slices.Concat(m.RedirectURIs, m.PostLogoutRedirectURIs), func(uri string) bool { return !validRedirectURI(uri) }) {
		return errMetadataRedirect
	}
	return m.permit(ctx, client, registry, resources)
}

// permit gives the client those scopes that it asks for and strangers may have:
// those of OpenID Connect, and of the resources that are open to such clients.
// Without any it gets all of them.
func (m ClientMetadata) permit(ctx context.Context, client *Client, registry *Registry, resources []string) error {
	allowed := OpenIDScopes()
	client.Resources = nil
	for _, uri := range resources {
		resource, err := registry.Resource(ctx, uri)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("resource: %w", err)
		}
		client.Resources = append(client.Resources, uri)
		allowed = append(allowed, resource.scope()...)
	}
	asked, err := ParseScope(m.Scope)
	if err != nil {
		return errMetadataScope
	}
	if asked == nil {
		asked = allowed
	}
	client.Scope = union(asked.Filter(allowed.Has), nil)
	if len(client.Scope) == 0 {
		return errMetadataScope
	}
	return nil
}
