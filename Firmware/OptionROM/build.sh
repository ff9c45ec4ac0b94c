#!/usr/bin/env bash
# Builds the option ROM: the Embedded Swift image for the sequestered core, and the ROM that carries and starts it.
#
#   Firmware/OptionROM/build.sh OUTPUT [--core ID] [--base ADDRESS] [--size BYTES]
#
# --core   the APIC id of the core to sequester, 1 to 254 (default 3)
# --base   where the memory to hide begins, a multiple of 2 MiB from 64 MiB up (default 0x10000000)
# --size   how much, a multiple of 2 MiB from 4 MiB up, within the same GiB (default 0x1000000)
#
# Needs the Swift toolchain and GNU binutils.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

fail() {
  echo "build.sh: $1" >&2
  exit "${2:-64}"
}

[ $# -ge 1 ] || fail "usage: build.sh OUTPUT [--core ID] [--base ADDRESS] [--size BYTES]"
output=$1
shift
core=3 base=0x10000000 size=0x1000000
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || fail "$1 needs a value"
  [[ $2 =~ ^(0x[0-9A-Fa-f]+|[0-9]+)$ ]] || fail "$1 needs a number, not $2"
  case $1 in
    --core) core=$(($2)) ;;
    --base) base=$(($2)) ;;
    --size) size=$(($2)) ;;
    *) fail "unknown option $1" ;;
  esac
  shift 2
done
base=$((base)) size=$((size)) megabytes2=$((1 << 21))
((core >= 1 && core <= 254)) || fail "the core must be from 1 to 254"
((base % megabytes2 == 0 && base >= 1 << 26)) || fail "the base must be a multiple of 2 MiB from 64 MiB up"
((size % megabytes2 == 0 && size >= 2 * megabytes2)) || fail "the size must be a multiple of 2 MiB from 4 MiB up"
((base >> 30 == (base + size - 1) >> 30 && base < 1 << 32)) || fail "the memory must lie within one GiB, below 4 GiB"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# --- The image ------------------------------------------------------------------------------------------------------

swift_flags=(
  -target x86_64-unknown-none-elf -wmo -Osize -parse-as-library -swift-version 6 -strict-memory-safety
  -enable-experimental-feature Embedded -enable-experimental-feature Lifetimes
  -enable-upcoming-feature ExistentialAny -enable-upcoming-feature InternalImportsByDefault
  -enable-upcoming-feature MemberImportVisibility
  -Xcc -ffreestanding -Xcc -mno-red-zone -Xfrontend -function-sections -I "$work"
)
for module in AllyHW AllyPacket AllyRings AllyDrivers; do
  find "$root/Sources/$module" -name '*.swift' -print0 | sort -z |
    xargs -0 swiftc "${swift_flags[@]}" -module-name "$module" -emit-module \
      -emit-module-path "$work/$module.swiftmodule" -c -o "$work/$module.o"
done
swiftc "${swift_flags[@]}" -module-name Image -c -o "$work/Image.o" "$here"/Image/*.swift

symbols=(--defsym "HIDDEN_BASE=$base" --defsym "HIDDEN_SIZE=$size" --defsym "CORE=$core")
as --64 -I "$here" "${symbols[@]}" -o "$work/entry.o" "$here/entry.S"
# One segment holds all: the page tables make no difference between code and data.
ld -m elf_x86_64 -static --gc-sections --no-warn-rwx-segments -T "$here/image.ld" \
  --defsym "imageBase=$((base + 0x1000))" --defsym "workBase=$((base + 0x100000))" \
  -o "$work/image.elf" "$work"/{entry,Image,AllyDrivers,AllyRings,AllyPacket,AllyHW}.o
objcopy -O binary "$work/image.elf" "$work/image.bin"

# The core's first page is made of the image's place in the ROM, so there is a whole page in it wherever the BIOS puts it.
image_size=$(stat --format=%s "$work/image.bin")
if ((image_size < 8192)); then
  truncate --size=8192 "$work/image.bin"
  image_size=8192
fi

# --- The ROM --------------------------------------------------------------------------------------------------------

assemble() { # assemble ROM_SIZE
  as --32 -I "$here" -I "$work" "${symbols[@]}" --defsym "ROM_SIZE=$1" --defsym "IMAGE_SIZE=$image_size" \
    --defsym RESIDENT=512 -o "$work/rom.o" "$here/rom.S"
  ld -m elf_i386 -Ttext 0 --oformat binary -e _start -o "$work/rom.bin" "$work/rom.o"
}
assemble 512
# A multiple of 2 KiB, with one byte left for the checksum.
rom_size=$((($(stat --format=%s "$work/rom.bin") / 2048 + 1) * 2048))
((rom_size <= 255 * 512)) || fail "the ROM would have $rom_size bytes; an option ROM has at most $((255 * 512))" 70
assemble "$rom_size"
truncate --size="$rom_size" "$work/rom.bin"
sum=$(od --address-radix=n --format=u1 --output-duplicates "$work/rom.bin" |
  awk '{ for (i = 1; i <= NF; i++) sum += $i } END { print sum % 256 }')
# shellcheck disable=SC2059 # the format is the byte
printf "\\x$(printf %02x $(((256 - sum) % 256)))" |
  dd of="$work/rom.bin" bs=1 seek=$((rom_size - 1)) conv=notrunc status=none

mv "$work/rom.bin" "$output"
echo "$output: $rom_size bytes, of which the image is $image_size; core $core, memory $(printf '0x%x to 0x%x' "$base" $((base + size - 1)))"
