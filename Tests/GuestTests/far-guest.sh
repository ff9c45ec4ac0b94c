# shellcheck shell=sh
# Runs inside the guest at the other end of paired-guest.sh's cable: serves pages, gives 20 MiB and takes them back. What it
# prints is checked by attach.sh.

# shellcheck disable=SC2034 # bring_up takes it
ADDRESS=192.0.2.1
dmesg -n 1
ip link set lo up
bring_up
mkdir -p /www
printf 'The page is here.\n' >/www/index.html
httpd -p 80 -h /www
dd if=/dev/urandom of=/tmp/data bs=1M count=20 2>/dev/null
nc -l -p 9001 </tmp/data &
# Its input stays open, or nc would end the connection at once.
sleep 1000 | nc -l -p 9002 >/tmp/received &
section data
sha256sum </tmp/data
section listening
while [ "$(stat -c %s /tmp/received)" -lt $((20 << 20)) ]; do sleep 0.5; done
section received
sha256sum </tmp/received
section end
sleep 1000
