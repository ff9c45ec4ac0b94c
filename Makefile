# The two commands: `make demo` and `make test`. Each installs what is missing (Debian 12; with sudo when not root),
# builds and runs.

.PHONY: help demo test soak dependencies format lint docs clean

help:
	@echo 'make demo    run the example IDS on a bundled capture and show its alerts'
	@echo 'make test    run all tests that need no special rights and no guest'
	@echo 'make soak    fuzz every reader of foreign bytes, ten minutes each'
	@echo 'make format  format the sources'
	@echo 'make lint    check formatting and scripts'
	@echo 'make docs    build the documentation of the libraries'
	@echo 'make clean   remove what was built'

demo: dependencies
	@scripts/demo.sh

test: dependencies
	swift test

soak: dependencies
	scripts/fuzz.sh 600

dependencies:
	@scripts/install-dependencies.sh

swift_sources := Package.swift Sources Tests Examples Benchmarks Fuzzing/Package.swift Fuzzing/Sources

format:
	swift format --in-place --recursive --parallel $(swift_sources)

lint:
	@scripts/install-dependencies.sh shellcheck
	swift format lint --strict --recursive --parallel $(swift_sources)
	shellcheck .ci/run $(wildcard scripts/*.sh Benchmarks/*.sh)

docs: dependencies
	scripts/documentation.sh

clean:
	swift package clean
	rm -rf demo-output
