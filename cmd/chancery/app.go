package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"chancery/authz"
	"chancery/authz/password"
	"chancery/cmd/chancery/internal/telemetry"
	"chancery/configs"
	"chancery/keys"
	"chancery/storage"

	"go.opentelemetry.io/otel/trace"
)

// app is an open database with everything that works on it. Both the server
// and the administering commands are made of one.
type app struct {
	config   configs.Config
	log      *slog.Logger
	db       *storage.DB
	clock    *clock
	master   keys.MasterKeys
	settings authz.Settings
	hasher   *password.Hasher
	policy   *password.Policy
	watcher  *storage.Watcher
	registry *authz.Registry
	indexes  *authz.Indexes
	sessions *authz.Sessions
	rotator  *keys.Rotator
	statuses *authz.StatusLists
	tracing  telemetry.Tracing
	purger   *authz.Purger
	actor    string
}

// actorCLI is stored as the actor of what is done on the command line.
const actorCLI = "cli"

// open reads the configuration, opens and migrates the database. The caller
// closes the app.
func (c *command) open(ctx context.Context) (*app, error) {
	config, err := c.loadConfig()
	if err != nil {
		return nil, err
	}
	return c.openWith(ctx, config)
}

// openWith is open with a configuration that is known.
func (c *command) openWith(ctx context.Context, config configs.Config) (*app, error) {
	tracing, err := newTracing(ctx, config)
	if err != nil {
		return nil, err
	}
	db, err := openDatabase(config, tracing.Provider())
	if err != nil {
		return nil, err
	}
	a := &app{config: config, log: c.logger(config), db: db, tracing: tracing, actor: actorCLI}
	if _, err = db.Migrate(ctx); err == nil {
		err = a.wire(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return a, nil
}

// newTracing returns tracing, which is off unless there is an endpoint.
func newTracing(ctx context.Context, config configs.Config) (telemetry.Tracing, error) {
	if config.Tracing.Endpoint == "" {
		return telemetry.Tracing{}, nil
	}
	return telemetry.NewTracing(ctx, config.Tracing.Endpoint, config.Tracing.SamplePercent, buildVersion().Version)
}

// close ends tracing and closes the database.
func (a *app) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), workTimeout)
	defer cancel()
	if err := a.tracing.Close(ctx); err != nil {
		a.log.Warn("the last traces are lost", "error", err)
	}
	return a.db.Close()
}

// with runs do on an open app and closes it.
func (c *command) with(ctx context.Context, do func(a *app) error) error {
	a, err := c.open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(do(a), a.close())
}

// openDatabase opens the configured database, and makes the directory of one
// that is a file.
func openDatabase(config configs.Config, tracer trace.TracerProvider) (*storage.DB, error) {
	if config.Embedded() {
		if err := os.MkdirAll(config.DataDir, 0o700); err != nil {
			return nil, fmt.Errorf("data_dir: %w", err)
		}
	}
	db, err := storage.Open(storage.Options{URL: config.Database(), DirectURL: config.DatabaseDirectURL, Tracer: tracer})
	if errors.Is(err, storage.ErrAddress) {
		return nil, fmt.Errorf("database_url is %w", err)
	}
	return db, err
}

// wire makes everything that works on the database.
func (a *app) wire(ctx context.Context) error {
	var err error
	if a.clock, err = newClock(ctx, a.db); err != nil {
		return err
	}
	if a.master, err = a.masterKeys(ctx); err != nil {
		return err
	}
	if err := a.wirePasswords(); err != nil {
		return err
	}
	r := a.config.Refresh
	a.settings = authz.Settings{
		Issuer: a.config.Issuer, AccessTokenTTL: a.config.AccessTokenTTL, PasswordGrant: a.config.PasswordGrant.Enabled,
		MaxSessions: a.config.Sessions.MaxPerUser,
		Refresh: authz.RefreshPolicy{
			IdleTTL: r.IdleTTL, AbsoluteTTL: r.AbsoluteTTL, Leeway: r.Leeway,
			LostResponseWindow: r.LostResponseWindow, LostResponseBudget: r.LostResponseBudget,
		},
	}
	a.watcher = storage.NewWatcher(a.db, a.log, time.Now)
	a.registry = authz.NewRegistry(a.config.Issuer, a.db, a.watcher.Fresh)
	a.indexes = authz.NewIndexes(a.db, a.clock.Now)
	a.sessions = &authz.Sessions{Store: a.db, Now: a.clock.Now}
	a.purger = &authz.Purger{Store: a.db, Now: a.clock.Now, Holder: rand.Text(), EventRetention: a.config.Events.Retention}
	return a.wireKeys()
}

func (a *app) wirePasswords() (err error) {
	c := a.config.Password
	params := password.Params{MemoryKiB: uint32(c.MemoryKiB), Iterations: c.Iterations, Parallelism: c.Parallelism}
	if a.hasher, err = password.New(params, password.Limits{Concurrent: c.Concurrent, Waiting: c.Waiting}); err != nil {
		return err
	}
	var more io.Reader
	if c.BlocklistFile != "" {
		file, err := os.Open(c.BlocklistFile)
		if err != nil {
			return fmt.Errorf("password.blocklist_file: %w", err)
		}
		defer func() { _ = file.Close() }()
		more = file
	}
	issuer, err := url.Parse(a.config.Issuer)
	if err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	if a.policy, err = password.NewPolicy(c.MinLength, []string{issuer.Hostname(), "chancery"}, more); err != nil {
		return fmt.Errorf("password.blocklist_file: %w", err)
	}
	return nil
}

