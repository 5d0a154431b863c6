package authz

import (
	"context"
	"time"
)

// UserInfo is what a client may know of a user, by what the user has granted
// (OpenID Connect Core section 5.1). Empty fields were not granted, or are not
// known.
type UserInfo struct {
	Subject           string
	PreferredUsername string
	UpdatedAt         time.Time
	Email             string
	EmailVerified     bool
}

// UserInfo returns what the user of an access token has granted its client to
// know, at this moment: the session must live. A token for any resource will do
// that carries the scope openid. The error has code InvalidToken or
// InsufficientScope.
func (a *Accounts) UserInfo(ctx context.Context, token Presented) (UserInfo, error) {
	read, ok := a.Service.readAccessToken(token.Token)
	if !ok || read.SessionID == "" {
		return UserInfo{}, errToken
	}
	if err := a.Service.possessed(read, token); err != nil {
		return UserInfo{}, err
	}
	alive, err := a.Service.aliveToken(ctx, read, ScopeOpenID)
	if err != nil {
		return UserInfo{}, err
	}
	user, err := a.user(ctx, alive.Subject)
	if err != nil {
		return UserInfo{}, err
	}
	info := UserInfo{Subject: user.ID}
	if hasScope(alive, ScopeProfile) {
		info.PreferredUsername, info.UpdatedAt = user.Username, user.UpdatedAt
	}
	if hasScope(alive, ScopeEmail) {
		info.Email, info.EmailVerified = user.Email, !user.EmailVerifiedAt.IsZero()
	}
	return info, nil
}
