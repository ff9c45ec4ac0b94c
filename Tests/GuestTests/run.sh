#!/usr/bin/env bash
# Core sequestration on a stock BIOS and a stock kernel, in a machine that QEMU emulates: what the OS sees, and whether the
# sequestered core works on until power-off.
#
#   Tests/GuestTests/run.sh [CASE...]      all cases, or those whose name holds one of the words
#
# Needs what scripts/install-guest-tools.sh gets; without it every case is reported as skipped. Needs no root.
#
# ALLY_GUEST_TOOLS   where the tools are (default: as in install-guest-tools.sh)
# ALLY_TOOL          the `ally` executable (default: built by swift build)
# ALLY_GUEST_LOGS    a folder that keeps what the guests said (default: none is kept)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
tools=${ALLY_GUEST_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/ally/guest-tools}

# What the option ROM is built for, and the guest's memory.
core=3
hidden_base=$((0x10000000))
hidden_size=$((0x1000000))
memory=$((512 << 20))
cases=(plain option-rom boot-loader memory-refused core-refused initrd-overlay)
boot_seconds=180

# --- Skipping, cleaning up ------------------------------------------------------------------------------------------

chosen=()
for name in "${cases[@]}"; do
  [ $# -gt 0 ] || chosen+=("$name")
  for word in "$@"; do
    if [[ $name == *"$word"* ]]; then
      chosen+=("$name")
      break
    fi
  done
done

skip_all() {
  for name in "${chosen[@]}"; do echo "skipped $name: $1"; done
  exit 0
}
[ -x "$tools/qemu-system-x86_64" ] || skip_all "no QEMU in $tools (scripts/install-guest-tools.sh)"
[ -e "$tools/kernel/.complete" ] || skip_all "no kernel in $tools (scripts/install-guest-tools.sh)"
[ -x "$tools/busybox" ] || skip_all "no busybox in $tools (scripts/install-guest-tools.sh)"

work=$(mktemp -d)
guest=
stop_guest() {
  # The guest is a process group of its own.
  if [ -n "$guest" ]; then kill -KILL -- "-$guest" 2>/dev/null || true; fi
  guest=
}
clean_up() {
  stop_guest
  if [ -n "${ALLY_GUEST_LOGS:-}" ]; then
    mkdir -p "$ALLY_GUEST_LOGS"
    cp "$work"/*.console "$work"/*.log "$ALLY_GUEST_LOGS" 2>/dev/null || true
  fi
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- The machine ----------------------------------------------------------------------------------------------------

qemu() { exec setsid timeout --signal=KILL "$boot_seconds" "$tools/qemu-system-x86_64" "$@"; }

# boot NAME KERNEL INITRD OPTION...: starts a guest, whose memory is the file NAME.ram. The BIOS speaks on the serial line
# too.
boot() {
  local name=$1 kernel=$2 initrd=$3
  shift 3
  console=$work/$name.console
  ram=$work/$name.ram
  : >"$console"
  qemu -accel tcg,thread=multi -machine q35 -nodefaults -display none -no-reboot \
    -object "memory-backend-file,id=ram,size=${memory_bytes:-$memory},share=on,mem-path=$ram" \
    -m "$((${memory_bytes:-$memory} >> 20))M" \
    -numa node,memdev=ram -serial "file:$console" -fw_cfg "name=etc/sercon-port,file=$work/sercon-port" \
    -kernel "$tools/kernel/$kernel" -initrd "$initrd" \
    -append "console=ttyS0 quiet panic=-1 iomem=relaxed${arguments:+ $arguments}" "$@" \
    >"$work/$name.log" 2>&1 </dev/null &
  guest=$!
}

# await SECTION: until the guest has come to it, or is gone.
await() {
  while kill -0 "$guest" 2>/dev/null; do
    if grep -aq "^=== $1" "$console"; then return 0; fi
    sleep 0.2
  done
  grep -aq "^=== $1" "$console"
}

power_off() {
  local status=0
  wait "$guest" || status=$?
  guest=
  return "$status"
}

# section NAME: what the guest said in a section.
section() { tr -d '\r' <"$console" | awk -v name="=== $1" '$0 == name { inside = 1; next } /^=== / { inside = 0 } inside'; }

# table NAME OUTPUT: a firmware file as the guest has it.
table() { section "file $1" | tr -d '\n' | base64 --decode >"$2"; }

# mp_table OUTPUT: the MP configuration table. It is in the BIOS's segment, which the guest's memory file has at its address.
mp_table() {
  local bios=$work/bios pointer place length
  dd if="$ram" of="$bios" bs=65536 skip=15 count=1 status=none
  pointer=$(grep -abo '_MP_' "$bios" | head -n 1 | cut -d: -f1)
  place=$(($(number 4 $((pointer + 4)) "$bios") - 0xF0000))
  length=$(number 2 $((place + 4)) "$bios")
  dd if="$bios" of="$1" bs=1 skip="$place" count="$length" status=none
}

# cores_of FILE: the APIC ids of a MADT, an SRAT or an MP table, as ally reads them.
cores_of() { "$ally" firmware show "$1" | sed -n 's/^  core with APIC id \([0-9]*\).*/\1/p' | tr '\n' ' '; }

# number BYTES OFFSET FILE: a little-endian number.
number() { od --address-radix=n --format="u$1" --skip-bytes="$2" --read-bytes="$1" "$3" | tr -d ' \n'; }

# report FIELD: a field of the sequestered core's report (Firmware/OptionROM/Image/Report.swift).
report() { number 8 $((hidden_base + $1)) "$ram"; }
magic=$((0x31495044796C6C41))

# --- Checking -------------------------------------------------------------------------------------------------------

passed=0
failed=0
failures=0
check() { # check WHAT CONDITION...
  local what=$1
  shift
  if "$@" >/dev/null 2>&1; then return 0; fi
  echo "  FAILED $what: $*"
  failures=$((failures + 1))
}
equal() { # equal WHAT FOUND EXPECTED
  if [ "$2" = "$3" ]; then return 0; fi
  echo "  FAILED $1: found '$2', expected '$3'"
  failures=$((failures + 1))
}
more() { # more WHAT FOUND THAN
  if [ "$2" -gt "$3" ]; then return 0; fi
  echo "  FAILED $1: found $2, expected more than $3"
  failures=$((failures + 1))
}
contains_no() { ! grep -aqE "$@"; }
sums_to_zero() {
  [ "$(od --address-radix=n --format=u1 --output-duplicates --width=1 "$1" | awk '{ sum += $1 } END { print sum % 256 }')" = 0 ]
}

# cores LIST COUNT: the OS has exactly these cores.
cores() {
  local kind
  for kind in possible present online; do equal "$kind cores" "$(section $kind)" "$1"; done
  equal "cores in /proc/cpuinfo" "$(section cpuinfo | grep -c ^processor)" "$2"
}

# MemTotal in KiB.
memory_total() { section meminfo | awk '$1 == "MemTotal:" { print $2 }'; }

# Whether a usable range of the BIOS's map has a byte of the hidden memory.
maps_hidden_memory() {
  local first last
  while read -r first last; do
    if ((first < hidden_base + hidden_size && last >= hidden_base)); then return 0; fi
  done < <(section dmesg | sed -n 's/.*BIOS-e820: \[mem \(0x[0-9a-f]*\)-\(0x[0-9a-f]*\)\] usable/\1 \2/p')
  return 1
}

# trace NAME FOUND EXPECTED: something that gives the sequestered core or its memory away if the two differ. Such a trace must be
# named in the threat model.
trace() {
  if [ "$2" = "$3" ]; then return 0; fi
  echo "  visible: $1 ($2 rather than $3)"
  check "$1 is named in Docs/ThreatModel.md" grep -qF "\`$1\`" "$root/Docs/ThreatModel.md"
}

# --- Cases ----------------------------------------------------------------------------------------------------------

case_plain() {
  # Four packages, so that the MP table has all cores.
  boot plain vmlinux "$work/initrd" -smp 4,sockets=4
  check "the guest comes up" await end
  check "the guest powers off" power_off
  cores 0-3 4
  check "the BIOS's map has the memory" maps_hidden_memory
  plain_memory=$(memory_total)
  table /sys/firmware/acpi/tables/APIC "$work/plain.madt"
  equal "cores that ally finds" "$(cores_of "$work/plain.madt")" "0 1 2 3 "
  firmware_command
}

# `ally firmware` on the tables of a real guest: whole, and cut.
firmware_command() {
  local name found=0 hidden=$work/hidden
  while read -r name; do
    table "$name" "$work/table"
    check "ally explains $name" "$ally" firmware show "$work/table"
    found=$((found + 1))
  done < <(tr -d '\r' <"$console" | sed -n 's/^=== file \(.*acpi.*\)/\1/p')
  more "ACPI tables of the guest" "$found" 3

  table /sys/firmware/acpi/tables/SRAT "$work/plain.srat"
  mp_table "$work/plain.mp"
  equal "cores in the MP table" "$(cores_of "$work/plain.mp")" "0 1 2 3 "
  mkdir "$hidden"
  check "ally hides two cores" "$ally" firmware hide --cores 1,3 --madt "$work/plain.madt" --srat "$work/plain.srat" \
    --mp "$work/plain.mp" --output-table "$hidden/madt" --output-srat "$hidden/srat" --output-mp "$hidden/mp"
  for name in madt srat mp; do equal "cores left in $name" "$(cores_of "$hidden/$name")" "0 2 "; done
  for name in madt srat; do check "checksum of $name" sums_to_zero "$hidden/$name"; done

  local length status output
  for name in madt srat mp; do
    output=--output-$name
    [ "$name" != madt ] || output=--output-table
    for length in 0 1 35 43 $(($(stat --format=%s "$work/plain.$name") - 1)); do
      head --bytes="$length" "$work/plain.$name" >"$work/cut"
      status=0
      "$ally" firmware hide --cores 3 "--$name" "$work/cut" "$output" "$hidden/cut" >/dev/null 2>"$work/cut.log" ||
        status=$?
      equal "status for the first $length bytes of $name" "$status" 76
      equal "lines about the first $length bytes of $name" "$(wc -l <"$work/cut.log")" 1
      check "no file from the first $length bytes of $name" test ! -e "$hidden/cut"
    done
  done
}

sequestered() { # sequestered NAME MP-CORES: what every guest without the core must show
  cores 0-2 3
  check "no core with the APIC id" contains_no "^apicid[[:space:]]*: $core\$" <(section cpuinfo)
  check "the memory is not in the BIOS's map" eval '! maps_hidden_memory'
  if [ -n "${plain_memory:-}" ]; then
    more "KiB that the OS has less" $((plain_memory - $(memory_total))) $(((hidden_size >> 10) - 1024))
  fi
  local kind
  for kind in APIC SRAT DSDT; do
    table /sys/firmware/acpi/tables/$kind "$work/$1.$kind"
    check "checksum of $kind" sums_to_zero "$work/$1.$kind"
  done
  check "ally reads the MADT" "$ally" firmware show "$work/$1.APIC"
  for kind in APIC SRAT; do
    equal "cores in $kind" "$(cores_of "$work/$1.$kind")" "0 1 2 "
  done
  mp_table "$work/$1.mp"
  equal "cores in the MP table" "$(cores_of "$work/$1.mp")" "$2"
  check "the kernel log has no core that was ignored" contains_no "APIC.*(ignored|limit)|hotplug CPUs.*[1-9] hotplug" \
    <(section dmesg)
}

working_core() { # the report after power-off
  equal "report" "$(report 0)" "$magic"
  more "frames that came back" "$(report $((0x18)))" 1000
  more "frames dropped" "$(report $((0x20)))" 100
  equal "frames sent" "$(report $((0x10)))" $(($(report $((0x18))) + $(report $((0x20)))))
  equal "frames that were wrong" "$(report $((0x28)))" 0
  equal "ring faults" "$(report $((0x38)))" 0
  equal "exception" "$(report $((0x50)))" 0
  # The memory map's pieces, the table of queue pairs, and that of their gates, at the start.
  equal "allocations" "$(report $((0x58)))" 4
}

case_option-rom() {
  boot option-rom vmlinux "$work/initrd-attack" -smp 4 -option-rom "$work/ally.rom"
  check "the guest comes up" await ready
  local first second last
  first=$(report 8)
  sleep 1
  second=$(report 8)
  more "heartbeats while the OS is idle" "$second" "$first"
  check "the guest comes to its end" await end
  check "the guest powers off" power_off
  last=$(report 8)
  more "heartbeats after the attack, up to power-off" "$last" "$(($(section physical-read)))"
  # The BIOS lists one core of each package in the MP table.
  sequestered option-rom '0 '
  working_core
  # Eight were sent; a core that its host lets wait takes two that came meanwhile as one.
  more "NMIs that the core took" "$(report $((0x40)))" 0
  more "NMIs that were sent, and one" 9 "$(report $((0x40)))"
  equal "interrupts that the core took" "$(report $((0x48)))" 0
  check "the BIOS said so" grep -aq "ally: core and memory are sequestered" "$console"

  # What an OS that looks closely still finds.
  trace cpuid-logical-processors "$(($(cpuid 1 EBX) >> 16 & 255))" 3
  # Leaf 4 counts ids rather than cores, in powers of two, on processors that have it; the two below count cores.
  trace cpuid-cores "$(($(cpuid 80000008 ECX) % 256 + 1))" 3
  trace cpuid-topology "$(cpuid b EBX)" 3
  equal "siblings in /proc/cpuinfo" "$(section cpuinfo | awk '$1 == "siblings" { print $3 }' | sort -u)" 3
  table /sys/firmware/dmi/tables/DMI "$work/dmi"
  trace smbios-cores "$(smbios_cores "$work/dmi")" 3
  trace fw-cfg-tables "$(section fw-cfg | grep -c tables)" 0
  equal "processor devices that are present" "$(section name-space | awk 'NF == 2 && $2 != 0' | wc -l)" 3
  trace acpi-processor-names "$(section name-space | grep -c CPUS)" 3
  trace physical-reads "$([ "$(section physical-read)" = 0xFFFFFFFF ] && echo nothing || echo contents)" nothing
  trace hole-in-memory "$(section dmesg | grep -c 'BIOS-e820: .*usable')" 2
  # The segment that INT 15h leads to: the BIOS's own, or the ROM's.
  trace option-rom-in-memory "$(printf 0x%x "$(number 2 $((0x15 * 4 + 2)) "$ram")")" 0xf000
}

# cpuid LEAF REGISTER: what the guest read, as a number.
cpuid() {
  local -A column=([EAX]=1 [EBX]=2 [ECX]=3 [EDX]=4)
  section "cpuid-$1" | awk -v column="${column[$2]}" 'NF == 4 { print $column }'
}

# Core counts of the processors that SMBIOS lists (type 4, offset 0x23).
smbios_cores() {
  local offset=0 size total=0 length type
  size=$(stat --format=%s "$1")
  while ((offset + 4 <= size)); do
    type=$(number 1 "$offset" "$1")
    length=$(number 1 $((offset + 1)) "$1")
    if ((type == 4 && length > 0x23)); then total=$((total + $(number 1 $((offset + 0x23)) "$1"))); fi
    offset=$((offset + length))
    # The strings end with two zeros.
    while ((offset + 2 <= size)) && [ "$(number 2 "$offset" "$1")" != 0 ]; do offset=$((offset + 1)); done
    offset=$((offset + 2))
  done
  echo "$total"
}

case_boot-loader() {
  # The boot image asks the BIOS for the memory map itself, as it does under a boot loader. Four packages, so that the
  # MP table has all cores.
  boot boot-loader vmlinuz "$work/initrd" -smp 4,sockets=4 -option-rom "$work/ally.rom"
  check "the guest comes up" await end
  check "the guest powers off" power_off
  sequestered boot-loader '0 1 2 '
  working_core
}

case_memory-refused() {
  memory_bytes=$((192 << 20)) boot memory-refused vmlinux "$work/initrd" -smp 4 -option-rom "$work/ally.rom"
  check "the guest comes up" await end
  check "the guest powers off" power_off
  cores 0-3 4
  check "the BIOS said why" grep -aq "ally: the memory to hide is not usable memory" "$console"
}

case_core-refused() {
  boot core-refused vmlinux "$work/initrd" -smp 3 -option-rom "$work/ally.rom"
  check "the guest comes up" await end
  check "the guest powers off" power_off
  cores 0-2 3
  check "the BIOS's map still has the memory" maps_hidden_memory
  check "the BIOS said why" grep -aq "ally: the core did not start" "$console"
}

case_initrd-overlay() {
  if [ ! -s "$work/plain.madt" ]; then case_plain; fi
  check "ally makes the overlay" "$ally" firmware hide --cores "$core" --madt "$work/plain.madt" \
    --output-initrd "$work/overlay.cpio"
  cat "$work/overlay.cpio" "$work/initrd" >"$work/initrd-overlay"
  boot initrd-overlay vmlinux "$work/initrd-overlay" -smp 4
  check "the guest comes up" await end
  check "the guest powers off" power_off
  cores 0-2 3
  check "the kernel took the table" grep -q "Table Upgrade: override \[APIC" <(section dmesg)
  check "no core to be plugged" grep -q "Allowing 3 CPUs, 0 hotplug CPUs" <(section dmesg)
  # The name space, which is not changed this way, names the core again.
  trace overlay-in-kernel-log "$(section dmesg | grep -c 'Table Upgrade')" 0
  trace core-ignored-in-kernel-log "$(section dmesg | grep -c 'Processor .* ignored')" 0
  trace acpi-processor-present "$(section name-space | awk 'NF == 2 && $2 != 0' | wc -l)" 3
}

# --- Preparing, running ---------------------------------------------------------------------------------------------

ally=${ALLY_TOOL:-}
if [ -z "$ally" ]; then
  (cd "$root" && swift build --product ally >&2)
  ally=$(cd "$root" && swift build --show-bin-path)/ally
fi
"$root/Firmware/OptionROM/build.sh" "$work/ally.rom" --core "$core" --base "$hidden_base" --size "$hidden_size"
printf '\xf8\x03' >"$work/sercon-port"

modules=()
for module in cpuid qemu_fw_cfg; do
  modules+=("$module.ko=$(find "$tools/kernel/modules" -name "$module.ko" -print -quit)")
done
{ echo 'HIDDEN='; cat "$here/guest.sh"; } >"$work/guest"
{ echo "HIDDEN=$hidden_base"; cat "$here/guest.sh"; } >"$work/guest-attack"
"$root/scripts/make-guest-initrd.sh" "$work/initrd" "$tools/busybox" "$work/guest" "${modules[@]}"
"$root/scripts/make-guest-initrd.sh" "$work/initrd-attack" "$tools/busybox" "$work/guest-attack" "${modules[@]}"

for name in "${chosen[@]}"; do
  began=$SECONDS
  failures=0
  "case_$name"
  stop_guest
  if [ "$failures" -eq 0 ]; then
    echo "passed  $name ($((SECONDS - began)) s)"
    passed=$((passed + 1))
  else
    tail -n 5 "$console" | tr -d '\r' | sed 's/^/  | /'
    echo "FAILED  $name: $failures checks ($((SECONDS - began)) s)"
    failed=$((failed + 1))
  fi
done
echo "guest tests: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
