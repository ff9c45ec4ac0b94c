#!/usr/bin/env bash
# Writes Examples/Demo/expected-alerts.tsv: how many alerts of each signature Suricata 7 raises on the demonstration's
# capture and rules. Run by hand after the capture or a rule has changed. The numbers are Suricata's, not ours, so that
# `make demo` measures the engine against an engine that is not ours.
#
# Suricata 7.0.10 is in Debian 12's backports. One thread, because thresholds count in the order of packets; three runs,
# because Suricata varies the size of the pieces in which it inspects a stream, and an expectation may not hang on that.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v suricata >/dev/null || {
  echo "expect-demo-alerts: install suricata 7.0.10 or a later 7.0 first" >&2
  exit 69
}
suricata -V | grep -q 'version 7\.0\.' || {
  echo "expect-demo-alerts: $(suricata -V), wanted 7.0" >&2
  exit 69
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for run in 1 2 3; do
  mkdir "$work/$run"
  suricata --runmode single -r Examples/Demo/demo.pcap -S Examples/Demo/demo.rules -l "$work/$run" >"$work/$run/out" 2>&1
  if grep -E '^(E|W|Error|Warning): ' "$work/$run/out"; then
    echo "expect-demo-alerts: Suricata has objections to the rules or the capture" >&2
    exit 65
  fi
  scripts/count-alerts.sh "$work/$run/eve.json" >"$work/$run.tsv"
  cmp "$work/1.tsv" "$work/$run.tsv"
done
cp "$work/1.tsv" Examples/Demo/expected-alerts.tsv
echo "Examples/Demo/expected-alerts.tsv: $(wc -l <Examples/Demo/expected-alerts.tsv) signatures fire"
