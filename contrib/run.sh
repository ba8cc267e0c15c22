#!/bin/sh
# Runs nsqlookupd and nsqd together, for trying things out: run.sh BUILD-DIRECTORY [flags of nsqd].
# Ctrl-C, SIGTERM or the end of either stops both; the exit code is that of the one that failed.
set -u
build=$1
shift

lookupd= nsqd=
stop() {
	trap '' INT TERM # once is enough
	kill $lookupd $nsqd 2>/dev/null
	stopping=yes
}
stopping=
trap stop INT TERM

"$build/nsqlookupd" --tcp-address=127.0.0.1:4160 --http-address=127.0.0.1:4161 --broadcast-address=127.0.0.1 &
lookupd=$!
"$build/nsqd" --lookupd-tcp-address=127.0.0.1:4160 "$@" &
nsqd=$!

while [ -z "$stopping" ] && kill -0 $lookupd 2>/dev/null && kill -0 $nsqd 2>/dev/null; do
	sleep 1
done
stop
wait $lookupd
lookupd_code=$?
wait $nsqd
nsqd_code=$?
[ $lookupd_code -ne 0 ] && exit $lookupd_code
exit $nsqd_code
