#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# check.sh OUT: vendor_module_test has to fail on a KVM that pins its loader.
#
# Builds the KVM modules of OUT's tree a second time, from a copy with
# pin.patch, and boots them on engine amd: once with the assertion that refuses
# them, once without it.
set -eu

here=$(dirname "$(readlink -f "$0")")
root=$(dirname "$(dirname "$here")")
out=$(readlink -f "$1")
work=$out/naive
copy=$work/tree

rm -rf "$work"
mkdir -p "$copy/arch/x86" "$copy/virt"
cp -r "$out/linux-$BASE/arch/x86/kvm" "$copy/arch/x86"
cp -r "$out/linux-$BASE/virt/kvm" "$copy/virt"
for variant in pin drop-assertion; do
	patch -s -p1 -d "$copy" <"$here/$variant.patch"
	"$root/scripts/build/kvm_modules.sh" "$out" "$out/linux-$BASE" "$copy/arch/x86/kvm" "$work/$variant"
done

# Both at once: all that the second one does is wait.  It deadlocks after some ten
# loads, not in each round.
for variant in pin drop-assertion; do
	PYTHONPATH="$root" python3 -m scripts.machine.run --engine amd --set pinning \
		--build "$work/$variant" --init "$out/image/init" \
		--run-dir "$work/run-$variant" >"$work/run-$variant.out" 2>&1 &
done
wait

expect() {
	if ! grep -aq "$2" "$work/run-$1$3"; then
		echo "pinning: with $1.patch, no '$2' in $work/run-$1$3" >&2
		cat "$work/run-$1.out" >&2
		exit 1
	fi
	echo "with $1.patch: $(grep -am 1 "$2" "$work/run-$1$3" | tr -d '\r')"
}

expect pin "module kvm-amd # Invalid argument" /amd/results
expect pin "WARNING: .*kvm_x86_vendor_init" /amd/console
expect drop-assertion "not ok .* no [a-z]* for [0-9]* seconds" /amd/results
# The thread that moves the loader may be the first to hang: it waits until the
# loader can be moved.
expect drop-assertion "cpus_read_lock\|affine_move_task" /amd/results
expect drop-assertion "hangs in the kernel" /amd/results
echo "the modules and what they did are in $work"
