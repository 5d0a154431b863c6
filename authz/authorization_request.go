package authz

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// AuthorizationRequest is a request to the authorization endpoint (RFC 6749
// section 4.1.1, OpenID Connect Core section 3.1.2.1) whose client and redirect
// URI are right.
type AuthorizationRequest struct {
	Client      Client
	RedirectURI string
	State       string
	FormPost    bool
	Nonce       string
	Challenge   string
	Scope       Scope
	Resources   []string
	Prompt      []string
	// MaxAge is how old a login may be; nil for any.
	MaxAge *time.Duration
	// LoginHint is what the client believes the user calls himself, UserHint the
	// user that it has an ID token of.
	LoginHint string
	UserHint  string
	// KeyThumbprint is that of the key that the code is bound to, "" for none.
	KeyThumbprint string
	// ID tells the request from any other.
	ID Hash
	// Pushed is the hash under which the request was sent ahead, zero if it was
	// not.
	Pushed Hash
}

// AuthorizationAnswer is what goes back to a client through the browser.
type AuthorizationAnswer struct {
	RedirectURI string
	// FormPost says that Parameters go there as a form, not in the URL.
	FormPost   bool
	Parameters url.Values
}

// URL returns the redirect URI with the parameters added to its query.
func (a AuthorizationAnswer) URL() string { return withQuery(a.RedirectURI, a.Parameters) }

// AuthorizationError refuses an authorization request whose client is told so.
// Any other error is for the user alone: nothing says that the redirect URI is
// the client's.
type AuthorizationError struct {
	Err    *Error
	Answer AuthorizationAnswer
	// ClientID is the client. A Stranger is one that no admin has registered: its
	// redirect URI leads wherever it likes, so that nobody should be sent there
	// who has not let it in (RFC 9700 section 4.11.2).
	ClientID string
	Stranger bool
}

// Error returns what was wrong.
func (e *AuthorizationError) Error() string { return "authorization request: " + e.Err.Error() }

// Unwrap returns what was wrong.
func (e *AuthorizationError) Unwrap() error { return e.Err }

// answer returns an answer to the request. It says who answers, so that a client
// of several servers does not take one for the other (RFC 9207).
func (r AuthorizationRequest) answer(issuer string, values url.Values) AuthorizationAnswer {
	values.Set("iss", issuer)
	if r.State != "" {
		values.Set("state", r.State)
	}
	return AuthorizationAnswer{RedirectURI: r.RedirectURI, FormPost: r.FormPost, Parameters: values}
}

// refuse tells the client that the request cannot be answered otherwise.
func (r AuthorizationRequest) refuse(issuer string, err *Error) error {
	return &AuthorizationError{
		Err: err, Answer: r.answer(issuer, url.Values{"error": {string(err.Code)}, "error_description": {err.Description}}),
		ClientID: r.Client.ID, Stranger: r.Client.Stranger(),
	}
}

// Limits of an authorization request.
const (
	maxAuthorizationRequest = 16 << 10
	maxState                = 4 << 10
)

var (
	errAuthorizationSize = fail(InvalidRequest, "The authorization request is too long.")
	errRepeatedParameter = fail(InvalidRequest, "A parameter is repeated.")
	errUnknownClient     = fail(InvalidRequest, "There is no such client, or it is disabled.")
	errNoDocument        = fail(InvalidRequest, "The app does not say at its address what it is, or not in a way that this server takes.")
	errUnknownRedirect   = fail(InvalidRequest, "The redirect_uri is missing, or the client has not registered it.")
	errResponseType      = fail(UnsupportedResponseType, "The response_type must be code.")
	errResponseMode      = fail(InvalidRequest, "The response_mode must be query or form_post.")
	errFormPost          = fail(InvalidRequest, "The response_mode form_post needs a redirect_uri on the web.")
	errRequestObject     = fail(RequestNotSupported, "The request parameter is not supported.")
	errRequestURI        = fail(RequestURINotSupported, "The request_uri parameter is only for requests that were sent ahead.")
	errRegistrationParam = fail(RegistrationNotSupported, "The registration parameter is not supported.")
	errChallenge         = fail(InvalidRequest, "A code_challenge with the code_challenge_method S256 is needed.")
	errThumbprint        = fail(InvalidRequest, "The dpop_jkt is not the thumbprint of a key.")
	errPrompt            = fail(InvalidRequest, "The prompt must be none, login, consent or select_account; none goes with no other.")
	errMaxAge            = fail(InvalidRequest, "The max_age must be a number of seconds.")
	errIDTokenHint       = fail(InvalidRequest, "The id_token_hint is not an ID token of this server for this client.")
)

