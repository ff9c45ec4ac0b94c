#!/usr/bin/env bash
# Fuzzes the readers of foreign bytes: builds Fuzzing/ once, in release, with libFuzzer's and the address sanitizer's
# instrumentation, and runs each target, two at a time on two cores.
#
#   scripts/fuzz.sh SECONDS [TARGET...]
#
# Seeds come from Fuzzing/Corpus/TARGET; inputs that reach new code are kept with the build, and the next run begins with
# them. What makes a target fail goes to Fuzzing/Findings/TARGET, its log beside it. Exit status: 0 when there was none.
#
# To run a finding again: FUZZ_BINARY --target=TARGET FILE, where the first line printed names FUZZ_BINARY.
#
# SCRATCH_PATH: where to build, instead of Fuzzing/.build. FUZZ_JOBS: targets at a time, instead of one for each core.
# FUZZ_MEMORY: MiB that a target may take, 1024 if unset.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! [[ ${1:-} =~ ^[1-9][0-9]*$ ]]; then
  echo "usage: scripts/fuzz.sh SECONDS [TARGET...]" >&2
  exit 64
fi
seconds=$1
shift

scratch=${SCRATCH_PATH:-Fuzzing/.build}
findings=Fuzzing/Findings
memory=${FUZZ_MEMORY:-1024}
jobs=${FUZZ_JOBS:-$(nproc)}

# Flags for the whole graph, not unsafeFlags: it is the SDK's code that is to be instrumented. lld, because gold fails on
# what the two sanitizers make, and because it lets SwiftPM's name for main stand beside libFuzzer's. Testability opens
# what the command lines keep internal.
sanitizers=fuzzer,address
options=(
  --configuration release --package-path Fuzzing --scratch-path "$scratch" --product Fuzz --sanitize address
  -Xswiftc "-sanitize=$sanitizers" -Xswiftc -use-ld=lld -Xswiftc -enable-testing
)
export ALLY_FUZZING=1
swift build "${options[@]}"
fuzz=$(swift build "${options[@]}" --show-bin-path)/Fuzz
echo "Fuzzing with $fuzz, $seconds s for each target"

# The backtracer would keep a crashed process alive. A small quarantine keeps the memory of short runs near.
export SWIFT_BACKTRACE=enable=no
export ASAN_OPTIONS="quarantine_size_mb=16${ASAN_OPTIONS:+:$ASAN_OPTIONS}"

known=$("$fuzz" --list)
targets=("$@")
[ "${#targets[@]}" -gt 0 ] || mapfile -t targets <<<"$known"
for target in "${targets[@]}"; do
  if ! grep -qxF -- "$target" <<<"$known"; then
    echo "fuzz: there is no target $target; expected one of: ${known//$'\n'/, }" >&2
    exit 64
  fi
done

# run TARGET: one line of result; fails when there is a finding.
run() {
  local target=$1 status=0 log=$findings/$1.log work=$scratch/corpus/$1 kept executions begun ended new
  mkdir -p "$findings/$target" "$work" "Fuzzing/Corpus/$target"
  local dictionary=()
  if [ -f "Fuzzing/Dictionaries/$target.dict" ]; then dictionary=("-dict=Fuzzing/Dictionaries/$target.dict"); fi
  "$fuzz" "--target=$target" "-max_total_time=$seconds" -timeout=20 "-rss_limit_mb=$memory" -len_control=20 \
    -print_final_stats=1 "-artifact_prefix=$findings/$target/" "${dictionary[@]}" "$work" "Fuzzing/Corpus/$target" \
    >"$log" 2>&1 || status=$?
  # libFuzzer prints its state as `#4711  DONE  cov: 900 ft: 1800 …`; a finding ends the run without that line.
  coverage() { grep -aE "^#[0-9]+[[:space:]]+$1" "$log" | tail -n 1 | sed -E 's/.* cov: ([0-9]+).*/\1/'; }
  executions=$(sed -nE 's/^stat::number_of_executed_units: *([0-9]+).*/\1/p' "$log" | tail -n 1)
  new=$(sed -nE 's/^stat::new_units_added: *([0-9]+).*/\1/p' "$log" | tail -n 1)
  begun=$(coverage INITED || true)
  ended=$(coverage '' || true)
  kept=$(find "$work" -type f | wc -l)
  printf '%-11s %9s executions, coverage %5s at the start and %5s at the end, %4s new inputs, %5s kept' \
    "$target" "${executions:-?}" "${begun:-?}" "${ended:-?}" "${new:-?}" "$kept"
  if [ "$status" -eq 0 ]; then
    printf '\n'
    return 0
  fi
  printf '  FINDING (exit status %s), see %s\n' "$status" "$log"
  grep -aE 'Fatal error|ERROR:|SUMMARY:|Test unit written' "$log" | sed 's/^/    /' || true
  return 1
}

# Each target is a job with a process group of its own, `jobs` of them at a time. None outlives this script.
stop_running() {
  local job
  for job in $(jobs -p); do kill -TERM -- "-$job" 2>/dev/null || true; done
}
set -m
trap stop_running EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
failed=0
active=0
await_one() {
  wait -n || failed=$((failed + 1))
  active=$((active - 1))
}
for target in "${targets[@]}"; do
  if [ "$active" -ge "$jobs" ]; then await_one; fi
  run "$target" </dev/null &
  active=$((active + 1))
done
while [ "$active" -gt 0 ]; do await_one; done

if [ "$failed" -gt 0 ]; then
  echo "fuzz: $failed of ${#targets[@]} targets have a finding, kept in $findings" >&2
  exit 1
fi
echo "fuzz: ${#targets[@]} targets, no finding"
