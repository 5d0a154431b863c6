package configs

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits that the rules of other packages set; they are repeated here so that
// the report names the key, and held together by a test in cmd.
const (
	minTokenTTL = time.Minute
	maxTokenTTL = 24 * time.Hour
	maxLeeway   = 5 * time.Minute
	maxLost     = 24 * time.Hour
	maxBudget   = 100
	maxAbsolute = 10 * 365 * 24 * time.Hour
)

// checker collects problems.
type checker struct{ problems Problems }

func (c *checker) require(ok bool, key, format string, args ...any) {
	if !ok {
		c.problems = append(c.problems, key+": "+fmt.Sprintf(format, args...))
	}
}

// check returns everything that is wrong with the values.
func (c Config) check() Problems {
	p := &checker{}
	c.checkAddresses(p)
	c.checkDatabase(p)
	c.checkRefresh(p)
	c.checkKeys(p)
	c.checkPassword(p)
	c.checkThrottle(p)
	c.checkMail(p)
	c.checkOperations(p)
	p.require(c.Sessions.MaxPerUser >= 1 && c.Sessions.MaxPerUser <= 10_000, "sessions.max_per_user", "%d: want 1 to 10000", c.Sessions.MaxPerUser)
	p.require(c.Events.Retention >= time.Hour, "events.retention", "%s: want at least 1h", c.Events.Retention)
	p.require(slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level), "log.level", "%q: want debug, info, warn or error", c.Log.Level)
	p.require(slices.Contains([]string{"", "text", "json"}, c.Log.Format), "log.format", "%q: want text or json", c.Log.Format)
	return p.problems
}

func (c Config) checkAddresses(p *checker) {
	host, port, err := net.SplitHostPort(c.Listen)
	_, portErr := strconv.ParseUint(port, 10, 16)
	p.require(err == nil && portErr == nil, "listen", "%q: want host:port", c.Listen)
	c.checkIssuer(p, err == nil && !loopback(host))
	for _, proxy := range c.TrustedProxies {
		_, prefixErr := netip.ParsePrefix(proxy)
		_, addrErr := netip.ParseAddr(proxy)
		p.require(prefixErr == nil || addrErr == nil, "trusted_proxies", "%q: want an address or a network such as 10.0.0.0/8", proxy)
	}
	p.require(slices.Contains([]string{"off", "token", "open"}, c.ClientRegistration.Mode), "client_registration.mode", "%q: want off, token or open", c.ClientRegistration.Mode)
	for _, network := range c.Outbound.AllowedNetworks {
		_, err := netip.ParsePrefix(network)
		p.require(err == nil, "outbound.allowed_networks", "%q: want a network such as 10.0.0.0/8", network)
	}
	p.require((c.TLS.CertFile == "") == (c.TLS.KeyFile == ""), "tls", "want both cert_file and key_file, or none")
	p.file("tls.cert_file", c.TLS.CertFile)
	p.file("tls.key_file", c.TLS.KeyFile)
}

func (c Config) checkPassword(p *checker) {
	p.require(c.Password.MemoryKiB >= 8*c.Password.Parallelism && c.Password.MemoryKiB <= 1<<20, "password.memory_kib", "%d: want at least 8 per thread and at most 1048576", c.Password.MemoryKiB)
	p.require(c.Password.Iterations >= 1 && c.Password.Iterations <= 20, "password.iterations", "%d: want 1 to 20", c.Password.Iterations)
	p.require(c.Password.Parallelism >= 1 && c.Password.Parallelism <= 16, "password.parallelism", "%d: want 1 to 16", c.Password.Parallelism)
	p.require(c.Password.MinLength >= 8 && c.Password.MinLength <= 64, "password.min_length", "%d: want 8 to 64", c.Password.MinLength)
	p.require(c.Password.Concurrent >= 0 && c.Password.Concurrent <= 1024, "password.concurrent", "%d: want 0 to 1024", c.Password.Concurrent)
	p.require(c.Password.Waiting >= 1 && c.Password.Waiting <= 10_000, "password.waiting", "%d: want 1 to 10000", c.Password.Waiting)
	p.file("password.blocklist_file", c.Password.BlocklistFile)
}

