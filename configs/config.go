// Package configs owns the configuration: which settings there are, their
// defaults, where they are read from (file, environment, flags), and what is
// wrong with them. It leaves to others what the settings do; package cmd is the
// only one that reads them.
package configs

import (
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"time"
)

// Config is the whole configuration. Every key is documented in README.
type Config struct {
	Listen             string             `koanf:"listen"`
	Issuer             string             `koanf:"issuer"`
	DataDir            string             `koanf:"data_dir"`
	DatabaseURL        string             `koanf:"database_url" secret:"url"`
	DatabaseDirectURL  string             `koanf:"database_direct_url" secret:"url"`
	MasterKey          string             `koanf:"master_key" secret:"value"`
	TrustedProxies     []string           `koanf:"trusted_proxies"`
	TLS                TLS                `koanf:"tls"`
	AccessTokenTTL     time.Duration      `koanf:"access_token_ttl"`
	Refresh            Refresh            `koanf:"refresh"`
	Browser            Browser            `koanf:"browser"`
	Keys               Keys               `koanf:"keys"`
	Status             Status             `koanf:"status"`
	PasswordGrant      PasswordGrant      `koanf:"password_grant"`
	Password           Password           `koanf:"password"`
	Sessions           Sessions           `koanf:"sessions"`
	Throttle           Throttle           `koanf:"throttle"`
	RedisURL           string             `koanf:"redis_url" secret:"url"`
	Registration       Registration       `koanf:"registration"`
	SMTP               SMTP               `koanf:"smtp"`
	Events             Events             `koanf:"events"`
	ClientRegistration ClientRegistration `koanf:"client_registration"`
	Outbound           Outbound           `koanf:"outbound"`
	Admin              Listener           `koanf:"admin"`
	Metrics            Listener           `koanf:"metrics"`
	Tracing            Tracing            `koanf:"tracing"`
	Log                Log                `koanf:"log"`
}

// TLS names the certificate of the listener; without one it speaks plain HTTP.
type TLS struct {
	CertFile string `koanf:"cert_file"`
	KeyFile  string `koanf:"key_file"`
}

// Refresh holds the durations of sessions; a client may have its own.
type Refresh struct {
	IdleTTL            time.Duration `koanf:"idle_ttl"`
	AbsoluteTTL        time.Duration `koanf:"absolute_ttl"`
	Leeway             time.Duration `koanf:"leeway"`
	LostResponseWindow time.Duration `koanf:"lost_response_window"`
	LostResponseBudget int           `koanf:"lost_response_budget"`
}

// Browser says how long a browser stays logged in.
type Browser struct {
	IdleTTL     time.Duration `koanf:"idle_ttl"`
	AbsoluteTTL time.Duration `koanf:"absolute_ttl"`
}

// ClientRegistration says whether clients may register themselves (RFC 7591):
// "off", "token" for those with an initial access token, or "open". Documents lets
// those in that publish what they are at the URL which is their id. Resources are
// those that either may ask for.
type ClientRegistration struct {
	Mode      string   `koanf:"mode"`
	Documents bool     `koanf:"documents"`
	Resources []string `koanf:"resources"`
}

// Outbound says which networks the server may call at addresses that clients
// have chosen, besides the public internet.
type Outbound struct {
	AllowedNetworks []string `koanf:"allowed_networks"`
}

// Keys holds the durations of signing keys.
type Keys struct {
	RotationPeriod time.Duration `koanf:"rotation_period"`
	PublishAhead   time.Duration `koanf:"publish_ahead"`
	JWKSMaxAge     time.Duration `koanf:"jwks_max_age"`
}

// Status says how long verifiers may use a status list before they ask again,
// and how long a signed one is valid.
type Status struct {
	TTL time.Duration `koanf:"ttl"`
	Exp time.Duration `koanf:"exp"`
}

// PasswordGrant turns the password grant on or off.
type PasswordGrant struct {
	Enabled bool `koanf:"enabled"`
}

// Password says which passwords may be set, what a hash costs, and how many are
// computed at once.
type Password struct {
	MinLength int `koanf:"min_length"`
	// BlocklistFile names further passwords to refuse, one on a line.
	BlocklistFile string `koanf:"blocklist_file"`
	MemoryKiB     int    `koanf:"memory_kib"`
	Iterations    int    `koanf:"iterations"`
	Parallelism   int    `koanf:"parallelism"`
	// Concurrent is how many hashes are computed at once, 0 for one on each
	// processor; Waiting is how many requests wait for a place.
	Concurrent int `koanf:"concurrent"`
	Waiting    int `koanf:"waiting"`
}

// Registration opens or closes the registration of users.
type Registration struct {
	Enabled bool `koanf:"enabled"`
}

// SMTP names the server that takes mails to users, and who sends them. From is
// no-reply at the issuer's host if empty.
type SMTP struct {
	URL  string `koanf:"url" secret:"url"`
	From string `koanf:"from"`
}

