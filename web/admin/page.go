package admin

import (
	"chancery/authz"
	"chancery/web/cursor"
)

// PageQuery is how a list is asked for.
type PageQuery struct {
	Limit int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"How many to return at most. A page may hold fewer and still not be the last."`
	After string `query:"after" maxLength:"600" doc:"The next of the page before."`
}

// page is a page of a list.
type page[T any] struct {
	Items []T `json:"items"`
	// Next is absent on the last page.
	Next string `json:"next,omitempty" doc:"What to send as after for the next page. There is none without it." example:"MTc5NTM5MjAwMDAwMCBzaG9w"`
}

// pageOutput is the answer to PageQuery.
type pageOutput[T any] struct{ Body page[T] }

// place returns the place in a list that is named by after.
func (q PageQuery) place() (authz.Page, error) { return cursor.Parse(q.After, q.Limit) }

// paged makes a page of rows that were read with one more than wanted. place
// names the place after a row.
func paged[R, T any](rows []R, limit int, view func(R) T, place func(R) authz.Page) *pageOutput[T] {
	out := &pageOutput[T]{Body: page[T]{Items: []T{}}}
	if len(rows) > limit {
		rows = rows[:limit]
		out.Body.Next = cursor.Text(place(rows[limit-1]))
	}
	for _, row := range rows {
		out.Body.Items = append(out.Body.Items, view(row))
	}
	return out
}
