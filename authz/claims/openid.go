package claims

// Types of the tokens that clients get ("typ" headers).
const (
	// TypeIDToken is that of an ID token.
	TypeIDToken = "JWT"
	// TypeLogoutToken is that of a logout token (OpenID Connect Back-Channel
	// Logout section 2.4).
	TypeLogoutToken = "logout+jwt" //nolint:gosec // the name of a type
)

// IDToken holds the claims of an ID token (OpenID Connect Core section 2).
// Times are seconds since the Unix epoch.
type IDToken struct {
	Issuer    string `json:"iss"`
	Subject   string `json:"sub"`
	Audience  string `json:"aud"`
	ExpiresAt int64  `json:"exp"`
	IssuedAt  int64  `json:"iat"`
	AuthTime  int64  `json:"auth_time"`
	// Nonce is that of the authorization request.
	Nonce string   `json:"nonce,omitempty"`
	ACR   string   `json:"acr"`
	AMR   []string `json:"amr"`
	// AuthorizedParty is the client, as is Audience.
	AuthorizedParty string `json:"azp"`
	// AccessTokenHash ties the access token to it that was issued with it.
	AccessTokenHash string `json:"at_hash"`
	SessionID       string `json:"sid"`
}

// LogoutEvent is the member of a logout token's events that makes it one.
const LogoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// LogoutToken holds the claims of a logout token (OpenID Connect Back-Channel
// Logout section 2.4). It never has a nonce.
type LogoutToken struct {
	Issuer    string              `json:"iss"`
	Subject   string              `json:"sub"`
	Audience  string              `json:"aud"`
	IssuedAt  int64               `json:"iat"`
	ExpiresAt int64               `json:"exp"`
	ID        string              `json:"jti"`
	SessionID string              `json:"sid"`
	Events    map[string]struct{} `json:"events"`
}
