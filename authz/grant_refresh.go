package authz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Swap is the single write of a rotation: it brings the family of HandleHash
// from Generation to the next one.
type Swap struct {
	HandleHash Hash
	ClientID   string
	Generation uint64
	Now        time.Time
	// IdleExpiresAt and Device are stored by the same write.
	IdleExpiresAt time.Time
	Device        Device
	// KeyThumbprint is that of the key that the client has proven to hold. A
	// family that is bound to another is not swapped.
	KeyThumbprint string
}

// Restoration brings a family that has fallen behind from Generation, its
// present one, to Next.
type Restoration struct {
	Swap
	Next  uint64
	Event Event
}

// Forgiveness records that a lost answer is repeated.
type Forgiveness struct {
	SessionID  string
	Generation uint64
	// Before is the count that the decision was made on.
	Before, Count int
	Since         time.Time
	Event         Event
}

// FamilyStore keeps the refresh-token families.
type FamilyStore interface {
	// Rotate carries out the swap in one statement and returns the family as
	// it is afterwards. Its condition is the d = 0 line of Family.Check, the
	// client, and the key that the family is bound to, if it is; ErrNotFound means that it did not hold, and nothing changed.
	Rotate(ctx context.Context, swap Swap) (Family, error)
	// FamilyByHandle returns the family with the handle hash, or ErrNotFound.
	FamilyByHandle(ctx context.Context, hash Hash) (Family, error)
	// FamilyBySession returns the family with the session id, or ErrNotFound.
	FamilyBySession(ctx context.Context, sessionID string) (Family, error)
	// Forgive stores the forgiveness and its event in one transaction, if the
	// generation is still the newest, was not forgiven, the count is still
	// Before and the family is not revoked. ErrConflict means that it was not.
	Forgive(ctx context.Context, forgiveness Forgiveness) error
	// Restore carries out the restoration and stores its event in one
	// transaction, if the family lives and its generation is still the given
	// one, and returns the family as it is afterwards. ErrConflict means that
	// it was not.
	Restore(ctx context.Context, restoration Restoration) (Family, error)
}

var (
	errRefreshMissing = fail(InvalidRequest, "The refresh_token parameter is missing.")
	errScopeWider     = fail(InvalidScope, "The scope exceeds the one originally granted.")
)

// errRefresh is the answer to a refresh token that is not accepted. Without a
// cause it tells a stranger nothing.
func errRefresh(cause Cause) *Error {
	return &Error{Code: InvalidGrant, Description: "The refresh token is not valid.", Cause: cause}
}

// refreshAttempts bounds how often a decision is made anew because another
// request changed the family in between.
const refreshAttempts = 8

// refresh is one refresh request on its way.
type refresh struct {
	client   Client
	token    refreshToken
	policy   RefreshPolicy
	scope    Scope  // as asked for; nil for all that was granted
	resource string // as asked for; "" for the first one
	device   Device
	now      time.Time
	// thumbprint is that of the key that the client has proven to hold.
	thumbprint string
}

// refreshGrant answers the refresh token grant (RFC 6749 section 6). A request
// without scope and resource is one SQL statement: the swap itself. One that
// names either reads the family first, so that what it may not have consumes
// nothing.
func (s *Service) refreshGrant(ctx context.Context, client Client, request TokenRequest) (TokenResponse, error) {
	r, err := s.newRefresh(client, request)
	if err != nil {
		return TokenResponse{}, err
	}
	if err := s.received(request.ReceivedAt); err != nil {
		return TokenResponse{}, err
	}
	swapFirst := r.scope == nil && r.resource == ""
	for range refreshAttempts {
		if swapFirst {
			f, err := s.Families.Rotate(ctx, r.swap(r.token.generation))
			if err == nil {
				return s.answerSwapped(ctx, r, f)
			}
			if !errors.Is(err, ErrNotFound) {
				return TokenResponse{}, fmt.Errorf("rotate: %w", err)
			}
		}
		f, decision, err := s.decide(ctx, r)
		if err != nil {
			return TokenResponse{}, err
		}
		response, err := s.carryOut(ctx, r, f, decision)
		if !errors.Is(err, ErrConflict) {
			return response, err
		}
	}
	return TokenResponse{}, fmt.Errorf("refresh: %w: the session kept changing", ErrUnavailable)
}

func (s *Service) newRefresh(client Client, request TokenRequest) (refresh, error) {
	r := refresh{thumbprint: request.thumbprint, client: client, policy: client.Refresh.Over(s.Refresh), device: newDevice(request.Address, request.UserAgent), now: s.now()}
	if request.RefreshToken == "" {
		return r, errRefreshMissing
	}
	var err error
	if r.token, err = s.Refreshes.parse(request.RefreshToken); err != nil {
		return r, errRefresh("")
	}
	if r.scope, err = ParseScope(request.Scope); err != nil {
		return r, err
	}
	if r.resource, err = parseResource(request.Resources); err != nil {
		return r, err
	}
	return r, nil
}

func (r refresh) swap(generation uint64) Swap {
	return Swap{
		HandleHash: r.token.handle.hash(), ClientID: r.client.ID, Generation: generation,
		Now: r.now, IdleExpiresAt: r.now.Add(r.policy.IdleTTL), Device: r.device, KeyThumbprint: r.thumbprint,
	}
}

