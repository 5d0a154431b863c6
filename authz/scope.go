package authz

import (
	"slices"
	"strings"
)

// Scope is a set of scope tokens in a fixed order without duplicates
// (RFC 6749 section 3.3).
type Scope []string

// maxScopeLength bounds the text of a scope parameter in bytes.
const maxScopeLength = 4096

var errScopeSyntax = fail(InvalidScope, "The scope is malformed.")

// ParseScope reads the scope parameter: tokens of visible ASCII without
// quotation mark and backslash, separated by single spaces. Duplicates
// collapse. An empty text is an empty scope. The error has code InvalidScope.
func ParseScope(text string) (Scope, error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > maxScopeLength {
		return nil, errScopeSyntax
	}
	var scope Scope
	for token := range strings.SplitSeq(text, " ") {
		if !validScopeToken(token) {
			return nil, errScopeSyntax
		}
		if !slices.Contains(scope, token) {
			scope = append(scope, token)
		}
	}
	return scope, nil
}

func validScopeToken(token string) bool {
	for i := range len(token) {
		if c := token[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return token != ""
}

// String returns the tokens separated by spaces.
func (s Scope) String() string { return strings.Join(s, " ") }

// Has reports whether token is in s.
func (s Scope) Has(token string) bool { return slices.Contains(s, token) }

// HasAll reports whether every token of other is in s.
func (s Scope) HasAll(other Scope) bool {
	return !slices.ContainsFunc(other, func(token string) bool { return !s.Has(token) })
}

// Filter returns the tokens of s that keep accepts, in the order of s.
func (s Scope) Filter(keep func(token string) bool) Scope {
	var kept Scope
	for _, token := range s {
		if keep(token) {
			kept = append(kept, token)
		}
	}
	return kept
}
