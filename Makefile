# Builds, installs and tests gnt-ha. `make help` lists the targets.

PREFIX ?= /usr
DESTDIR ?=
CARGO ?= cargo
# The path of cargo-nextest, if it is installed: it runs each test in a process of its own.
NEXTEST := $(shell command -v cargo-nextest)
# The crates and features of all tests: with another selection cargo would build most of them again.
TESTED := --locked --workspace --exclude model
REAL := --features e2e/real,real-watchdog/real
OUT := target/release
MANUALS := target/manuals
SBOM := target/sbom/gnt-ha.cdx.json
FUZZ := target/fuzz
LINT := target/lint
LABS := target/labs
# The number of labs that run at the same time.
LABS_AT_ONCE ?= 2
FUZZ_SECONDS ?= 30
SOAK_HOURS ?= 8

SBIN := $(DESTDIR)$(PREFIX)/sbin
LIB := $(DESTDIR)$(PREFIX)/lib/gnt-ha
SHARE := $(DESTDIR)$(PREFIX)/share
UNITS := $(DESTDIR)$(PREFIX)/lib/systemd/system
# Pacemaker searches agents in /usr/lib/ocf only: with another PREFIX they have to be linked there.
OCF := $(DESTDIR)$(PREFIX)/lib/ocf/resource.d/ganeti
# The directories of Ganeti that get the hook script.
HOOKS := cluster-verify-post.d config-update-post.d instance-add-pre.d instance-failover-pre.d instance-migrate-pre.d \
    instance-modify-pre.d instance-move-pre.d instance-reboot-pre.d instance-start-pre.d master-ip-turnup-post.d node-add-post.d \
    node-modify-pre.d node-modify-post.d node-remove-post.d watcher

# Two targets at once would wait for each other's lock of dpkg or of cargo, or fail; cargo itself works in parallel.
.NOTPARALLEL:

.PHONY: help requirements build install demo test test-quick test-real labs soak watchdog model mutants lint deny bench fuzz sbom deb deb-check

help:
	@echo 'make build       build the programs, their manual pages and completions'
	@echo 'make install     install below DESTDIR (now "$(DESTDIR)") and PREFIX (now "$(PREFIX)")'
	@echo 'make demo        run a cluster on this machine whose master fails (Debian 12 or 13, root)'
	@echo 'make test        run lint, the quick tests and the tests with real daemons (Debian 12 or 13, root)'
	@echo 'make test-quick  run the tests that need no daemon: seconds'
	@echo 'make model       check the argument of docs/shunning.md with a model checker: a minute'
	@echo 'make mutants     plant faults in deciding functions, which the model or a test must find: ten minutes and more'
	@echo 'make test-real   run the tests with real Ganeti, Pacemaker and BMC simulators, in namespaces'
	@echo 'make labs        run only the labs of test-real'
	@echo 'make soak        run all tests on each release, for a night (SOAK_HOURS)'
	@echo 'make watchdog    test self-fencing with a watchdog that resets a QEMU machine: about a minute'
	@echo 'make bench       measure, beside fence_ipmilan and ipmitool (Debian 12, root)'
	@echo 'make fuzz        fuzz each parser for FUZZ_SECONDS (now $(FUZZ_SECONDS)); needs cargo-fuzz and a C++ compiler'
	@echo 'make deb         build the package for this Debian, in target/deb, or for SYSTEM=debian-13 (root)'
	@echo 'make sbom        write the SBOM of the programs (CycloneDX) to $(SBOM)'
	@echo 'make deb-check   check the package with lintian, and install, upgrade and remove it in a root of its own (root)'
	@echo 'make deny        check licences and sources of the dependencies; needs cargo-deny'

build:
	$(CARGO) build --release --locked
	$(CARGO) run --release --locked --quiet --package manuals -- $(MANUALS)

# Replaces a program at once: for Pacemaker, an agent that is missing or empty for a moment is a hard error.
PROGRAM = install -D -m 0755 $(OUT)/$(1) $(2)/$(1).new && mv -f $(2)/$(1).new $(2)/$(1)

