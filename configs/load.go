package configs

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
	"go.yaml.in/yaml/v3"
)

// Sources say where the configuration is read from. Later ones win: defaults,
// file, environment, flags.
type Sources struct {
	// File is the path of a YAML file. An empty one stands for DefaultFile,
	// if there is such a file.
	File string
	// Environ are the variables as os.Environ returns them.
	Environ []string
	// Flags are values by key, such as "refresh.leeway".
	Flags map[string]string
}

// DefaultFile is read when it exists and no other file is named.
const DefaultFile = "chancery.yaml"

const envPrefix = "CHANCERY_"

// ignoredVariables belong to the tests and to the command line.
var ignoredVariables = []string{"CHANCERY_CONFIG", "CHANCERY_TEST_POSTGRES", "CHANCERY_TEST_POSTGRES_REQUIRED"}

// Problems are all things that are wrong with a configuration, each with the
// key that it concerns.
type Problems []string

// Error lists the problems, one on a line.
func (p Problems) Error() string {
	return "configuration:\n  " + strings.Join(p, "\n  ")
}

// without leaves out what concerns a key that others report already: its value
// was not read, and what is checked would be its default.
func (p Problems) without(others Problems) Problems {
	return slices.DeleteFunc(p, func(problem string) bool {
		key, _, _ := strings.Cut(problem, ":")
		return slices.ContainsFunc(others, func(other string) bool {
			return strings.HasPrefix(other, key+":") || strings.HasPrefix(other, key+" (")
		})
	})
}

// Load reads and validates the configuration. Warnings name environment
// variables that look like settings and are none. The error is Problems when
// the configuration itself is at fault; no secret stands in either.
func Load(s Sources) (c Config, warnings []string, err error) {
	var problems Problems
	k := koanf.New(".")
	problems = append(problems, loadFile(k, s.File)...)
	environment, warnings, more := readEnvironment(s.Environ)
	problems = append(problems, more...)
	for _, layer := range []map[string]string{environment, s.Flags} {
		problems = append(problems, loadLayer(k, layer)...)
	}
	c = Default()
	problems = append(problems, decode(k, &c)...)
	problems = append(problems, c.check().without(problems)...)
	if len(problems) > 0 {
		return c, warnings, problems
	}
	return c, warnings, nil
}

func loadFile(k *koanf.Koanf, path string) Problems {
	if path == "" {
		if _, err := os.Stat(DefaultFile); errors.Is(err, os.ErrNotExist) {
			return nil
		}
		path = DefaultFile
	}
	content, err := readYAML(path)
	if err != nil {
		return Problems{fmt.Sprintf("file %s: %v", path, err)}
	}
	if err := k.Load(confmap.Provider(content, ""), nil); err != nil {
		return Problems{fmt.Sprintf("file %s: not a mapping of keys to values", path)}
	}
	var problems Problems
	for _, key := range k.Keys() {
		if !isKey(key) && !isEmptySection(k, key) {
			problems = append(problems, unknownKey(key)+" in "+path)
		}
	}
	return problems
}

// isEmptySection reports whether key is a section with nothing in it.
func isEmptySection(k *koanf.Koanf, key string) bool {
	inSection := func(s setting) bool { return strings.HasPrefix(s.key, key+".") }
	return k.Get(key) == nil && slices.ContainsFunc(settings(), inSection)
}

// readYAML reads the one document of a file. Its errors never quote a value,
// which may be a secret.
func readYAML(path string) (map[string]any, error) {
	file, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		var reason *os.PathError
		if errors.As(err, &reason) {
			return nil, reason.Err
		}
		return nil, err
	}
	defer func() { _ = file.Close() }()
	decoder := yaml.NewDecoder(file)
	var content map[string]any
	if err := decoder.Decode(&content); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, errors.New(yamlProblem(err))
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("want one YAML document")
	}
	return content, nil
}

var (
	lineNumber  = regexp.MustCompile(`line [0-9]+`)
	repeatedKey = regexp.MustCompile(`mapping key "[a-z_.]+" already defined`)
)

// yamlProblem says where a file is not valid.
func yamlProblem(err error) string {
	problem := "not valid YAML"
	if line := lineNumber.FindString(err.Error()); line != "" {
		problem += ", at " + line
	}
	if key := repeatedKey.FindString(err.Error()); key != "" {
		problem += ": " + key
	}
	return problem
}

// readEnvironment returns the settings of the environment by key.
func readEnvironment(environ []string) (values map[string]string, warnings []string, problems Problems) {
	values = map[string]string{}
	byVariable := map[string]setting{}
	for _, s := range settings() {
		byVariable[s.variable()] = s
	}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) || slices.Contains(ignoredVariables, name) {
			continue
		}
		s, direct := byVariable[name]
		if !direct {
			s = byVariable[strings.TrimSuffix(name, "_FILE")]
		}
		if !direct && s.secret == "" {
			warnings = append(warnings, fmt.Sprintf("environment variable %s is not a setting and is ignored", name))
			continue
		}
		if _, twice := values[s.key]; twice {
			problems = append(problems, fmt.Sprintf("%s: want %s or %s_FILE, not both", s.key, s.variable(), s.variable()))
			delete(values, s.key)
			continue
		}
		var problem string
		if values[s.key] = value; !direct {
			values[s.key], problem = readSecretFile(value)
		}
		if problem != "" {
			problems = append(problems, fmt.Sprintf("%s (%s): %s", s.key, name, problem))
		}
	}
	return values, warnings, problems
}

