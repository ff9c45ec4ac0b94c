# shellcheck shell=sh
# Runs inside a guest whose frames pass Ally and then Suricata: what raises alerts, what a rule drops, and what is left when
# Suricata is stopped and started again. What it prints is checked by attach.sh.

dmesg -n 1
ip link set lo up
bring_up
section ping
ping -c 5 -i 0.2 -s 200 192.0.2.1
section large
# Its input stays open. Once an end has said that it sends no more, Suricata takes acknowledgments of what still comes for
# invalid, and drops them (stream.drop-invalid).
mkfifo /tmp/open
exec 3<>/tmp/open
printf 'GET /large HTTP/1.0\r\nHost: 192.0.2.1\r\n\r\n' >&3
timeout 30 nc 192.0.2.1 80 <&3 | tr -d '\r' | sed '1,/^$/d' | sha256sum
section attack
fetch '/index.html?file=/etc/passwd'
section dropped
patience=3 fetch '/index.html?file=/etc/shadow' 2>/dev/null
section page
fetch /index.html
section waiting
while ping -c 1 -W 1 192.0.2.1 >/dev/null; do sleep 0.2; done
section cut
until ping -c 1 -W 1 192.0.2.1 >/dev/null; do sleep 0.2; done
section page-again
fetch /index.html
section end
