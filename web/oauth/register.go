package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"chancery/authz"
	"chancery/web/caller"
	"chancery/web/respond"

	"github.com/gin-gonic/gin"
)

// Registrations lets clients register themselves. Each method is that of
// authz.ClientRegistrations.
type Registrations interface {
	Register(ctx context.Context, token authz.Presented, m authz.ClientMetadata, device authz.Device) (authz.RegisteredClient, error)
	Find(ctx context.Context, id string, token authz.Secret) (authz.RegisteredClient, error)
	Update(ctx context.Context, id string, token authz.Secret, m authz.ClientMetadata, device authz.Device) (authz.RegisteredClient, error)
	Delete(ctx context.Context, id string, token authz.Secret, device authz.Device) error
}

const registerPath = "/oauth/register"

// clientDocument is a client's metadata on the wire (RFC 7591 section 2).
type clientDocument struct {
	RedirectURIs           []string        `json:"redirect_uris,omitempty"`
	AuthMethod             string          `json:"token_endpoint_auth_method,omitempty"`
	GrantTypes             []string        `json:"grant_types,omitempty"`
	ResponseTypes          []string        `json:"response_types,omitempty"`
	Name                   string          `json:"client_name,omitempty"`
	Scope                  string          `json:"scope,omitempty"`
	JWKS                   json.RawMessage `json:"jwks,omitempty"`
	JWKSURI                string          `json:"jwks_uri,omitempty"`
	IDTokenAlgorithm       string          `json:"id_token_signed_response_alg,omitempty"`
	PostLogoutRedirectURIs []string        `json:"post_logout_redirect_uris,omitempty"`
	BackchannelLogoutURI   string          `json:"backchannel_logout_uri,omitempty"`
	DPoPBound              bool            `json:"dpop_bound_access_tokens,omitempty"`
}

// clientAnswer is a registered client (RFC 7591 section 3.2.1).
type clientAnswer struct {
	ClientID        string `json:"client_id"`
	IssuedAt        int64  `json:"client_id_issued_at"`
	Secret          string `json:"client_secret,omitempty"`
	SecretExpiresAt *int64 `json:"client_secret_expires_at,omitempty"`
	Token           string `json:"registration_access_token,omitempty"`
	URI             string `json:"registration_client_uri"`
	clientDocument
}

var (
	errMetadataBody = &authz.Error{Code: authz.InvalidClientMetadata, Description: "The body must be client metadata as JSON, in application/json."}
	errOtherID      = &authz.Error{Code: authz.InvalidClientMetadata, Description: "The client_id or client_secret is not that of the client."}
)

// MountRegistration adds the endpoints by which clients register themselves, and
// returns what the metadata says of them.
func (e *Endpoints) MountRegistration(router gin.IRouter, registrations Registrations) map[string]any {
	handle := func(method, path string, do func(c *gin.Context, r Registrations) error) {
		router.Handle(method, path, e.Respond.Handler(func(c *gin.Context) error {
			respond.NoStore(c)
			if err := caller.AllowOrigin(c, e.Clients); err != nil {
				return err
			}
			return do(c, registrations)
		}))
	}
	handle(http.MethodPost, registerPath, e.register)
	handle(http.MethodGet, registerPath+"/:id", e.registered)
	handle(http.MethodPut, registerPath+"/:id", e.updateRegistered)
	handle(http.MethodDelete, registerPath+"/:id", e.deleteRegistered)
	for path, methods := range map[string]string{registerPath: "POST", registerPath + "/:id": "GET, PUT, DELETE"} {
		router.OPTIONS(path, e.Respond.Handler(func(c *gin.Context) error { return caller.Preflight(c, e.Clients, methods) }))
	}
	return map[string]any{"registration_endpoint": e.Issuer + registerPath}
}

func (e *Endpoints) register(c *gin.Context, registrations Registrations) error {
	m, err := readMetadata(c)
	if err != nil {
		return err
	}
	token, err := caller.AccessToken(c, e.Issuer)
	if err != nil && !errors.Is(err, respond.ErrNoToken) {
		return err
	}
	client, err := registrations.Register(c.Request.Context(), token, m, caller.Device(c))
	if authz.CodeOf(err) == authz.InvalidToken && token.Token == "" {
		err = respond.ErrNoToken
	}
	if err != nil {
		return err
	}
	e.answerClient(c, http.StatusCreated, client)
	return nil
}

func (e *Endpoints) registered(c *gin.Context, registrations Registrations) error {
	token, err := registrationToken(c)
	if err != nil {
		return err
	}
	client, err := registrations.Find(c.Request.Context(), c.Param("id"), token)
	if err != nil {
		return err
	}
	e.answerClient(c, http.StatusOK, client)
	return nil
}

func (e *Endpoints) updateRegistered(c *gin.Context, registrations Registrations) error {
	token, err := registrationToken(c)
	if err != nil {
		return err
	}
	m, err := readMetadata(c)
	if err != nil {
		return err
	}
	if m.ClientID != c.Param("id") {
		return errOtherID // RFC 7592 section 2.2: it must be sent
	}
	client, err := registrations.Update(c.Request.Context(), m.ClientID, token, m, caller.Device(c))
	if err != nil {
		return err
	}
	e.answerClient(c, http.StatusOK, client)
	return nil
}

func (e *Endpoints) deleteRegistered(c *gin.Context, registrations Registrations) error {
	token, err := registrationToken(c)
	if err != nil {
		return err
	}
	if err := registrations.Delete(c.Request.Context(), c.Param("id"), token, caller.Device(c)); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
	return nil
}

// registrationToken returns the registration access token of a request.
func registrationToken(c *gin.Context) (authz.Secret, error) {
	token, err := caller.AccessToken(c, "")
	return token.Token, err
}

// readMetadata reads the metadata of a client.
func readMetadata(c *gin.Context) (authz.ClientMetadata, error) {
	if c.ContentType() != "application/json" {
		return authz.ClientMetadata{}, errMetadataBody
	}
	data, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return authz.ClientMetadata{}, respond.ErrTooLarge
	}
	if err != nil {
		return authz.ClientMetadata{}, errMetadataBody
	}
	return authz.ReadClientMetadata(data)
}

// answerClient tells a client of its registration.
func (e *Endpoints) answerClient(c *gin.Context, status int, client authz.RegisteredClient) {
	respond.NoteClient(c, client.ID)
	a := clientAnswer{
		ClientID: client.ID, IssuedAt: client.CreatedAt.Unix(), Secret: client.Secret.Reveal(), Token: client.Token.Reveal(),
		URI: e.Issuer + registerPath + "/" + client.ID,
		clientDocument: clientDocument{
			RedirectURIs: client.RedirectURIs, AuthMethod: string(client.AuthMethod), GrantTypes: client.GrantTypes, ResponseTypes: []string{"code"},
			Name: client.Name, Scope: client.Scope.String(), JWKS: json.RawMessage(client.JWKS), JWKSURI: client.JWKSURI, IDTokenAlgorithm: client.IDTokenAlgorithm,
			PostLogoutRedirectURIs: client.PostLogoutRedirectURIs, BackchannelLogoutURI: client.BackchannelLogoutURI, DPoPBound: client.DPoPBound,
		},
	}
	if client.Secret != "" {
		a.SecretExpiresAt = new(int64) // 0: it does not expire
	}
	respond.JSON(c, status, a)
}
