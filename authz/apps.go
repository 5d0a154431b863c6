package authz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// App is a client that a user has allowed something, or has sessions in.
type App struct {
	Client Client
	// Consent is what he allowed it, the zero value for a client of our own that
	// need not ask.
	Consent Consent
	// Sessions are his live ones, newest first.
	Sessions []Family
}

// maxApps bounds the list of a user's apps.
const maxApps = 500

// Apps returns the clients that are connected with the user of a browser, by
// their names.
func (a *Authorizations) Apps(ctx context.Context, login BrowserLogin) ([]App, error) {
	consents, err := a.Consents.ListConsents(ctx, login.User.ID, maxApps)
	if err != nil {
		return nil, fmt.Errorf("consents: %w", err)
	}
	sessions, err := a.Service.Sessions.List(ctx, SessionFilter{UserID: login.User.ID, Live: true, Page: Page{Limit: maxOwnSessions}})
	if err != nil {
		return nil, err
	}
	byID := map[string]*App{}
	app := func(id string) *App {
		if byID[id] == nil {
			byID[id] = &App{}
		}
		return byID[id]
	}
	for _, consent := range consents {
		app(consent.ClientID).Consent = consent
	}
	for _, session := range sessions {
		a := app(session.ClientID)
		a.Sessions = append(a.Sessions, session)
	}
	apps := make([]App, 0, len(byID))
	for id, app := range byID {
		if app.Client, err = a.Service.Registry.Client(ctx, id); errors.Is(err, ErrNotFound) {
			continue // it was deleted at this moment
		} else if err != nil {
			return nil, fmt.Errorf("client %s: %w", id, err)
		}
		apps = append(apps, *app)
	}
	slices.SortFunc(apps, func(a, b App) int { return strings.Compare(a.Client.Title(), b.Client.Title()) })
	return apps, nil
}

// Disconnect takes back what the user of a browser has allowed a client, and
// ends his sessions in it. That there was nothing is no error.
func (a *Authorizations) Disconnect(ctx context.Context, login BrowserLogin, clientID string, device Device) error {
	if clientID == "" || !PlainText(clientID) || !login.Known() {
		return errUnknownClient
	}
	device = newDevice(device.Address, device.UserAgent)
	event := NewEvent(EventConsentRevoked, a.Service.now())
	event.UserID, event.ClientID, event.Device = login.User.ID, clientID, device
	if err := a.Consents.DeleteConsent(ctx, login.User.ID, clientID, event); err != nil {
		return fmt.Errorf("consent: %w", err)
	}
	_, err := a.Service.Sessions.End(ctx, Ending{UserID: login.User.ID, ClientID: clientID, Cause: CauseLogout, Device: device})
	return err
}
