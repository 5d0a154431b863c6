# Tasks of the project. "make check" is what must pass before a review.

TOOLS := go tool -modfile=.ci/tools/go.mod
FUZZTIME ?= 5s

.PHONY: build test check tidy lint fuzz vulnerabilities browser latency race bench format

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

bench:
	go test -run '^$$' -bench . -benchmem ./...
