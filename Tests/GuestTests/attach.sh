#!/usr/bin/env bash
# Stock guests behind Ally: a stock Debian kernel in a stock QEMU, its NIC served by `ids` or `firewall` over vfio-user, or its
# virtio network device's rings over vhost-user; its cable a TAP interface in a network of its own (or an interface of a pair),
# with a web server at the other end.
#
#   Tests/GuestTests/attach.sh [CASE...]      all cases, or those whose name holds one of the words
#
# Needs what scripts/install-guest-tools.sh gets, and the right to make a network namespace with a TAP interface in it (root
# has it); without either every case is reported as skipped.
#
# ALLY_GUEST_TOOLS   where the tools are (default: as in install-guest-tools.sh)
# ALLY_IDS, ALLY_FIREWALL, ALLY_ALLY   the executables (default: built by swift build, in release)
# ALLY_GUEST_LOGS    a folder that keeps what the guests said (default: none is kept)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cases=(e1000 e1000-inline e1000-firewall e1000-survival e1000-upgrade e1000-suricata e1000-guests e1000-qemu
  e1000-qemu-ends e1000e e1000e-survival e1000e-survival-apart e1000e-survival-blocked e1000e-packet e1000e-core
  e1000e-qemu e1000e-apart e1000e-firewall igb igb-qemu igb-firewall igb-survival igb-survival-firewall
  igb-upgrade-firewall igb-apart igb-apart-guests e1000e-survival-guests virtio_net virtio_net-inline
  virtio_net-apart virtio_net-guests virtio_net-restart virtio_net-survival)

# shellcheck source-path=SCRIPTDIR
. "$here/cases.sh"
choose "$@"
if reason=$(machine_lacks); then skip_all "$reason"; fi
build ids firewall ally
enter_network "$0" "$@"

loss() { section "$1" | sed -n 's/.* \([0-9]*\)% packet loss.*/\1/p'; }

# --- The other end of the cable, Ally, the guest ------------------------------------------------------------------------

# serve_guest CASE NIC COMMAND...: `ids` or `firewall` as COMMAND says, and everything around it.
serve_guest() {
  local name=$1 nic=$2
  shift 2
  mkdir -p "$work/www"
  printf 'The page is here.\n' >"$work/www/index.html"
  dd if=/dev/urandom of="$work/data" bs=1M count="${megabytes:-20}" status=none
  serve "$work/$name.ally.log" "$work/nic.sock" "$nic" "$@"
  web_server "$work/$name.httpd.log" "$work/www"
  start "$work/$name.send.log" "$tools/busybox" sh -c "exec '$tools/busybox' nc -l -p 9001 <'$work/data'"
  # Its input stays open, or busybox's nc would end the connection at once.
  start "$work/$name.receive.log" "$tools/busybox" sh -c \
    "sleep $boot_seconds | '$tools/busybox' nc -l -p 9002 >'$work/received'"
}

# requests CASE: how many the web server saw. (Its log does not have what stands behind a question mark; grep fails when it
# counts none.)
requests() { grep -ac url: "$work/$1.httpd.log" || true; }

boot_guest() { boot "$work/$1.console" "$work/$1.qemu.log" "$work/initrd" "$work/nic.sock" "${1%%-*}"; }

# The summary that the command prints at its end.
end_ally() { # end_ally CASE
  kill -TERM "$ally" 2>/dev/null || fail "Ally has ended by itself"
  local status=0
  wait "$ally" || status=$?
  equal "exit status" "$status" 0
  summary=$work/$1.ally.log
}

# listen_beside CASE: another program writes down what passes the wire, where there is one; sets $listener.
listen_beside() {
  listener=
  if ! command -v tcpdump >/dev/null || ! command -v python3 >/dev/null; then
    echo "skipped comparison of captures in $1: no tcpdump, or no python3"
    return
  fi
  start "$work/$1.tcpdump.log" tcpdump -i ally0 -s 0 -B 262144 -Z root -w "$work/wire.pcap"
  listener=$last
  for _ in $(seq 100); do
    if grep -q 'listening on' "$work/$1.tcpdump.log"; then break; fi
    sleep 0.1
  done
}
stop_listening() {
  [ -n "$listener" ] || return 0
  # What it has not read yet.
  sleep 1
  kill -INT "$listener" || fail "the listener has ended by itself"
  wait "$listener" || true
}

case_e1000() { attached e1000 e1000; }
case_e1000e() { attached e1000e e1000e; }
case_igb() { attached igb igb; }
case_virtio_net() { attached virtio_net virtio_net; }

# The cable is one of a pair of interfaces, whose other end leaves segments and checksums to it.
case_e1000e-packet() {
  if ! command -v ip >/dev/null; then
    skip "no ip (iproute2)"
    return
  fi
  local uplink=packet:ally1
  attached e1000e-packet e1000e
}

