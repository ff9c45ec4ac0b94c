#!/usr/bin/env bash
# Checks the models of the ring hand-over (Models/RingHandOver) with spin: every configuration holds, and every known bug,
# put in again by a flag, is found.
#
#   scripts/check-models.sh [WORD...]     only what has one of the words in its line
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
"$root/scripts/install-dependencies.sh" spin gcc libc6-dev

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
wanted=("$@")
failed=0
checked=0

chosen() {
  local word
  [ "${#wanted[@]}" -gt 0 ] || return 0
  for word in "${wanted[@]}"; do [[ $1 == *"$word"* ]] && return 0; done
  return 1
}

# check holds|progress|found MODEL FLAG...: whether the model's properties hold in this configuration; whether it cannot go
# on for ever without a frame; or whether a violation is found.
check() {
  local expected=$1 model=$2 outcome directory compiler=(-DSAFETY) options=()
  shift 2
  chosen "$expected $model $*" || return 0
  if [ "$expected" = progress ]; then compiler=(-DNP) options=(-l); fi
  directory=$(mktemp -d "$work/XXXXXX")
  (
    cd "$directory"
    cp "$root/Models/RingHandOver/$model.pml" .
    spin -a "$@" "$model.pml" >spin.log 2>&1
    gcc -O2 -w -DCOLLAPSE "${compiler[@]}" -o pan pan.c
    # Deep enough for every configuration; a search that is cut short holds nothing.
    ./pan -m2000000 -w24 "${options[@]}" >pan.log 2>&1
  ) || { cat "$directory"/*.log >&2; echo "FAILED  $model $*: spin did not run"; failed=1; return 0; }
  outcome=holds
  grep -q 'errors: 0$' "$directory/pan.log" || outcome=found
  if grep -q 'max search depth too small' "$directory/pan.log"; then outcome=unfinished; fi
  checked=$((checked + 1))
  local states
  states=$(awk '/states, stored/ { print $1 }' "$directory/pan.log")
  if [ "$outcome" = "${expected/progress/holds}" ]; then
    echo "passed  $expected: $model $* ($states states)"
  else
    echo "FAILED  $model $*: expected $expected, was $outcome"
    grep -E 'pan:1|errors:' "$directory/pan.log" || true
    (cd "$directory" && [ -e "$model.pml.trail" ] && spin -t -p "$@" "$model.pml" | grep 'proc ' | tail -n 40) || true
    failed=1
  fi
  rm -rf "$directory"
}

# --- What holds -----------------------------------------------------------------------------------------------------

hostile=(-DHOSTILE -DSLOTS=2 -DLOG=1)
check holds Receive
check holds Receive -DCOPY -DLOG=1
check holds Receive "${hostile[@]}"
check holds Receive -DCOPY "${hostile[@]}"
check holds Receive -DRESET
check holds Receive -DRESET -DCOPY -DSLOTS=2 -DLOG=1
check holds Transmit
check holds Transmit -DCOPY -DREWRITE
check holds Interrupt
check progress Receive
check progress Interrupt

# --- What each bug breaks -------------------------------------------------------------------------------------------

for bug in DONE_FIRST TAIL_BEFORE_COPY PUBLISH_BEFORE_VERDICT DROP_NOT_MARKED DROP_NOT_SCRUBBED ACKNOWLEDGED_LAST \
  IPI_BEFORE_LOG STALE_DONE WORD_BEFORE_DONE; do
  check found Receive "-DBUG_$bug"
done
for bug in TAIL_UNCHECKED ADDRESS_UNCHECKED REFUSED_PUBLISHED; do check found Receive "${hostile[@]}" "-DBUG_$bug"; done
check found Receive -DCOPY -DLOG=1 -DBUG_NO_FREE_SLOT
for bug in ADDRESS_UNCHECKED ADDRESS_LOADED_TWICE COPY_BEFORE_VERDICT; do
  check found Receive -DCOPY "${hostile[@]}" "-DBUG_$bug"
done
check found Receive -DRESET -DBUG_NIC_NOT_STOPPED

for bug in TAIL_BEFORE_VERDICT DROP_COMPLETES_AT_ONCE ACKNOWLEDGED_LAST; do check found Transmit "-DBUG_$bug"; done
for bug in NO_REPORT HEAD_FIRST; do check found Transmit -DHEAD "-DBUG_$bug"; done
for bug in DESCRIPTOR_LOADED_TWICE COPY_NOT_SENT; do check found Transmit -DCOPY -DREWRITE "-DBUG_$bug"; done
# No bug, but what in-place protection does not stop (Docs/ADR/0005).
check found Transmit -DREWRITE

for bug in CAUSE_FORGOTTEN STAYS_ASSERTED INTERRUPT_BEFORE_CAUSE; do check found Interrupt "-DBUG_$bug"; done

echo "models: $checked checked"
[ "$failed" -eq 0 ] && [ "$checked" -gt 0 ]
