#!/usr/bin/env bash
# Runs the example IDS on the bundled capture and rules, and holds the alerts against what Suricata raises on the same.
# Fails when nothing fires, and when any signature fires more or less often than expected.
set -euo pipefail
cd "$(dirname "$0")/.."

output=demo-output
configuration=${1:-release}
swift build --configuration "$configuration" --product ids
ids=$(swift build --configuration "$configuration" --product ids --show-bin-path)/ids

rm -rf "$output"
mkdir "$output"
"$ids" --read Examples/Demo/demo.pcap --rules Examples/Demo/demo.rules --log-dir "$output"

scripts/count-alerts.sh "$output/eve.json" >"$output/alerts.tsv"
if [ ! -s "$output/alerts.tsv" ]; then
  echo "demo: no signature fired on the demonstration's capture" >&2
  exit 1
fi
if ! diff -u --label expected --label found Examples/Demo/expected-alerts.tsv "$output/alerts.tsv" >&2; then
  echo "demo: the alerts (signature, count) differ from those expected" >&2
  exit 1
fi
echo
echo "$(wc -l <"$output/alerts.tsv") signatures fired, each as often as Suricata 7.0.10 fires it (Examples/Demo/expected-alerts.tsv)."
echo "All alerts, as EVE JSON lines: $output/eve.json"
