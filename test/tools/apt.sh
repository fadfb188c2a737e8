#!/bin/sh
# apt.sh PACKAGE...: installs Debian packages, as root, for tests to start what is in them; Debian
# would start it as services at once.
set -eu
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod +x $policy
	trap 'rm -f $policy' EXIT
fi
apt-get update -q
apt-get install -q -y --no-install-recommends "$@"
