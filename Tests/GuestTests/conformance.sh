#!/usr/bin/env bash
# The driver modules on QEMU's own NIC models: Tests/DriverConformanceTests with QEMU at hand.
#
# Needs what scripts/install-guest-tools.sh gets; without it those tests are reported as skipped, by name.
set -euo pipefail
cd "$(dirname "$0")/../.."
qemu=${ALLY_GUEST_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/ally/guest-tools}/qemu-system-x86_64
if [ -x "$qemu" ]; then export ALLY_QEMU=$qemu; fi
swift test --filter '^DriverConformanceTests\.'
