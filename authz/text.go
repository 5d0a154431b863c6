package authz

import (
	"strings"
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

// plainText reports whether text is valid UTF-8 without control characters,
// as every parameter of a request must be.
func plainText(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}
