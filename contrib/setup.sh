#!/bin/sh
# Installs what the tests need besides Go and make, where it is missing: a C compiler, for
# the race detector, Chromium, for nsqadmin's pages, and curl and openssl, which the documentation
# uses. Where it may not, it says how.
# CHROMIUM names a browser that is not found by itself.
set -eu

has() {
	command -v "$1" >/dev/null
}

missing=
cc=$(go env CC)
has "${cc%% *}" || missing='gcc libc6-dev'
has "${CHROMIUM:-chromium}" || has chromium-browser || has google-chrome || has google-chrome-stable ||
	[ -d /Applications/Chromium.app ] || [ -d '/Applications/Google Chrome.app' ] || missing="${missing:+$missing }chromium"
has curl || missing="${missing:+$missing }curl"
has openssl || missing="${missing:+$missing }openssl"
[ -n "$missing" ] || exit 0

sudo=
[ "$(id -u)" -eq 0 ] || sudo='sudo -n'
if has apt-get && $sudo true 2>/dev/null && $sudo apt-get update -q &&
	$sudo apt-get install -qy --no-install-recommends $missing; then
	exit 0
fi
echo "$0: the tests need $missing, which could not be installed." >&2
case $missing in
*chromium*)
	echo "$0: install Chromium or Chrome ('apt-get install chromium', 'brew install --cask chromium')," >&2
	echo "$0: or name one: CHROMIUM=/path/to/browser make test" >&2
	;;
esac
# Without a browser nsqadmin's tests say the same; without a compiler there are none.
has "${cc%% *}" || exit 1
