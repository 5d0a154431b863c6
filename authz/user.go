package authz

import (
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/width"
)

// User is an account. Times are UTC; zero means never.
type User struct {
	// ID is "usr_" and a UUID. It is the "sub" of tokens and never reused.
	ID string
	// Username is as the user wrote it, Name its normalised form, by which it
	// is found and unique.
	Username string
	Name     string
	// Email is as the user wrote it, EmailName its normalised form. Once it is
	// verified no other account can verify it, and the user can log in with it.
	Email           string
	EmailName       string
	EmailVerifiedAt time.Time
	// PasswordHash is a PHC string, or the hash of another program; an empty
	// one fits no password.
	PasswordHash string
	Roles        []string
	// SelfRegistered says that nobody but the user chose the name.
	SelfRegistered bool
	// MustChange refuses logins until the password has been reset.
	MustChange bool
	// AuthEpoch rises whenever all of the user's sessions are ended, the
	// password or the address changes; a login that read an older one fails, and
	// so does what was mailed before.
	AuthEpoch int64
	// ConsoleEpoch rises whenever all of the user's sessions are ended, with
	// which those in the console end.
	ConsoleEpoch int64
	DisabledAt   time.Time
	// BannedUntil is Forever for a ban without end.
	BannedUntil time.Time
	BanReason   string
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// Forever is the end of a ban that does not end by itself.
var Forever = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// Active reports whether the user may log in at now, password aside.
func (u User) Active(now time.Time) bool {
	return u.DisabledAt.IsZero() && !now.Before(u.BannedUntil)
}

// ClaimsAddress reports whether the user is found by the address: it is
// verified, or the name. Only one user may claim an address.
func (u User) ClaimsAddress() bool {
	return u.EmailName != "" && (!u.EmailVerifiedAt.IsZero() || u.Name == u.EmailName)
}

func newUserID() string { return userIDPrefix + uuid.NewString() }

const (
	maxUsername = 256
	maxEmail    = 254
)

// NormalizeName returns the form of a username by which it is looked up and
// unique: case-mapped and composed (PRECIS UsernameCaseMapped, RFC 8265
// section 3.3). Sign-up, login and lookup all use it. The error has code
// InvalidInput.
func NormalizeName(username string) (string, error) {
	if len(username) > maxUsername || !PlainText(username) {
		return "", invalidInput("username: want at most %d bytes of letters, digits and punctuation", maxUsername)
	}
	name, err := precis.UsernameCaseMapped.String(username)
	if err != nil || name == "" {
		return "", invalidInput("username: want letters, digits and punctuation without spaces")
	}
	return name, nil
}

var roleForm = regexp.MustCompile(`^[a-z0-9._:-]{1,64}$`)

func validRole(role string) bool { return roleForm.MatchString(role) }

// validateRoles returns roles sorted and without duplicates.
func validateRoles(roles []string) ([]string, error) {
	roles = slices.Clone(roles)
	slices.Sort(roles)
	roles = slices.Compact(roles)
	if len(roles) > maxRoles {
		return nil, invalidInput("roles: want at most %d", maxRoles)
	}
	for _, role := range roles {
		if !validRole(role) {
			return nil, invalidInput("role %q: want 1 to 64 of a-z, 0-9, '.', '_', ':', '-'", role)
		}
	}
	return roles, nil
}

// setNames gives the user a name and an address that is not verified. A name
// with "@" must be the account's own address, or somebody could be found by
// the address of another; an empty address is taken from such a name.
func (u *User) setNames(username, email string) error {
	if strings.TrimSpace(email) == "" && strings.Contains(username, "@") {
		email = username
	}
	if err := u.setEmail(email); err != nil {
		return err
	}
	name, err := NormalizeName(username)
	if err != nil {
		return err
	}
	if strings.Contains(name, "@") && name != u.EmailName {
		return errNameAddress
	}
	if userIDForm.MatchString(name) {
		return errNameID
	}
	u.Username, u.Name = username, name
	return nil
}

var errNameID = fail(InvalidInput, "username: must not look like the id of a user")

var errNameAddress = fail(InvalidInput, "username: with \"@\" it must be the account's own address")

var errEmail = fail(InvalidInput, "email: want name@domain, without comments and quotation marks")

// bareAddress reports whether mail to the text goes to the text: in
// "x<bob@mail.example>" or "bob@mail.example(x)" it would go to another, and one
// mailbox have many names.
func bareAddress(email string) bool {
	parsed, err := mail.ParseAddress(email)
	return err == nil && parsed.Name == "" && parsed.Address == email
}

// setEmail gives the user an address that is not verified; an empty one takes
// it away.
func (u *User) setEmail(email string) error {
	email = norm.NFC.String(strings.TrimSpace(email))
	name, err := "", error(nil)
	if email != "" {
		name, err = NormalizeName(email)
	}
	if err != nil || len(email) > maxEmail || (email != "" && !bareAddress(email)) || width.Fold.String(email) != email {
		return errEmail
	}
	u.Email, u.EmailName, u.EmailVerifiedAt = email, name, time.Time{}
	return nil
}
