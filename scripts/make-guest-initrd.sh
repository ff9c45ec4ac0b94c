#!/usr/bin/env bash
# Makes the initrd of a test guest: a static busybox, and a script that runs as the first and only process.
#
#   scripts/make-guest-initrd.sh OUTPUT BUSYBOX SCRIPT [NAME=FILE...]
#
# The guest mounts /proc, /sys and /dev, runs SCRIPT with busybox's shell, and powers off. Each FILE is in the guest as
# /NAME. The archive is an uncompressed newc cpio, so that another may be put before it.
set -euo pipefail

[ $# -ge 3 ] || {
  echo "usage: make-guest-initrd.sh OUTPUT BUSYBOX SCRIPT [NAME=FILE...]" >&2
  exit 64
}
output=$1 busybox=$2 script=$3
shift 3

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree"/{bin,proc,sys,dev,tmp}
cp "$busybox" "$tree/bin/busybox"
cp "$script" "$tree/run"
for pair in "$@"; do cp -r "${pair#*=}" "$tree/${pair%%=*}"; done
cat >"$tree/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox --install -s /bin
export PATH=/bin
exec </dev/console >/dev/console 2>&1
sh /run
poweroff -f
INIT
chmod 755 "$tree/init" "$tree/run" "$tree/bin/busybox"
# busybox's own cpio, so that nothing has to be installed.
(cd "$tree" && find . -mindepth 1 | sort | "$tree/bin/busybox" cpio -o -H newc 2>/dev/null) >"$output"
