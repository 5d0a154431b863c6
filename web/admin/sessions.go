package admin

import (
	"context"
	"net/http"
	"time"

	"chancery/authz"
	"chancery/web/cursor"
)

// Session is a session as admins see it.
type Session struct {
	ID        string   `json:"sid" example:"0a8f5ac2-6c1c-4b7c-8c5c-6f6ac6b3f0a1"`
	State     string   `json:"state" enum:"live,revoked,expired" example:"live"`
	Cause     string   `json:"cause,omitempty" doc:"Why it was ended." example:"admin"`
	UserID    string   `json:"user_id" example:"usr_5b0c1fd1-6f2a-4f0e-9a51-0f1e64f5ce0e"`
	Username  string   `json:"username,omitempty" doc:"Absent when the user has been deleted." example:"alice"`
	ClientID  string   `json:"client_id" example:"shop"`
	Scope     string   `json:"scope" example:"notes:read"`
	Resources []string `json:"resources" example:"[\"https://api.example\"]"`
	Roles     []string `json:"roles" example:"[\"editor\"]"`
	AMR       []string `json:"amr" doc:"How the user was authenticated (RFC 8176)." example:"[\"pwd\"]"`
	Address   string   `json:"address,omitempty" doc:"Where it was last used from." example:"192.0.2.1"`
	UserAgent string   `json:"user_agent,omitempty" doc:"What the device calls itself." example:"Notes/2.1 (iPhone)"`
	// Refreshes is the generation of the newest refresh token.
	Refreshes  uint64    `json:"refreshes" doc:"How often it was refreshed." example:"41"`
	CreatedAt  time.Time `json:"created_at"`
	LastUsedAt time.Time `json:"last_used_at"`
	ExpiresAt  time.Time `json:"expires_at" doc:"When it ends if it is not used again."`
	AbsoluteAt time.Time `json:"absolute_expires_at" doc:"When it ends however often it is used."`
	EndedAt    time.Time `json:"revoked_at,omitzero" doc:"When it was ended."`
	// Status is where verifiers see whether it has ended.
	Status SessionStatus `json:"status"`
}

// SessionStatus is the entry of a session in a status list.
type SessionStatus struct {
	List  string `json:"list" example:"2f1c"`
	Index uint32 `json:"idx" example:"81234"`
}

// NewSession returns the session as admins see it at now.
func NewSession(f authz.Family, username string, now time.Time) Session {
	return Session{
		ID: f.SessionID, State: string(f.StateAt(now)), Cause: string(f.RevokedCause), UserID: f.UserID, Username: username, ClientID: f.ClientID,
		Scope: f.Scope.String(), Resources: list(f.Resources), Roles: list(f.Roles), AMR: list(f.AMR), Address: f.Device.Address,
		UserAgent: f.Device.UserAgent, Refreshes: f.Generation, CreatedAt: f.CreatedAt, LastUsedAt: f.RotatedAt, ExpiresAt: f.ExpiresAt(),
		AbsoluteAt: f.AbsoluteExpiresAt, EndedAt: f.RevokedAt, Status: SessionStatus{List: f.Status.List, Index: f.Status.Index},
	}
}

// revokedOutput says how many sessions ended.
type revokedOutput struct {
	Body struct {
		Revoked int `json:"revoked" doc:"How many sessions ended that had not before." example:"3"`
	}
}

// revoke ends sessions.
func (e *Endpoints) revoke(ctx context.Context, admin authz.Administrator, ending authz.Ending) (*revokedOutput, error) {
	n, err := e.Administration.EndSessions(ctx, admin, ending)
	if err != nil {
		return nil, err
	}
	out := &revokedOutput{}
	out.Body.Revoked = n
	return out, nil
}

type listSessionsInput struct {
	PageQuery
	UserID   string `query:"user_id" maxLength:"64" doc:"Those of this user." example:"usr_5b0c1fd1-6f2a-4f0e-9a51-0f1e64f5ce0e"`
	ClientID string `query:"client_id" maxLength:"255" doc:"Those of this client." example:"shop"`
	Address  string `query:"address" maxLength:"64" doc:"Those last used from this address, or from this /64 of IPv6." example:"192.0.2.1"`
	State    string `query:"state" enum:"live,revoked,expired" doc:"Those of this state." example:"live"`
}

