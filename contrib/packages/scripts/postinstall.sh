#!/bin/sh
# After the files are there: the service user, its directory, and the new programs for
# services that run. dpkg calls it with "configure" and the version before, rpm with 1
# for an installation and 2 for an upgrade.
set -e

upgrade=
case $1 in
configure) [ -z "$2" ] || upgrade=yes ;;
2) upgrade=yes ;;
1) ;;
*) exit 0 ;; # dpkg takes back something that failed
esac

if ! getent passwd nsq >/dev/null; then
	if command -v systemd-sysusers >/dev/null; then
		systemd-sysusers nsq.conf
	else
		getent group nsq >/dev/null || groupadd --system nsq
		useradd --system --gid nsq --home-dir /var/lib/nsq --no-create-home --shell /usr/sbin/nologin \
			--comment 'NSQ message broker' nsq
	fi
fi
[ -d /var/lib/nsq ] || install -d -o nsq -g nsq -m 0750 /var/lib/nsq

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
	# Nothing is started that did not run.
	[ -z "$upgrade" ] || systemctl try-restart nsqlookupd.service nsqd.service nsqadmin.service || true
fi
