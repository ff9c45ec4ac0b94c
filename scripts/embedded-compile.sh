#!/bin/sh
# Compiles the targets that are meant to run on a sequestered core without an operating system as Embedded Swift for
# x86_64-unknown-none-elf: AllyHW, AllyPacket, AllyRings, AllyDrivers. Nothing is linked; that it compiles proves that
# the targets use no Foundation, no existentials and no untyped errors.
#
# A probe that uses their generics with the 82540EM's types is compiled against them.
#
# Usage: scripts/embedded-compile.sh      Exit status: 0 when all compile without warnings.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

# compile MODULE FOLDER [OPTION...]
compile() {
  module=$1
  find "$2" -name '*.swift' | sort > "$work/$module.files"
  shift 2
  # Public types of one module are inlined into the next, so each sees the modules before it.
  swiftc -target x86_64-unknown-none-elf -enable-experimental-feature Embedded -swift-version 6 "$@" \
    -warnings-as-errors -wmo -O -parse-as-library -Xcc -ffreestanding -Xcc -mno-red-zone \
    -module-name "$module" -I "$work" -emit-module -emit-module-path "$work/$module.swiftmodule" \
    -c -o "$work/$module.o" "@$work/$module.files"
  echo "embedded: $module compiles for x86_64-unknown-none-elf ($(wc -c < "$work/$module.o") bytes of object code)"
}

for target in AllyHW AllyPacket AllyRings AllyDrivers; do
  compile "$target" "$root/Sources/$target" -enable-experimental-feature Lifetimes -strict-memory-safety \
    -enable-upcoming-feature ExistentialAny -enable-upcoming-feature InternalImportsByDefault \
    -enable-upcoming-feature MemberImportVisibility
done
compile Probe "$root/scripts/embedded"
