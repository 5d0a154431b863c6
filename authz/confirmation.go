package authz

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// ConfirmationPurpose says what a mailed link or code confirms.
type ConfirmationPurpose string

// The purposes of confirmations.
const (
	// ConfirmRegistration makes the account that was asked for.
	ConfirmRegistration ConfirmationPurpose = "register"
	// ConfirmEmail gives an account its new address.
	ConfirmEmail ConfirmationPurpose = "email"
	// ConfirmReset lets the user set another password.
	ConfirmReset ConfirmationPurpose = "reset"
)

// Confirmation is a link or code that was mailed and is not used yet. It can be
// used once, until it expires, through the client that it was made for.
type Confirmation struct {
	// Hash is that of the token in the link. For a code it is that of the
	// request id, which the client got and the mail does not show.
	Hash Hash
	// CodeHash binds the code to the request id; zero for a link.
	CodeHash Hash
	Purpose  ConfirmationPurpose
	ClientID string
	// UserID and AuthEpoch are of the account as it was; a registration has
	// none, nor has a reset for a name that does not exist.
	UserID    string
	AuthEpoch int64
	// Username and PasswordHash are of a registration, Email of all.
	Username     string
	Email        string
	PasswordHash string
	// Attempts counts how often it was tried.
	Attempts  int
	CreatedAt time.Time
	ExpiresAt time.Time
}

// ConfirmationTry presents a confirmation for one of the purposes.
type ConfirmationTry struct {
	Hash     Hash
	ClientID string
	Purposes []ConfirmationPurpose
	// MaxAttempts bounds the tries of one confirmation.
	MaxAttempts int
	Now         time.Time
}

// EmailChange is the change that gives a user a verified address, and another
// name if the old address was the name.
type EmailChange struct {
	UserChange
	Username  string
	Name      string
	Email     string
	EmailName string
}

// ConfirmationStore keeps what was mailed. Each of the last three is one
// transaction that begins by deleting the confirmation: of several that use the
// same one, one succeeds and the others get ErrNotFound. It is there again when
// the rest of the transaction cannot be done.
type ConfirmationStore interface {
	InsertConfirmation(ctx context.Context, confirmation Confirmation) error
	// TryConfirmation counts a try in one statement and returns the
	// confirmation. ErrNotFound means that it does not exist, has expired, is of
	// another client or purpose, or was tried too often.
	TryConfirmation(ctx context.Context, try ConfirmationTry) (Confirmation, error)
	// RegisterUser stores the new user; ErrConflict means that the name or the
	// address is taken.
	RegisterUser(ctx context.Context, hash Hash, user User, event Event) error
	// ChangeEmail gives the user the address, verified, and raises the epoch:
	// nothing that was mailed to the old address is good any more. ErrConflict
	// means that the address or the name is taken, ErrNotFound also that the user's epoch
	// is another.
	ChangeEmail(ctx context.Context, hash Hash, change EmailChange) error
	// ResetPassword is SetPassword of UserStore; ErrNotFound means also that
	// the user's epoch is another.
	ResetPassword(ctx context.Context, hash Hash, change PasswordChange) error
}

// How long mailed links and codes are good.
const (
	linkTTL      = 24 * time.Hour
	resetLinkTTL = time.Hour
	codeTTL      = 15 * time.Minute
)

const (
	// maxCodeAttempts and the digits leave a stranger who holds the request id
	// one chance in ten million.
	maxCodeAttempts = 10
	// maxLinkAttempts only bounds: nobody guesses 256 bits.
	maxLinkAttempts = 1000
	codeDigits      = 8
	confirmationTag = "chct_"
	requestIDTag    = "chrq_"
)

// ConfirmationSent is what the client learns when something was mailed, or
// would have been.
type ConfirmationSent struct {
	// RequestID goes with the code in the mail; empty when it holds a link.
	RequestID Secret
	ExpiresIn time.Duration
}

// Proof is what a client presents to confirm: the token of a link, or the
// request id with the code.
type Proof struct {
	Token     Secret
	RequestID Secret
	Code      Secret
}

