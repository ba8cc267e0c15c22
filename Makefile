# make            builds every program into build/
# make run        starts nsqlookupd, a broker and the console to try things out (Ctrl-C stops all;
#                 on other ports: make run PORTS='5150 5151 5160 5161 5171')
# make demo       shows the broker at work and checks what it sees
# make test       runs the tests with the race detector
# make test-386   runs the tests of daemons, client and what they are made of, but the longest,
#                 where an int has 32 bits
# make crash      runs thousands of histories of the store of durable topics, with kills and power cuts;
#                 what fails names the seed that repeats it (CRASHES=20000 for more)
# make interop    runs clients that others wrote against our daemons (needs Node.js)
# make check      runs everything else that must hold before a change goes in
# make generate   writes what tells of the options anew: example configs, docs/configuration.md,
#                 manual pages, completion for shells; and THIRD-PARTY-LICENSES, what is linked into them
# make bench      measures what messages cost (BENCHFLAGS=-run=sub for some; docs/performance.md)
# make bench-guard BASE=revision   fails if nsqd of HEAD costs more than that of the revision
# make soak       loads an nsqd with everything at once for 10 minutes and accounts for every message
#                 (SOAKFLAGS=-for=1m; docs/performance.md)
# make dist       makes the release archives of all platforms in build/, and their checksums
# make packages   makes deb and rpm, for amd64 and arm64, in build/ (contrib/packages/README.md)
# make install    installs the programs below $(DESTDIR)$(PREFIX)

PREFIX   ?= /usr/local
DESTDIR  ?=
BLDDIR   ?= build
BLDFLAGS ?=
# By number, not time: the fuzzer can report the end of its time as a failure.
FUZZTIME ?= 2000x
GO       ?= go
EXE      := $(shell $(GO) env GOEXE)

# A checkout that belongs to somebody else, as in a container, builds too. Without paths in what
# is compiled, programs, tests, checks and releases share it, also with other checkouts. What go
# test would vet, make check does.
export GOFLAGS := $(GOFLAGS) -buildvcs=false -trimpath -vet=off

# Only the race detector needs C.
export CGO_ENABLED := 0

