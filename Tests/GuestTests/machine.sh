# shellcheck shell=bash
# A stock guest whose NIC is served by Ally, in a network of its own: functions for scripts that source this file. The host
# is 192.0.2.1 on the TAP interface ally0, the guest 192.0.2.2.
#
# ALLY_GUEST_TOOLS   where the tools are (default: as in install-guest-tools.sh)

machine_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$machine_folder/../.." && pwd)
tools=${ALLY_GUEST_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/ally/guest-tools}
# After so many seconds a guest is given up.
boot_seconds=${boot_seconds:-400}
# What the emulator is started with: `taskset` of a script that divides the processors.
emulator_on=()

# machine_lacks: says what is missing for a guest, or fails when nothing is.
machine_lacks() {
  if [ ! -x "$tools/qemu-system-x86_64" ]; then
    echo "no QEMU in $tools (scripts/install-guest-tools.sh)"
  elif [ ! -e "$tools/kernel/.complete" ]; then
    echo "no kernel in $tools (scripts/install-guest-tools.sh)"
  elif [ ! -x "$tools/busybox" ]; then
    echo "no busybox in $tools (scripts/install-guest-tools.sh)"
  elif [ ! -w /dev/net/tun ]; then
    echo "no /dev/net/tun"
  elif [ -z "${ALLY_OWN_NETWORK:-}" ] && ! "${own_network[@]}" true 2>/dev/null; then
    echo "no right to make a network namespace"
  else
    return 1
  fi
}

# Of root, or of a user who is root in it.
own_network=(unshare --net)
[ "$(id -u)" -eq 0 ] || own_network=(unshare --user --map-root-user --net)

# enter_network SCRIPT ARGUMENT...: starts the script anew in a network namespace of its own, unless it is in one.
enter_network() {
  if [ -z "${ALLY_OWN_NETWORK:-}" ]; then
    rm -rf "$work"
    ALLY_OWN_NETWORK=yes exec "${own_network[@]}" "$@"
  fi
  busybox ip link set lo up
  # What one case leaves of its connections is not to be heard in the next. A kernel without the setting is louder.
  echo 1 >/proc/sys/net/ipv4/tcp_orphan_retries 2>/dev/null || true
}

# build PRODUCT...: sees to it that ALLY_PRODUCT names each one's executable.
build() {
  local product variable
  for product in "$@"; do
    variable=ALLY_${product^^}
    [ -z "${!variable:-}" ] || continue
    (cd "$root" && swift build -c release --product "$product" >&2)
    export "$variable=$(cd "$root" && swift build -c release --show-bin-path)/$product"
  done
}

busybox() { "$tools/busybox" "$@"; }

# --- Processes, each a group of its own, and a folder; all gone at the end ---------------------------------------------

