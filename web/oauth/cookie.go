package oauth

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	"chancery/authz"

	"github.com/gin-gonic/gin"
)

// Cookies carry the refresh tokens of clients in browsers, where no script can
// read them. Which clients, and from where, authz.Browser decides.
type Cookies struct {
	// Path is that of the issuer and the endpoints, such as "/oauth".
	Path string
	// Secure is false on http alone, which only a loopback issuer may be.
	Secure bool
}

// name returns the name of a client's cookie. The prefix lets browsers refuse
// one that was set without encryption.
func (k Cookies) name(clientID string) string {
	sum := sha256.Sum256([]byte(clientID))
	name := "chancery-" + hex.EncodeToString(sum[:4])
	if k.Secure {
		name = "__Secure-" + name
	}
	return name
}

// browser returns what only a browser adds to a request. Of headers that are
// repeated none counts: one of them is somebody else's.
func (k Cookies) browser(r *http.Request, clientID string) authz.Browser {
	var b authz.Browser
	if origins := r.Header.Values("Origin"); len(origins) == 1 {
		b.Origin = origins[0]
	}
	if len(r.Header["Cookie"]) == 0 {
		return b // most requests have none, and need no name
	}
	if cookies := r.CookiesNamed(k.name(clientID)); len(cookies) == 1 {
		b.RefreshToken = authz.Secret(cookies[0].Value)
	}
	return b
}

func (k Cookies) set(c *gin.Context, clientID string, token authz.Secret, seconds int64) {
	http.SetCookie(c.Writer, k.cookie(clientID, token.Reveal(), int(seconds)))
}

func (k Cookies) clear(c *gin.Context, clientID string) {
	http.SetCookie(c.Writer, k.cookie(clientID, "", -1))
}

// cookie is for this host alone, and sent from pages of the same site alone.
func (k Cookies) cookie(clientID, value string, maxAge int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // without Secure on http alone, which only a loopback issuer may be
		Name: k.name(clientID), Value: value, Path: k.Path, MaxAge: maxAge,
		HttpOnly: true, Secure: k.Secure, SameSite: http.SameSiteStrictMode,
	}
}
