#!/usr/bin/env bash
# `ids --interface` on a pair of interfaces, one end here, the other in a network of its own: every frame is heard, alerts
# come while it listens, and it ends well.
#
#   Tests/GuestTests/interfaces.sh [CASE...]      all cases, or those whose name holds one of the words
#
# Needs ip of iproute2, a static busybox (scripts/install-guest-tools.sh), and the right to make network namespaces (root has
# it); without either every case is reported as skipped.
#
# ALLY_IDS, ALLY_ALLY   the `ids` and `ally` executables (default: built by swift build, in release)
# ALLY_GUEST_LOGS    a folder that keeps what was logged (default: none is kept)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cases=(attack vlan stream cut interrupt down gone reload unknown)
# shellcheck source-path=SCRIPTDIR
. "$here/cases.sh"
choose "$@"
command -v ip >/dev/null || skip_all "no ip (iproute2)"
command -v nsenter >/dev/null || skip_all "no nsenter (util-linux)"
[ -x "$tools/busybox" ] || skip_all "no busybox in $tools (scripts/install-guest-tools.sh)"
[ -n "${ALLY_OWN_NETWORK:-}" ] || "${own_network[@]}" true 2>/dev/null || skip_all "no right to make a network namespace"
build ids ally
enter_network "$0" "$@"

far() { nsenter --net="/proc/$far/ns/net" "$@"; }
# ask PATH [ADDRESS]: the far machine fetches a page.
ask() {
  far timeout 20 "$tools/busybox" sh -c \
    "printf 'GET $1 HTTP/1.0\r\nHost: ${2:-192.0.2.1}\r\n\r\n' | '$tools/busybox' nc ${2:-192.0.2.1} 80"
}
# passed: frames that the near interface counted, both ways.
passed() { sed -n 's/^ *near: *//p' /proc/net/dev | awk '{ print $2 + $10 }'; }

# connect_machines: near is here, far in a network of its own, and a web server is at the near end.
connect_machines() {
  start "$work/far.log" unshare --net sleep 1000
  far=$last
  # Until it has a network of its own.
  for _ in $(seq 100); do
    [ "$(readlink "/proc/$far/ns/net")" != "$(readlink /proc/self/ns/net)" ] && break
    sleep 0.1
  done
  ip link add near type veth peer name far netns "$far"
  echo 1 >/proc/sys/net/ipv6/conf/near/disable_ipv6 2>/dev/null || true
  ip addr add 192.0.2.1/24 dev near
  ip link set near up
  far sh -c 'echo 1 >/proc/sys/net/ipv6/conf/far/disable_ipv6' 2>/dev/null || true
  far ip addr add 192.0.2.2/24 dev far
  far ip link set far up
  mkdir -p "$work/www" "$work/logs"
  printf 'The page is here.\n' >"$work/www/index.html"
  start "$work/httpd.log" "$tools/busybox" httpd -f -p 80 -h "$work/www"
}

# listen OPTION...: with the rules of $rules.
rules=$here/interfaces.rules
listen() {
  start "$work/$name.ids.log" "$ALLY_IDS" --interface near -c "$here/interfaces.yaml" -S "$rules" -l "$work/logs" "$@"
  ids=$last
  check "it listens" await_line 'listening to near' "$work/$name.ids.log"
  before=$(passed)
}

# end_ids SIGNAL: the summary is checked against what the interface counted.
end_ids() {
  kill "-$1" "$ids" 2>/dev/null || fail "ids has ended by itself"
  local status=0
  wait "$ids" || status=$?
  equal "exit status" "$status" 0
  summary=$work/$name.ids.log
  equal "frames lost" "$(counted "of them lost, the ring being full")" 0
  equal "frames inspected" "$(counted frames)" "$(($(passed) - before))"
  equal "frames that passed" "$(counted "frames that passed it")" "$(($(passed) - before))"
}

case_attack() {
  listen
  equal "page" "$(ask /index.html | tail -n 1)" "The page is here."
  ask '/index.html?file=/etc/passwd' >/dev/null
  # While it listens.
  check "the alert" await_line \
    '"event_type":"alert".*"src_ip":"192.0.2.2".*"dest_ip":"192.0.2.1".*"signature_id":1000001' "$work/logs/eve.json"
  check "its line in fast.log" await_line '1000001.*192.0.2.2:.* -> 192.0.2.1:80' "$work/logs/fast.log"
  end_ids TERM
}

# The kernel takes tags out of frames; they are put back.
case_vlan() {
  if ! command -v python3 >/dev/null; then
    skip "no python3"
    return
  fi
  listen
  far python3 - <<'PYTHON'
import socket, struct
udp = struct.pack(">HHHH", 5000, 6000, 8 + 9, 0) + b"VLAN-MARK"
ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0) + socket.inet_aton("198.51.100.2") + socket.inet_aton("198.51.100.1")
total = sum(struct.unpack(">10H", ip))
total = (total & 0xFFFF) + (total >> 16)
ip = ip[:10] + struct.pack(">H", ~total & 0xFFFF) + ip[12:]
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(("far", 0))
wire.send(b"\xff" * 6 + b"\x02\0\0\0\0\1" + struct.pack(">HHH", 0x8100, 10, 0x0800) + ip + udp)
PYTHON
  check "the alert with its VLAN" await_line \
    '"event_type":"alert".*"vlan":\[10\].*"src_ip":"198.51.100.2".*"signature_id":1000003' "$work/logs/eve.json"
  end_ids TERM
}

