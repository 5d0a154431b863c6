// Package caller owns what a request tells of who makes it: the access token,
// the device, and the web origin. It leaves to others who may do what.
package caller

import (
	"context"

	"chancery/authz"
	"chancery/web/bearer"
	"chancery/web/respond"

	"github.com/gin-gonic/gin"
)

// ErrTwoTokens is returned for a request with more than one access token.
var ErrTwoTokens = &authz.Error{Code: authz.InvalidRequest, Description: "The request carries more than one access token."}

// AccessToken returns the access token of the request.
func AccessToken(c *gin.Context) (authz.Secret, error) {
	token, found, err := bearer.FromRequest(c.Request)
	switch {
	case err != nil:
		return "", ErrTwoTokens
	case !found:
		return "", respond.ErrNoToken
	}
	return authz.Secret(token), nil
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
