# shellcheck shell=bash
# Cases of a test script that sources this file: which are run, what they check, how they end. The script sets `cases`, has a
# function `case_NAME` for each, and may have `set_up`, `tear_down` and `show_logs` with a case's name as argument.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/machine.sh"

# choose WORD...: the cases whose name holds one of the words; all without.
choose() {
  local case word
  chosen=()
  # shellcheck disable=SC2154 # the script's
  for case in "${cases[@]}"; do
    [ $# -gt 0 ] || chosen+=("$case")
    for word in "$@"; do
      if [[ $case == *"$word"* ]]; then
        chosen+=("$case")
        break
      fi
    done
  done
}

skip_all() {
  local case
  for case in "${chosen[@]}"; do echo "skipped $case: $1"; done
  exit 0
}

failures=0
# skip WHY: the case that runs cannot go on; it is to return.
skip() {
  echo "skipped $name: $1"
  is_skipped=yes
}
fail() {
  echo "  FAILED $1"
  failures=$((failures + 1))
}
check() { # check WHAT CONDITION...
  local what=$1
  shift
  if ! "$@" >/dev/null 2>&1; then fail "$what: $*"; fi
}
equal() { # equal WHAT FOUND EXPECTED
  if [ "$2" != "$3" ]; then fail "$1: found '$2', expected '$3'"; fi
}
# await_line TEXT FILE: until a line of the file has it; for a minute at the most.
await_line() {
  for _ in $(seq 300); do
    if grep -aqs -e "$1" "$2"; then return 0; fi
    sleep 0.2
  done
  return 1
}
contains_no() { ! grep -aq "$@"; }
# counted LABEL: the number before a label in the file $summary.
# shellcheck disable=SC2154 # the script's
counted() { sed -n "s/^ *\\([0-9,.]*\\)  $1\$/\\1/p" "$summary" | head -n 1 | tr -d ,; }

# run_cases WHAT: runs the cases chosen, one after the other, and ends with their result.
run_cases() {
  local began passed=0 failed=0 skipped=0
  for name in "${chosen[@]}"; do
    began=$SECONDS
    failures=0
    is_skipped=
    if declare -F set_up >/dev/null; then set_up "$name"; fi
    "case_$name"
    stop_children
    if [ -n "$is_skipped" ] && [ "$failures" -eq 0 ]; then
      skipped=$((skipped + 1))
    elif [ "$failures" -eq 0 ]; then
      echo "passed  $name ($((SECONDS - began)) s)"
      passed=$((passed + 1))
    else
      if declare -F show_logs >/dev/null; then show_logs "$name"; fi
      echo "FAILED  $name: $failures checks ($((SECONDS - began)) s)"
      failed=$((failed + 1))
    fi
    if declare -F tear_down >/dev/null; then tear_down "$name"; fi
  done
  local others=
  if [ "$skipped" -gt 0 ]; then others=", $skipped skipped"; fi
  echo "$1: $passed passed, $failed failed$others"
  [ "$failed" -eq 0 ]
}
