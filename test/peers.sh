#!/bin/sh
# Sees to the programs of others that the tests talk to, with "race" to those that
# make bench-peers does: installs them where that
# can be done without asking, else says what is missing.
set -eu

missing=""
need() { # COMMAND PACKAGE
	PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null || missing="$missing $2"
}
if [ "${1:-}" = race ]; then
	need dnsperf dnsperf
	need gdnsd gdnsd
	need gcc "gcc libc6-dev"
	need taskset util-linux
fi
need dig bind9-dnsutils
need nslookup bind9-dnsutils
need nsd nsd
need named bind9
need knotd knot
need pdns_server "pdns-server pdns-backend-bind"
need sqlite3 sqlite3
[ -e /usr/share/pdns-backend-sqlite3/schema ] || missing="$missing pdns-backend-sqlite3"
need unbound unbound
need dnsmasq dnsmasq-base
need ip iproute2
need named-checkzone bind9-utils
need ldns-verify-zone ldnsutils
need kzonecheck knot-dnssecutils
need pdns_recursor pdns-recursor
need kresd knot-resolver
need musl-gcc musl-tools

missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')
[ -n "$(echo $missing)" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "the tests need these Debian packages: $missing" >&2
	echo "hint: apt-get install $missing" >&2
	exit 1
fi
exec "$(dirname "$0")/tools/apt.sh" $missing