# Programs are directories; the load generators in bench/ are built but not installed.
# A directory with a go.mod is a module of its own, with nothing to build.
mains     = $(patsubst %/,%,$(filter-out $(dir $(wildcard $(1)/*/go.mod)),$(wildcard $(1)/*/)))
installed = $(patsubst apps/%,$(BLDDIR)/%$(EXE),$(call mains,apps))
programs  = $(installed) $(patsubst bench/%,$(BLDDIR)/%$(EXE),$(call mains,bench))

# What a program may be made of: embedded files too, and the directories
# themselves, which change when a file is removed; their slash tells bench/ from
# the target bench.
sources = $(shell find $(wildcard apps/ bench/ internal/ nsq/ nsqd/ nsqlookupd/ nsqadmin/) \
            \( -name testdata -o -path bench/interop \) -prune -o ! -name '*_test.go' -print) go.mod go.sum

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.PHONY: all install clean run demo bench bench-guard soak generate generated test test-386 crash interop check gofmt vet staticcheck fuzz tidy cross deploy packaged prometheus

all: $(programs)

$(programs): $(BLDDIR)/%$(EXE): $(sources)
	$(GO) build $(BLDFLAGS) -o $@ ./$(wildcard apps/$* bench/$*)
	@touch $@

install: $(installed)
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 0755 $(installed) $(DESTDIR)$(PREFIX)/bin

clean:
	rm -rf $(BLDDIR)

# The ports of make run: TCP and HTTP of nsqd, TCP and HTTP of nsqlookupd, HTTP of nsqadmin.
PORTS    ?= 4150 4151 4160 4161 4171
# More flags of nsqd.
RUNFLAGS ?=
port      = 127.0.0.1:$(word $(1),$(PORTS))

run: $(filter $(patsubst %,$(BLDDIR)/%$(EXE),nsqd nsqlookupd nsqadmin to_nsq nsq_tail),$(programs))
	@test $(words $(PORTS)) -eq 5 || { echo "PORTS='$(PORTS)' must be five: nsqd TCP and HTTP, nsqlookupd TCP and HTTP, nsqadmin HTTP"; exit 2; } >&2
	@mkdir -p data
	@echo "Starting a broker on port $(word 1,$(PORTS)) (HTTP: $(word 2,$(PORTS))) with its data in ./data, nsqlookupd on $(word 3,$(PORTS)) (HTTP: $(word 4,$(PORTS))),"
	@echo "and nsqadmin: http://$(call port,5)/ in a browser shows topics, channels and messages as they come and go."
	@echo "In another terminal:"
	@echo
	@echo "  publish   curl -d 'hello' 'http://$(call port,2)/pub?topic=greetings'"
	@echo "            echo hello | $(BLDDIR)/to_nsq --nsqd-tcp-address=$(call port,1) --topic=greetings"
	@echo "  read      $(BLDDIR)/nsq_tail --lookupd-http-address=$(call port,4) --topic=greetings --channel=reader"
	@echo "  find      curl 'http://$(call port,4)/lookup?topic=greetings'"
	@echo
	@$(if $(findstring durability,$(RUNFLAGS)),,echo "What is published survives a kill of the broker; with make run RUNFLAGS=--durability=fsync also a power cut."; echo)
	@echo "Ctrl-C stops all."
	@contrib/run.sh $(BLDDIR) $(PORTS) --data-path=data --durability=disk $(RUNFLAGS)

demo: all
	@$(BLDDIR)/nsq_demo$(EXE)

# BENCHFLAGS as they were written, split at spaces alone: make and the shell would take
# -run=^(sub|pubsub)$$ apart.
bench_flags = set -f; flags='$(subst ','\'',$(value BENCHFLAGS))'

bench: $(filter $(patsubst %,$(BLDDIR)/%$(EXE),nsqd nsq_bench),$(programs))
	@$(bench_flags); exec $(BLDDIR)/nsq_bench$(EXE) -json=$(BLDDIR)/bench.json -svg=$(BLDDIR)/bench.svg $$flags

bench-guard: $(filter $(BLDDIR)/nsq_bench$(EXE),$(programs))
	@$(bench_flags); GO=$(GO) contrib/bench-guard.sh $(BLDDIR)/nsq_bench$(EXE) "$(BASE)" $$flags

soak: $(filter $(patsubst %,$(BLDDIR)/%$(EXE),nsqd nsq_soak),$(programs))
	@$(BLDDIR)/nsq_soak$(EXE) $(SOAKFLAGS)

generate: $(installed)
	@$(GO) run ./contrib/generate -bin=$(BLDDIR)
	@$(call licenses)

# Of all that the programs of any release are made of.
licenses = cd contrib/packages && $(GO) run ./licenses $(1) -dir=$(CURDIR) -out=$(CURDIR)/THIRD-PARTY-LICENSES \
  -platforms='$(release_platforms)' $(addprefix ./,$(call mains,apps))
release_platforms = linux-amd64 linux-arm64 darwin-amd64 darwin-arm64 freebsd-amd64 windows-amd64

# Begun first, so that no processor waits for them in the end. Tests wait more than they
# compute, so there are more at a time than processors.
longest  = ./nsqd ./nsqlookupd ./nsqadmin
parallel = -p $$((2 * $$(getconf _NPROCESSORS_ONLN)))

# What runs the tests: flags and packages are added.
gotest ?= $(GO) test

# The programs that tests start are built once for all packages. C, of which only what programs
# do not use has much, need not be fast.
race = CGO_ENABLED=1 CGO_CFLAGS=-O0

