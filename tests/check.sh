#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# check.sh OUT: every step that must pass, in an order that fails early.
#
# A step that counts its tests ends with "N passed, N failed, N skipped"; any
# other counts as one.  The last line adds them up.
set -u

out=$1
log=$out/log
mkdir -p "$log"
passed=0 failed=0 skipped=0 number=0 total=13
started=$(date +%s)

step() {
	name=$1
	shift
	number=$((number + 1))
	echo "== [$number/$total] $name, $(($(date +%s) - started)) s so far"
	{
		"$@" 2>&1
		echo "$?" >"$log/$name.status"
	} | tee "$log/$name.out"
	counts=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' \
		"$log/$name.out" | tail -n 1)
	status=$(cat "$log/$name.status")
	if [ -z "$counts" ]; then
		[ "$status" = 0 ] && counts="1 0 0" || counts="0 1 0"
	fi
	# shellcheck disable=SC2086 # three numbers
	set -- $counts
	passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
	if [ "$status" != 0 ] && [ "$2" = 0 ]; then
		failed=$((failed + 1))
	fi
	[ "$status" = 0 ]
}

step lint make lint
step driver-tests make driver-tests
if step build make build; then
	step checkpatch make checkpatch
	step uapi make uapi
	step shared-ranges make shared-ranges
	step base-build make base-build && step full make full
	step pinning make pinning
	step transport make transport
	step firmware make firmware
	step debug-build make debug-build && step debug make debug
fi
echo "logs of all steps: $log"
if [ "$number" != "$total" ] && [ "$failed" = 0 ]; then
	failed=1
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
