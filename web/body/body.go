// Package body owns how strictly JSON bodies are read: it refuses what
// encoding/json lets pass. It leaves to others what a body may hold.
package body

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"
)

// ErrJSON is returned for what is not one JSON object, or not a strict one.
var ErrJSON = errors.New("not one strict JSON object")

// nameForm keeps out what encoding/json takes for another name's letter, in
// another case or alphabet.
var nameForm = regexp.MustCompile(`^[a-z0-9_]+$`)

// Check reports whether data is one JSON object in UTF-8, nested to at most
// depth, the object itself being the first. It refuses members that come twice,
// names in another case, null, halves of surrogate pairs, and more after the
// object. The error is ErrJSON.
func Check(data []byte, depth int) error {
	if !utf8.Valid(data) {
		return ErrJSON
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return ErrJSON
	}
	if err := object(decoder, depth-1); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return ErrJSON
	}
	return nil
}

// object checks the members of an object that has been opened, and its end.
func object(decoder *json.Decoder, depth int) error {
	seen := map[string]bool{}
	for decoder.More() {
		token, err := decoder.Token()
		name, ok := token.(string)
		if err != nil || !ok || seen[name] || !nameForm.MatchString(name) {
			return ErrJSON
		}
		seen[name] = true
		if err := value(decoder, depth); err != nil {
			return err
		}
	}
	return closing(decoder)
}

// value checks one value. Those that hold others need some depth.
func value(decoder *json.Decoder, depth int) error {
	token, err := decoder.Token()
	if err != nil || token == nil {
		return ErrJSON
	}
	switch token := token.(type) {
	case string:
		if strings.ContainsRune(token, utf8.RuneError) {
			return ErrJSON
		}
	case json.Delim:
		if depth <= 0 {
			return ErrJSON
		}
		if token == '{' {
			return object(decoder, depth-1)
		}
		for decoder.More() {
			if err := value(decoder, depth-1); err != nil {
				return err
			}
		}
		return closing(decoder)
	}
	return nil
}

func closing(decoder *json.Decoder) error {
	if _, err := decoder.Token(); err != nil {
		return ErrJSON
	}
	return nil
}

// Unmarshal checks data as Check does and reads it into a value. A member that
// the value does not know is an error.
func Unmarshal(data []byte, depth int, into any) error {
	if err := Check(data, depth); err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if decoder.Decode(into) != nil {
		return ErrJSON // its text may quote the body
	}
	return nil
}