var (
	errProofMissing = fail(InvalidRequest, "Send either token, or request_id and code.")
	errConfirmation = fail(InvalidConfirmation, "The link or code is not valid, or no longer.")
)

// confirmable is a confirmation with the secrets that are mailed and told.
type confirmable struct {
	Confirmation
	link Secret
	code Secret
	sent ConfirmationSent
}

// newConfirmation makes a link to page or, without one, a code.
func newConfirmation(c Confirmation, page string, ttl time.Duration) confirmable {
	if page == "" {
		ttl = codeTTL
	}
	c.ExpiresAt = c.CreatedAt.Add(ttl)
	sent := ConfirmationSent{ExpiresIn: ttl}
	if page != "" {
		token := newSecret(confirmationTag)
		c.Hash = HashSecret(token)
		// A fragment reaches neither the app's server nor its logs.
		return confirmable{Confirmation: c, link: Secret(page) + "#token=" + token, sent: sent}
	}
	sent.RequestID = newSecret(requestIDTag)
	code := newCode()
	c.Hash, c.CodeHash = HashSecret(sent.RequestID), codeHash(sent.RequestID, code)
	return confirmable{Confirmation: c, code: code, sent: sent}
}

func newCode() Secret {
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(codeDigits), nil)
	n, err := rand.Int(rand.Reader, limit)
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	return Secret(fmt.Sprintf("%0*d", codeDigits, n))
}

// codeHash cannot be guessed by whoever reads the database: the request id has
// 256 bits.
func codeHash(requestID, code Secret) Hash {
	return sha256.Sum256([]byte(requestID + "\x00" + code))
}

// hash returns under which hash the confirmation is stored.
func (p Proof) hash() (Hash, error) {
	switch {
	case p.Token != "" && p.RequestID == "" && p.Code == "":
		return HashSecret(p.Token), nil
	case p.Token == "" && p.RequestID != "" && p.Code != "":
		return HashSecret(p.RequestID), nil
	}
	return Hash{}, errProofMissing
}

// fits reports whether the proof is the confirmation's: it was found by its
// hash, and a code must be right too.
func (p Proof) fits(c Confirmation) bool {
	if c.CodeHash == (Hash{}) {
		return p.Token != ""
	}
	code := strings.NewReplacer(" ", "", "-", "").Replace(p.Code.Reveal())
	return codeHash(p.RequestID, Secret(code)).equal(c.CodeHash)
}

// confirm returns the confirmation that a client proves, having counted the
// try. The error has code InvalidConfirmation.
func (a *Accounts) confirm(ctx context.Context, client Client, proof Proof, caller Caller, purposes ...ConfirmationPurpose) (Confirmation, error) {
	hash, err := proof.hash()
	if err != nil {
		return Confirmation{}, err
	}
	if err := a.Service.Throttle.take(ctx, limitConfirm.of(Network(caller.Address))); err != nil {
		return Confirmation{}, a.throttled(client, caller, err)
	}
	attempts := maxCodeAttempts
	if proof.Token != "" {
		attempts = maxLinkAttempts
	}
	c, err := a.Confirmations.TryConfirmation(ctx, ConfirmationTry{
		Hash: hash, ClientID: client.ID, Purposes: purposes, MaxAttempts: attempts, Now: a.Service.now(),
	})
	if errors.Is(err, ErrNotFound) || (err == nil && !proof.fits(c)) {
		return Confirmation{}, errConfirmation
	}
	if err != nil {
		return Confirmation{}, fmt.Errorf("confirmation: %w", err)
	}
	return c, nil
}

// used translates what the store answers when a confirmation is used.
func used(err error) error {
	switch {
	case errors.Is(err, ErrNotFound):
		return errConfirmation
	case errors.Is(err, ErrConflict):
		return &Error{Code: Conflict, Description: "The name or the address has been taken meanwhile.", Err: err}
	case err != nil:
		return fmt.Errorf("use confirmation: %w", err)
	}
	return nil
}
