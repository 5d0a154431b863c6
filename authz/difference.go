package authz

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// differences collects the fields in which two values of something differ.
type differences []Difference

func (d *differences) text(field, before, after string) {
	if before != after {
		*d = append(*d, Difference{Field: field, Before: validText(before), After: validText(after)})
	}
}

func (d *differences) list(field string, before, after []string) {
	d.text(field, strings.Join(before, " "), strings.Join(after, " "))
}

// flag tells of a yes or no; that something new has none is no difference.
func (d *differences) flag(field string, before, after bool) {
	if before != after {
		d.text(field, strconv.FormatBool(before), strconv.FormatBool(after))
	}
}

// time tells of a time, which is absent when it is zero.
func (d *differences) time(field string, before, after time.Time) {
	d.text(field, timeText(before), timeText(after))
}

func timeText(t time.Time) string {
	switch {
	case t.IsZero():
		return ""
	case t.Equal(Forever):
		return "forever"
	}
	return t.UTC().Format(time.RFC3339)
}

// duration tells of a duration, which is absent when it is nil.
func (d *differences) duration(field string, before, after *time.Duration) {
	d.text(field, durationText(before), durationText(after))
}

func durationText(d *time.Duration) string {
	if d == nil {
		return ""
	}
	return d.String()
}

// differences returns what c has otherwise than before. Secrets are told
// apart by when they were made and expire.
func (c Client) differences(before Client) []Difference {
	var d differences
	d.text("client_name", before.Name, c.Name)
	d.text("token_endpoint_auth_method", string(before.AuthMethod), string(c.AuthMethod))
	d.flag("first_party", before.FirstParty, c.FirstParty)
	d.flag("introspect", before.Introspect, c.Introspect)
	d.list("grant_types", before.GrantTypes, c.GrantTypes)
	d.list("scope", before.Scope, c.Scope)
	d.list("resources", before.Resources, c.Resources)
	d.text("jwks", before.JWKS, c.JWKS)
	d.text("jwks_uri", before.JWKSURI, c.JWKSURI)
	d.list("redirect_uris", before.RedirectURIs, c.RedirectURIs)
	d.list("post_logout_redirect_uris", before.PostLogoutRedirectURIs, c.PostLogoutRedirectURIs)
	d.text("backchannel_logout_uri", before.BackchannelLogoutURI, c.BackchannelLogoutURI)
	d.text("id_token_signed_response_alg", before.IDTokenAlgorithm, c.IDTokenAlgorithm)
	d.flag("pkce_optional", before.PKCEOptional, c.PKCEOptional)
	d.flag("dpop_bound_access_tokens", before.DPoPBound, c.DPoPBound)
	d.list("allowed_origins", before.AllowedOrigins, c.AllowedOrigins)
	d.text("refresh_token_delivery", deliveryText(before), deliveryText(c))
	d.text("email_verification_uri", before.EmailVerificationURI, c.EmailVerificationURI)
	d.text("password_reset_uri", before.PasswordResetURI, c.PasswordResetURI)
	d.duration("idle_ttl", before.Refresh.IdleTTL, c.Refresh.IdleTTL)
	d.duration("absolute_ttl", before.Refresh.AbsoluteTTL, c.Refresh.AbsoluteTTL)
	d.duration("leeway", before.Refresh.Leeway, c.Refresh.Leeway)
	d.duration("lost_response_window", before.Refresh.LostResponseWindow, c.Refresh.LostResponseWindow)
	d.text("lost_response_budget", countText(before.Refresh.LostResponseBudget), countText(c.Refresh.LostResponseBudget))
	d.list("secrets", secretTexts(before.Secrets), secretTexts(c.Secrets))
	d.flag("disabled", !before.DisabledAt.IsZero(), !c.DisabledAt.IsZero())
	return d
}

// deliveryText is empty for a client that does not exist.
func deliveryText(c Client) string {
	if c.ID == "" {
		return ""
	}
	return c.Delivery()
}

func countText(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n)
}

func secretTexts(secrets []ClientSecret) []string {
	texts := make([]string, len(secrets))
	for i, s := range secrets {
		texts[i] = "of " + timeText(s.CreatedAt)
		if !s.ExpiresAt.IsZero() {
			texts[i] += " until " + timeText(s.ExpiresAt)
		}
	}
	return texts
}

// differences returns what r has otherwise than before.
func (r Resource) differences(before Resource) []Difference {
	var d differences
	d.text("name", before.Name, r.Name)
	d.text("algorithm", before.Algorithm, r.Algorithm)
	d.duration("access_token_ttl", ttlOrNone(before.AccessTokenTTL), ttlOrNone(r.AccessTokenTTL))
	d.list("scopes", scopeTexts(before.Scopes), scopeTexts(r.Scopes))
	return d
}

func ttlOrNone(ttl time.Duration) *time.Duration {
	if ttl == 0 {
		return nil
	}
	return &ttl
}

func scopeTexts(scopes []ResourceScope) []string {
	texts := make([]string, len(scopes))
	for i, s := range scopes {
		texts[i] = s.Name
		if len(s.Roles) > 0 {
			texts[i] += "(" + strings.Join(slices.Sorted(slices.Values(s.Roles)), ",") + ")"
		}
	}
	return texts
}

// differences returns what u has otherwise than before. A password is told
// apart, and not told.
func (u User) differences(before User) []Difference {
	var d differences
	d.text("username", before.Username, u.Username)
	d.text("email", before.Email, u.Email)
	d.flag("email_verified", !before.EmailVerifiedAt.IsZero(), !u.EmailVerifiedAt.IsZero())
	d.list("roles", before.Roles, u.Roles)
	d.flag("must_change", before.MustChange, u.MustChange)
	d.time("banned_until", before.BannedUntil, u.BannedUntil)
	d.text("ban_reason", before.BanReason, u.BanReason)
	return d
}
