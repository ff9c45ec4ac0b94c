#!/bin/sh
# Builds and runs Tests/ThirdPartyPackage: a package of its own that depends on this one by path, imports only AllyHW,
# AllyPacket and AllyRings, and brings its own descriptor formats and inspector, with default settings and no experimental
# feature. Checks what it prints.
#
# Usage: scripts/third-party-package.sh     Exit status: 0 when it prints what it should.
# SCRATCH_PATH: where to build, instead of Tests/ThirdPartyPackage/.build.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
package=$root/Tests/ThirdPartyPackage
scratch=${SCRATCH_PATH:-$package/.build}

expected='receive: 1000 bytes inspected, flags [3, 7, 3, 7, 3, 7, 3, 7, 3, 7]
transmit: 600 bytes inspected, 5 frames to the NIC, 10 completed'

swift build --package-path "$package" --scratch-path "$scratch" --product RingMeter 1>&2
printed=$("$(swift build --package-path "$package" --scratch-path "$scratch" --show-bin-path)/RingMeter")
echo "$printed"
if [ "$printed" != "$expected" ]; then
  printf 'third-party-package: expected\n%s\n' "$expected" >&2
  exit 1
fi
