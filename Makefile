# Tasks of the project. "make check" is what must pass before a review.

TOOLS := go tool -modfile=.ci/tools/go.mod
FUZZTIME ?= 5s

.PHONY: build test check tidy lint fuzz vulnerabilities browser latency race bench benchmarks format

build:
	CGO_ENABLED=0 go build -trimpath -o bin/chancery ./cmd/chancery

test:
	go test ./...

# The race tests come last, so that the run closes with their summary.
check: tidy lint fuzz vulnerabilities browser race

tidy:
	go mod tidy -diff
	go mod verify

lint:
	$(TOOLS) golangci-lint run ./...

format:
	$(TOOLS) golangci-lint fmt ./...

# Every fuzz target of the tree, each for FUZZTIME.
fuzz:
	@.ci/fuzz $(FUZZTIME)

# The database of vulnerabilities may be out of reach: that is said, and no
# failure.
vulnerabilities:
	@.ci/vulnerabilities

# In Debian's chromium, which must be there.
browser:
	go test -tags browser -run Browser ./cmd/chancery

# How soon verifiers refuse a revoked session, over three nodes. It wants the
# machine for itself.
latency:
	CHANCERY_TEST_POSTGRES_REQUIRED=1 go test -tags latency -run RevocationLatency -v ./cmd/chancery

# Both databases must be there.
race:
	CHANCERY_TEST_POSTGRES_REQUIRED=1 go test -race ./authz/... ./keys/... ./storage/... ./web/...

# What an operation costs the running program on SQLite and on Postgres, beside
# what it may cost. It wants the machine for itself.
bench:
	CHANCERY_TEST_POSTGRES_REQUIRED=1 go test -tags bench -run TestTable -v -count=1 -timeout 30m ./cmd/loadgen

# The steps of a request, each by itself.
benchmarks:
	go test -run '^$$' -bench . -benchmem ./...
