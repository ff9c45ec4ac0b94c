#!/usr/bin/env bash
# Damages captures at random and inspects them with the release engine, every protocol and record on, in batches of
# 256 MiB, until so much has passed.
#
#   scripts/mutated-captures.sh MIB [CAPTURE...]
#
# Without captures: those of ALLY_CORPUS, if it is set, and those of this repository. Rules: Examples/Demo, and
# ALLY_CORPUS's rules/*.rules. Each seed is printed before its batch; with ALLY_SEED=N the seeds are N and those after it.
#
# A finding is an exit status that is not one of Docs/ExitStatus.md for damaged captures, ten minutes for a batch, a record
# that is no JSON, or more memory than the caps (Configuration/ally.yaml: 480 MiB) and 64 MiB above a run over one small
# capture. Its batch stays in Fuzzing/Findings/captures-SEED. Exit status: 0 when there was none.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! [[ ${1:-} =~ ^[1-9][0-9]*$ && ${ALLY_SEED:-1} =~ ^[1-9][0-9]*$ ]]; then
  echo "usage: [ALLY_SEED=N] scripts/mutated-captures.sh MIB [CAPTURE...]" >&2
  exit 64
fi
left=$1
shift
batch=256
above=$((480 + 64))

captures=("$@")
rules=(Examples/Demo/demo.rules)
if [ "${#captures[@]}" -eq 0 ]; then
  mapfile -t captures < <(find Examples Fuzzing/Corpus/capture ${ALLY_CORPUS:+"$ALLY_CORPUS"} -name '*.pcap' | LC_ALL=C sort)
fi
if [ -n "${ALLY_CORPUS:-}" ]; then rules+=("$ALLY_CORPUS"/rules/*.rules); fi

swift build -c release --product ally
ally=$(swift build -c release --product ally --show-bin-path)/ally
mutator=(--configuration release --package-path Fuzzing --scratch-path Fuzzing/.build-mutator --product MutateCaptures)
export ALLY_FUZZING=1
swift build "${mutator[@]}"
mutate=$(swift build "${mutator[@]}" --show-bin-path)/MutateCaptures

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# inspect CAPTURES OPTIONS...: leaves status, seconds of user time and the largest resident memory in KiB in $work/use.
inspect() {
  rm -rf "$work/records"
  python3 - "$work/use" timeout --kill-after=10 600 "$ally" inspect -r "$1" -S "${rules[@]}" -c Configuration/ally.yaml \
    -l "$work/records" "${@:2}" > "$work/log" 2>&1 <<'PYTHON'
import resource, subprocess, sys
status = subprocess.run(sys.argv[2:]).returncode
use = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as out:
    print(status, int(use.ru_utime), use.ru_maxrss, file=out)
PYTHON
  read -r status seconds memory < "$work/use"
}

inspect Examples/Demo/demo.pcap
[ "$status" -eq 0 ] || { tail -n 5 "$work/log" >&2; exit 1; }
idle=$memory

findings=()
seed=${ALLY_SEED:-$((1 + RANDOM * 32768 + RANDOM))}
for ((; left > 0; left -= batch, seed++)); do
  [ "$left" -ge "$batch" ] || batch=$left
  rm -rf "$work/captures"
  mkdir "$work/captures"
  "$mutate" "$seed" "$batch" "$work/captures" "${captures[@]}"
  # Damage spoils checksums: every other batch is inspected whatever they say, and every third one with verdicts that act.
  options=()
  [ $((seed % 2)) -eq 0 ] || options+=(-k none)
  [ $((seed % 3)) -ne 0 ] || options+=(--inline)
  printf 'mutated captures: seed %s, %s MiB' "$seed" "$batch"
  inspect "$work/captures" "${options[@]}"
  records=$(python3 - "$work/records/eve.json" 2> /dev/null <<'PYTHON'
import json, sys
count = 0
with open(sys.argv[1], "rb") as lines:
    for count, line in enumerate(lines, 1):
        try:
            json.loads(line)
        except ValueError as error:
            print(f"line {count} is no JSON ({error})")
            break
    else:
        print(count, "records")
PYTHON
  ) || records="no records"
  printf ': status %s, %s s, %s MiB above an idle run, %s\n' "$status" "$seconds" "$(((memory - idle) / 1024))" "$records"
  # Some of them are damaged files, which is told at the end.
  if [ "$status" -ne 0 ] && [ "$status" -ne 65 ] || [ "$(((memory - idle) / 1024))" -gt "$above" ] ||
    ! [[ $records =~ ^[0-9]+\ records$ ]]; then
    findings+=("$seed")
    mkdir -p "Fuzzing/Findings/captures-$seed"
    cp -r "$work/captures" "$work/log" "Fuzzing/Findings/captures-$seed"
    tail -n 3 "$work/log" | cut -c 1-300 | sed 's/^/    /'
  fi
done
if [ "${#findings[@]}" -gt 0 ]; then
  echo "mutated captures: findings with the seeds ${findings[*]}, kept in Fuzzing/Findings" >&2
  exit 1
fi
echo "mutated captures: no finding"
