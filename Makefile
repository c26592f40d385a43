# Aegis: `make help` lists what there is. The scripts do the work; each says what
# it does in its first lines.

PREFIX   ?= /usr/local
GO       ?= go
FUZZTIME ?= 10s
FAULTS   ?= 200
CLONES   ?= 1000
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
export GO VERSION FUZZTIME

# One kind of build for programs, tests and lint, so that nothing is compiled twice.
export CGO_ENABLED := 0
export GOFLAGS := $(filter-out -trimpath,$(shell $(GO) env GOFLAGS)) -trimpath

# Tests of all packages share one kernel and one image; quickstart, as any user,
# has those of its own home.
test test-qemu10 assets bench faults clones lab lab-bench: export AEGIS_CACHE := $(or $(AEGIS_CACHE),$(CURDIR)/build/cache)

.PHONY: build test test-qemu10 quickstart bench faults clones lab lab-bench lab-macos sign lint fuzz build-all install assets deps clean help

build: ## all commands into bin/, static
	@scripts/build bin

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## /  make \1 \t/p' $(MAKEFILE_LIST) | expand -t 20

quickstart: ## install, build, start an instance and fetch its page
	@scripts/quickstart

test: ## everything: lint, gates, unit tests and tests on real microVMs
	@scripts/test

test-qemu10: deps build assets ## the backend's tests and the main ones with QEMU 10, as root
	@scripts/debian13 scripts/test-qemu10

bench: deps build assets ## print figures of speed (PARTS: these alone); nothing is asserted
	@scripts/deps bench
	@scripts/bench $(PARTS)

faults: deps build assets ## FAULTS (200) random kills of processes that serve and write
	@AEGIS_FAULTS=$(FAULTS) $(GO) test -v -count=1 -timeout 90m -run '^TestFaults$$' ./test/e2e

clones: deps build assets ## compare CLONES (1000) instances from one template by all
	@AEGIS_TEST_CLONES=$(CLONES) $(GO) test -v -count=1 -timeout 120m -run '^TestClones$$' ./test/e2e

lab: deps assets ## BACKEND (qemu, firecracker, libkrun) on a true KVM, in a nested machine
	@scripts/lab $(or $(BACKEND),qemu)

lab-bench: deps assets ## figures of the backends there, as ratios
	@scripts/lab figures

lab-macos: ## on a Mac: try all that docs/backends.md says of macOS
	@scripts/lab-macos

sign: build ## on a Mac: sign what runs virtual machines
	@scripts/sign bin

lint: ## gofmt, vet, staticcheck, shellcheck
	@scripts/lint

fuzz: ## each fuzz target for FUZZTIME (10s)
	@scripts/fuzz

deps: ## install the Debian packages that are missing
	@scripts/deps

assets: build ## kernel and default image for the tests, into build/cache
	@scripts/assets

build-all: ## all commands for every platform, into build/OS-ARCH/
	@for target in linux/amd64 linux/arm64 darwin/arm64; do \
		GOOS=$${target%/*} GOARCH=$${target#*/} scripts/build "build/$${target%/*}-$${target#*/}" || exit 1; \
	done

install: build ## commands, man pages, completions below PREFIX (/usr/local)
	@scripts/install bin '$(DESTDIR)$(PREFIX)'

clean: ## remove what was built, build/cache too
	rm -rf bin build