work=$(mktemp -d)
children=()
start() { # start LOG COMMAND...: sets $last
  local log=$1
  shift
  setsid "$@" >"$log" 2>&1 </dev/null &
  children+=($!)
  last=$!
}
stop_children() {
  local child
  for child in "${children[@]}"; do kill -KILL -- "-$child" 2>/dev/null || true; done
  # So that the shell does not tell of each.
  for child in "${children[@]}"; do wait "$child" 2>/dev/null || true; done
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

# --- Ally, the other end of the cable, the guest ------------------------------------------------------------------------

# pair NAME NAME: two interfaces, up, with a cable between them.
pair() {
  local end
  ip link add "$1" type veth peer name "$2"
  for end in "$1" "$2"; do
    # Only what is asked for goes over the cable. A kernel without IPv6 has no such file.
    echo 1 >"/proc/sys/net/ipv6/conf/$end/disable_ipv6" 2>/dev/null || true
    # The stack would answer for ally0's address at any interface, and take frames there that have not come to ally0.
    echo 1 >"/proc/sys/net/ipv4/conf/$end/arp_ignore"
    ip link set "$end" up
  done
}

# serve LOG SOCKET NIC COMMAND...: has Ally serve a NIC whose cable is ally0, and sets $ally. ally0 is a TAP interface, or with
# uplink=packet:ally1 an end of a pair; with between=yes ally1 and ally0 are ends of two pairs, whose others are ally2 and ally3.
serve() {
  if [ "${between:-}" = yes ]; then
    pair ally1 ally2
    pair ally3 ally0
  elif [ "${uplink:-}" = packet:ally1 ]; then
    pair ally1 ally0
  fi
  start_ally "$@"
  busybox ip addr add 192.0.2.1/24 dev ally0
  echo 1 >/proc/sys/net/ipv6/conf/ally0/disable_ipv6 2>/dev/null || true
  busybox ip link set ally0 up
}

# start_ally LOG SOCKET NIC COMMAND...: until it can be attached to, at this socket and those that the command has itself; sets
# $ally.
start_ally() {
  local log=$1 socket=$2 nic=$3 way=vfio-user sockets
  shift 3
  # grep fails when it counts none.
  sockets=$(($(printf '%s\n' "$@" | grep -c -x -e --attach || true) + 1))
  if [ "$nic" = virtio_net ]; then way=vhost-user; fi
  start "$log" "$@" --attach "$way:$socket" --nic "${nic/_/-}" --uplink "${uplink:-tap:ally0}"
  ally=$last
  for _ in $(seq 300); do
    if [ "$(grep -c 'waiting for a guest' "$log")" -eq "$sockets" ] &&
      { [ "${uplink:-}" = guest ] || grep -q 'ally0:' /proc/net/dev; }; then break; fi
    kill -0 "$ally" 2>/dev/null || break
    sleep 0.1
  done
}

# web_server LOG FOLDER
web_server() { start "$1" "$tools/busybox" httpd -f -vv -p 192.0.2.1:80 -h "$2"; }

# The driver's module, and before it those that it needs.
declare -A needed_modules=([e1000]=e1000 [e1000e]=e1000e [igb]='dca i2c-algo-bit igb'
  [virtio_net]='virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci failover net_failover virtio_net')

# make_initrd OUTPUT NIC SCRIPT: a guest that loads the NIC's driver and runs the script.
make_initrd() {
  local output=$1 nic=$2 script=$3 module modules=()
  { echo "NAME=$nic MODULES='${needed_modules[$nic]}'"; cat "$machine_folder/network.sh" "$script"; } >"$work/guest"
  for module in ${needed_modules[$nic]}; do
    modules+=("$module.ko=$(find "$tools/kernel/modules" -name "$module.ko" -print -quit)")
  done
  "$root/scripts/make-guest-initrd.sh" "$output" "$tools/busybox" "$work/guest" "${modules[@]}"
}

# boot CONSOLE LOG INITRD SOCKET [NIC]: starts the guest with the NIC that is served there, and sets $guest and $console.
boot() {
  if [ "${5:-}" = virtio_net ]; then
    boot_with "$1" "$2" "$3" -chardev "socket,id=ally,path=$4,reconnect-ms=200" \
      -netdev "vhost-user,id=net0,chardev=ally" -device "virtio-net-pci,netdev=net0"
    return
  fi
  boot_with "$1" "$2" "$3" -device \
    '{"driver":"vfio-user-pci","id":"nic0","x-msg-timeout":600000,"socket":{"type":"unix","path":"'"$4"'"}}'
}

# boot_with CONSOLE LOG INITRD ARGUMENT...: the same with whatever NIC the emulator's arguments say.
boot_with() {
  local log=$2 initrd=$3
  console=$1
  shift 3
  : >"$console"
  start "$log" "${emulator_on[@]}" timeout --signal=KILL "$boot_seconds" "$tools/qemu-system-x86_64" \
    -accel tcg -machine q35 -m 256M -object memory-backend-memfd,id=mem,size=256M,share=on -machine memory-backend=mem \
    -nodefaults -display none -serial "file:$console" -kernel "$tools/kernel/vmlinux" -initrd "$initrd" \
    -append "console=ttyS0 quiet panic=-1" "$@"
  guest=$last
}

power_off() { wait "$guest" || true; }

# --- What the guest said ---------------------------------------------------------------------------------------------

section() { tr -d '\r' <"$console" | awk -v name="=== $1" '$0 == name { inside = 1; next } /^=== / { inside = 0 } inside'; }
# await SECTION: until the guest has come to it, or is gone.
await() {
  while kill -0 "$guest" 2>/dev/null; do
    if tr -d '\r' <"$console" | grep -aqx "=== $1"; then return 0; fi
    sleep 0.2
  done
  tr -d '\r' <"$console" | grep -aqx "=== $1"
}
# packets COLUMN: of the TAP interface: 2 what was sent into it by Ally, 10 what Ally took. (/sys would show another network's.)
packets() { sed -n 's/^ *ally0: *//p' /proc/net/dev | awk -v column="$1" '{ print $column }'; }
