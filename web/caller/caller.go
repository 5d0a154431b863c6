// Package caller owns what a request tells of who makes it: the access token,
// the device, and the web origin. It leaves to others who may do what.
package caller

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"chancery/authz"
	"chancery/web/bearer"
	"chancery/web/respond"

	"github.com/gin-gonic/gin"
)

// ErrTwoTokens is returned for a request with more than one access token.
var ErrTwoTokens = &authz.Error{Code: authz.InvalidRequest, Description: "The request carries more than one access token."}

// AccessToken returns the access token of a request below the issuer, with the
// proof of the key that it is bound to, if it comes with one.
func AccessToken(c *gin.Context, issuer string) (authz.Presented, error) {
	if token, bound := boundToken(c.Request); bound {
		possession, err := Possession(c, issuer)
		if err != nil || possession.Proof == "" {
			return authz.Presented{}, errTokenProof
		}
		return authz.Presented{Token: token, Possession: possession}, nil
	}
	token, found, err := bearer.FromRequest(c.Request)
	switch {
	case err != nil:
		return authz.Presented{}, ErrTwoTokens
	case !found:
		return authz.Presented{}, respond.ErrNoToken
	}
	return authz.Presented{Token: authz.Secret(token)}, nil
}

// boundToken returns the access token of the scheme of RFC 9449 section 7.1.
func boundToken(r *http.Request) (authz.Secret, bool) {
	headers := r.Header.Values("Authorization")
	if len(headers) != 1 {
		return "", false
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	return authz.Secret(strings.Trim(token, " ")), strings.EqualFold(scheme, "DPoP")
}

var errTokenProof = &authz.Error{Code: authz.InvalidToken, Description: "The access token must come with one DPoP proof."}

var errProofs = &authz.Error{Code: authz.InvalidDPoPProof, Description: "One DPoP header is needed."}

// Possession returns the DPoP proof of a request below the issuer. The error
// tells of more than one.
func Possession(c *gin.Context, issuer string) (authz.Possession, error) {
	proofs := c.Request.Header.Values("DPoP")
	if len(proofs) == 0 {
		return authz.Possession{}, nil
	}
	if len(proofs) > 1 {
		return authz.Possession{}, errProofs
	}
	uri := issuer
	if base, err := url.Parse(issuer); err == nil {
		uri = base.Scheme + "://" + base.Host
	}
	return authz.Possession{Proof: authz.Secret(proofs[0]), Method: c.Request.Method, URI: uri + c.Request.URL.EscapedPath()}, nil
}

// Device returns where the request comes from.
func Device(c *gin.Context) authz.Device {
	return authz.Device{Address: c.ClientIP(), UserAgent: c.Request.UserAgent()}
}

// Origins says which web origins may call.
type Origins interface {
	// OriginAllowed reports whether any client allows the origin.
	OriginAllowed(ctx context.Context, origin string) (bool, error)
}

// AllowOrigin lets scripts of every client's origins read the answer, errors
// included: a request with an access token carries no right but its own.
func AllowOrigin(c *gin.Context, origins Origins) error {
	c.Header("Vary", "Origin")
	allowed, err := originAllowed(c, origins)
	if allowed {
		respond.AllowOrigin(c)
	}
	return err
}

// Preflight answers what a browser asks before a request from another origin,
// which may have headers besides those that every API reads.
func Preflight(c *gin.Context, origins Origins, methods string, headers ...string) error {
	allowed, err := originAllowed(c, origins)
	if err == nil {
		respond.Preflight(c, allowed, methods, headers...)
	}
	return err
}

func originAllowed(c *gin.Context, origins Origins) (bool, error) {
	origin := c.GetHeader("Origin")
	if origin == "" {
		return false, nil
	}
	return origins.OriginAllowed(c.Request.Context(), origin)
}
