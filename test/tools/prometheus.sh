#!/bin/sh
# prometheus.sh DIR: unpacks Debian's Prometheus into DIR, and installs nothing: its daemon is
# started by tests only. Where it can't be had, it says so, and its tests are skipped.
set -eu
dir=$1
[ ! -x "$dir/usr/bin/promtool" ] || exit 0
command -v apt-get >/dev/null && command -v dpkg >/dev/null || {
	echo "no apt-get: alerts aren't tried with Prometheus here"
	exit 0
}
mkdir -p "$dir"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && { apt-get -q download prometheus 2>/dev/null || { apt-get update -q && apt-get -q download prometheus; }; }) || {
	echo "Debian's prometheus can't be had: alerts aren't tried with it here"
	exit 0
}
dpkg -x "$work"/prometheus_*.deb "$dir"