// readSecretFile returns what a file holds, without the white space around.
func readSecretFile(path string) (secret, problem string) {
	content, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	var reason *os.PathError
	if errors.As(err, &reason) {
		return "", "cannot read the file: " + reason.Err.Error() // the path may be the secret itself, in the wrong variable
	}
	if err != nil {
		return "", "cannot read the file"
	}
	if secret = strings.TrimSpace(string(content)); secret == "" {
		return "", "the file is empty"
	}
	return secret, ""
}

func loadLayer(k *koanf.Koanf, values map[string]string) Problems {
	var problems Problems
	layer := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if !isKey(key) {
			problems = append(problems, unknownKey(key))
			continue
		}
		layer[key] = values[key]
	}
	if err := k.Load(confmap.Provider(layer, "."), nil); err != nil {
		problems = append(problems, err.Error())
	}
	return problems
}

// decode fills c, one setting at a time, so that each mistake is reported by
// its key.
func decode(k *koanf.Koanf, c *Config) Problems {
	var problems Problems
	for _, s := range settings() {
		if !k.Exists(s.key) {
			continue
		}
		target := reflect.ValueOf(c).Elem().FieldByIndex(s.index).Addr().Interface()
		if expected := set(target, k.Get(s.key)); expected != "" {
			problems = append(problems, s.key+": "+expected)
		}
	}
	return problems
}

// set stores value, which comes from YAML or as a string, in target. When it
// does not fit, target stays as it is and set says what is expected, without
// quoting the value, which may be a secret in the wrong place.
func set(target, value any) (expected string) {
	switch t := target.(type) {
	case *string:
		return assign(t, "want a text", value, func(text string) (string, error) { return text, nil })
	case *bool:
		return assign(t, "want true or false", value, parseFlag)
	case *int:
		return assign(t, "want a whole number", value, strconv.Atoi)
	case *time.Duration:
		return assign(t, `want a duration such as "30s", "10m" or "24h"`, value, time.ParseDuration)
	case *[]string:
		list, ok := words(value)
		if !ok {
			return "want a list"
		}
		*t = list
	}
	return ""
}

// assign parses a scalar.
func assign[T any](target *T, expected string, value any, parse func(string) (T, error)) string {
	switch value.(type) {
	case string, int, bool:
	default:
		return expected
	}
	parsed, err := parse(fmt.Sprint(value))
	if err != nil {
		return expected
	}
	*target = parsed
	return ""
}

var errFlag = errors.New("neither true nor false")

func parseFlag(text string) (bool, error) {
	if text != "true" && text != "false" {
		return false, errFlag
	}
	return text == "true", nil
}

// words reads a list: a YAML sequence of texts, or one text with commas.
func words(value any) (list []string, ok bool) {
	if text, isText := value.(string); isText {
		for word := range strings.SplitSeq(text, ",") {
			if word = strings.TrimSpace(word); word != "" {
				list = append(list, word)
			}
		}
		return list, true
	}
	sequence, ok := value.([]any)
	for _, entry := range sequence {
		word, isText := entry.(string)
		list, ok = append(list, word), ok && isText
	}
	return list, ok || value == nil
}

// setting is one leaf of Config.
type setting struct {
	key    string
	index  []int
	secret string
}

// variable returns the name of the environment variable.
func (s setting) variable() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.key, ".", "_"))
}

// settings returns all leaves of Config in the order of their declaration.
func settings() []setting { return leaves(reflect.TypeFor[Config](), "", nil) }

func leaves(t reflect.Type, prefix string, index []int) []setting {
	var all []setting
	for i := range t.NumField() {
		field := t.Field(i)
		key := prefix + field.Tag.Get("koanf")
		at := append(slices.Clone(index), i)
		if field.Type.Kind() == reflect.Struct {
			all = append(all, leaves(field.Type, key+".", at)...)
			continue
		}
		all = append(all, setting{key: key, index: at, secret: field.Tag.Get("secret")})
	}
	return all
}

func isKey(key string) bool {
	return slices.ContainsFunc(settings(), func(s setting) bool { return s.key == key })
}

// unknownKey reports a key that does not exist, with the nearest that does.
func unknownKey(key string) string {
	best, least := "", len(key)/2+1
	for _, s := range settings() {
		if d := distance(key, s.key); d < least {
			best, least = s.key, d
		}
	}
	if best != "" {
		return fmt.Sprintf("unknown key %q (did you mean %q?)", key, best)
	}
	return fmt.Sprintf("unknown key %q", key)
}

// distance is the Levenshtein distance.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			above := row[j+1]
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(above+1, row[j]+1, diagonal+cost)
			diagonal = above
		}
	}
	return row[len(b)]
}
