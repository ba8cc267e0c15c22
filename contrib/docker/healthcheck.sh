#!/bin/sh
# Tells whether the daemon of this container is alive: nsqd, nsqlookupd or nsqadmin, whichever is
# among its processes, answers HTTP where its flags or its config file say that it listens. A
# container without a daemon, as that of a tool, is healthy while it runs, and so is a daemon that
# serves no HTTP over TCP.
#
# The argument, for tests, is where the processes are.
set -u
proc=${1:-/proc}
unset http_proxy HTTP_PROXY # between this container and itself there is none

# argument PID FLAG prints what the command line of the process says last for the flag; fails where it
# says nothing.
argument() {
	tr '\0' '\n' <"$proc/$1/cmdline" | {
		value= given=1 next=
		while IFS= read -r word; do
			if [ -n "$next" ]; then
				value=$word given=0 next=
				continue
			fi
			case $word in
			"-$2" | "--$2") next=yes ;;
			"-$2="* | "--$2="*) value=${word#*=} given=0 ;;
			esac
		done
		printf '%s\n' "$value"
		return $given
	}
}

# configured PID prints the http_address of the process' config file; fails where there is none.
configured() {
	file=$(argument "$1" config) || return 1
	case $file in
	/*) ;;
	*) file=$proc/$1/cwd/$file ;;
	esac
	line=$(grep '^[[:blank:]]*http_address[[:blank:]]*=' "$file") || return 1
	printf '%s\n' "$line" | sed "s/^[^=]*=[[:blank:]]*[\"']//; s/[\"'].*//"
}

# alive PID PORT asks the process, whose default port this is.
alive() {
	address=$(argument "$1" http-address) || address=$(configured "$1") || address=:$2
	host=${address%:*} port=${address##*:}
	case $address in
	*:*) ;;
	*) return 0 ;; # no HTTP, or on a unix socket
	esac
	case $host in
	'' | 0.0.0.0 | '[::]') host=127.0.0.1 ;;
	esac
	answer=$(wget -O - "http://$host:$port/health/live" 2>&1) && return 0
	case $answer in
	*' 404'*) return 0 ;; # below a base path: it is there
	esac
	printf '%s\n' "$answer"
	return 1
}

for dir in "$proc"/[0-9]*; do
	pid=${dir##*/}
	read -r name 2>/dev/null <"$dir/comm" || continue # it has just ended
	case $name in
	nsqd) alive "$pid" 4151 || exit 1 ;;
	nsqlookupd) alive "$pid" 4161 || exit 1 ;;
	nsqadmin) alive "$pid" 4171 || exit 1 ;;
	esac
done