# The whole chain: the guest's driver, our driver module, one of QEMU's NIC models.
case_e1000-qemu() { chained e1000-qemu e1000; }
case_e1000e-qemu() { chained e1000e-qemu e1000e; }
case_igb-qemu() { chained igb-qemu igb; }
chained() { # chained CASE NIC
  attached "$1" "$2" --qemu "$tools/qemu-system-x86_64"
  check "nobody is left" await_nobody "$ally"
}

# QEMU ends with the command, however that ends; and the command without it.
case_e1000-qemu-ends() {
  local name=e1000-qemu-ends signal status=0
  for signal in TERM INT KILL; do
    start_ally "$work/$name.$signal.ally.log" "$work/nic.sock" e1000 "$ALLY_IDS" -l "$work/$name.logs" \
      -S "$here/attack.rules" --qemu "$tools/qemu-system-x86_64"
    check "QEMU runs, without rights" grep -q '^CapEff:[[:space:]]*0*$' "/proc/$(child_of "$ally")/status"
    kill "-$signal" "$ally" || fail "ids has ended by itself"
    # Its status is that of the signal.
    wait "$ally" 2>/dev/null || true
    check "nobody is left after SIG$signal" await_nobody "$ally"
  done
  start_ally "$work/$name.ally.log" "$work/nic.sock" e1000 "$ALLY_IDS" -l "$work/$name.logs" -S "$here/attack.rules" \
    --qemu "$tools/qemu-system-x86_64"
  kill -KILL "$(child_of "$ally")" || fail "there is no QEMU"
  wait "$ally" || status=$?
  equal "exit status without QEMU" "$status" 71
  check "it says so" grep -q 'QEMU has ended' "$work/$name.ally.log"
  status=0
  "$ALLY_IDS" -S "$here/attack.rules" -l "$work/$name.logs" --attach "vfio-user:$work/nic.sock" --uplink tap:ally0 \
    --qemu /nowhere/qemu >"$work/$name.none.log" 2>&1 || status=$?
  equal "exit status without a program" "$status" 71
  check "it names it" grep -q '/nowhere/qemu: No such file' "$work/$name.none.log"
}

# The cable leads to another guest: every frame is inspected once, where it is sent.
case_e1000-guests() { paired e1000-guests e1000; }
case_virtio_net-guests() { paired virtio_net-guests virtio_net; }
# The same while workers are killed: what is on the cable, and in both NICs, outlives them.
case_e1000e-survival-guests() {
  local disturb=kill_workers
  paired e1000e-survival-guests e1000e --keep fail-closed
  equal "workers replaced" "$(counted "workers that died and were replaced")" "$kills"
}
# The same while the inspector is killed, without which frames pass: the worker goes on, and another inspector comes.
case_igb-apart-guests() {
  local disturb=kill_inspectors
  paired igb-apart-guests igb --inspector-process --inspector-failure open
  equal "inspectors started again" "$(counted "inspectors started again")" "$inspectors"
  check "frames passed without an inspector" test "$(counted "frames without an inspector")" -ge 1
  check "nobody is left" await_nobody "$ally"
}

paired() { # paired CASE NIC OPTION...
  local name=$1 nic=$2 uplink=guest way=vfio-user disturb=${disturb:-} near far near_console far_console
  shift 2
  if [ "$nic" = virtio_net ]; then way=vhost-user; fi
  make_initrd "$work/far-initrd" "$nic" "$here/far-guest.sh"
  start_ally "$work/$name.ally.log" "$work/nic.sock" "$nic" "$ALLY_IDS" -l "$work/$name.logs" -S "$here/attack.rules" \
    --attach "$way:$work/far.sock" --uplink guest "$@"
  boot "$work/$name.far.console" "$work/$name.far.log" "$work/far-initrd" "$work/far.sock" "$nic"
  far=$guest far_console=$console
  check "the far guest comes up" await listening
  boot "$work/$name.console" "$work/$name.qemu.log" "$work/initrd" "$work/nic.sock" "$nic"
  near=$guest near_console=$console
  if [ -n "$disturb" ]; then
    kills=0 inspectors=0
    check "the guest pings" await ping
    "$disturb" 3
    check "the guest downloads" await download
    # One, or the guest is done before there is another.
    "$disturb" 1
  fi
  check "the guest comes to its end" await end
  guest=$far console=$far_console
  check "the far guest comes to its end" await end
  kill -KILL -- "-$far"
  # It was killed: its status says so.
  wait "$far" 2>/dev/null || true
  local data received
  data=$(section data) received=$(section received)
  guest=$near console=$near_console
  power_off
  end_ally "$name"
  equal "driver" "$(section driver | head -n 1)" "$nic"
  equal "pings lost in percent" "$(loss ping)" 0
  # One that was answered when its worker died may be answered again.
  equal "pings answered" "$(section ping | grep 'bytes from' | sed 's/.*seq=\([0-9]*\).*/\1/' | sort -u | wc -l)" 200
  check "there are data" test -n "$data"
  equal "digest of what the guest got" "$(section download)" "$data"
  equal "digest of what came back" "$received" "$data"
  equal "page" "$(section page)" "The page is here."
  equal "page after the attack" "$(section attack)" "The page is here."
  equal "alerts" "$(grep -c '"signature_id":1000001' "$work/$name.logs/eve.json")" 1
  if [ -z "$disturb" ]; then
    check "no ping doubled" contains_no DUP <(section ping)
    equal "frames inspected, as they are on the wire" "$(counted "frames on the wire of those accepted")" \
      "$(summed "frames from it to there")"
    equal "frames that were not taken" "$(summed "frames that were not taken there")" 0
  fi
}
# summed LABEL: the numbers before a label, all together.
summed() { sed -n "s/^ *\\([0-9,]*\\)  $1\$/\\1/p" "$summary" | tr -d , | awk '{ sum += $1 } END { print sum + 0 }'; }

attached() { # attached CASE NIC OPTION...
  local name=$1 nic=$2
  shift 2
  echo -n first >"$work/www-stage"
  mkdir -p "$work/www"
  cp "$work/www-stage" "$work/www/stage"
  serve_guest "$name" "$nic" "$ALLY_IDS" -l "$work/$name.logs" -S "$here/attack.rules" --record "$work/inspected.pcap" \
    "$@"
  listen_beside "$name"
  boot_guest "$name"
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
  stop_listening
  end_ally "$name"
  # What left the TAP interface reached the guest's NIC, and what the NIC sent reached the interface. (An interface of a pair
  # counts what it leaves to the other to cut as one frame.)
  if [ -z "${uplink:-}" ]; then equal "frames from the wire" "$(counted "frames from there to the guest's NIC")" "$sent"; fi
  equal "frames to the wire" "$(counted "frames from it to there")" "$received"
  # Every frame was inspected: by count, and byte for byte. A few requests for its address may come while the guest starts its
  # NIC anew, which throws away what that had received.
  local lost=8 missing tails=()
  missing=$(($(counted "frames from there to the guest's NIC") + $(counted "frames from it to there")
    - $(counted "frames on the wire of those accepted")))
  if [[ $name == *-qemu ]]; then
    # Its 82540EM sends more than it was given; what, is compared below.
    tails=(0)
    if [ "$nic" = e1000 ] && [ "$missing" -gt 0 ]; then tails=("$missing") missing=0; fi
  fi
  check "frames on the wire that were not inspected: $missing" test "$missing" -ge 0 -a "$missing" -le "$lost"
  if [ -n "$listener" ] && [ -z "${uplink:-}" ]; then
    check "the listener lost nothing" grep -q '^0 packets dropped by kernel' "$work/$name.tcpdump.log"
    if ! "$here/compare-captures.py" "$work/inspected.pcap" "$work/wire.pcap" "$lost" "${tails[@]}" >"$work/$name.compare.log"; then
      fail "what was inspected is not what passed the wire: $(head -n 4 "$work/$name.compare.log")"
    fi
  fi
  check "the alert with the guest's address" grep -q \
    '"event_type":"alert".*"src_ip":"192.0.2.2".*"dest_ip":"192.0.2.1".*"signature_id":1000001' "$work/$name.logs/eve.json"
  check "no frame dropped" test "$(counted dropped)" = 0
}

case_e1000-inline() { inline e1000-inline e1000; }
case_virtio_net-inline() { inline virtio_net-inline virtio_net; }

inline() { # inline CASE NIC OPTION...
  local name=$1 nic=$2
  shift 2
  mkdir -p "$work/www"
  echo -n second >"$work/www/stage"
  serve_guest "$name" "$nic" "$ALLY_IDS" -l "$work/$name.logs" -S "$here/inline.rules" --inline "$@"
  "${meanwhile:-:}" "$name"
  boot_guest "$name"
  check "the guest comes to its end" await end
  equal "page" "$(section page)" "The page is here."
  check "the attack has no answer" contains_no "The page" <(section attack)
  # Without a reset the guest gives up after 30 s.
  check "the connection is reset" test "$(section attack | sed -n 's/^after \([0-9]*\) s/\1/p')" -lt 25
  equal "page after the attack" "$(section after-attack)" "The page is here."
  equal "what the web server saw: the stage, the page twice" "$(requests "$name")" 3
  power_off
  end_ally "$name"
  check "the alert with the guest's address" grep -q \
    '"event_type":"alert".*"src_ip":"192.0.2.2".*"signature_id":1000001' "$work/$name.logs/eve.json"
}

