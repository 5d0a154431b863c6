package admin

import (
	"context"
	"net/http"
	"time"

	"chancery/authz"
)

// User is an account as admins see it.
type User struct {
	ID       string `json:"id" example:"usr_5b0c1fd1-6f2a-4f0e-9a51-0f1e64f5ce0e"`
	Username string `json:"username" example:"alice"`
	Email    string `json:"email,omitempty" example:"alice@mail.example"`
	// EmailVerifiedAt is absent for an address that nobody has verified.
	EmailVerifiedAt time.Time `json:"email_verified_at,omitzero"`
	Roles           []string  `json:"roles" example:"[\"editor\"]"`
	MustChange      bool      `json:"must_change" doc:"Logins are refused until the password has been reset."`
	SelfRegistered  bool      `json:"self_registered" doc:"Nobody but the user chose the name."`
	BannedUntil     time.Time `json:"banned_until,omitzero" doc:"The end of the year 9999 for a ban without end."`
	BanReason       string    `json:"ban_reason,omitempty" example:"spam"`
	DisabledAt      time.Time `json:"disabled_at,omitzero"`
	CreatedAt       time.Time `json:"created_at"`
	UpdatedAt       time.Time `json:"updated_at"`
}

// NewUser returns the user as admins see it.
func NewUser(u authz.User) User {
	return User{
		ID: u.ID, Username: u.Username, Email: u.Email, EmailVerifiedAt: u.EmailVerifiedAt,
		Roles: list(u.Roles), MustChange: u.MustChange, SelfRegistered: u.SelfRegistered, BannedUntil: u.BannedUntil, BanReason: u.BanReason,
		DisabledAt: u.DisabledAt, CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt,
	}
}

// UserPath names a user. A username would do for the rules; a path names what
// does not change hands.
type UserPath struct {
	UserID string `path:"user_id" maxLength:"64" pattern:"^usr_[0-9a-f-]+$" patternDescription:"the id of a user" example:"usr_5b0c1fd1-6f2a-4f0e-9a51-0f1e64f5ce0e"`
}

// userOutput is one user.
type userOutput struct {
	Versioned
	Location string `header:"Location"`
	Body     User
}

func newUserOutput(u authz.User) *userOutput {
	return &userOutput{Versioned: Versioned{timeTag(u.UpdatedAt)}, Body: NewUser(u)}
}

// UserChange is a change of one user.
type UserChange struct {
	UserPath
	IfMatch
}

// users returns the users for a change of one, with its precondition.
func (e *Endpoints) users(ctx context.Context, admin authz.Administrator, in UserChange) (*authz.Users, error) {
	users := e.Administration.UsersBy(admin)
	if !in.named() {
		return users, nil
	}
	user, err := users.Find(ctx, in.UserID)
	if err != nil {
		return nil, err
	}
	if err := in.check(timeTag(user.UpdatedAt)); err != nil {
		return nil, err
	}
	return users.If(user.UpdatedAt), nil
}

const usersTag = "Users"

func (e *Endpoints) mountUsers() {
	register(e, operation{
		id: "listUsers", method: http.MethodGet, path: "/users", tag: usersTag, summary: "List or find users",
		description: "All users from the newest to the oldest; or, by how the username or the address begins, in the order of these.",
	}, e.listUsers)
	register(e, operation{
		id: "createUser", method: http.MethodPost, path: "/users", tag: usersTag, status: http.StatusCreated, errors: []int{http.StatusConflict},
		summary: "Create a user", description: "The password must be changed before the first login unless must_change is false.",
	}, e.createUser)
	register(e, operation{id: "getUser", method: http.MethodGet, path: "/users/{user_id}", tag: usersTag, summary: "Show a user", errors: []int{http.StatusNotFound}},
		func(ctx context.Context, _ authz.Administrator, in *UserPath) (*userOutput, error) {
			user, err := e.Administration.Users.Find(ctx, in.UserID)
			if err != nil {
				return nil, err
			}
			return newUserOutput(user), nil
		})
	e.mountUserChanges()
}

// mountUserChanges adds what is done to one user.
func (e *Endpoints) mountUserChanges() {
	change := func(id, method, path, summary, description string) operation {
		return operation{
			id: id, method: method, path: "/users/{user_id}" + path, tag: usersTag, summary: summary, description: description,
			errors: []int{http.StatusNotFound, http.StatusPreconditionFailed},
		}
	}
	register(e, change("setUserRoles", http.MethodPut, "/roles", "Replace a user's roles", "Live sessions get them with their next access token."), e.setRoles)
	register(e, change("banUser", http.MethodPost, "/ban", "Ban a user", "Logins are refused, and every session ends at once."), e.ban)
	type input struct{ UserChange }
	register(e, change("unbanUser", http.MethodPost, "/unban", "Lift a ban", "Sessions that it ended stay ended."),
		func(ctx context.Context, admin authz.Administrator, in *input) (*userOutput, error) {
			users, err := e.users(ctx, admin, in.UserChange)
			if err != nil {
				return nil, err
			}
			user, err := users.Unban(ctx, in.UserID)
			if err != nil {
				return nil, err
			}
			return newUserOutput(user), nil
		})
	register(e, change("setUserPassword", http.MethodPut, "/password", "Set a user's password", "Every session ends."), e.setPassword)
	remove := change("deleteUser", http.MethodDelete, "", "Delete a user", "Every session ends first. The id is never given again.")
	remove.status = http.StatusNoContent
	register(e, remove, func(ctx context.Context, admin authz.Administrator, in *input) (*none, error) {
		users, err := e.users(ctx, admin, in.UserChange)
		if err != nil {
			return nil, err
		}
		_, err = users.Delete(ctx, in.UserID)
		return nil, err
	})
	register(e, change("revokeUserSessions", http.MethodPost, "/revoke-sessions", "End every session of a user", "In the console too."),
		func(ctx context.Context, admin authz.Administrator, in *UserPath) (*revokedOutput, error) {
			if _, err := e.Administration.Users.Find(ctx, in.UserID); err != nil {
				return nil, err
			}
			return e.revoke(ctx, admin, authz.Ending{UserID: in.UserID})
		})
}

