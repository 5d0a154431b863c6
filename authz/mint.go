package authz

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"chancery/authz/claims"
)

// maxRoles bounds the roles claim.
const maxRoles = 32

// mintForUser signs an access token of a session, bound to the key with that
// thumbprint unless it is empty. It never outlives the session's absolute expiry.
func (s *Service) mintForUser(f Family, t target, now time.Time, thumbprint string) (TokenResponse, error) {
	token := claims.AccessToken{
		Subject: f.UserID, SessionID: f.SessionID, AuthTime: f.AuthTime.Unix(), AMR: f.AMR, Roles: f.Roles[:min(len(f.Roles), maxRoles)],
		Status: s.statusClaim(f.Status), Confirmation: confirmation(thumbprint),
	}
	response, err := s.mint(token, f.ClientID, t, now, f.AbsoluteExpiresAt)
	response.UserID, response.SessionID = f.UserID, f.SessionID
	return response, err
}

// mintForClient signs an access token that a client gets for itself.
func (s *Service) mintForClient(client Client, t target, now time.Time, thumbprint string) (TokenResponse, error) {
	token := claims.AccessToken{Subject: client.ID, Status: s.statusClaim(client.Status), Confirmation: confirmation(thumbprint)}
	return s.mint(token, client.ID, t, now, time.Time{})
}

// statusClaim returns where verifiers see whether a token still counts.
func (s *Service) statusClaim(ref StatusRef) *claims.Status {
	if ref.List == "" {
		return nil
	}
	return &claims.Status{StatusList: claims.StatusListEntry{Index: ref.Index, URI: claims.StatusListURI(s.Issuer, ref.List)}}
}

// mint completes and signs an access token (RFC 9068 section 2). Its lifetime
// is the resource's, shortened by a random tenth at most, so that clients that
// logged in together do not refresh together, and ends with notAfter.
func (s *Service) mint(token claims.AccessToken, clientID string, t target, now, notAfter time.Time) (TokenResponse, error) {
	random := randomBytes(16 + 8)
	ttl := t.resource.AccessTokenTTL
	if ttl == 0 {
		ttl = s.AccessTokenTTL
	}
	ttl -= time.Duration(float64(ttl) / 10 * (float64(binary.BigEndian.Uint64(random[16:])>>11) / (1 << 53)))
	expires := now.Add(ttl)
	if !notAfter.IsZero() && notAfter.Before(expires) {
		expires = notAfter
	}
	token.Issuer, token.Audience, token.ClientID = s.Issuer, t.resource.URI, clientID
	token.IssuedAt, token.ExpiresAt = now.Unix(), expires.Unix()
	token.ID = base64.RawURLEncoding.EncodeToString(random[:16])
	token.Scope = t.scope.String()
	payload, err := json.Marshal(token)
	if err != nil {
		return TokenResponse{}, fmt.Errorf("encode access token: %w", err)
	}
	signed, err := s.Signer.Sign(t.resource.Algorithm, claims.TypeAccessToken, payload)
	if err != nil {
		return TokenResponse{}, fmt.Errorf("sign access token: %w: %w", ErrUnavailable, err)
	}
	return TokenResponse{
		AccessToken: Secret(signed), Bound: token.Confirmation != nil, ExpiresIn: token.ExpiresAt - token.IssuedAt, Scope: t.scope, ClientID: clientID,
	}, nil
}

// withRefreshToken adds the refresh token of the family's newest generation.
func (s *Service) withRefreshToken(response TokenResponse, f Family, h handle, now time.Time) TokenResponse {
	response.RefreshToken = s.Refreshes.format(refreshToken{handle: h, generation: f.Generation})
	response.RefreshExpiresIn = int64(f.expiry().Sub(now) / time.Second)
	return response
}
