package claims

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
)

// TypeStatusList is the "typ" header of a status list token
// (draft-ietf-oauth-status-list section 5.1).
const TypeStatusList = "statuslist+jwt"

// Paths below the issuer. Each status list is a resource below
// StatusListsPath, and that URI is the subject of its token.
const (
	StatusListsPath  = "/oauth/status-lists"
	StatusStreamPath = "/oauth/status-stream"
)

// StatusListURI returns the URI of the issuer's list with the id.
func StatusListURI(issuer, id string) string { return issuer + StatusListsPath + "/" + id }

// Status is the claim by which a token names its entry in a status list
// (section 6 of the draft).
type Status struct {
	StatusList StatusListEntry `json:"status_list"`
}

// StatusListEntry is an index into the list at a URI.
type StatusListEntry struct {
	Index uint32 `json:"idx"`
	URI   string `json:"uri"`
}

// StatusListToken holds the claims of a status list token (section 5.1).
// IssuedAt and ExpiresAt are seconds since the Unix epoch, TTL is seconds.
type StatusListToken struct {
	Issuer    string `json:"iss"`
	Subject   string `json:"sub"`
	IssuedAt  int64  `json:"iat"`
	ExpiresAt int64  `json:"exp"`
	TTL       int64  `json:"ttl"`
	// Version rises with every token of the list. It is what the stream of
	// changes names, and the parameter "v" of an address that never changes.
	Version int64 `json:"version"`
	// Keys is the KeysTag of the issuer's keys at that time. It tells a verifier
	// that keys have come or gone.
	Keys       string     `json:"keys,omitempty"`
	StatusList StatusList `json:"status_list"`
}

// KeysTag names a set of keys by their ids, in any order.
func KeysTag(ids []string) string {
	sum := sha256.Sum256([]byte(strings.Join(slices.Sorted(slices.Values(ids)), "\n")))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// StatusList is the list itself: base64url of the zlib-compressed array with
// Bits bits for each entry (section 4.2).
type StatusList struct {
	Bits int    `json:"bits"`
	List string `json:"lst"`
}