// Sessions bounds the sessions of one user; the oldest ends for a new one.
type Sessions struct {
	MaxPerUser int `koanf:"max_per_user"`
}

// Throttle says how many attempts at a password a minute may bring: on one
// account from one address, on one account from addresses that it is not known
// from, from one address, and through one client.
type Throttle struct {
	Enabled bool `koanf:"enabled"`
	Pair    int  `koanf:"pair"`
	Account int  `koanf:"account"`
	Address int  `koanf:"address"`
	Client  int  `koanf:"client"`
}

// Listener is the address of a listener of its own; an empty one stands for
// the public listener.
type Listener struct {
	Listen string `koanf:"listen"`
}

// Tracing says where traces go (OTLP over HTTP), and how many of a hundred.
// Nothing is traced without an endpoint.
type Tracing struct {
	Endpoint      string `koanf:"endpoint" secret:"url"`
	SamplePercent int    `koanf:"sample_percent"`
}

// Events says how long security events are kept.
type Events struct {
	Retention time.Duration `koanf:"retention"`
}

// Log says what is logged, and how.
type Log struct {
	Level string `koanf:"level"`
	// Format is text, json, or empty for text on a terminal and else json.
	Format string `koanf:"format"`
}

// Default returns the configuration of a machine that configures nothing.
func Default() Config {
	return Config{
		Listen:         "127.0.0.1:8080",
		Issuer:         "http://localhost:8080",
		DataDir:        "./data",
		AccessTokenTTL: 15 * time.Minute,
		Refresh: Refresh{
			IdleTTL: 168 * time.Hour, AbsoluteTTL: 2160 * time.Hour,
			Leeway: 30 * time.Second, LostResponseWindow: 10 * time.Minute, LostResponseBudget: 3,
		},
		Browser:            Browser{IdleTTL: 12 * time.Hour, AbsoluteTTL: 168 * time.Hour},
		Keys:               Keys{RotationPeriod: 720 * time.Hour, PublishAhead: 24 * time.Hour, JWKSMaxAge: 10 * time.Minute},
		Status:             Status{TTL: 30 * time.Second, Exp: 15 * time.Minute},
		PasswordGrant:      PasswordGrant{Enabled: true},
		Password:           Password{MinLength: 8, MemoryKiB: 19456, Iterations: 2, Parallelism: 1, Waiting: 100},
		Registration:       Registration{Enabled: true},
		ClientRegistration: ClientRegistration{Mode: "off"},
		Sessions:           Sessions{MaxPerUser: 100},
		Throttle:           Throttle{Enabled: true, Pair: 10, Account: 30, Address: 120, Client: 3000},
		Events:             Events{Retention: 90 * 24 * time.Hour},
		Tracing:            Tracing{SamplePercent: 10},
		Log:                Log{Level: "info"},
	}
}

// Embedded reports whether the database is SQLite in a file of this machine.
func (c Config) Embedded() bool { return !isPostgres(c.DatabaseURL) }

// Database returns the address of the database: DatabaseURL, or the SQLite
// file in DataDir.
func (c Config) Database() string {
	if c.DatabaseURL != "" {
		return c.DatabaseURL
	}
	return filepath.Join(c.DataDir, "chancery.db")
}

// OutboundNetworks returns the networks that may be called: the configured ones
// and, on a machine to try things on, that machine.
func (c Config) OutboundNetworks() []netip.Prefix {
	var networks []netip.Prefix
	for _, text := range c.Outbound.AllowedNetworks {
		if network, err := netip.ParsePrefix(text); err == nil {
			networks = append(networks, network)
		}
	}
	if c.Development() {
		networks = append(networks, netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"))
	}
	return networks
}

// Development reports whether this is a machine to try things on: an http
// issuer, which only a loopback address may have.
func (c Config) Development() bool {
	issuer, err := url.Parse(c.Issuer)
	return err == nil && issuer.Scheme == "http"
}

// Sender returns who mails to users come from.
func (c Config) Sender() string {
	issuer, err := url.Parse(c.Issuer)
	if c.SMTP.From != "" || err != nil {
		return c.SMTP.From
	}
	return "no-reply@" + issuer.Hostname()
}

// AdminExposed reports whether the admin API and the console share a listener
// that others than this machine reach.
func (c Config) AdminExposed() bool {
	host, _, err := net.SplitHostPort(c.Listen)
	return c.Admin.Listen == "" && err == nil && !loopback(host)
}

// ClockSkew is how far apart the clocks of nodes and verifiers may be. It is
// part of the times that derive from others.
const ClockSkew = time.Minute

// KeyMargin is how long a retired key stays published after the last token it
// signed is dead.
func (c Config) KeyMargin() time.Duration { return c.Keys.JWKSMaxAge + ClockSkew }

func isPostgres(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "postgres" || u.Scheme == "postgresql")
}
