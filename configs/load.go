package configs

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
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
	if len(problems) == 0 {
		problems = c.check()
	}
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
	if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
		return Problems{fmt.Sprintf("file %s: %v", path, err)}
	}
	var problems Problems
	for _, key := range k.Keys() {
		if !isKey(key) {
			problems = append(problems, unknownKey(key)+" in "+path)
		}
	}
	return problems
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
		if s, ok := byVariable[name]; ok {
			values[s.key] = value
			continue
		}
		s, ok := byVariable[strings.TrimSuffix(name, "_FILE")]
		if !ok || s.secret == "" {
			warnings = append(warnings, fmt.Sprintf("environment variable %s is not a setting and is ignored", name))
			continue
		}
		content, err := os.ReadFile(value) //nolint:gosec // the operator names the file
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s (%s): %v", s.key, name, err))
			continue
		}
		values[s.key] = strings.TrimSpace(string(content))
	}
	return values, warnings, problems
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
		target := reflect.ValueOf(c).Elem().FieldByIndex(s.index)
		decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
			Result: target.Addr().Interface(), WeaklyTypedInput: true,
			DecodeHook: mapstructure.ComposeDecodeHookFunc(mapstructure.StringToTimeDurationHookFunc(), mapstructure.StringToSliceHookFunc(",")),
		})
		if err != nil {
			problems = append(problems, err.Error())
			continue
		}
		value := k.Get(s.key)
		if target.Type() == reflect.TypeFor[time.Duration]() {
			value = fmt.Sprint(value) // a bare number has no unit and is refused
		}
		if err := decoder.Decode(value); err != nil {
			problems = append(problems, s.key+": "+s.expected(target.Type()))
		}
	}
	return problems
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

// expected says what a value must look like. The value itself is not quoted:
// it may be a secret in the wrong place.
func (s setting) expected(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return `want a duration such as "30s", "10m" or "24h"`
	case t.Kind() == reflect.Bool:
		return "want true or false"
	case t.Kind() == reflect.Int:
		return "want a whole number"
	case t.Kind() == reflect.Slice:
		return "want a list"
	}
	return "want a text"
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
