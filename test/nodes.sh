#!/bin/sh
# Sees to what real pods need (test/framework/node): Debian's containerd and what goes with
# it. Where that can't be, it says so, and tests with real pods are skipped.
set -eu
missing=""
need() { # COMMAND PACKAGE
	PATH="$PATH:/usr/sbin:/sbin:/usr/lib/cni" command -v "$1" >/dev/null || missing="$missing $2"
}
need containerd containerd
need ctr containerd
need runc runc
need host-local containernetworking-plugins # iproute2 has another bridge
need nft nftables
need conntrack conntrack
need ip iproute2
need nsenter util-linux
missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')
[ -n "$(echo $missing)" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "pods can't run here, and tests of them are skipped: these Debian packages are missing: $missing"
	exit 0
fi
exec "$(dirname "$0")/tools/apt.sh" $missing
