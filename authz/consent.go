package authz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Consent is what a user has allowed a client, until he takes it back.
type Consent struct {
	UserID    string
	ClientID  string
	Scope     Scope
	Resources []string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// covers reports whether nothing of a grant would be new to the user.
func (c Consent) covers(scope Scope, resources []string) bool {
	return c.ClientID != "" && c.Scope.HasAll(scope) && !slices.ContainsFunc(resources, func(uri string) bool { return !slices.Contains(c.Resources, uri) })
}

// with returns c with what a grant adds.
func (c Consent) with(scope Scope, resources []string) Consent {
	c.Scope, c.Resources = union(c.Scope, scope), union(c.Resources, resources)
	return c
}

// union returns the words of both lists, in their order, each once.
func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, word := range b {
		if !slices.Contains(all, word) {
			all = append(all, word)
		}
	}
	return all
}

// ConsentStore keeps what users have allowed. Each change stores its event in
// the same transaction.
type ConsentStore interface {
	// Consent returns what the user has allowed the client, or ErrNotFound.
	Consent(ctx context.Context, userID, clientID string) (Consent, error)
	// SaveConsent stores the consent in place of the one that was updated at before,
	// or of none if that is zero. ErrConflict means that there is another one,
	// ErrNotFound that user or client are gone.
	SaveConsent(ctx context.Context, consent Consent, before time.Time, event Event) error
	// DeleteConsent deletes the consent, and the codes and approved devices that
	// nothing has come of yet. That there is nothing is no error, and no event.
	DeleteConsent(ctx context.Context, userID, clientID string, event Event) error
	// ListConsents returns what the user has allowed, by client id, at most limit.
	ListConsents(ctx context.Context, userID string, limit int) ([]Consent, error)
}

// consent returns what the user has allowed the client; the zero value for
// nothing.
func (a *Authorizations) consent(ctx context.Context, userID, clientID string) (Consent, error) {
	consent, err := a.Consents.Consent(ctx, userID, clientID)
	if errors.Is(err, ErrNotFound) {
		return Consent{}, nil
	}
	if err != nil {
		return Consent{}, fmt.Errorf("consent: %w", err)
	}
	return consent, nil
}

// limitLetIn bounds the clients that a user lets in which nobody has stored before.
var limitLetIn = Bucket{Key: "let in", Burst: 30, Period: time.Hour}

// remember stores that the user allows what is asked for.
func (a *Authorizations) remember(ctx context.Context, z Authorization, device Device) error {
	if z.Request.Client.Origin == OriginDocument && z.Request.Client.Version == 0 {
		if err := a.Service.Throttle.take(ctx, limitLetIn.of(z.Login.User.ID)); err != nil {
			return err
		}
	}
	if err := a.Service.keepClient(ctx, z.Request.Client); err != nil {
		return err
	}
	for {
		err := a.addConsent(ctx, z, device)
		if !errors.Is(err, ErrConflict) || ctx.Err() != nil {
			return err // otherwise he has allowed or taken back something at this moment
		}
	}
}

// addConsent stores what the user allows beside what he has allowed.
func (a *Authorizations) addConsent(ctx context.Context, z Authorization, device Device) error {
	before, err := a.consent(ctx, z.Login.User.ID, z.Request.Client.ID)
	if err != nil {
		return err
	}
	now := a.Service.now()
	after := before.with(z.Scope, z.Resources)
	after.UserID, after.ClientID, after.UpdatedAt = z.Login.User.ID, z.Request.Client.ID, now
	if before.ClientID == "" {
		after.CreatedAt = now
	} else if !now.After(before.UpdatedAt) {
		after.UpdatedAt = before.UpdatedAt.Add(time.Millisecond) // which tells one state from the next
	}
	event := NewEvent(EventConsentGiven, now)
	event.UserID, event.ClientID, event.Device = after.UserID, after.ClientID, device
	var changes differences
	changes.list("scope", before.Scope, after.Scope)
	changes.list("resources", before.Resources, after.Resources)
	event.Changes = changes
	if err := a.Consents.SaveConsent(ctx, after, before.UpdatedAt, event); err != nil {
		return fmt.Errorf("consent: %w", err)
	}
	return nil
}