type listUsersInput struct {
	PageQuery
	Username string `query:"username" maxLength:"256" doc:"How the username begins." example:"al"`
	Email    string `query:"email" maxLength:"254" doc:"How the address begins." example:"alice@"`
}

var errOneSearch = &authz.Error{Code: authz.InvalidInput, Description: "Search by username or by email, not both."}

func (e *Endpoints) listUsers(ctx context.Context, _ authz.Administrator, in *listUsersInput) (*pageOutput[User], error) {
	if in.Username != "" && in.Email != "" {
		return nil, errOneSearch
	}
	place, err := in.place()
	if err != nil {
		return nil, err
	}
	place.Limit++
	filter := authz.UserFilter{Name: in.Username, Email: in.Email, Page: place}
	users, err := e.Administration.Users.List(ctx, filter)
	if err != nil {
		return nil, err
	}
	return paged(users, in.Limit, NewUser, func(u authz.User) authz.Page { return filter.Next(u).Page }), nil
}

type createUserInput struct {
	Body struct {
		Username      string   `json:"username" maxLength:"256" example:"alice"`
		Email         string   `json:"email,omitempty" maxLength:"254" example:"alice@mail.example"`
		EmailVerified bool     `json:"email_verified,omitempty" doc:"The address is known to be the user's own." example:"true"`
		Password      string   `json:"password" maxLength:"4096" writeOnly:"true" example:"a long pass phrase"`
		Roles         []string `json:"roles,omitempty" maxItems:"32" example:"[\"editor\"]"`
		MustChange    *bool    `json:"must_change,omitempty" default:"true" doc:"Refuse logins until the password has been reset." example:"false"`
	}
}

func (e *Endpoints) createUser(ctx context.Context, admin authz.Administrator, in *createUserInput) (*userOutput, error) {
	user, err := e.Administration.UsersBy(admin).Create(ctx, authz.NewUser{
		Username: in.Body.Username, Email: in.Body.Email, EmailVerified: in.Body.EmailVerified, Password: authz.Secret(in.Body.Password),
		Roles: in.Body.Roles, MustChange: *in.Body.MustChange,
	})
	if err != nil {
		return nil, err
	}
	out := newUserOutput(user)
	out.Location = e.Issuer + "/admin/v1/users/" + user.ID
	return out, nil
}

type setRolesInput struct {
	UserChange
	Body struct {
		Roles []string `json:"roles" maxItems:"32" example:"[\"editor\", \"reader\"]"`
	}
}

func (e *Endpoints) setRoles(ctx context.Context, admin authz.Administrator, in *setRolesInput) (*userOutput, error) {
	users, err := e.users(ctx, admin, in.UserChange)
	if err != nil {
		return nil, err
	}
	user, err := users.SetRoles(ctx, in.UserID, in.Body.Roles)
	if err != nil {
		return nil, err
	}
	return newUserOutput(user), nil
}

type banInput struct {
	UserChange
	Body struct {
		Duration string `json:"duration,omitempty" maxLength:"40" doc:"How long, such as 24h; without end if absent." example:"24h"`
		Reason   string `json:"reason,omitempty" maxLength:"500" doc:"Why, for the record." example:"spam"`
	}
}

func (e *Endpoints) ban(ctx context.Context, admin authz.Administrator, in *banInput) (*userOutput, error) {
	users, err := e.users(ctx, admin, in.UserChange)
	if err != nil {
		return nil, err
	}
	length, err := authz.ParseDuration("duration", in.Body.Duration)
	if err != nil {
		return nil, err
	}
	until := authz.Forever
	if length != nil {
		until = e.Administration.Now().Add(*length)
	}
	user, err := users.Ban(ctx, in.UserID, until, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return newUserOutput(user), nil
}

type setPasswordInput struct {
	UserChange
	Body struct {
		Password   string `json:"password" maxLength:"4096" writeOnly:"true" example:"another long pass phrase"`
		MustChange *bool  `json:"must_change,omitempty" default:"true" doc:"Refuse logins until the password has been reset." example:"false"`
	}
}

func (e *Endpoints) setPassword(ctx context.Context, admin authz.Administrator, in *setPasswordInput) (*userOutput, error) {
	users, err := e.users(ctx, admin, in.UserChange)
	if err != nil {
		return nil, err
	}
	user, err := users.SetPassword(ctx, in.UserID, authz.Secret(in.Body.Password), *in.Body.MustChange)
	if err != nil {
		return nil, err
	}
	return newUserOutput(user), nil
}
