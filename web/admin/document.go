package admin

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"chancery/authz"
	"chancery/web/respond"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"
)

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

// describe says what the document as a whole tells.
func (e *Endpoints) describe(document *huma.OpenAPI) {
	document.Info.Description = "Everything that admins see and change. Access tokens have the audience " + authz.AdminResource(e.Issuer) +
		" and the scope admin:read or admin:write. A user needs the role admin, a client a registration that names that resource; both are looked up at each request. " +
		"Errors are problem documents (RFC 9457). Each change is a security event with who made it and what is different."
	document.Servers = []*huma.Server{{URL: e.Issuer + "/admin/v1"}}
	scopes := map[string]string{authz.ScopeAdminRead: "See everything", authz.ScopeAdminWrite: "Change everything"}
	document.Components.SecuritySchemes = map[string]*huma.SecurityScheme{security: {
		Type: "oauth2", Description: "An access token of this server.", Flows: &huma.OAuthFlows{
			Password:          &huma.OAuthFlow{TokenURL: e.Issuer + "/oauth/token", Scopes: scopes},
			ClientCredentials: &huma.OAuthFlow{TokenURL: e.Issuer + "/oauth/token", Scopes: scopes},
		},
	}}
	for _, t := range [][2]string{
		{"Overview", "How much happens."},
		{"Clients", "The apps that may ask for tokens."},
		{"Resources", "The APIs that tokens are for."},
		{"Users", "The accounts."},
		{"Sessions", "Who is signed in, and from where."},
		{"Keys", "What signs tokens."},
		{"Events", "What has happened, and who did it."},
	} {
		document.Tags = append(document.Tags, &huma.Tag{Name: t[0], Description: t[1]})
	}
}

// mountDocument adds the OpenAPI document and the page that shows it. Both are
// made once and need no access token: they tell nothing of this server but that
// it is one.
func (e *Endpoints) mountDocument(router gin.IRouter) error {
	document := e.api.OpenAPI()
	addExamples(document)
	encoded, err := json.Marshal(document)
	if err != nil {
		return fmt.Errorf("OpenAPI document: %w", err)
	}
	page, err := renderDocument(document)
	if err != nil {
		return fmt.Errorf("page of the admin API: %w", err)
	}
	router.GET("/openapi.json", static("application/vnd.oai.openapi+json;version=3.1", encoded))
	router.GET("/docs", func(c *gin.Context) {
		c.Header("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		static("text/html; charset=utf-8", page)(c)
	})
	return nil
}

// static answers with what does not change while the program runs.
func static(mediaType string, content []byte) gin.HandlerFunc {
	sum := sha256.Sum256(content)
	etag := `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
	return func(c *gin.Context) {
		c.Header("Cache-Control", "no-cache")
		c.Writer.Header().Del("Pragma")
		if respond.NotModified(c, etag) {
			return
		}
		c.Data(http.StatusOK, mediaType, content)
	}
}

// addExamples gives every body an example, made of those of its members.
func addExamples(document *huma.OpenAPI) {
	for _, item := range document.Paths {
		for _, o := range operations(item) {
			if o.RequestBody != nil {
				addExample(document, o.RequestBody.Content)
				addBodyProblems(o.Operation)
			}
			for status, r := range o.Responses {
				if strings.HasPrefix(status, "2") {
					addExample(document, r.Content)
				}
				if status != strconv.Itoa(http.StatusCreated) {
					delete(r.Headers, "Location") // which outputs have that are shared
				}
			}
		}
	}
}

// addBodyProblems tells of the refusals of a body that nothing reads.
func addBodyProblems(o *huma.Operation) {
	for _, status := range []int{http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType} {
		o.Responses[strconv.Itoa(status)] = &huma.Response{
			Description: http.StatusText(status), Content: o.Responses[strconv.Itoa(http.StatusBadRequest)].Content,
		}
	}
}

func addExample(document *huma.OpenAPI, content map[string]*huma.MediaType) {
	for _, media := range content {
		if media.Schema != nil && media.Example == nil {
			media.Example = example(document.Components.Schemas, media.Schema)
		}
	}
}

// exampleTime stands for every time of an example.
const exampleTime = "2026-11-01T09:30:00Z"

// example makes a value that fits the schema.
func example(registry huma.Registry, s *huma.Schema) any {
	if s.Ref != "" {
		return example(registry, registry.SchemaFromRef(s.Ref))
	}
	switch {
	case len(s.Examples) > 0:
		return s.Examples[0]
	case s.Type == huma.TypeObject && len(s.Properties) > 0:
		object := map[string]any{}
		for name, property := range s.Properties {
			if name == "jwks" {
				continue // it goes with another way to authenticate than the example has
			}
			object[name] = example(registry, property)
		}
		return object
	case s.Type == huma.TypeArray:
		return []any{example(registry, s.Items)}
	case s.Format == "date-time":
		return exampleTime
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Type == huma.TypeBoolean:
		return false
	case s.Type == huma.TypeInteger, s.Type == huma.TypeNumber:
		return 0
	case s.Type == huma.TypeObject:
		return map[string]any{}
	}
	return ""
}

// method is an operation with the HTTP method that it answers.
type method struct {
	*huma.Operation
	verb string
}

// operations returns the operations of a path, in one order.
func operations(item *huma.PathItem) []method {
	var all []method
	for _, m := range []method{
		{item.Get, http.MethodGet}, {item.Post, http.MethodPost}, {item.Put, http.MethodPut}, {item.Patch, http.MethodPatch}, {item.Delete, http.MethodDelete},
	} {
		if m.Operation != nil {
			all = append(all, m)
		}
	}
	return all
}
