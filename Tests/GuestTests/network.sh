# shellcheck shell=sh
# What every test guest behind Ally does: its NIC comes up as 192.0.2.2, or as ADDRESS, and it fetches pages. Put before the script that
# the guest runs. NAME is the driver's module, MODULES that and what it needs.

section() { printf '\n=== %s\n' "$1"; }
bring_up() {
  for module in $MODULES; do insmod "/$module.ko" 2>/dev/null; done
  ip link set eth0 up
  ip addr add "${ADDRESS:-192.0.2.2}/24" dev eth0
  await_carrier
}
await_carrier() {
  for _ in $(seq 100); do
    if [ "$(cat /sys/class/net/eth0/carrier 2>/dev/null)" = 1 ]; then return; fi
    sleep 0.1
  done
}

# fetch PATH: a page's text; for that it waits $patience seconds. (busybox's wget needs a name service, which is not here.)
fetch() {
  printf 'GET %s HTTP/1.0\r\nHost: 192.0.2.1\r\n\r\n' "$1" | timeout "${patience:-30}" nc 192.0.2.1 80 | tr -d '\r' | sed '1,/^$/d'
}
