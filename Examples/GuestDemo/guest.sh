# shellcheck shell=sh
# Runs inside the demonstration's guest: a stock kernel with a stock driver, which knows nothing of Ally. Prints what a
# user at its console would see; scripts/guest-demo.sh looks for it.

show() { sed 's/^/    /'; }

dmesg -n 1
ip link set lo up
bring_up
section driver
echo "$(uname -s) $(uname -r): eth0 is driven by $(basename "$(readlink /sys/class/net/eth0/device/driver)")"
section ping
echo '$ ping 192.0.2.1'
ping -c 2 -i 0.5 192.0.2.1 | tail -n 3 | show
section page
echo '$ wget http://192.0.2.1/'
fetch /index.html | show
section attack
echo '$ wget http://192.0.2.1/index.html?file=../../etc/passwd'
fetch '/index.html?file=../../etc/passwd' | show
section other-port
echo '$ wget http://192.0.2.1:8080/'
printf 'GET / HTTP/1.0\r\nHost: 192.0.2.1\r\n\r\n' | timeout 5 nc -w 4 192.0.2.1 8080 2>&1 | tr -d '\r' | sed '1,/^$/d' | show
section login
echo '$ telnet 192.0.2.1'
timeout 5 nc -w 4 192.0.2.1 23 </dev/null 2>&1 | show
section again
echo '$ wget http://192.0.2.1/'
fetch /index.html | show
section end