test:
	@contrib/setup.sh
	@mkdir -p $(BLDDIR)/race
	$(race) $(GO) build -race -ldflags='-s -w' -o $(BLDDIR)/race/ $(addprefix ./,$(call mains,apps) $(call mains,bench))
	NSQ_TEST_PROGRAMS=$(abspath $(BLDDIR))/race NSQ_BROWSER=must $(race) \
	  $(gotest) $(parallel) -race $(longest) ./...

# What computes with sizes, offsets and counters. Without the race detector, which is not to
# be had there, so some tests do more.
packages_386 ?= ./nsqd ./nsqlookupd ./nsq $$($(GO) list ./internal/... | grep -vE '/(doctest|clustertest)$$')

test-386:
	GOARCH=386 $(GO) test $(parallel) -short $(packages_386)

# How many histories: 2,000 take about a quarter of a minute.
CRASHES ?= 2000

crash:
	@out=$$($(GO) test -count=1 -run='^TestCrashes' ./internal/store -rapid.checks=$(CRASHES) 2>&1) || { echo "$$out"; exit 1; } >&2
	@echo "$(CRASHES) histories with crashes: what was acknowledged was there"

interop:
	@npm ci --prefix contrib/interop/nsqjs --no-audit --no-fund
	NSQ_INTEROP=1 $(GO) test -count=1 -v ./contrib/interop/...
	cd bench/interop && $(gotest) -count=1 ./...
	cd bench/interop && $(GO) test -run='^$$' -bench=. -benchtime=1x ./...

# Archives and packages are built with -trimpath and without dates, so that the same source
# and Go give the same bytes everywhere.
VERSION          := $(shell sed -n 's/^const Binary = "\(.*\)"/\1/p' internal/version/version.go)
release           = nsq-$(VERSION).$(1).$(shell $(GO) env GOVERSION)
dist_platforms   ?= $(release_platforms)
package_archs    ?= amd64 arm64
package_formats  ?= deb rpm

# The programs of one platform, alone in a directory: build/linux-amd64. The go command knows
# what is up to date.
.PHONY: dist packages $(addprefix dist/,$(dist_platforms)) $(addprefix programs/,$(dist_platforms)) $(addprefix packages/,$(package_archs))
$(addprefix programs/,$(dist_platforms)): programs/%:
	@rm -rf $(BLDDIR)/$* && mkdir -p $(BLDDIR)/$*
	@GOOS=$(word 1,$(subst -, ,$*)) GOARCH=$(word 2,$(subst -, ,$*)) \
	  $(GO) build -ldflags='-s -w' -o $(BLDDIR)/$*/ $(addprefix ./,$(call mains,apps))

$(addprefix dist/,$(dist_platforms)): dist/%: programs/%
	@cd contrib/packages && $(GO) run ./archive -bin=$(abspath $(BLDDIR))/$* -out=$(abspath $(BLDDIR))/$(call release,$*).tar.gz \
	  $(CURDIR)/LICENSE $(CURDIR)/THIRD-PARTY-LICENSES

dist: $(addprefix dist/,$(dist_platforms))
	@cd $(BLDDIR) && $$(command -v sha256sum || echo shasum -a 256) $(foreach p,$(dist_platforms),$(call release,$(p)).tar.gz) \
	  >nsq-$(VERSION).sha256 && cat nsq-$(VERSION).sha256

$(addprefix packages/,$(package_archs)): packages/%: programs/linux-%
	@for format in $(package_formats); do \
	  ARCH=$* BIN=$(BLDDIR)/linux-$* VERSION=$(VERSION) $(GO) tool -modfile=contrib/packages/go.mod nfpm package \
	    --config=contrib/packages/nfpm.yaml --packager=$$format --target=$(BLDDIR)/ || exit 1; \
	done

packages: $(addprefix packages/,$(package_archs))

# Each of these says nothing when all is well.
check: gofmt vet staticcheck tidy cross generated deploy prometheus packaged fuzz

gofmt:
	@files=$$("$$($(GO) env GOROOT)/bin/gofmt" -l .) || exit 1; \
	test -z "$$files" || { echo "not gofmt-ed:"; echo "$$files"; exit 1; } >&2

