package main

import (
	"errors"
	"fmt"
	"time"

	"chancery/authz"
	"chancery/keys"
	"chancery/web/admin"

	"github.com/spf13/cobra"
)

func (c *command) keysCommand() *cobra.Command {
	return group("keys", "Show and rotate the signing keys", c.keysList(), c.keysRotate(), c.keysCompromise())
}

// keysView is the answer of keys list.
type keysView struct {
	Keys   []admin.Key `json:"keys"`
	Master *masterView `json:"master_key,omitempty"`
}

// masterView says which master key is first of the list, and when one that
// came before it may be dropped.
type masterView struct {
	Fingerprint    string    `json:"fingerprint"`
	FirstSince     time.Time `json:"first_since"`
	DropOlderAfter time.Time `json:"drop_older_after"`
}

func (c *command) keysList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the signing keys, and say when an old master key may be dropped", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(a *app) error {
				ctx := cmd.Context()
				set, err := a.rotator.Keys(ctx)
				if err != nil {
					return err
				}
				view := keysView{Keys: []admin.Key{}}
				if set.MasterFingerprint != "" {
					longest, err := a.clients().LongestIdleTTL(ctx)
					if err != nil {
						return err
					}
					view.Master = &masterView{
						Fingerprint: set.MasterFingerprint, FirstSince: set.MasterSince, DropOlderAfter: set.MasterSince.Add(longest),
					}
				}
				shown, err := a.signingKeys().Keys(ctx)
				if err != nil {
					return err
				}
				for _, k := range shown {
					view.Keys = append(view.Keys, admin.NewKey(k))
				}
				return c.print(view, view.draw)
			})
		},
	}
}

func (v keysView) draw(out *table) {
	out.row("KID", "ALG", "STATE", "SIGNS FROM", "RETIRES", "LEAVES JWKS")
	for _, k := range v.Keys {
		out.row(k.ID, k.Algorithm, k.State, timestamp(k.ActivateAt), timestamp(k.RetireAt), timestamp(k.RemoveAt))
	}
	if v.Master == nil {
		out.text("")
		out.text("No server has started on this database yet.")
		return
	}
	out.text("")
	out.text(fmt.Sprintf("master key %s is first since %s; every key is sealed under it.", v.Master.Fingerprint, timestamp(v.Master.FirstSince)))
	out.text(fmt.Sprintf("An older master key may be dropped after %s, when no refresh token of its time is alive.", timestamp(v.Master.DropOlderAfter)))
}

func (c *command) keysRotate() *cobra.Command {
	var algorithm string
	cmd := &cobra.Command{
		Use: "rotate", Short: "Publish a new key that signs after the publish-ahead time", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !keys.Algorithm(algorithm).Valid() {
				return usageError{fmt.Errorf("--alg %q: want RS256, EdDSA or ES256", algorithm)}
			}
			return c.with(cmd.Context(), func(a *app) error {
				key, err := a.signingKeys().Rotate(cmd.Context(), algorithm, authz.Administrator{Actor: a.actor})
				if err != nil {
					return err
				}
				view := admin.NewKey(key)
				return c.print(view, func(out *table) {
					out.text(fmt.Sprintf("%s key %s is published and signs from %s", view.Algorithm, view.ID, timestamp(view.ActivateAt)))
				})
			})
		},
	}
	cmd.Flags().StringVar(&algorithm, "alg", "", "RS256, EdDSA or ES256")
	return cmd
}

func (c *command) keysCompromise() *cobra.Command {
	var sure, all bool
	cmd := &cobra.Command{
		Use: "compromise [KID | --all]", Short: "Take a key out of the JWKS at once and let another sign", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == all {
				return usageError{errors.New("keys compromise: want a KID or --all")}
			}
			if !sure {
				return usageError{errors.New("keys compromise: every token that the key signed is refused once verifiers have fetched the JWKS again; say --yes")}
			}
			return c.with(cmd.Context(), func(a *app) error {
				if all {
					if err := a.rotator.CompromiseAll(cmd.Context(), keys.Actor{ID: a.actor}); err != nil {
						return err
					}
					return c.done("compromised", "all keys; new ones sign from now on")
				}
				replacement, err := a.signingKeys().Compromise(cmd.Context(), args[0], authz.Administrator{Actor: a.actor})
				if err != nil {
					return err
				}
				answer := map[string]string{"compromised": args[0], "replacement": replacement.ID}
				return c.print(answer, func(out *table) {
					out.text("compromised " + args[0])
					if replacement.ID != "" {
						out.text(fmt.Sprintf("%s signs from %s", replacement.ID, timestamp(replacement.ActivateAt)))
					}
				})
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "every key there is, also when the master key that sealed them is lost")
	cmd.Flags().BoolVar(&sure, "yes", false, "yes, refuse every token of this key")
	return cmd
}
