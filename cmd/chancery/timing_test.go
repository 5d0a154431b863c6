package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"chancery/storage/pgtest"
)

// timingSamples is how many logins of each kind are measured at least.
const timingSamples = 250

// BenchmarkLoginTiming measures how long refused logins take, in turn, with
// the default cost of hashes: what the median tells of an account it reports
// beside that of a name that does not exist, and fails over 5 %. Run it on a
// quiet machine, with -benchtime 1x.
func BenchmarkLoginTiming(b *testing.B) { // attack 11
	for _, database := range []string{"sqlite", "postgres"} {
		b.Run(database, func(b *testing.B) {
			env := sqliteEnv(b)
			if database == "postgres" {
				env = postgresEnv(b, pgtest.URL(b))
			}
			env = slices.DeleteFunc(env, func(entry string) bool { return slices.Contains(cheap, entry) })
			env = append(append(env, listenEnv(freePort(b))...), "CHANCERY_THROTTLE_ENABLED=false", "CHANCERY_LOG_LEVEL=error")
			const right = "vexing-cobalt-otter"
			first := bootstrapped(b, env)
			for _, name := range []string{"known", "banned", "changing"} {
				args := []string{"users", "create", "--username", name, "--email", name + "@mail.example", "--email-verified", "--password-stdin"}
				if _, stderr, code := tryCLI(env, right, append(args, fmt.Sprintf("--must-change=%v", name == "changing"))...); code != exitOK {
					b.Fatal(stderr)
				}
			}
			cli(b, env, "users", "ban", "banned", "--forever")
			n := serve(b, env)
			kinds := []struct{ name, username, password string }{
				{"unknown", "nobody", right},
				{"unknown-again", "noboby", right},
				{"wrong-password", "known", "wrong-cobalt-otter"},
				{"wrong-password-by-address", "known@mail.example", "wrong-cobalt-otter"},
				{"unknown-address", "nobody@mail.example", right},
				{"banned", "banned", right},
				{"must-change", "changing", right},
				{"impossible-name", "two words", right},
				{"long-name", strings.Repeat("x", 5000), right},
			}
			took := make([][]time.Duration, len(kinds))
			for range max(timingSamples, b.N) {
				for i, kind := range kinds {
					begun := time.Now()
					n.mustPost(http.StatusBadRequest, "/oauth/token", "grant_type", "password", "client_id", first.ClientID, "username", kind.username, "password", kind.password)
					took[i] = append(took[i], time.Since(begun))
				}
			}
			unknown := median(took[0])
			b.ReportMetric(float64(unknown.Microseconds())/1000, "unknown-ms")
			for i, kind := range kinds[1:] {
				ratio := float64(median(took[i+1])) / float64(unknown)
				b.ReportMetric(ratio, kind.name+"/unknown")
				if ratio < 0.95 || ratio > 1.05 {
					b.Errorf("%s takes %s, an unknown name %s", kind.name, median(took[i+1]), unknown)
				}
			}
		})
	}
}

func median(durations []time.Duration) time.Duration {
	slices.Sort(durations)
	return durations[len(durations)/2]
}
