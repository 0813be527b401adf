#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# check.sh OUT ENGINES WORDS...: hypercalls work on a kernel that rewrites its calls.
#
# OUT/image is a kernel with a .config of this folder, which is the host's and the guests'.
# The console of each of ENGINES has to say all WORDS: what is built in and never switched
# on shows nothing.
set -eu

root=$(dirname "$(dirname "$(dirname "$(readlink -f "$0")")")")
image=$1/image run=$1/run engines=$2
tests="x86/guest_boot_test x86/kvm_kunit_test"
shift 2

case $engines in
amd*)	tests="$tests x86/sev_guest_test" ;;
esac
PYTHONPATH="$root" python3 -m scripts.machine.run --engine "$engines" --tests "$tests" \
	--build "$image" --init "$image/init" --run-dir "$run"
for engine in $engines; do
	console=$run/$engine/console
	for words; do
		if ! grep -aqF "$words" "$console"; then
			echo "mitigations: no '$words' in $console" >&2
			exit 1
		fi
		echo "$console: $words"
	done
done
