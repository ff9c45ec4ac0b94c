#!/usr/bin/env bash
# Stock guests behind Ally: a stock Debian kernel in a stock QEMU, its NIC served by `ids` over vfio-user, or its virtio
# network device's rings over vhost-user, its cable a TAP interface in a network of its own, with a web server at the other end.
#
#   Tests/GuestTests/attach.sh [CASE...]      all cases, or those whose name holds one of the words
#
# Needs what scripts/install-guest-tools.sh gets, and the right to make a network namespace with a TAP interface in it (root
# has it); without either every case is reported as skipped.
#
# ALLY_GUEST_TOOLS   where the tools are (default: as in install-guest-tools.sh)
# ALLY_IDS           the `ids` executable (default: built by swift build, in release)
# ALLY_GUEST_LOGS    a folder that keeps what the guests said (default: none is kept)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
tools=${ALLY_GUEST_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/ally/guest-tools}
cases=(e1000 e1000-inline e1000e igb virtio_net virtio_net-inline virtio_net-restart)
boot_seconds=400

# --- Skipping, a network of our own ---------------------------------------------------------------------------------

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

ids=${ALLY_IDS:-}
if [ -z "$ids" ]; then
  (cd "$root" && swift build -c release --product ids >&2)
  ids=$(cd "$root" && swift build -c release --show-bin-path)/ids
fi
if [ -z "${ALLY_OWN_NETWORK:-}" ]; then
  [ -w /dev/net/tun ] || skip_all "no /dev/net/tun"
  own=(unshare --net)
  [ "$(id -u)" -eq 0 ] || own=(unshare --user --map-root-user --net)
  "${own[@]}" true 2>/dev/null || skip_all "no right to make a network namespace"
  ALLY_OWN_NETWORK=yes ALLY_IDS=$ids exec "${own[@]}" "$0" "$@"
fi

