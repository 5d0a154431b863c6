package oauth

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"chancery/authz"

	"github.com/gin-gonic/gin"
)

// Client returns the client that a request without a form proves to come from,
// by HTTP Basic.
func (e *Endpoints) Client(c *gin.Context) (authz.Client, error) {
	credentials, err := readCredentials(c.Request, form{})
	if err != nil {
		return authz.Client{}, err
	}
	return e.Service.Authenticate(c.Request.Context(), credentials, c.ClientIP())
}

var (
	errTwoMethods    = badRequest("The client uses more than one authentication method.")
	errTwoClients    = badRequest("The client_id parameter differs from the Authorization header.")
	errAssertionType = badRequest("The client_assertion_type is missing or not supported.")
	errNoClient      = &authz.Error{Code: authz.InvalidClient, Description: "Client authentication failed."}
)

// readCredentials returns how the request identifies its client: by HTTP Basic
// (RFC 6749 section 2.3.1), by parameters of the body, or by client_id alone.
func readCredentials(r *http.Request, f form) (authz.Credentials, error) {
	headers := r.Header.Values("Authorization")
	id, secret := f.value("client_id"), f.value("client_secret")
	assertion, assertionType := f.value("client_assertion"), f.value("client_assertion_type")
	asserted := assertion != "" || assertionType != ""
	switch {
	case len(headers) > 1, len(headers) == 1 && (secret != "" || asserted), secret != "" && asserted:
		return authz.Credentials{}, errTwoMethods
	case asserted:
		return readAssertion(id, assertion, assertionType)
	case len(headers) == 1:
		credentials, err := readBasic(headers[0])
		if err == nil && id != "" && id != credentials.ClientID {
			return authz.Credentials{}, errTwoClients
		}
		return credentials, err
	case id == "":
		return authz.Credentials{}, errNoClient
	case secret != "":
		return authz.Credentials{ClientID: id, Secret: authz.Secret(secret), Method: authz.AuthPost}, nil
	}
	return authz.Credentials{ClientID: id, Method: authz.AuthNone}, nil
}

// readAssertion reads what the client has signed to prove itself (RFC 7523
// section 2.2), which names the client where no parameter does.
func readAssertion(id, assertion, assertionType string) (authz.Credentials, error) {
	if assertion == "" || assertionType != authz.AssertionType {
		return authz.Credentials{}, errAssertionType
	}
	credentials := authz.Credentials{ClientID: id, Assertion: authz.Secret(assertion), Method: authz.AuthPrivateKeyJWT}
	if id == "" {
		credentials.ClientID = authz.AssertedClient(credentials.Assertion)
	}
	return credentials, nil
}

// readBasic reads an Authorization header. Both halves are form-encoded before
// they are joined, which a colon or percent sign in them depends on.
func readBasic(header string) (authz.Credentials, error) {
	scheme, encoded, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return authz.Credentials{}, errNoClient
	}
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimLeft(encoded, " "))
	if err != nil {
		return authz.Credentials{}, errNoClient
	}
	left, right, found := strings.Cut(string(decoded), ":")
	id, idErr := url.QueryUnescape(left)
	secret, secretErr := url.QueryUnescape(right)
	if !found || id == "" || idErr != nil || secretErr != nil {
		return authz.Credentials{}, errNoClient
	}
	return authz.Credentials{ClientID: id, Secret: authz.Secret(secret), Method: authz.AuthBasic}, nil
}
