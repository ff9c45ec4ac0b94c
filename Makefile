# The two commands: `make demo` and `make test`. Each installs what is missing (Debian 12; with sudo when not root),
# builds and runs.

.PHONY: help demo guest-demo test test-guests soak dependencies format lint docs clean

help:
	@echo 'make demo    run the example IDS on a bundled capture and show its alerts'
	@echo 'make guest-demo   boot a stock Linux behind the IDS and the firewall (gets 1 GB of tools)'
	@echo 'make test    run all tests that need no special rights and no guest'
	@echo 'make test-guests   run a stock kernel in an emulated machine with a sequestered core (gets 1 GB of tools)'
	@echo 'make soak    a million steps with Ally and without; guests that mean harm; fuzz every reader of foreign bytes, ten minutes each; 10 GiB of mutated captures'
	@echo 'make format  format the sources'
	@echo 'make lint    check formatting and scripts'
	@echo 'make docs    build the documentation of the libraries'
	@echo 'make clean   remove what was built'

demo: dependencies
	@scripts/demo.sh

# A stock guest behind the IDS, then behind the firewall; ends by itself.
guest-demo: dependencies
	scripts/install-guest-tools.sh
	scripts/guest-demo.sh

# libhtp is what the reader of HTTP is compared with.
test:
	@scripts/install-dependencies.sh libhtp-dev
	swift test

# A machine that cannot have the tools has its cases reported as skipped, by name.
test-guests: dependencies
	-scripts/install-guest-tools.sh
	-scripts/install-dependencies.sh iproute2 tcpdump python3-minimal ethtool
	-scripts/install-suricata.sh
	Tests/GuestTests/run.sh
	Tests/GuestTests/conformance.sh
	Tests/GuestTests/interfaces.sh
	Tests/GuestTests/attach.sh

soak: dependencies
	ALLY_TESTS=AllyDriverTestingTests swift build -c release --scratch-path .build/soak --product allyPackageTests
	ALLY_TESTS=AllyDriverTestingTests ALLY_STEPS=1000000 swift test -c release --scratch-path .build/soak --skip-build \
	  --filter anOSDriverCannotTell
	scripts/hostile-guests.sh 60 3
	scripts/fuzz.sh 600
	scripts/mutated-captures.sh 10240

dependencies:
	@scripts/install-dependencies.sh

swift_sources := Package.swift Sources Tests Examples Benchmarks Firmware Fuzzing/Package.swift Fuzzing/Sources

format:
	swift format --in-place --recursive --parallel $(swift_sources)

lint:
	@scripts/install-dependencies.sh shellcheck
	swift format lint --strict --recursive --parallel $(swift_sources)
	shellcheck .ci/run $(wildcard scripts/*.sh Benchmarks/*.sh Firmware/*/*.sh Tests/GuestTests/*.sh)

docs: dependencies
	scripts/documentation.sh

clean:
	swift package clean
	rm -rf demo-output