func (c Config) checkThrottle(p *checker) {
	for _, limit := range []struct {
		key string
		n   int
	}{
		{"throttle.pair", c.Throttle.Pair}, {"throttle.account", c.Throttle.Account}, {"throttle.address", c.Throttle.Address}, {"throttle.client", c.Throttle.Client},
	} {
		p.require(limit.n >= 1 && limit.n <= 1_000_000, limit.key, "%d: want 1 to 1000000", limit.n)
	}
	address, err := url.Parse(c.RedisURL)
	redis := err == nil && slices.Contains([]string{"redis", "rediss", "unix"}, address.Scheme) && (address.Host != "" || address.Path != "")
	p.require(c.RedisURL == "" || redis, "redis_url", "want a redis:// or rediss:// address")
}

// checkOperations checks what operators see of the server.
func (c Config) checkOperations(p *checker) {
	taken := map[string]string{c.Listen: "listen"}
	for _, l := range []struct{ key, address string }{{"admin.listen", c.Admin.Listen}, {"metrics.listen", c.Metrics.Listen}} {
		if l.address == "" {
			continue
		}
		_, port, err := net.SplitHostPort(l.address)
		_, portErr := strconv.ParseUint(port, 10, 16)
		p.require(err == nil && portErr == nil, l.key, "%q: want host:port", l.address)
		other, twice := taken[l.address]
		p.require(!twice || port == "0", l.key, "%q: is that of %s too", l.address, other)
		taken[l.address] = l.key
	}
	host, _, err := net.SplitHostPort(c.Admin.Listen)
	p.require(err != nil || loopback(host) || !c.Development(), "admin.listen", "%q: an http issuer may only listen on a loopback address", c.Admin.Listen)
	endpoint, err := url.Parse(c.Tracing.Endpoint)
	valid := err == nil && (endpoint.Scheme == "http" || endpoint.Scheme == "https") && endpoint.Hostname() != ""
	p.require(c.Tracing.Endpoint == "" || valid, "tracing.endpoint", "want an http:// or https:// address of an OTLP collector, such as http://localhost:4318")
	p.require(c.Tracing.SamplePercent >= 1 && c.Tracing.SamplePercent <= 100, "tracing.sample_percent", "%d: want 1 to 100", c.Tracing.SamplePercent)
}

func (c Config) checkMail(p *checker) {
	address, err := url.Parse(c.SMTP.URL)
	p.require(c.SMTP.URL == "" || (err == nil && (address.Scheme == "smtp" || address.Scheme == "smtps") && address.Hostname() != ""),
		"smtp.url", "want smtp://[user:password@]host[:port] or smtps://…, special characters percent-encoded")
	if err == nil {
		options := []string{"", "tls=off", "tls=required"}
		p.require(slices.Contains(options, address.RawQuery) && (address.Path == "" || address.Path == "/"), "smtp.url", "want no path, and no option but tls=off or tls=required")
	}
	_, err = mail.ParseAddress(c.SMTP.From)
	p.require(c.SMTP.From == "" || err == nil, "smtp.from", "%q: want an address, such as %q", c.SMTP.From, "Notes <no-reply@notes.example>")
}

// file requires that a named file exists; an empty name stands for none.
func (c *checker) file(key, path string) {
	if path != "" {
		_, err := os.Stat(path)
		c.require(err == nil, key, "%v", err)
	}
}

