package oidc

import (
	"net/http"

	"chancery/authz"
	"chancery/web/caller"
	"chancery/web/page"
	"chancery/web/respond"

	"github.com/gin-gonic/gin"
)

// userInfoAnswer is the body of a UserInfo response (OpenID Connect Core section
// 5.3.2).
type userInfoAnswer struct {
	Subject           string `json:"sub"`
	PreferredUsername string `json:"preferred_username,omitempty"`
	UpdatedAt         int64  `json:"updated_at,omitempty"`
	Email             string `json:"email,omitempty"`
	EmailVerified     *bool  `json:"email_verified,omitempty"`
}

// userInfo tells a client of the user of its access token.
func (e *endpoints) userInfo(c *gin.Context) error {
	respond.NoStore(c)
	if err := caller.AllowOrigin(c, e.Origins); err != nil {
		return err
	}
	token, err := e.userInfoToken(c)
	if err != nil {
		return err
	}
	info, err := e.Users.UserInfo(c.Request.Context(), token)
	if err != nil {
		return err
	}
	answer := userInfoAnswer{Subject: info.Subject, PreferredUsername: info.PreferredUsername, Email: info.Email}
	if !info.UpdatedAt.IsZero() {
		answer.UpdatedAt = info.UpdatedAt.Unix()
	}
	if info.Email != "" {
		answer.EmailVerified = &info.EmailVerified
	}
	respond.JSON(c, http.StatusOK, answer)
	return nil
}

// userInfoToken returns the access token of the header or, which only this
// endpoint takes, of a form (RFC 6750 section 2.2).
func (e *endpoints) userInfoToken(c *gin.Context) (authz.Presented, error) {
	token, err := caller.AccessToken(c, e.Issuer)
	if c.Request.Method != http.MethodPost || c.ContentType() != "application/x-www-form-urlencoded" {
		return token, err
	}
	f, formErr := page.ReadForm(c)
	if formErr != nil {
		return authz.Presented{}, formErr
	}
	inForm := f.Secret("access_token")
	switch {
	case inForm == "":
		return token, err
	case c.GetHeader("Authorization") != "":
		return authz.Presented{}, caller.ErrTwoTokens
	}
	return authz.Presented{Token: inForm}, nil
}
