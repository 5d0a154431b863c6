// Package status owns the token status lists as they are on the wire: the
// signed lists and their directory (draft-ietf-oauth-status-list sections 8
// and 9), and the stream that tells of new versions. Everything is served from
// memory. It leaves to package authz what a list says and when there is a new
// one.
package status

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"chancery/authz"
	"chancery/authz/claims"
	"chancery/web/respond"

	"github.com/gin-gonic/gin"
)

// Lists is where the signed lists come from.
type Lists interface {
	// Find returns the newest version of a list, at least the given one, or
	// authz.ErrNotFound.
	Find(ctx context.Context, id string, version int64) (authz.SignedStatusList, error)
	// All returns every list.
	All() []authz.SignedStatusList
}

// Endpoints are the status list endpoints. All fields must be set.
type Endpoints struct {
	// Issuer has no trailing slash.
	Issuer string
	Lists  Lists
	Stream *Stream
	// Client returns the client that a request proves to come from.
	Client  func(c *gin.Context) (authz.Client, error)
	Respond respond.Responder
	// TTL is how long a list may be kept before it is asked for again.
	TTL time.Duration
	// Now is the service's clock.
	Now func() time.Time

	packed packer
}

// Mount adds the lists to router and the stream, which takes as long as its
// listener wants, to streams. It returns what the metadata says of them.
func (e *Endpoints) Mount(router, streams gin.IRouter) map[string]any {
	for path, handle := range map[string]func(c *gin.Context) error{
		claims.StatusListsPath: e.directory, claims.StatusListsPath + "/:id": e.list,
	} {
		served := e.public(handle)
		router.GET(path, served)
		router.HEAD(path, served)
		router.OPTIONS(path, e.public(preflight))
	}
	streams.GET(claims.StatusStreamPath, e.public(e.listen))
	router.OPTIONS(claims.StatusStreamPath, e.public(preflight))
	return map[string]any{"status_list_aggregation_endpoint": e.Issuer + claims.StatusListsPath}
}

// public lets scripts of every origin read the answer, errors included: it
// says nothing that depends on who asks.
func (e *Endpoints) public(handle func(c *gin.Context) error) gin.HandlerFunc {
	return e.Respond.Handler(func(c *gin.Context) error {
		c.Header("Access-Control-Allow-Origin", "*")
		return handle(c)
	})
}

// preflight lets scripts of every origin send what these endpoints read.
func preflight(c *gin.Context) error {
	c.Header("Access-Control-Allow-Headers", "Authorization, Last-Event-ID, If-None-Match")
	c.Header("Access-Control-Allow-Methods", "GET, HEAD")
	c.Status(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
	return nil
}

// directory answers with the URIs of all lists (section 9.3 of the draft).
func (e *Endpoints) directory(c *gin.Context) error {
	uris := []string{}
	for _, list := range e.Lists.All() {
		uris = append(uris, list.URI(e.Issuer))
	}
	c.Header("Cache-Control", "public, max-age="+seconds(e.TTL))
	respond.JSON(c, http.StatusOK, map[string][]string{"status_lists": uris})
	return nil
}

const mediaType = "application/statuslist+jwt"

// listID is the form of list ids; anything else is not looked up.
var listID = regexp.MustCompile(`^[a-z0-9]{1,64}$`)

var (
	errNoList  = &authz.Error{Code: authz.NotFound, Description: "There is no such status list, or not yet in this version."}
	errVersion = &authz.Error{Code: authz.InvalidRequest, Description: "The parameter v is not the version of a status list."}
	errTime    = &authz.Error{Code: authz.Unsupported, Description: "Status lists of the past are not kept."}
)

// list answers with a signed list (section 8 of the draft). With the parameter
// v it is that version or, uncached, a newer one.
func (e *Endpoints) list(c *gin.Context) error {
	query := c.Request.URL.Query()
	if query.Has("time") {
		return errTime // section 8.4
	}
	wanted, err := int64(0), error(nil)
	if query.Has("v") {
		if wanted, err = strconv.ParseInt(query.Get("v"), 10, 64); err != nil || wanted <= 0 {
			return errVersion
		}
	}
	id := c.Param("id")
	if !listID.MatchString(id) {
		return errNoList
	}
	list, err := e.Lists.Find(c.Request.Context(), id, wanted)
	if errors.Is(err, authz.ErrNotFound) {
		return errNoList
	}
	if err != nil {
		return err
	}
	rest := list.ExpiresAt.Sub(e.Now())
	if rest <= 0 {
		return fmt.Errorf("status list %s has expired: %w", id, authz.ErrUnavailable)
	}
	c.Header("Cache-Control", cacheControl(list.Version, wanted, min(rest, e.TTL), rest))
	if wanted > 0 {
		e.Stream.reach.fetched(id, list.Version, e.Now())
	}
	return e.packed.write(c, list)
}

// cacheControl lets caches keep the newest version for ttl, and a version that
// was asked for by its number as long as it is valid: it never changes.
func cacheControl(version, wanted int64, ttl, rest time.Duration) string {
	switch wanted {
	case 0:
		return "public, max-age=" + seconds(ttl)
	case version:
		return "public, max-age=" + seconds(rest) + ", immutable"
	}
	return "no-store"
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }
