#!/bin/sh
# Runs nsqlookupd, nsqd and nsqadmin together, for trying things out: run.sh BUILD-DIRECTORY [flags of nsqd].
# Ctrl-C, SIGTERM or the end of any of them stops all; the exit code is that of the one that failed.
# They log warnings and worse: every look that nsqadmin takes would be a line. For nsqd add --log-level=info.
set -u
build=$1
shift

lookupd= nsqd= admin=
stop() {
	trap '' INT TERM # once is enough
	kill $lookupd $nsqd $admin 2>/dev/null
	stopping=yes
}
stopping=
trap stop INT TERM

run() {
	kill -0 $lookupd 2>/dev/null && kill -0 $nsqd 2>/dev/null && kill -0 $admin 2>/dev/null
}

"$build/nsqlookupd" --log-level=warn --tcp-address=127.0.0.1:4160 --http-address=127.0.0.1:4161 --broadcast-address=127.0.0.1 &
lookupd=$!
"$build/nsqd" --log-level=warn --lookupd-tcp-address=127.0.0.1:4160 "$@" &
nsqd=$!
"$build/nsqadmin" --log-level=warn --http-address=127.0.0.1:4171 --lookupd-http-address=127.0.0.1:4161 &
admin=$!

sleep 1 # time enough to find a port taken
[ -z "$stopping" ] && run && echo "Running. The console is at http://127.0.0.1:4171/"
while [ -z "$stopping" ] && run; do
	sleep 1
done
stop
code=0
for program in $admin $nsqd $lookupd; do
	wait $program || code=$?
done
exit $code
