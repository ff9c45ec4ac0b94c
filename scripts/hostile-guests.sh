#!/usr/bin/env bash
# Guests that mean harm, with the address sanitizer on: random registers, descriptors, virtqueues and messages beside a guest
# that does its work, frames that are rewritten while they are inspected, and memory that is taken away.
#
#   scripts/hostile-guests.sh SECONDS [SEEDS]     for each NIC, protection level and seed; 1 seed if not said
#
# Each seed is printed before its run; with ALLY_SEED=N the seeds are N and those after it.
# Exit status: 0 when every seed passed.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! [[ ${1:-} =~ ^[1-9][0-9]*$ && ${2:-1} =~ ^[1-9][0-9]*$ && ${ALLY_SEED:-1} =~ ^[1-9][0-9]*$ ]]; then
  echo "usage: [ALLY_SEED=N] scripts/hostile-guests.sh SECONDS [SEEDS]" >&2
  exit 64
fi
suites=(HostileGuestTests RewritingGuestTests MappedMemoryTests)
first=${ALLY_SEED:-$((1 + RANDOM * 32768 + RANDOM))}
# Nine runs of so many seconds, one after the other at worst; who takes three times as long hangs.
patience=$((120 + 30 * $1))

export ALLY_TESTS=AllyHostTests ALLY_HOSTILE_SECONDS=$1
# The handler of SIGBUS is ours, not the sanitizer's.
export ASAN_OPTIONS="handle_sigbus=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
options=(--sanitize address --scratch-path .build/sanitized)
log=$(mktemp)
trap 'rm -f "$log"' EXIT

swift build --build-tests "${options[@]}"
tests=$(swift build --build-tests "${options[@]}" --show-bin-path)/allyPackageTests.xctest
if ! grep -aq __asan_report_load "$tests"; then
  echo "hostile guests: the tests were built without the address sanitizer" >&2
  exit 1
fi

failed=()
for ((ALLY_SEED = first; ALLY_SEED < first + ${2:-1}; ALLY_SEED++)); do
  export ALLY_SEED
  echo "hostile guests: seed $ALLY_SEED, $1 s each"
  status=0
  # Not by `swift test`, which would leave it behind when it is ended itself.
  timeout --foreground --kill-after=10 "$patience" \
    "$tests" --testing-library swift-testing --filter "$(IFS='|' && echo "${suites[*]}")" 2>&1 | tee "$log" || status=$?
  # A run that has left a suite out has tested nothing of it.
  for suite in "${suites[@]}"; do
    if ! grep -aq "Suite $suite passed" "$log"; then status=1; fi
  done
  if [ "$status" -ne 0 ]; then failed+=("$ALLY_SEED"); fi
done
if [ "${#failed[@]}" -gt 0 ]; then
  echo "hostile guests: findings with the seeds ${failed[*]}" >&2
  exit 1
fi
echo "hostile guests: ${2:-1} seeds, no finding"
