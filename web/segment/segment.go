// Package segment owns how the names of things stand in the path of a URL where
// they hold what a path cannot: base64url, which no proxy rewrites. It leaves to
// others whether such a thing exists.
package segment

import (
	"encoding/base64"
	"strings"
)

// OfURI returns the segment that stands for a URI.
func OfURI(uri string) string { return base64.RawURLEncoding.EncodeToString([]byte(uri)) }

// URI returns what a segment stands for, and whether it stands for anything.
func URI(segment string) (uri string, ok bool) {
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(segment)
	return string(decoded), err == nil
}

// urlMark begins the segment of a client that is known by a URL. No other client
// id begins with it.
const urlMark = "~"

// OfClient returns the segment that stands for a client: its id or, for an id that
// is a URL, a tilde and that URL in base64url.
func OfClient(id string) string {
	if strings.Contains(id, "/") {
		return urlMark + OfURI(id)
	}
	return id
}

// Client returns the id of the client that a segment stands for. What stands for
// none is returned as it is: no client has such an id.
func Client(segment string) string {
	if encoded, ok := strings.CutPrefix(segment, urlMark); ok {
		if uri, ok := URI(encoded); ok && strings.Contains(uri, "/") {
			return uri
		}
	}
	return segment
}
