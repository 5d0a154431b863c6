package configs

import (
	"encoding/json"
	"fmt"
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
			Key: s.key, Variable: s.variable(), Value: redact(s, field.Interface()), Default: reflect.DeepEqual(field.Interface(), standard.Interface()),
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
		if u, err := url.Parse(text); err == nil {
			return u.Redacted()
		}
		return "REDACTED"
	}
	return text
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
		fmt.Fprintf(&out, "%s%s: %s\n", indent, name, scalar(v.Value))
	}
	return out.String()
}

// scalar quotes a value that YAML would read as something else.
func scalar(text string) string {
	if text == "" || strings.ContainsAny(text, ":#,{}[]&*!|>'\"%@`") {
		quoted, err := json.Marshal(text)
		if err == nil {
			return string(quoted)
		}
	}
	return text
}
