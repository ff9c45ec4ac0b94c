# shellcheck shell=sh
# Runs inside a guest behind the firewall: what guest.nft lets through, and what it does not. What it prints is checked by
# attach.sh.

dmesg -n 1
ip link set lo up
bring_up
section page
fetch /index.html
# Whoever knocks from outside would be heard here.
timeout 60 nc -l -p 7000 >/tmp/knocked </dev/zero &
section listening
section download
nc 192.0.2.1 9001 >/tmp/data
sha256sum </tmp/data
section upload
nc 192.0.2.1 9002 </tmp/data
# What a worker had to write down when it was killed is lost: what is looked for comes after the last.
until fetch /settled | grep -q settled-now; do sleep 0.2; done
section ping
ping -c 3 -i 0.2 192.0.2.1
section rejected
began=$(cut -d . -f 1 /proc/uptime)
timeout 30 nc 192.0.2.1 9003 2>&1
echo "after $(($(cut -d . -f 1 /proc/uptime) - began)) s"
section unreachable
ping -c 3 -i 0.5 -W 2 192.0.2.7 2>&1
section icmp
# Messages of this kind that came in (RFC 1213, icmpInDestUnreachs).
awk '/^Icmp:/ && names { print $column } /^Icmp:/ && !names { names = 1; for (i = 1; i <= NF; i++) if ($i == "InDestUnreachs") column = i }' \
  /proc/net/snmp
section dropped
ping -c 3 -i 0.5 -W 2 192.0.2.8 2>&1
section knocked
cat /tmp/knocked
section end
