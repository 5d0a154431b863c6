package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Limits of the HTTP server.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
	shutdownTimeout   = 15 * time.Second
)

// listening is a listener and what it serves.
type listening struct {
	net.Listener
	handler http.Handler
}

// listen opens the listeners of the server, or takes the one that is given for
// the public one. It says where they are unless it was given one.
func (c *command) listen(ctx context.Context, s *server, given net.Listener) ([]listening, error) {
	if given != nil {
		return []listening{{given, s.web.Handler}}, nil
	}
	var all []listening
	for _, l := range []struct {
		address, says string
		handler       http.Handler
	}{
		{s.config.Listen, "Chancery listens on %s as " + s.config.Issuer, s.web.Handler},
		{s.config.Admin.Listen, "Admins on %s", s.web.Admin},
		{s.config.Metrics.Listen, "Metrics on %s", s.metrics.Site()},
	} {
		if l.address == "" {
			continue
		}
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", l.address)
		if err != nil {
			for _, open := range all {
				_ = open.Close()
			}
			return nil, fmt.Errorf("listen: %w", err)
		}
		_, _ = fmt.Fprintf(c.stdout, l.says+"\n", listener.Addr())
		all = append(all, listening{listener, l.handler})
	}
	return all, nil
}

// serveHTTP serves until ctx ends, or one of the listeners fails, and every
// request that had begun is done.
func (s *server) serveHTTP(ctx context.Context, listeners []listening) error {
	served := make(chan error, len(listeners))
	servers := make([]*http.Server, len(listeners))
	for i, l := range listeners {
		servers[i] = &http.Server{
			Handler: l.handler, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
			IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
			ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		}
		go func() {
			if s.config.TLS.CertFile != "" {
				served <- servers[i].ServeTLS(l, s.config.TLS.CertFile, s.config.TLS.KeyFile)
			} else {
				served <- servers[i].Serve(l)
			}
		}()
	}
	var failed error
	select {
	case failed = <-served:
		failed = fmt.Errorf("serve: %w", failed)
	case <-ctx.Done():
	}
	s.log.Info("shutting down")
	s.stream.Close()
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	for _, server := range servers {
		failed = errors.Join(failed, server.Shutdown(bounded))
	}
	return failed
}
