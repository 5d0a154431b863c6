package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits of the JSON that tokens carry. Ours nest three deep.
const (
	maxDepth   = 16
	maxMembers = 128
)

var errJSON = errors.New("not one well-formed JSON object")

// readObject reads one JSON object as RFC 8259 has it and calls member for each
// of its members with the text of the value. Unlike encoding/json it is strict
// where verifiers must agree: no name twice in any object, names compared as
// they are, valid UTF-8, bounded nesting, nothing behind the object (RFC 7515
// section 4, RFC 7519 section 4).
func readObject(text []byte, member func(name string, value []byte) error) error {
	s := scanner{text: text}
	s.space()
	if err := s.object(1, member); err != nil {
		return err
	}
	if s.space(); s.at != len(text) {
		return errJSON
	}
	return nil
}

// scanner walks over JSON text.
type scanner struct {
	text []byte
	at   int
}

// next returns the byte at the scanner, 0 at the end.
func (s *scanner) next() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

func (s *scanner) space() {
	for {
		switch s.next() {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// take steps over b if it comes next.
func (s *scanner) take(b byte) bool {
	if s.next() != b {
		return false
	}
	s.at++
	return true
}

func (s *scanner) object(depth int, member func(name string, value []byte) error) error {
	if depth > maxDepth || !s.take('{') {
		return errJSON
	}
	if s.space(); s.take('}') {
		return nil
	}
	names := make([]string, 0, 16)
	for {
		s.space()
		name, err := s.readText()
		if err != nil {
			return err
		}
		if slices.Contains(names, name) {
			return fmt.Errorf("%w: a name occurs twice", errJSON)
		}
		if names = append(names, name); len(names) > maxMembers {
			return errJSON
		}
		if s.space(); !s.take(':') {
			return errJSON
		}
		s.space()
		begin := s.at
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if member != nil {
			if err := member(name, s.text[begin:s.at]); err != nil {
				return err
			}
		}
		if s.space(); s.take('}') {
			return nil
		}
		if !s.take(',') {
			return errJSON
		}
	}
}

func (s *scanner) array(depth int) error {
	if depth > maxDepth || !s.take('[') {
		return errJSON
	}
	if s.space(); s.take(']') {
		return nil
	}
	for {
		s.space()
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if s.space(); s.take(']') {
			return nil
		}
		if !s.take(',') {
			return errJSON
		}
	}
}

func (s *scanner) value(depth int) error {
	switch s.next() {
	case '{':
		return s.object(depth, nil)
	case '[':
		return s.array(depth)
	case '"':
		return s.skipText()
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	}
	return s.number()
}

func (s *scanner) word(word string) error {
	if len(s.text)-s.at < len(word) || string(s.text[s.at:s.at+len(word)]) != word {
		return errJSON
	}
	s.at += len(word)
	return nil
}

func (s *scanner) digits() bool {
	begin := s.at
	for s.next() >= '0' && s.next() <= '9' {
		s.at++
	}
	return s.at > begin
}

func (s *scanner) number() error {
	s.take('-')
	if !s.take('0') && !s.digits() {
		return errJSON
	}
	if s.take('.') && !s.digits() {
		return errJSON
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		if !s.digits() {
			return errJSON
		}
	}
	return nil
}

// skipText steps over a string and checks its form.
func (s *scanner) skipText() error {
	if !s.take('"') {
		return errJSON
	}
	begin := s.at
	for {
		switch b := s.next(); {
		case b == '"':
			s.at++
			if !utf8.Valid(s.text[begin : s.at-1]) {
				return errJSON
			}
			return nil
		case b == '\\':
			if err := s.escape(); err != nil {
				return err
			}
		case b < ' ': // a control character, or the end
			return errJSON
		default:
			s.at++
		}
	}
}

func (s *scanner) escape() error {
	s.at++
	switch s.next() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.at++
		return nil
	case 'u':
	default:
		return errJSON
	}
	s.at++
	code, ok := s.hex4()
	if !ok || utf16.IsSurrogate(code) && !s.lowSurrogate(code) {
		return errJSON
	}
	return nil
}

// lowSurrogate steps over the second half of a pair. A half alone is no
// character, and parsers make different ones of it.
func (s *scanner) lowSurrogate(high rune) bool {
	if !s.take('\\') || !s.take('u') {
		return false
	}
	low, ok := s.hex4()
	return ok && utf16.DecodeRune(high, low) != utf8.RuneError
}

// hex4 reads four hexadecimal digits.
func (s *scanner) hex4() (rune, bool) {
	if len(s.text)-s.at < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(s.text[s.at:s.at+4]), 16, 16)
	s.at += 4
	return rune(n), err == nil
}

// readText reads a string.
func (s *scanner) readText() (string, error) {
	begin := s.at
	if err := s.skipText(); err != nil {
		return "", err
	}
	text, ok := asString(s.text[begin:s.at])
	if !ok {
		return "", errJSON
	}
	return text, nil
}

// asString returns the string that the text of a value is. The text has been
// scanned.
func asString(value []byte) (string, bool) {
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	inner := value[1 : len(value)-1]
	if !slices.Contains(inner, '\\') {
		return string(inner), true
	}
	var text string
	err := json.Unmarshal(value, &text)
	return text, err == nil
}

// asInteger returns the number that the text of a value is, if it is a whole
// one, not negative, without fraction and exponent, that every JSON parser
// reads alike.
func asInteger(value []byte) (int64, bool) {
	const most = 1<<53 - 1
	if len(value) == 0 || len(value) > len("9007199254740991") {
		return 0, false
	}
	n := int64(0)
	for _, b := range value {
		if b < '0' || b > '9' {
			return 0, false
		}
		n = 10*n + int64(b-'0')
	}
	return n, n <= most
}

// asStrings returns the strings that the text of a value is an array of.
func asStrings(value []byte) ([]string, bool) {
	if len(value) == 0 || value[0] != '[' {
		return nil, false
	}
	s := scanner{text: value, at: 1}
	list := []string{}
	if s.space(); s.take(']') {
		return list, true
	}
	for {
		s.space()
		text, err := s.readText()
		if err != nil {
			return nil, false
		}
		list = append(list, text)
		if s.space(); s.take(']') {
			return list, true
		}
		if !s.take(',') {
			return nil, false
		}
	}
}
