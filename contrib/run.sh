#!/bin/sh
# Runs nsqlookupd, nsqd and nsqadmin together, for trying things out, on five ports of 127.0.0.1:
# run.sh BUILD-DIRECTORY NSQD-TCP NSQD-HTTP NSQLOOKUPD-TCP NSQLOOKUPD-HTTP NSQADMIN-HTTP [flags of nsqd].
# Ctrl-C, SIGTERM or the end of any of them stops all; the exit code is that of the one that failed.
# They log warnings and worse: every look that nsqadmin takes would be a line. For nsqd add --log-level=info.
set -u
build=$1
nsqd_tcp=127.0.0.1:$2 nsqd_http=127.0.0.1:$3 lookupd_tcp=127.0.0.1:$4 lookupd_http=127.0.0.1:$5 admin_http=127.0.0.1:$6
shift 6

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

"$build/nsqlookupd" --log-level=warn --tcp-address=$lookupd_tcp --http-address=$lookupd_http --broadcast-address=127.0.0.1 &
lookupd=$!
"$build/nsqd" --log-level=warn --tcp-address=$nsqd_tcp --http-address=$nsqd_http --broadcast-address=127.0.0.1 \
	--lookupd-tcp-address=$lookupd_tcp "$@" &
nsqd=$!
"$build/nsqadmin" --log-level=warn --http-address=$admin_http --lookupd-http-address=$lookupd_http &
admin=$!

sleep 1 # time enough to find a port taken
if [ -z "$stopping" ]; then
	if run; then
		echo "Running. The console is at http://$admin_http/"
	else
		echo "Not all of them started. Where others use the ports, as an NSQ of yours: make run PORTS='5150 5151 5160 5161 5171'" >&2
	fi
fi
while [ -z "$stopping" ] && run; do
	sleep 1
done
stop
code=0
for program in $admin $nsqd $lookupd; do
	wait $program || code=$?
done
exit $code