busybox() { "$tools/busybox" "$@"; }
work=$(mktemp -d)
# Each is a process group of its own.
children=()
start() { # start LOG COMMAND...
  local log=$1
  shift
  setsid "$@" >"$log" 2>&1 </dev/null &
  children+=($!)
  last=$!
}
stop_children() {
  local child
  for child in "${children[@]}"; do kill -KILL -- "-$child" 2>/dev/null || true; done
  children=()
}
clean_up() {
  stop_children
  if [ -n "${ALLY_GUEST_LOGS:-}" ]; then
    mkdir -p "$ALLY_GUEST_LOGS"
    cp "$work"/*.console "$work"/*.log "$ALLY_GUEST_LOGS" 2>/dev/null || true
  fi
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- Checking -------------------------------------------------------------------------------------------------------

passed=0
failed=0
failures=0
fail() {
  echo "  FAILED $1"
  failures=$((failures + 1))
}
check() { # check WHAT CONDITION...
  local what=$1
  shift
  if ! "$@" >/dev/null 2>&1; then fail "$what: $*"; fi
}
equal() { # equal WHAT FOUND EXPECTED
  if [ "$2" != "$3" ]; then fail "$1: found '$2', expected '$3'"; fi
}
contains_no() { ! grep -aq "$@"; }
section() { tr -d '\r' <"$console" | awk -v name="=== $1" '$0 == name { inside = 1; next } /^=== / { inside = 0 } inside'; }
# await SECTION: until the guest has come to it, or is gone.
await() {
  while kill -0 "$guest" 2>/dev/null; do
    if tr -d '\r' <"$console" | grep -aqx "=== $1"; then return 0; fi
    sleep 0.2
  done
  tr -d '\r' <"$console" | grep -aqx "=== $1"
}
loss() { section "$1" | sed -n 's/.* \([0-9]*\)% packet loss.*/\1/p'; }
# packets COLUMN: of the TAP interface: 2 what was sent into it by Ally, 10 what Ally took. (/sys would show another network's.)
packets() { sed -n 's/^ *ally0: *//p' /proc/net/dev | awk -v column="$1" '{ print $column }'; }

# --- The other end of the cable, Ally, the guest ------------------------------------------------------------------------

# start_ids LOG NIC OPTION...: until it can be attached to.
start_ids() {
  local log=$1 nic=$2 way=vfio-user
  shift 2
  if [ "$nic" = virtio_net ]; then way=vhost-user; fi
  start "$log" "$ids" --attach "$way:$work/nic.sock" --nic "${nic/_/-}" --uplink tap:ally0 "$@"
  ally=$last
  for _ in $(seq 300); do
    if grep -q 'waiting for a guest' "$log" && grep -q 'ally0:' /proc/net/dev; then break; fi
    kill -0 "$ally" 2>/dev/null || break
    sleep 0.1
  done
}

# serve_guest CASE NIC OPTION...: `ids` in passive or inline mode, and everything around it.
serve_guest() {
  local name=$1 nic=$2
  shift 2
  busybox ip link set lo up
  mkdir -p "$work/www"
  printf 'The page is here.\n' >"$work/www/index.html"
  dd if=/dev/urandom of="$work/data" bs=1M count=20 status=none
  start_ids "$work/$name.ids.log" "$nic" -l "$work/$name.logs" "$@"
  busybox ip addr add 192.0.2.1/24 dev ally0
  # Only what is asked for goes over the cable.
  echo 1 >/proc/sys/net/ipv6/conf/ally0/disable_ipv6 2>/dev/null || true
  busybox ip link set ally0 up
  start "$work/$name.httpd.log" "$tools/busybox" httpd -f -vv -p 192.0.2.1:80 -h "$work/www"
  start "$work/$name.send.log" "$tools/busybox" sh -c "exec '$tools/busybox' nc -l -p 9001 <'$work/data'"
  # Its input stays open, or busybox's nc would end the connection at once.
  start "$work/$name.receive.log" "$tools/busybox" sh -c \
    "sleep $boot_seconds | '$tools/busybox' nc -l -p 9002 >'$work/received'"
}

boot() { # boot CASE
  local device=(-device
    '{"driver":"vfio-user-pci","id":"nic0","x-msg-timeout":600000,"socket":{"type":"unix","path":"'"$work"'/nic.sock"}}')
  if [[ $1 == virtio_net* ]]; then
    device=(-chardev "socket,id=ally,path=$work/nic.sock,reconnect-ms=200" -netdev "vhost-user,id=net0,chardev=ally"
      -device "virtio-net-pci,netdev=net0")
  fi
  console=$work/$1.console
  : >"$console"
  start "$work/$1.qemu.log" timeout --signal=KILL "$boot_seconds" "$tools/qemu-system-x86_64" \
    -accel tcg -machine q35 -m 256M -object memory-backend-memfd,id=mem,size=256M,share=on -machine memory-backend=mem \
    -nodefaults -display none -serial "file:$console" -kernel "$tools/kernel/vmlinux" -initrd "$work/initrd" \
    -append "console=ttyS0 quiet panic=-1" "${device[@]}"
  guest=$last
}

power_off() { wait "$guest" || true; }

# The summary that ids prints at its end.
end_ids() { # end_ids CASE
  kill -TERM "$ally" 2>/dev/null || fail "ids has ended by itself"
  local status=0
  wait "$ally" || status=$?
  equal "exit status of ids" "$status" 0
  summary=$work/$1.ids.log
}
counted() { tr -d ',' <"$summary" | sed -n "s/^ *\\([0-9]*\\)  $1\$/\\1/p" | head -n 1; }

case_e1000() { attached e1000 e1000; }
case_e1000e() { attached e1000e e1000e; }
case_igb() { attached igb igb; }
case_virtio_net() { attached virtio_net virtio_net; }

attached() { # attached CASE NIC
  local name=$1 nic=$2
  echo -n first >"$work/www-stage"
  mkdir -p "$work/www"
  cp "$work/www-stage" "$work/www/stage"
  serve_guest "$name" "$nic" -S "$here/attack.rules"
  boot "$name"
  check "the guest comes up" await driver
  check "the pings end" await pinged
  equal "driver" "$(section driver | head -n 1)" "$nic"
  equal "carrier" "$(section driver | sed -n 2p)" 1
  equal "pings lost in percent" "$(loss ping)" 0
  equal "pings answered" "$(section ping | grep -c 'bytes from')" 200
  check "no ping doubled" contains_no DUP <(section ping)
  check "20 MiB go there" await upload
  equal "digest of what the guest got" "$(section download | awk '{ print $1 }')" \
    "$(sha256sum <"$work/data" | awk '{ print $1 }')"
  check "20 MiB come back" await uploaded
  check "the interface goes down and up, the driver out and in" await reboot
  equal "digest of what came back" "$(sha256sum <"$work/received")" "$(sha256sum <"$work/data")"
  equal "pings lost after down and up" "$(loss down-up)" 0
  equal "pings lost after the driver's return" "$(loss reload)" 0
  echo -n second >"$work/www/stage"
  check "the guest comes up again" await page
  equal "pings lost after the reboot" "$(loss after-reboot)" 0
  check "the guest comes to its end" await end
  equal "page" "$(section page)" "The page is here."
  equal "page after the attack" "$(section after-attack)" "The page is here."
  power_off
  local sent received
  sent=$(packets 10)
  received=$(packets 2)
  end_ids "$name"
  # What left the TAP interface reached the guest's NIC, and what the NIC sent reached the interface.
  equal "frames from the wire" "$(counted "frames from there to the guest's NIC")" "$sent"
  equal "frames to the wire" "$(counted "frames from it to there")" "$received"
  check "the alert with the guest's address" grep -q \
    '"event_type":"alert".*"src_ip":"192.0.2.2".*"dest_ip":"192.0.2.1".*"signature_id":1000001' "$work/$name.logs/eve.json"
  check "no frame dropped" test "$(counted dropped)" = 0
}

case_e1000-inline() { inline e1000-inline e1000; }
case_virtio_net-inline() { inline virtio_net-inline virtio_net; }

inline() { # inline CASE NIC
  local name=$1 nic=$2
  mkdir -p "$work/www"
  echo -n second >"$work/www/stage"
  serve_guest "$name" "$nic" -S "$here/inline.rules" --inline
  boot "$name"
  check "the guest comes to its end" await end
  equal "page" "$(section page)" "The page is here."
  check "the attack has no answer" contains_no "The page" <(section attack)
  # Without a reset the guest gives up after 30 s.
  check "the connection is reset" test "$(section attack | sed -n 's/^after \([0-9]*\) s/\1/p')" -lt 25
  equal "page after the attack" "$(section after-attack)" "The page is here."
  check "the web server saw no attack" contains_no passwd "$work/$name.httpd.log"
  power_off
  end_ids "$name"
  check "the alert with the guest's address" grep -q \
    '"event_type":"alert".*"src_ip":"192.0.2.2".*"signature_id":1000001' "$work/$name.logs/eve.json"
}

# The appliance is killed in the middle of pings, and twice in the middle of a transfer, and started again: the emulator connects
# by itself, and the guest keeps its driver, its address and its connection.
case_virtio_net-restart() {
  local name=virtio_net-restart number
  mkdir -p "$work/www"
  echo -n first >"$work/www/stage"
  # The interface outlives the appliance.
  busybox tunctl -t ally0 >/dev/null
  serve_guest "$name" virtio_net -S "$here/attack.rules"
  boot "$name"
  for number in 1 2 3; do
    if [ "$number" -eq 1 ]; then check "the guest pings" await ping; else check "the guest downloads" await download; fi
    sleep 1
    kill -KILL -- "-$ally" || fail "ids has ended by itself"
    wait "$ally" 2>/dev/null || true
    start_ids "$work/$name.$number.ids.log" virtio_net -l "$work/$name.$number.logs" -S "$here/attack.rules"
    check "the emulator connects again" await_line "$work/$name.$number.ids.log" 'has connected'
  done
  check "20 MiB go there" await upload
  equal "digest of what the guest got" "$(section download | awk '{ print $1 }')" \
    "$(sha256sum <"$work/data" | awk '{ print $1 }')"
  check "20 MiB come back" await uploaded
  check "pings are answered again" test "$(section ping | grep -c 'bytes from')" -gt 120
  check "the interface goes down and up, the driver out and in" await reboot
  equal "digest of what came back" "$(sha256sum <"$work/received")" "$(sha256sum <"$work/data")"
  equal "pings lost after down and up" "$(loss down-up)" 0
  equal "pings lost after the driver's return" "$(loss reload)" 0
  echo -n second >"$work/www/stage"
  check "the guest comes to its end" await end
  power_off
  end_ids "$name.3"
  busybox tunctl -d ally0 >/dev/null
}
await_line() { # await_line FILE TEXT: for a minute at the most
  for _ in $(seq 300); do
    if grep -q "$2" "$1"; then return 0; fi
    sleep 0.2
  done
  return 1
}

# --- Preparing, running ---------------------------------------------------------------------------------------------

# The driver's module, and before it those that it needs.
declare -A needed=([e1000]=e1000 [e1000e]=e1000e [igb]='dca i2c-algo-bit igb'
  [virtio_net]='virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci failover net_failover virtio_net')
module() { find "$tools/kernel/modules" -name "$1.ko" -print -quit; }

for name in "${chosen[@]}"; do
  began=$SECONDS
  failures=0
  nic=${name%%-*}
  { echo "NAME=$nic MODULES='${needed[$nic]}'"; cat "$here/attached-guest.sh"; } >"$work/guest"
  modules=()
  for module in ${needed[$nic]}; do modules+=("$module.ko=$(module "$module")"); done
  "$root/scripts/make-guest-initrd.sh" "$work/initrd" "$tools/busybox" "$work/guest" "${modules[@]}"
  "case_$name"
  stop_children
  if [ "$failures" -eq 0 ]; then
    echo "passed  $name ($((SECONDS - began)) s)"
    passed=$((passed + 1))
  else
    tail -n 15 "$console" | tr -d '\r' | sed 's/^/  | /'
    tail -n 5 "$work/$name.ids.log" | sed 's/^/  ids | /'
    tail -n 5 "$work/$name.qemu.log" | sed 's/^/  qemu | /'
    echo "FAILED  $name: $failures checks ($((SECONDS - began)) s)"
    failed=$((failed + 1))
  fi
  rm -rf "$work"/www "$work"/nic.sock
done
echo "attached guests: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