// Read reads an authorization request that comes from the address from its
// parameters. The error is an
// *AuthorizationError where the client may be told, an *Error where only the
// user may.
func (a *Authorizations) Read(ctx context.Context, values url.Values, address string) (AuthorizationRequest, error) {
	r := AuthorizationRequest{}
	encoded := values.Encode()
	if len(encoded) > maxAuthorizationRequest {
		return r, errAuthorizationSize
	}
	r.ID = HashSecret(Secret(encoded))
	if strings.HasPrefix(values.Get("request_uri"), pushedRequestPrefix) {
		pushed, err := a.pushed(ctx, values)
		if err != nil {
			return r, err
		}
		values, r.Pushed = pushed.Parameters, pushed.Hash
	}
	if err := a.readAddress(ctx, &r, values, address); err != nil {
		return r, err
	}
	if err := a.readParameters(&r, values); err != nil {
		return r, r.refuse(a.Service.Issuer, err)
	}
	return r, nil
}

// readAddress reads what says where an answer goes.
func (a *Authorizations) readAddress(ctx context.Context, r *AuthorizationRequest, values url.Values, address string) error {
	for _, name := range []string{"client_id", "redirect_uri", "state", "response_mode"} {
		if len(values[name]) > 1 {
			return errRepeatedParameter
		}
	}
	client, err := a.Service.client(ctx, values.Get("client_id"), address)
	switch {
	case errors.Is(err, ErrNotFound) && a.Service.Documents != nil && documentURL(values.Get("client_id")):
		return &Error{Code: InvalidRequest, Description: errNoDocument.Description, Err: err}
	case errors.Is(err, ErrNotFound) || (err == nil && !client.DisabledAt.IsZero()):
		return errUnknownClient
	}
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	r.Client, r.RedirectURI = client, values.Get("redirect_uri")
	if r.RedirectURI == "" || !client.redirectsTo(r.RedirectURI) {
		return errUnknownRedirect
	}
	if state := values.Get("state"); len(state) <= maxState && PlainText(state) {
		r.State = state
	}
	web := strings.HasPrefix(r.RedirectURI, "https:") || strings.HasPrefix(r.RedirectURI, "http:")
	r.FormPost = values.Get("response_mode") == "form_post" && web
	return nil
}

// readParameters reads what the client asks for.
func (a *Authorizations) readParameters(r *AuthorizationRequest, values url.Values) *Error {
	for name, all := range values {
		if len(all) > 1 && name != "resource" {
			return errRepeatedParameter
		}
		if slices.ContainsFunc(all, func(value string) bool { return !PlainText(value) }) {
			return errText
		}
	}
	switch {
	case values.Get("request") != "":
		return errRequestObject
	case values.Get("request_uri") != "":
		return errRequestURI
	case values.Get("registration") != "":
		return errRegistrationParam
	case values.Get("state") != r.State:
		return errAuthorizationSize
	case values.Get("response_type") == "":
		return fail(InvalidRequest, "The response_type parameter is missing.")
	case values.Get("response_type") != "code":
		return errResponseType
	case !slices.Contains([]string{"", "query", "form_post"}, values.Get("response_mode")):
		return errResponseMode
	case values.Get("response_mode") == "form_post" && !r.FormPost:
		return errFormPost
	case !r.Client.allows(GrantAuthorizationCode):
		return errGrantDenied
	}
	r.Nonce, r.LoginHint, r.KeyThumbprint = values.Get("nonce"), values.Get("login_hint"), values.Get("dpop_jkt")
	if r.KeyThumbprint != "" && !challengeForm.MatchString(r.KeyThumbprint) {
		return errThumbprint
	}
	for _, read := range []func(*AuthorizationRequest, url.Values) *Error{readChallenge, readPrompt, a.readHint, a.readWanted} {
		if err := read(r, values); err != nil {
			return err
		}
	}
	return nil
}

