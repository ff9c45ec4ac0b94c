#!/usr/bin/env bash
# Guests that mean harm, with the address sanitizer on: random registers, descriptors and messages beside a guest that does its
# work, frames that are rewritten while they are inspected, and memory that is taken away.
#
#   scripts/hostile-guests.sh SECONDS [SEEDS]     for each NIC, protection level and seed; 1 seed if not said
#
# A seed that fails is printed; ALLY_SEED=N repeats it.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! [[ ${1:-} =~ ^[1-9][0-9]*$ && ${2:-1} =~ ^[1-9][0-9]*$ ]]; then
  echo "usage: scripts/hostile-guests.sh SECONDS [SEEDS]" >&2
  exit 64
fi
export ALLY_TESTS=AllyHostTests ALLY_HOSTILE_SECONDS=$1
# The handler of SIGBUS is ours, not the sanitizer's.
export ASAN_OPTIONS="handle_sigbus=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
options=(--sanitize address --scratch-path .build/sanitized)
swift build --build-tests "${options[@]}"
for ((seed = 0; seed < ${2:-1}; seed++)); do
  swift test --skip-build "${options[@]}" --filter 'HostileGuestTests|RewritingGuestTests|MappedMemoryTests'
done
