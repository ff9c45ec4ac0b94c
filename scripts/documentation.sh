#!/usr/bin/env bash
# Builds the DocC documentation of every library (each has a catalog); a warning is an error. All libraries are built
# even when one fails, so that one run tells all. The archives are in .build/plugins/Swift-DocC/outputs.
set -euo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=()
for catalog in Sources/*/*.docc; do
  target=$(basename "$catalog" .docc)
  if swift package generate-documentation --target "$target" --warnings-as-errors >"$log" 2>&1; then
    echo "$target: documentation built"
  else
    failed+=("$target")
    cat "$log" >&2
  fi
done
if [ "${#failed[@]}" -gt 0 ]; then
  echo "documentation: warnings or errors in ${failed[*]}" >&2
  exit 1
fi
