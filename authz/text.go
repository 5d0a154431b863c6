package authz

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// validText returns text without what a database or a terminal cannot take:
// invalid UTF-8 and control characters.
func validText(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
}

// PlainText reports whether text is valid UTF-8 without control characters,
// as every parameter of a request must be.
func PlainText(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// ParseDuration reads a duration that somebody typed for the named setting; an
// empty text is none. The error has code InvalidInput and does not repeat the
// text.
func ParseDuration(name, text string) (*time.Duration, error) {
	if text == "" {
		return nil, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return nil, invalidInput("%s: want a duration such as 30s, 10m or 168h", name)
	}
	return &d, nil
}
