# Exhibit. `make build` makes bin/exhibit, `make demo` shows it at work, `make test` runs every test.
# Any Go from 1.21 will do: it fetches the version that go.mod names by itself.

# Whatever the environment says: a Go told to stay `local` would refuse go.mod's newer version.
export GOTOOLCHAIN := auto
export CGO_ENABLED := 0

GO_MINOR := $(shell GOTOOLCHAIN=local go version 2>/dev/null | sed -n 's/^go version .*go1\.\([0-9][0-9]*\).*/\1/p')
ifeq ($(shell command -v go 2>/dev/null),)
  $(error Exhibit is built with Go, and there is no `go` on your PATH: install Go 1.21 or newer)
endif
ifeq ($(GO_MINOR),)
  $(error `go version` failed or printed something unexpected: install Go 1.21 or newer)
endif
ifeq ($(shell test $(GO_MINOR) -ge 21 && echo yes),)
  $(error Exhibit needs Go 1.21 or newer, and this is Go 1.$(GO_MINOR))
endif

# Without git, or in a checkout that belongs to somebody else (git then refuses to look), the version is unknown.
VERSION := $(shell git describe --always --dirty --tags 2>/dev/null | tr -cd 'A-Za-z0-9.+-')
VERSION := $(or $(VERSION),unknown)

BUILD := go build -trimpath -buildvcs=false
# Keys that are held elsewhere: make build TAGS=pkcs11 (tokens; needs a C compiler), TAGS=kms (key services), or TAGS=pkcs11,kms.
TAGS ?=
TESTFLAGS ?=
FUZZTIME ?= 10s
# What tests check our output with, and Debian does not have. They are built from .ci/tools: eight minutes of one core.
TOOLS := bin/cosign bin/bundlecheck bin/timestamp-server bin/publicwitness
LINTER := github.com/golangci/golangci-lint/v2/cmd/golangci-lint

.PHONY: build demo test test-token kms test-kms tools race lint cross fuzz bench faults cftt soak vmbench clean
.DEFAULT_GOAL := build

build: ## static bin/exhibit
	CGO_ENABLED=$(if $(findstring pkcs11,$(TAGS)),1,0) $(BUILD) $(if $(TAGS),-tags '$(TAGS)') -ldflags '-X main.version=$(VERSION)' -o bin/exhibit ./cmd/exhibit

demo: build ## the whole way on a practice medium, in a few seconds
	bin/exhibit demo

test: ## every test; one whose tool is missing is skipped, with EXHIBIT_REQUIRE_TOOLS=1 it fails
	go test $(TESTFLAGS) ./...

test-token: ## what is built with the tag pkcs11, on tokens in software; needs a C compiler
	CGO_ENABLED=1 go vet -tags pkcs11 ./custody/token ./cmd/exhibit
	CGO_ENABLED=1 go test -tags pkcs11 $(TESTFLAGS) ./custody/token
	CGO_ENABLED=1 go test -tags pkcs11 $(TESTFLAGS) -run '^TestToken' ./cmd/exhibit

# The programs that speak to key services, each with the software of its cloud. They are a module of their own.
KMS := awskms azurekms gcpkms hashivault
kms: $(KMS:%=bin/sigstore-kms-%) ## what a program built with TAGS=kms runs to reach a key service, into bin/

bin/sigstore-kms-%: custody/kms/plugin/go.mod custody/kms/plugin/go.sum custody/kms/plugin/plugin.go custody/kms/plugin/%/main.go
	cd custody/kms/plugin && $(BUILD) -o $(CURDIR)/$@ ./$*

test-kms: bin/sigstore-kms-hashivault ## what is built with the tag kms, against a double of a key service
	go vet -tags kms ./custody/kms ./cmd/exhibit
	go test -tags kms $(TESTFLAGS) ./custody/kms
	go test -tags kms $(TESTFLAGS) -run '^TestServiceScripts$$' ./cmd/exhibit

# Of the commands only the script with several at once: the others do nothing in parallel that the packages' own tests do
# not, and unlocking a key takes seconds under the detector.
race: ## the tests under the race detector, which needs a C compiler
	CGO_ENABLED=1 go test -race $(TESTFLAGS) $$(go list ./... | grep -v '/cmd/exhibit$$')
	CGO_ENABLED=1 go test -race $(TESTFLAGS) -run '^TestScripts$$/^atonce$$' ./cmd/exhibit

lint: bin/golangci-lint ## the house rules of .golangci.yml
	bin/golangci-lint run ./...
	CGO_ENABLED=1 bin/golangci-lint run --build-tags pkcs11,kms ./custody/token ./custody/kms ./cmd/exhibit

bin/golangci-lint: .ci/tools/go.mod .ci/tools/go.sum
	cd .ci/tools && $(BUILD) -o $(CURDIR)/bin/golangci-lint $(LINTER)

tools: $(TOOLS) ## cosign and other tools that tests look for, into bin/

bin/cosign: .ci/tools/go.mod .ci/tools/go.sum
	cd .ci/tools && $(BUILD) -o $(CURDIR)/bin/cosign github.com/sigstore/cosign/v3/cmd/cosign

bin/bundlecheck: .ci/tools/go.mod .ci/tools/go.sum .ci/tools/bundlecheck/main.go
	cd .ci/tools && $(BUILD) -o $(CURDIR)/bin/bundlecheck ./bundlecheck

bin/timestamp-server: .ci/tools/go.mod .ci/tools/go.sum
	cd .ci/tools && $(BUILD) -o $(CURDIR)/bin/timestamp-server github.com/sigstore/timestamp-authority/v2/cmd/timestamp-server

bin/publicwitness: .ci/tools/publicwitness/go.mod .ci/tools/publicwitness/go.sum .ci/tools/publicwitness/main.go
	cd .ci/tools/publicwitness && $(BUILD) -o $(CURDIR)/bin/publicwitness .

cross: ## what must build elsewhere: everything for Windows and macOS, verify for the browser
	GOOS=windows GOARCH=amd64 $(BUILD) ./...
	GOOS=darwin GOARCH=arm64 $(BUILD) ./...
	GOOS=js GOARCH=wasm $(BUILD) ./verify/...

fuzz: ## every fuzz target for FUZZTIME (10s)
	bash .ci/fuzz $(FUZZTIME)

bench: build ## the speed table against other tools; ROW=name for one row
	go run ./internal/bench $(if $(ROW),-row $(ROW))

faults: ## what is lost of failing media, beside other tools; FAULT=name for one fault; needs root
	go run ./internal/faults $(if $(FAULT),-fault $(FAULT))

cftt: build ## NIST's disk imaging cases, into docs/cftt.md; CASE=FT-DI-01 for one case; needs root
	go run ./internal/cftt $(if $(CASE),-case $(CASE))

vmbench: ## real drivers and a stick pulled out, in a virtual machine; docs/tested-media.md says what it needs
	go run ./internal/vmbench

# Tests that have more to try than a test run should take look at EXHIBIT_SOAK.
soak: ## the tests of reading and resuming at length, and a million events; needs root
	EXHIBIT_SOAK=1 EXHIBIT_REQUIRE_TOOLS=1 go test -count=1 -timeout 4h $(TESTFLAGS) ./acquire/... ./custody ./internal/faultdisk ./cmd/exhibit

clean:
	rm -rf bin
