#!/usr/bin/env bash
# Counts the alerts of an eve.json by signature: lines of `sid TAB count`, in the order of the sids.
#
#   scripts/count-alerts.sh EVE-FILE
set -euo pipefail
sed -n '/"event_type":"alert"/s/.*"signature_id":\([0-9]*\).*/\1/p' "$1" | sort -n | uniq -c | awk -v OFS='\t' '{print $2, $1}'
