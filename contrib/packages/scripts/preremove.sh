#!/bin/sh
# Before the files go: stops the services, unless others take their place. dpkg calls it
# with "remove" or "upgrade", rpm with 0 or 1.
set -e

case $1 in
remove | 0) ;;
*) exit 0 ;;
esac
if [ -d /run/systemd/system ]; then
	systemctl disable --now nsqadmin.service nsqd.service nsqlookupd.service || true
fi