# Rules and records in a process of their own: the same traffic with the same result, and nothing is copied for it.
case_e1000e-apart() {
  attached e1000e-apart e1000e --inspector-process --inspector-failure closed
  equal "frames without an inspector" "$(counted "frames without an inspector")" 0
  equal "frames inspected there" "$(counted "frames inspected there")" "$(counted frames)"
  check "batches" test "$(counted "batches of them")" -lt "$(counted frames)"
  equal "copies for the inspector for each frame" "$(counted "copies for the inspector for each frame")" 0.000
  check "nobody is left" await_nobody "$ally"
}
# What a rejected connection is told crosses too, and another inspector does what the first would have. It can do little.
case_igb-apart() {
  local meanwhile=replace_inspector user=root options=(--inspector-process --inspector-failure closed)
  # Whoever is root of a user namespace alone has no other user to become.
  if [ "$(awk '{ print $3; exit }' /proc/self/uid_map)" -gt 1 ]; then
    user=nobody
    options+=(--user nobody)
  fi
  mkdir -p "$work/igb-apart.logs"
  chmod 755 "$work"
  chmod 777 "$work/igb-apart.logs"
  inline igb-apart igb "${options[@]}"
  check "another inspector was started" grep -q '^ *1  inspectors started again' "$summary"
  check "nobody is left" await_nobody "$ally"
}
case_virtio_net-apart() { inline virtio_net-apart virtio_net --inspector-process --inspector-failure closed; }
replace_inspector() { # replace_inspector CASE
  local inspector task
  inspector=$(inspector_of "$ally")
  kill -KILL "$inspector" || fail "there is no inspector"
  check "another inspector is started" await_line 'there is an inspector again' "$work/$1.ally.log"
  inspector=$(inspector_of "$ally")
  equal "user of the inspector" "$(field Uid "/proc/$inspector/status" | cut -f 1)" "$(id -u "$user")"
  equal "capabilities of the inspector" "$(field CapEff "/proc/$inspector/status")" 0000000000000000
  for task in /proc/"$inspector"/task/*; do
    equal "its filter of system calls" "$(field Seccomp "$task/status")" 2
  done
  check "it has no interface" contains_no net/tun <(readlink "/proc/$inspector/fd/"*)
}
# inspector_of PROCESS: the one that was started by the one that it started first.
inspector_of() { child_of "$(children_of "$1" | head -n 1)"; }
# worker_of PROCESS: the one that was started by the one that it started last.
worker_of() { child_of "$(children_of "$1" | tail -n 1)"; }
child_of() { children_of "$1" | head -n 1; }
children_of() { busybox ps -o pid,ppid | awk -v parent="$1" '$2 == parent { print $1 }' | sort -n; }
# await_nobody GROUP: until no process of the group is left.
await_nobody() {
  for _ in $(seq 50); do
    if [ -z "$(busybox ps -o pid,pgid | awk -v group="$1" '$2 == group { print $1 }')" ]; then return 0; fi
    sleep 0.1
  done
  return 1
}

# The appliance is killed in the middle of pings, and twice in the middle of a transfer, and started again: the emulator connects
# by itself, and the guest keeps its driver, its address and its connection.
case_virtio_net-restart() {
  local name=virtio_net-restart number
  mkdir -p "$work/www"
  echo -n first >"$work/www/stage"
  # The interface outlives the appliance.
  busybox tunctl -t ally0 >/dev/null
  serve_guest "$name" virtio_net "$ALLY_IDS" -l "$work/$name.logs" -S "$here/attack.rules"
  boot_guest "$name"
  for number in 1 2 3; do
    if [ "$number" -eq 1 ]; then check "the guest pings" await ping; else check "the guest downloads" await download; fi
    sleep 1
    kill -KILL -- "-$ally" || fail "ids has ended by itself"
    wait "$ally" 2>/dev/null || true
    start_ally "$work/$name.$number.ally.log" "$work/nic.sock" virtio_net \
      "$ALLY_IDS" -l "$work/$name.$number.logs" -S "$here/attack.rules"
    check "the emulator connects again" await_line 'has connected' "$work/$name.$number.ally.log"
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
  end_ally "$name.3"
  busybox tunctl -d ally0 >/dev/null
}
# A keeper replaces workers that are killed at random in the middle of pings and of a transfer each way: the guest notices nothing,
# and its driver, its address and its connections stay.
case_e1000-survival() { survival e1000-survival e1000; }
case_e1000e-survival() { survival e1000e-survival e1000e; }
case_igb-survival() { survival igb-survival igb; }
# The same while another executable takes over, and again and again one that cannot.
case_e1000-upgrade() {
  local disturb=upgrade
  survival e1000-upgrade e1000 --control "$work/control"
}
# The same while workers and inspectors are killed in turn, and an upgrade is asked for that there cannot be.
case_e1000e-survival-apart() {
  local disturb=kill_either
  inspectors=0
  survival e1000e-survival-apart e1000e --inspector-process --inspector-failure open --control "$work/control"
  check "inspectors were started again" test "$(counted "inspectors started again")" -ge 1
  check "no inspector wrote nonsense" test -z "$(counted "inspectors that wrote nonsense")"
  check "nobody is left" await_nobody "$ally"
}

survival() { # survival CASE NIC OPTION...
  local name=$1 nic=$2 megabytes=50 disturb=${disturb:-kill_workers}
  shift 2
  mkdir -p "$work/www"
  echo -n first >"$work/www/stage"
  serve_guest "$name" "$nic" "$ALLY_IDS" -l "$work/$name.logs" -S "$here/attack.rules" --keep fail-closed "$@"
  boot_guest "$name"
  kills=0
  upgrades=0
  check "the guest pings" await ping
  "$disturb" 7
  check "the guest downloads" await download
  "$disturb" 7
  check "50 MiB go there" await upload
  "$disturb" 6
  check "50 MiB come back" await uploaded
  check "the interface goes down and up, the driver out and in" await reboot
  equal "driver" "$(section driver | head -n 1)" "$nic"
  equal "pings lost in percent" "$(loss ping)" 0
  # One that was answered when its worker died may be answered again.
  check "pings answered" test "$(section ping | grep 'bytes from' | sed 's/.*seq=\([0-9]*\).*/\1/' | sort -u | wc -l)" = 200
  equal "digest of what the guest got" "$(section download | awk '{ print $1 }')" \
    "$(sha256sum <"$work/data" | awk '{ print $1 }')"
  equal "digest of what came back" "$(sha256sum <"$work/received")" "$(sha256sum <"$work/data")"
  equal "pings lost after down and up" "$(loss down-up)" 0
  equal "pings lost after the driver's return" "$(loss reload)" 0
  echo -n second >"$work/www/stage"
  check "the guest comes to its end" await end
  equal "pings lost after the reboot" "$(loss after-reboot)" 0
  equal "page after the attack" "$(section after-attack)" "The page is here."
  power_off
  end_ally "$name"
  equal "workers replaced" "$(counted "workers that died and were replaced")" "$kills"
  if [ "$upgrades" -gt 0 ]; then equal "upgrades" "$(counted upgrades)" "$upgrades"; fi
  check "the alert of a worker that is not the first" grep -q '"signature_id":1000001' "$work/$name.logs/eve.json"
}

