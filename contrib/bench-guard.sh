#!/usr/bin/env bash
# Builds nsqd of HEAD and of another revision, and fails if that of HEAD is worse
# than noise explains: bench-guard.sh NSQ_BENCH REVISION [flags of nsq_bench].
set -euo pipefail

if [[ $# -lt 2 || -z $2 ]]; then
	echo "what is HEAD to be compared with? make bench-guard BASE=revision" >&2
	exit 2
fi
bench=$1 base=$2
shift 2

tmp=$(mktemp -d)
cleanup() {
	for side in base head; do
		if [[ -e $tmp/$side ]]; then git worktree remove --force "$tmp/$side"; fi
	done
	rm -rf "$tmp"
}
trap cleanup EXIT

# build REVISION SIDE
build() {
	git worktree add --quiet --detach "$tmp/$2" "$1"
	(cd "$tmp/$2" && CGO_ENABLED=0 "${GO:-go}" build -o "$tmp/nsqd-$2" ./apps/nsqd)
	echo "$2: $(git -C "$tmp/$2" log -1 --format='%h %s')"
}
build "$base" base
build HEAD head

"$bench" -a="$tmp/nsqd-base" -b="$tmp/nsqd-head" -guard -run='^(mpub|sub|pubsub|pubpipe|fanout)$' -rounds=9 "$@"
