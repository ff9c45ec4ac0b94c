#!/usr/bin/env bash
# Builds the DocC documentation of every library (each has a catalog); a warning is an error.
set -euo pipefail
cd "$(dirname "$0")/.."

targets=()
for catalog in Sources/*/*.docc; do targets+=(--target "$(basename "$catalog" .docc)"); done
swift package generate-documentation "${targets[@]}" --warnings-as-errors
