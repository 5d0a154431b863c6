package authz

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chancery/authz/password"
)

// ImportStore takes over users that another program kept.
type ImportStore interface {
	// TakenNames returns which of the normalised names belong to a user
	// already, and which of the normalised addresses a user claims.
	TakenNames(ctx context.Context, names, addresses []string) (takenNames, takenAddresses map[string]bool, err error)
	// InsertUsers stores new users and an event for each, all or none.
	// ErrConflict means that a name or verified address is taken.
	InsertUsers(ctx context.Context, users []User, events []Event) error
}

// ImportedUser is a user as another program kept it.
type ImportedUser struct {
	Username string
	Email    string
	// EmailVerified says that the other program has verified the address.
	EmailVerified bool
	// PasswordHash is of a kind that password.CheckForeign accepts. Without
	// one the user cannot log in before a password reset.
	PasswordHash Secret
	Roles        []string
	MustChange   bool
	// CreatedAt is the time of the import if zero.
	CreatedAt time.Time
}

// ImportOutcome is what becomes of one imported user.
type ImportOutcome string

// The outcomes of an import.
const (
	// ImportCreated: the user is stored, or would be.
	ImportCreated ImportOutcome = "created"
	// ImportExists: a user of that name exists, and stays as it is.
	ImportExists ImportOutcome = "exists"
	// ImportRefused: the line cannot become a user.
	ImportRefused ImportOutcome = "refused"
)

// ImportResult is the outcome for one user, with the reason of a refusal.
type ImportResult struct {
	Outcome ImportOutcome
	Reason  string
}

// Importer takes over users in batches. It never changes one that exists, so
// that an import can be repeated. It serves one import at a time.
type Importer struct {
	Store ImportStore
	Now   func() time.Time
	Actor string
	// DryRun decides everything and stores nothing.
	DryRun bool
	// What a dry run would have stored.
	plannedNames, plannedAddresses map[string]bool
}

// maxImportTries bounds how often a batch is decided anew because another
// process took a name of it meanwhile.
const maxImportTries = 3

// Import stores the users of a batch that are new, in one transaction, and
// returns the outcome of each. The error is what the store answered; nothing
// of the batch is stored then.
func (i *Importer) Import(ctx context.Context, batch []ImportedUser) ([]ImportResult, error) {
	for try := 1; ; try++ {
		results, users, events, err := i.plan(ctx, batch)
		if err != nil {
			return nil, err
		}
		if i.DryRun {
			i.remember(users)
			return results, nil
		}
		err = i.Store.InsertUsers(ctx, users, events)
		if err == nil {
			return results, nil
		}
		if !errors.Is(err, ErrConflict) || try == maxImportTries {
			return nil, fmt.Errorf("import users: %w", err)
		}
	}
}

// plan decides what becomes of each user of a batch.
func (i *Importer) plan(ctx context.Context, batch []ImportedUser) ([]ImportResult, []User, []Event, error) {
	now := kept(i.Now)
	results, users := make([]ImportResult, len(batch)), make([]User, len(batch))
	var names, addresses []string
	for n, line := range batch {
		user, err := line.user(now)
		if err != nil {
			results[n] = ImportResult{Outcome: ImportRefused, Reason: reason(err)}
			continue
		}
		users[n] = user
		names = append(names, user.Name)
		if user.ClaimsAddress() {
			addresses = append(addresses, user.EmailName)
		}
	}
	takenNames, takenAddresses, err := i.Store.TakenNames(ctx, names, addresses)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("import users: %w", err)
	}
	var created []User
	var events []Event
	for n, user := range users {
		if results[n].Outcome != "" {
			continue
		}
		results[n] = i.decide(user, takenNames, takenAddresses)
		if results[n].Outcome != ImportCreated {
			continue
		}
		takenNames[user.Name] = true
		if user.ClaimsAddress() {
			takenAddresses[user.EmailName] = true
		}
		event := NewEvent(EventUserCreated, now)
		event.UserID, event.Actor, event.Detail = user.ID, i.Actor, "imported"
		created, events = append(created, user), append(events, event)
	}
	return results, created, events, nil
}

func (i *Importer) decide(user User, takenNames, takenAddresses map[string]bool) ImportResult {
	switch {
	case takenNames[user.Name], i.plannedNames[user.Name]:
		return ImportResult{Outcome: ImportExists}
	case user.ClaimsAddress() && (takenAddresses[user.EmailName] || i.plannedAddresses[user.EmailName]):
		return ImportResult{Outcome: ImportRefused, Reason: fmt.Sprintf("email %q is the address of another user", user.Email)}
	}
	return ImportResult{Outcome: ImportCreated}
}

// remember keeps what a dry run would have stored.
func (i *Importer) remember(users []User) {
	if i.plannedNames == nil {
		i.plannedNames, i.plannedAddresses = map[string]bool{}, map[string]bool{}
	}
	for _, user := range users {
		i.plannedNames[user.Name] = true
		if user.ClaimsAddress() {
			i.plannedAddresses[user.EmailName] = true
		}
	}
}

// user validates one line.
func (u ImportedUser) user(now time.Time) (User, error) {
	user := User{
		ID: newUserID(), PasswordHash: u.PasswordHash.Reveal(), MustChange: u.MustChange, AuthEpoch: 1, CreatedAt: now, UpdatedAt: now,
	}
	if err := user.setNames(u.Username, u.Email); err != nil {
		return User{}, err
	}
	var err error
	if !u.CreatedAt.IsZero() && u.CreatedAt.Before(now) {
		user.CreatedAt = u.CreatedAt.UTC().Truncate(time.Millisecond)
	}
	if user.Roles, err = validateRoles(u.Roles); err != nil {
		return User{}, err
	}
	if u.EmailVerified {
		if user.Email == "" {
			return User{}, invalidInput("email_verified: there is no email")
		}
		user.EmailVerifiedAt = now
	}
	if user.PasswordHash != "" {
		if err := password.CheckForeign(user.PasswordHash); err != nil {
			return User{}, invalidInput("password_hash: %v", err)
		}
	}
	return user, nil
}

// reason returns the description of an expected failure.
func reason(err error) string {
	var expected *Error
	if errors.As(err, &expected) {
		return expected.Description
	}
	return err.Error()
}
