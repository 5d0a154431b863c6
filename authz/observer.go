package authz

import "slices"

// Observer is told what was answered, for figures. Its methods return at once
// and are safe for concurrent use.
type Observer interface {
	// TokenAnswered tells of an answer of the token endpoint, or of a login in
	// the console. outcome is "ok", the code of an expected failure, or
	// OutcomeFault. Every argument has few values.
	TokenAnswered(grantType, outcome string, cause Cause)
}

// Outcomes that are no code of a failure.
const (
	OutcomeOK    = "ok"
	OutcomeFault = "server_error"
)

// otherGrant stands for grant types that do not exist.
const otherGrant = "other"

func (s *Service) observe(grantType string, response TokenResponse, err error) {
	if s.Observer == nil {
		return
	}
	if !slices.Contains(GrantTypes(), grantType) {
		grantType = otherGrant
	}
	outcome, cause := OutcomeOK, response.Cause
	if err != nil {
		outcome, cause = string(CodeOf(err)), CauseOf(err)
	}
	if outcome == "" {
		outcome = OutcomeFault
	}
	s.Observer.TokenAnswered(grantType, outcome, cause)
}
