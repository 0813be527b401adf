#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# check.sh OUT [full]: every step that must pass, in an order that fails early.
#
# A step that counts its tests ends with "N passed, N failed, N skipped"; any
# other counts as one.  The last line adds them up.  What takes long is left to
# "full", which does not repeat what has passed with the same content.
set -u

out=$1
full=${2:-}
log=$out/log
mkdir -p "$log"
rm -f "$log"/*.status "$log/check.state"
passed=0 failed=0 skipped=0 number=0 total=15
[ -z "$full" ] || total=$((total + 25))
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

# slow NAME COMMAND...: a step of "full", or a line that says when it last passed.
slow() {
	when=$(python3 -m scripts.results.passed "$out" has "$@")
	if [ -z "$full" ]; then
		echo "left to make check-full: $1, ${when:+passed }${when:-not yet passed} with this content"
	elif [ -n "$when" ]; then
		number=$((number + 1)) passed=$((passed + 1))
		echo "== [$number/$total] $1: passed $when with this content"
	else
		step "$@" && python3 -m scripts.results.passed "$out" remember "$@"
	fi
}

step lint make lint
step driver-tests make driver-tests
if step build make build; then
	state=$(python3 -m scripts.results.records "$out")
	step mirror make mirror
	step checkpatch make checkpatch
	step uapi make uapi
	step shared-ranges make shared-ranges
	step emulator-tests make emulator-tests
	step base-image make base-image && step topics env ALONE="$full" make topics
	step full make full
	step vmm make vmm
	step host-guests make host-guests
	step debug-image make debug-image && step debug make debug
	slow kicks make kicks
	slow rmp-faults make rmp-faults
	slow tdx-faults make tdx-faults
	slow pinning make pinning
	slow erratum make erratum
	slow mitigations make mitigations
	slow cfi make cfi
	slow firmware make firmware
	slow host make host-tests
	slow w1 make w1
	slow sparse make sparse
	slow clang make clang
	slow coccicheck make coccicheck
	slow htmldocs make htmldocs
	slow configs make configs
	slow kcsan make kcsan
	slow debug-full make debug-full
	slow coverage make coverage
	slow emulator-asan make emulator-asan
	slow fuzz make fuzz
	slow soak make soak
	slow deb make deb-boot
	slow bases make bases
	slow mutants make mutants
	slow bisect make bisect
fi
# make mail takes the results of a run that came this far, of this state.
echo "${state:-no build}" >"$log/check.state"
echo "logs of all steps: $log"
if [ "$number" != "$total" ] && [ "$failed" = 0 ]; then
	failed=1
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
