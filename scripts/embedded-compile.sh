#!/bin/sh
# Compiles the targets that are meant to run on a sequestered core without an operating system as Embedded Swift for
# x86_64-unknown-none-elf: AllyHW, AllyPacket, AllyRings, AllyDrivers. Nothing is linked; that it compiles proves that
# the targets use no Foundation, no existentials and no untyped errors.
#
# Usage: scripts/embedded-compile.sh      Exit status: 0 when all four compile without warnings.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

for target in AllyHW AllyPacket AllyRings AllyDrivers; do
  find "$root/Sources/$target" -name '*.swift' | sort > "$work/$target.files"
  # Public types of one module are inlined into the next, so each sees the modules before it.
  swiftc -target x86_64-unknown-none-elf -enable-experimental-feature Embedded -enable-experimental-feature Lifetimes \
    -swift-version 6 -strict-memory-safety -enable-upcoming-feature ExistentialAny \
    -enable-upcoming-feature InternalImportsByDefault -enable-upcoming-feature MemberImportVisibility \
    -warnings-as-errors -wmo -O -parse-as-library -Xcc -ffreestanding -Xcc -mno-red-zone \
    -module-name "$target" -I "$work" -emit-module -emit-module-path "$work/$target.swiftmodule" \
    -c -o "$work/$target.o" @"$work/$target.files"
  size=$(wc -c < "$work/$target.o")
  echo "embedded: $target compiles for x86_64-unknown-none-elf ($size bytes of object code)"
done