vet:
	@$(GO) vet ./...
	@cd bench/interop && $(GO) vet ./...
	@cd contrib/deploy && $(GO) vet ./...
	@cd contrib/packages && $(GO) vet ./...
	@cd contrib/prometheus && $(GO) vet ./...

staticcheck:
	@$(GO) tool -modfile=contrib/tools/go.mod staticcheck ./...
	@cd bench/interop && $(GO) tool -modfile=../../contrib/tools/go.mod staticcheck ./...
	@cd contrib/deploy && $(GO) tool -modfile=../tools/go.mod staticcheck ./...
	@cd contrib/packages && $(GO) tool -modfile=../tools/go.mod staticcheck ./...
	@cd contrib/prometheus && $(GO) tool -modfile=../tools/go.mod staticcheck ./...

tidy:
	@$(GO) mod tidy -diff
	@cd contrib/tools && $(GO) mod tidy -diff
	@cd bench/interop && $(GO) mod tidy -diff
	@cd contrib/deploy && $(GO) mod tidy -diff
	@cd contrib/packages && $(GO) mod tidy -diff
	@cd contrib/prometheus && $(GO) mod tidy -diff

platforms = windows/amd64 darwin/arm64 linux/386
cross: $(addprefix cross/,$(platforms))

.PHONY: $(addprefix cross/,$(platforms))
# vet compiles everything, tests too; the two largest programs are linked, which have what all have.
$(addprefix cross/,$(platforms)): cross/%:
	@export GOOS=$(*D) GOARCH=$(*F); $(GO) vet ./... && $(GO) build -ldflags='-s -w' ./apps/nsqd ./apps/nsqadmin

# The programs are made in silence.
generated:
	@$(MAKE) -s $(installed) >/dev/null
	@$(GO) run ./contrib/generate -bin=$(BLDDIR) -check
	@$(call licenses,-check)

# The Dockerfile's steps and what stands beside it, without an engine or a cluster.
deploy:
	@out=$$(cd contrib/deploy && $(GO) test -count=1 ./... 2>&1) || { echo "$$out"; exit 1; } >&2

# Archive, deb and rpm for this machine; the deb is installed and removed where it may be.
packaged:
	@out=$$(cd contrib/packages && $(GO) test -count=1 ./... 2>&1) || { echo "$$out"; exit 1; } >&2

# The queries of dashboard and alert rules, and when those fire.
prometheus:
	@out=$$(cd contrib/prometheus && $(GO) test -count=1 ./... 2>&1) || { echo "$$out"; exit 1; } >&2

# A short run of every fuzz function there is; what fails is shown whole. One test binary
# for all functions of a package, and a cache for each package: functions may have the same name.
# What guides the fuzzer is compiled into our packages alone, as go test -c -fuzz does into all
# there are: they are what is tested, and the others need not be compiled once more.
guided = -gcflags=$(shell sed -n 's/^module //p' go.mod)/...=-d=libfuzzer

fuzz:
	@mkdir -p $(BLDDIR)/fuzz && bin=$$(cd $(BLDDIR)/fuzz && pwd) || exit 1; \
	for dir in $$(grep -rlE --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
	  $(GO) test -c $(guided) -o "$$bin/fuzz.test" "$$dir" || exit 1; \
	  for func in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$$dir"/*_test.go | cut -d' ' -f2); do \
	    out=$$(cd "$$dir" && "$$bin/fuzz.test" -test.run='^$$' -test.fuzz="^$$func\$$" -test.fuzztime=$(FUZZTIME) \
	      -test.fuzzminimizetime=1000x -test.fuzzcachedir="$$bin/cache/$$dir" 2>&1) && \
	      case $$out in *'without coverage guidance'*) false ;; esac || \
	      { echo "$$dir: $$func"; echo "$$out"; exit 1; } >&2; \
	  done || exit 1; \
	done
