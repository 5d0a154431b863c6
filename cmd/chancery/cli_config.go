package main

import "github.com/spf13/cobra"

func (c *command) configCommand() *cobra.Command {
	check := &cobra.Command{
		Use: "check", Short: "Report everything that is wrong with the configuration", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if _, err := c.loadConfig(); err != nil {
				return err
			}
			return c.print(map[string]bool{"valid": true}, func(out *table) { out.text("the configuration is valid") })
		},
	}
	show := &cobra.Command{
		Use: "print", Short: "Print the configuration in force, secrets redacted", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			config, err := c.loadConfig()
			if err != nil {
				return err
			}
			return c.print(config.Values(), func(out *table) { out.text(config.String()) })
		},
	}
	return group("config", "Check and print the configuration", check, show)
}
