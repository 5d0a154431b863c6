// Package admin owns the admin API: its operations, their bodies, and the
// document that describes them. It leaves to package authz what may be changed,
// by whom, and what is recorded of it.
package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"chancery/authz"
	"chancery/web/body"
	"chancery/web/caller"
	"chancery/web/respond"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"
)

// Endpoints are the admin API. All fields must be set.
type Endpoints struct {
	Administration *authz.Administration
	// Origins are those whose scripts may read answers.
	Origins caller.Origins
	Respond respond.Responder
	// Issuer is the server's URL, Version that of the program.
	Issuer  string
	Version string

	api huma.API
	// unbounded is the router for what may take longer than a request.
	unbounded gin.IRouter
}

// Limits of a request.
const (
	maxBody  = 64 << 10
	maxDepth = 6
)

// Mount adds the endpoints below "/admin/v1" of router, and what may take
// longer than a request below that of unbounded.
func (e *Endpoints) Mount(engine *gin.Engine, router, unbounded *gin.RouterGroup) error {
	frameworkDefaults()
	bounded, free := router.Group("/admin/v1"), unbounded.Group("/admin/v1")
	for _, group := range []*gin.RouterGroup{bounded, free} {
		group.Use(e.open)
	}
	e.api, e.unbounded = humagin.NewWithGroup(engine, bounded, e.config()), free
	e.mountOverview()
	e.mountClients()
	e.mountResources()
	e.mountUsers()
	e.mountSessions()
	e.mountKeys()
	e.mountEvents()
	e.mountPreflights(bounded)
	return e.mountDocument(bounded)
}

// mountPreflights lets browsers ask before a request, on the paths that there
// are.
func (e *Endpoints) mountPreflights(router gin.IRouter) {
	preflight := e.Respond.ProblemHandler(func(c *gin.Context) error {
		return caller.Preflight(c, e.Origins, "GET, POST, PUT, PATCH, DELETE", "If-Match")
	})
	for path := range e.api.OpenAPI().Paths {
		router.OPTIONS(strings.NewReplacer("{", ":", "}", "").Replace(path), preflight)
	}
}

// frameworkDefaults sets what the framework has as globals: errors are ours,
// which repeat no value of a request, and lists are never null.
var frameworkDefaults = sync.OnceFunc(func() {
	huma.DefaultArrayNullable = false
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		p := respond.NewProblem(status, codeOf(status), message)
		for _, err := range errs {
			detail := respond.ProblemDetail{Detail: "not as documented"} // other errors may quote the request
			var described huma.ErrorDetailer
			if errors.As(err, &described) {
				d := described.ErrorDetail()
				detail = respond.ProblemDetail{Detail: d.Message, Location: d.Location}
				if status == http.StatusUnsupportedMediaType {
					detail.Detail = "want application/json"
				}
			}
			p.Errors = append(p.Errors, detail)
		}
		return p
	}
})

func codeOf(status int) authz.Code {
	switch status {
	case http.StatusUnprocessableEntity:
		return authz.InvalidInput
	case http.StatusInternalServerError:
		return authz.OutcomeFault
	}
	return authz.InvalidRequest
}

func (e *Endpoints) config() huma.Config {
	config := huma.DefaultConfig("Chancery admin API", e.Version)
	config.OpenAPIPath, config.DocsPath, config.SchemasPath, config.CreateHooks = "", "", "", nil
	config.RejectUnknownQueryParameters = true
	write := huma.DefaultJSONFormat.Marshal
	config.Formats = map[string]huma.Format{
		"application/json": {Marshal: write, Unmarshal: unmarshal},
		"json":             {Marshal: write, Unmarshal: unmarshalSuffix}, // what problem+json is written as
	}
	e.describe(config.OpenAPI)
	return config
}

// unmarshal reads a body for the framework, which reads it twice: as anything,
// which it validates, and as what an operation wants.
func unmarshal(data []byte, v any) error {
	if err := body.Check(data, maxDepth); err != nil {
		return err
	}
	if huma.DefaultJSONFormat.Unmarshal(data, v) != nil {
		return body.ErrJSON // its text may quote the body
	}
	return nil
}

