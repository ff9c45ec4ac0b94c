#!/usr/bin/env bash
# Runs the example firewall on the bundled capture, and the example IDS on what the firewall let pass: signatures of
# services that the policy closes must be silent then, those of services that it opens must still fire.
set -euo pipefail
cd "$(dirname "$0")/.."

output=demo-output
configuration=${1:-release}
binaries=$(swift build --configuration "$configuration" --show-bin-path)
swift build --configuration "$configuration" --product firewall
swift build --configuration "$configuration" --product ids

mkdir -p "$output"
rm -rf "$output/accepted.pcap" "$output/accepted"
mkdir "$output/accepted"
"$binaries/firewall" --read Examples/Demo/demo.pcap --policy Examples/Demo/demo.nft --write "$output/accepted.pcap"
"$binaries/ids" --read "$output/accepted.pcap" --rules Examples/Demo/demo.rules --log-dir "$output/accepted" >/dev/null
scripts/count-alerts.sh "$output/accepted/eve.json" >"$output/accepted/alerts.tsv"

# Zone transfer over TCP, TFTP, SNMP, FTP, and the probes that no open service explains.
closed="9000021 9000025 9000026 9000042 9000054 9000061 9000062 9000064"
# Web on both protocols, names, mail, logins, pings.
open="9000001 9000010 9000020 9000030 9000040 9000051"
failed=0
for signature in $closed; do
  if grep -q "^$signature	" "$output/accepted/alerts.tsv"; then
    echo "demo-firewall: signature $signature fires on a service that the policy closes" >&2
    failed=1
  fi
done
for signature in $open; do
  if ! grep -q "^$signature	" "$output/accepted/alerts.tsv"; then
    echo "demo-firewall: signature $signature is silent on a service that the policy opens" >&2
    failed=1
  fi
done
exit "$failed"
