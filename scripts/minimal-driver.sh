#!/bin/sh
# Tests Examples/MinimalDriver, a package of its own that adds a NIC to this one: as it is, and optimised, which is when the
# kit sees whether the packet loops are specialised for it. Checks that it is as short as Docs/AddingANICDriver.md says.
#
# Usage: scripts/minimal-driver.sh     Exit status: 0 when all tests pass.
# SCRATCH_PATH: where to build, instead of Examples/MinimalDriver/.build.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
package=$root/Examples/MinimalDriver
scratch=${SCRATCH_PATH:-$package/.build}

lines=$(cat "$package"/Sources/MinimalDriver/*.swift "$package"/Tests/MinimalDriverTests/MinimalVectors.swift | wc -l)
echo "minimal-driver: $lines lines of driver and vectors"
if [ "$lines" -ge 200 ]; then
  echo 'minimal-driver: expected fewer than 200' >&2
  exit 1
fi
swift test --package-path "$package" --scratch-path "$scratch"
swift test --package-path "$package" --scratch-path "$scratch" -c release
