#!/usr/bin/env bash
# Compares the alerts of ally inspect with those of Suricata: on traffic made from the rules themselves, and on captures.
#
#   compare-rule-traffic.sh ALLY RULES [CAPTURE…]
#
# Rules that Suricata does not read, as most of Snort 3's, are left out and counted. Prints for each capture precision and
# recall, in all and as mean over rules, and what the rules that differ have in common. The status is 1 when precision or
# recall is below 99 %, or the mean over rules below 98 %. With OUT=FOLDER in the environment captures, records and the list
# of differences stay there.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 64; }
here=$(cd "$(dirname "$0")" && pwd)
ally=$1 rules=$2
shift 2
command -v suricata > /dev/null || { echo "skipped: suricata is not installed"; exit 0; }
if [ -n "${OUT:-}" ]; then
  mkdir -p "$OUT"
  work=$(cd "$OUT" && pwd)
else
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
fi

# It says of each rule that it does not read which one. Its status is not 0 then, which is no failure here; if it does not start at
# all, the first run over a capture below fails.
suricata -T -S "$rules" -c "$here/alerts.yaml" -l "$work" > "$work/reading" 2>&1 || true
python3 - "$rules" "$work/reading" "$work/read.rules" <<'PYTHON'
import re, sys
with open(sys.argv[2], errors="replace") as log:
    refused = {sid for line in log if "error parsing signature" in line for sid in re.findall(r"sid:\s*(\d+)\s*;", line)}
left_out = 0
with open(sys.argv[1], errors="replace") as rules, open(sys.argv[3], "w") as read:
    for line in rules:
        sid = re.search(r"sid:\s*(\d+)\s*;", line)
        if sid and sid[1] in refused and not line.startswith("#"):
            left_out += 1
        else:
            read.write(line)
print(f"rules that Suricata does not read: {left_out}")
PYTHON
rules=$work/read.rules

echo "== traffic made from $rules"
python3 "$here/make-rule-traffic.py" "$rules" "$work/rules.pcap"
status=0
for capture in "$work/rules.pcap" "$@"; do
  name=$(basename "$capture" .pcap)
  rm -rf "$work/$name.suricata" "$work/$name.ally"
  mkdir -p "$work/$name.suricata" "$work/$name.ally"
  echo "== $name"
  suricata --runmode single -r "$capture" -S "$rules" -c "$here/alerts.yaml" -l "$work/$name.suricata" \
    > "$work/$name.suricata/log" 2>&1 || { tail -5 "$work/$name.suricata/log" >&2; exit 1; }
  "$ally" inspect -r "$capture" -S "$rules" -c "$here/alerts.yaml" -l "$work/$name.ally" \
    > "$work/$name.ally/log" 2>&1 || { tail -5 "$work/$name.ally/log" >&2; exit 1; }
  "$here/compare-alerts.py" "$work/$name.suricata/eve.json" "$work/$name.ally/eve.json" --rules "$rules" \
    --missed "$work/$name.differences" --least 99 || status=1
done
exit "$status"
