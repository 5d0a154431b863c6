package authz

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"chancery/authz/claims"

	"github.com/google/uuid"
)

// LogoutDelivery is the news of a session's end that its client has not taken
// yet (OpenID Connect Back-Channel Logout).
type LogoutDelivery struct {
	ID        string
	ClientID  string
	UserID    string
	SessionID string
	// Attempts is how often it was sent, this time included.
	Attempts  int
	CreatedAt time.Time
}

// LogoutStore keeps the deliveries. They are stored by whatever ends sessions,
// in the same transaction, for clients that want to know.
type LogoutStore interface {
	// ClaimLogouts returns at most limit deliveries that are due at now, and at most
	// perClient of one client, counts the attempt, and makes them due again at the
	// time until, so that nobody else sends them meanwhile.
	ClaimLogouts(ctx context.Context, now, until time.Time, limit, perClient int) ([]LogoutDelivery, error)
	// RetryLogout says when a delivery is due again, if it is there.
	RetryLogout(ctx context.Context, id string, due time.Time) error
	// FinishLogout deletes the delivery and stores its event in one transaction;
	// that it is gone is no error.
	FinishLogout(ctx context.Context, id string, event Event) error
}

// LogoutPoster sends a form to a client.
type LogoutPoster interface {
	// PostForm returns the status of the answer. The error means that there was
	// none, or that the address must not be called.
	PostForm(ctx context.Context, uri string, form url.Values) (status int, err error)
}

// Logouts tells clients of the sessions that have ended. Many nodes may run one.
type Logouts struct {
	Issuer   string
	Store    LogoutStore
	Registry *Registry
	Signer   Signer
	Poster   LogoutPoster
	Now      func() time.Time
}

const (
	// logoutLease is how long a node may take to send what it has claimed.
	logoutLease = time.Minute
	logoutBatch = 40
	// logoutsPerClient is how many of a batch go to one client: one that does not
	// answer must not hold the others up.
	logoutsPerClient = 2
	// logoutTokenTTL is how long a logout token is good: it is sent at once.
	logoutTokenTTL = time.Minute
)

// logoutRetries are the times to wait after each attempt; when they are over the
// client is not told any more.
func logoutRetries() []time.Duration {
	return []time.Duration{
		5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	}
}

// Tick sends what is due, all at once, and returns how much that was. It takes
// as long as the slowest client of the batch.
func (l *Logouts) Tick(ctx context.Context) (int, error) {
	now := kept(l.Now)
	due, err := l.Store.ClaimLogouts(ctx, now, now.Add(logoutLease), logoutBatch, logoutsPerClient)
	if err != nil {
		return 0, fmt.Errorf("logout tokens: %w", err)
	}
	done := make(chan error, len(due))
	for _, delivery := range due {
		go func() { done <- l.deliver(ctx, delivery) }()
	}
	var failures []error
	for range due {
		failures = append(failures, <-done)
	}
	return len(due), errors.Join(failures...)
}

// deliver sends one logout token and notes what came of it.
func (l *Logouts) deliver(ctx context.Context, delivery LogoutDelivery) error {
	event := NewEvent(EventLogoutDelivered, kept(l.Now))
	event.UserID, event.ClientID, event.SessionID = delivery.UserID, delivery.ClientID, delivery.SessionID
	client, err := l.Registry.Client(ctx, delivery.ClientID)
	if errors.Is(err, ErrNotFound) || (err == nil && client.BackchannelLogoutURI == "") {
		event.Kind, event.Detail = EventLogoutFailed, "the client does not want to know any more"
		return l.Store.FinishLogout(ctx, delivery.ID, event)
	}
	if err != nil {
		return fmt.Errorf("client %s: %w", delivery.ClientID, err)
	}
	token, err := l.token(client, delivery)
	if err != nil {
		return err
	}
	status, err := l.Poster.PostForm(ctx, client.BackchannelLogoutURI, url.Values{"logout_token": {token}})
	if err == nil && status >= 200 && status < 300 {
		return l.Store.FinishLogout(ctx, delivery.ID, event)
	}
	outcome := fmt.Sprintf("answered with status %d", status)
	if err != nil {
		outcome = "did not answer"
	}
	retries := logoutRetries()
	if delivery.Attempts <= len(retries) {
		return l.Store.RetryLogout(ctx, delivery.ID, kept(l.Now).Add(retries[delivery.Attempts-1]))
	}
	event.Kind, event.Detail = EventLogoutFailed, fmt.Sprintf("%s at attempt %d, the last one", outcome, delivery.Attempts)
	return l.Store.FinishLogout(ctx, delivery.ID, event)
}

// token returns the logout token of a delivery (OpenID Connect Back-Channel
// Logout section 2.4). Its id is that of the delivery: a client can tell a
// second attempt from another logout.
func (l *Logouts) token(client Client, delivery LogoutDelivery) (string, error) {
	now := l.Now()
	payload, err := json.Marshal(claims.LogoutToken{
		Issuer: l.Issuer, Subject: delivery.UserID, Audience: client.ID, SessionID: delivery.SessionID, ID: delivery.ID,
		IssuedAt: now.Unix(), ExpiresAt: now.Add(logoutTokenTTL).Unix(), Events: map[string]struct{}{claims.LogoutEvent: {}},
	})
	if err != nil {
		return "", fmt.Errorf("encode logout token: %w", err)
	}
	signed, err := l.Signer.Sign(client.idTokenAlgorithm(), claims.TypeLogoutToken, payload)
	if err != nil {
		return "", fmt.Errorf("sign logout token: %w: %w", ErrUnavailable, err)
	}
	return signed, nil
}

// NewLogoutDelivery returns the news of a session's end at now.
func NewLogoutDelivery(clientID, userID, sessionID string, now time.Time) LogoutDelivery {
	return LogoutDelivery{ID: uuid.NewString(), ClientID: clientID, UserID: userID, SessionID: sessionID, CreatedAt: now}
}
