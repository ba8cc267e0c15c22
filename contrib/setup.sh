#!/bin/sh
# Installs what the tests need besides Go and make: a C compiler, for the race detector.
set -eu
cc=$(go env CC)
if command -v "${cc%% *}" >/dev/null; then
	exit 0
fi
if ! command -v apt-get >/dev/null; then
	echo "$0: the race detector needs a C compiler, and $cc is not installed" >&2
	exit 1
fi
sudo=
[ "$(id -u)" -eq 0 ] || sudo=sudo
$sudo apt-get update -q
$sudo apt-get install -qy --no-install-recommends gcc libc6-dev
