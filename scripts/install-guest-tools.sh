#!/usr/bin/env bash
# Gets what the guest tests need and a Debian 12 machine does not have: QEMU 10.1 or later, the stock Debian kernel with its
# modules, and a static busybox. All of it lands in the user's cache folder; nothing is installed on the machine but
# debootstrap. Does nothing when all is there.
#
#   scripts/install-guest-tools.sh
#
# ALLY_GUEST_TOOLS   where the tools go (default: $XDG_CACHE_HOME/ally/guest-tools, else ~/.cache/ally/guest-tools)
# ALLY_QEMU_SUITE    the Debian suite that QEMU is taken from (default: forky)
#
# QEMU lives in a Debian tree of its own (debootstrap), because its libraries are newer than the machine's; the tree comes
# from the mirror that the machine's own apt sources name. Making and entering the tree needs root.
set -euo pipefail

suite=${ALLY_QEMU_SUITE:-forky}
tools=${ALLY_GUEST_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/ally/guest-tools}
tree=$tools/qemu-$suite

fail() {
  echo "install-guest-tools: $1" >&2
  exit 69
}

command -v apt-get >/dev/null || fail "this is not Debian: the guest tests need apt to get QEMU and a kernel"

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || fail "making a Debian tree needs root"
  as_root=(sudo)
fi

mkdir -p "$tools"
exec 9>"$tools/.lock"
flock 9

work=$(mktemp -d "$tools/.work.XXXXXX")
log=$tools/install.log
trap '"${as_root[@]}" rm -rf "$work"' EXIT

# Runs a command and shows what it said only if it fails.
quietly() {
  "$@" >>"$log" 2>&1 || {
    tail -n 20 "$log" >&2
    fail "this failed: $*  (all of it is in $log)"
  }
}

# The package lists of a fresh machine are empty, and those of an old one may name versions that are gone.
fetch() { # fetch PACKAGE: downloads it into $work
  (cd "$work" && apt-get download "$1") >>"$log" 2>&1 && return
  quietly "${as_root[@]}" apt-get update
  (cd "$work" && quietly apt-get download "$1")
}
: >"$log"

# --- QEMU -----------------------------------------------------------------------------------------------------------

if [ ! -e "$tree/.complete" ]; then
  if ! command -v debootstrap >/dev/null; then
    "${as_root[@]}" apt-get install --yes --no-install-recommends debootstrap >>"$log" 2>&1 || {
      quietly "${as_root[@]}" apt-get update
      quietly "${as_root[@]}" apt-get install --yes --no-install-recommends debootstrap
    }
  fi
  # The first Debian mirror of the machine's own sources that is not the one for security updates.
  # shellcheck disable=SC2016 # apt fills the fields in, not the shell
  mirror=$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
    awk '$1 == "Debian" && $2 == "Debian" { print $3; exit }')
  [ -n "$mirror" ] || fail "the machine's apt sources name no Debian mirror"

  echo "Making a Debian tree of suite $suite for QEMU in $tree (about 700 MB)"
  "${as_root[@]}" rm -rf "$tree"
  # A debootstrap older than the suite builds it as it does unstable.
  script=()
  [ -e "/usr/share/debootstrap/scripts/$suite" ] || script=(/usr/share/debootstrap/scripts/sid)
  quietly "${as_root[@]}" debootstrap --variant=minbase --include=qemu-system-x86 "$suite" "$tree" "$mirror" \
    "${script[@]}"
  "${as_root[@]}" rm -rf "$tree/var/cache/apt/archives" "$tree/usr/share/doc" "$tree/usr/share/locale"
  "${as_root[@]}" touch "$tree/.complete"
fi

version=$("${as_root[@]}" chroot "$tree" qemu-system-x86_64 --version | sed -n '1s/.*version \([0-9.]*\).*/\1/p')
[ "$(printf '%s\n10.1\n' "$version" | sort -V | head -n 1)" = 10.1 ] ||
  fail "suite $suite has QEMU $version, and the guest tests need 10.1 or later: set ALLY_QEMU_SUITE"

# QEMU from its own tree, with that tree's loader and libraries: to run it takes neither chroot nor root.
cat >"$work/qemu" <<'WRAPPER'
#!/bin/sh
# QEMU from the Debian tree beside this script; written by install-guest-tools.sh.
tree=$(dirname "$(readlink -f "$0")")/@TREE@
libraries=$tree/usr/lib/x86_64-linux-gnu
QEMU_MODULE_DIR=$libraries/qemu exec "$tree/lib64/ld-linux-x86-64.so.2" \
  --library-path "$libraries:$tree/lib/x86_64-linux-gnu" "$tree/usr/bin/qemu-system-x86_64" \
  -L "$tree/usr/share/qemu" -L "$tree/usr/share/seabios" "$@"
WRAPPER
sed "s/@TREE@/$(basename "$tree")/" "$work/qemu" >"$tools/qemu-system-x86_64"
chmod 755 "$tools/qemu-system-x86_64"

# --- The kernel -----------------------------------------------------------------------------------------------------

if [ ! -e "$tools/kernel/.complete" ]; then
  package=$(apt-cache depends linux-image-amd64 2>/dev/null | awk '$1 == "Depends:" { print $2; exit }')
  if [ -z "$package" ]; then
    quietly "${as_root[@]}" apt-get update
    package=$(apt-cache depends linux-image-amd64 | awk '$1 == "Depends:" { print $2; exit }')
  fi
  [ -n "$package" ] || fail "the machine's apt sources have no linux-image-amd64"
  fetch "$package"
  rm -rf "$tools/kernel"
  mkdir "$tools/kernel"
  quietly dpkg -x "$work/$package"_*.deb "$work/kernel"
  # The protocol of Linux's boot image (Documentation/arch/x86/boot.rst): setup_sects at 0x1F1, payload_offset and
  # payload_length at 0x248 and 0x24C. QEMU starts the ELF file inside directly, which saves the emulated core from
  # unpacking it.
  image=$(echo "$work"/kernel/boot/vmlinuz-*)
  number() { od --address-radix=n --format="u$2" --skip-bytes="$1" --read-bytes="$2" "$image" | tr -d ' '; }
  offset=$((($(number $((0x1f1)) 1) + 1) * 512 + $(number $((0x248)) 4)))
  tail --bytes=+$((offset + 1)) "$image" | head --bytes="$(number $((0x24c)) 4)" >"$work/payload" || true
  # The last four bytes of the payload are its length unpacked.
  xz --decompress --stdout --single-stream --format=xz "$work/payload" >"$tools/kernel/vmlinux" 2>>"$log" || true
  [ "$(head --bytes=4 "$tools/kernel/vmlinux")" = $'\x7fELF' ] || fail "$package holds no kernel that xz can unpack"
  mv "$image" "$tools/kernel/vmlinuz"
  mv "$work"/kernel/lib/modules "$tools/kernel/modules"
  echo "$package" >"$tools/kernel/name"
  touch "$tools/kernel/.complete"
fi

# --- Busybox --------------------------------------------------------------------------------------------------------

if [ ! -x "$tools/busybox" ]; then
  fetch busybox-static
  quietly dpkg -x "$work"/busybox-static_*.deb "$work/busybox"
  mv "$work/busybox/bin/busybox" "$tools/busybox"
fi

echo "QEMU $version, $(cat "$tools/kernel/name") and busybox are in $tools"
