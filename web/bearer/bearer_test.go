package bearer_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"chancery/authz/verify"
	"chancery/web/bearer"

	"github.com/gin-gonic/gin"
)

// nowhere is an issuer that cannot be reached.
func nowhere(t testing.TB) *verify.Verifier {
	t.Helper()
	v, err := verify.New("http://localhost:1", "https://api.example", verify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestRequireRefuses(t *testing.T) {
	gin.SetMode(gin.TestMode)
	for name, test := range map[string]struct {
		headers   []string
		status    int
		challenge string
	}{
		"no token":         {nil, http.StatusUnauthorized, `scope="orders:read"`},
		"a bad token":      {[]string{"Bearer x"}, http.StatusUnauthorized, `error="invalid_token"`},
		"two tokens":       {[]string{"Bearer x", "Bearer y"}, http.StatusBadRequest, `error="invalid_request"`},
		"cannot be judged": {[]string{"Bearer eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZERTQSIsImtpZCI6IngifQ.e30.AA"}, http.StatusServiceUnavailable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			engine := gin.New()
			var told int
			engine.Use(func(c *gin.Context) { c.Next(); told = len(c.Errors) })
			engine.GET("/orders", bearer.Require(nowhere(t), "orders:read"), func(*gin.Context) { t.Error("the handler is reached") })
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/orders", nil)
			r.Header["Authorization"] = test.headers
			recorder := httptest.NewRecorder()
			engine.ServeHTTP(recorder, r)
			if challenge := recorder.Header().Get("WWW-Authenticate"); recorder.Code != test.status || !strings.Contains(challenge, test.challenge) {
				t.Errorf("answer = %d %s, want %d %s", recorder.Code, challenge, test.status, test.challenge)
			}
			if told != 1 {
				t.Errorf("%d errors for the log, want why the request was refused", told)
			}
		})
	}
}

func TestTokenIsHandedOn(t *testing.T) {
	gin.SetMode(gin.TestMode)
	engine := gin.New()
	want := &verify.Token{Subject: "usr_1"}
	engine.GET("/", func(c *gin.Context) {
		if _, ok := bearer.Token(c); ok {
			t.Error("there is a token before any was verified")
		}
		c.Request = c.Request.WithContext(verify.NewContext(c.Request.Context(), want))
	}, func(c *gin.Context) {
		if got, ok := bearer.Token(c); !ok || got != want {
			t.Errorf("Token = %v, %v", got, ok)
		}
	})
	engine.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
}

func TestFromRequest(t *testing.T) {
	for name, test := range map[string]struct {
		headers []string
		token   string
		found   bool
		fails   bool
	}{
		"none":    {nil, "", false, false},
		"one":     {[]string{"bearer abc"}, "abc", true, false},
		"another": {[]string{"Basic abc"}, "", false, false},
		"two":     {[]string{"Bearer a", "Bearer b"}, "", false, true},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Header["Authorization"] = test.headers
		if token, found, err := bearer.FromRequest(r); token != test.token || found != test.found || (err != nil) != test.fails {
			t.Errorf("%s: FromRequest = %q, %v, %v", name, token, found, err)
		}
	}
}
