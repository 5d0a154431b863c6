package web_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// adminDocument is the description of the admin API as a client reads it.
type adminDocument struct {
	t        testing.TB
	compiler *jsonschema.Compiler
	// raw is the document as it is.
	raw any
	// Operations are by their ids.
	Operations map[string]adminOperation
}

// adminOperation is one operation of the document.
type adminOperation struct {
	Method, Path string
	ID           string           `json:"operationId"`
	Parameters   []adminParameter `json:"parameters"`
	RequestBody  *struct {
		Content map[string]adminMedia `json:"content"`
	} `json:"requestBody"`
	Responses map[string]struct {
		Headers map[string]any        `json:"headers"`
		Content map[string]adminMedia `json:"content"`
	} `json:"responses"`
	Security []map[string][]string `json:"security"`
}

type adminParameter struct {
	Name     string `json:"name"`
	In       string `json:"in"`
	Required bool   `json:"required"`
	Schema   struct {
		Examples  []any `json:"examples"`
		Default   any   `json:"default"`
		Enum      []any `json:"enum"`
		MaxLength int   `json:"maxLength"`
	} `json:"schema"`
}

// example returns what the document gives as an example of the parameter.
func (p adminParameter) example() (string, bool) {
	for _, values := range [][]any{p.Schema.Examples, p.Schema.Enum} {
		if len(values) > 0 {
			return fmt.Sprint(values[0]), true
		}
	}
	return fmt.Sprint(p.Schema.Default), p.Schema.Default != nil
}

type adminMedia struct {
	Example json.RawMessage `json:"example"`
}

const documentURL = "https://document.example/openapi.json"

// document reads the description of the API.
func (s *server) document() *adminDocument {
	s.t.Helper()
	a := s.get("/admin/v1/openapi.json")
	if a.StatusCode != http.StatusOK || !strings.HasPrefix(a.Header.Get("Content-Type"), "application/vnd.oai.openapi+json") {
		s.t.Fatalf("document = %d %s", a.StatusCode, a.Header)
	}
	raw, err := jsonschema.UnmarshalJSON(strings.NewReader(a.body))
	must(s.t, err)
	d := &adminDocument{t: s.t, compiler: jsonschema.NewCompiler(), raw: raw, Operations: map[string]adminOperation{}}
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	must(s.t, d.compiler.AddResource(documentURL, raw))
	var read struct {
		Paths map[string]map[string]adminOperation `json:"paths"`
	}
	must(s.t, json.Unmarshal([]byte(a.body), &read))
	for path, item := range read.Paths {
		for method, o := range item {
			o.Method, o.Path = strings.ToUpper(method), path
			if _, twice := d.Operations[o.ID]; twice || o.ID == "" {
				s.t.Errorf("operation id %q of %s %s is no id", o.ID, method, path)
			}
			d.Operations[o.ID] = o
		}
	}
	return d
}

// ids returns the ids of the operations in one order.
func (d *adminDocument) ids() []string { return slices.Sorted(maps.Keys(d.Operations)) }

// pointer names a place in the document.
func pointer(names ...string) string {
	var p strings.Builder
	for _, name := range names {
		p.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name))
	}
	return p.String()
}

