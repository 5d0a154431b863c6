package authz

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Grant types of the token endpoint.
const (
	GrantAuthorizationCode = "authorization_code"
	GrantPassword          = "password"
	GrantRefreshToken      = "refresh_token"
	GrantClientCredentials = "client_credentials"
	GrantDeviceCode        = "urn:ietf:params:oauth:grant-type:device_code"
	GrantTokenExchange     = "urn:ietf:params:oauth:grant-type:token-exchange" //nolint:gosec // the name of a grant
)

// GrantTypes returns the grant types that a client may be registered for.
func GrantTypes() []string {
	return []string{GrantAuthorizationCode, GrantPassword, GrantRefreshToken, GrantClientCredentials, GrantDeviceCode, GrantTokenExchange}
}

// AuthMethod is a token endpoint authentication method (RFC 7591 section 2).
type AuthMethod string

// The authentication methods. AuthAnySecret is what a confidential client is
// registered with when it may send its secret either way.
const (
	AuthNone          AuthMethod = "none"
	AuthBasic         AuthMethod = "client_secret_basic"
	AuthPost          AuthMethod = "client_secret_post"
	AuthAnySecret     AuthMethod = "client_secret"
	AuthPrivateKeyJWT AuthMethod = "private_key_jwt"
	userIDPrefix                 = "usr_"
	clientSecretTag              = "chcs_"
)

// OriginDynamic says that a client has registered itself.
const OriginDynamic = "dynamic"

// How refresh tokens reach a client.
const (
	DeliveryBody   = "body"
	DeliveryCookie = "cookie"
)

// Client is a registered client. Times are UTC; zero means never.
type Client struct {
	ID         string
	Name       string
	AuthMethod AuthMethod
	// Secrets are those alive; two while one replaces the other.
	Secrets []ClientSecret
	// JWKS and JWKSURI are the public keys by which a client with
	// AuthPrivateKeyJWT proves itself: one of them, as an RFC 7517 set or where
	// that is.
	JWKS    string
	JWKSURI string
	// Origin is how the client came to be: "" for one that an admin registered,
	// OriginDynamic or OriginDocument.
	Origin string
	// RegistrationToken is the hash of what lets a client that registered itself
	// change its registration (RFC 7592).
	RegistrationToken Hash
	// FirstParty is set by admins alone: it opens the password grant and the
	// account API.
	FirstParty bool
	// Introspect lets the client introspect access tokens for its Resources.
	Introspect bool
	GrantTypes []string
	Scope      Scope
	// Resources are the URIs it may ask for, the default one first.
	Resources []string
	// RedirectURIs are where answers of the authorization endpoint may go,
	// PostLogoutRedirectURIs where a browser may go after a logout.
	RedirectURIs           []string
	PostLogoutRedirectURIs []string
	// BackchannelLogoutURI is told of sessions that end (OpenID Connect
	// Back-Channel Logout), unless it is empty.
	BackchannelLogoutURI string
	// IDTokenAlgorithm signs its ID tokens; "" stands for RS256.
	IDTokenAlgorithm string
	// PKCEOptional lets a confidential client begin a login without a code
	// challenge (RFC 7636).
	PKCEOptional bool
	// DPoPBound refuses tokens to the client that are not bound to a key of it
	// (RFC 9449 section 5.2).
	DPoPBound bool
	// AllowedOrigins are the web origins whose scripts may read its answers.
	AllowedOrigins []string
	// CookieDelivery puts refresh tokens into a cookie that no script reads,
	// for apps in browsers; requests must then come from an allowed origin.
	CookieDelivery bool
	// EmailVerificationURI and PasswordResetURI are the pages of the app that
	// mailed links lead to, with the token in the fragment. Without one the
	// mail holds a code to type.
	EmailVerificationURI string
	PasswordResetURI     string
	Refresh              RefreshOverrides
	// Status is its entry in a status list, for the tokens it gets for itself.
	Status     StatusRef
	DisabledAt time.Time
	// TokensNotBefore is when the client was created, or last enabled again:
	// tokens that it got for itself before are dead.
	TokensNotBefore time.Time
	CreatedAt       time.Time
	UpdatedAt       time.Time
	// Version rises with every change and guards against lost updates.
	Version int64
}

// ClientSecret is one stored secret of a client.
type ClientSecret struct {
	Hash      Hash
	CreatedAt time.Time
	// ExpiresAt is zero for a secret that does not expire.
	ExpiresAt time.Time
}

// Disable disables the client at now, unless it is so already, or lets it in
// again.
func (c *Client) Disable(disabled bool, now time.Time) {
	switch {
	case !disabled:
		c.DisabledAt = time.Time{}
	case c.DisabledAt.IsZero():
		c.DisabledAt = now.UTC().Truncate(time.Millisecond)
	}
}

// Delivery returns how refresh tokens reach the client.
func (c Client) Delivery() string {
	if c.CookieDelivery {
		return DeliveryCookie
	}
	return DeliveryBody
}

// Stranger reports whether no admin has registered the client: nobody has checked
// what it says of itself.
func (c Client) Stranger() bool { return c.Origin != "" }