# Segments of 64 KiB, whose checksums nobody has computed.
case_stream() {
  { head -c 900000 /dev/zero | tr '\0' a; echo ALLY-END-OF-STREAM; } >"$work/large"
  start "$work/send.log" "$tools/busybox" sh -c "exec '$tools/busybox' nc -l -p 9001 <'$work/large'"
  listen
  sleep 0.5
  # busybox's nc ends with its input, so that stays open.
  mkfifo "$work/open"
  equal "bytes fetched" "$(far timeout 20 "$tools/busybox" nc 192.0.2.1 9001 3<>"$work/open" <&3 | wc -c)" 900019
  rm "$work/open"
  check "the alert on the stream's end" await_line '"signature_id":1000002' "$work/logs/eve.json"
  end_ids TERM
}

case_cut() {
  listen --snaplen 64
  ask '/index.html?file=/etc/passwd' >/dev/null
  end_ids TERM
  check "frames were cut" test "$(counted "of them cut (--snaplen)")" -gt 0
  check "what was cut off is not seen" contains_no '"signature_id":1000001' "$work/logs/eve.json"
}

case_interrupt() {
  listen
  ask '/index.html?file=/etc/passwd' >/dev/null
  end_ids INT
  check "the alert" grep -q '"signature_id":1000001' "$work/logs/eve.json"
}

# An interface that goes down and comes up again is heard again.
case_down() {
  listen
  ip link set near down
  sleep 0.5
  ip link set near up
  equal "page" "$(ask '/index.html?file=/etc/passwd' | tail -n 1)" "The page is here."
  check "the alert" await_line '"signature_id":1000001' "$work/logs/eve.json"
  end_ids TERM
}

case_gone() {
  listen
  ask '/index.html?file=/etc/passwd' >/dev/null
  ip link delete near
  local status=0
  wait "$ids" || status=$?
  equal "exit status" "$status" 71
  check "it says why" grep -q 'the interface near is gone' "$work/$name.ids.log"
  # What was heard until then was inspected.
  check "the alert before" grep -q '"signature_id":1000001' "$work/logs/eve.json"
}

# Rules are read again while the filter of system calls is on, at a client's word and at a signal; nobody who listens to the
# operator has a capability either.
case_reload() {
  local rules=$work/reload.rules
  cp "$here/interfaces.rules" "$rules"
  listen --unix-socket "$work/control"
  local task
  for task in /proc/"$ids"/task/*; do
    equal "capabilities" "$(sed -n 's/^CapEff:[[:space:]]*//p' "$task/status")" 0000000000000000
    equal "filter of system calls" "$(sed -n 's/^Seccomp:[[:space:]]*//p' "$task/status")" 2
  done
  check "an answer before the first frame" grep -q '"pkts":0' <(control dump-counters)
  # A pattern that PCRE2 would compile to machine code.
  cat >>"$rules" <<'RULES'
alert http any any -> any any (msg:"A second rule"; flow:established,to_server; http.uri; content:"/index"; pcre:"/^\/index\.(?=h)[a-z]+$/"; sid:1000004; rev:1;)
RULES
  check "the rules are read again" grep -q '"return":"OK"' <(control reload-rules)
  equal "page" "$(ask /index.html | tail -n 1)" "The page is here."
  check "the second rule's alert" await_line '"signature_id":1000004' "$work/logs/eve.json"
  sed 's/1000004/1000005/' <"$rules" >"$rules.new"
  mv "$rules.new" "$rules"
  kill -USR2 "$ids"
  check "the rules are read again at a signal" await_line 'the rules were read again: 4 loaded' "$work/$name.ids.log"
  ask /index.html >/dev/null
  check "the third rule's alert" await_line '"signature_id":1000005' "$work/logs/eve.json"
  end_ids TERM
}
control() { "$ALLY_ALLY" control --socket "$work/control" "$1"; }

case_unknown() {
  local status=0
  "$ALLY_IDS" --interface nosuch -S "$here/interfaces.rules" -l "$work/logs" >"$work/$name.ids.log" 2>&1 || status=$?
  equal "exit status" "$status" 71
  check "it says why" grep -q 'cannot hear the interface nosuch' "$work/$name.ids.log"
  ip link set lo up
  status=0
  "$ALLY_IDS" --interface near --inline -S "$here/interfaces.rules" >"$work/$name.ids.log" 2>&1 || status=$?
  equal "exit status of --inline" "$status" 64
}

set_up() { connect_machines; }
tear_down() {
  ip link delete near 2>/dev/null || true
  rm -rf "$work/www" "$work/logs"
}
show_logs() { tail -n 5 "$work/$1.ids.log" | sed 's/^/  ids | /'; }
run_cases interfaces
