#!/bin/sh
# stress.sh N COMMAND...: runs a command while N loops keep the processors busy, as on a
# machine with other work.
#
# The command is what this process becomes, so that signals, input and exit code are its
# own; the loops look whether it is still there, and end with it, however it ends.
set -eu
n=$1
shift
case $n in
'' | *[!0-9]*)
	echo "STRESS=$n: isn't a number of busy loops, such as 8" >&2
	exit 2
	;;
esac
while [ "$n" -gt 0 ]; do
	(
		while kill -0 $$ 2>/dev/null; do
			i=0
			while [ $i -lt 1000 ]; do i=$((i + 1)); done
		done
	) </dev/null >/dev/null 2>&1 &
	n=$((n - 1))
done
exec "$@"
