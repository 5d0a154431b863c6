package authz

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
)

var (
	errCodeMissing  = fail(InvalidRequest, "The code parameter is missing.")
	errCode         = fail(InvalidGrant, "The authorization code is not valid.")
	errCodeReplayed = &Error{Code: InvalidGrant, Description: errCode.Description, Cause: CauseCodeReplayed}
	errRedirectURI  = fail(InvalidGrant, "The redirect_uri differs from that of the authorization request.")
	errVerifier     = fail(InvalidGrant, "The code_verifier does not fit the code_challenge.")
)

// codeGrant exchanges an authorization code for a session (RFC 6749 section
// 4.1.3). Everything is checked before the code is used up. One that comes
// again, with all that belongs to it, ends what it was exchanged for.
func (s *Service) codeGrant(ctx context.Context, client Client, request TokenRequest) (TokenResponse, error) {
	if request.Code == "" {
		return TokenResponse{}, errCodeMissing
	}
	device := newDevice(request.Address, request.UserAgent)
	code, err := s.Codes.Code(ctx, HashSecret(request.Code))
	if errors.Is(err, ErrNotFound) {
		return TokenResponse{}, errCode
	}
	if err != nil {
		return TokenResponse{}, fmt.Errorf("code: %w", err)
	}
	if err := s.checkCode(code, client, request, device); err != nil {
		return TokenResponse{}, err
	}
	if code.SessionID != "" {
		return TokenResponse{}, s.codeReplayed(ctx, code, device)
	}
	if !s.now().Before(code.ExpiresAt) {
		return TokenResponse{}, errCode
	}
	b, err := s.beginGrant(ctx, client, code.Grant, request)
	if errors.Is(err, ErrNotFound) {
		return TokenResponse{}, errCode
	}
	if err != nil {
		return TokenResponse{}, err
	}
	if err := s.received(request.ReceivedAt); err != nil {
		return TokenResponse{}, err
	}
	b.nonce, b.family.Device = code.Nonce, device
	b.store = func(ctx context.Context, f Family) error { return s.redeem(ctx, code, f) }
	return s.startSession(ctx, b)
}

// checkCode says whether the request may exchange the code, were it unused.
func (s *Service) checkCode(code AuthorizationCode, client Client, request TokenRequest, device Device) error {
	if code.ClientID != client.ID {
		event := NewEvent(EventWrongClient, s.now())
		event.UserID, event.ClientID, event.Device = code.UserID, code.ClientID, device
		event.Detail, event.Once = "code presented by client "+client.ID, onceKey(string(code.Hash[:]), client.ID)
		s.Events.Record(event)
		return errCode
	}
	// With a challenge the code is bound to who began the login, and the URI says
	// nothing more (OAuth 2.1 section 10.2).
	if request.RedirectURI != code.RedirectURI && (request.RedirectURI != "" || code.Challenge == "") {
		return errRedirectURI
	}
	if !provesChallenge(request.CodeVerifier, code.Challenge) {
		return errVerifier
	}
	if code.KeyThumbprint != "" && code.KeyThumbprint != request.thumbprint {
		return errOtherKey
	}
	return nil
}

var (
	verifierForm  = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)
	challengeForm = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
)

// provesChallenge reports whether the verifier belongs to the S256 challenge
// (RFC 7636 section 4.6). A verifier without a challenge is refused: somebody
// has taken the challenge out of the request (RFC 9700 section 2.1.1).
func provesChallenge(verifier Secret, challenge string) bool {
	if challenge == "" {
		return verifier == ""
	}
	sum := sha256.Sum256([]byte(verifier))
	computed := base64.RawURLEncoding.EncodeToString(sum[:])
	return verifierForm.MatchString(verifier.Reveal()) && subtle.ConstantTimeCompare([]byte(computed), []byte(challenge)) == 1
}

// beginGrant prepares the session that a grant begins. ErrNotFound means that
// the user is not any more as he was when he gave it.
func (s *Service) beginGrant(ctx context.Context, client Client, grant Grant, request TokenRequest) (beginning, error) {
	resource, err := parseResource(request.Resources)
	if err != nil {
		return beginning{}, err
	}
	user, sessions, err := s.Codes.UserWithSessions(ctx, grant.UserID, s.now())
	if err != nil {
		return beginning{}, fmt.Errorf("user: %w", err)
	}
	if user.AuthEpoch != grant.AuthEpoch || !user.Active(s.now()) {
		return beginning{}, ErrNotFound
	}
	t, err := s.chooseTarget(ctx, grant.Resources, resource, grant.Scope, func(r Resource, token string) bool { return r.permits(token, user.Roles) })
	if err != nil {
		return beginning{}, err
	}
	return beginning{
		client: client, target: t, thumbprint: request.thumbprint, sessions: sessions, event: EventSessionStarted,
		family: Family{
			Scope: grant.Scope, Resources: grant.Resources, UserID: user.ID, Roles: user.Roles, AMR: grant.AMR, AuthTime: grant.AuthTime,
		},
	}, nil
}

// redeem uses the code up for the family.
func (s *Service) redeem(ctx context.Context, code AuthorizationCode, f Family) error {
	err := s.Codes.RedeemCode(ctx, code.Hash, f, code.Grant)
	switch {
	case errors.Is(err, ErrConflict):
		// Somebody was faster. Which of the two is a thief nobody can tell.
		if code, err = s.Codes.Code(ctx, code.Hash); err == nil && code.SessionID != "" {
			return s.codeReplayed(ctx, code, f.Device)
		}
		return errCode
	case errors.Is(err, ErrNotFound):
		return errCode
	case err != nil:
		return fmt.Errorf("redeem code: %w", err)
	}
	return nil
}

// codeReplayed ends the session that a code was exchanged for, because it came
// again (RFC 6749 section 4.1.2).
func (s *Service) codeReplayed(ctx context.Context, code AuthorizationCode, device Device) error {
	_, err := s.Sessions.End(ctx, Ending{SessionID: code.SessionID, Cause: CauseCodeReplayed, Kind: EventReuseDetected, Device: device})
	if err != nil {
		return err
	}
	return errCodeReplayed
}
