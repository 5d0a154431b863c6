package admin

import (
	"strconv"
	"strings"
	"time"

	"chancery/authz"
	"chancery/web/respond"
)

// IfMatch is the precondition of a change that may be made without one.
type IfMatch struct {
	IfMatch string `header:"If-Match" maxLength:"200" doc:"Make the change only if this is the entity tag of what it changes."`
}

// MustMatch is the precondition of an edit: two admins must not undo each
// other's work unseen.
type MustMatch struct {
	IfMatch string `header:"If-Match" maxLength:"200" doc:"The entity tag of what is changed, as it was read; or * for any. Needed." example:"*"`
}

// Versioned is the entity tag of what is answered.
type Versioned struct {
	ETag string `header:"ETag" doc:"Names this state of it, for If-Match."`
}

func tag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

func timeTag(changed time.Time) string { return tag(changed.UnixMilli()) }

// check reports whether a change may be made to what has the entity tag. The
// error has code authz.Changed.
func (m IfMatch) check(etag string) error {
	if m.IfMatch == "" {
		return nil
	}
	for given := range strings.SplitSeq(m.IfMatch, ",") {
		if given = strings.TrimSpace(given); given == "*" || given == etag {
			return nil
		}
	}
	return authz.ErrChanged
}

// check is that of IfMatch, for a change that needs a precondition.
func (m MustMatch) check(etag string) error {
	if m.IfMatch == "" {
		return respond.ErrPreconditionRequired
	}
	return IfMatch(m).check(etag)
}

// named reports whether the precondition names a state, and not any.
func (m IfMatch) named() bool { return m.IfMatch != "" && m.IfMatch != "*" }
