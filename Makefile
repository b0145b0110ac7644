# Two commands do everything on a fresh Debian 12 with a Rust toolchain:
#   make run    installs what is missing, builds, runs the switch between two namespaces
#   make test   installs what is missing, runs every check and every test

CARGO ?= cargo
.DEFAULT_GOAL := help
.PHONY: help run test build check asan fuzz bench compare compare-all clean

help:
	@echo "make run    build weir and run it between the namespaces 'left' and 'right'"
	@echo "make test   formatting, clippy, rustdoc and all tests"
	@echo "make build  the release binary, target/release/weir"
	@echo "make asan   unit tests of the crates without DPDK under AddressSanitizer (nightly toolchain)"
	@echo "make fuzz   each fuzz target for SECONDS (default 600)"
	@echo "make bench  forwarding rate, cycles and allocations per packet"
	@echo "make compare  the rates that have targets, beside testpmd and Open vSwitch"
	@echo "make compare-all  all further scenarios; goes on where it was broken off"
	@echo "make compare BASE=COMMIT  this version beside an earlier one"

build:
	@.ci/install run
	$(CARGO) build --release --bin weir

run: build
	@examples/two-namespaces.sh $(or $(CARGO_TARGET_DIR),target)/release/weir

check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --quiet --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --quiet --workspace --no-deps

# Unit and property tests first, whole-switch tests last: they are what the rest is for.
test:
	@.ci/install test
	@$(MAKE) --no-print-directory check
	$(CARGO) test --quiet --workspace --exclude weir-tests --lib --bins --tests
	$(CARGO) build --quiet --bin weir
	$(CARGO) test -p weir-tests

asan:
	@.ci/asan

SECONDS ?= 600
fuzz:
	@tests/fuzz/run.sh $(SECONDS)

# Rates are per second of the worker's own processor time. BENCH=--strict refuses figures while
# other programs use the worker's core; BENCH='--keep perf/runs' keeps results, BENCH='--scenarios
# firewall-10k' measures those alone. All want free huge pages, or much memory without:
#   echo 2900 > /proc/sys/vm/nr_hugepages
BENCH ?=
BASE ?=
bench compare compare-all:
	@.ci/install bench
	$(CARGO) build --release --bin weir
	$(CARGO) run --release -p weir-perf -- \
	  $(if $(and $(filter compare,$@),$(BASE)),against $(BASE),$@) $(BENCH)

clean:
	$(CARGO) clean
