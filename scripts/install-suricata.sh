#!/usr/bin/env bash
# Installs Suricata 7.0, which the guest tests put behind Ally, if it is missing. Debian 12 has it in its backports; the machine's
# own apt sources stay as they are. It brings a newer libhtp: what the tests build against comes from there, too.
#
#   scripts/install-suricata.sh
set -euo pipefail

fail() {
  echo "install-suricata: $1" >&2
  exit 69
}

is_installed() { command -v suricata >/dev/null && suricata -V | grep -q 'version 7\.0\.'; }
fits_libhtp() { [ -z "$(dpkg-query --show --showformat='${Status}' libhtp2 2>/dev/null)" ] || [ -e /usr/include/htp/htp.h ]; }
if is_installed && fits_libhtp; then exit 0; fi
command -v apt-get >/dev/null || fail "this is not Debian: install Suricata 7.0"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || fail "install Suricata 7.0 as root first"
  as_root=(sudo)
fi

# The first Debian mirror of the machine's own sources that is not the one for security updates.
# shellcheck disable=SC2016 # apt fills the fields in, not the shell
mirror=$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
  awk '$1 == "Debian" && $2 == "Debian" { print $3; exit }')
[ -n "$mirror" ] || fail "the machine's apt sources name no Debian mirror"
backports=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)-backports

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The machine's sources, and the backports for this once. Machines with deb822 sources alone have no such file.
cat /etc/apt/sources.list >"$work/sources.list" 2>/dev/null || true
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $backports main" >>"$work/sources.list"
chmod 755 "$work"
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o "Dir::Etc::sourcelist=$work/sources.list" "$@"; }

echo "Installing Suricata from $backports"
if ! { apt update && apt install --yes --no-install-recommends --target-release "$backports" suricata libhtp-dev; } >"$work/log" 2>&1; then
  cat "$work/log" >&2
  fail "Suricata could not be installed from $backports"
fi
is_installed || fail "$(suricata -V), wanted 7.0"
