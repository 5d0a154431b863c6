package site

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// login sends the browser to the authorization server. What it takes along is
// remembered: state binds the answer to this browser, nonce the ID token to this
// login, and the code is worth nothing without the verifier (PKCE).
func (s *Site) login(w http.ResponseWriter, r *http.Request) {
	provider, err := s.discover(r.Context())
	if err != nil {
		s.problem(w, r, http.StatusBadGateway, "The authorization server does not answer.", err)
		return
	}
	state, nonce, verifier := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(verifier), oidc.Nonce(nonce)}
	if s.options.Resource != "" {
		options = append(options, oauth2.SetAuthURLParam("resource", s.options.Resource))
	}
	target := s.config(provider).AuthCodeURL(state, options...)
	old, _ := s.visit(r)
	s.keep(w, old, visit{began: time.Now(), state: state, nonce: nonce, verifier: verifier, steps: []step{{
		"This site sent your browser to the authorization server, with the hash of a secret that it kept (PKCE).", lines(target),
	}}})
	http.Redirect(w, r, target, http.StatusSeeOther)
}

// callback is where the browser comes back with a code. A login that this browser
// did not begin, or that another server answers (RFC 9207), is none of ours.
func (s *Site) callback(w http.ResponseWriter, r *http.Request) {
	answer := r.URL.Query()
	key, v, ok := s.answered(r, answer.Get("state"))
	if !ok || answer.Get("iss") != s.options.Issuer {
		s.problem(w, r, http.StatusBadRequest, "This login was not begun here. Please begin again.", errors.New("state or issuer differ"))
		return
	}
	if code := answer.Get("error"); code != "" {
		s.change(key, func(kept *visit) { kept.notice = "You are not signed in: the authorization server says " + code + "." })
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	u, endpoint, err := s.exchange(r, answer.Get("code"), v)
	if err != nil {
		text := "The login could not be completed."
		var refused *oauth2.RetrieveError
		if errors.As(err, &refused) {
			text = "The authorization server does not take the code: " + refused.ErrorCode + "."
		}
		s.problem(w, r, http.StatusBadGateway, text, err)
		return
	}
	v.user = u
	v.steps = append(v.steps,
		step{"Your browser came back with a code, which is good once and for a minute.", lines(s.options.Base + r.URL.String())},
		step{"This site sent code, verifier and client secret to the token endpoint, got tokens, checked the ID token, and asked UserInfo for the name.", endpoint})
	s.keep(w, key, v)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// answered takes the login that a browser has begun with that state: it is
// answered once.
func (s *Site) answered(r *http.Request, state string) (string, visit, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := r.Cookie(cookie)
	if err != nil || s.visits[c.Value] == nil || state == "" {
		return "", visit{}, false
	}
	v := s.visits[c.Value]
	if subtle.ConstantTimeCompare([]byte(v.state), []byte(state)) != 1 {
		return "", visit{}, false
	}
	v.state = ""
	return c.Value, *v, true
}

// exchange redeems a code, and says who has logged in and where it was redeemed.
func (s *Site) exchange(r *http.Request, code string, v visit) (*user, string, error) {
	ctx := s.context(r.Context())
	provider, err := s.discover(ctx)
	if err != nil {
		return nil, "", err
	}
	config := s.config(provider)
	tokens, err := config.Exchange(ctx, code, oauth2.VerifierOption(v.verifier))
	if err != nil {
		return nil, "", err
	}
	raw, _ := tokens.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: s.options.ClientID}).Verify(ctx, raw)
	if err != nil {
		return nil, "", err
	}
	if id.Nonce != v.nonce {
		return nil, "", errors.New("the ID token is of another login")
	}
	if err := id.VerifyAccessToken(tokens.AccessToken); err != nil {
		return nil, "", err
	}
	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
	if err != nil {
		return nil, "", err
	}
	if info.Subject != id.Subject {
		return nil, "", errors.New("UserInfo is of another user")
	}
	// The tokens outlive the request.
	u := &user{Subject: id.Subject, idToken: raw, tokens: config.TokenSource(context.WithoutCancel(ctx), tokens)}
	var session struct {
		ID string `json:"sid"`
	}
	var profile struct {
		Name string `json:"preferred_username"`
	}
	if err := errors.Join(id.Claims(&u.Claims), id.Claims(&session), info.Claims(&profile)); err != nil {
		return nil, "", err
	}
	u.Name, u.SessionID = cmp.Or(profile.Name, id.Subject), session.ID
	return u, config.Endpoint.TokenURL, nil
}

// logout ends the login here, and asks the authorization server to end its own.
func (s *Site) logout(w http.ResponseWriter, r *http.Request) {
	key, v := s.visit(r)
	s.change(key, func(kept *visit) { *kept = visit{began: kept.began, notice: "You have signed out."} })
	var metadata struct {
		EndSession string `json:"end_session_endpoint"`
	}
	provider, err := s.discover(r.Context())
	if err != nil || v.user == nil || provider.Claims(&metadata) != nil || metadata.EndSession == "" {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	http.Redirect(w, r, metadata.EndSession+"?"+url.Values{
		"id_token_hint": {v.user.idToken}, "client_id": {s.options.ClientID}, "post_logout_redirect_uri": {s.options.Base + "/"},
	}.Encode(), http.StatusSeeOther)
}

// loggedOut takes the word of the authorization server that a session is over
// (OpenID Connect Back-Channel Logout section 2.5).
func (s *Site) loggedOut(w http.ResponseWriter, r *http.Request) {
	ctx := s.context(r.Context())
	provider, err := s.discover(ctx)
	if err != nil {
		http.Error(w, "later, please", http.StatusServiceUnavailable)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	token, err := provider.Verifier(&oidc.Config{ClientID: s.options.ClientID}).VerifyLogout(ctx, r.PostFormValue("logout_token"))
	if err != nil {
		s.options.Log.WarnContext(ctx, "a logout token is not valid", "error", err)
		http.Error(w, "not a logout token", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.visits {
		if v.user != nil && v.user.Subject == token.Subject && (token.SessionID == "" || v.user.SessionID == token.SessionID) {
			*v = visit{began: v.began, notice: "You have been signed out: the authorization server said so."}
		}
	}
}

// lines writes the parameters of an address one on a line.
func lines(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s://%s%s", u.Scheme, u.Host, u.Path)
	mark := "\n  ?"
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		if plain, err := url.QueryUnescape(pair); err == nil {
			text.WriteString(mark + plain)
		}
		mark = "\n  &"
	}
	return text.String()
}
