package authz

import (
	"context"

	"github.com/google/uuid"
)

// beginning is a session that is about to begin.
type beginning struct {
	client Client
	// family says who was granted what, how that was proven, and where.
	family Family
	// target is what its first access token is for.
	target target
	// thumbprint is that of the key that the client holds, "" for none.
	thumbprint string
	// nonce is that of the authorization request.
	nonce string
	// sessions is how many live ones the user has.
	sessions int
	// store stores the family, and what its grant is used up by.
	store func(ctx context.Context, f Family) error
	// event is what is recorded of it.
	event EventKind
}

// startSession stores a new family and answers with its first tokens. The
// tokens are made first: nothing remains of a login that could not be
// answered.
func (s *Service) startSession(ctx context.Context, b beginning) (TokenResponse, error) {
	f, policy, now := b.family, b.client.Refresh.Over(s.Refresh), s.now()
	var err error
	if f.Status, err = s.Indexes.Session(ctx); err != nil {
		return TokenResponse{}, err
	}
	h := handle(randomBytes(handleSize))
	f.SessionID, f.HandleHash, f.ClientID = uuid.NewString(), h.hash(), b.client.ID
	f.CreatedAt, f.RotatedAt = now, now
	f.AbsoluteExpiresAt, f.IdleExpiresAt = now.Add(policy.AbsoluteTTL), now.Add(policy.IdleTTL)
	if b.client.Public() {
		f.KeyThumbprint = b.thumbprint // a client that proves itself is bound by that
	}
	response, err := s.mintForUser(f, b.target, now, b.thumbprint)
	if err != nil {
		return TokenResponse{}, err
	}
	if response, err = s.withIDToken(response, b.client, f, b.nonce, now); err != nil {
		return TokenResponse{}, err
	}
	if b.client.allows(GrantRefreshToken) {
		response = s.withRefreshToken(response, f, h, now)
	}
	if err := s.makeRoom(ctx, f.UserID, b.sessions); err != nil {
		return TokenResponse{}, err
	}
	if err := b.store(ctx, f); err != nil {
		return TokenResponse{}, err
	}
	s.Events.Record(NewEvent(b.event, now).forFamily(f, f.Device))
	return response, nil
}

// sessionSlack is how many logins of one user at the same moment are reckoned
// with: none of them sees the sessions of the others.
const sessionSlack = 16

// makeRoom ends the user's oldest sessions when one more could be too many.
func (s *Service) makeRoom(ctx context.Context, userID string, sessions int) error {
	if s.MaxSessions <= 0 || sessions+sessionSlack < s.MaxSessions {
		return nil
	}
	_, err := s.Sessions.End(ctx, Ending{UserID: userID, Trim: true, Keep: s.MaxSessions - 1, Cause: CauseSessionLimit})
	return err
}
