package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"chancery/authz"
	"chancery/authz/password"
	"chancery/configs"

	"go.yaml.in/yaml/v3"
)

// repository is the root of the module, from this package.
const repository = "../.."

// nonRoot is the user of distroless images, by number, so that a cluster that
// demands a user other than root can see that it is one.
const nonRoot = "65532:65532"

// repositoryFile returns a file of the repository.
func repositoryFile(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(repository, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// instruction is one instruction of a Dockerfile.
type instruction struct {
	name, args string
	// stage counts the FROM instructions, beginning with 1.
	stage int
}

// dockerfile returns the instructions of the Dockerfile.
func dockerfile(t *testing.T) []instruction {
	t.Helper()
	var all []instruction
	stage, pending := 0, ""
	for line := range strings.Lines(repositoryFile(t, "Dockerfile")) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		pending += line
		if head, ok := strings.CutSuffix(pending, `\`); ok {
			pending = head
			continue
		}
		name, args, _ := strings.Cut(pending, " ")
		if name == "FROM" {
			stage++
		}
		all = append(all, instruction{name: name, args: strings.TrimSpace(args), stage: stage})
		pending = ""
	}
	return all
}

// lastInstruction returns the arguments of the last instruction of the name in the last
// stage.
func lastInstruction(t *testing.T, all []instruction, name string) string {
	t.Helper()
	stage := all[len(all)-1].stage
	for _, in := range slices.Backward(all) {
		if in.name == name && in.stage == stage {
			return in.args
		}
	}
	t.Fatalf("Dockerfile: got no %s in the last stage, want one", name)
	return ""
}

// execForm reads the exec form of CMD and the like.
func execForm(t *testing.T, text string) []string {
	t.Helper()
	var words []string
	if err := json.Unmarshal([]byte(text), &words); err != nil {
		t.Fatalf("%s: got %v, want the exec form, a list of strings", text, err)
	}
	return words
}

// isCommand reports whether the program has the command that words name.
func isCommand(words ...string) bool {
	root := newRoot(&command{})
	found, rest, err := root.Find(words)
	return err == nil && found != root && len(rest) == 0
}

func TestDockerfileBuild(t *testing.T) {
	all := dockerfile(t)
	goVersion := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(repositoryFile(t, "go.mod"))[1]
	base, _, _ := strings.Cut(all[0].args, " ")
	if all[0].name != "FROM" || !regexp.MustCompile(`^golang:`+regexp.QuoteMeta(goVersion)+`(\.\d+)?(-|$)`).MatchString(base) {
		t.Errorf("first instruction: got %s %s, want FROM golang:%s as in go.mod", all[0].name, all[0].args, goVersion)
	}
	var build string
	for _, in := range all {
		if in.name == "RUN" && strings.Contains(in.args, "go build") {
			build = in.args
		}
		if in.name == "FROM" {
			checkTag(t, strings.Fields(in.args)[0])
		}
		if in.name == "COPY" {
			checkCopy(t, in.args)
		}
	}
	for _, want := range []string{"CGO_ENABLED=0", "-trimpath", "-s -w", "-X main.version=", "./cmd/chancery"} {
		if !strings.Contains(build, want) {
			t.Errorf("go build: got %q, want it with %q", build, want)
		}
	}
	if _, err := os.Stat(filepath.Join(repository, "cmd/chancery/main.go")); err != nil {
		t.Errorf("build entry: got %v, want cmd/chancery to exist", err)
	}
	if output := regexp.MustCompile(`-o (\S+)`).FindStringSubmatch(build); output == nil || !strings.Contains(lastInstruction(t, all[:len(all)-1], "FROM"), "nonroot") {
		t.Errorf("go build %q and last FROM: want -o and an image for a user other than root", build)
	} else if !slices.ContainsFunc(all, func(in instruction) bool {
		return in.name == "COPY" && strings.Contains(in.args, output[1]+" /chancery")
	}) {
		t.Errorf("no COPY of %s to /chancery, want one", output[1])
	}
}

// checkTag reports an image that may be another one tomorrow.
func checkTag(t *testing.T, image string) {
	t.Helper()
	if _, tag, ok := strings.Cut(path.Base(image), ":"); !ok || tag == "latest" || tag == "" {
		t.Errorf("image %s: want a tag that is not latest", image)
	}
}

// checkCopy reports sources of a COPY from the repository that are not there,
// or that .dockerignore hides.
func checkCopy(t *testing.T, args string) {
	t.Helper()
	words := strings.Fields(args)
	for len(words) > 0 && strings.HasPrefix(words[0], "--") {
		if strings.HasPrefix(words[0], "--from=") {
			return
		}
		words = words[1:]
	}
	for _, source := range words[:len(words)-1] {
		if _, err := os.Stat(filepath.Join(repository, source)); err != nil {
			t.Errorf("COPY %s: got %v, want it to exist", args, err)
		}
		if contextLacks(t, source) {
			t.Errorf("COPY %s: .dockerignore hides %s", args, source)
		}
	}
}

// contextLacks reports whether .dockerignore hides the path.
func contextLacks(t *testing.T, name string) bool {
	t.Helper()
	for line := range strings.Lines(repositoryFile(t, ".dockerignore")) {
		pattern := strings.TrimSpace(line)
		if pattern == "" || strings.HasPrefix(pattern, "#") {
			continue
		}
		if rest, anywhere := strings.CutPrefix(pattern, "**/"); anywhere {
			if ok, _ := path.Match(rest, path.Base(name)); ok {
				return true
			}
		} else if ok, _ := path.Match(pattern, name); ok {
			return true
		}
	}
	return false
}

func TestDockerignore(t *testing.T) {
	for _, name := range []string{".git", ".env", "secrets", "data", "bin", "cmd/chancery/deploy_test.go", "configs/testdata"} {
		if !contextLacks(t, name) {
			t.Errorf(".dockerignore: got %s in the context, want it hidden", name)
		}
	}
	for _, name := range []string{"go.mod", "go.sum", "cmd", "authz", "keys", "storage", "web", "configs", "storage/migrations/sqlite/00001_init.sql"} {
		if contextLacks(t, name) {
			t.Errorf(".dockerignore: got %s hidden, want it in the context", name)
		}
	}
}

func TestDockerfileImage(t *testing.T) {
	all := dockerfile(t)
	if got := lastInstruction(t, all, "USER"); got != nonRoot {
		t.Errorf("USER: got %s, want %s", got, nonRoot)
	}
	if got := execForm(t, lastInstruction(t, all, "ENTRYPOINT")); !slices.Equal(got, []string{"/chancery"}) {
		t.Errorf("ENTRYPOINT: got %q, want /chancery", got)
	}
	if words := execForm(t, lastInstruction(t, all, "CMD")); !isCommand(words...) {
		t.Errorf("CMD: got %q, want a command of the program", words)
	}
	_, health, _ := strings.Cut(lastInstruction(t, all, "HEALTHCHECK"), "CMD ")
	checkHealth(t, execForm(t, health))

	volume := execForm(t, lastInstruction(t, all, "VOLUME"))
	environment := imageEnvironment(t, all)
	if got := environment["CHANCERY_DATA_DIR"]; !slices.Equal(volume, []string{got}) {
		t.Errorf("VOLUME: got %q, want CHANCERY_DATA_DIR, which is %q", volume, got)
	}
	owned := "COPY --from=build --chown=" + nonRoot
	if !slices.ContainsFunc(all, func(in instruction) bool {
		return strings.HasPrefix(in.name+" "+in.args, owned) && strings.HasSuffix(in.args, " "+volume[0])
	}) {
		t.Errorf("no %s … %s, want the user to own the volume", owned, volume[0])
	}
	if got, want := ":"+lastInstruction(t, all, "EXPOSE"), environment["CHANCERY_LISTEN"]; got != want {
		t.Errorf("EXPOSE: got %s, want %s as CHANCERY_LISTEN", got, want)
	}
	// What the comment on top promises: an issuer is all that is missing.
	environment["CHANCERY_ISSUER"] = "https://login.example"
	loadEnvironment(t, environment)
}

// imageEnvironment returns the variables that the image sets.
func imageEnvironment(t *testing.T, all []instruction) map[string]string {
	t.Helper()
	environment := map[string]string{}
	for _, entry := range strings.Fields(lastInstruction(t, all, "ENV")) {
		name, value, _ := strings.Cut(entry, "=")
		environment[name] = value
	}
	return environment
}

// checkHealth reports a health check that does not run a command of the
// program.
func checkHealth(t *testing.T, words []string) {
	t.Helper()
	if len(words) < 2 || words[0] != "/chancery" || !isCommand(words[1:]...) {
		t.Errorf("health check: got %q, want /chancery and one of its commands", words)
	}
}

// loadEnvironment loads a configuration that must be valid and warn of
// nothing.
func loadEnvironment(t *testing.T, environment map[string]string) configs.Config {
	t.Helper()
	var environ []string
	for name, value := range environment {
		environ = append(environ, name+"="+value)
	}
	config, warnings, err := configs.Load(configs.Sources{Environ: environ})
	if err != nil {
		t.Errorf("Load of %q: got %v, want no error", environ, err)
	}
	if len(warnings) > 0 {
		t.Errorf("Load of %q: got warnings %q, want none", environ, warnings)
	}
	return config
}

// composeFile is what this test reads of docker-compose.yml.
type composeFile struct {
	Services map[string]composeService        `yaml:"services"`
	Networks map[string]composeNetwork        `yaml:"networks"`
	Volumes  map[string]any                   `yaml:"volumes"`
	Secrets  map[string]struct{ File string } `yaml:"secrets"`
}

type composeService struct {
	Image       string
	Build       string
	Environment map[string]string
	Secrets     []string
	Networks    []string
	Volumes     []string
	Ports       []string
	Restart     string
	User        string
	Privileged  bool
	ReadOnly    bool                                  `yaml:"read_only"`
	CapDrop     []string                              `yaml:"cap_drop"`
	SecurityOpt []string                              `yaml:"security_opt"`
	StopGrace   string                                `yaml:"stop_grace_period"`
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	Healthcheck struct{ Test []string }
}

type composeNetwork struct {
	Internal bool
	IPAM     struct {
		Config []struct{ Subnet, Gateway string }
	} `yaml:"ipam"`
}

// readCompose returns docker-compose.yml.
func readCompose(t *testing.T) composeFile {
	t.Helper()
	var file composeFile
	if err := yaml.Unmarshal([]byte(repositoryFile(t, "docker-compose.yml")), &file); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestComposeNamesWhatItDeclares(t *testing.T) {
	file := readCompose(t)
	usedSecrets, usedVolumes, usedNetworks := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for name, service := range file.Services {
		for _, secret := range service.Secrets {
			usedSecrets[secret] = true
			if _, ok := file.Secrets[secret]; !ok {
				t.Errorf("service %s: secret %s is not declared, want it to be", name, secret)
			}
		}
		for _, volume := range service.Volumes {
			source, target, _ := strings.Cut(volume, ":")
			usedVolumes[source] = true
			if _, ok := file.Volumes[source]; !ok || !path.IsAbs(target) {
				t.Errorf("service %s: got volume %s, want a declared one on an absolute path", name, volume)
			}
		}
		for _, network := range service.Networks {
			usedNetworks[network] = true
			if _, ok := file.Networks[network]; !ok {
				t.Errorf("service %s: network %s is not declared, want it to be", name, network)
			}
		}
		for other, dependency := range service.DependsOn {
			if _, ok := file.Services[other]; !ok || dependency.Condition != "service_healthy" {
				t.Errorf("service %s: got dependency on %s when %q, want a service when service_healthy", name, other, dependency.Condition)
			}
		}
		for variable, value := range service.Environment {
			secret, ok := strings.CutPrefix(value, "/run/secrets/")
			if strings.HasSuffix(variable, "_FILE") && (!ok || !slices.Contains(service.Secrets, secret)) {
				t.Errorf("service %s: got %s=%s, want /run/secrets/ and one of its secrets %q", name, variable, value, service.Secrets)
			}
		}
	}
	for secret, source := range file.Secrets {
		if want := "./secrets/" + secret; source.File != want || !usedSecrets[secret] {
			t.Errorf("secret %s: got file %s and used %t, want %s and true", secret, source.File, usedSecrets[secret], want)
		}
		if !strings.Contains(repositoryFile(t, "docker-compose.yml"), "> secrets/"+secret) {
			t.Errorf("secret %s: the commands on top do not make it, want them to", secret)
		}
	}
	if len(usedVolumes) != len(file.Volumes) || len(usedNetworks) != len(file.Networks) {
		t.Errorf("got %d volumes and %d networks used, want all that are declared: %d and %d", len(usedVolumes), len(usedNetworks), len(file.Volumes), len(file.Networks))
	}
}

func TestComposeIsClosed(t *testing.T) {
	for name, service := range readCompose(t).Services {
		if service.Image != "" {
			checkTag(t, service.Image)
		}
		for _, port := range service.Ports {
			if parts := strings.Split(port, ":"); len(parts) != 3 || parts[0] != "127.0.0.1" {
				t.Errorf("service %s: got port %s, want one of 127.0.0.1", name, port)
			}
		}
		if service.Privileged || !slices.Contains(service.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("service %s: got privileged %t and security_opt %q, want false and no-new-privileges:true", name, service.Privileged, service.SecurityOpt)
		}
		if service.Restart == "" || len(service.Healthcheck.Test) == 0 {
			t.Errorf("service %s: got restart %q and health check %q, want both", name, service.Restart, service.Healthcheck.Test)
		}
	}
	postgres := readCompose(t).Services["postgres"]
	if len(postgres.Ports) > 0 {
		t.Errorf("postgres: got ports %q, want none", postgres.Ports)
	}
	for _, network := range postgres.Networks {
		if !readCompose(t).Networks[network].Internal {
			t.Errorf("postgres: network %s is not internal, want it to be", network)
		}
	}
	service := readCompose(t).Services["chancery"]
	if !service.ReadOnly || !slices.Equal(service.CapDrop, []string{"ALL"}) {
		t.Errorf("chancery: got read_only %t and cap_drop %q, want true and ALL", service.ReadOnly, service.CapDrop)
	}
	if service.User != "" {
		t.Errorf("chancery: got user %s, want the one of the image", service.User)
	}
	if grace, err := time.ParseDuration(service.StopGrace); err != nil || grace <= shutdownTimeout {
		t.Errorf("chancery: got stop_grace_period %s (%v), want more than %s", service.StopGrace, err, shutdownTimeout)
	}
}

// A Postgres image since version 18 refuses a volume on the old place, and one
// before it would keep its data in a volume without a name on the new one.
func TestComposePostgresVolume(t *testing.T) {
	postgres := readCompose(t).Services["postgres"]
	version := regexp.MustCompile(`^postgres:(\d+)`).FindStringSubmatch(postgres.Image)
	if version == nil {
		t.Fatalf("postgres: got image %s, want postgres: and a version", postgres.Image)
	}
	want := "postgres:/var/lib/postgresql"
	if major, _ := strconv.Atoi(version[1]); major < 18 {
		want += "/data"
	}
	if !slices.Equal(postgres.Volumes, []string{want}) {
		t.Errorf("volumes of %s: got %q, want %s", postgres.Image, postgres.Volumes, want)
	}
}

func TestComposeServiceLoads(t *testing.T) {
	file := readCompose(t)
	service := file.Services["chancery"]
	if _, err := os.Stat(filepath.Join(repository, service.Build, "Dockerfile")); err != nil {
		t.Errorf("build: got %v, want a Dockerfile", err)
	}
	if words := service.Healthcheck.Test; len(words) < 2 || words[0] != "CMD" {
		t.Errorf("health check: got %q, want CMD and the exec form", words)
	} else {
		checkHealth(t, words[1:])
	}
	secrets := map[string]string{
		"database_url": composeDatabaseURL(t), "master_key": "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=",
	}
	environment := imageEnvironment(t, dockerfile(t))
	for name, value := range service.Environment {
		if secret, ok := strings.CutPrefix(value, "/run/secrets/"); ok {
			value = filepath.Join(t.TempDir(), secret)
			if err := os.WriteFile(value, []byte(secrets[secret]+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if fallback := regexp.MustCompile(`^\$\{` + name + `:-(.*)\}$`).FindStringSubmatch(value); fallback != nil {
			value = fallback[1]
		}
		if strings.Contains(value, "$") {
			t.Errorf("%s: got %s, want a value or ${%s:-value}", name, value, name)
		}
		environment[name] = value
	}
	config := loadEnvironment(t, environment)
	if config.Embedded() || config.DatabaseURL != secrets["database_url"] {
		t.Errorf("database: got %s, want the Postgres of database_url", config.Database())
	}
	if config.MasterKey != secrets["master_key"] {
		t.Errorf("master_key: got another one, want that of its file")
	}
	if _, container, _ := strings.Cut(strings.TrimPrefix(service.Ports[0], "127.0.0.1:"), ":"); config.Listen != ":"+container {
		t.Errorf("listen: got %s, want the port of %s on all addresses", config.Listen, service.Ports[0])
	}
	checkProxy(t, file, config.TrustedProxies)
}

// composeDatabaseURL returns the address that the commands on top of
// docker-compose.yml make, and checks it against the service postgres.
func composeDatabaseURL(t *testing.T) string {
	t.Helper()
	printed := regexp.MustCompile(`printf '(postgres://[^']*)\\n'`).FindStringSubmatch(repositoryFile(t, "docker-compose.yml"))
	if printed == nil {
		t.Fatal("docker-compose.yml: got no printf of a postgres:// address, want one")
	}
	environment := readCompose(t).Services["postgres"].Environment
	want := fmt.Sprintf("postgres://%s:%%s@postgres:5432/%s?", environment["POSTGRES_USER"], environment["POSTGRES_DB"])
	if !strings.HasPrefix(printed[1], want) {
		t.Errorf("database_url: got %s, want %s…", printed[1], want)
	}
	return fmt.Sprintf(printed[1], "0123456789abcdef")
}

// checkProxy reports trusted proxies that are not the gateway of a network
// with a fixed subnet.
func checkProxy(t *testing.T, file composeFile, proxies []string) {
	t.Helper()
	var gateways []string
	for _, name := range file.Services["chancery"].Networks {
		for _, config := range file.Networks[name].IPAM.Config {
			gateway, err := netip.ParseAddr(config.Gateway)
			subnet, subnetErr := netip.ParsePrefix(config.Subnet)
			if err := errors.Join(err, subnetErr); err != nil || !subnet.Contains(gateway) {
				t.Errorf("network %s: got gateway %s of %s (%v), want one of the subnet", name, config.Gateway, config.Subnet, err)
			}
			gateways = append(gateways, config.Gateway)
		}
	}
	if len(gateways) != 1 || !slices.Equal(proxies, gateways) {
		t.Errorf("trusted proxies: got %q, want the one fixed gateway of the service's networks %q", proxies, gateways)
	}
}

// refusedKeys returns the keys of the problems that a configuration with these
// flags has.
func refusedKeys(t *testing.T, flags map[string]string) map[string]bool {
	t.Helper()
	_, _, err := configs.Load(configs.Sources{Flags: flags})
	var problems configs.Problems
	if err != nil && !errors.As(err, &problems) {
		t.Fatalf("Load(%v): got %v, want Problems or no error", flags, err)
	}
	keys := map[string]bool{}
	for _, problem := range problems {
		key, _, _ := strings.Cut(problem, ": ")
		keys[key] = true
	}
	return keys
}

// TestConfigLimitsMatchRules probes the limits that configs repeats just inside
// and just outside of those that the rules have.
func TestConfigLimitsMatchRules(t *testing.T) {
	for _, row := range []struct {
		key                       string
		least, below, most, above any
		with                      map[string]string
	}{
		{key: "access_token_ttl", least: authz.MinAccessTokenTTL, below: authz.MinAccessTokenTTL - 1, most: authz.MaxAccessTokenTTL, above: authz.MaxAccessTokenTTL + 1},
		{key: "refresh.leeway", least: time.Duration(0), below: time.Duration(-1), most: authz.MaxLeeway, above: authz.MaxLeeway + 1},
		{
			key: "refresh.lost_response_window", least: time.Minute, below: time.Minute - 1, most: authz.MaxLostResponseWindow,
			above: authz.MaxLostResponseWindow + 1, with: map[string]string{"refresh.leeway": "1m"},
		},
		{key: "refresh.lost_response_budget", least: 0, below: -1, most: authz.MaxLostResponseBudget, above: authz.MaxLostResponseBudget + 1},
		{
			key: "refresh.absolute_ttl", least: time.Minute, below: time.Minute - 1, most: authz.MaxAbsoluteTTL, above: authz.MaxAbsoluteTTL + 1,
			with: map[string]string{"refresh.idle_ttl": "1m", "refresh.lost_response_window": "1m"},
		},
	} {
		for _, probe := range []struct {
			value any
			want  bool
		}{{row.below, true}, {row.least, false}, {row.most, false}, {row.above, true}} {
			flags := map[string]string{row.key: fmt.Sprint(probe.value)}
			for key, value := range row.with {
				flags[key] = value
			}
			if got := refusedKeys(t, flags)[row.key]; got != probe.want {
				t.Errorf("%s=%v: got refused %t, want %t as the rules have it", row.key, probe.value, got, probe.want)
			}
		}
	}
}

// TestConfigAgreesWithRefreshPolicy compares the two checks of a refresh
// policy over values around every limit, also where they limit one another.
func TestConfigAgreesWithRefreshPolicy(t *testing.T) {
	around := func(limits ...time.Duration) []time.Duration {
		var all []time.Duration
		for _, limit := range limits {
			all = append(all, limit-time.Second, limit, limit+time.Second)
		}
		return all
	}
	for _, absolute := range around(time.Minute, 24*time.Hour, authz.MaxAbsoluteTTL) {
		for _, idle := range around(time.Minute, 24*time.Hour) {
			for _, leeway := range around(0, authz.MaxLeeway) {
				for _, window := range around(0, authz.MaxLeeway, authz.MaxLostResponseWindow) {
					policy := authz.RefreshPolicy{IdleTTL: idle, AbsoluteTTL: absolute, Leeway: leeway, LostResponseWindow: window}
					checkPolicy(t, policy)
				}
			}
		}
	}
}

func checkPolicy(t *testing.T, p authz.RefreshPolicy) {
	t.Helper()
	flags := map[string]string{
		"refresh.idle_ttl": p.IdleTTL.String(), "refresh.absolute_ttl": p.AbsoluteTTL.String(), "refresh.leeway": p.Leeway.String(),
		"refresh.lost_response_window": p.LostResponseWindow.String(), "refresh.lost_response_budget": strconv.Itoa(p.LostResponseBudget),
	}
	rules, refused := p.Problems(), refusedKeys(t, flags)
	for key := range flags {
		if _, want := rules[strings.TrimPrefix(key, "refresh.")]; refused[key] != want {
			t.Errorf("%v: got %s refused %t, want %t as RefreshPolicy.Problems has it", flags, key, refused[key], want)
		}
	}
}

// TestConfigPasswordLimitsWork makes a hasher of the smallest and the most
// parallel parameters that a configuration may have.
func TestConfigPasswordLimitsWork(t *testing.T) {
	for _, p := range []password.Params{{MemoryKiB: 8, Iterations: 1, Parallelism: 1}, {MemoryKiB: 128, Iterations: 20, Parallelism: 16}} {
		_, _, err := configs.Load(configs.Sources{Flags: map[string]string{
			"password.memory_kib": fmt.Sprint(p.MemoryKiB), "password.iterations": strconv.Itoa(p.Iterations), "password.parallelism": strconv.Itoa(p.Parallelism),
		}})
		if err != nil {
			t.Errorf("Load with %+v: got %v, want no error", p, err)
		}
		if _, err := password.New(p, password.Limits{}); err != nil {
			t.Errorf("password.New(%+v): got %v, want no error", p, err)
		}
	}
}