// decide reads the family and applies the refresh rule. What the request may
// not have is refused here, before anything is written.
func (s *Service) decide(ctx context.Context, r refresh) (Family, Decision, error) {
	f, err := s.Families.FamilyByHandle(ctx, r.token.handle.hash())
	if errors.Is(err, ErrNotFound) {
		return f, Decision{}, errRefresh("")
	}
	if err != nil {
		return f, Decision{}, fmt.Errorf("session: %w", err)
	}
	if f.ClientID != r.client.ID {
		event := NewEvent(EventWrongClient, r.now).forFamily(f, r.device)
		event.Detail = "presented by client " + r.client.ID
		s.Events.Record(event.oncePerHour())
		return f, Decision{}, errRefresh("")
	}
	if f.KeyThumbprint != "" && f.KeyThumbprint != r.thumbprint {
		return f, Decision{}, errOtherKey
	}
	if cause := f.State(r.now); cause == "" {
		if _, err := s.refreshTarget(ctx, r, f); err != nil {
			return f, Decision{}, err
		}
	}
	return f, f.Check(r.token.generation, r.policy, r.now), nil
}

// carryOut does what the decision says. ErrConflict means that the family has
// changed since it was read, and the decision must be made again.
func (s *Service) carryOut(ctx context.Context, r refresh, f Family, decision Decision) (TokenResponse, error) {
	var err error
	switch decision.Action {
	case Rotate:
		if f, err = s.Families.Rotate(ctx, r.swap(r.token.generation)); errors.Is(err, ErrNotFound) {
			err = ErrConflict
		}
	case Replay:
	case Forgive:
		err = s.Families.Forgive(ctx, Forgiveness{
			SessionID: f.SessionID, Generation: f.Generation, Before: f.LostCount, Count: decision.LostCount, Since: decision.LostSince,
			Event: NewEvent(EventLostResponse, r.now).forFamily(f, r.device),
		})
	case Restore:
		f, err = s.Families.Restore(ctx, Restoration{
			Swap: r.swap(f.Generation), Next: r.token.generation + 1,
			Event: NewEvent(EventSessionRestored, r.now).forFamily(f, r.device).oncePerSession(),
		})
	case Reuse:
		return TokenResponse{}, s.reuse(ctx, r, f)
	default:
		s.Events.Record(refusal(f, r, decision.Cause))
		return TokenResponse{}, errRefresh(decision.Cause)
	}
	if err != nil {
		return TokenResponse{}, fmt.Errorf("session %s: %w", f.SessionID, err)
	}
	return s.answer(ctx, r, f, decision.Cause)
}

func refusal(f Family, r refresh, cause Cause) Event {
	event := NewEvent(EventRefreshRefused, r.now).forFamily(f, r.device)
	event.Cause = cause
	return event.oncePerHour()
}

// reuse ends the session of a token that came back too late: either it or its
// successor is in the wrong hands. The end is committed although the caller
// gets an error.
func (s *Service) reuse(ctx context.Context, r refresh, f Family) error {
	_, err := s.Sessions.End(ctx, Ending{
		SessionID: f.SessionID, Cause: CauseReuse, Kind: EventReuseDetected, Device: r.device,
	})
	if err != nil {
		return err
	}
	return errRefresh(CauseReuse)
}

// answerSwapped answers a rotation that was made before anything else was
// looked at. A session that turns out to have nothing left to ask for ends:
// its token is used up, and its next use must not look like a theft.
func (s *Service) answerSwapped(ctx context.Context, r refresh, f Family) (TokenResponse, error) {
	response, err := s.answer(ctx, r, f, "")
	if CauseOf(err) != CauseNotEntitled {
		return response, err
	}
	if _, endErr := s.Sessions.End(ctx, Ending{SessionID: f.SessionID, Cause: CauseNotEntitled, Device: r.device}); endErr != nil {
		return TokenResponse{}, endErr
	}
	return TokenResponse{}, err
}

// answer mints the tokens of the family's newest generation.
func (s *Service) answer(ctx context.Context, r refresh, f Family, cause Cause) (TokenResponse, error) {
	t, err := s.refreshTarget(ctx, r, f)
	if err != nil {
		return TokenResponse{}, err
	}
	response, err := s.mintForUser(f, t, r.now, r.thumbprint)
	if err != nil {
		return TokenResponse{}, err
	}
	response.Cause = cause
	return s.withRefreshToken(response, f, r.token.handle, r.now), nil
}

// refreshTarget says what the access token of a refresh is for. Asking for
// more than was granted is refused; what client or user have lost since the
// login is left out, and nothing left is refused with CauseNotEntitled.
func (s *Service) refreshTarget(ctx context.Context, r refresh, f Family) (target, error) {
	wanted := f.Scope
	if r.scope != nil {
		if !f.Scope.HasAll(r.scope) {
			return target{}, errScopeWider
		}
		wanted = r.scope
	}
	candidates := slices.DeleteFunc(slices.Clone(r.client.resources(s.Issuer)), func(uri string) bool { return !slices.Contains(f.Resources, uri) })
	still := r.client.scope()
	t, err := s.chooseTarget(ctx, candidates, r.resource, wanted, func(resource Resource, token string) bool {
		return still.Has(token) && resource.permits(token, f.Roles)
	})
	if CodeOf(err) != InvalidTarget {
		return t, err
	}
	// Nothing can be had. Was it never granted for the named resource, or has
	// it been lost?
	if _, before := s.chooseTarget(ctx, candidates, r.resource, wanted, anyScope); before != nil && r.resource != "" {
		return target{}, before
	}
	return target{}, errRefresh(CauseNotEntitled)
}
