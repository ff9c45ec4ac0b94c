#!/usr/bin/env bash
# Boots a stock Linux guest in a stock QEMU, with its NIC served by the example IDS, and lets it fetch pages from a web server;
# then the same guest behind the example firewall. The guest's console is shown beside Ally's alerts. Ends by itself, with
# another status than 0 when the page, the alert or the firewall's drop is missing.
#
# Needs what scripts/install-guest-tools.sh gets, and the right to make a network namespace with a TAP interface in it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
demo=$PWD/Examples/GuestDemo
boot_seconds=180
. Tests/GuestTests/machine.sh

if reason=$(machine_lacks); then
  echo "guest-demo: $reason" >&2
  exit 69
fi
build ids firewall
enter_network "$0"

failed=0
missing() {
  echo "guest-demo: missing: $1" >&2
  failed=1
}
# follow LABEL FILE: shows a file's lines as they come.
follow() {
  : >>"$2"
  # shellcheck disable=SC2016 # the inner shell fills the parameters in
  setsid sh -c 'tail -n +1 -f "$2" | sed -u -e "s/\r//g" -e "/^=== /d" -e "/^\$/d" -e "s/^/$1/"' \
    - "$(printf '%-9s| ' "$1")" "$2" </dev/null &
  children+=($!)
}

# guest NAME COMMAND...: the guest's whole life behind the command.
guest() {
  local name=$1
  shift
  serve "$work/$name.log" "$work/nic.sock" e1000 "$@"
  web_server "$work/httpd.log" "$work/www"
  start "$work/httpd-8080.log" "$tools/busybox" httpd -f -p 192.0.2.1:8080 -h "$work/closed"
  boot "$work/$name.console" "$work/qemu.log" "$work/initrd" "$work/nic.sock"
  follow guest "$console"
  await end || missing "the guest's end: it did not come up, or not in $boot_seconds s"
  # The emulator ends with its guest, and what it shows with it.
  power_off
  kill -TERM "$ally" 2>/dev/null || true
  wait "$ally" || missing "a good end of $name: status $?"
  sleep 1
  stop_children
}

make_initrd "$work/initrd" e1000 "$demo/guest.sh"
mkdir -p "$work/www" "$work/closed" "$work/logs"
echo 'Hello from the web server.' >"$work/www/index.html"
echo 'Hello from the other port.' >"$work/closed/index.html"

cat <<TEXT
A stock $(cat "$tools/kernel/name") boots in a stock QEMU. Its network card is served by Ally, outside of
the machine; on the other end of the cable is a web server. First behind ids, which only reports:

TEXT
follow ids "$work/logs/fast.log"
guest ids "$ALLY_IDS" -c "$demo/demo.yaml" -S "$demo/demo.rules" -l "$work/logs"
section page | grep -q 'Hello from the web server' || missing "the page that the guest fetches"
section other-port | grep -q 'Hello from the other port' || missing "the page of the other port"
grep -q '9000101.*192\.0\.2\.2:.* -> 192\.0\.2\.1:80' "$work/logs/fast.log" || missing "the alert with the guest's address"
echo
sed -n '/^Traffic/,/^$/p' "$work/ids.log"

cat <<TEXT
Then the same guest behind firewall, with Examples/GuestDemo/demo.nft:

TEXT
follow firewall "$work/refused.log"
guest firewall "$ALLY_FIREWALL" -f "$demo/demo.nft" --log "$work/refused.log"
section page | grep -q 'Hello from the web server' || missing "the page that the guest fetches behind the firewall"
section other-port | grep -q 'Hello from' && missing "the firewall's drop: the guest got the page of the other port"
grep -q 'dropped: .*DPT=8080' "$work/refused.log" || missing "the firewall's drop in its log"
section login | grep -q 'refused' || missing "the firewall's reset"
section again | grep -q 'Hello from the web server' || missing "the page after that"
echo
sed -n '/^table/,/^}/p' "$work/firewall.log"

[ "$failed" -eq 0 ] && echo "The guest got its page, Ally saw the attack, and the firewall kept the other port shut."
exit "$failed"
