package main

import (
	"cmp"
	"errors"
	"fmt"

	"chancery/authz"
	"chancery/web/admin"

	"github.com/spf13/cobra"
)

func (c *command) sessionsCommand() *cobra.Command {
	return group("sessions", "List and revoke sessions", c.sessionsList(), c.sessionsRevoke())
}

func (c *command) sessionsList() *cobra.Command {
	var username, clientID string
	var all bool
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List sessions, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(a *app) error {
				filter := authz.SessionFilter{ClientID: clientID, Live: !all, Page: authz.Page{Limit: min(max(limit, 1), maxListed)}}
				if username != "" {
					user, err := a.users().Find(cmd.Context(), username)
					if err != nil {
						return err
					}
					filter.UserID = user.ID
				}
				families, err := a.sessions.List(cmd.Context(), filter)
				if err != nil {
					return err
				}
				names, err := a.users().OfSessions(cmd.Context(), families)
				if err != nil {
					return err
				}
				views := []admin.Session{}
				for _, family := range families {
					views = append(views, admin.NewSession(family, names[family.UserID], a.clock.Now()))
				}
				return c.print(views, func(out *table) {
					out.row("SID", "STATE", "CAUSE", "USER", "CLIENT", "ADDRESS", "LAST USED", "CREATED")
					for _, v := range views {
						out.row(v.ID, v.State, dash(v.Cause), cmp.Or(v.Username, v.UserID), v.ClientID, dash(v.Address), timestamp(v.LastUsedAt), timestamp(v.CreatedAt))
					}
				})
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&username, "user", "", "only those of this user, by `name`")
	flags.StringVar(&clientID, "client", "", "only those of this client, by `id`")
	flags.BoolVar(&all, "all", false, "also those that have ended")
	flags.IntVar(&limit, "limit", 100, "at most so many")
	return cmd
}

func (c *command) sessionsRevoke() *cobra.Command {
	var username, clientID string
	var all bool
	cmd := &cobra.Command{
		Use: "revoke [ID | --user NAME | --client ID | --all]", Short: "End sessions",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var sessionID string
			if len(args) == 1 {
				sessionID = args[0]
			}
			given := 0
			for _, selects := range []bool{sessionID != "", username != "", clientID != "", all} {
				if selects {
					given++
				}
			}
			if given != 1 {
				return usageError{errors.New("sessions revoke: want a session ID, --user NAME, --client ID or --all")}
			}
			return c.with(cmd.Context(), func(a *app) error {
				ending := authz.Ending{SessionID: sessionID, ClientID: clientID, All: all, Cause: authz.CauseAdmin, Actor: a.actor}
				if username != "" {
					user, err := a.users().Find(cmd.Context(), username)
					if err != nil {
						return err
					}
					ending.UserID = user.ID
				}
				if clientID != "" {
					if _, err := a.clients().Find(cmd.Context(), clientID); err != nil {
						return err
					}
				}
				n, err := a.sessions.End(cmd.Context(), ending)
				if err != nil {
					return err
				}
				if n == 0 && ending.SessionID != "" {
					return fmt.Errorf("there is no live session %q", ending.SessionID)
				}
				return c.print(map[string]int{"revoked": n}, func(out *table) { out.text(fmt.Sprintf("revoked %d", n)) })
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&username, "user", "", "every session of this user, by `name`")
	flags.StringVar(&clientID, "client", "", "every session of this client, by `id`")
	flags.BoolVar(&all, "all", false, "every session there is")
	return cmd
}
