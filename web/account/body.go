package account

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"chancery/authz"
	"chancery/web/body"
	"chancery/web/respond"

	"github.com/gin-gonic/gin"
)

// maxBody bounds a JSON body.
const maxBody = 16 << 10

var (
	errContentType = invalid("The body must be application/json in UTF-8.")
	errBody        = invalid("The body must be one JSON object with the members that are documented, each once and of its type.")
	errInURL       = invalid("Nothing of this may be sent in the URL.")
)

func invalid(description string) *authz.Error {
	return &authz.Error{Code: authz.InvalidRequest, Description: description}
}

// decode reads the JSON object of a request. Unknown members are refused: a
// misspelt one would be silently ignored, or a secret be sent in vain.
func decode(c *gin.Context, into any) error {
	if c.Request.URL.RawQuery != "" {
		return errInURL
	}
	media, parameters, err := mime.ParseMediaType(c.GetHeader("Content-Type"))
	charset, named := parameters["charset"]
	if err != nil || media != "application/json" || c.GetHeader("Content-Encoding") != "" || (named && !strings.EqualFold(charset, "utf-8")) {
		return errContentType
	}
	data, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return respond.ErrTooLarge
	}
	if err != nil {
		return errBody
	}
	return parse(data, into)
}

// checkQuery refuses what stands in the URL, such as an access token, but for
// the named parameters, each once.
func checkQuery(c *gin.Context, allowed ...string) error {
	parameters, err := url.ParseQuery(c.Request.URL.RawQuery)
	if err != nil {
		return errInURL
	}
	for name, values := range parameters {
		if !slices.Contains(allowed, name) || len(values) != 1 {
			return errInURL
		}
	}
	return nil
}

// parse reads one JSON object of strings.
func parse(data []byte, into any) error {
	if body.Unmarshal(data, 1, into) != nil {
		return errBody
	}
	return nil
}
