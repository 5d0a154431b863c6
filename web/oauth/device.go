package oauth

import (
	"net/http"
	"net/url"
	"time"

	"chancery/authz"
	"chancery/web/caller"
	"chancery/web/respond"

	"github.com/gin-gonic/gin"
)

// VerificationPath is where users type the codes of devices, below the issuer.
const VerificationPath = "/device"

// deviceAnswer is the body of a device authorization response (RFC 8628 section
// 3.2).
type deviceAnswer struct {
	DeviceCode              string `json:"device_code"`
	UserCode                string `json:"user_code"`
	VerificationURI         string `json:"verification_uri"`
	VerificationURIComplete string `json:"verification_uri_complete"`
	ExpiresIn               int64  `json:"expires_in"`
	Interval                int64  `json:"interval"`
}

func (e *Endpoints) device(c *gin.Context, r request) error {
	if r.unreadable != nil {
		return r.unreadable
	}
	note(c, r.credentials)
	response, err := e.Authorizations.StartDevice(c.Request.Context(), authz.DeviceRequest{
		Credentials: r.credentials, Scope: r.value("scope"), Resources: r.values("resource"), Device: caller.Device(c),
	})
	if err != nil {
		return err
	}
	page := e.Issuer + VerificationPath
	respond.JSON(c, http.StatusOK, deviceAnswer{
		DeviceCode: response.DeviceCode.Reveal(), UserCode: response.UserCode, VerificationURI: page,
		VerificationURIComplete: page + "?user_code=" + url.QueryEscape(response.UserCode),
		ExpiresIn:               int64(response.ExpiresIn / time.Second), Interval: int64(response.Interval / time.Second),
	})
	return nil
}