# What a rule has dropped once stays dropped, although the engine of a later worker has seen nothing of it.
case_e1000e-survival-blocked() {
  local name=e1000e-survival-blocked
  serve_guest "$name" e1000e "$ALLY_IDS" -l "$work/$name.logs" -S "$here/blocked.rules" --inline --keep fail-closed
  start "$work/$name.listener.log" "$tools/busybox" sh -c \
    "sleep $boot_seconds | '$tools/busybox' nc -l -p 9004 >'$work/$name.said'"
  boot_guest "$name"
  kills=0
  check "the guest has said what is blocked" await blocked
  # Its alert is written down, and the flow dropped.
  check "the alert" await_line '"signature_id":1000005' "$work/$name.logs/eve.json"
  kill_workers 5
  check "the guest comes to its end" await end
  equal "what the other end has heard" "$(cat "$work/$name.said")" "hello"
  equal "page" "$(section page)" "The page is here."
  power_off
  end_ally "$name"
  equal "workers replaced" "$(counted "workers that died and were replaced")" "$kills"
}

# With vhost-user the emulator connects again to the socket, which the keeper has kept open; frames of the gap are lost.
case_virtio_net-survival() {
  local name=virtio_net-survival
  mkdir -p "$work/www"
  echo -n first >"$work/www/stage"
  serve_guest "$name" virtio_net "$ALLY_IDS" -l "$work/$name.logs" -S "$here/attack.rules" --keep fail-open
  boot_guest "$name"
  kills=0
  check "the guest downloads" await download
  kill_workers 2
  check "20 MiB come back" await uploaded
  check "the interface goes down and up, the driver out and in" await reboot
  equal "digest of what the guest got" "$(section download | awk '{ print $1 }')" \
    "$(sha256sum <"$work/data" | awk '{ print $1 }')"
  equal "digest of what came back" "$(sha256sum <"$work/received")" "$(sha256sum <"$work/data")"
  echo -n second >"$work/www/stage"
  check "the guest comes to its end" await end
  power_off
  end_ally "$name"
  equal "workers replaced" "$(counted "workers that died and were replaced")" "$kills"
}