// issuerPath keeps out what a router would take for a pattern.
var issuerPath = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)*$`)

func (c Config) checkIssuer(p *checker, public bool) {
	issuer, err := url.Parse(c.Issuer)
	valid := err == nil && issuerPath.MatchString(issuer.EscapedPath()) && (issuer.Scheme == "https" || issuer.Scheme == "http") && issuer.Hostname() != "" && issuer.User == nil &&
		issuer.RawQuery == "" && !strings.ContainsAny(c.Issuer, "?#\"\\ ") && !strings.HasSuffix(c.Issuer, "/")
	if strings.Contains(c.Issuer, "@") {
		p.require(false, "issuer", "want a URL without user and password")
		return
	}
	p.require(valid, "issuer", "%q: want a URL without query, fragment and trailing slash, and with a plain path", c.Issuer)
	if !valid || issuer.Scheme == "https" {
		return
	}
	p.require(loopback(issuer.Hostname()), "issuer", "%q: want https, except on a loopback host", c.Issuer)
	p.require(!public, "listen", "%q: an http issuer may only listen on a loopback address", c.Listen)
}

func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || (err == nil && address.IsLoopback())
}

// keywords are the beginning of an address in the form that libpq also takes.
var keywords = regexp.MustCompile(`(^|\s)[a-z_]+\s*=`)

func (c Config) checkDatabase(p *checker) {
	p.require(c.DataDir != "", "data_dir", "want a directory")
	address, err := url.Parse(c.DatabaseURL)
	isPath := !strings.Contains(c.DatabaseURL, ":") && !strings.Contains(c.DatabaseURL, "@") && !keywords.MatchString(c.DatabaseURL)
	isAddress := err == nil && (address.Scheme == "sqlite" || isPostgres(c.DatabaseURL) && (address.Hostname() != "" || address.Query().Has("host")))
	p.require(isPath || isAddress, "database_url", "want a postgres:// address or the path of a SQLite file")
	if c.DatabaseDirectURL != "" {
		p.require(!c.Embedded() && isPostgres(c.DatabaseDirectURL), "database_direct_url", "want a postgres:// address, beside one in database_url")
	}
	p.require(c.Embedded() || c.MasterKey != "", "master_key", "must be given with Postgres, the same on every node; %q makes one", "openssl rand -base64 32")
	if c.MasterKey == "" {
		return
	}
	for i, part := range strings.Split(c.MasterKey, ",") {
		part = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(strings.TrimSpace(part), "="))
		key, err := base64.RawURLEncoding.DecodeString(part)
		p.require(err == nil && len(key) == 32, "master_key", "entry %d: want base64 of 32 bytes", i+1)
	}
}

func (c Config) checkRefresh(p *checker) {
	r := c.Refresh
	p.require(c.AccessTokenTTL >= minTokenTTL && c.AccessTokenTTL <= maxTokenTTL, "access_token_ttl", "%s: want %s to %s", c.AccessTokenTTL, minTokenTTL, maxTokenTTL)
	p.require(r.AbsoluteTTL >= time.Minute && r.AbsoluteTTL <= maxAbsolute, "refresh.absolute_ttl", "%s: want 1m to %s", r.AbsoluteTTL, maxAbsolute)
	p.require(r.IdleTTL >= time.Minute && r.IdleTTL <= r.AbsoluteTTL, "refresh.idle_ttl", "%s: want 1m to refresh.absolute_ttl (%s)", r.IdleTTL, r.AbsoluteTTL)
	b := c.Browser
	p.require(b.AbsoluteTTL >= time.Minute && b.AbsoluteTTL <= maxAbsolute, "browser.absolute_ttl", "%s: want 1m to %s", b.AbsoluteTTL, maxAbsolute)
	p.require(b.IdleTTL >= time.Minute && b.IdleTTL <= b.AbsoluteTTL, "browser.idle_ttl", "%s: want 1m to browser.absolute_ttl (%s)", b.IdleTTL, b.AbsoluteTTL)
	p.require(r.Leeway >= 0 && r.Leeway <= maxLeeway && r.Leeway <= r.IdleTTL, "refresh.leeway", "%s: want 0s to %s and at most refresh.idle_ttl (%s)", r.Leeway, maxLeeway, r.IdleTTL)
	p.require(r.LostResponseWindow >= r.Leeway && r.LostResponseWindow <= maxLost && r.LostResponseWindow <= r.IdleTTL, "refresh.lost_response_window",
		"%s: want refresh.leeway (%s) to %s and at most refresh.idle_ttl (%s)", r.LostResponseWindow, r.Leeway, maxLost, r.IdleTTL)
	p.require(r.LostResponseBudget >= 0 && r.LostResponseBudget <= maxBudget, "refresh.lost_response_budget", "%d: want 0 to %d", r.LostResponseBudget, maxBudget)
}

func (c Config) checkKeys(p *checker) {
	k := c.Keys
	p.require(k.JWKSMaxAge >= time.Minute && k.JWKSMaxAge <= 24*time.Hour, "keys.jwks_max_age", "%s: want 1m to 24h", k.JWKSMaxAge)
	least := 2*k.JWKSMaxAge + ClockSkew
	p.require(k.PublishAhead >= least, "keys.publish_ahead", "%s: want at least twice keys.jwks_max_age plus %s (%s)", k.PublishAhead, ClockSkew, least)
	p.require(k.RotationPeriod >= 2*k.PublishAhead, "keys.rotation_period", "%s: want at least twice keys.publish_ahead (%s)", k.RotationPeriod, 2*k.PublishAhead)
	s := c.Status
	p.require(s.TTL >= time.Second && s.TTL <= time.Hour && s.TTL%time.Second == 0, "status.ttl", "%s: want whole seconds, 1s to 1h", s.TTL)
	p.require(s.Exp >= time.Minute && s.Exp >= 4*s.TTL && s.Exp <= maxTokenTTL, "status.exp", "%s: want 1m to %s and at least four times status.ttl (%s)", s.Exp, maxTokenTTL, 4*s.TTL)
}
