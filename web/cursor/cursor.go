// Package cursor owns how the place in a list stands in a URL. It leaves to
// others what a list is ordered by.
package cursor

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"chancery/authz"
)

var errCursor = &authz.Error{Code: authz.InvalidInput, Description: "after: want the next of the page before"}

// Parse returns the place that text names, with a limit; an empty text is the
// beginning. The error has code InvalidInput.
func Parse(text string, limit int) (authz.Page, error) {
	p := authz.Page{Limit: limit}
	if text == "" {
		return p, nil
	}
	decoded, err := base64.RawURLEncoding.DecodeString(text)
	ms, id, ok := strings.Cut(string(decoded), " ")
	at, numberErr := strconv.ParseInt(ms, 10, 64)
	if err != nil || numberErr != nil || !ok || id == "" || !authz.PlainText(id) {
		return p, errCursor
	}
	p.After, p.AfterID = time.UnixMilli(at).UTC(), id
	return p, nil
}

// Text is the inverse of Parse; "" for a place without AfterID, which is the
// end of a list.
func Text(p authz.Page) string {
	if p.AfterID == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(p.After.UnixMilli(), 10) + " " + p.AfterID))
}
