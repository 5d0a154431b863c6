package authz

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxRedirectURIs and maxRedirectLength bound what a client may register.
const (
	maxRedirectURIs   = 50
	maxRedirectLength = 1000
)

// ownScheme is a URI scheme of an app: the reverse of a domain name, so that
// two apps do not choose the same by accident (RFC 8252 section 7.1).
var ownScheme = regexp.MustCompile(`^[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+$`)

// validRedirectURI reports whether answers for a client may go to the URI: on
// https anywhere, on http to a loopback host, or to an app by a scheme of its
// own. What two programs could read differently is refused.
func validRedirectURI(text string) bool {
	u, err := url.Parse(text)
	if err != nil || len(text) > maxRedirectLength || u.User != nil || u.String() != text || strings.Contains(text, "#") {
		return false
	}
	for i := range len(text) {
		if c := text[i]; c <= 0x20 || c > 0x7e || strings.IndexByte(`\"<>^`+"`{|}*", c) >= 0 {
			return false
		}
	}
	if _, err := strconv.ParseUint(cmp.Or(u.Port(), "1"), 10, 16); err != nil {
		return false
	}
	switch u.Scheme {
	case "https", "http":
		return u.Opaque == "" && hostForm.MatchString(u.Host) && u.Hostname() != "" && (u.Scheme == "https" || loopbackHost(u.Hostname()))
	}
	return ownScheme.MatchString(u.Scheme)
}

// loopbackRedirect is a redirect URI at which an app on the user's own machine
// listens. The port is whichever it gets.
var loopbackRedirect = regexp.MustCompile(`^(http://(?:127\.0\.0\.1|\[::1\]|localhost))(?::[0-9]{1,5})?([/?].*)?$`)

// redirectsTo reports whether the client has registered the redirect URI. They
// are compared byte by byte, but for the port of a loopback address (RFC 8252
// section 7.3).
func (c Client) redirectsTo(uri string) bool {
	if slices.Contains(c.RedirectURIs, uri) {
		return true
	}
	asked := loopbackRedirect.FindStringSubmatch(uri)
	return asked != nil && validRedirectURI(uri) && slices.ContainsFunc(c.RedirectURIs, func(registered string) bool {
		known := loopbackRedirect.FindStringSubmatch(registered)
		return known != nil && known[1] == asked[1] && known[2] == asked[2]
	})
}

// claimsRedirect reports whether a redirect URI says by itself which app gets
// the answer. On https it does; any app may listen on a loopback port or
// register a scheme, and pass for a client that has no secret.
func claimsRedirect(uri string) bool { return strings.HasPrefix(uri, "https://") }

// withQuery adds parameters to the query of a redirect URI, which has no
// fragment.
func withQuery(uri string, values url.Values) string {
	separator := "?"
	if strings.Contains(uri, "?") {
		separator = "&"
	}
	return uri + separator + values.Encode()
}

// validateRedirects checks what concerns logging in with a browser.
func (c Client) validateRedirects() error {
	for _, list := range []struct {
		name string
		uris []string
	}{{"redirect uri", c.RedirectURIs}, {"post logout redirect uri", c.PostLogoutRedirectURIs}} {
		if len(list.uris) > maxRedirectURIs {
			return invalidInput("%s: want at most %d", list.name, maxRedirectURIs)
		}
		for _, uri := range list.uris {
			if !validRedirectURI(uri) {
				return invalidInput("%s %q: want https, http on a loopback host, or a scheme such as com.example.app, without fragment, user and wildcard", list.name, uri)
			}
		}
	}
	if c.allows(GrantAuthorizationCode) && len(c.RedirectURIs) == 0 {
		return invalidInput("grant authorization_code: needs a redirect uri")
	}
	if c.PKCEOptional && c.Public() {
		return invalidInput("pkce optional: only for a confidential client")
	}
	if c.IDTokenAlgorithm != "" && !slices.Contains(SigningAlgorithms(), c.IDTokenAlgorithm) {
		return invalidInput("id token algorithm %q: want one of %s", c.IDTokenAlgorithm, strings.Join(SigningAlgorithms(), ", "))
	}
	if c.BackchannelLogoutURI != "" && !validPage(c.BackchannelLogoutURI) {
		return invalidInput("back-channel logout uri %q: want an https URL without fragment and user, or http on a loopback host", c.BackchannelLogoutURI)
	}
	return nil
}

// idTokenAlgorithm returns what signs the client's ID tokens.
func (c Client) idTokenAlgorithm() string {
	if c.IDTokenAlgorithm == "" {
		return SigningAlgorithms()[0]
	}
	return c.IDTokenAlgorithm
}
