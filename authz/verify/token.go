package verify

import (
	"errors"
	"slices"
	"strings"
	"time"

	"chancery/authz/claims"
)

// Token is a verified access token (RFC 9068). It may be shared: whoever gets
// one must not change it.
type Token struct {
	// Issuer and Subject together are who the token is about.
	Issuer  string
	Subject string
	// Audience are the resource servers that the token is for; this one is
	// among them.
	Audience []string
	// ClientID is the client that got the token.
	ClientID string
	ID       string
	Scope    []string
	IssuedAt time.Time
	// ExpiresAt is when the token's time is over; a leeway may be granted.
	ExpiresAt time.Time
	// SessionID, AuthTime, AMR and Roles are empty in a token that a client got
	// for itself.
	SessionID string
	AuthTime  time.Time
	AMR       []string
	Roles     []string
	// Actors are the clients that act for the subject, the one that holds the token
	// first, if that is not the client that the user logged in to (RFC 8693 section
	// 4.1).
	Actors []string
	// KeyThumbprint is that of the key which the token is bound to (cnf.jkt,
	// RFC 9449 section 6.1), "" for a bearer token.
	KeyThumbprint string

	status    claims.StatusListEntry
	hasStatus bool
	notBefore time.Time
	// bound says that there is a cnf claim, whatever is in it.
	bound bool
}

// HasScope reports whether the token was granted the scope.
func (t *Token) HasScope(scope string) bool { return slices.Contains(t.Scope, scope) }

// OfClient reports whether the token is a client's own: no user is behind it
// (RFC 9068 section 2.2, "sub").
func (t *Token) OfClient() bool { return t.Subject == t.ClientID }

// parseToken reads the claims of an access token. Names are compared as they
// are, each claim must be of its type, and those that RFC 9068 section 2.2
// requires must be there.
func parseToken(payload []byte) (*Token, error) {
	t := &Token{}
	err := readObject(payload, func(name string, value []byte) error {
		if !t.claim(name, value) {
			return refuse(BadClaims)
		}
		return nil
	})
	if err != nil {
		if errors.Is(err, ErrInvalidToken) {
			return nil, err
		}
		return nil, refuse(Malformed)
	}
	if t.Issuer == "" || t.Subject == "" || t.ClientID == "" || t.ID == "" || len(t.Audience) == 0 || t.IssuedAt.IsZero() || t.ExpiresAt.IsZero() {
		return nil, refuse(BadClaims)
	}
	return t, nil
}

// claim reads one claim. It returns false for one that is known and of the
// wrong type, or empty where that says nothing.
func (t *Token) claim(name string, value []byte) (ok bool) {
	switch name {
	case "iss":
		t.Issuer, ok = nonEmpty(value)
	case "sub":
		t.Subject, ok = nonEmpty(value)
	case "client_id":
		t.ClientID, ok = nonEmpty(value)
	case "jti":
		t.ID, ok = nonEmpty(value)
	case "sid":
		t.SessionID, ok = nonEmpty(value)
	case "aud":
		t.Audience, ok = asAudience(value)
	case "iat":
		t.IssuedAt, ok = asTime(value)
	case "exp":
		t.ExpiresAt, ok = asTime(value)
	case "auth_time":
		t.AuthTime, ok = asTime(value)
	case "nbf":
		t.notBefore, ok = asTime(value)
	case "scope":
		var scope string
		scope, ok = asString(value)
		t.Scope = strings.Fields(scope)
	case "amr":
		t.AMR, ok = asStrings(value)
	case "roles":
		t.Roles, ok = asStrings(value)
	case "status":
		ok = t.readStatus(value)
	case "act":
		ok = t.readActor(value)
	case "cnf":
		t.bound, ok = true, true
		t.readConfirmation(value)
	default:
		ok = true
	}
	return ok
}

// maxActors bounds the clients that act for each other.
const maxActors = 8

// readActor reads who acts, and for whom.
func (t *Token) readActor(value []byte) bool {
	ok := false
	var before []byte
	err := readObject(value, func(name string, value []byte) error {
		switch name {
		case "sub":
			var actor string
			if actor, ok = nonEmpty(value); ok {
				t.Actors = append(t.Actors, actor)
			}
		case "act":
			before = value
		}
		return nil
	})
	if err != nil || !ok || len(t.Actors) > maxActors {
		return false
	}
	return before == nil || t.readActor(before)
}

// readConfirmation reads how the token is bound. A way that is not known makes it
// a token that nobody can use.
func (t *Token) readConfirmation(value []byte) {
	_ = readObject(value, func(name string, value []byte) error {
		if name == "jkt" {
			t.KeyThumbprint, _ = nonEmpty(value)
		}
		return nil
	})
}

// asAudience returns a string, or the strings of an array (RFC 7519 section
// 4.1.3).
func asAudience(value []byte) ([]string, bool) {
	if one, ok := nonEmpty(value); ok {
		return []string{one}, true
	}
	return asStrings(value)
}

func nonEmpty(value []byte) (string, bool) {
	text, ok := asString(value)
	return text, ok && text != ""
}

func asTime(value []byte) (time.Time, bool) {
	seconds, ok := asInteger(value)
	return time.Unix(seconds, 0).UTC(), ok
}

// readStatus reads the status claim. One that names another mechanism than a
// status list is as good as none.
func (t *Token) readStatus(value []byte) bool {
	ok := true
	err := readObject(value, func(name string, value []byte) error {
		if name != "status_list" {
			return nil
		}
		t.hasStatus = true
		hasIndex, hasURI := false, false
		err := readObject(value, func(name string, value []byte) error {
			switch name {
			case "idx":
				index, whole := asInteger(value)
				t.status.Index, hasIndex = uint32(index), whole && index < 1<<32
			case "uri":
				t.status.URI, hasURI = nonEmpty(value)
			}
			return nil
		})
		ok = hasIndex && hasURI
		return err
	})
	return ok && err == nil
}
