# shellcheck shell=sh
# Runs inside a test guest as its only process: prints what the OS can see, in sections that the host takes apart.

section() { printf '\n=== %s\n' "$1"; }
file() { section "file $1"; base64 "$1"; }

dmesg -n 1
section possible && cat /sys/devices/system/cpu/possible
section present && cat /sys/devices/system/cpu/present
section online && cat /sys/devices/system/cpu/online
section cpuinfo && cat /proc/cpuinfo
section meminfo && cat /proc/meminfo
section iomem && cat /proc/iomem
section dmesg && dmesg
section name-space
for device in /sys/bus/acpi/devices/*; do
  case $(cat "$device/path" 2>/dev/null) in
    *CPUS.C*) echo "$(cat "$device/path") $(cat "$device/status" 2>/dev/null)" ;;
  esac
done
for table in /sys/firmware/acpi/tables/*; do [ -f "$table" ] && file "$table"; done
file /sys/firmware/dmi/tables/DMI

# CPUID: EAX, EBX, ECX, EDX. The leaf is the low half of the offset, the subleaf the high one.
insmod /cpuid.ko
cpuid() { dd if=/dev/cpu/0/cpuid bs=16 count=1 skip="$(($2 << 32 | $1))" iflag=skip_bytes 2>/dev/null | od -A n -t u4; }
section cpuid-1 && cpuid 1 0
section cpuid-4 && cpuid 4 0
section cpuid-b && cpuid 11 1
section cpuid-80000008 && cpuid "$((0x80000008))" 0
# What the emulator hands to a BIOS, before any option ROM sees it.
insmod /qemu_fw_cfg.ko
section fw-cfg && ls /sys/firmware/qemu_fw_cfg/by_name/etc/acpi

# What an OS that means harm can do with interrupts: NMIs and fixed ones to a core that it should not know of, through the
# interrupt command register (Intel 64 SDM volume 3, section 10.6.1), with the shorthand for all cores but the sender.
# That takes one write, between which and another the kernel would not use the register too.
section ready && sleep 2
if [ -n "$HIDDEN" ]; then
  section attack
  for vector in 50 52 60 62 70 72 A0 A2; do
    devmem 0xFEE00300 32 0xC4400
    devmem 0xFEE00300 32 0xC40$vector
  done
  echo 'all sent'
  # HIDDEN is the address of the hidden memory.
  section physical-read && devmem $((HIDDEN + 8)) 32
fi
section end
