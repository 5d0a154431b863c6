package configs

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"reflect"
	"strings"
	"time"
)

// Value is one setting as it is printed.
type Value struct {
	Key      string `json:"key"`
	Variable string `json:"variable"`
	Value    string `json:"value"`
	Default  bool   `json:"default"`
	// plain is set for numbers, flags and durations, which YAML needs no quotes for.
	plain bool
}

// Values returns every setting in the order of the documentation, secrets
// redacted.
func (c Config) Values() []Value {
	defaults := Default()
	var values []Value
	for _, s := range settings() {
		field := reflect.ValueOf(c).FieldByIndex(s.index)
		standard := reflect.ValueOf(defaults).FieldByIndex(s.index)
		values = append(values, Value{
			Key: s.key, Variable: s.variable(), Value: redact(s, field.Interface()),
			Default: format(field.Interface()) == format(standard.Interface()), plain: field.Kind() != reflect.String && field.Kind() != reflect.Slice,
		})
	}
	return values
}

func redact(s setting, value any) string {
	text := format(value)
	switch {
	case text == "":
		return ""
	case s.secret == "value":
		return "REDACTED"
	case s.secret == "url":
		return redactURL(text)
	}
	return text
}

// redactURL returns what of a database's address is surely no secret: scheme,
// host and database, or the path of a file. An address that is malformed may
// hold its password anywhere.
func redactURL(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Fragment != "", strings.Contains(u.Host+u.Path, "@"), strings.ContainsAny(u.Opaque+u.Path, "=:"):
		return "REDACTED"
	case u.User == nil && u.RawQuery == "" && u.Opaque == "":
		return text
	case u.Host == "" || u.Opaque != "":
		return "REDACTED"
	}
	user := u.User.Username()
	if _, has := u.User.Password(); has {
		user += ":REDACTED"
	}
	if user != "" {
		user += "@"
	}
	return u.Scheme + "://" + user + u.Host + u.Path
}

func format(value any) string {
	switch v := value.(type) {
	case time.Duration:
		return shortDuration(v)
	case []string:
		return strings.Join(v, ",")
	}
	return fmt.Sprint(value)
}

// shortDuration prints 168h as "168h" rather than "168h0m0s".
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// GoString hides the secrets, as String does.
func (c Config) GoString() string { return c.String() }

// LogValue hides the secrets, as String does.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// String prints the configuration as the YAML file that would make it, secrets
// redacted.
func (c Config) String() string {
	var out strings.Builder
	section := ""
	for _, v := range c.Values() {
		parent, name, nested := strings.Cut(v.Key, ".")
		if !nested {
			name = parent
		} else if parent != section {
			section = parent
			fmt.Fprintf(&out, "%s:\n", parent)
		}
		indent := ""
		if nested {
			indent = "  "
		}
		fmt.Fprintf(&out, "%s%s: %s\n", indent, name, v.scalar())
	}
	return out.String()
}

// scalar returns the value as YAML reads it back.
func (v Value) scalar() string {
	if v.plain {
		return v.Value
	}
	quoted, err := json.Marshal(v.Value)
	if err != nil {
		return `""`
	}
	return string(quoted)
}