// Title returns what people call the client.
func (c Client) Title() string { return cmp.Or(c.Name, c.ID) }

// Public reports whether the client cannot prove itself.
func (c Client) Public() bool { return c.AuthMethod == AuthNone }

// HasSecret reports whether the client proves itself by a secret.
func (c Client) HasSecret() bool { return !c.Public() && c.AuthMethod != AuthPrivateKeyJWT }

// allows reports whether the client may use the grant type.
func (c Client) allows(grantType string) bool { return slices.Contains(c.GrantTypes, grantType) }

// AllowsOrigin reports whether scripts of the web origin may read the client's
// answers and, with CookieDelivery, make its requests.
func (c Client) AllowsOrigin(origin string) bool {
	return origin != "" && slices.Contains(c.AllowedOrigins, origin)
}

// scope returns what the client may ask for: the registered scopes, and the
// account scope for a first-party client.
func (c Client) scope() Scope {
	if !c.FirstParty || c.Scope.Has(ScopeAccount) {
		return c.Scope
	}
	return append(slices.Clone(c.Scope), ScopeAccount)
}

// resources returns the resource URIs that the client may ask for: the
// registered ones, and those that it has by being what it is.
func (c Client) resources(issuer string) []string {
	uris := c.Resources
	if account := AccountResource(issuer); c.FirstParty && !slices.Contains(uris, account) {
		uris = append(slices.Clone(uris), account)
	}
	if c.Scope.Has(ScopeOpenID) {
		uris = append(slices.Clone(uris), UserInfoResource(issuer))
	}
	return uris
}