func (a *app) wireKeys() error {
	sealer, err := keys.NewSealer(a.master)
	if err != nil {
		return err
	}
	a.rotator = &keys.Rotator{
		Store: a.db, Sealer: sealer, Now: a.clock.Now,
		Ring:   keys.NewRing(a.clock.Now, a.config.Keys.PublishAhead),
		Policy: a.keyPolicy,
	}
	lists := authz.StatusSettings{Issuer: a.config.Issuer, TTL: a.config.Status.TTL, Exp: a.config.Status.Exp}
	a.statuses = authz.NewStatusLists(lists, a.db, a.rotator.Ring, a.clock.Now)
	return nil
}

// keyPolicy derives the times of keys from the configuration and the longest
// lifetime that anything has which they sign.
func (a *app) keyPolicy(ctx context.Context) (keys.Policy, error) {
	longest, err := a.registry.LongestTokenTTL(ctx, a.config.AccessTokenTTL)
	return keys.Policy{
		RotationPeriod: a.config.Keys.RotationPeriod, PublishAhead: a.config.Keys.PublishAhead,
		Margin: a.config.KeyMargin(), MaxTokenTTL: max(longest, a.config.Status.Exp),
	}, err
}

// refreshTokens derives the MAC keys of refresh tokens.
func (a *app) refreshTokens() (*authz.RefreshTokens, error) {
	derived, err := a.master.Derive(keys.PurposeRefreshMAC, a.config.Issuer)
	if err != nil {
		return nil, err
	}
	macKeys := make([]authz.MACKey, len(derived))
	for i, key := range derived {
		macKeys[i] = authz.MACKey{ID: key.ID, Secret: key.Secret}
	}
	return authz.NewRefreshTokens(macKeys)
}

// masterKeyFile is the name of the master key in the data directory.
const masterKeyFile = "master.key"

// masterKeys returns the configured master keys or, with SQLite, those of the
// data directory, where one is made when there is none.
func (a *app) masterKeys(ctx context.Context) (keys.MasterKeys, error) {
	if a.config.MasterKey != "" {
		return keys.ParseMasterKeys(a.config.MasterKey)
	}
	path := filepath.Join(a.config.DataDir, masterKeyFile)
	text, err := os.ReadFile(path) //nolint:gosec // in the operator's own data directory
	if errors.Is(err, os.ErrNotExist) {
		if set, loadErr := a.db.LoadKeys(ctx); loadErr != nil || set.Version > 0 {
			return keys.MasterKeys{}, errors.Join(loadErr, fmt.Errorf("%s is missing, and the database holds signing keys that only it opens: put it back; "+
				"if it is lost, make another one there and run \"chancery keys compromise --all --yes\"", path))
		}
		text, err = makeMasterKey(path)
	}
	if err != nil {
		return keys.MasterKeys{}, fmt.Errorf("master key: %w", err)
	}
	master, err := keys.ParseMasterKeys(string(text))
	if err != nil {
		return keys.MasterKeys{}, fmt.Errorf("%s: %w", path, err)
	}
	return master, nil
}

// writeDurably writes a file that only its owner reads, and returns when it
// would survive a power failure.
func writeDurably(path, content string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // in the operator's own data directory
	if err != nil {
		return err
	}
	_, err = file.WriteString(content)
	return errors.Join(err, file.Sync(), file.Close())
}

// makeMasterKey writes a new master key. Linking it into place lets one of
// several processes win, and never shows a half-written file.
func makeMasterKey(path string) ([]byte, error) {
	draft := path + "." + rand.Text()
	if err := writeDurably(draft, keys.NewMasterKey()+"\n"); err != nil {
		return nil, err
	}
	err := os.Link(draft, path)
	if errors.Is(err, os.ErrExist) {
		err = nil // another process was faster: its key counts
	}
	if err := errors.Join(err, os.Remove(draft)); err != nil {
		return nil, err
	}
	return os.ReadFile(path) //nolint:gosec // in the operator's own data directory
}

func (a *app) clients() *authz.Clients {
	return &authz.Clients{
		Settings: a.settings, Store: a.db, Lookup: a.registry, Indexes: a.indexes, Sessions: a.sessions, Now: a.clock.Now, Actor: a.actor,
	}
}

func (a *app) resources() *authz.Resources {
	return &authz.Resources{Issuer: a.config.Issuer, Store: a.db, Lookup: a.registry, Now: a.clock.Now, Actor: a.actor}
}

func (a *app) signingKeys() signingKeys {
	return signingKeys{rotator: a.rotator, now: a.clock.Now}
}

// administration is everything that admins see and change.
func (a *app) administration(service *authz.Service, activity *authz.Activity) *authz.Administration {
	return &authz.Administration{
		Admins: &authz.Admins{Service: service, Users: a.db}, Users: a.users(), Clients: a.clients(), Resources: a.resources(), Sessions: a.sessions,
		Events: &authz.Events{Store: a.db}, Activity: activity, Keys: a.signingKeys(), Now: a.clock.Now,
	}
}

func (a *app) users() *authz.Users {
	return &authz.Users{Store: a.db, Reader: a.db, Bans: a.db, Passwords: a.hasher, Policy: a.policy, Now: a.clock.Now, Actor: a.actor}
}

func (a *app) applier() *authz.Applier {
	return &authz.Applier{Store: a.db, Resources: a.resources(), Clients: a.clients(), Users: a.users()}
}

// workTimeout bounds one run of background work: a database connection that
// hangs must not stop it for good.
const workTimeout = 30 * time.Second

// every calls do at once and then after each interval until ctx ends. An
// error is logged; the next call may do better.
func (a *app) every(ctx context.Context, interval time.Duration, what string, do func(context.Context) error) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		bounded, cancel := context.WithTimeout(ctx, workTimeout)
		err := do(bounded)
		cancel()
		if err != nil && ctx.Err() == nil {
			a.log.Error("background work failed", "work", what, "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}
