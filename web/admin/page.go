package admin

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"chancery/authz"
)

// pageQuery is how a list is asked for.
type pageQuery struct {
	Limit int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"How many to return at most. A page may hold fewer and still not be the last."`
	After string `query:"after" maxLength:"600" doc:"The next of the page before."`
}

// page is a page of a list.
type page[T any] struct {
	Items []T `json:"items"`
	// Next is absent on the last page.
	Next string `json:"next,omitempty" doc:"What to send as after for the next page. There is none without it." example:"MTc5NTM5MjAwMDAwMCBzaG9w"`
}

// pageOutput is the answer to pageQuery.
type pageOutput[T any] struct{ Body page[T] }

var errCursor = &authz.Error{Code: authz.InvalidInput, Description: "after: want the next of the page before"}

// place returns the place in a list that is named by after.
func (q pageQuery) place() (authz.Page, error) {
	p := authz.Page{Limit: q.Limit}
	if q.After == "" {
		return p, nil
	}
	decoded, err := base64.RawURLEncoding.DecodeString(q.After)
	ms, id, ok := strings.Cut(string(decoded), " ")
	at, numberErr := strconv.ParseInt(ms, 10, 64)
	if err != nil || numberErr != nil || !ok || id == "" || strings.ContainsRune(id, 0) || !isText(id) {
		return p, errCursor
	}
	p.After, p.AfterID = time.UnixMilli(at).UTC(), id
	return p, nil
}

// isText reports whether a database takes the text.
func isText(text string) bool { return strings.ToValidUTF8(text, "") == text }

// cursor is the inverse of place.
func cursor(p authz.Page) string {
	if p.AfterID == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(p.After.UnixMilli(), 10) + " " + p.AfterID))
}

// paged makes a page of rows that were read with one more than wanted. place
// names the place after a row.
func paged[R, T any](rows []R, limit int, view func(R) T, place func(R) authz.Page) *pageOutput[T] {
	out := &pageOutput[T]{Body: page[T]{Items: []T{}}}
	if len(rows) > limit {
		rows = rows[:limit]
		out.Body.Next = cursor(place(rows[limit-1]))
	}
	for _, row := range rows {
		out.Body.Items = append(out.Body.Items, view(row))
	}
	return out
}
