package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// Intervals of the loops.
const (
	keyInterval      = time.Minute
	clockInterval    = time.Minute
	purgeInterval    = 5 * time.Minute
	activityInterval = 10 * time.Second
	sampleInterval   = time.Minute
	logoutInterval   = time.Second
)

func (c *command) serveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "serve", Short: "Run the server", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(a *app) error {
				if err := a.prepare(cmd.Context()); err != nil {
					return err
				}
				if err := c.firstStart(cmd.Context(), a); err != nil {
					return err
				}
				return c.serve(cmd.Context(), a, nil)
			})
		},
	}
}

// serve runs the prepared server until ctx ends: it stops accepting, lets
// requests end, and then stops the loops. Without a listener it makes those
// that are configured, and says where they are.
func (c *command) serve(ctx context.Context, a *app, listener net.Listener) error {
	s, err := a.newServer(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	listeners, err := c.listen(ctx, s, listener)
	if err != nil {
		return err
	}
	// The loops outlive the requests, which may still need them.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	loops := s.run(background)
	err = s.serveHTTP(ctx, listeners)
	stop()
	return errors.Join(err, loops.Wait())
}

// run starts what works beside the requests, until ctx ends.
func (s *server) run(ctx context.Context) *errgroup.Group {
	loops, ctx := errgroup.WithContext(ctx)
	loops.Go(func() error { return s.events.Run(ctx) })
	loops.Go(func() error { return s.watcher.Run(ctx) })
	loops.Go(func() error { return s.statuses.Run(ctx) })
	if s.mails != nil {
		loops.Go(func() error { return s.mails.Run(ctx) })
	}
	for _, work := range []struct {
		name     string
		interval time.Duration
		do       func(context.Context) error
	}{
		{"key rotation", keyInterval, s.rotator.Tick},
		{"clock sync", clockInterval, s.clock.Sync},
		{"purge", purgeInterval, s.purge},
		{"activity", activityInterval, s.activity.Flush},
		{"logout tokens", logoutInterval, s.tellClients},
		{"count of sessions", sampleInterval, s.activity.Sample},
	} {
		loops.Go(func() error { return s.every(ctx, work.interval, work.name, work.do) })
	}
	// What was counted since the last time is stored at the end too.
	loops.Go(func() error {
		<-ctx.Done()
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), workTimeout)
		defer cancel()
		if err := s.activity.Flush(bounded); err != nil {
			s.log.Warn("the last figures are not stored", "error", err)
		}
		return nil
	})
	return loops
}

// prepare makes what a server needs before its first request.
func (a *app) prepare(ctx context.Context) error {
	if err := a.rotator.Tick(ctx); err != nil {
		return fmt.Errorf("signing keys: %w", err)
	}
	if a.config.AdminExposed() {
		a.log.Warn("the admin API and the console share a public listener; admin.listen gives them one of their own", "listen", a.config.Listen)
	}
	durable, err := a.db.Durable(ctx)
	if err != nil {
		return err
	}
	if !durable {
		a.log.Warn("synchronous_commit is off: a crash of Postgres can lose revocations and rotations that were acknowledged")
	}
	return nil
}

// tellClients sends the logout tokens that are due.
func (s *server) tellClients(ctx context.Context) error {
	for {
		n, err := s.logouts.Tick(ctx)
		if err != nil || n == 0 {
			return err
		}
	}
}

// purge deletes what is over, if this node holds the lease.
func (a *app) purge(ctx context.Context) error {
	n, err := a.purger.Tick(ctx)
	if n > 0 {
		a.log.Info("expired rows deleted", "rows", n)
	}
	return err
}