# kill_workers COUNT: at random moments, up to a second apart; adds them to $kills.
kill_workers() {
  local worker
  for _ in $(seq "$1"); do
    sleep "0.$((RANDOM % 9 + 1))"
    worker=$(worker_of "$ally")
    if [ -n "$worker" ] && kill -KILL "$worker"; then kills=$((kills + 1)); else fail "there is no worker"; fi
  done
}

# kill_either COUNT: the same, in turn with the inspector, which takes its time to come again.
kill_either() {
  local inspector status=0
  "$ALLY_ALLY" upgrade --control "$work/control" >"$work/refusal" 2>&1 || status=$?
  equal "status of an upgrade with an inspector's process" "$status" 69
  check "the reason" grep -q 'an upgrade with --inspector-process' "$work/refusal"
  for _ in $(seq "$1"); do
    kill_workers 1
    inspector=$(inspector_of "$ally")
    if [ -n "$inspector" ] && kill -KILL "$inspector"; then inspectors=$((inspectors + 1)); fi
  done
}

# kill_inspectors COUNT: each when the one before has a successor; adds them to $inspectors.
kill_inspectors() {
  local inspector last=
  for _ in $(seq "$1"); do
    sleep "0.$((RANDOM % 9 + 1))"
    for _ in $(seq 100); do
      inspector=$(inspector_of "$ally")
      if [ -n "$inspector" ] && [ "$(grep -c 'there is an inspector again' "$work/$name.ally.log")" -ge "$inspectors" ]; then
        break
      fi
      sleep 0.1
    done
    if [ -n "$inspector" ] && [ "$inspector" != "$last" ] && kill -KILL "$inspector"; then
      inspectors=$((inspectors + 1))
    else
      fail "there is no inspector"
    fi
    last=$inspector
  done
}

# upgrade COUNT: so often another copy of the executable takes over, in turn with what cannot; adds them to $upgrades.
upgrade() {
  local path status
  printf '#!/bin/sh\necho "I am broken" >&2\nexit 3\n' >"$work/broken"
  chmod +x "$work/broken"
  for _ in $(seq "$1"); do
    path=$work/copy$((upgrades % 2))
    # What runs cannot be written.
    rm -f "$path"
    cp "$(readlink "/proc/$ally/exe")" "$path"
    sleep "0.$((RANDOM % 9 + 1))"
    status=0
    "$ALLY_ALLY" upgrade --control "$work/control" --executable "$path" >/dev/null || status=$?
    equal "status of the upgrade" "$status" 0
    upgrades=$((upgrades + 1))
    equal "what serves" "$(readlink "/proc/$(worker_of "$ally")/exe")" "$path"
    status=0
    "$ALLY_ALLY" upgrade --control "$work/control" --executable "$work/broken" >"$work/refusal" 2>&1 || status=$?
    equal "status of the upgrade to what is broken" "$status" 69
    check "the reason" grep -q 'I am broken' "$work/refusal"
    equal "what still serves" "$(readlink "/proc/$(worker_of "$ally")/exe")" "$path"
  done
}

