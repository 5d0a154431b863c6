package admin

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"html/template"
	"maps"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed page.html
var pageText string

// documentPage is what the page of the API shows.
type documentPage struct {
	Title, Description, Server, Assets string
	Tags                               []documentTag
}

type documentTag struct {
	Name, Description string
	Operations        []documentOperation
}

type documentOperation struct {
	ID, Method, Path, Summary, Description, Scope string
	Parameters                                    []documentField
	Body                                          *documentBody
	Answers                                       []documentBody
	Errors                                        []string
}

// documentBody is a body with its members and an example.
type documentBody struct {
	Of, Status, Description, Example string
	Fields                           []documentField
}

type documentField struct {
	Name, In, Type, Description string
	Required                    bool
}

// renderDocument returns the page that shows the document.
func renderDocument(document *huma.OpenAPI) ([]byte, error) {
	parsed, err := template.New("page").Parse(pageText)
	if err != nil {
		return nil, err
	}
	server := document.Servers[0].URL
	shown := documentPage{Title: document.Info.Title, Description: document.Info.Description, Server: server, Assets: "../../assets"}
	for _, t := range document.Tags {
		shown.Tags = append(shown.Tags, documentTag{Name: t.Name, Description: t.Description, Operations: operationsOf(document, t.Name)})
	}
	var out bytes.Buffer
	err = parsed.Execute(&out, shown)
	return out.Bytes(), err
}

func operationsOf(document *huma.OpenAPI, tagName string) []documentOperation {
	var all []documentOperation
	for _, path := range slices.Sorted(maps.Keys(document.Paths)) {
		for _, o := range operations(document.Paths[path]) {
			if slices.Contains(o.Tags, tagName) {
				all = append(all, showOperation(document, path, o))
			}
		}
	}
	return all
}

func showOperation(document *huma.OpenAPI, path string, o method) documentOperation {
	shown := documentOperation{ID: o.OperationID, Method: o.verb, Path: path, Summary: o.Summary, Description: o.Description, Scope: o.Security[0][security][0]}
	for _, p := range o.Parameters {
		description := p.Description
		if p.Schema != nil && description == "" {
			description = p.Schema.Description
		}
		shown.Parameters = append(shown.Parameters, documentField{Name: p.Name, In: p.In, Description: description})
	}
	if o.RequestBody != nil {
		body := showBody(document, o.RequestBody.Content)
		body.Of = "the body of " + o.OperationID
		shown.Body = &body
	}
	for _, status := range slices.Sorted(maps.Keys(o.Responses)) {
		if !strings.HasPrefix(status, "2") {
			shown.Errors = append(shown.Errors, status)
			continue
		}
		body := showBody(document, o.Responses[status].Content)
		body.Of, body.Status, body.Description = "the answer to "+o.OperationID, status, o.Responses[status].Description
		shown.Answers = append(shown.Answers, body)
	}
	return shown
}

func showBody(document *huma.OpenAPI, content map[string]*huma.MediaType) documentBody {
	var shown documentBody
	for _, media := range content {
		if encoded, err := json.MarshalIndent(media.Example, "", "  "); err == nil && media.Example != nil {
			shown.Example = string(encoded)
		}
		s := resolve(document, media.Schema)
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			property := s.Properties[name]
			shown.Fields = append(shown.Fields, documentField{
				Name: name, Type: typeName(property), Description: property.Description, Required: slices.Contains(s.Required, name),
			})
		}
	}
	return shown
}

func resolve(document *huma.OpenAPI, s *huma.Schema) *huma.Schema {
	if s.Ref != "" {
		return document.Components.Schemas.SchemaFromRef(s.Ref)
	}
	return s
}

// typeName says in a word or two what a value is.
func typeName(s *huma.Schema) string {
	switch {
	case s.Ref != "":
		return s.Ref[strings.LastIndex(s.Ref, "/")+1:]
	case s.Type == huma.TypeArray:
		return "list of " + typeName(s.Items)
	case s.Format == "date-time":
		return "time"
	case len(s.Enum) > 0:
		words := make([]string, len(s.Enum))
		for i, word := range s.Enum {
			words[i], _ = word.(string)
		}
		return strings.Join(words, ", ")
	}
	return s.Type
}
