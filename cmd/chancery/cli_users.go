package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"chancery/authz"
	"chancery/web/admin"

	"github.com/spf13/cobra"
)

func (c *command) usersCommand() *cobra.Command {
	return group("users", "Create, ban and change users",
		c.usersCreate(), c.usersList(), c.usersShow(), c.usersBan(), c.usersUnban(), c.usersSetPassword(), c.usersSetRoles(), c.usersImport(), c.usersDelete())
}

// userView is a user as the command line prints it.
type userView struct{ admin.User }

func viewUser(u authz.User) userView { return userView{admin.NewUser(u)} }

func (v userView) banned() string {
	if v.BannedUntil.Equal(authz.Forever) {
		return "forever"
	}
	return timestamp(v.BannedUntil)
}

func (v userView) draw(out *table) {
	out.row("id", v.ID)
	out.row("username", v.Username)
	out.row("email", dash(v.Email))
	if v.Email != "" {
		out.row("email verified", timestamp(v.EmailVerifiedAt))
	}
	out.row("roles", list(v.Roles))
	out.row("must change password", yes(v.MustChange))
	out.row("banned until", v.banned())
	if v.BanReason != "" {
		out.row("ban reason", v.BanReason)
	}
	out.row("created", timestamp(v.CreatedAt))
}

// maxPasswordLine bounds what is read of standard input.
const maxPasswordLine = 4096

// readPassword returns the first line of standard input.
func (c *command) readPassword(fromStdin bool) (authz.Secret, error) {
	return c.readSecret(fromStdin, "password", "password-stdin")
}

// readSecret returns the first line of standard input, where the flag says that it
// is there: on the command line others could read it.
func (c *command) readSecret(fromStdin bool, name, flag string) (authz.Secret, error) {
	if !fromStdin {
		return "", usageError{fmt.Errorf("give the %s on standard input, with --%s", name, flag)}
	}
	line, err := bufio.NewReader(io.LimitReader(c.stdin, maxPasswordLine)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	return authz.Secret(strings.TrimRight(line, "\r\n")), nil
}

func (c *command) usersCreate() *cobra.Command {
	var user authz.NewUser
	var stdin bool
	cmd := &cobra.Command{
		Use: "create", Short: "Create a user; the password comes on standard input", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if user.Password, err = c.readPassword(stdin); err != nil {
				return err
			}
			return c.with(cmd.Context(), func(a *app) error {
				created, err := a.users().Create(cmd.Context(), user)
				if err != nil {
					return err
				}
				view := viewUser(created)
				return c.print(view, view.draw)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&user.Username, "username", "", "name to log in with")
	flags.StringVar(&user.Email, "email", "", "e-mail address")
	flags.BoolVar(&user.EmailVerified, "email-verified", false, "the address is known to be the user's own")
	flags.StringArrayVar(&user.Roles, "role", nil, "`role`; repeatable")
	flags.BoolVar(&user.MustChange, "must-change", false, "refuse logins until the password has been reset")
	flags.BoolVar(&stdin, "password-stdin", false, "read the password from standard input")
	return cmd
}

func (c *command) usersList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the users, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(a *app) error {
				users, err := a.users().List(cmd.Context(), authz.UserFilter{Page: authz.Page{Limit: maxListed}})
				if err != nil {
					return err
				}
				views := []userView{}
				for _, user := range users {
					views = append(views, viewUser(user))
				}
				return c.print(views, func(out *table) {
					out.row("USERNAME", "ID", "ROLES", "BANNED UNTIL", "CREATED")
					for _, v := range views {
						out.row(v.Username, v.ID, list(v.Roles), v.banned(), timestamp(v.CreatedAt))
					}
				})
			})
		},
	}
}

func (c *command) usersShow() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show a user", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(a *app) error {
				user, err := a.users().Find(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				view := viewUser(user)
				return c.print(view, view.draw)
			})
		},
	}
}

func (c *command) usersBan() *cobra.Command {
	var length time.Duration
	var forever bool
	var reason string
	cmd := &cobra.Command{
		Use: "ban NAME", Short: "Refuse a user's logins and end every session at once", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (length > 0) == forever {
				return usageError{errors.New("users ban: want --for DURATION or --forever")}
			}
			return c.with(cmd.Context(), func(a *app) error {
				until := authz.Forever
				if !forever {
					until = a.clock.Now().Add(length)
				}
				if _, err := a.users().Ban(cmd.Context(), args[0], until, reason); err != nil {
					return err
				}
				return c.done("banned", args[0])
			})
		},
	}
	flags := cmd.Flags()
	flags.DurationVar(&length, "for", 0, "ban for so long")
	flags.BoolVar(&forever, "forever", false, "ban without end")
	flags.StringVar(&reason, "reason", "", "why, for the record")
	return cmd
}

func (c *command) usersUnban() *cobra.Command {
	return &cobra.Command{
		Use: "unban NAME", Short: "Lift a ban", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(a *app) error {
				if _, err := a.users().Unban(cmd.Context(), args[0]); err != nil {
					return err
				}
				return c.done("unbanned", args[0])
			})
		},
	}
}

func (c *command) usersSetPassword() *cobra.Command {
	var stdin, mustChange bool
	cmd := &cobra.Command{
		Use: "set-password NAME", Short: "Set a user's password and end every session", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			password, err := c.readPassword(stdin)
			if err != nil {
				return err
			}
			return c.with(cmd.Context(), func(a *app) error {
				if _, err := a.users().SetPassword(cmd.Context(), args[0], password, mustChange); err != nil {
					return err
				}
				return c.done("password set for", args[0])
			})
		},
	}
	cmd.Flags().BoolVar(&stdin, "password-stdin", false, "read the password from standard input")
	cmd.Flags().BoolVar(&mustChange, "must-change", false, "refuse logins until the password has been reset")
	return cmd
}

func (c *command) usersSetRoles() *cobra.Command {
	var roles []string
	var none bool
	cmd := &cobra.Command{
		Use: "set-roles NAME", Short: "Replace a user's roles, in live sessions too", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(roles) > 0) == none {
				return usageError{errors.New("users set-roles: want --role, once for each, or --none")}
			}
			return c.with(cmd.Context(), func(a *app) error {
				if _, err := a.users().SetRoles(cmd.Context(), args[0], roles); err != nil {
					return err
				}
				return c.done("roles set for", args[0])
			})
		},
	}
	cmd.Flags().StringArrayVar(&roles, "role", nil, "`role`; repeatable")
	cmd.Flags().BoolVar(&none, "none", false, "take all roles away")
	return cmd
}

func (c *command) usersDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "End a user's sessions and delete the account", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(a *app) error {
				if _, err := a.users().Delete(cmd.Context(), args[0]); err != nil {
					return err
				}
				return c.done("deleted", args[0])
			})
		},
	}
}
