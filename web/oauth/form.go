package oauth

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"chancery/authz"
	"chancery/web/respond"
)

// Limits of a request body.
const (
	maxBody       = 64 << 10
	maxParameters = 64
)

// form holds the parameters of a request body. An empty value is the same as
// an absent one (RFC 6749 section 3.2).
type form url.Values

var (
	errContentType = badRequest("The body must be application/x-www-form-urlencoded in UTF-8.")
	errBody        = badRequest("The body is not a valid form.")
	errRepeated    = badRequest("A parameter is repeated.")
	errQuery       = badRequest("Credentials and tokens must not be sent in the URL.")
)

func badRequest(description string) *authz.Error {
	return &authz.Error{Code: authz.InvalidRequest, Description: description}
}

// inURL are the parameters that make a request refused when they stand in its
// URL, where proxies and browsers remember them (RFC 6749 section 2.3.1).
var inURL = []string{"client_secret", "password", "refresh_token", "token", "client_assertion", "code_verifier", "device_code", "subject_token", "actor_token"}

// repeatable are the parameters that may come more than once (RFC 8707
// section 2, RFC 8693 section 2.1).
var repeatable = []string{"resource", "audience"}

// readForm reads the parameters of a POST request from its body alone.
func readForm(w http.ResponseWriter, r *http.Request) (form, error) {
	if err := checkHead(r); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, respond.ErrTooLarge
	}
	if err != nil {
		return nil, errBody
	}
	if strings.Count(string(body), "&") >= maxParameters {
		return nil, errBody
	}
	parameters, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, errBody
	}
	for name, values := range parameters {
		if len(values) > 1 && !slices.Contains(repeatable, name) {
			return nil, errRepeated
		}
	}
	return form(parameters), nil
}

// checkHead checks what can be known before the body is read.
func checkHead(r *http.Request) error {
	if r.ContentLength > maxBody {
		return respond.ErrTooLarge
	}
	if secretInURL(r.URL.RawQuery) {
		return errQuery
	}
	media, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" || r.Header.Get("Content-Encoding") != "" {
		return errContentType
	}
	if charset, ok := parameters["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return errContentType
	}
	return nil
}

// secretInURL reports whether a query names a parameter of inURL, also one
// that is malformed: it may hold a secret all the same.
func secretInURL(query string) bool {
	for pair := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := strings.Cut(pair, "=")
		if decoded, err := url.QueryUnescape(name); err == nil {
			name = decoded
		}
		if slices.Contains(inURL, name) {
			return true
		}
	}
	return false
}

// value returns the only value of a parameter, or "".
func (f form) value(name string) string { return url.Values(f).Get(name) }

// values returns the values of a parameter that are not empty.
func (f form) values(name string) []string {
	return slices.DeleteFunc(slices.Clone(f[name]), func(value string) bool { return value == "" })
}