// fits reports what of a JSON text does not fit the schema at the pointer.
func (d *adminDocument) fits(at, text string) error {
	schema, err := d.compiler.Compile(documentURL + "#" + at)
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// check requires that the answer to an operation is as the document says.
func (d *adminDocument) check(what string, o adminOperation, a answer) {
	d.t.Helper()
	status := fmt.Sprint(a.StatusCode)
	described, ok := o.Responses[status]
	if !ok {
		d.t.Errorf("%s: %s = %s %s, which is not documented", what, o.ID, status, a.body)
		return
	}
	mediaType := a.Header.Get("Content-Type")
	if len(described.Content) == 0 {
		if mediaType != "" || a.body != "" {
			d.t.Errorf("%s: %s = %s with a body of type %q, want none", what, o.ID, status, mediaType)
		}
		return
	}
	if _, ok := described.Content[mediaType]; !ok {
		d.t.Errorf("%s: %s = %s of type %q, which is not documented: %s", what, o.ID, status, mediaType, a.body)
		return
	}
	at := pointer("paths", o.Path, strings.ToLower(o.Method), "responses", status, "content", mediaType, "schema")
	texts := []string{a.body}
	if mediaType == "application/jsonl" {
		texts = slices.Collect(strings.Lines(a.body))
	}
	for _, text := range texts {
		if err := d.fits(at, text); err != nil {
			d.t.Errorf("%s: %s = %s %s, which does not fit its schema: %v", what, o.ID, status, text, err)
		}
	}
	for name := range described.Headers {
		if a.Header.Get(name) == "" {
			d.t.Errorf("%s: %s = %s without the header %s", what, o.ID, status, name)
		}
	}
}

// request builds the request of an operation from the examples of the
// document. path has the values of path parameters for which an example will
// not do, query and header are names of parameters to send with their examples.
func (d *adminDocument) request(s *server, token string, o adminOperation, path map[string]string, optional ...string) *http.Request {
	s.t.Helper()
	target, query, headers := o.Path, "", map[string]string{}
	for _, p := range o.Parameters {
		value, ok := p.example()
		if given, is := path[p.Name]; is && p.In == "path" {
			value, ok = given, true
		}
		if !ok && (p.Required || slices.Contains(optional, p.Name)) {
			s.t.Fatalf("%s: parameter %s has no example", o.ID, p.Name)
		}
		switch {
		case p.In == "path":
			target = strings.ReplaceAll(target, "{"+p.Name+"}", value)
		case p.In == "header" && ok:
			headers[p.Name] = value
		case p.In == "query" && slices.Contains(optional, p.Name):
			query = "?" + p.Name + "=" + value
		}
	}
	if strings.Contains(target, "{") {
		s.t.Fatalf("%s: %s has a parameter that is not documented", o.ID, target)
	}
	body := ""
	if o.RequestBody != nil {
		body = string(o.RequestBody.Content["application/json"].Example)
	}
	return s.adminRequest(token, o.Method, target+query, body, func(r *http.Request) {
		for name, value := range headers {
			r.Header.Set(name, value)
		}
	})
}

// Each example of the document fits the schema that it stands beside.
func TestAdminDocumentExamplesFit(t *testing.T) {
	d := adminServer(t).document()
	n := 0
	var walk func(at string, value any)
	walk = func(at string, value any) {
		switch value := value.(type) {
		case []any:
			for i, v := range value {
				walk(fmt.Sprintf("%s/%d", at, i), v)
			}
		case map[string]any:
			examples, isList := value["examples"].([]any)
			if _, typed := value["type"]; !isList || !typed {
				examples = nil
			}
			schema := at
			if example, ok := value["example"]; ok && value["schema"] != nil {
				examples, schema = append(examples, example), at+"/schema"
			}
			for _, example := range examples {
				n++
				var text bytes.Buffer
				must(t, json.NewEncoder(&text).Encode(example))
				if err := d.fits(schema, text.String()); err != nil {
					t.Errorf("example %s of %s: %v", text.String(), schema, err)
				}
			}
			for name, v := range value {
				walk(at+pointer(name), v)
			}
		}
	}
	walk("", d.raw)
	if n < 100 {
		t.Errorf("%d examples, want them everywhere", n)
	}
	for _, id := range d.ids() {
		o := d.Operations[id]
		if o.RequestBody != nil && len(o.RequestBody.Content["application/json"].Example) == 0 {
			t.Errorf("the body of %s has no example", id)
		}
		for status, r := range o.Responses {
			for mediaType, media := range r.Content {
				if status < "300" && len(media.Example) == 0 {
					t.Errorf("answer %s of %s has no example of %s", status, id, mediaType)
				}
			}
		}
		for _, p := range o.Parameters {
			if _, ok := p.example(); !ok && p.Name != "after" && p.Name != "If-Match" {
				t.Errorf("parameter %s of %s has no example", p.Name, id)
			}
		}
	}
}
