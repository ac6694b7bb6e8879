#!/usr/bin/env bash
# Finds tshark, or installs it, and prints its path as the last line: one that is on PATH; else Debian's package,
# installed by root, or unpacked into .wireshark where nobody is root. Safe to call before every test run.
#
# TSHARK names another program.
set -eu

cd "$(dirname "$0")"

fail() {
    echo "interop/setup-wireshark.sh: $*" >&2
    exit 1
}

hint="install Wireshark 3.6 or newer with tshark and Lua (Debian: apt-get install tshark)"

check() { # that the program runs and has Lua, which the dissector is written in
    "$1" --version 2>/dev/null | tr '\n' ' ' | grep -q 'with Lua' || fail "$1 does not run, or was built without Lua; $hint"
    echo "$1"
    exit 0
}

on_path() { command -v "${TSHARK:-tshark}" 2>/dev/null; }

[ -z "${TSHARK-}" ] || [ -n "$(on_path)" ] || fail "$TSHARK was not found"
[ -z "$(on_path)" ] || check "$(on_path)"
unpacked=$PWD/.wireshark/tshark
[ ! -x "$unpacked" ] || check "$unpacked"

command -v apt-get >/dev/null 2>&1 || fail "tshark was not found, nor apt-get to install it; $hint"
mkdir -p .wireshark
if command -v flock >/dev/null 2>&1; then
    exec 9>.wireshark/lock
    flock 9 # test programs may start this script side by side
fi
[ -z "$(on_path)" ] || check "$(on_path)"
[ ! -x "$unpacked" ] || check "$unpacked"

export DEBIAN_FRONTEND=noninteractive
if [ "$(id -u)" = 0 ]; then
    apt-get update -qq >&2 9>&- || fail "apt-get update failed (see above)"
    apt-get install -y -qq --no-install-recommends tshark >&2 9>&- || fail "apt-get install tshark failed (see above); $hint"
    hash -r
    [ -n "$(on_path)" ] || fail "the package was installed, but tshark is not on PATH"
    check "$(on_path)"
fi

# What root would install, unpacked here. The lists of packages are those that the system has.
packages=$(apt-get install -s --no-install-recommends tshark 2>/dev/null | awk '/^Inst / { print $2 }') || packages=
[ -n "$packages" ] || fail "apt-get knows no package tshark (only root can update its lists); $hint"
rm -rf .wireshark/root .wireshark/packages
mkdir -p .wireshark/root .wireshark/packages
(cd .wireshark/packages && apt-get download -qq $packages) >&2 9>&- || fail "could not download tshark (see above); $hint"
for package in .wireshark/packages/*.deb; do
    dpkg -x "$package" .wireshark/root || fail "could not unpack $package (see above)"
done
libraries=$(find "$PWD/.wireshark/root" -name '*.so*' -printf '%h\n' | sort -u | grep -v '/wireshark/' | paste -sd: -)
cat >.wireshark/new <<END
#!/bin/sh
LD_LIBRARY_PATH="$libraries" WIRESHARK_DATA_DIR="$PWD/.wireshark/root/usr/share/wireshark" \\
    exec "$PWD/.wireshark/root/usr/bin/tshark" "\$@"
END
chmod +x .wireshark/new
rm -rf .wireshark/packages
mv .wireshark/new "$unpacked"
check "$unpacked"