// readChallenge reads the code challenge (RFC 7636 section 4.3). The method
// plain would protect from nobody who sees the request.
func readChallenge(r *AuthorizationRequest, values url.Values) *Error {
	challenge, method := values.Get("code_challenge"), values.Get("code_challenge_method")
	if challenge == "" && method == "" && r.Client.PKCEOptional {
		return nil
	}
	if method != "S256" || !challengeForm.MatchString(challenge) {
		return errChallenge
	}
	r.Challenge = challenge
	return nil
}

// Prompts of OpenID Connect Core section 3.1.2.1.
const (
	promptNone    = "none"
	promptLogin   = "login"
	promptConsent = "consent"
	promptSelect  = "select_account"
)

// Prompts returns the values of the prompt parameter.
func Prompts() []string { return []string{promptNone, promptLogin, promptConsent, promptSelect} }

func readPrompt(r *AuthorizationRequest, values url.Values) *Error {
	r.Prompt = strings.Fields(values.Get("prompt"))
	for _, word := range r.Prompt {
		if !slices.Contains(Prompts(), word) || (word == promptNone && len(r.Prompt) > 1) {
			return errPrompt
		}
	}
	if text := values.Get("max_age"); text != "" {
		seconds, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return errMaxAge
		}
		age := time.Duration(seconds) * time.Second
		r.MaxAge = &age
	}
	return nil
}

// loginForLife is how long a user may take to answer the request that he has logged
// in for.
const loginForLife = 10 * time.Minute

// needsLogin reports whether the user must log in before the request can go on:
// nobody is, somebody else is, or too long ago. A login that was made for this
// request is good for it for a while, whatever it asks for.
func (r AuthorizationRequest) needsLogin(login BrowserLogin, now time.Time) bool {
	if !login.Known() || (r.UserHint != "" && r.UserHint != login.User.ID) {
		return true
	}
	age := now.Sub(login.Session.AuthTime)
	if r.MaxAge != nil && *r.MaxAge > 0 && age > *r.MaxAge {
		return true
	}
	if login.Session.LoginFor == r.ID && age <= loginForLife {
		return false
	}
	if slices.Contains(r.Prompt, promptLogin) || slices.Contains(r.Prompt, promptSelect) {
		return true
	}
	return r.MaxAge != nil && *r.MaxAge == 0
}

// readHint reads whom the client expects. An ID token is a hint although it has
// expired.
func (a *Authorizations) readHint(r *AuthorizationRequest, values url.Values) *Error {
	text := values.Get("id_token_hint")
	if text == "" {
		return nil
	}
	token, ok := a.Service.readIDToken(text)
	if !ok || token.Audience != r.Client.ID {
		return errIDTokenHint
	}
	r.UserHint = token.Subject
	return nil
}

// readWanted reads what the grant shall hold. Scopes that the client may not ask
// for are left out (OpenID Connect Core section 3.1.2.1), and the client is told
// what it got.
func (a *Authorizations) readWanted(r *AuthorizationRequest, values url.Values) *Error {
	asked, err := ParseScope(values.Get("scope"))
	if err != nil {
		return errScopeSyntax
	}
	r.Scope = r.Client.scope()
	if asked != nil {
		r.Scope = asked.Filter(r.Client.scope().Has)
	}
	if len(asked) > 0 && len(r.Scope) == 0 {
		return errScopeDenied
	}
	var refused *Error
	r.Resources, refused = r.Client.wantedResources(values["resource"], a.Service.Issuer)
	return refused
}

// wantedResources returns the resources that a grant shall be confined to, each
// once; none for all of the client's.
func (c Client) wantedResources(parameters []string, issuer string) ([]string, *Error) {
	var wanted []string
	for _, uri := range parameters {
		if uri == "" || slices.Contains(wanted, uri) {
			continue
		}
		if validResourceURI(uri) != nil {
			return nil, errResourceSyntax
		}
		if !slices.Contains(c.resources(issuer), uri) {
			return nil, errResourceDenied
		}
		wanted = append(wanted, uri)
	}
	return wanted, nil
}
