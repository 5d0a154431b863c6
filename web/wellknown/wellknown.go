// Package wellknown owns the documents by which others find out about the
// server: its metadata (RFC 8414, OpenID Connect Discovery) and its public keys
// (RFC 7517). All are served from memory, also while the database is down. It
// leaves to others what the documents say.
package wellknown

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"chancery/authz"
	"chancery/web/respond"

	"github.com/gin-gonic/gin"
)

// KeySet is where the public keys come from.
type KeySet interface {
	// JWKS returns the RFC 7517 JSON of the published keys and its entity tag,
	// from memory; nothing before keys are loaded.
	JWKS() (body []byte, etag string)
}

// ResourceLister lists the resources that the metadata names: those that are
// registered, beside which the server's own appear once they are served.
type ResourceLister interface {
	Registered(ctx context.Context) ([]authz.Resource, error)
}

// Documents serves the well-known documents.
type Documents struct {
	// Issuer has no trailing slash.
	Issuer    string
	Keys      KeySet
	Resources ResourceLister
	Respond   respond.Responder
	// MaxAge is how long verifiers may keep the keys and clients the metadata.
	MaxAge time.Duration

	members  map[string]any
	metadata atomic.Pointer[document]
}

type document struct {
	body []byte
	etag string
}

const jwksPath = "/.well-known/jwks.json"

// Mount adds the documents to router, whose root is that of the host. members
// is what the mounted endpoints say of themselves. Rebuild must be called once
// before the first request.
func (d *Documents) Mount(router gin.IRouter, members map[string]any) error {
	issuer, err := url.Parse(d.Issuer)
	if err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	d.members = maps.Clone(members)
	d.members["issuer"] = d.Issuer
	d.members["jwks_uri"] = d.Issuer + jwksPath
	base := issuer.Path
	paths := []string{
		"/.well-known/oauth-authorization-server" + base, // RFC 8414 section 3.1: inserted
		base + "/.well-known/oauth-authorization-server", // and where many clients look
		base + "/.well-known/openid-configuration",       // OIDC Discovery section 4: appended
		"/.well-known/openid-configuration" + base,       // RFC 8414 section 5: inserted
	}
	slices.Sort(paths)
	for _, path := range slices.Compact(paths) {
		d.get(router, path, "application/json", func() ([]byte, string) {
			if built := d.metadata.Load(); built != nil {
				return built.body, built.etag
			}
			return nil, ""
		})
	}
	d.get(router, base+jwksPath, "application/jwk-set+json", d.Keys.JWKS)
	return nil
}

// Rebuild makes the metadata anew from the resources that are registered now.
// It is called at the start and whenever registrations change; on an error the
// document stays as it was.
func (d *Documents) Rebuild(ctx context.Context) error {
	resources, err := d.Resources.Registered(ctx)
	if err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	return d.build(resources)
}

func (d *Documents) build(resources []authz.Resource) error {
	members := maps.Clone(d.members)
	scopes, uris := []string(authz.OpenIDScopes()), []string{}
	for _, resource := range resources {
		uris = append(uris, resource.URI)
		for _, scope := range resource.Scopes {
			scopes = append(scopes, scope.Name)
		}
	}
	slices.Sort(scopes)
	if scopes = slices.Compact(scopes); len(scopes) > 0 {
		members["scopes_supported"] = scopes
	}
	if len(uris) > 0 {
		members["protected_resources"] = uris // RFC 9728 section 4
	}
	body, err := json.Marshal(members)
	if err != nil {
		return fmt.Errorf("encode metadata: %w", err)
	}
	sum := sha256.Sum256(body)
	d.metadata.Store(&document{body: body, etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`})
	return nil
}

// get serves a document for GET and HEAD, to every origin, with an entity tag.
func (d *Documents) get(router gin.IRouter, path, mediaType string, load func() ([]byte, string)) {
	maxAge := "public, max-age=" + strconv.Itoa(int(d.MaxAge/time.Second)) + ", must-revalidate"
	serve := d.Respond.Handler(func(c *gin.Context) error {
		body, etag := load()
		if body == nil {
			return fmt.Errorf("document not loaded yet: %w", authz.ErrUnavailable)
		}
		c.Header("Access-Control-Allow-Origin", "*")
		c.Header("Cache-Control", maxAge)
		if respond.NotModified(c, etag) {
			return nil
		}
		c.Data(http.StatusOK, mediaType, body)
		return nil
	})
	router.GET(path, serve)
	router.HEAD(path, serve)
}
