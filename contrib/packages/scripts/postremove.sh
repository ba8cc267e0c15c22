#!/bin/sh
# After the files are gone. Messages stay, even with "purge": nobody can bring them back.
# So does the user, whose they are.
set -e

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
case $1 in
purge | 0) ;;
*) exit 0 ;;
esac
[ -d /var/lib/nsq ] || exit 0
rmdir /var/lib/nsq 2>/dev/null ||
	echo "nsq: /var/lib/nsq holds data and stays; remove it and the user nsq by hand if nobody needs them."
