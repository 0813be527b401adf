#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# check.sh IMAGE RUN_DIR WORDS...: hypercalls work on a kernel that rewrites its calls.
#
# IMAGE is a kernel with mitigations.config or cfi.config of this folder, which is the
# host's and the guests'.  Each of WORDS is "ENGINE: what its console has to say": what is
# built in and never switched on shows nothing.
set -eu

root=$(dirname "$(dirname "$(dirname "$(readlink -f "$0")")")")
image=$1 run=$2
shift 2

PYTHONPATH="$root" python3 -m scripts.machine.run --engine "amd intel" \
	--tests "x86/guest_boot_test x86/sev_guest_test x86/kvm_kunit_test" \
	--build "$image" --init "$image/init" --run-dir "$run"
for words; do
	console=$run/${words%%:*}/console
	words=${words#*: }
	if ! grep -aqF "$words" "$console"; then
		echo "mitigations: no '$words' in $console" >&2
		exit 1
	fi
	echo "$console: $words"
done
