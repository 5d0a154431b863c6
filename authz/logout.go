package authz

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
)

// Logout is how a request to end the login of a browser is answered (OpenID
// Connect RP-Initiated Logout section 2).
type Logout struct {
	// Client is who asks for it, the zero value if nothing says so.
	Client Client
	// RedirectURI is where the browser goes then, "" for a page of ours.
	RedirectURI string
	// Ask says that the user must be asked first: anybody may have sent him
	// here.
	Ask bool
	// Stay says that nobody should be sent to RedirectURI but by himself, unless
	// he was asked: it is a stranger's.
	Stay bool
}

var (
	errLogoutClient   = fail(InvalidRequest, "The client_id is not that of the id_token_hint, or there is no such client, or it is disabled.")
	errLogoutRedirect = fail(InvalidRequest, "The post_logout_redirect_uri is not registered for the client, or nothing says which client asks.")
)

// ReadLogout reads a request to end the login. The user is asked, unless the request
// brings an ID token of a session that began in this browser. The error is for the user
// alone: nothing is redirected.
func (b *Browsers) ReadLogout(ctx context.Context, values url.Values, login BrowserLogin) (Logout, error) {
	for _, all := range values {
		if len(all) > 1 {
			return Logout{}, errRepeatedParameter
		}
		if !PlainText(all[0]) {
			return Logout{}, errText
		}
	}
	logout := Logout{Ask: login.Known()}
	clientID := values.Get("client_id")
	if hint, ok := b.Service.readIDToken(values.Get("id_token_hint")); ok {
		if clientID != "" && clientID != hint.Audience {
			return Logout{}, errLogoutClient
		}
		clientID = hint.Audience
		began, err := b.began(ctx, login, hint.SessionID)
		if err != nil {
			return Logout{}, err
		}
		logout.Ask = logout.Ask && !began
	}
	if clientID != "" {
		var err error
		if logout.Client, err = b.Service.Registry.Client(ctx, clientID); errors.Is(err, ErrNotFound) {
			return Logout{}, errLogoutClient
		} else if err != nil {
			return Logout{}, fmt.Errorf("client: %w", err)
		}
		if !logout.Client.DisabledAt.IsZero() {
			return Logout{}, errLogoutClient
		}
		logout.Stay = logout.Client.Stranger() && !login.Known()
	}
	return logout.redirecting(values.Get("post_logout_redirect_uri"), values.Get("state"))
}

// began reports whether a session of a client began in the browser. Its ID token
// says then that the user was at the client in this very browser.
func (b *Browsers) began(ctx context.Context, login BrowserLogin, sessionID string) (bool, error) {
	if !login.Known() || sessionID == "" {
		return false, nil
	}
	browserID, err := b.Store.BrowserOf(ctx, sessionID)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("browser of a session: %w", err)
	}
	return browserID == login.Session.ID, nil
}

// redirecting returns the logout with where the browser goes then.
func (l Logout) redirecting(uri, state string) (Logout, error) {
	if uri == "" {
		return l, nil
	}
	if !slices.Contains(l.Client.PostLogoutRedirectURIs, uri) {
		return Logout{}, errLogoutRedirect
	}
	l.RedirectURI = uri
	if state != "" {
		l.RedirectURI = withQuery(uri, url.Values{"state": {state}})
	}
	return l, nil
}
