package authz

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// Resource is an API that access tokens are meant for (RFC 8707).
type Resource struct {
	// URI is the audience of its tokens, compared byte by byte.
	URI  string
	Name string
	// Scopes are the scope tokens that this resource defines.
	Scopes []ResourceScope
	// Algorithm signs its tokens: RS256, EdDSA or ES256.
	Algorithm string
	// AccessTokenTTL is the greatest lifetime of its tokens; zero stands for
	// the server's default.
	AccessTokenTTL time.Duration
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// ResourceScope is one scope token of a resource. A user gets it only with
// one of Roles; without Roles every user may have it. Clients that act for
// themselves get it by their registration.
type ResourceScope struct {
	Name  string
	Roles []string
}

// Limits of an access token's lifetime.
const (
	MinAccessTokenTTL = time.Minute
	MaxAccessTokenTTL = 24 * time.Hour
)

const maxResourceLength = 512

// SigningAlgorithms are the algorithms that a resource may choose, the
// default one first.
func SigningAlgorithms() []string { return []string{"RS256", "EdDSA", "ES256"} }

// scope returns the names of the scopes that r defines.
func (r Resource) scope() Scope {
	names := make(Scope, len(r.Scopes))
	for i, s := range r.Scopes {
		names[i] = s.Name
	}
	return names
}

// permits reports whether a user with roles may have the scope token here.
func (r Resource) permits(token string, roles []string) bool {
	for _, s := range r.Scopes {
		if s.Name == token {
			return len(s.Roles) == 0 || slices.ContainsFunc(s.Roles, func(role string) bool { return slices.Contains(roles, role) })
		}
	}
	return false
}

// Validate reports what is wrong with r, as an *Error of code InvalidInput.
func (r Resource) Validate() error {
	if err := validResourceURI(r.URI); err != nil {
		return invalidInput("resource uri %q: want an absolute URI without fragment, at most %d bytes", r.URI, maxResourceLength)
	}
	if !PlainText(r.Name) {
		return invalidInput("resource name: want no control characters")
	}
	if !slices.Contains(SigningAlgorithms(), r.Algorithm) {
		return invalidInput("algorithm %q: want one of %s", r.Algorithm, strings.Join(SigningAlgorithms(), ", "))
	}
	if ttl := r.AccessTokenTTL; ttl != 0 && (ttl < MinAccessTokenTTL || ttl > MaxAccessTokenTTL) {
		return invalidInput("access token lifetime %s: want %s to %s", ttl, MinAccessTokenTTL, MaxAccessTokenTTL)
	}
	for i, s := range r.Scopes {
		if !validScopeToken(s.Name) {
			return invalidInput("scope %q: want visible ASCII without space, quotation mark and backslash", s.Name)
		}
		if OpenIDScopes().Has(s.Name) {
			return invalidInput("scope %q belongs to OpenID Connect: no resource defines it", s.Name)
		}
		if slices.ContainsFunc(r.Scopes[:i], func(o ResourceScope) bool { return o.Name == s.Name }) {
			return invalidInput("scope %q is given twice", s.Name)
		}
		for _, role := range s.Roles {
			if !validRole(role) {
				return invalidInput("role %q of scope %q: want 1 to 64 of a-z, 0-9, '.', '_', ':', '-'", role, s.Name)
			}
		}
	}
	return nil
}

var (
	errResourceSyntax = fail(InvalidTarget, "The resource must be one absolute URI without a fragment.")
	errResourceDenied = fail(InvalidTarget, "The client may not ask for tokens for this resource, or not with this scope.")
)

// validResourceURI checks the form that RFC 8707 section 2 asks for.
func validResourceURI(text string) error {
	if len(text) == 0 || len(text) > maxResourceLength || strings.Contains(text, "#") {
		return errResourceSyntax
	}
	for i := range len(text) {
		if c := text[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return errResourceSyntax
		}
	}
	u, err := url.Parse(text)
	if err != nil || !u.IsAbs() || (u.Opaque == "" && u.Host == "") {
		return errResourceSyntax
	}
	return nil
}

// parseResource reads the resource parameters of a token request: none, or
// one, since an access token has one audience.
func parseResource(values []string) (string, error) {
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], validResourceURI(values[0])
	}
	return "", errResourceSyntax
}

// Names of the resources that the server itself is, relative to the issuer,
// and of their scopes.
const (
	accountPath     = "/account"
	adminPath       = "/admin"
	userInfoPath    = "/oauth/userinfo"
	registerPath    = "/oauth/register"
	ScopeAccount    = "account"
	ScopeAdminRead  = "admin:read"
	ScopeAdminWrite = "admin:write"
	// ScopeRegister lets clients register themselves.
	ScopeRegister = "clients:register"
	// The scopes of OpenID Connect (OpenID Connect Core section 5.4 and 11).
	ScopeOpenID        = "openid"
	ScopeProfile       = "profile"
	ScopeEmail         = "email"
	ScopeOfflineAccess = "offline_access"
	// RoleAdmin is the role without which no user gets an admin scope.
	RoleAdmin = "admin"
)

// AccountResource returns the URI of the issuer's account API.
func AccountResource(issuer string) string { return strings.TrimSuffix(issuer, "/") + accountPath }

// AdminResource returns the URI of the issuer's admin API.
func AdminResource(issuer string) string { return strings.TrimSuffix(issuer, "/") + adminPath }

// UserInfoResource returns the URI of the issuer's UserInfo endpoint. It is the
// audience of access tokens that are for nothing else.
func UserInfoResource(issuer string) string { return strings.TrimSuffix(issuer, "/") + userInfoPath }

// RegistrationResource returns the URI of the issuer's registration endpoint:
// the audience of initial access tokens (RFC 7591 section 3).
func RegistrationResource(issuer string) string {
	return strings.TrimSuffix(issuer, "/") + registerPath
}

// OpenIDScopes returns the scopes of OpenID Connect. No resource may define
// them.
func OpenIDScopes() Scope {
	return Scope{ScopeOpenID, ScopeProfile, ScopeEmail, ScopeOfflineAccess}
}

// builtinResources are the resources that exist without being registered.
func builtinResources(issuer string) []Resource {
	adminOnly := []string{RoleAdmin}
	var openID []ResourceScope
	for _, name := range OpenIDScopes() {
		openID = append(openID, ResourceScope{Name: name})
	}
	return []Resource{
		{URI: AccountResource(issuer), Name: "Account", Algorithm: "RS256", Scopes: []ResourceScope{{Name: ScopeAccount}}},
		{URI: AdminResource(issuer), Name: "Administration", Algorithm: "RS256", Scopes: []ResourceScope{
			{Name: ScopeAdminRead, Roles: adminOnly}, {Name: ScopeAdminWrite, Roles: adminOnly},
		}},
		{URI: UserInfoResource(issuer), Name: "UserInfo", Algorithm: SigningAlgorithms()[0], Scopes: openID},
		{URI: RegistrationResource(issuer), Name: "Client registration", Algorithm: SigningAlgorithms()[0], Scopes: []ResourceScope{{Name: ScopeRegister, Roles: adminOnly}}},
	}
}