// unmarshalSuffix refuses the media types that end in "+json".
func unmarshalSuffix([]byte, any) error { return huma.ErrUnknownContentType }

// open goes before every request.
func (e *Endpoints) open(c *gin.Context) {
	respond.NoStore(c)
	if err := caller.AllowOrigin(c, e.Origins); err != nil {
		e.Respond.Problem(c, err)
		return
	}
	if !authz.PlainText(c.Request.URL.Path) || !strictQuery(c.Request.URL.RawQuery) {
		e.Respond.Problem(c, errQuery)
		return
	}
	c.Request.Header.Del("Accept") // there is one form of an answer, and it is made after the change
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, maxBody)
	c.Next()
}

// strictQuery reports whether the query names each parameter once, with values
// that a database takes.
func strictQuery(query string) bool {
	parameters, err := url.ParseQuery(query)
	for name, values := range parameters {
		if len(values) > 1 || !authz.PlainText(name+values[0]) {
			return false
		}
	}
	return err == nil
}

var errQuery = &authz.Error{Code: authz.InvalidRequest, Description: "Each parameter of the URL may be given once, without control characters."}

// operation is one operation of the API.
type operation struct {
	id, method, path, summary, description string
	tag                                    string
	// status of success.
	status int
	// errors are the statuses of expected failures, besides those that every
	// operation has.
	errors []int
}

// scope returns the scope that an operation needs.
func (o operation) scope() string {
	if o.method == http.MethodGet {
		return authz.ScopeAdminRead
	}
	return authz.ScopeAdminWrite
}

// security is the name of the security scheme.
const security = "oauth2"

func (e *Endpoints) describeOperation(o operation) huma.Operation {
	failures := append([]int{
		http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusUnprocessableEntity, http.StatusInternalServerError, http.StatusServiceUnavailable,
	}, o.errors...)
	return huma.Operation{
		OperationID: o.id, Method: o.method, Path: o.path, Summary: o.summary, Description: o.description, Tags: []string{o.tag},
		DefaultStatus: o.status, MaxBodyBytes: maxBody, Errors: failures, Security: []map[string][]string{{security: {o.scope()}}},
	}
}

// request is what a handler is told of a request besides its input.
type request struct {
	context *gin.Context
	admin   authz.Administrator
}

// requestKey is the key of a request in the context of its handler.
type requestKey struct{}

// authenticate answers who makes the request.
func (e *Endpoints) authenticate(c *gin.Context, scope string) (authz.Administrator, error) {
	token, err := caller.AccessToken(c, e.Issuer)
	if err != nil {
		return authz.Administrator{}, err
	}
	admin, err := e.Administration.Admins.ByToken(c.Request.Context(), token, scope, caller.Device(c))
	if err == nil {
		respond.Note(c, slog.String("user_id", admin.UserID), slog.String("sid", admin.SessionID), slog.String("client_id", admin.ClientID))
	}
	return admin, err
}

// register adds an operation. Who asks is found out before anything else is
// looked at; what handle returns as an error is answered as everywhere else.
func register[I, O any](e *Endpoints, o operation, handle func(ctx context.Context, admin authz.Administrator, in *I) (*O, error)) {
	described := e.describeOperation(o)
	described.Middlewares = huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) {
		c := humagin.Unwrap(ctx)
		admin, err := e.authenticate(c, o.scope())
		if err != nil {
			e.Respond.Problem(c, err)
			return
		}
		next(huma.WithValue(ctx, requestKey{}, request{context: c, admin: admin}))
	}}
	huma.Register(e.api, described, func(ctx context.Context, in *I) (*O, error) {
		r, ok := ctx.Value(requestKey{}).(request)
		if !ok {
			return nil, respond.NewProblem(http.StatusInternalServerError, authz.OutcomeFault, "")
		}
		out, err := handle(ctx, r.admin, in)
		if err != nil {
			return nil, e.Respond.ProblemOf(r.context, err)
		}
		return out, nil
	})
}

// none is the input or output of an operation that has none.
type none struct{}
