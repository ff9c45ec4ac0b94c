#!/usr/bin/env bash
# Compares ally inspect with Suricata on one capture: interleaved pairs, user time less that of a run over a few packets.
#
#   compare-with-suricata.sh ALLY RULES CAPTURE SURICATA_YAML [PAIRS]
#
# Prints the user time of loading and of inspection of each run, the medians, the rates, and whether both wrote the same
# number of alerts by rule. SURICATA_YAML must write alerts to eve.json and nothing else; both engines run on one core.
set -euo pipefail
[ $# -ge 4 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 64; }
ally=$1 rules=$2 capture=$3 yaml=$4 pairs=${5:-5}
command -v suricata > /dev/null || { echo "skipped: suricata is not installed"; exit 0; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The first 200 packets: what a run costs that inspects next to nothing.
python3 - "$capture" "$work/few.pcap" <<'PYTHON'
import struct, sys
with open(sys.argv[1], "rb") as source, open(sys.argv[2], "wb") as few:
    few.write(source.read(24))
    for _ in range(200):
        header = source.read(16)
        if len(header) < 16:
            break
        few.write(header + source.read(struct.unpack("<IIII", header)[2]))
PYTHON
cat > "$work/ally.yaml" <<'YAML'
%YAML 1.1
---
outputs:
  - eve-log:
      enabled: yes
      filename: eve.json
      types: [alert]
YAML

# user COMMAND…: its user time in milliseconds.
user() {
  local after
  after=$( { TIMEFORMAT=%U; time "$@" > /dev/null 2>&1; } 2>&1 )
  awk -v t="$after" 'BEGIN {printf "%d\n", t * 1000}'
}
run_ally() { rm -rf "$work/ally"; mkdir "$work/ally"; user taskset -c 0 "$ally" inspect -r "$1" -S "$rules" -c "$work/ally.yaml" -l "$work/ally"; }
run_suricata() { rm -rf "$work/suricata"; mkdir "$work/suricata"; user taskset -c 0 suricata --runmode single -r "$1" -S "$rules" -c "$yaml" -l "$work/suricata"; }
median() { sort -n | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : int((v[NR / 2] + v[NR / 2 + 1]) / 2)}'; }

for pair in $(seq "$pairs"); do
  ally_load=$(run_ally "$work/few.pcap")
  suricata_load=$(run_suricata "$work/few.pcap")
  ally_all=$(run_ally "$capture")
  suricata_all=$(run_suricata "$capture")
  echo "$ally_load" >> "$work/ally.load"
  echo "$suricata_load" >> "$work/suricata.load"
  echo $((ally_all - ally_load)) >> "$work/ally.scan"
  echo $((suricata_all - suricata_load)) >> "$work/suricata.scan"
  echo "pair $pair: loading ally $ally_load ms, suricata $suricata_load ms;" \
    "inspection ally $((ally_all - ally_load)) ms, suricata $((suricata_all - suricata_load)) ms"
done
size=$(stat -c %s "$capture")
for engine in ally suricata; do
  load=$(median < "$work/$engine.load") scan=$(median < "$work/$engine.scan")
  awk -v e="$engine" -v l="$load" -v s="$scan" -v n="$size" \
    'BEGIN {printf "%s: loading %.2f s, inspection %.2f s, %.0f Mbit/s\n", e, l / 1000, s / 1000, s > 0 ? n * 8 / s / 1000 : 0}'
done
for engine in ally suricata; do
  # No alert at all (status 1) is a result; no file of records (status 2) ends the comparison.
  { grep -o '"signature_id":[0-9]*' "$work/$engine/eve.json" || [ $? -eq 1 ]; } | sort | uniq -c > "$work/$engine.alerts"
done
if cmp -s "$work/ally.alerts" "$work/suricata.alerts"; then
  echo "alerts: the same by rule ($(awk '{n += $1} END {print n + 0}' "$work/ally.alerts"))"
else
  echo "alerts differ by rule:"
  diff "$work/ally.alerts" "$work/suricata.alerts" | head -40
fi