type sessionPath struct {
	SessionID string `path:"sid" maxLength:"64" example:"0a8f5ac2-6c1c-4b7c-8c5c-6f6ac6b3f0a1"`
}

type sessionOutput struct{ Body Session }

func (e *Endpoints) mountSessions() {
	const tagName = "Sessions"
	register(e, operation{
		id: "listSessions", method: http.MethodGet, path: "/sessions", tag: tagName, summary: "List or find sessions, newest first",
		description: "A page may hold fewer than the limit, or none, and name a next one: some searches go through many sessions.",
	}, e.listSessions)
	register(e, operation{id: "getSession", method: http.MethodGet, path: "/sessions/{sid}", tag: tagName, summary: "Show a session", errors: []int{http.StatusNotFound}},
		func(ctx context.Context, _ authz.Administrator, in *sessionPath) (*sessionOutput, error) {
			f, err := e.Administration.Sessions.Find(ctx, in.SessionID)
			if err != nil {
				return nil, err
			}
			views, err := e.sessionViews(ctx, []authz.Family{f})
			if err != nil {
				return nil, err
			}
			return &sessionOutput{views[0]}, nil
		})
	register(e, operation{
		id: "revokeSession", method: http.MethodDelete, path: "/sessions/{sid}", tag: tagName, status: http.StatusNoContent, errors: []int{http.StatusNotFound},
		summary: "End a session", description: "Verifiers that follow the status lists refuse it within about a second. One that is over already stays so.",
	}, func(ctx context.Context, admin authz.Administrator, in *sessionPath) (*none, error) {
		if _, err := e.Administration.Sessions.Find(ctx, in.SessionID); err != nil {
			return nil, err
		}
		_, err := e.Administration.EndSessions(ctx, admin, authz.Ending{SessionID: in.SessionID})
		return nil, err
	})
	register(e, operation{id: "revokeSessions", method: http.MethodPost, path: "/sessions/revoke", tag: tagName, summary: "End several sessions"}, e.revokeSessions)
}

func (e *Endpoints) listSessions(ctx context.Context, _ authz.Administrator, in *listSessionsInput) (*pageOutput[Session], error) {
	place, err := in.place()
	if err != nil {
		return nil, err
	}
	query := authz.SessionQuery{UserID: in.UserID, ClientID: in.ClientID, Address: in.Address, State: authz.SessionState(in.State), Page: place}
	families, next, err := e.Administration.Sessions.Search(ctx, query)
	if err != nil {
		return nil, err
	}
	views, err := e.sessionViews(ctx, families)
	return &pageOutput[Session]{page[Session]{Items: views, Next: cursor.Text(next)}}, err
}

// sessionViews returns the sessions with the names of their users.
func (e *Endpoints) sessionViews(ctx context.Context, families []authz.Family) ([]Session, error) {
	names, err := e.Administration.Users.OfSessions(ctx, families)
	if err != nil {
		return nil, err
	}
	views, now := make([]Session, len(families)), e.Administration.Now()
	for i, f := range families {
		views[i] = NewSession(f, names[f.UserID], now)
	}
	return views, nil
}

type revokeSessionsInput struct {
	Body struct {
		SessionIDs []string `json:"session_ids" minItems:"1" maxItems:"100" example:"[\"0a8f5ac2-6c1c-4b7c-8c5c-6f6ac6b3f0a1\"]"`
	}
}

// revokeSessions ends each by itself: what is not there, or over, is passed
// over.
func (e *Endpoints) revokeSessions(ctx context.Context, admin authz.Administrator, in *revokeSessionsInput) (*revokedOutput, error) {
	out := &revokedOutput{}
	for _, id := range sorted(in.Body.SessionIDs) {
		if id == "" || !authz.PlainText(id) {
			continue
		}
		one, err := e.revoke(ctx, admin, authz.Ending{SessionID: id})
		if err != nil {
			return nil, err
		}
		out.Body.Revoked += one.Body.Revoked
	}
	return out, nil
}
