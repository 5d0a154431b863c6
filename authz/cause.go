package authz

// Cause says in one stable word why a refresh was answered as it was. It
// stands in the token answer, the log line and the events. It is shown only to
// a caller whose client and token fit.
type Cause string

// Causes of a replayed success.
const (
	// CauseConcurrent: the same generation came twice within the leeway.
	CauseConcurrent Cause = "concurrent"
	// CauseLostResponse: the client never saw the last answer.
	CauseLostResponse Cause = "lost_response"
	// CauseRestored: the database lost the generation that the client holds.
	CauseRestored Cause = "restored"
)

// Causes of a refusal.
const (
	// CauseReuse: an old token came back; the session was ended.
	CauseReuse Cause = "reuse_detected"
	// CauseRevoked: the session was ended before.
	CauseRevoked Cause = "revoked"
	// CauseExpiredIdle: the session was not used for its idle lifetime.
	CauseExpiredIdle Cause = "expired_idle"
	// CauseExpiredAbsolute: the session reached its greatest age.
	CauseExpiredAbsolute Cause = "expired_absolute"
	// CauseNotEntitled: client or user have lost every scope that was asked
	// for. A session that has lost all of its scopes is ended with it.
	CauseNotEntitled Cause = "not_entitled"
)

// Causes that are stored with an ended session, besides CauseReuse.
const (
	// CauseCodeReplayed: the authorization code that it began with came again.
	CauseCodeReplayed    Cause = "code_replayed"
	CauseLogout          Cause = "logout"
	CauseAdmin           Cause = "admin"
	CauseBanned          Cause = "banned"
	CausePasswordChanged Cause = "password_changed"
	CauseUserDeleted     Cause = "user_deleted"
	// CauseSessionLimit: the user began more sessions than one may have.
	CauseSessionLimit   Cause = "session_limit"
	CauseClientDisabled Cause = "client_disabled"
	CauseClientDeleted  Cause = "client_deleted"
)
