#!/usr/bin/env bash
# Installs what the package needs to build, if it is missing; asks the package registry for nothing when all is there.
# Swift itself is not installed: its absence is one line and exit status 69.
#
#   scripts/install-dependencies.sh [PACKAGE...]     PACKAGE: Debian packages wanted besides
#
# Written for Debian 12. Ubuntu names its packages the same; it was not tried there.
set -euo pipefail

needed_swift="6.3"
needed_packages=(
  pkg-config libhyperscan-dev libpcre2-dev zlib1g-dev libbrotli-dev liblzma-dev libmagic-dev libpcap-dev "$@"
)

fail() {
  echo "install-dependencies: $1" >&2
  exit 69
}

# --- Swift ----------------------------------------------------------------------------------------------------------

command -v swift >/dev/null ||
  fail "Swift is not installed: install the Swift $needed_swift toolchain or a later one (https://www.swift.org/install/linux)"
found_swift=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9][0-9.]*\).*/\1/p' | head -n 1)
oldest=$(printf '%s\n%s\n' "$needed_swift" "${found_swift:-0}" | sort -V | head -n 1)
[ "$oldest" = "$needed_swift" ] ||
  fail "Swift ${found_swift:-of unknown version} is too old: install the Swift $needed_swift toolchain or a later one (https://www.swift.org/install/linux)"

# --- Libraries ------------------------------------------------------------------------------------------------------

command -v dpkg-query >/dev/null ||
  fail "this is not Debian or Ubuntu: install the development files of Hyperscan, PCRE2 (8 bit), zlib, brotli, lzma, libmagic and libpcap, and pkg-config, then run swift build"

missing=()
for package in "${needed_packages[@]}"; do
  status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
# Satisfied by another name (pkgconf provides pkg-config): the command is what counts.
if [ "${missing[0]:-}" = pkg-config ] && command -v pkg-config >/dev/null; then missing=("${missing[@]:1}"); fi
[ "${#missing[@]}" -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || fail "install these packages as root first: ${missing[*]}"
  as_root=(sudo)
fi
install_missing() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${missing[@]}"
}

echo "Installing ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The package lists may be absent (a fresh machine) or name versions that are gone: then they are fetched, and once more.
if ! install_missing >"$log" 2>&1; then
  if ! { "${as_root[@]}" apt-get update && install_missing; } >"$log" 2>&1; then
    cat "$log" >&2
    fail "these packages could not be installed: ${missing[*]}"
  fi
fi
