package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"chancery/configs"
	"chancery/storage"
	"chancery/storage/migrations"
	"chancery/web"

	"github.com/spf13/cobra"
)

func (c *command) migrateCommand() *cobra.Command {
	return group("migrate", "Bring the database schema up to date", c.migrateUp(), c.migrateStatus())
}

// withDatabase runs do on a database that is not migrated.
func (c *command) withDatabase(do func(db *storage.DB) error) error {
	config, err := c.loadConfig()
	if err != nil {
		return err
	}
	db, err := openDatabase(config)
	if err != nil {
		return err
	}
	return errors.Join(do(db), db.Close())
}

func (c *command) migrateUp() *cobra.Command {
	return &cobra.Command{
		Use: "up", Short: "Apply what is missing; serve does this by itself", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(a *app) error {
				steps, err := a.db.MigrationStatus(cmd.Context())
				if err != nil {
					return err
				}
				return c.printSteps(steps)
			})
		},
	}
}

func (c *command) migrateStatus() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "List the migrations", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withDatabase(func(db *storage.DB) error {
				steps, err := db.MigrationStatus(cmd.Context())
				if err != nil {
					return err
				}
				return c.printSteps(steps)
			})
		},
	}
}

func (c *command) printSteps(steps []migrations.Step) error {
	return c.print(steps, func(out *table) {
		out.row("VERSION", "NAME", "APPLIED")
		for _, step := range steps {
			out.row(fmt.Sprint(step.Version), step.Name, timestamp(step.AppliedAt))
		}
	})
}

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

// healthTimeout bounds a health check.
const healthTimeout = 3 * time.Second

func (c *command) healthcheckCommand() *cobra.Command {
	return &cobra.Command{
		Use: "healthcheck", Short: "Ask the server on this machine whether it is ready; for containers", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := c.loadConfig()
			if err != nil {
				return err
			}
			body, err := askReady(cmd.Context(), config)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.stdout, body)
			return err
		},
	}
}

// askReady asks the server that this configuration describes for /readyz.
func askReady(ctx context.Context, config configs.Config) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	host, port, err := net.SplitHostPort(config.Listen)
	if err != nil {
		return "", err
	}
	if host == "" || net.ParseIP(host).IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "http"
	if config.TLS.CertFile != "" {
		scheme = "https"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return "", err
	}
	// The certificate names the public host, not this one; nothing secret is sent.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // see above
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("not ready: %s", body)
	}
	return string(body), nil
}

// version is set by the linker: -X main.version=v1.2.3.
var version = "devel"

// buildVersion says which build this is.
func buildVersion() web.Version {
	v := web.Version{Version: version, Go: runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Commit = s.Value
			}
		}
	}
	return v
}

func (c *command) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := buildVersion()
			return c.print(v, func(out *table) { out.row("chancery", v.Version, v.Go, v.Commit) })
		},
	}
}