var (
	clientIDForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~-]{0,127}$`)
	// hostForm keeps wildcards and user information out of web origins.
	hostForm = regexp.MustCompile(`^[a-z0-9.-]+(:[0-9]{1,5})?$|^\[[0-9a-f:]+\](:[0-9]{1,5})?$`)
)

// invisible reports whether a letter is none that people see: the name of a stranger
// must not look like another one.
func invisible(r rune) bool { return unicode.Is(unicode.Cf, r) || (unicode.IsSpace(r) && r != ' ') }

// validClientID reports whether any client could have the id.
func validClientID(id string) bool { return clientIDForm.MatchString(id) || documentURL(id) }

// Validate reports what is wrong with c by itself, as an *Error of code
// InvalidInput. Whether its resources exist is the registry's to say.
func (c Client) Validate() error {
	if c.Origin == OriginDocument {
		if !documentURL(c.ID) {
			return invalidInput("client id %q: want the URL of a document, https or http on a loopback host, with a path and without fragment and user", c.ID)
		}
	} else if !clientIDForm.MatchString(c.ID) || strings.HasPrefix(c.ID, userIDPrefix) {
		return invalidInput("client id %q: want 1 to 128 letters, digits, '.', '_', '~', '-', not beginning with %s", c.ID, userIDPrefix)
	}
	if len(c.Name) > 200 || !PlainText(c.Name) {
		return invalidInput("client name: want at most 200 bytes without control characters")
	}
	if c.Stranger() && (strings.TrimSpace(c.Name) != c.Name || strings.ContainsFunc(c.Name, invisible)) {
		return invalidInput("client name: want only letters that can be seen, without space around them")
	}
	switch c.AuthMethod {
	case AuthNone, AuthBasic, AuthPost, AuthAnySecret, AuthPrivateKeyJWT:
	default:
		return invalidInput("authentication method %q: want none, client_secret, client_secret_basic, client_secret_post or private_key_jwt", c.AuthMethod)
	}
	if err := c.validateKeys(); err != nil {
		return err
	}
	if err := c.validateGrants(); err != nil {
		return err
	}
	for _, token := range c.Scope {
		if !validScopeToken(token) {
			return invalidInput("scope %q: want visible ASCII without space, quotation mark and backslash", token)
		}
	}
	for _, list := range [][]string{c.GrantTypes, c.Scope, c.Resources, c.AllowedOrigins, c.RedirectURIs, c.PostLogoutRedirectURIs} {
		for i, word := range list {
			if slices.Contains(list[:i], word) {
				return invalidInput("%q is given twice", word)
			}
		}
	}
	if c.Stranger() && (c.FirstParty || c.Introspect || slices.ContainsFunc(c.GrantTypes, func(grant string) bool { return !slices.Contains(dynamicGrants(), grant) })) {
		return invalidInput("a client that no admin has registered: want it neither first-party nor to introspect, with the grants %s alone", strings.Join(dynamicGrants(), ", "))
	}
	if err := c.validateRedirects(); err != nil {
		return err
	}
	return c.validateWeb()
}

// validateWeb checks what concerns apps in browsers.
func (c Client) validateWeb() error {
	for _, origin := range c.AllowedOrigins {
		if err := validOrigin(origin); err != nil {
			return err
		}
	}
	if c.CookieDelivery && (len(c.AllowedOrigins) == 0 || !c.allows(GrantRefreshToken)) {
		return invalidInput("refresh token delivery cookie: needs an allowed origin and the grant refresh_token")
	}
	for _, page := range []string{c.EmailVerificationURI, c.PasswordResetURI} {
		if !validPage(page) {
			return invalidInput("page %q: want an https URL without fragment and user, or http on a loopback host", page)
		}
	}
	return nil
}

// validPage reports whether a mailed link may lead to the page; there may be
// none.
func validPage(page string) bool {
	if page == "" {
		return true
	}
	u, err := url.Parse(page)
	if err != nil || validResourceURI(page) != nil || u.User != nil || u.Hostname() == "" {
		return false
	}
	return u.Scheme == "https" || (u.Scheme == "http" && loopbackHost(u.Hostname()))
}

func loopbackHost(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && address.IsLoopback())
}

func (c Client) validateGrants() error {
	for _, grant := range c.GrantTypes {
		if !slices.Contains(GrantTypes(), grant) {
			return invalidInput("grant %q: want one of %s", grant, strings.Join(GrantTypes(), ", "))
		}
	}
	if c.allows(GrantPassword) && !c.FirstParty {
		return invalidInput("grant password: only for a first-party client")
	}
	if c.allows(GrantClientCredentials) && c.Public() {
		return invalidInput("grant client_credentials: only for a confidential client")
	}
	if c.allows(GrantClientCredentials) && len(c.Resources) == 0 {
		return invalidInput("grant client_credentials: needs a resource")
	}
	if c.allows(GrantTokenExchange) && !c.Introspect {
		return invalidInput("grant %s: only for a resource server, which may introspect", GrantTokenExchange)
	}
	if c.Introspect && c.Public() {
		return invalidInput("introspect: only for a confidential client")
	}
	return nil
}

func validOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || origin != u.Scheme+"://"+u.Host || !hostForm.MatchString(u.Host) {
		return invalidInput("allowed origin %q: want scheme://host[:port] in lower case, without a path or wildcard", origin)
	}
	return nil
}

// RefreshPolicy holds the durations of refresh-token families.
type RefreshPolicy struct {
	// IdleTTL ends a session that is not refreshed for so long.
	IdleTTL time.Duration
	// AbsoluteTTL ends a session so long after its login.
	AbsoluteTTL time.Duration
	// Leeway is how long after a rotation the same token may come again, as
	// often as it likes.
	Leeway time.Duration
	// LostResponseWindow is how long after a rotation an answer that got lost
	// is repeated, for at most LostResponseBudget generations a day.
	LostResponseWindow time.Duration
	LostResponseBudget int
}

// RefreshOverrides are a client's own values; nil stands for the server's.
type RefreshOverrides struct {
	IdleTTL            *time.Duration
	AbsoluteTTL        *time.Duration
	Leeway             *time.Duration
	LostResponseWindow *time.Duration
	LostResponseBudget *int
}

// Over returns p with the overrides of o.
func (o RefreshOverrides) Over(p RefreshPolicy) RefreshPolicy {
	override(&p.IdleTTL, o.IdleTTL)
	override(&p.AbsoluteTTL, o.AbsoluteTTL)
	override(&p.Leeway, o.Leeway)
	override(&p.LostResponseWindow, o.LostResponseWindow)
	override(&p.LostResponseBudget, o.LostResponseBudget)
	return p
}

func override[T any](value, with *T) {
	if with != nil {
		*value = *with
	}
}

// Bounds of a refresh policy.
const (
	MaxLeeway             = 5 * time.Minute
	MaxLostResponseWindow = 24 * time.Hour
	MaxLostResponseBudget = 100
	MaxAbsoluteTTL        = 10 * 365 * 24 * time.Hour
)

// Problems lists what is wrong with p, each by the name of its setting.
func (p RefreshPolicy) Problems() map[string]string {
	problems := map[string]string{}
	if p.AbsoluteTTL < time.Minute || p.AbsoluteTTL > MaxAbsoluteTTL {
		problems["absolute_ttl"] = fmt.Sprintf("%s: want 1m to %s", p.AbsoluteTTL, MaxAbsoluteTTL)
	}
	if p.IdleTTL < time.Minute || p.IdleTTL > p.AbsoluteTTL {
		problems["idle_ttl"] = fmt.Sprintf("%s: want 1m to absolute_ttl (%s)", p.IdleTTL, p.AbsoluteTTL)
	}
	if p.Leeway < 0 || p.Leeway > MaxLeeway || p.Leeway > p.IdleTTL {
		problems["leeway"] = fmt.Sprintf("%s: want 0 to %s and at most idle_ttl (%s)", p.Leeway, MaxLeeway, p.IdleTTL)
	}
	if p.LostResponseWindow < p.Leeway || p.LostResponseWindow > MaxLostResponseWindow || p.LostResponseWindow > p.IdleTTL {
		problems["lost_response_window"] = fmt.Sprintf("%s: want leeway (%s) to %s and at most idle_ttl (%s)", p.LostResponseWindow, p.Leeway, MaxLostResponseWindow, p.IdleTTL)
	}
	if p.LostResponseBudget < 0 || p.LostResponseBudget > MaxLostResponseBudget {
		problems["lost_response_budget"] = fmt.Sprintf("%d: want 0 to %d", p.LostResponseBudget, MaxLostResponseBudget)
	}
	return problems
}
