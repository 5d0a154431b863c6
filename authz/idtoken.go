package authz

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"chancery/authz/claims"
)

// Authentication context classes (OpenID Connect Core section 2).
const acrPassword = "1"

// ACRValues returns the authentication context classes that a login can reach:
// "1" stands for a password.
func ACRValues() []string { return []string{acrPassword} }

// acr returns the class of a login by what was proven. No login goes with less
// than a password.
func acr([]string) string { return acrPassword }

// withIDToken adds an ID token to the first answer of a session that was granted
// openid (OpenID Connect Core section 3.1.3.3). It is good for as long as an
// access token: its client looks at it once.
func (s *Service) withIDToken(response TokenResponse, client Client, f Family, nonce string, now time.Time) (TokenResponse, error) {
	if !f.Scope.Has(ScopeOpenID) {
		return response, nil
	}
	algorithm := client.idTokenAlgorithm()
	payload, err := json.Marshal(claims.IDToken{
		Issuer: s.Issuer, Subject: f.UserID, Audience: client.ID, AuthorizedParty: client.ID, SessionID: f.SessionID, Nonce: nonce,
		IssuedAt: now.Unix(), ExpiresAt: now.Add(s.AccessTokenTTL).Unix(), AuthTime: f.AuthTime.Unix(), ACR: acr(f.AMR), AMR: f.AMR,
		AccessTokenHash: accessTokenHash(algorithm, response.AccessToken),
	})
	if err != nil {
		return TokenResponse{}, fmt.Errorf("encode ID token: %w", err)
	}
	signed, err := s.Signer.Sign(algorithm, claims.TypeIDToken, payload)
	if err != nil {
		return TokenResponse{}, fmt.Errorf("sign ID token: %w: %w", ErrUnavailable, err)
	}
	response.IDToken = Secret(signed)
	return response, nil
}

// accessTokenHash is the left half of the hash that the algorithm uses (OpenID
// Connect Core section 3.1.3.6).
func accessTokenHash(algorithm string, token Secret) string {
	sum := sha256.Sum256([]byte(token))
	half := sum[:sha256.Size/2]
	if algorithm == "EdDSA" {
		long := sha512.Sum512([]byte(token))
		half = long[:sha512.Size/2]
	}
	return base64.RawURLEncoding.EncodeToString(half)
}

// readIDToken returns the claims of an ID token that this server has signed,
// also of one that has expired: as a hint it names a user and a session.
func (s *Service) readIDToken(text string) (claims.IDToken, bool) {
	var token claims.IDToken
	if len(text) > maxTokenLength {
		return token, false
	}
	payload, err := s.Signer.Verify(text, claims.TypeIDToken)
	if err != nil || json.Unmarshal(payload, &token) != nil || token.Issuer != s.Issuer {
		return token, false
	}
	return token, true
}
