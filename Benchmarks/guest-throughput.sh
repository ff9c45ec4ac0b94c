#!/usr/bin/env bash
# A stock guest's throughput and ping with its NIC served by `ids` with no rule that fires, beside the same guest with QEMU's own
# model of the same NIC, both on a TAP interface: interleaved pairs, medians, and the ratio of the two. Nothing is asserted:
# the numbers are for whoever reads them, and mean most on a machine that does nothing else.
#
# The machine's processors are divided as the paper divides them: the DPI core has the last one (`--wait poll`), the guest behind it
# the others. The guest with QEMU's own model has all of them. WAIT=adaptive or WAIT=interrupt in the environment shows
# other ways to wait, DIVIDED=no what it costs to let the kernel choose the processors.
#
#   Benchmarks/guest-throughput.sh [PAIRS [MIB [NIC...]]]     7 pairs of 20 MiB each way, e1000 and e1000e
#
# Needs what Tests/GuestTests/attach.sh needs.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
pairs=${1:-7}
mebibytes=${2:-20}
nics=("${@:3}")
[ "${#nics[@]}" -gt 0 ] || nics=(e1000 e1000e)
# shellcheck source-path=SCRIPTDIR
. "$here/../Tests/GuestTests/machine.sh"
if reason=$(machine_lacks); then
  echo "guest-throughput: $reason" >&2
  exit 69
fi
build ids
enter_network "$0" "$@"

dpi_core=()
guest_cores=()
last_core=$(($(nproc) - 1))
if [ "${DIVIDED:-yes}" = yes ] && [ "$last_core" -gt 0 ]; then
  dpi_core=(--cpu "$last_core")
  guest_cores=(taskset --cpu-list "0-$((last_core - 1))")
fi

cat >"$work/script" <<'GUEST'
now() { cut -d ' ' -f 1 /proc/uptime; }
dmesg -n 1
ip link set lo up
bring_up
ping -c 3 -i 0.2 192.0.2.1 >/dev/null
section ping
ping -c 50 -i 0.1 192.0.2.1 | tail -n 1
section down
echo "$(now)"
nc 192.0.2.1 9001 | wc -c
echo "$(now)"
section up
echo "$(now)"
head -c BYTES /dev/zero | nc 192.0.2.1 9002
echo "$(now)"
section end
GUEST
sed -i "s/BYTES/$((mebibytes << 20))/" "$work/script"
dd if=/dev/urandom of="$work/data" bs=1M count="$mebibytes" status=none
echo 'alert tcp any any -> any any (msg:"Never"; content:"no such thing"; sid:1;)' >"$work/silent.rules"

# run WHOSE NIC: one life of a guest; appends "NIC WHOSE DIRECTION NUMBER" to the results.
run() {
  local whose=$1 nic=$2
  make_initrd "$work/initrd" "$nic" "$work/script"
  if [ "$whose" = ally ]; then
    serve "$work/ally.log" "$work/nic.sock" "$nic" "$ALLY_IDS" "${dpi_core[@]}" --wait "${WAIT:-poll}" -S "$work/silent.rules" -l "$work/logs"
  else
    ip tuntap add ally0 mode tap
    ip addr add 192.0.2.1/24 dev ally0
    echo 1 >/proc/sys/net/ipv6/conf/ally0/disable_ipv6 2>/dev/null || true
    ip link set ally0 up
  fi
  start "$work/send.log" "$tools/busybox" sh -c "exec '$tools/busybox' nc -l -p 9001 <'$work/data'"
  start "$work/receive.log" "$tools/busybox" sh -c "sleep $boot_seconds | '$tools/busybox' nc -l -p 9002 >/dev/null"
  emulator_on=()
  if [ "$whose" = ally ]; then
    emulator_on=("${guest_cores[@]}")
    boot "$work/console" "$work/qemu.log" "$work/initrd" "$work/nic.sock"
  else
    boot_with "$work/console" "$work/qemu.log" "$work/initrd" \
      -netdev tap,id=n0,ifname=ally0,script=no,downscript=no -device "$nic,netdev=n0"
  fi
  await end || { echo "guest-throughput: the guest with $whose's $nic did not come to its end" >&2; exit 1; }
  power_off
  stop_children
  ip link delete ally0 2>/dev/null || true
  rm -f "$work/nic.sock"
  {
    section down | awk -v bytes=$((mebibytes << 20)) -v what="$nic $whose host-to-guest" \
      'NF { line[++n] = $1 } END { if (n == 3 && line[2] == bytes) print what, bytes * 8 / 1e6 / (line[3] - line[1]) }'
    section up | awk -v bytes=$((mebibytes << 20)) -v what="$nic $whose guest-to-host" \
      'NF { line[++n] = $1 } END { if (n == 2) print what, bytes * 8 / 1e6 / (line[2] - line[1]) }'
    section ping | sed -n "s|.*min/avg/max = [0-9.]*/\\([0-9.]*\\)/.*|$nic $whose ping \\1|p"
  } >>"$work/results"
}

for ((pair = 1; pair <= pairs; pair++)); do
  for nic in "${nics[@]}"; do
    # Who is first changes, so that a machine that slows down harms both alike.
    if ((pair % 2)); then order=(ally qemu); else order=(qemu ally); fi
    for whose in "${order[@]}"; do run "$whose" "$nic"; done
    echo "pair $pair of $pairs: $nic" >&2
  done
done

echo "Median of $pairs interleaved pairs, $mebibytes MiB each way; TCP in Mbit/s, ping in ms."
printf '%-8s %-14s %10s %10s %8s\n' NIC what Ally QEMU ratio
sort -k1,3 -k4,4g "$work/results" | awk '
  { key = $1 " " $3; owner = $2; values[key, owner, ++count[key, owner]] = $4; keys[key] }
  END {
    for (key in keys) {
      ours = values[key, "ally", int((count[key, "ally"] + 1) / 2)]
      theirs = values[key, "qemu", int((count[key, "qemu"] + 1) / 2)]
      split(key, part, " ")
      ratio = (theirs > 0) ? sprintf("%.2f", ours / theirs) : "-"
      printf "%-8s %-14s %10.2f %10.2f %8s\n", part[1], part[2], ours, theirs, ratio
    }
  }' | sort
