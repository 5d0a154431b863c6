package authz

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// UserFilter selects users for a list. Without Name and Email it is all of
// them, from the newest to the oldest.
type UserFilter struct {
	// Name is how the normalised name begins; the list is in the order of the
	// names, compared byte by byte, and goes on after the name Page.AfterID.
	Name string
	// Email is how the normalised address begins, if Name is empty; the list is
	// in the order of addresses and ids, and goes on after "address id" in
	// Page.AfterID.
	Email string
	Page  Page
}

// Next returns the filter of the page after the user.
func (f UserFilter) Next(last User) UserFilter {
	switch {
	case f.Name != "":
		f.Page.AfterID = last.Name
	case f.Email != "":
		f.Page.AfterID = last.EmailName + " " + last.ID
	default:
		f.Page.After, f.Page.AfterID = last.CreatedAt, last.ID
	}
	return f
}

// List returns the users that filter selects; Name and Email are as somebody
// typed them. The error has code InvalidInput.
func (u *Users) List(ctx context.Context, filter UserFilter) ([]User, error) {
	var err error
	for _, text := range []*string{&filter.Name, &filter.Email} {
		if *text == "" {
			continue
		}
		if *text, err = NormalizeName(strings.TrimSpace(*text)); err != nil {
			return nil, err
		}
	}
	users, err := u.Reader.ListUsers(ctx, filter)
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	return users, nil
}

// nameBatch is how many users are asked for in one statement.
const nameBatch = 500

// OfSessions returns the usernames of those who have the sessions.
func (u *Users) OfSessions(ctx context.Context, families []Family) (map[string]string, error) {
	names := map[string]string{}
	for batch := range slices.Chunk(families, nameBatch) {
		ids := make([]string, len(batch))
		for i, f := range batch {
			ids[i] = f.UserID
		}
		some, err := u.Names(ctx, ids)
		if err != nil {
			return nil, err
		}
		maps.Copy(names, some)
	}
	return names, nil
}

// Names returns the usernames of those of the ids that are users.
func (u *Users) Names(ctx context.Context, ids []string) (map[string]string, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	names, err := u.Reader.UserNames(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("user names: %w", err)
	}
	return names, nil
}
