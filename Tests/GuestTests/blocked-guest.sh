# shellcheck shell=sh
# Runs inside a guest whose words are blocked from one on: it goes on speaking. What it prints is checked by attach.sh.

dmesg -n 1
ip link set lo up
bring_up
{
  echo hello
  sleep 1
  echo block-me-from-here-on
  for _ in $(seq 60); do
    sleep 0.2
    echo still-there
  done
} | timeout 30 nc 192.0.2.1 9004 &
sleep 2
section blocked
wait
section page
fetch /index.html
section end
