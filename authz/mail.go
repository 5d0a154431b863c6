package authz

import "time"

// MailKind names what a mail tells.
type MailKind string

// The kinds of mail. The first three hold a link or a code, the others only
// tell what has happened.
const (
	MailRegistration    MailKind = "registration"
	MailEmailChange     MailKind = "email_change"
	MailPasswordReset   MailKind = "password_reset"
	MailAccountExists   MailKind = "account_exists"
	MailEmailChanging   MailKind = "email_changing"
	MailEmailChanged    MailKind = "email_changed"
	MailPasswordChanged MailKind = "password_changed"
	MailAccountDeleted  MailKind = "account_deleted"
)

// Mail is a message to a user.
type Mail struct {
	Kind MailKind
	To   string
	// Username is the account's. A mail to an address that nobody has verified
	// has none: a stranger could have it say what he likes.
	Username string
	// App is the name of the client that it is about, for people.
	App string
	// Link or Code confirm; one of them is set, or none.
	Link Secret
	Code Secret
	// ExpiresIn is how long they are good.
	ExpiresIn time.Duration
}

// Mailer sends mails.
type Mailer interface {
	// Send keeps the mail for a later delivery and does not block: how long an
	// answer takes does not tell whether a mail was sent. When too many wait it
	// drops the mail and reports that.
	Send(mail Mail)
}