install: build
	$(call PROGRAM,fence_ganeti,$(SBIN))
	$(call PROGRAM,gnt-ha,$(SBIN))
	$(call PROGRAM,ganeti-oob,$(LIB))
	$(call PROGRAM,noded-call,$(LIB))
	$(call PROGRAM,redfish-call,$(LIB))
	$(call PROGRAM,gnt-ha-alert,$(LIB))
	$(call PROGRAM,ganeti-master-role,$(OCF))
	$(call PROGRAM,ganeti-node-role,$(OCF))
	for section in 5 7 8; do \
	    install -d -m 0755 $(SHARE)/man/man$$section && \
	    install -m 0644 $(MANUALS)/man$$section/*.$$section $(SHARE)/man/man$$section/ || exit 1; \
	done
	for program in fence_ganeti ganeti-oob gnt-ha; do \
	    install -D -m 0644 $(MANUALS)/completions/$$program.bash \
	        $(SHARE)/bash-completion/completions/$$program && \
	    install -D -m 0644 $(MANUALS)/completions/_$$program \
	        $(SHARE)/zsh/vendor-completions/_$$program && \
	    install -D -m 0644 $(MANUALS)/completions/$$program.fish \
	        $(SHARE)/fish/vendor_completions.d/$$program.fish || exit 1; \
	done
	install -D -m 0644 docs/config.toml $(SHARE)/doc/gnt-ha/examples/config.toml
	install -m 0644 docs/monitoring/gnt-ha.rules.yml docs/monitoring/dashboard.json $(SHARE)/doc/gnt-ha/examples/
	install -D -m 0644 README.md $(SHARE)/doc/gnt-ha/README.md
	install -d -m 0755 $(UNITS) $(SHARE)/doc/gnt-ha/examples/init
	install -m 0644 units/*.service units/*.socket units/*.timer $(UNITS)/
	install -m 0755 units/init/* $(SHARE)/doc/gnt-ha/examples/init/
	install -d -m 0755 $(DESTDIR)/etc/gnt-ha
	for hook in $(HOOKS); do \
	    install -D -m 0755 packaging/hooks/gnt-ha $(DESTDIR)/etc/ganeti/hooks/$$hook/gnt-ha || exit 1; \
	done
	install -D -m 0644 packaging/gnt-ha.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/gnt-ha.conf
	install -D -m 0644 packaging/gnt-ha.logrotate $(DESTDIR)/etc/logrotate.d/gnt-ha

sbom: build
	$(CARGO) run --release --locked --quiet --package sbom -- $(SBOM) $(addprefix $(OUT)/,fence_ganeti ganeti-oob noded-call redfish-call gnt-ha \
	    gnt-ha-alert ganeti-master-role ganeti-node-role)

# SYSTEM=debian-13: in a root of that Debian, with its compiler, and the package is in target/debian-13/deb.
ifdef SYSTEM
deb deb-check:
	packaging/deb/in-root '$(SYSTEM)' $@
else
deb:
	tests/requirements --to-build dpkg-dev
	MAKE='$(MAKE)' CARGO='$(CARGO)' packaging/deb/build

deb-check: deb
	tests/requirements --to-build lintian mmdebstrap
	packaging/deb/check
endif

# Uses a target directory of its own: cargo runs one command at a time in a directory, and the tests are built meanwhile.
lint:
	tests/glossary
	tests/doc-comments
	tests/doc-paths
	tests/unit-tests
	@$(CARGO) clippy --version >/dev/null 2>&1 || \
	    { echo 'make lint needs clippy: apt install rust-clippy, or rustup component add clippy (Debian 12 has none for its compiler)' >&2; exit 1; }
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path tests/fuzz/Cargo.toml --check
	$(CARGO) clippy --locked --workspace --all-targets --target-dir $(LINT) \
	    --features e2e/real,real-watchdog/real -- -D warnings
	$(CARGO) clippy --locked --manifest-path tests/fuzz/Cargo.toml --no-default-features --target-dir $(LINT) -- -D warnings

deny:
	$(CARGO) fetch --locked
	$(CARGO) deny --offline check licenses bans sources

requirements:
	tests/requirements

# SYSTEM=debian-13: on hosts of another system than this machine's; tests/lab/README.md has their names.
demo: requirements build
	$(if $(SYSTEM),tests/requirements mmdebstrap)
	$(CARGO) build --release --locked --package lab --package e2e
	$(if $(SYSTEM),GNT_HA_LAB_SYSTEM='$(SYSTEM)') $(OUT)/demo

# Checks the argument of docs/shunning.md, also without each of its conditions.
model:
	$(CARGO) test --locked --profile model --package model -- --nocapture --test-threads 1

# Results are kept below target: an interrupted run continues. MUTANTS='600 NAME...' sets the seconds and the mutants.
mutants:
	$(CARGO) run --locked --quiet --package mutants -- $(MUTANTS)

# Parts that only compute run beside the labs, which mostly wait. At the end the time of each part is printed.
PART = '$(MAKE) --no-print-directory $(1)'
test:
	@tests/parts $(call PART,requirements) --beside $(call PART,lint) --beside $(call PART,model) \
	    $(call PART,test-quick) $(call PART,watchdog) $(call PART,labs)

test-quick:
ifdef NEXTEST
	$(CARGO) nextest run $(TESTED) --test-threads 8 --no-fail-fast
	$(CARGO) test $(TESTED) --doc --quiet
else
	$(CARGO) test $(TESTED) --no-fail-fast
endif

test-real: requirements watchdog labs

# Each lab is a separate cluster with its own name. Pacemaker's clocks are real, so a lab mostly waits.
# GNT_HA_SELF_FENCE_RUNS=100 sets the number of lost hosts, GNT_HA_STORM_EVENTS=50 the number of faults; GNT_HA_SEED repeats a run.
labs: requirements
	tests/requirements chromium crmsh mmdebstrap pcs
	$(CARGO) build $(TESTED)
	@CARGO='$(CARGO)' TESTED='$(TESTED) $(REAL)' tests/labs $(LABS) $(LABS_AT_ONCE)

# Runs all tests on each release, for SOAK_HOURS (now $(SOAK_HOURS)). An interrupted run continues.
soak: requirements
	tests/requirements chromium crmsh mmdebstrap pcs qemu-system-x86 busybox-static corosync-qdevice corosync-qnetd
	@CARGO='$(CARGO)' TESTED='$(TESTED)' REAL='$(REAL)' tests/soak target/soak $(SOAK_HOURS)

# Downloads the kernel (70 MB) and unpacks it below target, once; nothing is installed.
watchdog:
	tests/requirements qemu-system-x86 busybox-static
	$(CARGO) build $(TESTED)
	$(CARGO) test $(TESTED) $(REAL) --test reset -- --nocapture

# BENCH=--json=FILE keeps the figures; BENCH=--examples=DIR compares with Ganeti's example agents, built.
bench: requirements
	$(CARGO) build --release --locked
	$(CARGO) build --release --locked --package lab
	$(CARGO) run --release --locked --quiet --package bench -- $(BENCH)

# The sanitizers are behind a flag of the compiler that RUSTC_BOOTSTRAP opens on a stable one.
fuzz:
	@$(CARGO) fuzz --version >/dev/null 2>&1 || \
	    { echo 'make fuzz needs cargo-fuzz: cargo install cargo-fuzz --locked' >&2; exit 1; }
	@failed=; for target in $(basename $(notdir $(wildcard tests/fuzz/targets/*.rs))); do \
	    mkdir -p $(FUZZ)/corpus/$$target; \
	    RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run --fuzz-dir tests/fuzz --target-dir $(FUZZ) $$target \
	        $(FUZZ)/corpus/$$target tests/fuzz/seeds/$$target -- \
	        -max_total_time=$(FUZZ_SECONDS) -timeout=10 || failed="$$failed $$target"; \
	done; \
	[ -z "$$failed" ] || { echo "make fuzz: failed:$$failed" >&2; exit 1; }
