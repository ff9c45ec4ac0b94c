# shellcheck shell=sh
# Runs inside a guest whose cable leads to another guest, which is far-guest.sh. What it prints is checked by attach.sh.

dmesg -n 1
ip link set lo up
bring_up
section driver
basename "$(readlink /sys/class/net/eth0/device/driver)"
section ping
ping -c 200 -i 0.05 192.0.2.1
section download
# Its input stays open, for busybox's nc at the other end takes the end of it for the end of all.
nc 192.0.2.1 9001 >/tmp/data
sha256sum </tmp/data
section upload
nc 192.0.2.1 9002 </tmp/data
section uploaded
# Who was killed meanwhile is back when the rest begins: an inspector comes a second after the one before.
sleep 5
section page
fetch /index.html
section attack
fetch '/index.html?file=/etc/passwd'
section end
