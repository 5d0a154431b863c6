package claims

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
	Version    int64      `json:"version"`
	StatusList StatusList `json:"status_list"`
}

// StatusList is the list itself: base64url of the zlib-compressed array with
// Bits bits for each entry (section 4.2).
type StatusList struct {
	Bits int    `json:"bits"`
	List string `json:"lst"`
}
