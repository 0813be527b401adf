#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# locked.sh DIR COMMAND...: one run at a time in a build directory.
set -eu

dir=$1
shift
mkdir -p "$dir"
# The lock is gone when this process is, however it ends.
exec 9>>"$dir/.lock"
if ! flock -n 9; then
	echo "make: another run is at work in $dir (process $(cat "$dir/.lock.pid" 2>/dev/null)): " \
		"wait for it, or use another folder: O=" >&2
	exit 1
fi
echo $$ >"$dir/.lock.pid"
KVM_COCO_LOCKED=1 exec "$@"
