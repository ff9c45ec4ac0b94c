#!/bin/sh
# Counts the instructions that interception costs per frame, and proves that it allocates and counts nothing per frame.
#
# The receive and transmit loops of RingBenchmark (each Intel family's formats and split virtqueues, batches of 32, frames of one descriptor, an
# inspector that accepts all, release build, across modules) run under callgrind, with the virtualizer ("virtual") and with driver and NIC on one
# queue ("direct"), for N and for 3N frames. Start-up cancels out between N and 3N; the difference between the two kinds
# is the virtualizer. The RTL8139C, whose frames are copied and whose descriptors are registers, has no budget: its numbers are
# printed, and it allocates and counts nothing either.
#
# Exit status: 0 when within the budgets; 1 when a budget is exceeded or a retain or an allocation came back.
# Usage: Benchmarks/instructions-per-frame.sh [FRAMES]     (N, a multiple of 32)
# SCRATCH_PATH: where to build, instead of Benchmarks/.build.
set -eu

# budget_of FAMILY DIRECTION: instructions per frame; 0 for none.
budget_of() {
  case $1-$2 in
    virtio-* | rtl8139-*) echo 0 ;;
    *-receive) echo 60 ;;
    *) echo 30 ;;
  esac
}
frames=${1:-32000}
folder=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

if ! command -v valgrind > /dev/null; then
  echo "instructions-per-frame: valgrind is not installed (Debian: apt-get install valgrind)" >&2
  exit 2
fi

scratch=${SCRATCH_PATH:-$folder/.build}
swift build --package-path "$folder" --scratch-path "$scratch" -c release --product RingBenchmark 1>&2
binary="$(swift build --package-path "$folder" --scratch-path "$scratch" -c release --show-bin-path)/RingBenchmark"
# Valgrind 3.19 stops at the DWARF 5 of C targets, so it gets a copy without debug information.
strip -g -o "$work/RingBenchmark" "$binary"

# Runs one loop; leaves its profile in $work/NAME.
run() {
  valgrind --tool=callgrind --compress-strings=no --compress-pos=no --callgrind-out-file="$work/$1" \
    "$work/RingBenchmark" "$2" "$3" "$4" "$5" > "$work/output" 2> "$work/errors" || {
    echo "instructions-per-frame: RingBenchmark $2 $3 $4 $5 failed" >&2
    cat "$work/output" "$work/errors" >&2
    exit 2
  }
}

instructions() { awk '/^(summary|totals):/ { print $2; exit }' "$work/$1"; }

# How often a function was called, by its exact name.
calls() {
  awk -v name="$2" '
    /^cfn=/ { callee = substr($0, 5); sub(/\x27.*/, "", callee); next }
    /^calls=/ { split(substr($0, 7), parts, " "); if (callee == name) sum += parts[1] }
    END { print sum + 0 }' "$work/$1"
}

failed=0
for family in e1000 e1000e igb virtio rtl8139; do
  for direction in receive transmit; do
    budget=$(budget_of "$family" "$direction")
    for kind in direct virtual; do
      run "$direction-$kind-1" "$family" "$direction" "$kind" "$frames"
      run "$direction-$kind-3" "$family" "$direction" "$kind" $((3 * frames))
    done
    awk -v family="$family" -v direction="$direction" -v budget="$budget" -v frames="$frames" \
      -v d1="$(instructions "$direction-direct-1")" -v d3="$(instructions "$direction-direct-3")" \
      -v v1="$(instructions "$direction-virtual-1")" -v v3="$(instructions "$direction-virtual-3")" 'BEGIN {
        direct = (d3 - d1) / (2 * frames); virtual = (v3 - v1) / (2 * frames); cost = virtual - direct
        limit = budget > 0 ? "budget " budget : "no budget"
        printf "%-7s %-8s  harness %6.2f  with virtualizer %6.2f  interception %6.2f instructions per frame (%s)\n",
          family, direction, direct, virtual, cost, limit
        exit !(cost > 0 && (budget == 0 || cost <= budget)) }' || failed=1
    for name in swift_retain swift_release swift_allocObject malloc swift_beginAccess; do
      first=$(calls "$direction-virtual-1" "$name")
      second=$(calls "$direction-virtual-3" "$name")
      echo "          $name: $first calls for $frames frames, $second for $((3 * frames))"
      if [ "$first" != "$second" ]; then failed=1; fi
    done
  done
done
if [ "$failed" != 0 ]; then
  echo "instructions-per-frame: over budget, or something is counted or allocated per frame" >&2
fi
exit "$failed"
