package console

import (
	"context"
	"strings"

	"chancery/authz"
	"chancery/web/cursor"

	"github.com/gin-gonic/gin"
)

// placeOf returns the place in a list that the URL names.
func placeOf(g *gin.Context) (authz.Page, error) { return cursor.Parse(query(g, "after"), listed) }

// cut returns at most listed rows of those that were read with one more, and
// whether there are more.
func cut[T any](rows []T) ([]T, bool) {
	if len(rows) > listed {
		return rows[:listed], true
	}
	return rows, false
}

// eventNames returns the names of the users whom events tell of.
func (c *console) eventNames(ctx context.Context, events []authz.Event) (map[string]string, error) {
	var ids []string
	for _, event := range events {
		for _, id := range []string{event.UserID, event.Actor} {
			if strings.HasPrefix(id, "usr_") {
				ids = append(ids, id)
			}
		}
	}
	return c.Users.Names(ctx, ids)
}
