package site

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"golang.org/x/oauth2"
)

// view is what the page shows.
type view struct {
	Options
	User   *user
	Notice string
	// Answer is that of the API, Claims the ID token's.
	Answer, Claims string
	Steps          []step
}

// home shows who is logged in, and what the API says to him. An access token that
// has expired is refreshed on the way.
func (s *Site) home(w http.ResponseWriter, r *http.Request) {
	key, known := s.visit(r)
	v := view{Options: s.options, User: known.user, Notice: known.notice, Steps: known.steps}
	if v.User != nil && s.options.API != "" {
		answer, err := s.call(r, known.user)
		var refused *oauth2.RetrieveError
		switch {
		case errors.As(err, &refused) && refused.ErrorCode == "invalid_grant":
			notice := "You have been signed out: " + because(refused.Body) + "."
			s.change(key, func(kept *visit) { *kept = visit{began: kept.began, notice: notice} })
			v.User, v.Notice, v.Steps = nil, notice, nil
		case err != nil:
			s.options.Log.WarnContext(r.Context(), "the API cannot be called", "error", err)
			answer = "The API cannot be called; the log says why."
		}
		v.Answer = answer
	}
	if v.User != nil {
		claims, err := json.MarshalIndent(v.User.Claims, "", "  ")
		if err != nil {
			s.options.Log.ErrorContext(r.Context(), "claims cannot be shown", "error", err)
		}
		v.Claims = string(claims)
	}
	s.show(w, r, http.StatusOK, "home.html", v)
}

// call asks the API with the user's access token.
func (s *Site) call(r *http.Request, u *user) (string, error) {
	ctx := s.context(r.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.options.API, nil)
	if err != nil {
		return "", err
	}
	response, err := oauth2.NewClient(ctx, u.tokens).Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	return fmt.Sprintf("%s\n%s", response.Status, strings.TrimSpace(string(body))), err
}

// because reads why a refresh token is not good any more, which Chancery says
// beside what RFC 6749 has.
func because(body []byte) string {
	var answer struct {
		Cause string `json:"cause"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.Cause == "" {
		return "the session is over"
	}
	return "the session is over (" + answer.Cause + ")"
}

// state tells the page whose session it shows, so that it can notice the end.
func (s *Site) state(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if _, known := s.visit(r); known.user != nil {
		_, _ = io.WriteString(w, known.user.SessionID) // the browser may have gone
	}
}

// problem says what the user can do about a failure, and logs what it was.
func (s *Site) problem(w http.ResponseWriter, r *http.Request, status int, text string, err error) {
	s.options.Log.WarnContext(r.Context(), "a login failed", "error", err)
	s.show(w, r, status, "home.html", view{Options: s.options, Notice: text})
}

func (s *Site) show(w http.ResponseWriter, r *http.Request, status int, name string, v view) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if err := s.pages.ExecuteTemplate(w, name, v); err != nil {
		s.options.Log.ErrorContext(r.Context(), "a page cannot be shown", "error", err)
	}
}
