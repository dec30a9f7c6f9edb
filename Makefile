# The front door: every target is one line to the real tool.

# Node and npm for everything: pinned, since Debian's are older than workerd's tools want.
export PATH := $(CURDIR)/deploy/node/node_modules/.bin:$(PATH)

BUILD ?= build
JOBS ?= $(shell nproc)

.PHONY: all setup contracts build asan demo test test-unit test-sim test-e2e test-kernel test-contracts test-worker \
	test-asan test-nightly bench bench-indexer bench-reconcile bench-transport bench-build soak fuzz gas image fmt lint clean

all: build

setup:
	deploy/setup

contracts: setup
	cd contracts && node_modules/.bin/forge build

build: contracts
	test -f $(BUILD)/build.ninja || meson setup $(BUILD)
	ninja -C $(BUILD) -j $(JOBS)

asan: contracts
	test -f build-asan/build.ninja || meson setup build-asan -Db_sanitize=address,undefined -Db_lundef=false
	ninja -C build-asan -j $(JOBS)

demo: build
	test/devnet/demo

test: build asan
	test/run unit sim contracts worker asan e2e kernel

test-unit test-sim test-e2e test-kernel test-contracts test-worker: build
	test/run $(@:test-%=%)

test-nightly: build
	$(BUILD)/test/sim/sim --nodes 3..200 --seed 1000000 --seeds 20000 --jobs $(JOBS)
	$(BUILD)/test/sim/sim --nodes 1000 --seeds 2
	NODES=3 DEVNET_BUILD=$(BUILD) test/e2e/run outage
	NODES=8 DEVNET_BUILD=$(BUILD) test/e2e/run outage

test-asan: asan
	test/run asan

bench: build bench-reconcile bench-rest
	test/bench/run

bench-rest: build
	test/bench/rest

bench-build: contracts
	test -f build-bench/build.ninja || meson setup build-bench -Dbench=true
	ninja -C build-bench -j $(JOBS) bench indexer/attestmesh-indexer

bench-transport: bench-build
	BUILD=build-bench test/bench/transport/run

soak: bench-build
	BUILD=build-bench BENCH_ROUNDS=1 test/bench/transport/run soak

bench-indexer: bench-build
	BUILD=build-bench test/bench/indexer/run

bench-worker: build
	test/bench/worker

bench-reconcile:
	test/bench/reconcile

fuzz: contracts
	test/fuzz/run

gas: contracts
	contracts/script/gas

image: build
	deploy/image agent
	deploy/image indexer

fmt: setup
	deploy/fmt

lint: build
	deploy/fmt --check

clean:
	rm -rf build build-asan build-bench build-fuzz contracts/out contracts/cache
