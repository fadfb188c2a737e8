#!/bin/sh
# tell.sh WHAT COMMAND...: runs a command that takes its time, and says so: that it
# begins, every ten seconds ($EVERY) that it goes on, and how long it took.
what=$1
shift
begin=$(date +%s)
took() { echo $(($(date +%s) - begin)) s; }

echo "$what: is being built"
# Ctrl-C is for the command, and ends this too; nobody goes on counting then.
( trap 'kill $nap; exit' TERM
  while kill -0 $$ 2>/dev/null; do
	sleep "${EVERY:-10}" & nap=$!
	wait $nap
	echo "$what: is being built, for $(took) now"
  done ) &
beat=$!
trap 'kill $beat 2>/dev/null; wait $beat 2>/dev/null' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"$@"
code=$?
if [ $code -eq 0 ]; then
	echo "$what: built in $(took)"
else
	echo "$what: could not be built, after $(took)" >&2
fi
exit $code
