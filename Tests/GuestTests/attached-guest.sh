# shellcheck shell=sh
# Runs inside a guest whose only NIC is served by Ally: a stock kernel, its stock driver, and traffic of all kinds with a
# web server at 192.0.2.1. What it prints is checked by attach.sh.

stage=0
dmesg -n 1
ip link set lo up
bring_up
section driver
basename "$(readlink /sys/class/net/eth0/device/driver)"
cat /sys/class/net/eth0/carrier

stage=$(fetch /stage)
if [ "$stage" = first ]; then
  section ping
  ping -c 200 -i 0.05 192.0.2.1
  section pinged
  # The other side looks at its counters meanwhile.
  sleep 1

  section download
  # Its input stays open, for busybox's nc at the other end takes the end of it for the end of all.
  nc 192.0.2.1 9001 >/tmp/data
  sha256sum </tmp/data
  section upload
  nc 192.0.2.1 9002 </tmp/data
  section uploaded

  section down-up
  ip link set eth0 down
  sleep 0.5
  ip link set eth0 up
  ip addr add 192.0.2.2/24 dev eth0 2>/dev/null
  await_carrier
  ping -c 5 -i 0.2 192.0.2.1

  section reload
  rmmod "$NAME"
  bring_up
  ping -c 5 -i 0.2 192.0.2.1

  section statistics
  cat /proc/net/dev
  section reboot
  sleep 1
  reboot -f
  sleep 60
fi

section after-reboot
ping -c 5 -i 0.2 192.0.2.1
section page
fetch /index.html
section attack
began=$(cut -d . -f 1 /proc/uptime)
fetch '/index.html?file=/etc/passwd' 2>&1
echo "after $(($(cut -d . -f 1 /proc/uptime) - began)) s"
section after-attack
fetch /index.html
section end
