// Package claims owns the shape of the tokens that Chancery signs: the header
// types and the claim names that an issuer writes and a verifier reads. It
// knows nothing of signatures, keys or transport.
package claims

// TypeAccessToken is the "typ" header of an access token (RFC 9068 section 2.1).
const TypeAccessToken = "at+jwt"

// AccessToken holds the claims of an RFC 9068 access token. Times are seconds
// since the Unix epoch. The user claims (SessionID, AuthTime, AMR, Roles) are
// empty in a token that a client got for itself.
type AccessToken struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  string   `json:"aud"`
	ClientID  string   `json:"client_id"`
	IssuedAt  int64    `json:"iat"`
	ExpiresAt int64    `json:"exp"`
	ID        string   `json:"jti"`
	Scope     string   `json:"scope,omitempty"`
	SessionID string   `json:"sid,omitempty"`
	AuthTime  int64    `json:"auth_time,omitempty"`
	AMR       []string `json:"amr,omitempty"`
	Roles     []string `json:"roles,omitempty"`
	// Actor is who acts for the subject, if it is not the subject's own client.
	Actor *Actor `json:"act,omitempty"`
	// Confirmation binds the token to a key of its client.
	Confirmation *Confirmation `json:"cnf,omitempty"`
	// Status says where to look whether the token still counts.
	Status *Status `json:"status,omitempty"`
}

// Confirmation says which key the client must prove to hold (RFC 9449 section
// 6.1): the one with that RFC 7638 thumbprint.
type Confirmation struct {
	Thumbprint string `json:"jkt"`
}

// Actor says which client acts for the subject of a token, and for which other
// client before it (RFC 8693 section 4.1).
type Actor struct {
	Subject string `json:"sub"`
	Actor   *Actor `json:"act,omitempty"`
}

// Depth returns how many clients act for each other; a nil actor is none.
func (a *Actor) Depth() int {
	n := 0
	for ; a != nil; a = a.Actor {
		n++
	}
	return n
}
