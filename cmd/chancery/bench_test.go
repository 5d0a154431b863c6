package main

import (
	"net/http"
	"testing"

	"chancery/storage/pgtest"
)

// BenchmarkRefresh measures a whole refresh over HTTP, client and server in
// one process, RS256.
func BenchmarkRefresh(b *testing.B) {
	for name, environment := range map[string]func(b *testing.B) []string{
		"sqlite":   func(b *testing.B) []string { return sqliteEnv(b) },
		"postgres": func(b *testing.B) []string { return postgresEnv(b, pgtest.URL(b)) },
	} {
		b.Run(name, func(b *testing.B) {
			env := append(environment(b), listenEnv(freePort(b))...)
			first := bootstrapped(b, env)
			n := serve(b, env)
			token := n.login(first).str("refresh_token")
			b.ReportAllocs()
			for b.Loop() {
				token = n.mustPost(http.StatusOK, "/oauth/token", refreshForm(first, token)...).str("refresh_token")
			}
		})
	}
}

// BenchmarkFirstStart measures a start on an empty directory, key generation
// included, until the server listens.
func BenchmarkFirstStart(b *testing.B) {
	for b.Loop() {
		n := serve(b, append(sqliteEnv(b), "CHANCERY_LISTEN=127.0.0.1:0"))
		n.stop()
	}
}