# A core of its own, and nothing that it does not need: the thread that serves has the processor, all threads are another
# user's, without a capability, and behind the filter of system calls.
case_e1000e-core() {
  local options=(--cpu 0 --wait adaptive --lock-memory) policy=0
  if chrt --fifo 10 true 2>/dev/null; then
    options+=(--realtime 10)
    policy=1
  fi
  # Whoever is root of a user namespace alone has no other user to become.
  if [ "$(awk '{ print $3; exit }' /proc/self/uid_map)" -gt 1 ]; then options+=(--user nobody); fi
  mkdir -p "$work/www" "$work/e1000e-core.logs"
  chmod 755 "$work"
  chmod 777 "$work/e1000e-core.logs"
  echo -n second >"$work/www/stage"
  serve_guest e1000e-core e1000e "$ALLY_IDS" -l "$work/e1000e-core.logs" -S "$here/attack.rules" "${options[@]}"
  boot_guest e1000e-core
  check "the guest comes up" await page
  local task core=0 others=0
  for task in /proc/"$ally"/task/*; do
    if [ "$(field Cpus_allowed_list "$task/status")" = 0 ]; then
      core=$((core + 1))
      equal "its policy" "$(awk '{ print $41 }' "$task/stat")" "$policy"
    else
      others=$((others + 1))
    fi
    # The right to lock memory, alone, stays where its limit cannot be lifted.
    check "capabilities" grep -Eqx '000000000000(0000|4000)' <(field CapEff "$task/status")
    equal "filter of system calls" "$(field Seccomp "$task/status")" 2
    if [[ " ${options[*]} " == *" nobody "* ]]; then
      equal "user" "$(field Uid "$task/status" | cut -f 1)" "$(id -u nobody)"
    fi
  done
  equal "threads on the processor" "$core" 1
  # With one processor there is no telling them apart.
  if [ "$(nproc)" -gt 1 ]; then check "threads elsewhere" test "$others" -ge 1; fi
  check "memory is locked" test "$(field VmLck "/proc/$ally/status" | tr -dc 0-9)" -gt 0
  check "the guest comes to its end" await end
  equal "page" "$(section page)" "The page is here."
  power_off
  end_ally e1000e-core
  check "the alert" grep -q '"signature_id":1000001' "$work/e1000e-core.logs/eve.json"
}
field() { sed -n "s/^$1:[[:space:]]*//p" "$2"; }

# Suricata as it comes, in its own inline mode between two interfaces, after Ally on the cable: it alerts as it does on the capture
# of what Ally saw, what it drops does not arrive, and while it is away nothing passes.
case_e1000-suricata() {
  local name=e1000-suricata program reason='' uplink=packet:ally1 between=yes
  for program in ip ethtool suricata; do
    command -v "$program" >/dev/null || reason="no $program"
  done
  if [ -z "$reason" ] && ! suricata -V | grep -q 'version 7\.0\.'; then reason="$(suricata -V), wanted 7.0"; fi
  if [ -n "$reason" ]; then
    skip "$reason"
    return
  fi
  serve_guest "$name" e1000 "$ALLY_IDS" -l "$work/$name.logs" -S "$here/suricata.rules" --record "$work/inspected.pcap"
  # What a stack leaves to its NIC, nobody would do here.
  check "frames are whole" ethtool -K ally0 tx off tso off gso off
  { head -c 200000 /dev/zero | tr '\0' a; echo ALLY-END-OF-STREAM; } >"$work/www/large"
  start_suricata first
  boot_guest "$name"
  check "the guest has done its part" await waiting
  equal "what the web server saw: the large page, the attack, the page" "$(requests "$name")" 3
  stop_suricata
  check "nothing passes without Suricata" await cut
  start_suricata second
  check "the guest comes to its end" await end
  stop_suricata
  power_off
  end_ally "$name"
  equal "pings lost" "$(loss ping)" 0
  equal "digest of the large page" "$(section large | awk '{ print $1 }')" "$(sha256sum <"$work/www/large" | awk '{ print $1 }')"
  equal "page after the attack" "$(section attack)" "The page is here."
  check "what is dropped has no answer" contains_no "The page" <(section dropped)
  equal "page" "$(section page)" "The page is here."
  equal "page after Suricata's return" "$(section page-again)" "The page is here."
  # Checksums that the guest left to its NIC are missing in this capture.
  check "Suricata reads the capture" read_by_suricata "$work/inspected.pcap"
  equal "alerts by signature" "$(alerts "$work/direct/eve.json" | cut -d ' ' -f 1 | uniq -c | xargs)" \
    "1 1000001 1 1000002 1 1000003 5 1000004"
  equal "Suricata's alerts behind Ally" "$(alerts "$work/first/eve.json" "$work/second/eve.json")" "$(alerts "$work/direct/eve.json")"
  equal "Ally's alerts" "$(alerts "$work/$name.logs/eve.json")" "$(alerts "$work/direct/eve.json")"
}
start_suricata() { # start_suricata FOLDER: for its records, in the working folder; sets $suricata
  mkdir -p "$work/$1"
  start "$work/$1.suricata.log" suricata -c "$here/suricata.yaml" -S "$here/suricata.rules" -l "$work/$1" --af-packet
  suricata=$last
  check "Suricata starts" await_line 'Engine started' "$work/$1.suricata.log"
}
stop_suricata() {
  kill -INT "$suricata" || fail "Suricata has ended by itself"
  # However it ends: its records are what counts.
  wait "$suricata" || true
}
read_by_suricata() {
  mkdir -p "$work/direct"
  suricata -c "$here/suricata.yaml" -S "$here/suricata.rules" -l "$work/direct" -r "$1" -k none --runmode single --simulate-ips
}
# alerts FILE...: signature, addresses and ports of each, sorted.
alerts() {
  sed -n -E 's/.*"event_type":"alert".*"src_ip":"([^"]*)"(,"src_port":([0-9]*))?,"dest_ip":"([^"]*)"(,"dest_port":([0-9]*))?.*"signature_id":([0-9]*).*/\7 \1 \3 \4 \6/p' \
    "$@" | sort
}

# A policy that knows connections: frames that the guest's NIC is to segment, and replies to what is rejected.
# The same while every packet is judged by what is known of its connection, and nothing passes otherwise.
case_igb-survival-firewall() { firewalled igb-survival-firewall igb --keep fail-closed; }
case_igb-upgrade-firewall() {
  local disturb=upgrade
  firewalled igb-upgrade-firewall igb --keep fail-closed --control "$work/control"
}
case_e1000-firewall() { firewalled e1000-firewall e1000; }
case_igb-firewall() { firewalled igb-firewall igb; }
# With the policy in a process of its own.
case_e1000e-firewall() { firewalled e1000e-firewall e1000e --inspector-process --inspector-failure closed; }

# knock: what the guest has not asked for, and must not come in; nobody answers.
knock() { timeout 5 "$tools/busybox" sh -c "echo knock | '$tools/busybox' nc 192.0.2.2 7000" || true; }

firewalled() { # firewalled CASE NIC OPTION...
  local name=$1 nic=$2 megabytes=20 disturb=${disturb:-}
  shift 2
  if [[ $name == *-survival-* ]]; then disturb=kill_workers; fi
  if [ -n "$disturb" ]; then megabytes=50; fi
  serve_guest "$name" "$nic" "$ALLY_FIREWALL" -f "$here/guest.nft" --log "$work/$name.refused" "$@"
  busybox ip addr add 192.0.2.7/24 dev ally0
  busybox ip addr add 192.0.2.8/24 dev ally0
  start "$work/$name.closed" "$tools/busybox" sh -c "echo hello | '$tools/busybox' nc -l -p 9003"
  boot_guest "$name"
  check "the guest comes up" await listening
  knock
  kills=0
  upgrades=0
  if [ -n "$disturb" ]; then
    check "the guest downloads" await download
    "$disturb" 6
    knock
    check "the guest uploads" await upload
    "$disturb" 4
  fi
  echo settled-now >"$work/www/settled"
  check "the guest comes to its end" await end
  equal "page" "$(section page)" "The page is here."
  equal "digest of what the guest got" "$(section download | awk '{ print $1 }')" \
    "$(sha256sum <"$work/data" | awk '{ print $1 }')"
  equal "digest of what came back" "$(sha256sum <"$work/received")" "$(sha256sum <"$work/data")"
  check "a rejected connection is reset" grep -q 'Connection refused' <(section rejected)
  check "at once" test "$(section rejected | sed -n 's/^after \([0-9]*\) s/\1/p')" -lt 3
  check "the closed service saw nobody" test ! -s "$work/$name.closed"
  equal "answers to rejected pings" "$(section icmp | head -n 1)" 3
  equal "rejected pings lost" "$(loss unreachable)" 100
  equal "dropped pings lost" "$(loss dropped)" 100
  equal "other pings lost" "$(loss ping)" 0
  check "the knock did not arrive" contains_no knock <(section knocked)
  power_off
  check "what is refused is in the log while the guest runs" grep -q 'closed .*DPT=9003' "$work/$name.refused"
  end_ally "$name"
  if [ -n "$disturb" ]; then
    # Rules' counters are the last worker's.
    equal "workers replaced" "$(counted "workers that died and were replaced")" "$kills"
    if [ "$upgrades" -gt 0 ]; then equal "upgrades" "$(counted upgrades)" "$upgrades"; fi
  else
    check "rejected connections counted" grep -Eq 'tcp dport 9003 counter packets [1-9]' "$summary"
    check "rejected pings counted" grep -Eq 'ip daddr 192.0.2.7 .*counter packets 3 ' "$summary"
  fi
  equal "malformed frames" "$(counted "malformed frames")" ""
  # A few come late: what was sent again although it had arrived.
  local late
  late=$(counted "packets of no known connection (invalid)")
  check "hardly a packet of no known connection" test "${late:-0}" -lt 20
}

# --- Preparing, running ---------------------------------------------------------------------------------------------

set_up() {
  local script=attached-guest.sh
  case $1 in
    *-firewall) script=firewalled-guest.sh ;;
    *-suricata) script="suricata-guest.sh" ;;
    *-guests) script=paired-guest.sh ;;
    *-blocked) script=blocked-guest.sh ;;
  esac
  make_initrd "$work/initrd" "${1%%-*}" "$here/$script"
}
show_logs() {
  tail -n 15 "$console" | tr -d '\r' | sed 's/^/  | /'
  tail -n 5 "$work/$1.ally.log" | sed 's/^/  ally | /'
  tail -n 5 "$work/$1.qemu.log" | sed 's/^/  qemu | /'
}
tear_down() {
  # A pair of interfaces stays when nobody uses it, a TAP interface does not.
  local end
  for end in ally1 ally3; do
    if [ -e "/proc/sys/net/ipv4/conf/$end" ]; then ip link del "$end"; fi
  done
  rm -rf "$work"/www "$work"/nic.sock "$work/received"
}
run_cases "attached guests"
