package authz

// Browser is what only a browser adds to a request.
type Browser struct {
	// Origin is the web origin that the request comes from, "" if there is
	// none.
	Origin string
	// RefreshToken is that of the client's cookie.
	RefreshToken Secret
}

var (
	errOrigin      = fail(InvalidRequest, "The request must come from a web origin that the client allows.")
	errTokenInBody = fail(InvalidRequest, "The refresh token of this client is in a cookie and must not be sent in the body.")
)

// check decides whether a browser may make a request of the client with a
// refresh token in the body. A browser sends a cookie whoever makes it send the
// request, so every request of a client with CookieDelivery must come from an
// origin that the client allows: a login too, or a stranger could log a victim
// in as himself.
func (b Browser) check(client Client, inBody Secret) error {
	if !client.CookieDelivery {
		return nil
	}
	if !client.AllowsOrigin(b.Origin) {
		return errOrigin
	}
	if inBody != "" {
		return errTokenInBody
	}
	return nil
}
