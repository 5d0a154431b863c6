package account

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"chancery/authz"
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
	body, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return respond.ErrTooLarge
	}
	if err != nil {
		return errBody
	}
	return parse(body, into)
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
func parse(body []byte, into any) error {
	if !utf8.Valid(body) {
		return errBody
	}
	if err := checkNames(body); err != nil {
		return err
	}
	decoder := json.NewDecoder(strings.NewReader(string(body)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return errBody
	}
	return nil
}

// nameForm keeps out what encoding/json takes for another name's letter, in
// another case or alphabet.
var nameForm = regexp.MustCompile(`^[a-z_]+$`)

// checkNames refuses what encoding/json lets pass: members that come twice,
// names in another case, null, halves of surrogate pairs, and more after the
// object. All members are texts.
func checkNames(body []byte) error {
	decoder := json.NewDecoder(strings.NewReader(string(body)))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return errBody
	}
	seen := map[string]bool{}
	for decoder.More() {
		name, err := decoder.Token()
		text, ok := name.(string)
		if err != nil || !ok || seen[text] || !nameForm.MatchString(text) {
			return errBody
		}
		seen[text] = true
		value, err := decoder.Token()
		if text, ok := value.(string); err != nil || !ok || strings.ContainsRune(text, utf8.RuneError) {
			return errBody
		}
	}
	if _, err := decoder.Token(); err != nil { // the closing brace
		return errBody
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errBody
	}
	return nil
}
