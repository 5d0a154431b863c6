package oidc

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	"chancery/authz"

	"github.com/gin-gonic/gin"
)

// cookie is what a browser remembers a login by. It goes with every request to
// this host alone and is over when the browser is closed, if not before.
type cookie struct {
	name   string
	secure bool
}

// newCookie returns the cookie of the issuer with that path. The prefix makes
// browsers refuse one that another host of the domain has set, or that was set
// without encryption; it goes with the path "/" alone, so that the name tells
// issuers on one host apart.
func newCookie(base string, secure bool) cookie {
	name := "chancery"
	if base != "" {
		sum := sha256.Sum256([]byte(base))
		name += "-" + hex.EncodeToString(sum[:4])
	}
	if secure {
		name = "__Host-" + name
	}
	return cookie{name: name, secure: secure}
}

// read returns what the request's cookie holds. Of several none counts: one of
// them is somebody else's.
func (k cookie) read(r *http.Request) authz.Secret {
	if all := r.CookiesNamed(k.name); len(all) == 1 {
		return authz.Secret(all[0].Value)
	}
	return ""
}

func (k cookie) set(c *gin.Context, token authz.Secret) { k.write(c, token.Reveal(), 0) }
func (k cookie) clear(c *gin.Context)                   { k.write(c, "", -1) }

// write sets the cookie. Lax: a login must be seen when the browser comes from
// the page of a client.
func (k cookie) write(c *gin.Context, value string, maxAge int) {
	http.SetCookie(c.Writer, &http.Cookie{ //nolint:gosec // without Secure on http alone, which only a loopback issuer may be
		Name: k.name, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, Secure: k.secure, SameSite: http.SameSiteLaxMode,
	})
}
