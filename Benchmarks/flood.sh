#!/usr/bin/env bash
# Floods ally inspect with flows and half-open streams, and holds its memory against its caps.
#
#   flood.sh ALLY [COUNT]
#
# COUNT flows of each kind (5,000,000 if left out) are inspected with caps of 32 MiB for flows and 32 MiB each for connections and
# their data. Prints how much memory the process took at most above a run without traffic, and what the engine gave up, as its
# stats say. The status is 1 when that is more than the caps and 64 MiB, or when nothing was given up.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 64; }
here=$(cd "$(dirname "$0")" && pwd)
ally=$1 count=${2:-5000000}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf 'alert tcp any any -> any any (msg:"flood"; content:"not in any of it"; sid:1;)\n' > "$work/rules"
cat > "$work/settings.yaml" <<'YAML'
%YAML 1.1
---
flow:
  memcap: 32mb
stream:
  memcap: 32mb
  reassembly:
    memcap: 32mb
outputs:
  - eve-log:
      enabled: yes
      filename: eve.json
      types: [stats]
YAML

# peak COMMAND…: its largest resident memory in KiB.
peak() {
  python3 -c 'import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)' "$@"
}
inspect() {
  peak "$ally" inspect -r - -S "$work/rules" -c "$work/settings.yaml" -l "$work"
}
idle=$(python3 "$here/make-flood.py" datagrams 1 | inspect)
status=0
for kind in datagrams syn half-open; do
  taken=$(python3 "$here/make-flood.py" "$kind" "$count" | inspect)
  above=$(((taken - idle) / 1024))
  gave=$(tail -1 "$work/eve.json" | python3 -c 'import json, sys
stats = json.load(sys.stdin)["stats"]
print(stats["flow"]["evicted"], stats["flow"]["memcap"], stats["tcp"]["ssn_memcap_drop"], stats["tcp"]["segment_memcap_drop"])')
  read -r evicted without sessions segments <<< "$gave"
  echo "$kind: $above MiB above an idle run; flows that gave way $evicted, packets without a flow $without," \
    "connections not followed $sessions, bytes not kept $segments"
  [ "$above" -le $((96 + 64)) ] && [ $((evicted + without + sessions + segments)) -gt 0 ] || status=1
done
exit "$status"
