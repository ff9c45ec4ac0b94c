#!/usr/bin/env bash
# Compares the speed of ally inspect with Suricata's on one capture: interleaved pairs on one core, user time of inspection being
# what a run takes above one over the capture's first packets, which is loading.
#
#   compare-with-suricata.sh ALLY RULES CAPTURE [PAIRS]
#
# Prints for each pair the user time of loading and of inspection, then medians and rates, and whether both alerted about the
# same flows by the same rules. Both read alerts.yaml. CORE=N in the environment chooses the core (0). The status is 1 when Ally
# inspects more slowly, takes more than a third of the time to load, or alerts differ.
set -euo pipefail
[ $# -ge 3 ] || { sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 64; }
here=$(cd "$(dirname "$0")" && pwd)
ally=$1 rules=$2 capture=$3 pairs=${4:-5} core=${CORE:-0}
command -v suricata > /dev/null || { echo "skipped: suricata is not installed"; exit 0; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The first 200 packets: what a run costs that inspects next to nothing.
python3 - "$capture" "$work/few.pcap" <<'PYTHON'
import struct, sys
with open(sys.argv[1], "rb") as source, open(sys.argv[2], "wb") as few:
    magic = source.read(24)
    order = "<" if magic[0] in (0xD4, 0x4D) else ">"
    few.write(magic)
    for _ in range(200):
        header = source.read(16)
        if len(header) < 16:
            break
        few.write(header + source.read(struct.unpack(order + "IIII", header)[2]))
PYTHON

# user LOG COMMAND…: its user time in milliseconds; a command that fails ends the comparison.
user() {
  local log=$1 seconds
  shift
  seconds=$( { TIMEFORMAT=%U; time taskset -c "$core" "$@" > "$log" 2>&1; } 2>&1 ) || { tail -5 "$log" >&2; return 1; }
  awk -v t="$seconds" 'BEGIN {printf "%d\n", t * 1000}'
}
run_ally() {
  rm -rf "$work/ally"
  mkdir "$work/ally"
  user "$work/ally.log" "$ally" inspect -r "$1" -S "$rules" -c "$here/alerts.yaml" -l "$work/ally"
}
run_suricata() {
  rm -rf "$work/suricata"
  mkdir "$work/suricata"
  user "$work/suricata.log" suricata --runmode single -r "$1" -S "$rules" -c "$here/alerts.yaml" -l "$work/suricata"
}
median() { sort -n "$1" | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : int((v[NR / 2] + v[NR / 2 + 1]) / 2)}'; }

for pair in $(seq "$pairs"); do
  ally_load=$(run_ally "$work/few.pcap")
  suricata_load=$(run_suricata "$work/few.pcap")
  ally_all=$(run_ally "$capture")
  suricata_all=$(run_suricata "$capture")
  cp "$work/suricata/eve.json" "$work/suricata.$pair.json"
  echo "$ally_load" >> "$work/ally.load"
  echo "$suricata_load" >> "$work/suricata.load"
  echo $((ally_all - ally_load)) >> "$work/ally.scan"
  echo $((suricata_all - suricata_load)) >> "$work/suricata.scan"
  echo "pair $pair: loading ally $ally_load ms, suricata $suricata_load ms;" \
    "inspection ally $((ally_all - ally_load)) ms, suricata $((suricata_all - suricata_load)) ms"
done
size=$(stat -c %s "$capture")
for engine in ally suricata; do
  awk -v e="$engine" -v l="$(median "$work/$engine.load")" -v s="$(median "$work/$engine.scan")" -v n="$size" \
    'BEGIN {printf "%-9s loading %.2f s, inspection %.2f s, %.0f Mbit/s\n", e, l / 1000, s / 1000, (s > 0 ? n * 8 / s / 1000 : 0)}'
done
status=0
awk -v al="$(median "$work/ally.load")" -v sl="$(median "$work/suricata.load")" \
  -v as="$(median "$work/ally.scan")" -v ss="$(median "$work/suricata.scan")" 'BEGIN {
    printf "rate: %.2f of Suricata'"'"'s; loading: %.2f of its time\n", ss / as, al / sl
    exit !(as <= ss && al * 3 <= sl) }' || status=1
# What Suricata finds when a flow ends, it does not find in every run.
again=()
for pair in $(seq 2 "$pairs"); do again+=(--again "$work/suricata.$pair.json"); done
"$here/compare-alerts.py" "$work/suricata.1.json" "$work/ally/eve.json" --rules "$rules" --equal "${again[@]}" || status=1
exit "$status"
