#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# check.sh OUT: vendor_module_test has to fail on a KVM that pins its loader.
#
# Builds the KVM modules of OUT's tree a second time, from a copy with
# pin.patch, and boots them on engine amd.
set -eu

here=$(dirname "$(readlink -f "$0")")
root=$(dirname "$(dirname "$here")")
out=$(readlink -f "$1")
work=$out/naive

"$root/scripts/build/patched_kvm.sh" "$out" "$here/pin.patch" "$work"

# It deadlocks after some ten loads, and has to fail then.
PYTHONPATH="$root" python3 -m scripts.machine.run --engine amd --set pinning \
	--build "$work/image" --init "$out/image/init" \
	--run-dir "$work/run" >"$work/run.out" 2>&1 || true

expect() {
	if ! grep -aq "$1" "$work/run/amd/results"; then
		echo "pinning: with pin.patch, no '$1' in $work/run/amd/results" >&2
		cat "$work/run.out" >&2
		exit 1
	fi
	echo "with pin.patch: $(grep -am 1 "$1" "$work/run/amd/results" | tr -d '\r')"
}

expect "not ok .* no [a-z]* for [0-9]* seconds"
# The thread that moves the loader may be the first to hang: it waits until the
# loader can be moved.
expect "cpus_read_lock\|affine_move_task"
expect "hangs in the kernel"
echo "the modules and what they did are in $work"
